"""How a client can authenticate, and who signs for it: the methods and algorithms that a registration may name.

RFC 6749 section 2.3, RFC 7523 section 2.2, RFC 7518 section 3.
"""

SECRET_METHODS = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
"""The methods that use a client secret, in the order in which Gatehouse prefers them."""

AUTH_METHODS = ("none", *SECRET_METHODS, "private_key_jwt")

HMAC_ALGORITHMS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
"""The algorithms of `client_secret_jwt` (RFC 7518 section 3.2), and their hashes."""

KEY_ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
"""The algorithms of `private_key_jwt` that KMS has keys for (RFC 7518 sections 3.3 to 3.5)."""

ID_TOKEN_ALGORITHMS = (*KEY_ALGORITHMS, "EdDSA", "Ed25519")
"""The signatures of ID tokens that can be verified: those of private keys (RFC 8037, RFC 9864), and never `none`."""

AUDIENCES = ("issuer", "token_endpoint", "endpoint")
"""Who a client assertion can be addressed to; `endpoint` is the one that the assertion is sent to."""

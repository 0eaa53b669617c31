"""The signing algorithms that a registration may name for its client's assertions (RFC 7518 section 3)."""

HMAC_ALGORITHMS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
"""Those of `client_secret_jwt` (RFC 7518 section 3.2), and their hashes."""

KEY_ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
"""Those of `private_key_jwt` that KMS has keys for (RFC 7518 sections 3.3 to 3.5)."""

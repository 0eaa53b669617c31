"""Prints the public half of a key in KMS as a JWK Set (RFC 7517), to be registered at an authorization server.

`aws kms get-public-key --key-id alias/gatehouse-client-NAME | python -m tools.jwk`. The `kid` is the key's thumbprint
(RFC 7638): the registration's `client_signing_kid`.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def jwk_of(public_key: bytes) -> dict[str, Any]:
    """Return a public key (DER, as KMS gives it) as a JWK with its thumbprint for `kid`.

    Raises `ValueError` where it is neither RSA nor of one of the three curves of NIST.
    """
    key = load_der_public_key(public_key)
    if isinstance(key, RSAPublicKey):
        members = {"e": _number(key.public_numbers().e), "kty": "RSA", "n": _number(key.public_numbers().n)}
    elif isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        size, point = (key.curve.key_size + 7) // 8, key.public_numbers()
        coordinates = {"x": _number(point.x, size), "y": _number(point.y, size)}
        members = {"crv": _CURVES[key.curve.name], "kty": "EC", **coordinates}
    else:
        raise ValueError("expected an RSA key, or one on the curve P-256, P-384 or P-521")
    # RFC 7638 section 3: the required members, in the order of their names, without a space.
    thumbprint = sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest()
    return {**members, "kid": _b64url(thumbprint)}


def _number(value: int, size: int | None = None) -> str:
    return _b64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _b64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


if __name__ == "__main__":
    found = jwk_of(b64decode(json.load(sys.stdin)["PublicKey"]))
    print(json.dumps({"keys": [{**found, "use": "sig"}]}, indent=2))

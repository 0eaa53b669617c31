"""Client assertions: a client proves who it is without sending its secret or key (RFC 7523 section 2.2, RFC 7515).

What signs them is passed in: a client secret (`hmac_signature`), or a key that never leaves KMS.
"""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from functions.vault.provider.auth_methods import HMAC_ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

LIFETIME = 60
"""Seconds for which an assertion is valid: it is made for one request that is sent at once."""

_COORDINATE = {"ES256": 32, "ES384": 48, "ES512": 66}
"""The octets of one coordinate in a signature (RFC 7518 section 3.4)."""


def client_assertion(  # noqa: PLR0913 - the claims and headers of RFC 7523, and what signs them
    client_id: str, audience: str, algorithm: str, sign: Callable[[bytes], bytes], *, now: float, kid: str | None = None
) -> str:
    """Return a signed JWT that names the client to `audience`, valid once (`jti`) and not for long (`exp`)."""
    header = {"alg": algorithm, "typ": "JWT", **({} if kid is None else {"kid": kid})}
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now),
        "exp": int(now) + LIFETIME,
    }
    signed = f"{_b64url(_json(header))}.{_b64url(_json(claims))}"
    return f"{signed}.{_b64url(sign(signed.encode()))}"


def hmac_signature(client_secret: str, algorithm: str) -> Callable[[bytes], bytes]:
    """Return a function that signs with the octets of a client secret (OpenID Connect Core section 9)."""
    return lambda octets: hmac.digest(client_secret.encode(), octets, HMAC_ALGORITHMS[algorithm])


def jose_signature(signature: bytes, algorithm: str) -> bytes:
    """Return a signature by KMS in the form of JOSE: for a curve two bare numbers, not DER (RFC 7518 section 3.4).

    Raises `ValueError` if it is not the DER of two numbers that fit the curve.
    """
    if algorithm not in _COORDINATE:
        return signature
    size = _COORDINATE[algorithm]
    body, rest = _element(signature, 0x30)
    r, body = _element(body, 0x02)
    s, body = _element(body, 0x02)
    if rest or body:
        raise ValueError("octets after the signature")
    try:
        return b"".join(int.from_bytes(number, "big").to_bytes(size, "big") for number in (r, s))
    except OverflowError:
        raise ValueError("a number that is larger than the curve") from None


def _element(octets: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the DER element at the front, and what follows it (X.690 section 8.1)."""
    start, length = 2, octets[1] if len(octets) > 1 else 0
    if length == 0x81 and len(octets) > start:  # noqa: PLR2004 - one more octet holds the length: P-521 needs it
        start, length = 3, octets[2]
    if octets[:1] != bytes([tag]) or length == 0 or len(octets) < start + length:
        raise ValueError("not a signature in DER")
    return octets[start : start + length], octets[start + length :]


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _b64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()

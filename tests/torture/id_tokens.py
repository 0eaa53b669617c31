"""ID tokens as the world's server issues them, signed by an old key that everybody knows, or by one that is new."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from functions.vault.oauth.issuer_keys import IssuerKeys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from functions.vault.oauth.id_token import Jwk
    from functions.vault.provider.provider import Provider

ISSUER = "https://as.test"
OLD, NEW = "old", "new"

_KEYS = {OLD: ec.derive_private_key(7, ec.SECP256R1()), NEW: ec.derive_private_key(8, ec.SECP256R1())}


def signed(key: str, account: str, now: float) -> str:
    """Return an ID token (OpenID Connect Core section 2)."""
    claims = {"iss": ISSUER, "aud": "client", "sub": account, "iat": int(now), "exp": int(now) + 600}
    unsigned = f"{_b64url(_json({'alg': 'ES256', 'kid': key}))}.{_b64url(_json(claims))}"
    both = decode_dss_signature(_KEYS[key].sign(unsigned.encode(), ec.ECDSA(SHA256())))
    return f"{unsigned}.{_b64url(b''.join(number.to_bytes(32, 'big') for number in both))}"


@cache
def public(key: str) -> dict[str, str]:
    """Return the public half of a key (RFC 7517)."""
    point = _KEYS[key].public_key().public_numbers()
    x, y = (_b64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "kid": key, "x": x, "y": y}


class WarmKeys(IssuerKeys):
    """What a process knows that has read the issuer's keys minutes ago: the old one. If asked, it reads once more."""

    def of(self, _provider: Provider) -> Sequence[Jwk]:
        """Return the keys that are kept."""
        return [public(OLD)]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _b64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()

"""Verification of ID tokens (OpenID Connect Core section 3.1.3.7): no claim is believed unless all checks pass.

An ID token is read only if the provider's data says that it names the account, and only its `sub` is used.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base.fields import matches
from functions.vault.base.record import record
from functions.vault.provider.auth_methods import ID_TOKEN_ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST = 16384
_SUBJECT = r"[\x20-\x7e]{1,255}"  # OpenID Connect Core section 2
_SHOWN = r"[A-Za-z0-9._~:/-]{1,100}"
_MOST_KEYS = 20
_BASE64URL = r"[A-Za-z0-9_-]{1,16384}"
_LATEST = 2**40
"""Unix seconds of the latest time that is plausible."""

_SKEW = 120
"""Seconds by which the server's clock and ours may differ."""

_OLDEST = 2400
"""Seconds before it was requested in which an ID token may have been issued: as long as an authorization request lives
(`authorization.LIFETIME`), because what is older answers another one."""

_HASHES = {"256": "SHA256", "384": "SHA384", "512": "SHA512"}
_CURVES = {
    "ES256": ("P-256", "SECP256R1", 32),
    "ES384": ("P-384", "SECP384R1", 48),
    "ES512": ("P-521", "SECP521R1", 66),
}
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

Jwk = Mapping[str, Any]


class NotVerified(Exception):
    """The ID token is not from this issuer, for this client and current. The text says which check failed."""


class KeyUnknown(NotVerified):
    """No known key of the issuer signed it: the issuer may have changed its keys since they were read."""


@record
class Expected:
    """Which issuer and client an ID token has to be from and for, and the time (Unix seconds), if times are checked.

    `asked_at` is when it was requested: it had to be valid then, however late it is verified. `nonce` is the one in the
    authorization request, if it had one: the ID token has to contain the same. `algorithms` are those of the
    registration (`id_token_signed_response_alg`), None for all that can be verified here.
    """

    issuer: str | None
    client_id: str
    now: float | None = None
    asked_at: float | None = None
    nonce: str | None = None
    algorithms: tuple[str, ...] | None = None


def verified_subject(unverified_id_token: Any, keys: Sequence[Jwk], expected: Expected) -> str:
    """Return the `sub` of an ID token that one of the issuer's `keys` has signed, for this client, and recently.

    Raises `NotVerified`; `KeyUnknown` if only the key is missing.
    """
    header, unverified_claims, signed, signature = _parts(unverified_id_token)
    subject = _subject(unverified_claims, expected)
    _verify_signature(header, signed, signature, keys, expected.algorithms)
    return subject


def _parts(unverified_id_token: Any) -> tuple[Jwk, Jwk, bytes, bytes]:
    if not isinstance(unverified_id_token, str):
        raise NotVerified("the answer has none; add openid to the scopes that are requested")
    if len(unverified_id_token) > _LONGEST:
        raise NotVerified(f"it is longer than {_LONGEST} characters")
    parts = unverified_id_token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        raise NotVerified("it is not a signed JWT")
    header, claims, signature = (_octets(part) for part in parts)
    return _object(header), _object(claims), ".".join(parts[:2]).encode(), signature


def _octets(text: Any) -> bytes:
    if not matches(text, _BASE64URL):
        raise NotVerified("it is not base64url")
    try:
        return urlsafe_b64decode(text + "==")
    except ValueError:
        raise NotVerified("it is not base64url") from None


def _object(octets: bytes) -> Jwk:
    try:
        members = json.loads(octets, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise NotVerified("it is not JSON") from None
    if not isinstance(members, Mapping):
        raise NotVerified("it is not a JSON object")
    return members


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member that is there twice")
    return dict(pairs)


def _verify_signature(
    header: Jwk, signed: bytes, signature: bytes, keys: Sequence[Jwk], accepted: tuple[str, ...] | None
) -> None:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ID_TOKEN_ALGORITHMS or "crit" in header:
        raise NotVerified(f"it is signed in a way that is not verified here ({_shown(algorithm)})")
    if accepted is not None and algorithm not in accepted:
        raise NotVerified(
            f"it is signed by {algorithm}, and id_token_signed_response_alg expects {' or '.join(accepted)}"
        )
    candidates = [key for key in keys[:_MOST_KEYS] if _may_have_signed(key, header)]
    if not candidates:
        raise KeyUnknown(f"it is signed by no key of the issuer's ({algorithm}, kid {_shown(header.get('kid'))})")
    if not any(_has_signed(key, algorithm, signed, signature) for key in candidates):
        # If it does not name its key, a newer key may have signed it.
        raise NotVerified("its signature is wrong") if "kid" in header else KeyUnknown("its signature is wrong")


def _may_have_signed(key: Jwk, header: Jwk) -> bool:
    algorithm, kid = header["alg"], header.get("kid")
    return (
        key.get("kty") == _KEY_TYPES[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and _may_verify(key.get("key_ops"))
        and (kid is None or key.get("kid") == kid)
    )


def _may_verify(operations: Any) -> bool:
    """Return whether a key with these `key_ops` (RFC 7517 section 4.3), or with none, is there to verify signatures."""
    return operations is None or (isinstance(operations, list) and "verify" in operations)


def _has_signed(key: Jwk, algorithm: str, signed: bytes, signature: bytes) -> bool:
    # Half of a cold start: loaded only when tokens are about to be sealed with it anyway.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415

    try:
        _check(key, algorithm, signed, signature)
    except (InvalidSignature, UnsupportedAlgorithm, NotVerified, ValueError):
        return False
    return True


def _check(key: Jwk, algorithm: str, signed: bytes, signature: bytes) -> None:
    """Return if the key has signed it; raise `InvalidSignature`, or `ValueError` if the key is of another kind."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature  # noqa: PLC0415

    if algorithm.startswith("Ed"):
        if key.get("crv") != "Ed25519":
            raise ValueError("not a key on this curve")
        ed25519.Ed25519PublicKey.from_public_bytes(_octets(key.get("x"))).verify(signature, signed)
        return
    digest = getattr(hashes, _HASHES[algorithm[2:]])()
    if algorithm.startswith("ES"):
        name, curve, size = _CURVES[algorithm]
        if key.get("crv") != name or len(signature) != 2 * size:
            raise ValueError("not a key on this curve")
        point = ec.EllipticCurvePublicNumbers(_number(key.get("x")), _number(key.get("y")), getattr(ec, curve)())
        der = encode_dss_signature(*(int.from_bytes(half, "big") for half in (signature[:size], signature[size:])))
        point.public_key().verify(der, signed, ec.ECDSA(digest))
        return
    public = rsa.RSAPublicNumbers(_number(key.get("e")), _number(key.get("n"))).public_key()
    if public.key_size < 2048:  # noqa: PLR2004 - RFC 7518 section 3.3
        raise ValueError("a key that is too short")
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    public.verify(signature, signed, pss if algorithm.startswith("PS") else padding.PKCS1v15(), digest)


def _number(text: Any) -> int:
    return int.from_bytes(_octets(text), "big")


def _subject(claims: Jwk, expected: Expected) -> str:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.issuer is None or claims.get("iss") != expected.issuer:
        raise NotVerified(f"it is of another issuer ({_shown(claims.get('iss'))}, expected {expected.issuer})")
    is_ours = expected.client_id in audiences and claims.get("azp", expected.client_id) == expected.client_id
    if not is_ours or (len(audiences) > 1 and "azp" not in claims):
        raise NotVerified("it is for another client: expected the client_id in aud, and in azp if aud has others")
    if expected.nonce is not None and claims.get("nonce") != expected.nonce:
        raise NotVerified("it has not the nonce of the authorization request")
    _check_times(claims, expected)
    return _named(claims)


def _check_times(claims: Jwk, expected: Expected) -> None:
    """Return if an ID token is one of now: valid when it was requested, and issued for this request.

    OpenID Connect Core section 3.1.3.7, RFC 7519 section 4.1.5. How old one may be is left to the client.
    """
    expires_at, issued_at = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
    begins_at = _seconds(claims["nbf"]) if "nbf" in claims else issued_at
    now = expected.now
    if now is None:
        return
    asked_at = now if expected.asked_at is None else expected.asked_at
    if expires_at <= asked_at - _SKEW:
        raise NotVerified(f"it has expired: exp is {asked_at - expires_at:.0f} s before it was requested")
    for name, value in (("iat", issued_at), ("nbf", begins_at)):
        if value > now + _SKEW:
            raise NotVerified(f"it is of the future: {name} is {value - now:.0f} s from now, and {_SKEW} s are allowed")
    if issued_at < asked_at - _OLDEST - _SKEW:
        age = f"{asked_at - issued_at:.0f} s before it was requested, and {_OLDEST} s are allowed"
        raise NotVerified(f"it is too old for this request: iat is {age}")


def _named(claims: Jwk) -> str:
    subject = claims.get("sub")
    if not matches(subject, _SUBJECT):
        raise NotVerified("it has no sub")
    return subject


def _seconds(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _LATEST:
        raise NotVerified("it does not say when it was issued and expires: expected Unix seconds in iat, exp and nbf")
    return float(value)


def _shown(value: Any) -> str:
    """Return a value of an ID token as a message may repeat it: a short word or URL. Nobody has verified it."""
    return value if matches(value, _SHOWN) else "none" if value is None else "an unusual value"

"""Client assertions: their claims, signatures that others verify, and DER that is no signature."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from functions.vault.oauth.assertion import LIFETIME, client_assertion, hmac_signature, jose_signature
from functions.vault.provider.auth_methods import KEY_ALGORITHMS
from tests.unit.samples import NOW

CURVES: list[Any] = [
    ("ES256", ec.SECP256R1(), hashes.SHA256(), 32),
    ("ES384", ec.SECP384R1(), hashes.SHA384(), 48),
    ("ES512", ec.SECP521R1(), hashes.SHA512(), 66),
]


def parts(assertion: str) -> tuple[Any, Any, bytes]:
    """Return header, claims and signature of a JWT."""
    header, claims, signature = (urlsafe_b64decode(part + "==") for part in assertion.split("."))
    return json.loads(header), json.loads(claims), signature


def test_an_assertion_names_client_and_audience_and_is_valid_once() -> None:
    """RFC 7523 section 3: issuer and subject are the client, the audience is the server; it has exp and jti."""
    made = [
        client_assertion("client-1", "https://id.example", "HS256", hmac_signature("s", "HS256"), now=NOW + 0.9)
        for _ in range(2)
    ]

    (header, claims, _), (_, others, _) = map(parts, made)
    assert header == {"alg": "HS256", "typ": "JWT"}
    assert len(claims["jti"]) >= 22
    assert claims.pop("jti") != others.pop("jti")
    assert (
        claims
        == others
        == {
            "iss": "client-1",
            "sub": "client-1",
            "aud": "https://id.example",
            "iat": NOW,
            "exp": NOW + LIFETIME,
        }
    )
    assert LIFETIME <= 300


def test_a_key_may_be_named() -> None:
    """RFC 7515 section 4.1.4: a server that has several keys of ours has to know which."""
    made = client_assertion("client-1", "https://id.example", "ES256", lambda _: b"s" * 64, now=NOW, kid="key-1")

    assert parts(made)[0] == {"alg": "ES256", "typ": "JWT", "kid": "key-1"}


@pytest.mark.parametrize(("algorithm", "name"), [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")])
def test_a_secret_signs_with_its_octets(algorithm: str, name: str) -> None:
    """Computed here once more by other means."""
    secret = "s:ü 1/+"

    made = client_assertion("c", "https://id.example", algorithm, hmac_signature(secret, algorithm), now=NOW)

    signed, _, _ = made.rpartition(".")
    assert parts(made)[2] == hmac.new(secret.encode(), signed.encode(), getattr(hashlib, name)).digest()


@pytest.mark.parametrize(("algorithm", "curve", "digest", "size"), CURVES)
def test_a_signature_in_der_becomes_two_bare_numbers(
    algorithm: str, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm, size: int
) -> None:
    """Real signatures, until there were short numbers and high first bits; each becomes two numbers of one size."""
    key = ec.generate_private_key(curve)

    for number in range(64):
        message = b"%d" % number
        bare = jose_signature(key.sign(message, ec.ECDSA(digest)), algorithm)
        again = encode_dss_signature(int.from_bytes(bare[:size], "big"), int.from_bytes(bare[size:], "big"))

        assert len(bare) == 2 * size
        key.public_key().verify(again, message, ec.ECDSA(digest))


@pytest.mark.parametrize(("r", "s"), [(1, 1), (2**255, 2**256 - 1), (255, 2**8)])
def test_numbers_are_padded_to_their_size(r: int, s: int) -> None:
    """A short one is padded in front; the octet that DER puts before a high first bit is dropped."""
    bare = jose_signature(encode_dss_signature(r, s), "ES256")

    assert bare == r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize("algorithm", [known for known in KEY_ALGORITHMS if not known.startswith("ES")])
def test_other_signatures_stay_as_they_are(algorithm: str) -> None:
    """RSA signatures are plain octets in KMS and in JOSE."""
    assert jose_signature(b"signature", algorithm) == b"signature"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"0",
        b"0\x00",
        b"nonsense",
        b"0\x81",
        b"0\x82\x00\x06\x02\x01\x01\x02\x01\x01",
        b"0\x06\x02\x01\x01\x02\x02\x01",
        b"0\x06\x02\x01\x01\x04\x01\x01",
        b"0\x03\x02\x01\x01",
        encode_dss_signature(1, 1) + b"x",
        encode_dss_signature(1, 2**256),
    ],
)
def test_invalid_der_is_not_sent(octets: bytes) -> None:
    """Cut short, overlong, of other types, or of another curve."""
    with pytest.raises(ValueError, match=r"signature|curve"):
        jose_signature(octets, "ES256")

"""Encryption to a public key: what opens it, and which keys are refused."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwe as another
from joserfc.jwk import import_key

from functions.vault.base.fields import Mismatch
from functions.vault.storage import jwe

TEXT = b'{"connections":[{"access_token":"s\xc3\xa9cret"}]}'
RSA_KEY = rsa.generate_private_key(65537, 2048)
LONGEST_PEM = 8192
"""Characters that `export` takes for a key, as its schema says."""

KEYS = {
    "RSA": RSA_KEY,
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
}


def public_pem(key: object) -> str:
    """Return the public half of a key, as `openssl pkey -pubout` writes it."""
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return pem.decode()


def large_pem(bits: int, ends_in: int = 1) -> str:
    """Return an RSA key of so many bits, in no time: it has no private half."""
    numbers = rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) + ends_in)
    return numbers.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: object, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    """Return the private half of a key."""
    pem: bytes = key.private_bytes(Encoding.PEM, form, NoEncryption())  # type: ignore[attr-defined]
    return pem.decode()


@pytest.mark.parametrize("kind", KEYS)
def test_it_opens_with_a_library_that_is_not_ours(kind: str) -> None:
    """In the compact form, by the algorithm that the key is for. Another one does in tests/flows/test_export.py."""
    private, recipient = private_pem(KEYS[kind]), jwe.recipient(public_pem(KEYS[kind]))

    sealed = recipient.encrypt(TEXT)

    header = json.loads(urlsafe_b64decode(sealed.partition(".")[0] + "=="))
    assert (header["alg"], header["enc"]) == ("RSA-OAEP-256" if kind == "RSA" else "ECDH-ES", "A256GCM")
    assert header["cty"] == "json"
    key = import_key(private, "RSA" if kind == "RSA" else "EC")
    assert header["kid"] == recipient.thumbprint == key.thumbprint()
    opened = another.decrypt_compact(sealed, key, algorithms=[header["alg"], "A256GCM"])
    assert opened.plaintext == TEXT


def test_a_thumbprint_is_of_the_whole_number() -> None:
    """RFC 7638, also if the number's text ends in a letter, and has no padding."""
    pem = large_pem(2064, ends_in=23)

    assert jwe.recipient(pem).thumbprint == import_key(pem, "RSA").thumbprint()


def test_nothing_is_used_twice() -> None:
    """The same text is encrypted under another key, with another initialization vector."""
    recipient = jwe.recipient(public_pem(RSA_KEY))

    first, second = (recipient.encrypt(TEXT).split(".") for _ in range(2))

    assert first[0] == second[0]
    assert all(ours != theirs for ours, theirs in zip(first[1:], second[1:], strict=True))


@pytest.mark.parametrize("value", [public_pem(RSA_KEY).ljust(LONGEST_PEM, "\n"), large_pem(16384)])
def test_a_key_may_be_as_large_as_openssl_takes_and_a_field_holds(value: str) -> None:
    """To the last bit, and the last character."""
    assert jwe.recipient(value).encrypt(TEXT).count(".") == 4


@pytest.mark.parametrize(
    "value",
    [
        public_pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - that is what is tried
        public_pem(ec.generate_private_key(ec.SECP256K1())),
        public_pem(ed25519.Ed25519PrivateKey.generate()),
        large_pem(16385),
        public_pem(RSA_KEY).ljust(LONGEST_PEM + 1, "\n"),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\n" + "A" * 9000,
        "s3cret-not-a-key",
        "\ud800",
        7,
    ],
    ids=[
        "weak RSA",
        "another curve",
        "for signatures",
        "larger than OpenSSL takes",
        "longer than a field may be",
        "broken",
        "endless",
        "no key",
        "half a pair",
        "a number",
    ],
)
def test_a_key_that_is_none_or_too_weak_is_refused(value: object) -> None:
    """It is said what was expected, and how to make one; nothing of what came is repeated."""
    with pytest.raises(Mismatch) as refused:
        jwe.recipient(value)

    assert "RSA of 2048 bits or more" in str(refused.value)
    assert "openssl pkey -in export-key.pem -pubout" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        private_pem(RSA_KEY),
        private_pem(RSA_KEY, PrivateFormat.TraditionalOpenSSL),
        private_pem(KEYS["P-256"], PrivateFormat.TraditionalOpenSSL),
        json.dumps(import_key(private_pem(KEYS["P-256"]), "EC").as_dict(private=True)),
    ],
    ids=["PKCS 8", "PKCS 1", "SEC 1", "JWK"],
)
def test_a_private_key_is_refused_and_not_repeated(value: str) -> None:
    """It has been sent to a function: it is no secret any more."""
    with pytest.raises(Mismatch, match="this is a private one") as refused:
        jwe.recipient(value)

    assert "make another pair" in str(refused.value)
    assert value.splitlines()[-2 if "-----" in value else 0] not in str(refused.value)

"""Signing with keys of KMS: signatures that verify, keys that cannot sign, and outages."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from functions.vault.base.errors import ProviderMisconfigured, TemporarilyUnavailable
from functions.vault.storage.aws import ClientOf
from functions.vault.storage.signer import Signer
from tests.unit.services import aws_error
from tools.jwk import jwk_of


def new_key(aws: ClientOf, key_spec: str) -> tuple[str, bytes]:
    """Make a key for signing, and return its ARN and its public half in DER."""
    arn = aws("kms").create_key(KeySpec=key_spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    return arn, aws("kms").get_public_key(KeyId=arn)["PublicKey"]


def test_an_elliptic_curve_key_makes_a_jose_signature(aws: ClientOf) -> None:
    """It is two numbers of 32 octets each. The private key stays in KMS."""
    arn, public = new_key(aws, "ECC_NIST_P256")

    bare = Signer(aws).sign(arn, "ES256", b"header.claims")

    key = load_der_public_key(public)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    der = encode_dss_signature(int.from_bytes(bare[:32], "big"), int.from_bytes(bare[32:], "big"))
    key.verify(der, b"header.claims", ec.ECDSA(hashes.SHA256()))


def test_an_rsa_key_signs(aws: ClientOf) -> None:
    """RS256, for servers that support nothing else. An alias can name the key."""
    arn, public = new_key(aws, "RSA_2048")
    aws("kms").create_alias(AliasName="alias/gatehouse-client-acme", TargetKeyId=arn)

    signature = Signer(aws).sign("alias/gatehouse-client-acme", "RS256", b"header.claims")

    key = load_der_public_key(public)
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, b"header.claims", padding.PKCS1v15(), hashes.SHA256())


def test_an_rsa_key_uses_the_salt_that_jose_requires(aws: ClientOf) -> None:
    """PS256: as many octets as the hash has (RFC 7518 section 3.5)."""
    arn, public = new_key(aws, "RSA_2048")

    signature = Signer(aws).sign(arn, "PS256", b"header.claims")

    key = load_der_public_key(public)
    assert isinstance(key, rsa.RSAPublicKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    key.verify(signature, b"header.claims", pss, hashes.SHA256())


def asked_with(algorithm: str) -> dict[str, Any]:
    """Return the request to KMS for a signature with this algorithm."""
    asked: dict[str, Any] = {}

    class Kms:
        def sign(self, **arguments: Any) -> dict[str, bytes]:
            asked.update(arguments)
            return {"Signature": encode_dss_signature(1, 1)}

    Signer(lambda _service: Kms()).sign("key", algorithm, b"octets")
    return asked


@pytest.mark.parametrize(
    ("algorithm", "aws_name"),
    [
        ("ES256", "ECDSA_SHA_256"),
        ("ES512", "ECDSA_SHA_512"),
        ("PS384", "RSASSA_PSS_SHA_384"),
        ("RS256", "RSASSA_PKCS1_V1_5_SHA_256"),
    ],
)
def test_the_algorithm_has_kmss_own_name(algorithm: str, aws_name: str) -> None:
    """KMS computes the hash itself."""
    assert asked_with(algorithm) == {
        "KeyId": "key",
        "Message": b"octets",
        "MessageType": "RAW",
        "SigningAlgorithm": aws_name,
    }


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [("curve", "RS256"), ("curve", "ES384"), ("seals", "ES256"), ("nobody", "ES256")],
)
def test_a_key_that_cannot_sign_is_a_mistake_in_the_registration(aws: ClientOf, key: str, algorithm: str) -> None:
    """It may be another kind of key, a key for encryption, or no key at all."""
    arns = {
        "curve": new_key(aws, "ECC_NIST_P256")[0],
        "seals": aws("kms").create_key()["KeyMetadata"]["Arn"],
        "nobody": "alias/nobody",
    }

    with pytest.raises(ProviderMisconfigured, match="check that client_signing_key exists"):
        Signer(aws).sign(arns[key], algorithm, b"octets")


class Refusing:
    """A KMS that refuses."""

    def __init__(self, code: str) -> None:
        self._code = code

    def sign(self, **_arguments: Any) -> Any:
        """Refuse."""
        raise aws_error(self._code, "Sign")


@pytest.mark.parametrize("code", ["ThrottlingException", "KMSInternalException"])
def test_an_outage_of_kms_is_temporary(code: str) -> None:
    """Nothing was sent, and the caller may try again."""
    with pytest.raises(TemporarilyUnavailable):
        Signer(lambda _service: Refusing(code)).sign("key", "ES256", b"octets")


def test_a_key_without_the_alias_is_reported() -> None:
    """IAM refuses it, and the operator can grant it with an alias."""
    with pytest.raises(ProviderMisconfigured, match="an alias that Gatehouse may use"):
        Signer(lambda _service: Refusing("AccessDeniedException")).sign("key", "ES256", b"octets")


def test_any_other_error_of_kms_is_a_defect() -> None:
    """It is raised as it is."""
    with pytest.raises(Exception, match="Surprise"):
        Signer(lambda _service: Refusing("Surprise")).sign("key", "ES256", b"octets")


def number(encoded: str) -> int:
    """Return the number in a JWK."""
    return int.from_bytes(urlsafe_b64decode(encoded + "=="), "big")


@pytest.mark.parametrize("key_spec", ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"])
def test_an_elliptic_curve_key_becomes_a_jwk(aws: ClientOf, key_spec: str) -> None:
    """RFC 7518 section 6.2: it is the key that signs."""
    _, public = new_key(aws, key_spec)

    jwk = jwk_of(public)

    key = load_der_public_key(public)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert (number(jwk["x"]), number(jwk["y"])) == (key.public_numbers().x, key.public_numbers().y)
    assert (jwk["kty"], jwk["crv"]) == ("EC", key_spec.replace("ECC_NIST_P", "P-"))


def test_a_jwk_is_named_by_its_thumbprint() -> None:
    """The example of RFC 7638 section 3.1, key and thumbprint."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    key = rsa.RSAPublicNumbers(65537, number(modulus)).public_key()

    jwk = jwk_of(der(key))

    thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert jwk == {"e": "AQAB", "kty": "RSA", "n": modulus, "kid": thumbprint}
    assert json.dumps(jwk)


def test_a_key_of_another_kind_is_refused() -> None:
    """No server accepts it for client assertions."""
    with pytest.raises(ValueError, match="P-256"):
        jwk_of(der(ec.generate_private_key(ec.SECP256K1()).public_key()))


def der(key: Any) -> bytes:
    """Return a public key in the form that KMS returns."""
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

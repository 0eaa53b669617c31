"""Encryption to somebody else's public key: compact JWE (RFC 7516) with A256GCM.

The kind of the key decides whether it is with RSA-OAEP-256 or with ECDH-ES (RFC 7518 section 4). What is made here
opens with any JOSE library, and with none of ours.
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from functions.vault.base.fields import Mismatch
from functions.vault.base.record import record

if TYPE_CHECKING:
    from typing import Any

_ENC = "A256GCM"
_LEAST_BITS, _MOST_BITS = 2048, 16384
_LONGEST_PEM = 8192
_CURVES = {"secp256r1": ("P-256", 32), "secp384r1": ("P-384", 48), "secp521r1": ("P-521", 66)}
"""The curves of RFC 7518 section 6.2.1.1: name there, and bytes of a coordinate."""

_EXPECTED = (
    f"a public key in PEM: RSA of {_LEAST_BITS} bits or more, or of the curve P-256, P-384 or P-521. Make one with: "
    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out export-key.pem && "
    "openssl pkey -in export-key.pem -pubout"
)
_IS_PRIVATE = (
    "the public key, and this is a private one. It has left its machine: do not use it any more, and make another pair"
)


@record
class Recipient:
    """Who can open what is encrypted: the holder of the private key to this public one.

    `thumbprint` says which that is (RFC 7638); it is no secret.
    """

    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    thumbprint: str

    def encrypt(self, plaintext: bytes) -> str:
        """Return a JWE that the recipient alone can open."""
        header: dict[str, Any] = {"enc": _ENC, "cty": "json", "kid": self.thumbprint}
        if isinstance(self.key, rsa.RSAPublicKey):
            header["alg"] = "RSA-OAEP-256"
            secret = os.urandom(32)
            # RFC 7518 section 4.3: both hashes are SHA-256.
            wrapped = self.key.encrypt(secret, padding.OAEP(padding.MGF1(SHA256()), SHA256(), None))
        else:
            header["alg"] = "ECDH-ES"
            ephemeral = ec.generate_private_key(self.key.curve)
            header["epk"] = _jwk_of(ephemeral.public_key())
            secret, wrapped = _agreed(ephemeral.exchange(ec.ECDH(), self.key)), b""
        protected, iv = _encoded(json.dumps(header, separators=(",", ":")).encode()), os.urandom(12)
        sealed = AESGCM(secret).encrypt(iv, plaintext, protected.encode())
        return ".".join((protected, *map(_encoded, (wrapped, iv, sealed[:-16], sealed[-16:]))))


def recipient(value: Any) -> Recipient:
    """Accept a public key in PEM that is strong enough. A check of a field: nothing of a value is repeated."""
    if not isinstance(value, str) or len(value) > _LONGEST_PEM:
        raise Mismatch(_EXPECTED)
    if "PRIVATE KEY-----" in value or '"d"' in value:
        raise Mismatch(_IS_PRIVATE)
    try:
        key = load_pem_public_key(value.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Mismatch(_EXPECTED) from None
    is_strong = (isinstance(key, rsa.RSAPublicKey) and _LEAST_BITS <= key.key_size <= _MOST_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    )
    if not is_strong or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise Mismatch(_EXPECTED)
    # RFC 7638 section 3: the required members alone, in alphabetical order, without blanks.
    canonical = json.dumps(_jwk_of(key), sort_keys=True, separators=(",", ":"))
    return Recipient(key, _encoded(sha256(canonical.encode()).digest()))


def _jwk_of(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return the required members of a public key as a JWK (RFC 7518 section 6)."""
    if isinstance(key, rsa.RSAPublicKey):
        public = key.public_numbers()
        return {"kty": "RSA", "n": _number(public.n), "e": _number(public.e)}
    crv, size = _CURVES[key.curve.name]
    numbers = key.public_numbers()
    return {"kty": "EC", "crv": crv, "x": _number(numbers.x, size), "y": _number(numbers.y, size)}


def _agreed(shared: bytes) -> bytes:
    """Return the key that both sides derive from a shared secret (RFC 7518 section 4.6.2)."""
    parts = (_ENC.encode(), b"", b"")
    about = b"".join(len(each).to_bytes(4) + each for each in parts) + (256).to_bytes(4)
    return ConcatKDFHash(SHA256(), 32, about).derive(shared)


def _number(value: int, size: int | None = None) -> str:
    """Return a number in as many bytes, or in as few as it has (RFC 7518 sections 6.2.1.2 and 2)."""
    return _encoded(value.to_bytes(size or (value.bit_length() + 7) // 8))


def _encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()

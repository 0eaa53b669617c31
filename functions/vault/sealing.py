"""The sealed form of a token set. Pure: the data key comes from elsewhere (`cipher`).

    version (1 byte, 0x01) | length of wrapped key (2, big endian) | wrapped key | salt (32) | commitment (32)
    | nonce (12) | AES-256-GCM ciphertext and tag

HKDF-SHA-512 over the data key and the salt gives the encryption key and the commitment. AES-GCM alone is not
key-committing: two keys can open one ciphertext to two texts; the commitment is checked first, so only one key opens
anything. Everything before the ciphertext, and the context (connection, provider, version), is authenticated as
associated data.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = b"\x01"
_LENGTHS, _SALT, _COMMITMENT, _NONCE, _TAG = 3, 32, 32, 12, 16

Context = Mapping[str, str]


class SealBroken(Exception):
    """The ciphertext was not sealed for this connection, provider and version, or was changed since."""


def context_of(connection_id: str, provider: str, version: int) -> dict[str, str]:
    """Return the encryption context of one token set, for KMS and for the seal alike."""
    return {
        "purpose": "gatehouse/tokens",
        "connection_id": connection_id,
        "provider": provider,
        "version": str(version),
    }


def seal(
    plaintext: bytes,
    context: Context,
    data_key: bytes,
    wrapped_key: bytes,
    *,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """Return `plaintext` sealed under `data_key` (32 bytes), which is fresh and used for nothing else."""
    salt, nonce = random(_SALT), random(_NONCE)
    key, commitment = _derive(data_key, salt)
    header = FORMAT + len(wrapped_key).to_bytes(2, "big") + wrapped_key + salt + commitment + nonce
    return header + AESGCM(key).encrypt(nonce, plaintext, _associated_data(header, context))


def wrapped_key_of(sealed: bytes) -> bytes:
    """Return the wrapped data key in a sealed text; raises `SealBroken` where its form is not ours."""
    return _parts(sealed)[0]


def unseal(sealed: bytes, context: Context, data_key: bytes) -> bytes:
    """Return the plaintext, if `sealed` was sealed with this key for this context; else raise `SealBroken`."""
    wrapped_key, salt, commitment, nonce = _parts(sealed)
    key, expected = _derive(data_key, salt)
    if not hmac.compare_digest(commitment, expected):
        raise SealBroken("The data key is not the one that this was sealed with.")
    header = sealed[: _LENGTHS + len(wrapped_key) + _SALT + _COMMITMENT + _NONCE]
    try:
        return AESGCM(key).decrypt(nonce, sealed[len(header) :], _associated_data(header, context))
    except InvalidTag:
        raise SealBroken("The ciphertext was changed, or belongs to another connection, provider or version.") from None


def _derive(data_key: bytes, salt: bytes) -> tuple[bytes, bytes]:
    derived = HKDF(algorithm=SHA512(), length=64, salt=salt, info=b"gatehouse sealed token set v1").derive(data_key)
    return derived[:32], derived[32:]


def _parts(sealed: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    if sealed[:1] != FORMAT or len(sealed) < _LENGTHS:
        raise SealBroken("The sealed text has a format that this version of Gatehouse does not know.")
    end = _LENGTHS + int.from_bytes(sealed[1:_LENGTHS], "big")
    if len(sealed) < end + _SALT + _COMMITMENT + _NONCE + _TAG:
        raise SealBroken("The sealed text is shorter than its format.")
    salt, commitment = end + _SALT, end + _SALT + _COMMITMENT
    return sealed[_LENGTHS:end], sealed[end:salt], sealed[salt:commitment], sealed[commitment : commitment + _NONCE]


def _associated_data(header: bytes, context: Context) -> bytes:
    return header + json.dumps(dict(context), sort_keys=True, separators=(",", ":")).encode()

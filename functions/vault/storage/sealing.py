"""The sealed form of a token set. This module does no I/O: `cipher` gets the data keys.

    format (1 byte, 0x02) | length of wrapped key (2, big endian) | wrapped key | salt (32) | commitment (32)
    | nonce (12) | AES-256-GCM ciphertext and tag

HKDF-SHA-512 over the data key and the salt, with the info "gatehouse sealed token set v2", gives the encryption key
(32) and the commitment. AES-GCM alone is not key-committing: two keys can open one ciphertext to two texts; the
commitment is checked first, so only one key opens anything. The associated data is everything before the ciphertext,
followed by the context as JSON with sorted keys, without blanks and in ASCII:

    {"connection_id", "key", "provider", "purpose", "set", "version",
     "whose": {"client_id", "issuer", "origins": {...}, "parameters": {...}, "provider"}}

`key` is the name of the KMS key, `set` the id of the token set, `version` a string. `purpose` is `gatehouse/tokens`, or
`gatehouse/pending` for tokens that wait for a confirmation. The encryption context for KMS is `purpose`,
`connection_id`, `provider` and `version`.

Format 1 (0x01, "... v1") has only those four in its associated data. It still opens, but nothing is sealed in it.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from functions.vault.grant.seal import TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.grant.seal import Whose

FORMATS = (1, 2)
"""The formats that open. Token sets are sealed in the last one."""

_LENGTHS, _SALT, _COMMITMENT, _NONCE, _TAG = 3, 32, 32, 12, 16

Context = Mapping[str, Any]


class SealBroken(Exception):
    """The ciphertext was not sealed for this connection, provider, version and token set, or it has been changed."""


def context_of(connection_id: str, provider: str, version: int, purpose: str = TOKENS) -> dict[str, str]:
    """Return the encryption context of a token set for KMS. Format 1 binds the token set to nothing else."""
    return {"purpose": purpose, "connection_id": connection_id, "provider": provider, "version": str(version)}


def whole_context_of(context: Mapping[str, str], set_id: str, whose: Whose, key: str) -> Context:
    """Return everything that format 2 binds a token set to: `context`, its id, whose it is, and the KMS key."""
    owned_by = {
        "provider": whose.provider,
        "client_id": whose.client_id,
        "parameters": whose.parameters,
        "issuer": whose.issuer,
        "origins": whose.origins,
    }
    return {**context, "set": set_id, "whose": owned_by, "key": key}


def seal(  # noqa: PLR0913 - what is sealed, for where and with what; a test passes the rest
    plaintext: bytes,
    context: Context,
    data_key: bytes,
    wrapped_key: bytes,
    *,
    made_as: int = FORMATS[-1],
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """Return `plaintext` sealed under `data_key` (32 bytes), which must be new and used for nothing else."""
    salt, nonce = random(_SALT), random(_NONCE)
    key, commitment = _derive(data_key, salt, made_as)
    header = bytes([made_as]) + len(wrapped_key).to_bytes(2, "big") + wrapped_key + salt + commitment + nonce
    return header + AESGCM(key).encrypt(nonce, plaintext, _associated_data(header, context))


def wrapped_key_of(sealed: bytes) -> bytes:
    """Return the wrapped data key of a sealed token set; raise `SealBroken` if it is not in a known format."""
    return _parts(sealed)[0]


def unseal(sealed: bytes, context: Context, data_key: bytes) -> bytes:
    """Return the plaintext if `sealed` was sealed with this key for this context; else raise `SealBroken`."""
    wrapped_key, salt, commitment, nonce = _parts(sealed)
    key, expected = _derive(data_key, salt, sealed[0])
    if not hmac.compare_digest(commitment, expected):
        raise SealBroken("The data key is not the one that this was sealed with.")
    header = sealed[: _LENGTHS + len(wrapped_key) + _SALT + _COMMITMENT + _NONCE]
    try:
        return AESGCM(key).decrypt(nonce, sealed[len(header) :], _associated_data(header, context))
    except InvalidTag:
        raise SealBroken(
            "The ciphertext was changed, or belongs to another connection, provider, version or token set."
        ) from None


def in_bytes(context: Context) -> bytes:
    """Return the octets of a context in the associated data."""
    return json.dumps(dict(context), sort_keys=True, separators=(",", ":")).encode()


def _derive(data_key: bytes, salt: bytes, made_as: int) -> tuple[bytes, bytes]:
    info = b"gatehouse sealed token set v%d" % made_as
    derived = HKDF(algorithm=SHA512(), length=64, salt=salt, info=info).derive(data_key)
    return derived[:32], derived[32:]


def _parts(sealed: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    if len(sealed) < _LENGTHS or sealed[0] not in FORMATS:
        raise SealBroken("The sealed text has a format that this version of Gatehouse does not know.")
    end = _LENGTHS + int.from_bytes(sealed[1:_LENGTHS], "big")
    if len(sealed) < end + _SALT + _COMMITMENT + _NONCE + _TAG:
        raise SealBroken("The sealed text is shorter than its format.")
    salt, commitment = end + _SALT, end + _SALT + _COMMITMENT
    return sealed[_LENGTHS:end], sealed[end:salt], sealed[salt:commitment], sealed[commitment : commitment + _NONCE]


def _associated_data(header: bytes, context: Context) -> bytes:
    return header + in_bytes(context)

"""Sealing with KMS: one data key for each written token set, bound to its connection, provider and version."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING

from . import sealing
from .aws import ClientError, code_of, outages_are_temporary
from .sealing import SealBroken
from .stored_set import Seal, Sealer
from .token_set import TokenSet

if TYPE_CHECKING:
    from .aws import ClientOf
    from .connection import Connection
    from .stored_set import StoredSet, Whose
    from .tokens import SealedTokens

_KEPT = 256
"""Opened token sets kept in memory, the latest used ones."""


class Cipher:
    """Seals and opens token sets under the KMS key `key_id`. What was opened stays in memory, by its ciphertext."""

    def __init__(self, client_of: ClientOf, key_id: str) -> None:
        self._client_of = client_of
        self._key_id = key_id
        self._opened: OrderedDict[bytes, TokenSet] = OrderedDict()
        self._lock = Lock()

    def prepare(self, connection_id: str, version: int, whose: Whose, set_id: str | None = None) -> Sealer:
        """Return what seals one token set, as this version of this connection. One `GenerateDataKey`.

        It is asked for before the authorization server is: once an answer is here, sealing it depends on nobody. A
        token set that is sealed again keeps its id.
        """
        context = sealing.context_of(connection_id, whose.provider, version)
        with outages_are_temporary("KMS"):
            key = self._client_of("kms").generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=context
            )

        def seal(tokens: TokenSet) -> Seal:
            sealed = sealing.seal(tokens.to_bytes(), context, key["Plaintext"], key["CiphertextBlob"])
            self._keep(_cache_key(sealed, context), tokens)
            return Seal(sealed, 1, version)

        return Sealer(set_id or secrets.token_hex(8), whose, seal)

    def open(self, connection_id: str, held: StoredSet | SealedTokens) -> TokenSet:
        """Return a sealed token set. At most one `Decrypt`; none for one that is in memory.

        Raises `SealBroken` where the ciphertext is not this connection's and this token set's.
        """
        sealed = held.seal.ciphertext
        context = sealing.context_of(connection_id, held.whose.provider, held.seal.version)
        cached = self._kept(_cache_key(sealed, context))
        if cached is not None:
            return cached
        tokens = TokenSet.from_bytes(sealing.unseal(sealed, context, self._data_key(sealed, context)))
        self._keep(_cache_key(sealed, context), tokens)
        return tokens

    def tokens_of(self, connection: Connection) -> TokenSet:
        """Return the connection's current token set, as `open` does: that of its version, and no other."""
        current = connection.current
        if current is None:
            raise SealBroken("The connection has no current token set.")
        if (current.seal.version, current.whose.provider) != (connection.version, connection.provider):
            raise SealBroken("The current token set is of another version or provider than the connection.")
        return self.open(connection.connection_id, current)

    def _data_key(self, sealed: bytes, context: sealing.Context) -> bytes:
        try:
            with outages_are_temporary("KMS"):
                answer = self._client_of("kms").decrypt(
                    CiphertextBlob=sealing.wrapped_key_of(sealed), KeyId=self._key_id, EncryptionContext=context
                )
        except ClientError as error:
            if code_of(error) in {"InvalidCiphertextException", "IncorrectKeyException"}:
                raise SealBroken("KMS does not open the data key for this connection, provider and version.") from None
            raise
        key: bytes = answer["Plaintext"]
        return key

    def _kept(self, key: bytes) -> TokenSet | None:
        with self._lock:
            if key in self._opened:
                self._opened.move_to_end(key)
            return self._opened.get(key)

    def _keep(self, key: bytes, tokens: TokenSet) -> None:
        with self._lock:
            self._opened[key] = tokens
            if len(self._opened) > _KEPT:
                self._opened.popitem(last=False)


def _cache_key(sealed: bytes, context: sealing.Context) -> bytes:
    """Return the hash of ciphertext and context: a moved or replaced record never meets another's opened tokens."""
    return sha256(repr(sorted(context.items())).encode() + sealed).digest()

"""Sealing with KMS: one data key for each token set that is stored, bound to its connection, provider and version."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from functions.vault.grant.life import Place
from functions.vault.grant.seal import PENDING, TOKENS, Seal, Sealer
from functions.vault.grant.stored_set import StoredSet
from functions.vault.grant.token_set import TokenSet

from . import sealing
from .aws import ClientError, code_of, outages_are_temporary
from .sealing import SealBroken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from functions.vault.grant.connection import Connection
    from functions.vault.grant.seal import Whose
    from functions.vault.grant.tokens import SealedTokens

    from .aws import ClientOf
    from .opened import Opened


_OF_ANOTHER_KEY = frozenset({"IncorrectKeyException", "AccessDeniedException"})
"""What KMS answers if a data key is not of the key that the request names, or that key is not ours (any more)."""


class Cipher:
    """Seals token sets under the KMS key `key_id`, and opens what that key or `other_key_id` sealed.

    A deployment that changes its key has two for a while. It keeps none in memory, until `keep` is called.
    """

    def __init__(self, client_of: ClientOf, key_id: str, other_key_id: str | None = None) -> None:
        self._client_of = client_of
        self.key_id = key_id
        self._key_ids = (key_id, other_key_id) if other_key_id else (key_id,)
        self._opened: Opened | None = None

    def keep(self, opened: Opened) -> None:
        """Keep there what is opened and sealed from now on, but for what waits: KMS need not be asked for it again."""
        self._opened = opened

    def prepare(
        self, connection_id: str, version: int, whose: Whose, set_id: str | None = None, purpose: str = TOKENS
    ) -> Sealer:
        """Return a sealer for one token set, as this version of this connection. One `GenerateDataKey`.

        Callers prepare before they ask the authorization server: sealing its answer then depends on nothing outside
        this process. With `set_id`, a token set that is sealed again keeps its id.
        """
        context = sealing.context_of(connection_id, whose.provider, version, purpose)
        set_id = set_id or secrets.token_hex(8)
        whole = sealing.whole_context_of(context, set_id, whose, self.key_id)
        with outages_are_temporary("KMS"):
            key = self._client_of("kms").generate_data_key(
                KeyId=self.key_id, KeySpec="AES_256", EncryptionContext=context
            )

        def seal(tokens: TokenSet) -> Seal:
            sealed = sealing.seal(tokens.to_bytes(), whole, key["Plaintext"], key["CiphertextBlob"])
            if purpose == TOKENS and self._opened is not None:
                self._opened.keep(_cache_key(sealed, whole), tokens)
            return Seal(sealed, sealing.FORMATS[-1], version, self.key_id)

        return Sealer(set_id, whose, seal)

    def open(self, connection_id: str, held: StoredSet | SealedTokens, purpose: str = TOKENS) -> TokenSet:
        """Return the tokens of a sealed token set. One `Decrypt`, or none if they are in memory.

        Raises `SealBroken` if the ciphertext belongs to another connection or token set, or was sealed for another
        purpose: pending tokens open in the places `pending` and `revoking` only. `purpose` is for sealed tokens that
        are in no record yet.
        """
        seal = held.seal
        if isinstance(held, StoredSet):
            purpose = PENDING if _was_pending(held) else TOKENS
        context = sealing.context_of(connection_id, held.whose.provider, seal.version, purpose)
        whole: sealing.Context = context
        if seal.format not in sealing.FORMATS or seal.ciphertext[:1] != seal.format.to_bytes():
            raise SealBroken("The record and the ciphertext name different formats.")
        key_ids = self._key_ids
        if seal.format > 1:
            key_ids = (self._key_that_opens(seal.key),)
            whole = sealing.whole_context_of(context, held.id, held.whose, key_ids[0])
        if self._opened is None:
            return self._opened_by_kms(seal.ciphertext, context, whole, key_ids)
        cache_key = _cache_key(seal.ciphertext, whole)
        kept = self._opened.get(cache_key)
        if kept is not None:
            return kept
        tokens = self._opened_by_kms(seal.ciphertext, context, whole, key_ids)
        if purpose == TOKENS:
            self._opened.keep(cache_key, tokens)
        return tokens

    def is_sealed_now(self, seal: Seal) -> bool:
        """Return whether a token set is sealed as it would be today: under the key that seals, in the last format."""
        return (seal.key, seal.format) == (self.key_id, sealing.FORMATS[-1])

    def seal_again(self, connection_id: str, held: StoredSet) -> StoredSet:
        """Return a token set as it is sealed today, with its id and its version: one `Decrypt`, one `GenerateDataKey`.

        Raises `SealBroken` if it does not open.
        """
        tokens = self.open(connection_id, held)
        sealer = self.prepare(connection_id, held.seal.version, held.whose, held.id)
        return replace(held, seal=sealer.seal(tokens))

    def _opened_by_kms(
        self, sealed: bytes, context: Mapping[str, str], whole: sealing.Context, key_ids: Sequence[str]
    ) -> TokenSet:
        data_key = self._data_key(sealed, context, key_ids)
        return TokenSet.from_bytes(sealing.unseal(sealed, whole, data_key))

    def _key_that_opens(self, key: str | None) -> str:
        """Return the name of the key that sealed a token set; raise `SealBroken` if it is not known here."""
        if key is None or key not in self._key_ids:
            raise SealBroken(f"The token set is sealed under the KMS key {key}, and this deployment has another.")
        return key

    def tokens_of(self, connection: Connection) -> TokenSet:
        """Return the tokens of the current token set, as `open` does. Its version has to be the connection's."""
        current = connection.current
        if current is None:
            raise SealBroken("The connection has no current token set.")
        if (current.seal.version, current.whose.provider) != (connection.version, connection.provider):
            raise SealBroken("The current token set is of another version or provider than the connection.")
        return self.open(connection.connection_id, current)

    def _data_key(self, sealed: bytes, context: Mapping[str, str], key_ids: Sequence[str]) -> bytes:
        """Return the data key of a ciphertext. In format 1 nothing says which key sealed it: each is tried."""
        *others, last = key_ids
        try:
            for key_id in others:
                with _another_key_may_open():
                    return self._decrypt(sealed, context, key_id)
            return self._decrypt(sealed, context, last)
        except ClientError as error:
            if code_of(error) in {"InvalidCiphertextException", "IncorrectKeyException"}:
                raise SealBroken("KMS does not open the data key for this connection, provider and version.") from None
            raise

    def _decrypt(self, sealed: bytes, context: Mapping[str, str], key_id: str) -> bytes:
        with outages_are_temporary("KMS"):
            answer = self._client_of("kms").decrypt(
                CiphertextBlob=sealing.wrapped_key_of(sealed), KeyId=key_id, EncryptionContext=context
            )
        key: bytes = answer["Plaintext"]
        return key


@contextmanager
def _another_key_may_open() -> Iterator[None]:
    """Go on if KMS says that the data key is of another key than the one that was tried."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in _OF_ANOTHER_KEY:
            raise


def _was_pending(held: StoredSet) -> bool:
    return held.place is Place.PENDING or (held.place is Place.REVOKING and held.pending is not None)


def _cache_key(sealed: bytes, context: sealing.Context) -> bytes:
    """Return a hash of ciphertext and context: a record that was moved or replaced never finds another's tokens."""
    return sha256(sealing.in_bytes(context) + sealed).digest()

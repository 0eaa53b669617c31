"""The rescue: storing a token response whose first write failed, from the queue or from a line of the log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import InvalidRequest
from functions.vault.base.record import record
from functions.vault.grant import obtained_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.base.timing import Deadline
    from functions.vault.grant.tokens import SealedTokens
    from functions.vault.storage.cipher import Cipher

    from .committing import Committing


@record
class Rescuing:
    """The use case `rescue`."""

    cipher: Cipher
    committing: Committing

    def rescue(self, document: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        """Store the response that a document holds, by the same rules and conditions as the first time."""
        try:
            obtained = obtained_document.from_document(document)
        except ValueError as error:
            raise InvalidRequest(f"The document is {error}.") from None

        def reseal(version: int, purpose: str) -> SealedTokens:
            held = obtained.tokens
            tokens = self.cipher.open(obtained.connection_id, held, obtained.purpose)
            sealer = self.cipher.prepare(obtained.connection_id, version, held.whose, held.id, purpose)
            return replace(held, seal=sealer.seal(tokens))

        connection = self.committing.settle(obtained, reseal, deadline)
        return {
            "connection_id": connection.connection_id,
            "status": str(connection.status),
            "version": connection.version,
        }

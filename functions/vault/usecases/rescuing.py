"""The rescue: storing a token response whose first write failed, from the queue or from a line of the log."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import InvalidRequest
from functions.vault.base.record import record
from functions.vault.grant import obtained_document
from functions.vault.storage.sealing import SealBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.base.timing import Deadline
    from functions.vault.grant.obtained import Obtained
    from functions.vault.grant.token_set import TokenSet
    from functions.vault.grant.tokens import SealedTokens
    from functions.vault.storage.cipher import Cipher

    from .committing import Committing


@record
class Rescuing:
    """The use case `rescue`."""

    cipher: Cipher
    committing: Committing

    def rescue(self, document: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        """Store the response that a document holds, by the same rules and conditions as the first time.

        It is opened before that: one that does not open would take the place of tokens that do.
        """
        try:
            obtained = obtained_document.from_document(document)
        except ValueError as error:
            raise InvalidRequest(f"The document is {error}.") from None
        tokens = self.committing.once_aws_answers(lambda: self._opened(obtained), deadline)

        def reseal(version: int, purpose: str) -> SealedTokens:
            held = obtained.tokens
            sealer = self.cipher.prepare(obtained.connection_id, version, held.whose, held.id, purpose)
            return replace(held, seal=sealer.seal(tokens))

        connection = self.committing.settle(obtained, reseal, deadline)
        return {
            "connection_id": connection.connection_id,
            "status": str(connection.status),
            "version": connection.version,
        }

    def _opened(self, obtained: Obtained) -> TokenSet:
        held = obtained.tokens
        try:
            return self.cipher.open(obtained.connection_id, held, obtained.purpose)
        except SealBroken as broken:
            # Either the document was changed on its way, or this deployment lacks the key: an alarm is to fire.
            facts = {"provider": held.whose.provider, "version": held.seal.version, "description": str(broken)}
            logging.getLogger("gatehouse").error(  # noqa: TRY400 - the place says nothing, and it is no defect
                "a token response does not open", extra={"connection_id": obtained.connection_id, **facts}
            )
            raise InvalidRequest(
                "tokens: expected a token response that opens as sealed for the connection, provider, version and "
                f"token set that the document names; this one does not: {broken}",
                connection_id=obtained.connection_id,
            ) from None

"""Background work on one connection, unless its provider is left alone: one that hangs takes nobody else's turn.

After two pieces of background work in a row to which a server gave no answer, or one of its own trouble (5xx), it gets
no more of it for a minute, and longer with each further one. What a message asked for then is due again within the
hour, as the sweep has written. Who calls is served as always.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from functions.vault.base.errors import ProviderUnavailable, TemporarilyUnavailable, UnknownRefusal
from functions.vault.base.record import record
from functions.vault.storage.shared import Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.errors import GatehouseError
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.shared import Shared

    from .revoking import Revoking
    from .vending import Vending

LONGEST_PAUSE = 900.0
"""Seconds for which a server that fails gets no background work, at the most."""

_FIRST_PAUSE = 60.0
_SERVER_ERRORS = 500


@record
class Background:
    """What the queues of refreshes and revocations are worked off by."""

    connections: Connections
    shared: Shared
    vending: Vending
    revoking: Revoking
    timing: Timing

    def keep(self, connection_id: str, version: int, provider: str | None, deadline: Deadline) -> GatehouseError | None:
        """Refresh what is still at `version`; return the failure, as `Vending.keep` does."""

        def work() -> GatehouseError | None:
            return self.vending.keep(connection_id, version, deadline)

        return self._unless_left_alone(connection_id, provider, deadline, work)

    def retry(self, connection_id: str, provider: str | None, deadline: Deadline) -> GatehouseError | None:
        """Try to revoke once more; return the failure, as `Revoking.retry` does."""

        def work() -> GatehouseError | None:
            return self.revoking.retry(connection_id, deadline)

        def instead() -> None:
            self.revoking.put_off(connection_id)

        return self._unless_left_alone(connection_id, provider, deadline, work, instead)

    def _unless_left_alone(
        self,
        connection_id: str,
        provider: str | None,
        deadline: Deadline,
        work: Callable[[], GatehouseError | None],
        instead: Callable[[], None] = lambda: None,
    ) -> GatehouseError | None:
        if provider is None:
            return work()  # a message of before
        began, standing = self.timing.now(), self._standing(provider)
        if began < standing.alone_until:
            instead()
            return ProviderUnavailable(
                "The authorization server is left alone: it did not answer other work in the background.",
                connection_id=connection_id,
                retry_after=math.ceil(standing.alone_until - began),
            )
        failure = work()
        if failure is None and standing.failures:
            self.shared.note_answers(provider, deadline)
        if failure is not None and self._is_trouble(failure, connection_id, began):
            self.shared.note_trouble(provider, self._after_another(standing), deadline)
        return failure

    def _standing(self, provider: str) -> Standing:
        try:
            return self.shared.standing(provider)
        except TemporarilyUnavailable:
            return Standing()

    def _after_another(self, before: Standing) -> Standing:
        """Return how a provider stands after another failure. A single one may be that connection's alone."""
        failures = before.failures + 1
        pause = 0.0 if failures == 1 else min(_FIRST_PAUSE * 2 ** min(failures - 2, 10), LONGEST_PAUSE)
        return Standing(before.at_once, failures, int(self.timing.now() + pause))

    def _is_trouble(self, failure: GatehouseError, connection_id: str, began: float) -> bool:
        """Tell whether the server has just failed to answer, or answered with its own trouble.

        What a connection remembers of an earlier failure was noted then.
        """
        if not isinstance(failure, ProviderUnavailable) or isinstance(failure, UnknownRefusal):
            return False
        status = failure.provider_error.status if failure.provider_error else None
        if status is not None and status < _SERVER_ERRORS:
            return False
        stored = self.connections.get(connection_id)
        return stored is None or all(at >= int(began) for at in _failed_at(stored))


def _failed_at(connection: Connection) -> list[int]:
    """Return when what is still to be done of a connection has failed last."""
    failures = [connection.failure, *(each.revocation.failure for each in connection.to_revoke if each.revocation)]
    return [failure.at for failure in failures if failure is not None]

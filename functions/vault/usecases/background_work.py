"""Background work on one connection, behind a circuit breaker for its provider: one that hangs delays no other.

After two failures in a row (no answer, or a 5xx), a server gets no background work for a minute, and longer with each
further failure. What a message asked for meanwhile is due again within the hour, as the sweep has written. Callers are
served as always.
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
"""The most seconds for which a server that fails gets no background work."""

_FIRST_PAUSE = 60.0
_SERVER_ERRORS = 500


@record
class BackgroundWork:
    """Does what the messages of the refresh and the revocation queue ask for."""

    connections: Connections
    shared: Shared
    vending: Vending
    revoking: Revoking
    timing: Timing

    def refresh_due(
        self, connection_id: str, version: int, provider: str | None, deadline: Deadline, *, ask_now: bool = False
    ) -> GatehouseError | None:
        """Refresh a connection that is still at `version`; return the failure, as `Vending.refresh_due` does.

        `ask_now`: an operator wants the server asked, although it is left alone.
        """

        def work() -> GatehouseError | None:
            return self.vending.refresh_due(connection_id, version, deadline, ask_now=ask_now)

        return self._unless_paused(connection_id, provider, deadline, work, ask_now=ask_now)

    def retry_revocation(
        self, connection_id: str, provider: str | None, deadline: Deadline, *, ask_now: bool = False
    ) -> GatehouseError | None:
        """Try to revoke once more; return the failure, as `Revoking.retry` does. `ask_now` is as in `refresh_due`."""

        def work() -> GatehouseError | None:
            return self.revoking.retry(connection_id, deadline)

        def instead() -> None:
            self.revoking.put_off(connection_id)

        return self._unless_paused(connection_id, provider, deadline, work, instead, ask_now=ask_now)

    def _unless_paused(  # noqa: PLR0913 - whose work, what it is, and what is done in its place
        self,
        connection_id: str,
        provider: str | None,
        deadline: Deadline,
        work: Callable[[], GatehouseError | None],
        instead: Callable[[], None] = lambda: None,
        *,
        ask_now: bool,
    ) -> GatehouseError | None:
        if provider is None:
            return work()  # a message of an earlier release
        began, standing = self.timing.now(), self._standing(provider)
        if began < standing.alone_until and not ask_now:
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
        """Return how a provider stands after another failure. The first may be one connection's own: no pause yet."""
        failures = before.failures + 1
        pause = 0.0 if failures == 1 else min(_FIRST_PAUSE * 2 ** min(failures - 2, 10), LONGEST_PAUSE)
        now = self.timing.now()
        return Standing(before.at_once, failures, int(now + pause), int(now))

    def _is_trouble(self, failure: GatehouseError, connection_id: str, began: float) -> bool:
        """Return whether the server has just failed: it gave no answer, or a 5xx.

        A failure that the connection only remembers was counted when it happened.
        """
        if not isinstance(failure, ProviderUnavailable) or isinstance(failure, UnknownRefusal):
            return False
        status = failure.provider_error.status if failure.provider_error else None
        if status is not None and status < _SERVER_ERRORS:
            return False
        stored = self.connections.get(connection_id)
        return stored is None or all(at >= int(began) for at in _failed_at(stored))


def _failed_at(connection: Connection) -> list[int]:
    """Return when the work that is left on a connection last failed."""
    failures = [connection.failure, *(each.revocation.failure for each in connection.to_revoke if each.revocation)]
    return [failure.at for failure in failures if failure is not None]

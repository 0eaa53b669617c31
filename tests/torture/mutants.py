"""Gatehouse with one safeguard broken at a time: a proof that does not notice proves nothing.

Each mutant is a broken collaborator, passed in where the sound one goes. `MUTANTS` says what each has lost.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from functions.vault.committing import Committing
from functions.vault.connection import Status
from functions.vault.errors import TemporarilyUnavailable
from functions.vault.obtained import Obtained, Verdict
from functions.vault.revoking import Revoking
from functions.vault.store import Authorizations, Conflict, Connections
from functions.vault.vending import Vending
from tests.torture.world import Parts

if TYPE_CHECKING:
    from functions.vault.connection import Connection
    from functions.vault.timing import Deadline


def _without(*attributes: str) -> type[Connections]:
    """Return a store whose conditions do not look at some attributes; at none at all where none are named."""

    class Holed(Connections):
        def _call(self, operation: str, **arguments: Any) -> Any:
            if "ConditionExpression" in arguments:
                whole = arguments.pop("ConditionExpression")
                kept = [part for part in whole.split(" AND ") if not any(f"#{name}" in part for name in attributes)]
                if attributes and kept:
                    arguments["ConditionExpression"] = " AND ".join(kept)
            return super()._call(operation, **arguments)

    return Holed


class _ConsumesTwice(Authorizations):
    """Lets a request be consumed again and again."""

    def _call(self, operation: str, **arguments: Any) -> Any:
        if "consumed_by" in arguments.get("ExpressionAttributeNames", {}).values():
            arguments.pop("ConditionExpression", None)
        return super()._call(operation, **arguments)


class _DoesNotReread(Vending):
    """Takes `invalid_grant` for the end, whatever has become of the record meanwhile."""

    def _conclude(self, held: Connection, after: Connection, deadline: Deadline) -> Connection:
        if after.status is not Status.REAUTHORIZATION_REQUIRED:
            return super()._conclude(held, after, deadline)
        while True:
            buried = replace(held, status=after.status, lease=None, failure=after.failure, due_shard=None, due_at=None)
            try:
                self.connections.change(held, buried)
            except Conflict:
                held = self.connections.require(held.connection_id)
            else:
                return buried


class _NoQueue(Committing):
    """Has the record and nothing behind it."""

    def _save(self, obtained: Obtained) -> None:
        """Forget it."""


class _NoLadder(_NoQueue):
    """Writes the record once, and leaves it at that."""

    def _pause(self, deadline: Deadline) -> None:  # noqa: ARG002 - as it is called
        raise TemporarilyUnavailable("The record could not be written.")


@dataclass(frozen=True, slots=True)
class _Pushy(Obtained):
    """Never gives way to what came later."""

    def over(self, stored: Connection | None, now: float) -> Connection | Verdict:
        verdict = Obtained.over(self, stored, now)
        if verdict is not Verdict.SUPERSEDED or stored is None or self.origin is None:
            return verdict
        return (
            Verdict.RESEAL
            if self.version != stored.version + 1
            else stored.refreshed(self.tokens, self.origin, self.holder, now)
        )


class _LateWins(Committing):
    """Stores every answer, however late."""

    def _write(self, latest: list[Obtained], *rest: Any) -> Connection:
        latest[0] = _Pushy(**{entry.name: getattr(latest[0], entry.name) for entry in fields(Obtained)})
        return super()._write(latest, *rest)


class _Uncounted(Revoking):
    """Does not count revocations, so that nothing tells an authorization begun before one from one begun after."""

    def _end_here(self, connection_id: str) -> tuple[Connection, bool]:
        ending, is_first = super()._end_here(connection_id)
        if ending.revocations == 0:
            return ending, is_first
        uncounted = replace(ending, revocations=0)
        self.connections.change(ending, uncounted)
        return uncounted, is_first


class _ForgetsLate(Revoking):
    """Takes its own answer for the end of it, whatever tokens came back meanwhile."""

    def _settle(self, ending: Connection, after: Connection) -> Connection:
        try:
            self.connections.change(ending, after)
        except Conflict:
            stored = self.connections.require(ending.connection_id)
            self.connections.change(stored, stored.revoked(self.timing.now()))
        return after


MUTANTS: dict[str, Parts] = {
    "the fence: no condition on any write": Parts(connections=_without()),
    "the fence: the version": Parts(connections=_without("version")),
    "the fence: the lease": Parts(connections=_without("lease")),
    "the fence: the status": Parts(connections=_without("status")),
    "the fence: version and lease": Parts(connections=_without("version", "lease")),
    "the fence: a new record over another": Parts(connections=_without("connection_id")),
    "the fence: a response used twice": Parts(authorizations=_ConsumesTwice),
    "the re-read on invalid_grant": Parts(vending=_DoesNotReread),
    "the ladder: one write, no queue, no log": Parts(committing=_NoLadder),
    "the ladder: no queue, no log": Parts(committing=_NoQueue),
    "the order: a late answer wins": Parts(committing=_LateWins),
    "the count of revocations": Parts(revoking=_Uncounted),
    "the second look after a revocation": Parts(revoking=_ForgetsLate),
}

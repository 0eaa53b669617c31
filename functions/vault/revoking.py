"""The end of a grant: here at once, then at the authorization server (RFC 7009), which is told until it has heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .connection import ENDED, Status
from .errors import GatehouseError, ProviderMisconfigured, RevocationRefused, TokenTypeNotRevoked
from .record import record
from .store import Conflict
from .stored_set import REFUSED_AFTER_AN_INTERRUPTION

if TYPE_CHECKING:
    from .cipher import Cipher
    from .client import Client
    from .connection import Connection
    from .providers import Registration
    from .registrations import Registrations
    from .store import Connections
    from .stored_set import Answers, StoredSet
    from .timing import Deadline, Timing

GIVE_UP_AFTER = 30
"""Failures to tell the server until a person has to look: with the delays between them, a day and more."""

After = Callable[["Connection", "StoredSet", float], "Connection"]
"""What becomes of a record with a certain token set to revoke in it, at a certain time."""


@record
class _Told:
    """What came of telling a server: its answers so far, and the failure where it has not heard of all.

    `is_put_off`: nothing was sent, a newer consent stands. `ends_all`: it ends all grants of an account with any.
    """

    answers: Answers
    failure: GatehouseError | None = None
    ends_all: bool = False
    is_put_off: bool = False


class NotToldYet(Exception):
    """The server could not be told for so long that the message goes to the dead letters, where an alarm rings."""


@record
class Revoking:
    """The use case `revoke`."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    client: Client
    timing: Timing

    def revoke(self, connection_id: str, deadline: Deadline) -> dict[str, Any]:
        """End the connection: `revoked` where the server was told or need not be, `revoking` where it is yet to be."""
        ending, ours = self._end_here(connection_id)
        told = self._tell(ending, deadline, ours=ours)
        status = Status.REVOKING if told.to_revoke else Status.REVOKED
        return {"connection_id": connection_id, "status": str(status)}

    def retry(self, connection_id: str, deadline: Deadline) -> GatehouseError | None:
        """Tell the server once more, for the queue.

        Returns the failure, for the log; the record says when it is due again. Raises `NotToldYet` where that has
        failed too often.
        """
        connection = self.connections.get(connection_id)
        if connection is None:
            return None
        told = self._tell(connection, deadline, ours=None)
        failures = [
            each.revocation.failure
            for each in told.to_revoke
            if each.revocation and each.revocation.failure is not None
        ]
        most = max((failure.count for failure in failures), default=0)
        if most >= GIVE_UP_AFTER:
            raise NotToldYet(f"The authorization server was not reached for the revocation in {most} attempts.")
        return failures[0].as_error(connection_id, self.timing.now()) if failures else None

    def _end_here(self, connection_id: str) -> tuple[Connection, str | None]:
        """Return the connection with nothing to vend any more, and the token set whose revocation we have begun."""
        while True:
            connection = self.connections.require(connection_id)
            if connection.status in ENDED:
                return connection, None
            ending = connection.revoking(self.timing.now())
            try:
                self.connections.change(connection, ending)
            except Conflict:
                continue
            return ending, connection.current.id if connection.current else None

    def _tell(self, connection: Connection, deadline: Deadline, *, ours: str | None) -> Connection:
        """Tell the servers of each token set once, also of those that come back meanwhile; return what is stored.

        `ours` is the one of which our attempt is in the journal already.
        """
        tried: set[str] = set()
        while left := [each for each in connection.to_revoke if each.id not in tried]:
            over = left[0]
            if over.id != ours:
                connection = self._change(connection, over, _begun)
            if (current := _to_revoke(connection, over)) is not None:
                connection = self._tell_of(connection, current, deadline)
            tried.add(over.id)
        return connection

    def _tell_of(self, connection: Connection, over: StoredSet, deadline: Deadline) -> Connection:
        """Tell the server of one token set, and write down how that ended."""
        told = self._ask(connection, over, deadline)
        jitter = self.timing.jitter()

        def after(stored: Connection, current: StoredSet, now: float) -> Connection:
            # A confirmed end stands over the failure of another, whom the server may have refused only because it had
            # just confirmed it to us; and what is not confirmed is judged by what is known of it by now.
            known = current.with_answers(told.answers)
            if told.is_put_off:
                return _put_off(stored, current, now)
            if told.failure is None or _is_gone(known, told.failure):
                return stored.revocation_confirmed(known, now)
            if isinstance(told.failure, RevocationRefused):
                if stored.has_ended_the_grant_of(known, ends_all=told.ends_all):
                    return stored.revocation_confirmed(known.answered("grant", "revoked", now), now)
                if known.another_attempt_is_open:
                    known = known.answered("grant", REFUSED_AFTER_AN_INTERRUPTION, now)
                    return stored.revocation_confirmed(known, now)
            return stored.revocation_failed(known.attempt_failed(told.failure, now, jitter), now)

        is_confirmed = told.failure is None and not told.is_put_off
        return self._change(connection, over, after, ended=over.with_answers(told.answers) if is_confirmed else None)

    def _change(
        self, connection: Connection, over: StoredSet, after: After, *, ended: StoredSet | None = None
    ) -> Connection:
        """Write what has become of a revocation into the record, whatever else happens to that; return what is stored.

        One that is no more was told of by another, and that stands; or it has given way to a late answer. If its end
        was confirmed, the server may refuse to end the grant once more, and that is known from what is noted.
        """
        while True:
            current, now = _to_revoke(connection, over), self.timing.now()
            if current is not None:
                changed = after(connection, current, now)
            elif ended is not None and _has_given_way(connection, over):
                changed = connection.end_noted(ended, now)
            else:
                return connection
            try:
                self.connections.change(connection, changed)
            except Conflict:
                connection = self.connections.require(connection.connection_id)
            else:
                return changed

    def _ask(self, connection: Connection, over: StoredSet, deadline: Deadline) -> _Told:
        """Return what came of telling the server."""
        asked, ends_all = over, False
        try:
            registration = self.registrations.get(over.whose.provider, deadline).for_tenant(over.whose.parameters)
            if self._is_put_off(connection, over, registration):
                return _Told({}, is_put_off=True)
            ends_all = registration.provider.revocation_ends_authorization is True
            unsupported: dict[str, GatehouseError] = {}
            for kind in _to_be_told(registration, over):
                try:
                    answer = self._say(registration, connection, over, kind, deadline)
                except TokenTypeNotRevoked as error:
                    unsupported[kind] = error
                else:
                    asked = asked.answered(kind, answer, self.timing.now())
            return _Told(self._passing_over(unsupported, asked).answers, ends_all=ends_all)
        except GatehouseError as error:
            return _Told(asked.answers, error, ends_all=ends_all)

    def _is_put_off(self, connection: Connection, over: StoredSet, registration: Registration) -> bool:
        """Tell whether to tell the server might end what the user has consented to since."""
        return not registration.provider.grants_are_apart and _a_newer_consent_stands(connection, over)

    def _say(
        self, registration: Registration, connection: Connection, over: StoredSet, kind: str, deadline: Deadline
    ) -> str:
        """Return what the server answered to the revocation of a token, `none` where there is no such token."""
        tokens = self.cipher.open(connection.connection_id, over)
        token: str | None = getattr(tokens, kind)
        if token is None:
            return "none"
        self.client.revoke(registration, kind, token, deadline.for_http(registration.provider.request_timeout))
        return "revoked"

    def _passing_over(self, unsupported: dict[str, GatehouseError], asked: StoredSet) -> StoredSet:
        """Return the token set with the kinds of token that the server does not revoke, if it has revoked another.

        Raises the server's refusal where it has revoked none (RFC 7009 section 2.2.1 lets it support either kind).
        """
        for kind, refusal in unsupported.items():
            if not asked.is_confirmed:
                raise refusal
            asked = asked.answered(kind, "unsupported_token_type", self.timing.now())
        return asked


def _to_revoke(connection: Connection, over: StoredSet) -> StoredSet | None:
    """Return a token set as it is to be revoked now; None where that is over."""
    return next((each for each in connection.to_revoke if each.id == over.id), None)


def _has_given_way(connection: Connection, over: StoredSet) -> bool:
    """Tell whether what is to be revoked now came of a token set."""
    return any(each.refreshed_from and each.refreshed_from.set_id == over.id for each in connection.to_revoke)


def _begun(stored: Connection, current: StoredSet, now: float) -> Connection:
    return stored.revocation_began(current.attempted(), now)


def _a_newer_consent_stands(connection: Connection, over: StoredSet) -> bool:
    """Tell whether the user has consented anew, to the same client for the same tenant.

    To tell the server of the old grant may end the new one with it.
    """
    current = connection.current
    return current is not None and over.whose.is_of_the_same_client(current.whose)


def _put_off(stored: Connection, over: StoredSet, now: float) -> Connection:
    """Return a record with a token set that waits, unless the connection was revoked meanwhile: then it is next."""
    if _a_newer_consent_stands(stored, over):
        return stored.revocation_put_off(over, now)
    return stored.revocation_failed(over.not_attempted(), now)


def _to_be_told(registration: Registration, over: StoredSet) -> list[str]:
    """Return the kinds of token to revoke, in the provider's order; none where the server has no way to be told."""
    if registration.provider.revocation_endpoint is None:
        return []
    return [kind for kind in registration.provider.revocation_tokens if kind not in over.answers]


def _is_gone(over: StoredSet, error: GatehouseError) -> bool:
    """Tell whether a refusal means that there is nothing left: where the server had said that the grant is gone."""
    return over.was_dead and (isinstance(error, RevocationRefused) or _refuses_us(error))


def _refuses_us(error: GatehouseError) -> bool:
    """Tell whether the server refuses our client, or what it does not explain: it has not looked at the tokens."""
    return isinstance(error, ProviderMisconfigured) and error.provider_error is not None

"""A valid access token for whoever asks: served as it is, refreshed at most once for all, or refused with a reason."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .connection import Connection
from .errors import GatehouseError, ReauthorizationRequired, TemporarilyUnavailable
from .store import Conflict
from .timing import AFTER_HTTP

if TYPE_CHECKING:
    from .cipher import Cipher, Seal
    from .client import Client
    from .providers import Registration
    from .registrations import Registrations
    from .store import Connections
    from .timing import Deadline, Timing

DEFAULT_MIN_TTL = 60
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25

Test = Callable[[Connection], bool]


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that an attempt needs, from before the lease is claimed: nothing else can fail once the server is asked."""

    registration: Registration
    refresh_token: str = field(repr=False)
    seal: Seal
    timeout: float


@dataclass(frozen=True, slots=True)
class Vending:
    """The use cases `token` and `refresh` (DESIGN section 6)."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    client: Client
    timing: Timing

    def token(self, connection_id: str, min_ttl: int, deadline: Deadline) -> dict[str, Any]:
        """Return an access token that lives `min_ttl` seconds more, refreshing first where that is needed or due."""

        def enough(connection: Connection) -> bool:
            return connection.is_valid_for(min_ttl, self.timing.now())

        def best(connection: Connection) -> bool:
            return enough(connection) and not connection.is_due(self.timing.now())

        return self._obtain(connection_id, enough, best, deadline)

    def refresh(self, connection_id: str, if_version: int | None, deadline: Deadline) -> dict[str, Any]:
        """Refresh now, at most once for all who ask; with `if_version`, only while that is still the stored version."""

        def another_version(connection: Connection) -> bool:
            return if_version is not None and connection.version != if_version

        return self._obtain(connection_id, another_version, another_version, deadline)

    def _obtain(self, connection_id: str, enough: Test, best: Test, deadline: Deadline) -> dict[str, Any]:
        """Decide on what is stored: serve it, wait for another's refresh, share its failure, or refresh; and again.

        `best`: this record's token is what the caller wants. `enough`: it will do where nothing better can be had at
        once.
        """
        connection = self.connections.require(connection_id)
        first_version, first_failure = connection.version, connection.failure
        pause = _FIRST_PAUSE
        while True:
            connection.require_vendable()
            if connection.version != first_version or best(connection):
                return self._vended(connection)
            now, lease, failure = self.timing.now(), connection.lease, connection.failure
            if lease is not None and lease.is_live(now):
                if enough(connection):
                    return self._vended(connection)
                self._wait(pause, deadline, connection_id)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
                connection = self.connections.require(connection_id)
                continue
            # What failed since this call came was tried for this call too, however late it learns of that.
            is_shared = failure is not None and failure != first_failure
            if failure is not None and (is_shared or failure.is_in_force(now)):
                if enough(connection):
                    return self._vended(connection)
                raise failure.as_error(connection_id, failure.at if is_shared else now)
            try:
                connection = self._attempt(connection, uuid.uuid4().hex, deadline)
            except GatehouseError as error:
                if enough(connection):
                    return self._vended(connection)
                raise error.about(connection_id) from None

    def _attempt(self, connection: Connection, holder: str, deadline: Deadline) -> Connection:
        """Claim the lease, ask the server, commit what came of it; return the record to decide on next."""
        if not connection.refreshable:
            return self._without_refresh_token(connection)
        plan = self._plan(connection, deadline)
        held = self._claim(connection, holder, plan)
        if held.lease is None or held.lease.holder != holder:
            return held
        try:
            response = self.client.refresh(plan.registration, plan.refresh_token, plan.timeout)
        except ReauthorizationRequired as error:
            # Guarded by our lease: where it no longer holds, somebody else may have won, and the next read tells.
            return self._settle(held, held.died(error, self.timing.now()), deadline)
        except GatehouseError as error:
            return self._settle(held, held.refresh_failed(error, self.timing.now(), self.timing.jitter()), deadline)
        sealed = plan.seal(response.tokens)
        margin = plan.registration.provider.refresh_margin
        return self._settle(held, held.refreshed(response, sealed, self.timing.now(), margin), deadline)

    def _plan(self, connection: Connection, deadline: Deadline) -> _Plan:
        registration = self.registrations.get(connection.provider)
        refresh_token = self.cipher.open(connection).refresh_token
        if refresh_token is None:
            raise ReauthorizationRequired("The grant came without a refresh token: start again.")
        seal = self.cipher.prepare(connection.connection_id, connection.provider, connection.version + 1)
        return _Plan(registration, refresh_token, seal, deadline.for_http(registration.provider.request_timeout))

    def _claim(self, connection: Connection, holder: str, plan: _Plan) -> Connection:
        """Return the record with the lease in our hand (the journal entry of the attempt), or as another changed it."""
        now = self.timing.now()
        held = connection.leased(holder, now + plan.timeout + AFTER_HTTP, now)
        try:
            self.connections.change(connection, held)
        except Conflict:
            return self.connections.require(connection.connection_id)
        return held

    def _settle(self, held: Connection, after: Connection, deadline: Deadline) -> Connection:
        """Write an attempt's outcome on our own lease and version; return it, or the record as another changed it."""
        while True:
            try:
                self.connections.change(held, after)
            except Conflict:
                return self.connections.require(held.connection_id)
            except TemporarilyUnavailable:
                if deadline.remaining() < 1:
                    raise
                self.timing.sleep(_LONGEST_PAUSE)
            else:
                return after

    def _without_refresh_token(self, connection: Connection) -> Connection:
        """Return the record of a grant that has run out; raise where its access token still lives, irreplaceable."""
        error = ReauthorizationRequired(
            "The access token cannot be refreshed, the grant came without a refresh token: start again."
        )
        if connection.is_valid_for(0, self.timing.now()):
            raise error
        ended = connection.died(error, self.timing.now())
        try:
            self.connections.change(connection, ended)
        except Conflict:
            return self.connections.require(connection.connection_id)
        return ended

    def _wait(self, pause: float, deadline: Deadline, connection_id: str) -> None:
        if deadline.remaining() < pause + 0.5:
            raise TemporarilyUnavailable(
                "Another call is refreshing this connection, and this call's time is up: try again.",
                connection_id=connection_id,
                retry_after=1,
            )
        self.timing.sleep(pause * (0.5 + 0.5 * self.timing.jitter()))

    def _vended(self, connection: Connection) -> dict[str, Any]:
        return {
            "connection_id": connection.connection_id,
            "provider": connection.provider,
            "access_token": self.cipher.open(connection).access_token,
            "token_type": connection.token_type,
            "expires_at": connection.expires_at,
            "scope": connection.scope,
            "version": connection.version,
        }

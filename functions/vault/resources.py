"""What the use cases work with: AWS resources, clients of providers and a clock, as the settings of a function say."""

from __future__ import annotations

import random
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from .base.timing import SharedClock, Timing
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .oauth.client import Client
    from .oauth.issuer_keys import IssuerKeys
    from .oauth.outbound import Outbound
    from .storage.authorizations import Authorizations
    from .storage.aws import ClientOf
    from .storage.bus import Bus
    from .storage.cipher import Cipher
    from .storage.connections import Connections
    from .storage.queues import Queue
    from .storage.registrations import Registrations
    from .storage.shared import Shared
    from .storage.slots import Slots


class _Later:
    """Stands in for a part that is seldom needed, and makes it when it is first used."""

    def __init__(self, resources: Resources, part: str) -> None:
        self._resources = resources
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self._resources, self._part), name)


class Resources:
    """The tables, queues, keys, registrations and clients of a function.

    Each is made when it is first used, and needs no settings but its own. Its module is loaded then, too: a function
    that never seals loads no cryptography.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None,
        *,
        clock: Callable[[], float],
        on_date: Callable[[str | None], None] | None = None,
        on_one_machine: bool = False,
    ) -> None:
        """`environ` replaces the environment of the process; `clock` returns Unix seconds.

        `on_date` receives the `Date` header of each answer of the tables. `on_one_machine` lets providers be on this
        machine, whatever URL browsers use.
        """
        from .storage import aws

        self.settings = Settings(environ)
        self.timing = Timing(now=clock)
        self._account = aws.Account()
        self._clients: ClientOf = self._account.client_of
        self._on_date = on_date
        self._on_one_machine = on_one_machine

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] | None = None,
        on_one_machine: bool = False,
    ) -> Self:
        """Return the services of a function with this environment; by default, with the environment of the process.

        Without a `clock`, the time is the machine's, corrected by the tables'.
        """
        if clock is not None:
            return cls(environ, clock=clock, on_one_machine=on_one_machine)
        shared = SharedClock(time.time)
        return cls(environ, clock=shared.now, on_date=shared.correct_by, on_one_machine=on_one_machine)

    # The life of a process

    def preload(self, *parts: str, clients: Iterable[str]) -> None:
        """Make these parts now, and these AWS clients, which take the longest."""
        for part in parts:
            getattr(self, part)
        for client in clients:
            self._clients(client)

    def before_snapshot(self) -> None:
        """Drop what ages and what two processes must not share. There are no secrets: no call has been made yet."""
        self._account.forget()

    @staticmethod
    def after_restore() -> None:
        """Give this process random numbers of its own: all that were restored from the snapshot would pause alike.

        Ids, keys and nonces come from the operating system each time, and its state is not in the snapshot.
        """
        random.seed()

    def _later(self, part: str) -> Any:
        return _Later(self, part)

    # AWS

    @cached_property
    def connections(self) -> Connections:
        """Return the table of connections."""
        from .storage.connections import Connections

        return Connections(self._clients, self.settings.connections_table, self._on_date)

    @cached_property
    def authorizations(self) -> Authorizations:
        """Return the table of authorization requests."""
        from .storage.authorizations import Authorizations

        return Authorizations(self._clients, self.settings.authorizations_table, self._on_date)

    @cached_property
    def shared(self) -> Shared:
        """Return the table of what the connections of one registration share."""
        from .storage.shared import Shared

        return Shared(self._clients, self.settings.shared_table, self._on_date)

    @cached_property
    def cipher(self) -> Cipher:
        """Return what seals and opens token sets."""
        from .storage.cipher import Cipher

        return Cipher(self._clients, self.settings.key_id, self.settings.other_key_id)

    @cached_property
    def rescue_queue(self) -> Queue:
        """Return the queue of token responses that could not be written to the table."""
        return self._queue(self.settings.rescue_queue_url)

    @cached_property
    def refresh_queue(self) -> Queue:
        """Return the queue of refreshes."""
        return self._queue(self.settings.refresh_queue_url)

    @cached_property
    def revoke_queue(self) -> Queue:
        """Return the queue of revocations."""
        return self._queue(self.settings.revoke_queue_url)

    @cached_property
    def unpublished_queue(self) -> Queue:
        """Return the queue of events that the bus did not take."""
        return self._queue(self.settings.unpublished_queue_url)

    @cached_property
    def bus(self) -> Bus:
        """Return the bus on which events are published."""
        from .storage.bus import Bus

        return Bus(self._clients, self.settings.event_bus)

    def _queue(self, url: str) -> Queue:
        from .storage.queues import Queue

        return Queue(self._clients, url)

    # Providers

    @cached_property
    def _outbound(self) -> Outbound:
        from .oauth.outbound import Outbound

        return Outbound(loopback=self._is_on_loopback)

    @property
    def _is_on_loopback(self) -> bool:
        """Return whether this deployment is on one machine: then, and only then, providers may be there, too."""
        return self._on_one_machine or self.settings.is_on_loopback

    @cached_property
    def registrations(self) -> Registrations:
        """Return the registrations. They may have http endpoints on loopback only if this deployment is there, too."""
        from .storage.registrations import Registrations

        return Registrations(
            self._clients,
            self.settings.secret_prefix,
            self._later("_outbound"),  # only for metadata that an issuer publishes
            self.timing.now,
            loopback_http=self._is_on_loopback,
        )

    @cached_property
    def issuer_keys(self) -> IssuerKeys:
        """Return the keys of issuers, with which ID tokens are verified."""
        from .oauth.issuer_keys import IssuerKeys

        return IssuerKeys(self._outbound, self.timing.now)

    @cached_property
    def client(self) -> Client:
        """Return the client of token and revocation endpoints."""
        from .oauth.client import Client
        from .storage.signer import Signer

        known = self.registrations
        sign = Signer(self._clients).sign
        keys, slots = map(self._later, ("issuer_keys", "slots"))  # few providers need either
        return Client(self._outbound, self.timing.now, sign, known.reread, issuer_keys=keys, slots=slots)

    @cached_property
    def slots(self) -> Slots:
        """Return what limits how many requests a provider gets at a time."""
        from .storage.slots import Slots

        return Slots(self.shared, self.timing)

"""The one reader of the environment, and the one place where the services is put together."""

from __future__ import annotations

import os
import random
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .base.timing import SharedClock, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .oauth.client import Client
    from .oauth.issuer_keys import IssuerKeys
    from .oauth.outbound import Outbound
    from .storage.authorizations import Authorizations
    from .storage.aws import ClientOf
    from .storage.cipher import Cipher
    from .storage.connections import Connections
    from .storage.queues import Queue
    from .storage.registrations import Registrations
    from .storage.shared import Shared
    from .storage.slots import Slots
    from .usecases.accounts import Accounts
    from .usecases.background import Background
    from .usecases.binding import Binding
    from .usecases.committing import Committing
    from .usecases.completing import Completing
    from .usecases.listing import Listing
    from .usecases.looking import Looking
    from .usecases.refreshing import Refreshing
    from .usecases.rescuing import Rescuing
    from .usecases.revoking import Revoking
    from .usecases.starting import Starting
    from .usecases.sweeping import Sweeping
    from .usecases.vending import Vending


class SettingMissing(Exception):
    """A variable of the function's environment is missing or wrong: the deployment's fault, by name."""


class _Later:
    """Stands for a part of the services in another part that seldom needs it: it is made when it is first used."""

    def __init__(self, services: Services, part: str) -> None:
        self._services = services
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self._services, self._part), name)


class Services:
    """Everything a function may need, each part made when it is first used: no function has the settings of another.

    The module of a part is loaded with it, too: a function that never seals loads no cryptography, and so on.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        clock: Callable[[], float],
        on_date: Callable[[str | None], None] | None = None,
        on_one_machine: bool = False,
    ) -> None:
        """Put it together; `clock` gives Unix seconds, and `on_date` gets the `Date` of each answer of the tables.

        `on_one_machine`: providers may be on this machine, whatever address browsers come by.
        """
        from .storage import aws

        self._environ = environ
        self._account = aws.Account()
        self._clients: ClientOf = self._account.client_of
        self._on_date = on_date
        self._on_one_machine = on_one_machine
        self.timing = Timing(now=clock)

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] | None = None,
        on_one_machine: bool = False,
    ) -> Services:
        """Return the services of a function with this environment, else the process's.

        Its time is that of `clock`; without one it is the machine's, put right by the tables'.
        """
        found = os.environ if environ is None else environ
        if clock is not None:
            return cls(found, clock=clock, on_one_machine=on_one_machine)
        shared = SharedClock(time.time)
        return cls(found, clock=shared.now, on_date=shared.correct_by, on_one_machine=on_one_machine)

    @staticmethod
    def running_in_lambda() -> bool:
        """Tell whether this process is a Lambda function: what a call will need can be made before the first one."""
        return "AWS_LAMBDA_RUNTIME_API" in os.environ

    @staticmethod
    def is_to_be_snapshot() -> bool:
        """Tell whether Lambda will take a snapshot of this process as soon as it is ready (SnapStart)."""
        return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"

    def before_snapshot(self) -> None:
        """Keep nothing that ages or that two processes must not share. No call was made yet: no secret is here."""
        self._account.forget()

    @staticmethod
    def after_restore() -> None:
        """Make this process unlike the others that came of the snapshot, which would otherwise all pause alike.

        Ids, keys and nonces come from the operating system each time, which is not in the snapshot.
        """
        random.seed()

    def _later(self, part: str) -> Any:
        return _Later(self, part)

    def preload(self, *parts: str, clients: Iterable[str]) -> None:
        """Make these parts of the services now, and these AWS clients, which takes the longest."""
        for part in parts:
            getattr(self, part)
        for client in clients:
            self._clients(client)

    def _setting(self, name: str) -> str:
        value = self._environ.get(name, "")
        if not value:
            raise SettingMissing(f"The environment variable {name} is not set.")
        return value

    # Settings

    @cached_property
    def base_url(self) -> str:
        """Return where browsers reach us, without a trailing slash: https, or http on this machine itself."""
        base_url = self._setting("GATEHOUSE_BASE_URL").rstrip("/")
        parts = urlsplit(base_url)
        local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}
        if not parts.hostname or not (parts.scheme == "https" or local) or parts.query or parts.fragment:
            raise SettingMissing("GATEHOUSE_BASE_URL must be an https URL (or http://localhost, http://127.0.0.1).")
        return base_url

    @property
    def secure(self) -> bool:
        """Tell whether browsers reach us by https."""
        return self.base_url.startswith("https:")

    @cached_property
    def return_to_origins(self) -> frozenset[str]:
        """Return the origins to which a callback may send its user back."""
        origins = self._environ.get("GATEHOUSE_RETURN_TO_ORIGINS", "").split(",")
        return frozenset(origin.strip().rstrip("/").lower() for origin in origins if origin.strip())

    @cached_property
    def application_url(self) -> str | None:
        """Return the application's own address, for whose install began at a provider; None where it is not set."""
        url = self._environ.get("GATEHOUSE_APPLICATION_URL", "")
        if url and urlsplit(url).scheme not in {"https", "http"}:
            raise SettingMissing("GATEHOUSE_APPLICATION_URL must be an http or https URL.")
        return url or None

    # Layer 1

    @cached_property
    def connections(self) -> Connections:
        """Return the table of connections."""
        from .storage.connections import Connections

        return Connections(self._clients, self._setting("GATEHOUSE_CONNECTIONS_TABLE"), self._on_date)

    @cached_property
    def authorizations(self) -> Authorizations:
        """Return the table of authorization requests."""
        from .storage.authorizations import Authorizations

        return Authorizations(self._clients, self._setting("GATEHOUSE_AUTHORIZATIONS_TABLE"), self._on_date)

    @cached_property
    def shared(self) -> Shared:
        """Return the table of what the connections of one registration share."""
        from .storage.shared import Shared

        return Shared(self._clients, self._setting("GATEHOUSE_SHARED_TABLE"), self._on_date)

    @cached_property
    def cipher(self) -> Cipher:
        """Return what seals and opens token sets."""
        from .storage.cipher import Cipher

        return Cipher(self._clients, self._setting("GATEHOUSE_KEY_ID"))

    @cached_property
    def _outbound(self) -> Outbound:
        from .oauth.outbound import Outbound

        return Outbound(loopback=self._is_on_loopback)

    @property
    def _is_on_loopback(self) -> bool:
        """Tell whether this deployment is on one machine: then, and only then, providers may be there, too."""
        return self._on_one_machine or urlsplit(self._environ.get("GATEHOUSE_BASE_URL", "")).scheme == "http"

    @cached_property
    def registrations(self) -> Registrations:
        """Return the owner's registrations. Loopback http endpoints are for a deployment that is itself on loopback."""
        from .storage.registrations import Registrations

        return Registrations(
            self._clients,
            self._environ.get("GATEHOUSE_SECRET_PREFIX", "gatehouse/providers/"),
            self._later("_outbound"),  # only an issuer's metadata is read from where it publishes them
            self.timing.now,
            loopback_http=self._is_on_loopback,
        )

    @cached_property
    def issuer_keys(self) -> IssuerKeys:
        """Return what has the keys that ID tokens are verified with."""
        from .oauth.issuer_keys import IssuerKeys

        return IssuerKeys(self._outbound, self.timing.now)

    @cached_property
    def accounts(self) -> Accounts:
        """Return what finds out whose account tokens are for, where that has to be asked."""
        from .usecases.accounts import Accounts

        parts = (self.connections, self.registrations, self.cipher, self.client, self.committing, self.shared)
        return Accounts(*parts, self.timing)

    @cached_property
    def client(self) -> Client:
        """Return what speaks to token and revocation endpoints."""
        from .oauth.client import Client
        from .storage.signer import Signer

        known = self.registrations
        sign = Signer(self._clients).sign
        keys, slots = map(self._later, ("issuer_keys", "slots"))  # few providers need either
        return Client(self._outbound, self.timing.now, sign, known.reread, issuer_keys=keys, slots=slots)

    @cached_property
    def slots(self) -> Slots:
        """Return what keeps providers to the requests at a time that they take."""
        from .storage.slots import Slots

        return Slots(self.shared, self.timing)

    # Layer 2

    @cached_property
    def starting(self) -> Starting:
        """Return the use case start."""
        from .usecases.starting import Starting

        return Starting(self.base_url, self.connections, self.authorizations, self.registrations, self.timing)

    @cached_property
    def binding(self) -> Binding:
        """Return the use case authorize."""
        from .usecases.binding import Binding

        # They are needed where a provider has requests pushed (RFC 9126), which few do.
        registrations, client = map(self._later, ("registrations", "client"))
        return Binding(self.secure, self.authorizations, registrations, client, self.timing)

    @cached_property
    def completing(self) -> Completing:
        """Return the use case callback."""
        from .usecases.completing import Completing

        return Completing(
            self.connections,
            self.authorizations,
            self.registrations,
            self.cipher,
            self.client,
            self.committing,
            self.shared,
            self.timing,
            self._later("accounts"),
        )

    @cached_property
    def vending(self) -> Vending:
        """Return the use cases token and refresh."""
        from .usecases.vending import Vending

        # A token that is valid is vended without these.
        refreshing, looking, accounts = map(self._later, ("refreshing", "looking", "accounts"))
        return Vending(self.connections, self.cipher, refreshing, looking, self.timing, accounts)

    @cached_property
    def looking(self) -> Looking:
        """Return what looks at grants that are believed dead."""
        from .usecases.looking import Looking

        parts = (self.connections, self.registrations, self.committing, self.shared, self.refreshing)
        return Looking(*parts, self.timing)

    @cached_property
    def refreshing(self) -> Refreshing:
        """Return what refreshes a token set."""
        from .usecases.refreshing import Refreshing

        parts = (self.connections, self.registrations, self.cipher, self.client, self.committing, self.shared)
        return Refreshing(*parts, self.timing)

    @cached_property
    def revoking(self) -> Revoking:
        """Return the use case revoke."""
        from .usecases.revoking import Revoking

        # Few servers want a live access token, and few tokens have run out.
        refreshing = self._later("refreshing")
        return Revoking(self.connections, self.registrations, self.cipher, self.client, refreshing, self.timing)

    @cached_property
    def background(self) -> Background:
        """Return what background work is done by."""
        from .usecases.background import Background

        vending, revoking = map(self._later, ("vending", "revoking"))  # a function does one of the two
        return Background(self.connections, self.shared, vending, revoking, self.timing)

    @cached_property
    def sweeping(self) -> Sweeping:
        """Return the use case sweep."""
        from .usecases.sweeping import Sweeping

        return Sweeping(
            self.connections,
            self.shared,
            self._queue("GATEHOUSE_REFRESH_QUEUE_URL"),
            self._queue("GATEHOUSE_REVOKE_QUEUE_URL"),
            self.timing,
        )

    @cached_property
    def rescuing(self) -> Rescuing:
        """Return the use case rescue."""
        from .usecases.rescuing import Rescuing

        return Rescuing(self.cipher, self.committing)

    @cached_property
    def committing(self) -> Committing:
        """Return the ladder that every token response goes down."""
        from .storage.queues import Queue, last_resort
        from .usecases.committing import Committing

        queue = Queue(self._clients, self._environ.get("GATEHOUSE_RESCUE_QUEUE_URL", ""))
        return Committing(self.connections, queue, last_resort, self.timing)

    def _queue(self, name: str) -> Queue:
        from .storage.queues import Queue

        return Queue(self._clients, self._setting(name))

    @cached_property
    def listing(self) -> Listing:
        """Return the use case connections."""
        from .usecases.listing import Listing

        return Listing(self.connections, self._later("authorizations"), self.timing)

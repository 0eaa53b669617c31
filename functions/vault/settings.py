"""The one reader of the environment, and the one place where the house is put together."""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from . import aws
from .binding import Binding
from .cipher import Cipher
from .client import Client
from .committing import Committing
from .completing import Completing
from .listing import Listing
from .outbound import Outbound
from .queues import Queue, last_resort
from .registrations import Registrations
from .rescuing import Rescuing
from .revoking import Revoking
from .signer import Signer
from .starting import Starting
from .store import Authorizations, Connections
from .sweeping import Sweeping
from .timing import SharedClock, Timing
from .vending import Vending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class SettingMissing(Exception):
    """A variable of the function's environment is missing or wrong: the deployment's fault, by name."""


class House:
    """Everything a function may need, each part made when it is first used: no function has the settings of another."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        clock: Callable[[], float],
        hear: Callable[[str | None], None] | None = None,
    ) -> None:
        """Put it together; `clock` gives Unix seconds, and `hear` gets the `Date` of each answer of the tables."""
        self._environ = environ
        self._clients = aws.clients()
        self._hear = hear
        self.timing = Timing(now=clock)

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str] | None = None, *, clock: Callable[[], float] | None = None
    ) -> House:
        """Return the house of a function with this environment, else the process's.

        Its time is that of `clock`; without one it is the machine's, put right by the tables'.
        """
        found = os.environ if environ is None else environ
        if clock is not None:
            return cls(found, clock=clock)
        shared = SharedClock(time.time)
        return cls(found, clock=shared.now, hear=shared.hear)

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

    # Floor 1

    @cached_property
    def connections(self) -> Connections:
        """Return the table of connections."""
        return Connections(self._clients, self._setting("GATEHOUSE_CONNECTIONS_TABLE"), self._hear)

    @cached_property
    def authorizations(self) -> Authorizations:
        """Return the table of authorization requests."""
        return Authorizations(self._clients, self._setting("GATEHOUSE_AUTHORIZATIONS_TABLE"), self._hear)

    @cached_property
    def cipher(self) -> Cipher:
        """Return what seals and opens token sets."""
        return Cipher(self._clients, self._setting("GATEHOUSE_KEY_ID"))

    @cached_property
    def _outbound(self) -> Outbound:
        return Outbound(loopback=self._is_on_loopback)

    @property
    def _is_on_loopback(self) -> bool:
        """Tell whether this deployment is on one machine: then, and only then, providers may be there, too."""
        return urlsplit(self._environ.get("GATEHOUSE_BASE_URL", "")).scheme == "http"

    @cached_property
    def registrations(self) -> Registrations:
        """Return the owner's registrations. Loopback http endpoints are for a deployment that is itself on loopback."""
        return Registrations(
            self._clients,
            self._environ.get("GATEHOUSE_SECRET_PREFIX", "gatehouse/providers/"),
            self._outbound,
            self.timing.now,
            loopback_http=self._is_on_loopback,
        )

    @cached_property
    def client(self) -> Client:
        """Return what speaks to token and revocation endpoints."""
        known = self.registrations
        sign = Signer(self._clients).sign
        return Client(self._outbound, self.timing.now, sign, known.reread, issuer_keys=known)

    # Floor 2

    @cached_property
    def starting(self) -> Starting:
        """Return the use case start."""
        return Starting(self.base_url, self.connections, self.authorizations, self.registrations, self.timing)

    @cached_property
    def binding(self) -> Binding:
        """Return the use case authorize."""
        return Binding(self.secure, self.authorizations, self.registrations, self.client, self.timing)

    @cached_property
    def completing(self) -> Completing:
        """Return the use case callback."""
        return Completing(
            self.connections,
            self.authorizations,
            self.registrations,
            self.cipher,
            self.client,
            self.committing,
            self.timing,
        )

    @cached_property
    def vending(self) -> Vending:
        """Return the use cases token and refresh."""
        return Vending(self.connections, self.registrations, self.cipher, self.client, self.committing, self.timing)

    @cached_property
    def revoking(self) -> Revoking:
        """Return the use case revoke."""
        return Revoking(self.connections, self.registrations, self.cipher, self.client, self.timing)

    @cached_property
    def sweeping(self) -> Sweeping:
        """Return the use case sweep."""
        return Sweeping(
            self.connections,
            self.registrations,
            self._queue("GATEHOUSE_REFRESH_QUEUE_URL"),
            self._queue("GATEHOUSE_REVOKE_QUEUE_URL"),
            self.timing,
        )

    @cached_property
    def rescuing(self) -> Rescuing:
        """Return the use case rescue."""
        return Rescuing(self.cipher, self.committing)

    @cached_property
    def committing(self) -> Committing:
        """Return the ladder that every token response goes down."""
        queue = Queue(self._clients, self._environ.get("GATEHOUSE_RESCUE_QUEUE_URL", ""))
        return Committing(self.connections, queue, last_resort, self.timing)

    def _queue(self, name: str) -> Queue:
        return Queue(self._clients, self._setting(name))

    @cached_property
    def listing(self) -> Listing:
        """Return the use case connections."""
        return Listing(self.connections)

"""The services of a function: the use cases, each put together from what it works with and what it shares."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .resources import Resources

if TYPE_CHECKING:
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


class Services(Resources):
    """The use cases, and what several of them share. Each is made, and its module loaded, when it is first used."""

    @cached_property
    def starting(self) -> Starting:
        """Return the use case start."""
        from .usecases.starting import Starting

        return Starting(self.settings.base_url, self.connections, self.authorizations, self.registrations, self.timing)

    @cached_property
    def binding(self) -> Binding:
        """Return the use case authorize."""
        from .usecases.binding import Binding

        # Only providers with pushed authorization requests (RFC 9126) need these.
        registrations, client = map(self._later, ("registrations", "client"))
        return Binding(self.settings.secure, self.authorizations, registrations, client, self.timing)

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

        # A stored token that is still valid needs none of these.
        refreshing, looking, accounts = map(self._later, ("refreshing", "looking", "accounts"))
        return Vending(self.connections, self.cipher, refreshing, looking, self.timing, accounts)

    @cached_property
    def refreshing(self) -> Refreshing:
        """Return what refreshes a token set."""
        from .usecases.refreshing import Refreshing

        parts = (self.connections, self.registrations, self.cipher, self.client, self.committing, self.shared)
        return Refreshing(*parts, self.timing)

    @cached_property
    def looking(self) -> Looking:
        """Return what checks whether a grant that is believed dead still works."""
        from .usecases.looking import Looking

        parts = (self.connections, self.registrations, self.committing, self.shared, self.refreshing)
        return Looking(*parts, self.timing)

    @cached_property
    def accounts(self) -> Accounts:
        """Return what asks a provider whose account tokens are for, if the token response does not say it."""
        from .usecases.accounts import Accounts

        parts = (self.connections, self.registrations, self.cipher, self.client, self.committing, self.shared)
        return Accounts(*parts, self.timing)

    @cached_property
    def revoking(self) -> Revoking:
        """Return the use case revoke."""
        from .usecases.revoking import Revoking

        # Only for a server that revokes nothing but a live access token, if ours has expired.
        refreshing = self._later("refreshing")
        return Revoking(self.connections, self.registrations, self.cipher, self.client, refreshing, self.timing)

    @cached_property
    def background(self) -> Background:
        """Return what does the work that a sweep has queued."""
        from .usecases.background import Background

        vending, revoking = map(self._later, ("vending", "revoking"))  # a function does one of the two
        return Background(self.connections, self.shared, vending, revoking, self.timing)

    @cached_property
    def sweeping(self) -> Sweeping:
        """Return the use case sweep."""
        from .usecases.sweeping import Sweeping

        return Sweeping(self.connections, self.shared, self.refresh_queue, self.revoke_queue, self.timing)

    @cached_property
    def rescuing(self) -> Rescuing:
        """Return the use case rescue."""
        from .usecases.rescuing import Rescuing

        return Rescuing(self.cipher, self.committing)

    @cached_property
    def committing(self) -> Committing:
        """Return what stores token responses: in the table, or else in the rescue queue, or else in the log."""
        from .storage.queues import last_resort
        from .usecases.committing import Committing

        return Committing(self.connections, self.rescue_queue, last_resort, self.timing)

    @cached_property
    def listing(self) -> Listing:
        """Return the use case connections."""
        from .usecases.listing import Listing

        return Listing(self.connections, self._later("authorizations"), self.timing)

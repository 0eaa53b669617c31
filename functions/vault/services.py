"""The services of a function: the use cases, each put together from what it works with and what it shares."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .resources import Resources

if TYPE_CHECKING:
    from .usecases.account_lookup import AccountLookup
    from .usecases.background_work import BackgroundWork
    from .usecases.binding import Binding
    from .usecases.committing import Committing
    from .usecases.completing import Completing
    from .usecases.confirming import Confirming
    from .usecases.declining import Declining
    from .usecases.exchanging import Exchanging
    from .usecases.exporting import Exporting
    from .usecases.importing import Importing
    from .usecases.listing import Listing
    from .usecases.publishing import Publishing
    from .usecases.refresh_to_revoke import RefreshToRevoke
    from .usecases.refreshing import Refreshing
    from .usecases.rescuing import Rescuing
    from .usecases.resealing import Resealing
    from .usecases.revocation_results import RevocationResults
    from .usecases.revoking import Revoking
    from .usecases.second_look import SecondLook
    from .usecases.starting import Starting
    from .usecases.stored_outcomes import StoredOutcomes
    from .usecases.sweeping import Sweeping
    from .usecases.token_refresh import TokenRefresh
    from .usecases.token_revocation import TokenRevocation
    from .usecases.vending import Vending


class Services(Resources):
    """The use cases, and what several of them share. Each is made, and its module loaded, when it is first used."""

    @cached_property
    def starting(self) -> Starting:
        """Return the use case start."""
        from .usecases.starting import Starting

        parts = (self.connections, self.authorizations, self.registrations, self.timing)
        return Starting(self.settings.base_url, *parts, may_push=self.settings.may_push)

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

        # Most responses bring a code, and take their request.
        declining, stored_outcomes = map(self._later, ("declining", "stored_outcomes"))
        parts = (self.authorizations, self.registrations, self.exchanging, declining, stored_outcomes)
        return Completing(*parts, self.timing)

    @cached_property
    def exchanging(self) -> Exchanging:
        """Return what exchanges the code of a request."""
        from .usecases.exchanging import Exchanging

        return Exchanging(
            self.connections,
            self.authorizations,
            self.registrations,
            self.cipher,
            self.client,
            self.committing,
            self.shared,
            self._later("account_lookup"),  # most providers name no account, and a response without a code needs none
            self._later("stored_outcomes"),
            self.timing,
        )

    @cached_property
    def declining(self) -> Declining:
        """Return what stores a response that brings no code."""
        from .usecases.declining import Declining

        return Declining(self.authorizations, self.stored_outcomes, self.timing)

    @cached_property
    def confirming(self) -> Confirming:
        """Return the use case confirm."""
        from .usecases.confirming import Confirming

        return Confirming(self.connections, self.cipher, self.timing)

    @cached_property
    def importing(self) -> Importing:
        """Return the use case import_connection."""
        from .usecases.importing import Importing

        parts = (self.connections, self.registrations, self.cipher, self.refreshing, self.token_refresh)
        return Importing(*parts, self.timing)

    @cached_property
    def stored_outcomes(self) -> StoredOutcomes:
        """Return what reads how requests have ended."""
        from .usecases.stored_outcomes import StoredOutcomes

        return StoredOutcomes(self.connections, self.authorizations, self.timing)

    @cached_property
    def vending(self) -> Vending:
        """Return the use cases token and refresh. Their functions, and no others, keep opened tokens in memory."""
        from .storage.opened import Opened
        from .usecases.vending import Vending

        self.cipher.keep(Opened(self.timing.now))
        # A stored token that is still valid needs none of these.
        refreshing, second_look, account_lookup = map(self._later, ("refreshing", "second_look", "account_lookup"))
        return Vending(self.connections, self.cipher, refreshing, second_look, account_lookup, self.timing)

    @cached_property
    def second_look(self) -> SecondLook:
        """Return what checks whether a grant that was refused is alive after all."""
        from .usecases.second_look import SecondLook

        parts = (self.connections, self.registrations, self.committing, self.shared, self.refreshing)
        return SecondLook(*parts, self.timing)

    @cached_property
    def refreshing(self) -> Refreshing:
        """Return what refreshes a connection's token set for whoever needs that."""
        from .usecases.refresh_results import RefreshResults
        from .usecases.refreshing import Refreshing

        results = RefreshResults(self.connections, self.shared, self.timing)
        parts = (self.connections, self.registrations, self.client, self.token_refresh, results)
        return Refreshing(*parts, self.timing)

    @cached_property
    def token_refresh(self) -> TokenRefresh:
        """Return what refreshes a token set whose lease somebody holds."""
        from .usecases.token_refresh import TokenRefresh

        return TokenRefresh(self.connections, self.cipher, self.committing, self.shared, self.timing)

    @cached_property
    def account_lookup(self) -> AccountLookup:
        """Return what looks up which account tokens belong to, if the token response does not say it."""
        from .usecases.account_lookup import AccountLookup

        parts = (self.connections, self.registrations, self.cipher, self.client, self.committing, self.shared)
        return AccountLookup(*parts, self.timing)

    @cached_property
    def revoking(self) -> Revoking:
        """Return the use case revoke."""
        from .usecases.revoking import Revoking

        return Revoking(self.connections, self.registrations, self.token_revocation, self.timing)

    @cached_property
    def token_revocation(self) -> TokenRevocation:
        """Return what revokes one token set at its server."""
        from .usecases.token_revocation import TokenRevocation

        # Only for a server that revokes nothing but a live access token, if ours has expired.
        token_refresh, refresh_to_revoke = map(self._later, ("token_refresh", "refresh_to_revoke"))
        parts = (self.registrations, self.cipher, self.client, token_refresh, refresh_to_revoke)
        return TokenRevocation(*parts, self._revocation_results, self.timing)

    @cached_property
    def refresh_to_revoke(self) -> RefreshToRevoke:
        """Return what refreshes a token set for its revocation."""
        from .usecases.refresh_to_revoke import RefreshToRevoke

        return RefreshToRevoke(self.token_refresh, self._revocation_results, self.timing)

    @cached_property
    def _revocation_results(self) -> RevocationResults:
        from .usecases.revocation_results import RevocationResults

        return RevocationResults(self.connections, self.timing)

    @cached_property
    def background_work(self) -> BackgroundWork:
        """Return what does the work that a sweep has queued."""
        from .usecases.background_work import BackgroundWork

        vending, revoking = map(self._later, ("vending", "revoking"))  # a function does one of the two
        return BackgroundWork(self.connections, self.shared, vending, revoking, self.timing)

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
    def publishing(self) -> Publishing:
        """Return the use case events."""
        from .usecases.publishing import Publishing

        settings = self.settings
        parts = (self.bus, self.unpublished_queue, self.timing)
        return Publishing(*parts, settings.deployment, refreshes=settings.publishes_refreshes)

    @cached_property
    def resealing(self) -> Resealing:
        """Return the use case reseal."""
        from .usecases.resealing import Resealing

        return Resealing(self.connections, self.cipher, self.timing)

    @cached_property
    def exporting(self) -> Exporting:
        """Return the use case export."""
        from .usecases.exporting import Exporting

        return Exporting(self.connections, self.cipher, self.timing)

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

        return Listing(self.connections, self._later("authorizations"), self.shared, self.timing)

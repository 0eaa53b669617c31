"""How a browser's visit to `authorize` or `callback` ends: the page it gets, and what the application learns."""

from __future__ import annotations

import hmac
from enum import Enum, auto
from typing import TYPE_CHECKING

from functions.vault.base.record import record
from functions.vault.grant.life import CONFIRM_WITHIN, Place

from .authorization import Phase, confirmation_hash, with_query

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError, ProviderError
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.stored_set import StoredSet

    from .authorization import AuthorizationRequest, BrowserBinding


SUBJECT_MISMATCH = "subject_mismatch"
"""The error that the application gets if the customer has consented with another account than the connection's."""

ISSUER_MISMATCH = "issuer_mismatch"
"""Why a response is refused that does not name its server, or names another (RFC 9207)."""

RELOADED_PAGES = frozenset({"unfinished", "waiting"})
"""Pages that are not the end of a visit: they reload themselves, and the application learns nothing yet."""

_RETRYABLE_PAGES = frozenset({"denied", "failed"})
"""Pages of a visit that failed, while its request may still succeed."""


_GOOD_ENDS = frozenset({"connected", "unconfirmed"})
"""Pages whose names the application gets as `status`."""

_LONGEST_EXCHANGE = 60.0
"""Seconds after which a consumed request without an outcome counts as lost: twice what a function may run for."""


class Became(Enum):
    """What became of a request whose code was exchanged."""

    CONNECTED = auto()

    UNCONFIRMED = auto()
    """Its tokens wait for the application's confirmation."""

    RAN_OUT = auto()
    """Nobody has confirmed its tokens in time."""

    REPLACED = auto()
    """Another link has connected the connection since: this one was used, and nothing more is known of it."""

    UNDER_WAY = auto()

    LOST = auto()
    """The process that had it is gone, and has stored no outcome."""


def became_of(request: AuthorizationRequest, connection: Connection | None, now: float) -> Became:
    """Return what became of a consumed request. If it succeeded, the connection itself says so."""
    consumed_at = request.consumed_at or 0
    has_time_left = now < consumed_at + _LONGEST_EXCHANGE
    if connection is not None:
        if connection.authorized_by == request.request_id:
            return Became.CONNECTED
        waiting = waiting_of(connection, request)
        if waiting is not None and connection.waits_for_account(waiting):
            return Became.UNDER_WAY
        if waiting is not None:
            return Became.RAN_OUT if waiting.has_run_out_unconfirmed(now) else Became.UNCONFIRMED
        was_replaced = any(_was_in_use(each, request) for each in connection.sets)
        # Within the second in which this one was consumed, the other may have come before it or after it.
        since = consumed_at + 1 if has_time_left else consumed_at
        if was_replaced or (connection.authorized_at or 0) >= since or _was_replaced_waiting(connection, since):
            return Became.REPLACED
    if request.confirm and now >= consumed_at + CONFIRM_WITHIN:
        return Became.RAN_OUT
    return Became.UNDER_WAY if has_time_left else Became.LOST


def _was_in_use(held: StoredSet, request: AuthorizationRequest) -> bool:
    """Return whether a token set came of a request, and not only to wait for a confirmation that never came.

    What is to be revoked may be of an earlier try, with another account. If it was in use, a newer consent is there.
    """
    is_unconfirmed = bool(request.confirm) and held.pending is not None
    is_to_be_revoked = held.place is Place.REVOKING
    return held.request_id == request.request_id and not is_unconfirmed and not is_to_be_revoked


def _was_replaced_waiting(connection: Connection, since: int) -> bool:
    """Return whether tokens of another consent wait that came since, before which none that are unconfirmed stay."""
    newer = connection.unconfirmed
    return newer is not None and newer.pending is not None and newer.pending.obtained_at >= since


def waiting_of(connection: Connection, request: AuthorizationRequest) -> StoredSet | None:
    """Return the token set of a request that waits; None if none does."""
    return next((each for each in connection.in_place(Place.PENDING) if each.request_id == request.request_id), None)


@record
class Outcome:
    """How a browser's visit ended: `page` is the page to show, `error` the code for the application, None on success.

    `request` is the request that it was about, if the browser has proved that it is its own. `failure` is the cause, if
    an operator may have to look into it, and `provider_error` the server's refusal: both are for the log, and are shown
    on no page. `confirmation` is what the browser brings to the application, which has to confirm the tokens.
    `account` is what the provider calls the account that was connected, as it came.
    """

    page: str
    provider: str | None = None
    error: str | None = None
    reason: str | None = None
    request: AuthorizationRequest | None = None
    failure: GatehouseError | None = None
    provider_error: ProviderError | None = None
    confirmation: str | None = None
    account: str | None = None

    @property
    def may_try_again(self) -> bool:
        """Return whether the same request can be answered once more."""
        request = self.request
        if request is None:
            return False
        is_sent_once = self.page == "waiting" and request.form_post
        came_to_nothing = self.page in _RETRYABLE_PAGES and request.phase is Phase.FAILED
        return (is_sent_once or came_to_nothing) and not request.is_used_up

    @property
    def is_the_end(self) -> bool:
        """Return whether no other answer to the request is expected."""
        if self.request is None or self.page in {*RELOADED_PAGES, "refused"}:
            return False
        return not self.may_try_again

    @property
    def return_to(self) -> str | None:
        """Return the URL at which the application wants its user back, with the outcome; None if it gave none."""
        request = self.request
        if request is None or request.return_to is None:
            return None
        if self.page not in _GOOD_ENDS and self.error is None:
            return None
        about = {"connection_id": request.connection_id, "request_id": request.request_id}
        result = {"error": self.error} if self.error else {"status": self.page}
        if self.confirmation is not None:
            result["confirmation"] = self.confirmation
        return with_query(request.return_to, about | result)

    @classmethod
    def unconfirmed(cls, request: AuthorizationRequest, waiting: StoredSet, browser: BrowserBinding) -> Outcome:
        """Return the outcome of a request whose tokens wait to be confirmed with what this visit can tell.

        Another visit of the same link, in the same browser, could not tell it.
        """
        pending, confirmation = waiting.pending, browser.confirmation
        if pending is None or not hmac.compare_digest(pending.confirmation or "", confirmation_hash(confirmation)):
            return cls("already", request.provider, request=request)
        return cls("unconfirmed", request.provider, request=request, confirmation=confirmation)

    @classmethod
    def connected(cls, request: AuthorizationRequest, connection: Connection) -> Outcome:
        """Return the outcome of a request whose tokens are the connection's own."""
        known = connection.metadata or {}
        account = next((known[name] for name in request.account_name or () if known.get(name)), None)
        return cls("connected", request.provider, request=request, account=account)

    @classmethod
    def failed(
        cls,
        request: AuthorizationRequest,
        error: str,
        failure: GatehouseError | None = None,
        provider_error: ProviderError | None = None,
    ) -> Outcome:
        """Return the outcome of a request that failed: the person declined, or something went wrong."""
        return cls(page_of(error), request.provider, error, error, request, failure, provider_error)


def page_of(error: str) -> str:
    """Return the page for an error: that a person declined is not a failure."""
    return "denied" if error == "access_denied" else "failed"

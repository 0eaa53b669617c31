"""How a browser's visit can end."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from functions.vault.base.record import record
from functions.vault.grant.life import Place

from .authorization import Phase, with_query

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError, ProviderError
    from functions.vault.grant.connection import Connection

    from .authorization import AuthorizationRequest


SUBJECT_MISMATCH = "subject_mismatch"
"""What the application is told of a consent that was given with another account than the connection is to."""


LOOKS_AGAIN = frozenset({"unfinished", "waiting"})
"""The pages that are not the end of a visit: the browser looks again, and the application is told nothing yet."""

_TRIES_AGAIN = frozenset({"denied", "failed"})
"""The pages of a visit that came to nothing, while its request may still come to something."""


_LONGEST_EXCHANGE = 60.0
"""Seconds after which a consumed request without an outcome is taken for dead: twice what a function may run for."""


class Became(Enum):
    """What became of a request whose code was taken."""

    CONNECTED = auto()

    REPLACED = auto()
    """The connection was connected by another link since: this one was used, and no more can be said of it."""

    UNDER_WAY = auto()

    LOST = auto()
    """Whoever had it in hand is gone, and left nothing."""


def became_of(request: AuthorizationRequest, connection: Connection | None, now: float) -> Became:
    """Return what became of a consumed request: the connection as it is now is the record of a success."""
    consumed_at = request.consumed_at or 0
    has_time_left = now < consumed_at + _LONGEST_EXCHANGE
    if connection is not None:
        if connection.authorized_by == request.request_id:
            return Became.CONNECTED
        if waits(connection, request):
            return Became.UNDER_WAY
        was_replaced = any(each.request_id == request.request_id for each in connection.sets)
        # In the second in which this one was taken, the other may have come before it or after it.
        since = consumed_at + 1 if has_time_left else consumed_at
        if was_replaced or (connection.authorized_at or 0) >= since:
            return Became.REPLACED
    return Became.UNDER_WAY if has_time_left else Became.LOST


def waits(connection: Connection, request: AuthorizationRequest) -> bool:
    """Tell whether the tokens of a request wait for their account."""
    return any(each.request_id == request.request_id for each in connection.in_place(Place.PENDING))


@record
class Outcome:
    """How a browser's visit ended: `page` is the page to show, `error` the application's code, None on success.

    `request` is the one that it was about, where the browser has shown that it is its own. `failure` is what it came
    of, where an operator may have to look into it, and `said` what a server said with its no: both are for the log, and
    for nobody's page.
    """

    page: str
    provider: str | None = None
    error: str | None = None
    reason: str | None = None
    request: AuthorizationRequest | None = None
    failure: GatehouseError | None = None
    said: ProviderError | None = None

    @property
    def may_try_again(self) -> bool:
        """Tell whether the same request can be answered once more."""
        request = self.request
        if request is None:
            return False
        is_sent_once = self.page == "waiting" and request.form_post
        came_to_nothing = self.page in _TRIES_AGAIN and request.phase is Phase.FAILED
        return (is_sent_once or came_to_nothing) and not request.is_used_up

    @property
    def is_the_end(self) -> bool:
        """Tell whether no other answer to the request is waited for."""
        if self.request is None or self.page in {*LOOKS_AGAIN, "refused"}:
            return False
        return not self.may_try_again

    @property
    def return_to(self) -> str | None:
        """Return where the application wants its user back, with the outcome; None where it did not say."""
        request = self.request
        if request is None or request.return_to is None:
            return None
        if self.page != "connected" and self.error is None:
            return None
        about = {"connection_id": request.connection_id, "request_id": request.request_id}
        result = {"error": self.error} if self.error else {"status": "connected"}
        return with_query(request.return_to, about | result)

    @classmethod
    def failed(
        cls,
        request: AuthorizationRequest,
        error: str,
        failure: GatehouseError | None = None,
        said: ProviderError | None = None,
    ) -> Outcome:
        """Return the outcome of a request that came to nothing: the person said no, or something went wrong."""
        return cls(page_of(error), request.provider, error, error, request, failure, said)


def page_of(error: str) -> str:
    """Return the page that tells of an error: a no is not a failure."""
    return "denied" if error == "access_denied" else "failed"

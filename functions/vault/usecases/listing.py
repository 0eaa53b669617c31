"""What callers can read about connections: everything but their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base.cursor import cursor_of, unverified_place
from functions.vault.base.errors import (
    ConfirmationExpired,
    ConnectionNotFound,
    InvalidRequest,
    ServerError,
    TemporarilyUnavailable,
)
from functions.vault.base.fields import CONNECTION_ID, matches
from functions.vault.base.record import plain, record
from functions.vault.grant.connection import REAUTHORIZATION
from functions.vault.grant.life import Status
from functions.vault.storage.connection_item import summary_of
from functions.vault.storage.listed import listed_as, lists_for
from functions.vault.storage.shared import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.last_attempt import LastAttempt
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.storage.authorizations import Authorizations
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.shared import Shared

DEFAULT_LIMIT = 50


@record
class Listing:
    """The use case `connections`."""

    connections: Connections
    authorizations: Authorizations
    shared: Shared
    timing: Timing

    def one(self, connection_id: str, narrowing: Narrowing | None = None) -> dict[str, Any]:
        """Return `{connection}`."""
        connection, now = self.connections.require(connection_id, narrowing), self.timing.now()
        seen = view(connection_id, summary_of(connection), now)
        alone = {
            "client_id": _client_of(connection),
            "left_alone": _left_alone(connection, self._standing(connection.provider), now),
            "last_attempt": _last_attempt_of(connection),
        }
        return {"connection": {**seen, **alone}}

    def _standing(self, provider: str) -> Standing:
        try:
            return self.shared.standing(provider)
        except TemporarilyUnavailable:
            return Standing()  # the connection is what was asked for

    def attempt(self, request_id: str, narrowing: Narrowing | None = None) -> dict[str, Any]:
        """Return `{last_attempt}`: how the latest response to an authorization request ended; None before the first."""
        request = self.authorizations.get(request_id)
        if request is not None and narrowing is not None:
            request = request if narrowing.includes(request.connection_id, request.owner) else None
        if request is None:
            raise ConnectionNotFound(
                "No authorization request has this id: it is wrong, or of more than a day ago. "
                "request_id is what start has answered."
            )
        return {"last_attempt": self._attempt_of(request)}

    def _attempt_of(self, request: AuthorizationRequest) -> dict[str, Any] | None:
        from functions.vault.oauth.authorization import Phase  # noqa: PLC0415 - few ask for a request; so below
        from functions.vault.oauth.visit_outcome import Became, became_of  # noqa: PLC0415

        if request.phase is not Phase.CONSUMED or request.outcome is not None:
            return None if request.last_attempt is None else view_of_attempt(request.last_attempt)
        about = {"request_id": request.request_id, "at": request.consumed_at}
        outcomes: dict[Became, dict[str, str]] = {
            Became.CONNECTED: {"outcome": "connected"},
            Became.UNCONFIRMED: {"outcome": "unconfirmed"},
            Became.RAN_OUT: {"outcome": "failed", "error": ConfirmationExpired.code},
            Became.REPLACED: {"outcome": "replaced"},
            Became.UNDER_WAY: {"outcome": "unfinished"},
            Became.LOST: {"outcome": "failed", "error": ServerError.code},
        }
        became = became_of(request, self.connections.get(request.connection_id), self.timing.now())
        return {**about, **outcomes[became]}

    def page(self, filters: dict[str, Any], limit: int, cursor: str | None) -> dict[str, Any]:
        """Return `{connections, cursor?}`: up to `limit` that match, and a cursor if there are more."""
        found, last = self.connections.page(filters, limit, _start(cursor, filters) if cursor else None)
        now = self.timing.now()
        page: dict[str, Any] = {"connections": [view(summary["connection_id"], summary, now) for summary in found]}
        if last is not None:
            page["cursor"] = cursor_of(last)
        return page


def view(connection_id: str, summary: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return a connection as callers see it, from its summary: nothing that only Gatehouse itself needs."""
    failure, needs_from = summary.get("failure"), summary.get("needs_from")
    ends_soon = needs_from is not None and now >= needs_from
    as_stored = {name: summary.get(name) for name in _AS_STORED}
    return {
        "connection_id": connection_id,
        **as_stored,
        "status": str(summary["status"]),
        "needs": REAUTHORIZATION if ends_soon else summary.get("needs"),
        "refreshable": bool(summary.get("refreshable")) and summary["status"] == Status.ACTIVE,
        "scope_missing": list(summary.get("scope_missing", ())),
        **{name: summary.get(name) or {} for name in ("metadata", "parameters", "tags")},
        "failure": failure and _view_of_failure(failure),
    }


_AS_STORED = (
    "provider",
    "version",
    "scope",
    "requested_scope",
    "token_type",
    "expires_at",
    "refresh_expires_at",
    "subject",
    "client_secret_used",
    "owner",
    "created_at",
    "updated_at",
    "refreshed_at",
)


def _client_of(connection: Connection) -> str | None:
    """Return the client whose tokens are in use, or wait to be; None if there are none, or nobody knows."""
    tokens = connection.to_refresh or connection.unconfirmed or connection.waits_first
    return tokens.whose.client_id if tokens is not None else None


def _left_alone(connection: Connection, standing: Standing, now: float) -> dict[str, int] | None:
    """Return when a provider that is left alone was asked last, and when it is asked next; None if it is not.

    It is because of this connection's last failure or refusal, or because work on several connections has failed.
    """
    used, failure = connection.to_refresh, connection.failure
    pauses = [(standing.asked_at, standing.alone_until)]
    pauses += [(failure.at, failure.retry_at)] if failure is not None else []
    if connection.is_believed_dead and used is not None and used.belief is not None:
        # While it is looked at, its time is that by which the look has ended.
        pauses.append((min(used.belief.asked_at, int(now)), used.belief.next_at or 0))
    in_force = [(asked_at or 0, next_at) for asked_at, next_at in pauses if now < next_at]
    if not in_force:
        return None
    return {"asked_at": max(asked_at for asked_at, _ in in_force), "next_at": max(next_at for _, next_at in in_force)}


def _last_attempt_of(connection: Connection) -> dict[str, Any] | None:
    """Return how the latest attempt to connect it ended: a failure since it was connected, or the success itself."""
    if (attempt := connection.last_attempt) is not None and attempt.at >= (connection.authorized_at or 0):
        return view_of_attempt(attempt)
    if connection.authorized_by is None:
        return None
    return {"request_id": connection.authorized_by, "at": connection.authorized_at, "outcome": "connected"}


def view_of_attempt(attempt: LastAttempt) -> dict[str, Any]:
    """Return an attempt as callers see it."""
    return {name: value for name, value in plain(attempt).items() if value is not None}


def _view_of_failure(failure: Mapping[str, Any]) -> dict[str, Any]:
    said = failure.get("provider_error")
    return {
        **{name: failure[name] for name in ("code", "description", "count", "at", "retry_at")},
        "provider_error": said and {name: said.get(name) for name in ("error", "error_description", "status")},
    }


def _start(cursor: str, filters: dict[str, Any]) -> dict[str, str]:
    """Return the key that a cursor stands for. Gatehouse made it, but a caller sends it: its form is checked."""
    key = unverified_place(cursor)
    # The table would answer an empty or endless key with an error that looks like a defect of ours.
    if (
        not isinstance(key, dict)
        or not all(isinstance(value, str) for value in key.values())
        or not _fits(key, filters)
    ):
        raise InvalidRequest("cursor: expected the cursor of an earlier page of this same list.")
    return dict(key)


def _fits(key: Mapping[str, str], filters: Mapping[str, Any]) -> bool:
    """Return whether a key is one of the table, or of one of the lists that are read for `filters`."""
    lists = lists_for(filters)
    if lists and key.get("listed_in") not in lists:
        return False
    if lists and key.keys() == {"listed_in"}:
        return True
    if key.keys() != ({"connection_id", "listed_in", "listed_as"} if lists else {"connection_id"}):
        return False
    connection_id = key["connection_id"]
    if not matches(connection_id, CONNECTION_ID):
        return False
    if "owner" in filters:
        return key["listed_as"] == listed_as(filters["owner"], connection_id)
    # A digest does not show which owner it is of.
    return not lists or matches(key["listed_as"].removesuffix(f" {connection_id}"), _DIGEST)


_DIGEST = "-|[0-9a-f]{32}"

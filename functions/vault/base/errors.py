"""All errors that callers can get: one small tree with a stable code for each branch.

`web.handlers` turns them into Invoke results and HTTP answers. Descriptions are written by Gatehouse; what an
authorization server answered is kept apart in a `ProviderError`, already shortened and cleaned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .record import record

if TYPE_CHECKING:
    from collections.abc import Mapping


@record
class ProviderError:
    """What an authorization server answered: `error`, `error_description` (RFC 6749 section 5.2), the HTTP status."""

    error: str
    error_description: str | None
    status: int | None

    @classmethod
    def from_item(cls, stored: Mapping[str, Any]) -> ProviderError:
        """Return the error that a record has."""
        return cls(stored["error"], stored.get("error_description"), stored.get("status"))

    def as_dict(self) -> dict[str, Any]:
        """Return the `provider_error` object of a failure result."""
        return {"error": self.error, "error_description": self.error_description, "status": self.status}


class GatehouseError(Exception):
    """A failure that is an ordinary result: a code, a description for a person, whether the call may succeed later.

    `retry_after` is in whole seconds from now. `asked_at` is when the provider was asked last (Unix seconds), if this
    failure is remembered: until it is asked again, everybody gets what came of that.
    """

    code: ClassVar[str] = "server_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        description: str,
        *,
        connection_id: str | None = None,
        retry_after: int | None = None,
        provider_error: ProviderError | None = None,
    ) -> None:
        super().__init__(description)
        self.description = description
        self.connection_id = connection_id
        self.retry_after = retry_after
        self.provider_error = provider_error
        self.asked_at: int | None = None

    @property
    def sent_nothing(self) -> bool:
        """Return whether no request can have reached an authorization server."""
        return False

    def about(self, connection_id: str) -> GatehouseError:
        """Return this error with the connection that it is about."""
        self.connection_id = connection_id
        return self

    def met_while(self, step: str, host: str) -> None:
        """Note which request met this: what it was for, and the host that it went to."""
        self.description = f"{step} at {host}: {self.description[:1].lower()}{self.description[1:]}"

    def as_result(self) -> dict[str, Any]:
        """Return the failure object that every Invoke caller and `POST /v1/...` caller gets."""
        result: dict[str, Any] = {
            "error": self.code,
            "error_description": self.description,
            "retryable": self.retryable,
        }
        if self.retry_after is not None:
            result["retry_after"] = self.retry_after
        if self.asked_at is not None:
            result["asked_at"] = self.asked_at
        if self.connection_id is not None:
            result["connection_id"] = self.connection_id
        if self.provider_error is not None:
            result["provider_error"] = self.provider_error.as_dict()
        return result


class InvalidRequest(GatehouseError):
    """The caller's input, named field by field."""

    code = "invalid_request"
    http_status = 400


class UnknownProvider(GatehouseError):
    """No such provider is configured."""

    code = "unknown_provider"
    http_status = 404


class ConnectionNotFound(GatehouseError):
    """Never authorized, or unknown."""

    code = "connection_not_found"
    http_status = 404

    @classmethod
    def with_id(cls, connection_id: str) -> ConnectionNotFound:
        """Return the error for an id. It is the same if the caller may not know that there is such a connection."""
        return cls(
            "No connection has this id: it was never authorized, or the id is wrong.", connection_id=connection_id
        )


class ConfirmationRequired(GatehouseError):
    """Authorized by the user, not yet vouched for by the application."""

    code = "confirmation_required"
    http_status = 409
    retryable = True


class ConfirmationInvalid(GatehouseError):
    """Not what the tokens that wait were to be confirmed with: wrong, used, or of another connection or owner."""

    code = "confirmation_invalid"
    http_status = 409


class ConfirmationExpired(GatehouseError):
    """Nobody has confirmed the tokens in time."""

    code = "confirmation_expired"
    http_status = 409


class ReauthorizationRequired(GatehouseError):
    """The grant is dead: only a new authorization helps.

    `after_loss`: the answer to an earlier request with the same token was lost, and may have replaced it.
    `is_final`: the server named a cause that it cannot be wrong about, a revocation or a second use.
    """

    code = "reauthorization_required"
    http_status = 409
    after_loss: bool = False

    def __init__(self, description: str, *, is_final: bool = False, **evidence: Any) -> None:
        super().__init__(description, **evidence)
        self.is_final = is_final


class ConnectionRevoked(GatehouseError):
    """The connection was ended on purpose."""

    code = "connection_revoked"
    http_status = 410


class ProviderMisconfigured(GatehouseError):
    """The operator's fault (credentials, endpoints, registration). It never marks a connection dead.

    `refuses_client`: the server refuses the client, so that another of its secrets may be the right one.
    `refused_first`: it has looked at nothing else of the request before that.
    """

    code = "provider_misconfigured"
    http_status = 502

    def __init__(
        self, description: str, *, refuses_client: bool = False, refused_first: bool = False, **evidence: Any
    ) -> None:
        super().__init__(description, **evidence)
        self.refuses_client = refuses_client
        self.refused_first = refused_first


class LastingRefusal(ProviderMisconfigured):
    """A lasting refusal for an unknown reason: the operator's fault, or a dead grant. To connect again shows which."""


class ProviderThrottled(GatehouseError):
    """The server asked us to slow down, or takes no more requests at a time."""

    code = "provider_throttled"
    http_status = 503
    retryable = True


class SlotsTaken(ProviderThrottled):
    """As many requests as the provider takes at a time are under way: ours was not sent.

    Callers may try again after two to nine seconds, spread by a `jitter` from 0 to 1: not all at once.
    """

    def __init__(self, jitter: float) -> None:
        super().__init__(
            "As many requests as the authorization server takes at a time are under way: try again.",
            retry_after=2 + int(8 * jitter),
        )


class ProviderUnavailable(GatehouseError):
    """Network, 5xx, or an answer that is not OAuth.

    `outcome_unknown`: the request may have taken effect at the server although no answer came.
    """

    code = "provider_unavailable"
    http_status = 503
    retryable = True

    def __init__(self, description: str, *, outcome_unknown: bool = False, **evidence: Any) -> None:
        super().__init__(description, **evidence)
        self.outcome_unknown = outcome_unknown

    @property
    def sent_nothing(self) -> bool:
        """Return whether no request can have reached an authorization server: no answer came, and none was lost."""
        return self.provider_error is None and not self.outcome_unknown


class ProviderTimedOut(ProviderUnavailable):
    """No answer came in time, although the connection stood: the server may still be at work on the request."""

    def __init__(self, description: str, **evidence: Any) -> None:
        super().__init__(description, outcome_unknown=True, **evidence)


class UnknownRefusal(ProviderUnavailable):
    """The server refused a refresh for an unknown reason: a dead grant, our own fault, or one that will pass."""


class RevocationRefused(ProviderUnavailable):
    """The server has looked at a token and does not revoke it: it may have nothing left to revoke."""


class TokenTypeNotRevoked(RevocationRefused):
    """The server revokes no tokens of this type (`unsupported_token_type`, RFC 7009 section 2.2.1)."""


class TemporarilyUnavailable(GatehouseError):
    """AWS throttles or fails, or a refresh in flight outlasted the caller's time."""

    code = "temporarily_unavailable"
    http_status = 503
    retryable = True

    @property
    def sent_nothing(self) -> bool:
        """Return whether no request can have reached an authorization server: it is raised before one is sent."""
        return True


class AnswerMayCome(TemporarilyUnavailable):
    """An earlier refresh was interrupted, and the rescue queue may hold its answer: nothing was sent."""

    def __init__(self) -> None:
        super().__init__(
            "An earlier refresh was interrupted, and its tokens may be on their way into the record: try again.",
            retry_after=5,
        )


class TooLittleTime(TemporarilyUnavailable):
    """The caller's time does not suffice. That is no failure of the server that was not asked for lack of time."""


class ServerError(GatehouseError):
    """A defect of ours; the details are in the log only."""


BY_CODE: dict[str, type[GatehouseError]] = {
    error.code: error
    for error in (
        InvalidRequest,
        UnknownProvider,
        ConnectionNotFound,
        ConfirmationRequired,
        ConfirmationInvalid,
        ConfirmationExpired,
        ReauthorizationRequired,
        ConnectionRevoked,
        ProviderMisconfigured,
        ProviderThrottled,
        ProviderUnavailable,
        TemporarilyUnavailable,
        ServerError,
    )
}

"""Everything that Gatehouse says no with: one small tree, a stable code for each branch.

`edge` turns these into Invoke results and HTTP answers in one place. A description is written by Gatehouse; what a
server said travels apart in `ProviderError`, already cut and cleaned.
"""

from __future__ import annotations

from typing import Any, ClassVar

from .record import record


@record
class ProviderError:
    """What an authorization server answered: `error`, `error_description` (RFC 6749 section 5.2), the HTTP status."""

    error: str
    error_description: str | None
    status: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return the `provider_error` object of a failure result."""
        return {"error": self.error, "error_description": self.error_description, "status": self.status}


class GatehouseError(Exception):
    """A failure that is an ordinary result: a code, a description for a person, whether the call may succeed later.

    `retry_after` is in whole seconds from now.
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

    @property
    def sent_nothing(self) -> bool:
        """Tell whether no request can have reached an authorization server."""
        return False

    def about(self, connection_id: str) -> GatehouseError:
        """Return this same error, saying which connection it is about."""
        self.connection_id = connection_id
        return self

    def as_result(self) -> dict[str, Any]:
        """Return the failure object that every Invoke caller and `POST /v1/...` caller gets."""
        result: dict[str, Any] = {
            "error": self.code,
            "error_description": self.description,
            "retryable": self.retryable,
        }
        if self.retry_after is not None:
            result["retry_after"] = self.retry_after
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


class ConfirmationRequired(GatehouseError):
    """Authorized by the user, not yet vouched for by the application."""

    code = "confirmation_required"
    http_status = 409
    retryable = True


class ReauthorizationRequired(GatehouseError):
    """The grant is dead: only a new authorization helps.

    `after_loss` says that the answer to an earlier request with the same token was lost, and may have replaced it;
    `is_final` that the server named a cause that it cannot be wrong about: its revocation, or a second use.
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

    `refuses_client` says that the server refuses who asks, so that another secret of the client may be the right one;
    `refused_first` that it has looked at nothing else of the request before that.
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
    """An unknown refusal that has lasted: the operator's fault, or the grant's end. Connecting again shows which."""


class ProviderThrottled(GatehouseError):
    """The server asked us to slow down, or takes no more requests at a time."""

    code = "provider_throttled"
    http_status = 503
    retryable = True


class SlotsTaken(ProviderThrottled):
    """As many requests as the provider takes at a time are under way: ours was not sent.

    Who got no slot is told to come again in two to nine seconds, by a `jitter` from 0 to 1: not all at once.
    """

    def __init__(self, jitter: float) -> None:
        super().__init__(
            "As many requests as the authorization server takes at a time are under way: try again.",
            retry_after=2 + int(8 * jitter),
        )


class ProviderUnavailable(GatehouseError):
    """Network, 5xx, or an answer that is not OAuth.

    `outcome_unknown` says that the request may have taken effect at the server although no answer came.
    """

    code = "provider_unavailable"
    http_status = 503
    retryable = True

    def __init__(self, description: str, *, outcome_unknown: bool = False, **evidence: Any) -> None:
        super().__init__(description, **evidence)
        self.outcome_unknown = outcome_unknown

    @property
    def sent_nothing(self) -> bool:
        """Tell whether no request can have reached an authorization server: it has no answer, and none was lost."""
        return self.provider_error is None and not self.outcome_unknown


class ProviderTimedOut(ProviderUnavailable):
    """No answer came in time, although the connection stood: the server may be at work on the request still."""

    def __init__(self, description: str, **evidence: Any) -> None:
        super().__init__(description, outcome_unknown=True, **evidence)


class UnknownRefusal(ProviderUnavailable):
    """The server refused a refresh, and nobody knows whether that is the grant's end, our fault or will pass."""


class RevocationRefused(ProviderUnavailable):
    """The server has looked at a token and does not end it: it may have nothing left to end."""


class TokenTypeNotRevoked(RevocationRefused):
    """The server revokes no tokens of this type (`unsupported_token_type`, RFC 7009 section 2.2.1)."""


class TemporarilyUnavailable(GatehouseError):
    """AWS throttles or fails, or a refresh in flight outlasted the caller's time."""

    code = "temporarily_unavailable"
    http_status = 503
    retryable = True

    @property
    def sent_nothing(self) -> bool:
        """Tell whether no request can have reached an authorization server: it is raised before one is sent."""
        return True


class TooLittleTime(TemporarilyUnavailable):
    """The caller's time does not suffice: that is no failure of whom there was no time to ask."""


class ServerError(GatehouseError):
    """A defect of ours; the details are in the log only."""


BY_CODE: dict[str, type[GatehouseError]] = {
    error.code: error
    for error in (
        InvalidRequest,
        UnknownProvider,
        ConnectionNotFound,
        ConfirmationRequired,
        ReauthorizationRequired,
        ConnectionRevoked,
        ProviderMisconfigured,
        ProviderThrottled,
        ProviderUnavailable,
        TemporarilyUnavailable,
        ServerError,
    )
}

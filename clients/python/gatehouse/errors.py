"""What can go wrong: one class for each error code of Gatehouse, and three for calls that it never answered.

Every one is a `GatehouseError`. None holds a token, a secret or a confirmation, in its text or in its attributes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class GatehouseError(Exception):
    """Gatehouse said no, or did not answer.

    `error` is the code, `description` is for a person, and `retryable` says whether the same call may succeed later:
    in `retry_after` seconds, if that is known. `connection_id` is the connection, if the failure is about one.
    `provider_error` is what the provider said: `{"error": ..., "error_description": ..., "status": ...}`. `asked_at`
    (Unix seconds) is when it was asked last: Gatehouse answers from that until `retry_after` is over.
    """

    error: str = "server_error"
    retryable: bool = False

    def __init__(
        self,
        description: str,
        *,
        retry_after: float | None = None,
        connection_id: str | None = None,
        provider_error: Mapping[str, Any] | None = None,
        asked_at: int | None = None,
    ) -> None:
        super().__init__(description)
        self.description = description
        self.retry_after = retry_after
        self.connection_id = connection_id
        self.provider_error = provider_error
        self.asked_at = asked_at

    def __str__(self) -> str:
        about = f" (connection {self.connection_id})" if self.connection_id else ""
        return f"{self.error}: {self.description}{about}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Let an error be pickled: those who work with processes get it whole."""
        return _unpickled, (type(self), self.description, self.__dict__)


def _unpickled(kind: type[GatehouseError], description: str, facts: dict[str, Any]) -> GatehouseError:
    error = kind(description)
    error.__dict__.update(facts)
    return error


class InvalidRequest(GatehouseError):
    """A field of the request is wrong; the description names each. Correct the call."""

    error = "invalid_request"


class UnknownProvider(GatehouseError):
    """No provider of that name is configured. Register it, or correct the name."""

    error = "unknown_provider"


class NotConnected(GatehouseError):
    """There is no grant: the customer has to connect. Call `start`, and send them to its `authorize_url`.

    It is never raised as such: catch it for `ConnectionNotFound`, `ReauthorizationRequired` and `ConnectionRevoked`.
    """


class ConnectionNotFound(NotConnected):
    """Never authorized, or the id is wrong; or this client's path does not include it."""

    error = "connection_not_found"


class ReauthorizationRequired(NotConnected):
    """The grant is dead: consent withdrawn, refresh token expired or refused. `start` with the same id."""

    error = "reauthorization_required"


class ConnectionRevoked(NotConnected):
    """`revoke` has ended the connection. `start`, if the customer wants to reconnect."""

    error = "connection_revoked"


class ConfirmationRequired(GatehouseError):
    """The customer consented, and your application has not called `confirm` yet."""

    error = "confirmation_required"
    retryable = True


class ConfirmationInvalid(GatehouseError):
    """The confirmation is wrong, was used, or is of another request, connection or owner."""

    error = "confirmation_invalid"


class ConfirmationExpired(GatehouseError):
    """The confirmation came more than ten minutes after the consent. `start` again."""

    error = "confirmation_expired"


class ProviderMisconfigured(GatehouseError):
    """The provider refuses the client id, the secret or an endpoint. The operator corrects the registration."""

    error = "provider_misconfigured"


class ProviderThrottled(GatehouseError):
    """The provider limits our requests. Ask again in `retry_after` seconds."""

    error = "provider_throttled"
    retryable = True


class ProviderUnavailable(GatehouseError):
    """The provider has an outage, or does not answer in OAuth. Ask again in `retry_after` seconds."""

    error = "provider_unavailable"
    retryable = True


class TemporarilyUnavailable(GatehouseError):
    """AWS throttles, or another call's refresh outlasted this call. Ask again."""

    error = "temporarily_unavailable"
    retryable = True


class ServerError(GatehouseError):
    """A defect of Gatehouse; look for the request id in the function's log."""

    error = "server_error"


class NoAnswer(GatehouseError):
    """No answer came: the network failed, AWS did, or the time was over.

    `may_have_run` says whether Gatehouse may have got the call even so. If it is false, nothing has happened. If it is
    true, and `retryable` is not, a repeat could do harm: look at the connection before you make the call again.
    `may_harm` says that of this call: what can run twice is not retryable either where no connection is secure.
    """

    error = "no_answer"
    retryable = True

    def __init__(self, description: str, *, may_have_run: bool = True, **facts: Any) -> None:
        super().__init__(description, **facts)
        self.may_have_run = may_have_run
        self.may_harm = False


class NotAllowed(GatehouseError):
    """IAM does not let these credentials make this call; the description is AWS's."""

    error = "not_allowed"


class NotDeployed(GatehouseError):
    """There is no such function, or no such path, where this client looks for it."""

    error = "not_deployed"


BY_CODE: dict[str, type[GatehouseError]] = {
    kind.error: kind
    for kind in (
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
"""The codes of Gatehouse's contract, each with its class."""


def from_answer(failure: Mapping[str, Any]) -> GatehouseError:
    """Return the error that a failure answer is. A code of a newer Gatehouse becomes a plain `GatehouseError`."""
    code, provider_error = str(failure["error"]), failure.get("provider_error")
    error = BY_CODE.get(code, GatehouseError)(
        str(failure.get("error_description", "")),
        retry_after=_seconds(failure.get("retry_after")),
        connection_id=failure.get("connection_id"),
        provider_error=provider_error if isinstance(provider_error, Mapping) else None,
        asked_at=failure.get("asked_at"),
    )
    error.error = code
    retryable = failure.get("retryable")
    error.retryable = error.retryable if retryable is None else retryable is True
    return error


def _seconds(value: Any) -> float | None:
    """Return a time that somebody can wait for. Whatever else an answer has there says nothing of when to ask."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) and value > 0 else None

"""How Gatehouse calls AWS: one session, short timeouts, and one place that says which errors are temporary."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import create_credential_resolver
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's name
    HTTPClientError,
    NoCredentialsError,
)
from botocore.handlers import BUILTIN_HANDLERS

from functions.vault.base.errors import TemporarilyUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.credentials import Credentials

# A call that hangs must leave time for another try. `timing.CALL` is the longest that a call takes with these settings.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 2},
    tcp_keepalive=True,
    max_pool_connections=32,
)

ClientOf = Callable[[str], Any]

_TRANSIENT = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


SERVICES = frozenset({"dynamodb", "events", "kms", "secrets-manager", "sqs"})
"""The services that are called, by their names in botocore's events."""


def session_of(services: frozenset[str]) -> botocore.session.Session:
    """Return what boto3's clients of these services work with, without what botocore does for others.

    Nine in ten of its handlers are for a single service (most of them for S3) or write documentation. Registering them
    all is a twentieth of a cold start, and every call goes through them.
    """
    session = botocore.session.Session(include_builtin_handlers=False)
    for event, handler, *position in BUILTIN_HANDLERS:
        kind, _, rest = event.partition(".")
        is_needed = kind != "docs" and (not rest or rest.partition(".")[0] in {*services, "*"})
        if is_needed and not position:
            session.register(event, handler)
    return session


class Account:
    """The session of a process, and one client for each service, made when it is first used."""

    def __init__(self) -> None:
        session = session_of(SERVICES)
        self._credentials = _Credentials(session)
        session.register_component("credential_provider", self._credentials)
        self._session: Any = boto3.Session(botocore_session=session)
        self._made: dict[str, Any] = {}
        self._lock = Lock()

    def client_of(self, service: str) -> Any:
        """Return the client of a service."""
        with self._lock:
            if service not in self._made:
                self._made[service] = self._session.client(service, config=_CONFIG)
            return self._made[service]

    def forget(self) -> None:
        """Drop what a snapshot must not hold: credentials and connections."""
        with self._lock:
            self._credentials.forget()
            for client in self._made.values():
                client.close()


class _Credentials:
    """The credentials of the function's role, looked up for the first signature and not with the first client.

    So a snapshot of a function that has been loaded, but never called, has none. For botocore this is both the provider
    of the credentials and the credentials themselves.
    """

    def __init__(self, session: botocore.session.Session) -> None:
        self._session = session
        self._found: Credentials | None = None

    def load_credentials(self) -> _Credentials:
        return self

    def get_frozen_credentials(self) -> Any:
        return self._current().get_frozen_credentials()

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        return lambda: getattr(self._current(), name, None)

    def forget(self) -> None:
        self._found = None

    def _current(self) -> Credentials:
        found = self._found or create_credential_resolver(self._session).load_credentials()
        if found is None:
            raise NoCredentialsError
        self._found = found
        return found


def clients() -> ClientOf:
    """Return a function that returns the client of a service, made when it is first used."""
    return Account().client_of


def code_of(error: ClientError) -> str:
    """Return AWS's code of an error; empty if it has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def outages_are_temporary(service: str) -> Iterator[None]:
    """Turn throttling and outages of AWS into `TemporarilyUnavailable`. Any other error stays a defect."""
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code_of(error) in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TemporarilyUnavailable(
                f"{service} is throttling or unavailable: try again.", retry_after=1
            ) from error
        raise
    except (ConnectionError, HTTPClientError) as error:
        raise TemporarilyUnavailable(f"{service} cannot be reached: try again.", retry_after=1) from error


__all__ = ["Account", "BotoCoreError", "ClientError", "ClientOf", "clients", "code_of", "outages_are_temporary"]

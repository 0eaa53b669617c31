"""How Gatehouse talks to AWS: one session, deliberate timeouts, and one reading of what went wrong."""

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

# A call that hangs must leave time to try again, and a call at its worst is `timing.CALL`: the ladder counts on it.
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


SERVICES = frozenset({"dynamodb", "kms", "secrets-manager", "sqs"})
"""The services that are called, by the names that botocore gives them in events."""


def session_of(services: frozenset[str]) -> botocore.session.Session:
    """Return what boto3's clients of these services work with, without what botocore does for others.

    Nine in ten of its handlers are for one service each (S3, above all) or write documentation. To register them all is
    a twentieth of a cold start, and each call asks them.
    """
    session = botocore.session.Session(include_builtin_handlers=False)
    for event, handler, *position in BUILTIN_HANDLERS:
        kind, _, rest = event.partition(".")
        is_needed = kind != "docs" and (not rest or rest.partition(".")[0] in {*services, "*"})
        if is_needed and not position:
            session.register(event, handler)
    return session


class Account:
    """The one session of a process, and the one client of each service, made when it is first asked for."""

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
        """Keep nothing that a snapshot must not hold: no credentials, and no connections."""
        with self._lock:
            self._credentials.forget()
            for client in self._made.values():
                client.close()


class _Credentials:
    """The credentials of the function's role, looked up with the first signature and not with the first client.

    So a snapshot of a function that is ready, but has never been called, has none. It stands where botocore looks for
    whoever provides credentials, and for credentials.
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
    """Return a function that gives the one client of each service, made when it is first asked for."""
    return Account().client_of


def code_of(error: ClientError) -> str:
    """Return AWS's word for what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def outages_are_temporary(service: str) -> Iterator[None]:
    """Turn throttling and outages of AWS into `TemporarilyUnavailable`; everything else stays the defect that it is."""
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

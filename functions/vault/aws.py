"""How Gatehouse talks to AWS: one session, deliberate timeouts, and one reading of what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's name

from .errors import TemporarilyUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def clients() -> ClientOf:
    """Return a function that gives the one client of each service, made when it is first asked for."""
    session, made, lock = boto3.Session(), dict[str, Any](), Lock()

    def client_of(service: str) -> Any:
        with lock:
            if service not in made:
                made[service] = session.client(service, config=_CONFIG)  # type: ignore[call-overload]
            return made[service]

    return client_of


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


__all__ = ["BotoCoreError", "ClientError", "ClientOf", "clients", "code_of", "outages_are_temporary"]

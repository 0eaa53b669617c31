"""What the tests of the client share. They run against the wheel, installed: what it left out is not there."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.clients import installed

if os.environ.get("GATEHOUSE_CLIENT") != "source":
    sys.path.insert(0, str(installed.packages()))

from gatehouse import Gatehouse
from gatehouse.invoke import Invoke
from tests.clients.services import LambdaService, Time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEYS = boto3.Session(aws_access_key_id="key", aws_secret_access_key="key", region_name="us-east-1")


@pytest.fixture(scope="session")
def running_service() -> Iterator[tuple[LambdaService, Any]]:
    """Run a Lambda service, and make the client of it that a `Gatehouse` makes for itself: that takes longest."""
    with LambdaService({}) as running:
        # The tests of other folders in this process call other services.
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("AWS_ENDPOINT_URL_LAMBDA", running.url)
            connected = Invoke("gatehouse", session=KEYS).connect()
        yield running, connected


@pytest.fixture
def service(running_service: tuple[LambdaService, Any]) -> LambdaService:
    """Give the Lambda service, which has not been called. What it answers, the test says."""
    running_service[0].reset()
    return running_service[0]


@pytest.fixture
def time() -> Time:
    """Give a clock that only pauses move."""
    return Time()


@pytest.fixture
def client_of(running_service: tuple[LambdaService, Any], time: Time) -> Callable[..., Any]:
    """Make clients that call that service, by that clock. They have the connection to AWS in common, and no token."""

    def made(kind: type[Any] = Gatehouse, **options: Any) -> Any:
        by = {"session": KEYS} if "url" in options else {"client": running_service[1]}
        return kind(**{"timing": time.timing, **by, **options})

    return made

"""One demo server for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.demo import DemoServer
from tests.flows.demo_server.applications import Clock, Standard, UltraCart

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def clock() -> Clock:
    """The server's time."""
    return Clock()


@pytest.fixture(scope="session")
def running(clock: Clock) -> Iterator[DemoServer]:
    """One server for all."""
    with DemoServer(clock) as server:
        yield server


@pytest.fixture
def server(running: DemoServer) -> DemoServer:
    """The server without faults and with an empty record."""
    running.reset()
    return running


@pytest.fixture
def ultracart(server: DemoServer) -> UltraCart:
    """An application registered with UltraCart."""
    return UltraCart(server)


@pytest.fixture(params=["standard", "openid"])
def standard(request: pytest.FixtureRequest, server: DemoServer) -> Standard:
    """An application at either issuer."""
    return Standard(server, request.param)

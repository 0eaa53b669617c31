"""AWS for the unit tests: moto behind a lock, dynalite beside it, and the tables of the template."""

import uuid
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config

from functions.vault.oauth.client import Client
from functions.vault.storage.authorizations import Authorizations
from functions.vault.storage.aws import ClientOf
from functions.vault.storage.connections import Connections
from functions.vault.storage.shared import Shared
from local.aws import cloudformation
from local.aws.account import EmulatedAws
from local.aws.tables import create_tables
from local.base.environment import isolation
from local.stack import TEMPLATE
from tests.unit.recording_server import WALL, Server
from tests.unit.samples import NOW


def client_of(endpoint: str) -> ClientOf:
    """Return a function that returns boto3's client of a service at `endpoint`, without retries."""

    @cache
    def of(service: str) -> Any:
        with isolation({}):
            config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
            return boto3.client(service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]

    return of


@pytest.fixture(scope="session")
def aws() -> Iterator[ClientOf]:
    """Give the clients of an emulated account."""
    end = EmulatedAws()
    end.start()
    yield client_of(end.url)
    end.close()


@pytest.fixture(scope="session")
def table_definitions() -> dict[str, Any]:
    """Give the definitions of the tables as they are deployed, from the template."""
    with isolation({}):
        return dict(cloudformation.table_definitions(cloudformation.load(TEMPLATE)))


@pytest.fixture(scope="session", params=["moto", pytest.param("dynalite", marks=pytest.mark.needs_node)])
def engine(request: pytest.FixtureRequest) -> ClientOf:
    """Give a DynamoDB. A test that uses it runs on each engine."""
    if request.param == "moto":
        moto: ClientOf = request.getfixturevalue("aws")
        return moto
    return client_of(request.getfixturevalue("dynalite"))


def new_tables(engine: ClientOf, definitions: dict[str, Any], *logical_ids: str) -> list[str]:
    """Create these tables, new and empty, and return their names."""
    names = {logical_id: f"{logical_id}-{uuid.uuid4().hex}" for logical_id in logical_ids}
    with isolation({}):
        create_tables(engine("dynamodb").meta.endpoint_url, {name: definitions[name] for name in names}, names)
    return list(names.values())


@pytest.fixture
def shared_table(engine: ClientOf, table_definitions: dict[str, Any]) -> str:
    """Give the name of a new, empty table of what connections share."""
    (name,) = new_tables(engine, table_definitions, "SharedTable")
    return name


@pytest.fixture
def shared(engine: ClientOf, shared_table: str) -> Shared:
    """Give that table as one process uses it."""
    return Shared(engine, shared_table)


@pytest.fixture
def connections(engine: ClientOf, table_definitions: dict[str, Any]) -> Connections:
    """Give an empty table of connections."""
    (name,) = new_tables(engine, table_definitions, "ConnectionsTable")
    return Connections(engine, name)


@pytest.fixture
def authorizations(engine: ClientOf, table_definitions: dict[str, Any]) -> Authorizations:
    """Give an empty table of authorization requests."""
    (name,) = new_tables(engine, table_definitions, "AuthorizationsTable")
    return Authorizations(engine, name)


@pytest.fixture
def server() -> Server:
    """Return a server that issues tokens."""
    return Server()


@pytest.fixture
def client(server: Server) -> Client:
    """Return a client of it, at the time `NOW`."""
    return Client(server, lambda: NOW, wall_clock=lambda: WALL)


@pytest.fixture
def new_key(aws: ClientOf) -> Callable[[], str]:
    """Make KMS keys, and give their ARNs."""
    return lambda: str(aws("kms").create_key()["KeyMetadata"]["Arn"])

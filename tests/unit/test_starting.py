"""Opening a request: for whom, by which URL, and whatever becomes of the write."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import InvalidRequest, TemporarilyUnavailable
from functions.vault.grant.failure import Failure
from functions.vault.grant.life import Place, Status
from functions.vault.grant.revocation import Revocation
from functions.vault.storage.authorizations import Authorizations
from tests.unit.samples import NOW, authorization_request, registration, sealed_tokens
from tests.unit.services import MemoryServices, aws_error

if TYPE_CHECKING:
    from functions.vault.grant.stored_set import StoredSet


@pytest.fixture
def services() -> MemoryServices:
    """Give services."""
    return MemoryServices()


class RepeatingDynamoDB:
    """A table whose answers are lost once, behind an SDK that then sends the write again."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        """Write it twice."""
        for _ in range(2):
            request_id = arguments["Item"]["request_id"]["S"]
            if "ConditionExpression" in arguments and request_id in self.items:
                raise aws_error("ConditionalCheckFailedException", "PutItem")
            self.items[request_id] = arguments["Item"]
        return {}


def test_a_write_whose_answer_was_lost_is_no_defect(services: MemoryServices) -> None:
    """DynamoDB acted, its answer was lost, the SDK sends it again: the caller gets the link even so."""
    table = RepeatingDynamoDB()
    starting = replace(services.starting, authorizations=Authorizations(lambda _service: table, "authorizations"))

    result = starting.start({"provider": "acme", "connection_id": "merchant-1"}, services.deadline())

    request_id = result["authorize_url"].rpartition("/")[2].partition(".")[0]
    assert list(table.items) == [request_id]


def test_a_request_knows_the_connection_as_it_was(services: MemoryServices) -> None:
    """Its version and how often it was revoked: from these the callback sees what has happened since."""
    services.connect(version=3)
    services.connections.records["merchant-1"] = replace(services.stored(), revocations=2)

    services.starting.start({"provider": "acme", "connection_id": "merchant-1"}, services.deadline())

    (request,) = services.authorizations.records.values()
    assert (request.connection_version, request.connection_revocations, request.created_at) == (3, 2, NOW)
    assert (request.owner, request.tags) == ("owner-1", {"tier": "gold"})


def revoked(number: int, size: int) -> StoredSet:
    """Return a token set that was revoked while its server could not be reached."""
    failure = Failure("provider_unavailable", 1, NOW - 10, NOW + 20 + number, "", "Down.")
    tokens = sealed_tokens(sealed=b"%d" % number + b"x" * size, version=number)
    over = replace(replace(tokens, id=f"set-{number}").stored(None), place=Place.REVOKING)
    return replace(over, revocation=Revocation(NOW - 10, failure=failure))


@pytest.mark.parametrize(
    ("waiting", "size", "is_taken"),
    [(39, 9, True), (40, 9, False), (41, 9, False), (10, 20_000, True), (11, 20_000, False)],
)
def test_a_record_that_is_full_of_revoked_grants_waits_for_their_server(
    services: MemoryServices, waiting: int, size: int, *, is_taken: bool
) -> None:
    """An outage in which a connection is revoked and authorized over and over does not burst its record."""
    services.connect()
    sets = tuple(revoked(number, size) for number in range(waiting))
    record = replace(services.stored(), status=Status.REVOKING, sets=sets, revocation_due_at=NOW + 20)
    services.connections.records["merchant-1"] = record

    if is_taken:
        services.starting.start({"provider": "acme", "connection_id": "merchant-1"}, services.deadline())
        return
    with pytest.raises(TemporarilyUnavailable) as caught:
        services.starting.start({"provider": "acme", "connection_id": "merchant-1"}, services.deadline())

    assert (caught.value.connection_id, caught.value.retry_after) == ("merchant-1", 20)
    assert f"{waiting} of them are revoked here" in caught.value.description
    assert services.authorizations.records == {}


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"provider": "other"}, "provider: "), ({"provider": "acme", "owner": "mallory"}, "owner: ")],
)
@pytest.mark.parametrize("status", [Status.ACTIVE, Status.REAUTHORIZATION_REQUIRED, Status.REVOKING])
def test_another_partys_connection_cannot_be_asked_for(
    services: MemoryServices, fields: dict[str, Any], named: str, status: Status
) -> None:
    """No request is opened that the callback would have to refuse."""
    services.connect()
    services.connections.records["merchant-1"] = replace(services.stored(), status=status)

    with pytest.raises(InvalidRequest, match=named):
        services.starting.start({"connection_id": "merchant-1", **fields}, services.deadline())

    assert services.authorizations.records == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"authorization_params": {f"parameter-{number}": "x" * 1024 for number in range(20)}},
        {"authorization_params": {"prompt": "ü" * 1024}},
        {"scopes": tuple(f"{number:03}{'x' * 253}" for number in range(100))},
    ],
    ids=["many parameters", "encoded threefold", "many scopes"],
)
def test_a_url_that_no_browser_can_follow_is_refused(services: MemoryServices, fields: dict[str, Any]) -> None:
    """By name, and before a link to it is given out."""
    with pytest.raises(InvalidRequest, match=r"^authorization_params, scopes: .* 6000 characters"):
        services.starting.start({"provider": "acme", **fields}, services.deadline())

    assert services.authorizations.records == {}


def test_the_longest_url_can_still_be_followed(services: MemoryServices) -> None:
    """With state and challenge added it stays within what a gateway takes of a response header: 10,240 octets."""
    least = len(registration().provider.endpoint("authorization_endpoint")) + 200
    long = {f"p{number}": "x" * 1000 for number in range(5)} | {"q": "x" * (5700 - 5020 - least)}

    services.starting.start({"provider": "acme", "authorization_params": long}, services.deadline())

    (request,) = services.authorizations.records.values()
    assert 5000 < len(request.authorization_url) <= 6000


def test_an_id_that_was_never_used_needs_no_read(services: MemoryServices) -> None:
    """Gatehouse makes it: there is nothing to look for."""
    services.starting.start({"provider": "acme"}, services.deadline())

    assert services.events.calls == ["registration", "open"]


def test_the_samples_request_is_one_that_start_makes(services: MemoryServices) -> None:
    """Every field of the sample that other tests use is set by `start`, and no other."""
    services.starting.start({"provider": "acme", "connection_id": "merchant-1"}, services.deadline())

    (request,) = services.authorizations.records.values()
    sample = authorization_request()
    same = ("provider", "connection_id", "created_at", "expires_at", "redirect_uri", "pkce", "phase", "used_states")
    assert [getattr(request, name) for name in same] == [getattr(sample, name) for name in same]

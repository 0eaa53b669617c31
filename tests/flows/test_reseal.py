"""A new key seals: all that the old one sealed is sealed again, while customers are served, and then it can go."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from functions import reseal, revoke, token
from functions.vault.base.timing import Timing
from functions.vault.services import Services
from functions.vault.usecases.resealing import Resealing
from local.aws.marked_calls import calls_of
from tests.browser import Browser
from tests.expressions import translated
from tests.flows.application import Context, table_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.demo import DemoServer
    from local.stack import Stack

MERCHANTS = 10


@dataclass
class Deployment:
    """Functions on a table of their own, with one key or two: the deployed ones stay as they are."""

    stack: Stack
    environ: dict[str, str]
    new: str
    old: str
    services: dict[tuple[str, ...], Services] = field(default_factory=dict)

    def call(self, handler: Any, event: dict[str, Any], *keys: str, context: Context | None = None) -> dict[str, Any]:
        """Invoke a function that seals under the first of these keys, and opens what either sealed."""
        function = (handler.name, *keys)
        if function not in self.services:
            named = dict(zip(("GATEHOUSE_KEY_ID", "GATEHOUSE_OTHER_KEY_ID"), keys, strict=False))
            environ = self.environ | {"GATEHOUSE_OTHER_KEY_ID": ""} | named
            with calls_of(f"functions.{handler.name}.handler"):
                self.services[function] = Services.from_environ(environ, clock=self.stack.clock.now)
        answer: dict[str, Any] = handler.with_services(self.services[function])(event, context or Context(600))
        return answer

    def reseal(self, context: Context | None = None, **fields: Any) -> dict[str, Any]:
        """Invoke `reseal`, at a pace that no test waits for."""
        return self.call(reseal.handler, {"per_second": 100, **fields}, self.new, self.old, context=context)

    def token(self, connection_id: str, *keys: str) -> dict[str, Any]:
        """Ask for a token."""
        return self.call(token.handler, {"connection_id": connection_id}, *(keys or (self.new, self.old)))


@pytest.fixture
def deployment(stack: Stack, demo: DemoServer) -> Iterator[Deployment]:  # noqa: ARG001 - the demo server, working
    """Give functions on a table of their own, in which the old key has sealed everything."""
    environ: dict[str, str] = {}
    for function in stack.deployment.functions.values():
        environ |= function.environment
    properties = translated()["Resources"]["ConnectionsTable"]["Properties"]
    kept = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
    name = f"reseal-{uuid.uuid4().hex[:8]}"
    boto3.client("dynamodb").create_table(TableName=name, **{key: properties[key] for key in kept})
    new = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    old = environ["GATEHOUSE_KEY_ID"]
    yield Deployment(stack, environ | {"GATEHOUSE_CONNECTIONS_TABLE": name}, new, old)
    boto3.client("dynamodb").delete_table(TableName=name)


def connected(deployment: Deployment, count: int, **fields: Any) -> list[str]:
    """Connect merchants, and take their records over into the table of these functions."""
    dynamodb, made = boto3.client("dynamodb"), []
    for _ in range(count):
        merchant = f"M{uuid.uuid4().hex[:8]}"
        made.append(Browser(deployment.stack, merchant).connect("demo", connection_id=f"of-{merchant}", **fields))
        key = {"connection_id": {"S": made[-1]}}
        item = dynamodb.get_item(TableName=table_name(deployment.stack, "connections"), Key=key)["Item"]
        dynamodb.put_item(TableName=deployment.environ["GATEHOUSE_CONNECTIONS_TABLE"], Item=item)
    return made


def test_everything_is_sealed_again_while_it_is_used_and_interrupted(
    deployment: Deployment, demo: DemoServer, stack: Stack
) -> None:
    """Tokens are vended, refreshed and revoked between the calls. One of them runs out of time, and two are killed.

    No grant is lost, what is left comes to nothing, and the new key alone opens all that is there.
    """
    # given
    shops = connected(deployment, MERCHANTS)
    revoked, used = set(shops[:2]), shops[2:]
    before = {shop: deployment.token(shop)["access_token"] for shop in used}
    assert deployment.reseal(only_count=True)["keys"] == {deployment.old: MERCHANTS}

    # when
    cut_short = deployment.reseal(Context(20, a_look_takes=0.5))
    same = {shop: deployment.token(shop)["access_token"] for shop in used}
    killed = [interrupted(deployment, "UpdateItem", after=3), interrupted(deployment, "Decrypt", after=2)]
    stack.clock.advance(3700)
    refreshed = {shop: deployment.token(shop) for shop in used[:4]}
    ended = [
        deployment.call(revoke.handler, {"connection_id": shop}, deployment.new, deployment.old) for shop in revoked
    ]
    whole = deployment.reseal(cursor=cut_short["cursor"])
    last = deployment.reseal()

    # then
    assert 0 < cut_short["resealed"] < MERCHANTS
    assert [each["error"] for each in killed] == ["raised", "raised"]
    assert same == before
    assert {each.get("error") for each in refreshed.values()} == {None}
    assert {each["status"] for each in ended} == {"revoked"}
    assert "cursor" not in whole
    assert (last["resealed"], last["left"], last["keys"]) == (0, 0, {deployment.new: len(used)})
    vended = [deployment.token(shop, deployment.new) for shop in used]
    assert {each.get("error") for each in vended} == {None}
    assert len({each["access_token"] for each in vended}) == len(used)
    assert {str(grant["max_simultaneous"]) for grant in demo.grants()} <= {"0", "1"}
    assert all(deployment.token(shop)["error"] == "connection_revoked" for shop in revoked)


def interrupted(deployment: Deployment, operation: str, after: int) -> dict[str, Any]:
    """Have a call die at a request to AWS: what it has not answered, nobody learns."""
    faults = deployment.stack.aws_faults
    service = {"UpdateItem": "dynamodb", "Decrypt": "kms"}[operation]
    faults.fail(service, operation, error="AccessDeniedException", after=after)
    try:
        return deployment.reseal()
    except Exception:  # noqa: BLE001 - whatever ends it
        return {"error": "raised"}
    finally:
        faults.clear()


def test_a_refresh_that_comes_first_stays(deployment: Deployment, stack: Stack) -> None:
    """Between reading and writing somebody refreshes: the record is read again, and the new tokens are kept."""
    # given
    first, second = sorted(connected(deployment, 2), key=lambda shop: place_of(deployment, shop))
    stack.clock.advance(3700)
    deployment.reseal(only_count=True)
    vended: dict[str, Any] = {}
    services = deployment.services["reseal", deployment.new, deployment.old]
    timing = Timing(services.timing.now, sleep=lambda _seconds: vended.update(deployment.token(second)))
    services.resealing = Resealing(services.connections, services.cipher, timing)

    # when
    answer = deployment.reseal(per_second=1)

    # then
    assert vended["version"] == 2
    assert (answer["resealed"], answer["left"], answer["keys"]) == (1, 0, {deployment.new: 2})
    assert deployment.token(second, deployment.new)["access_token"] == vended["access_token"]
    assert "error" not in deployment.token(first, deployment.new)


def place_of(deployment: Deployment, shop: str) -> int:
    """Return where a connection comes in the table's own order."""
    name = deployment.environ["GATEHOUSE_CONNECTIONS_TABLE"]
    return [item["connection_id"]["S"] for item in boto3.client("dynamodb").scan(TableName=name)["Items"]].index(shop)


def test_the_deployed_function_answers_as_documented(stack: Stack) -> None:
    """By Invoke, with one key deployed: it counts, and there is nothing to do."""
    answer = stack.invoke("reseal", {"only_count": True})

    assert answer is not None
    assert answer.keys() - {"cursor"} == {"key", "connections", "resealed", "left", "unopened", "waiting", "keys"}
    assert answer["waiting"].keys() == {"pending", "revoking"}


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("per_second", 0, "per_second: expected an integer from 1 to 100"),
        ("per_second", 101, "per_second: expected an integer from 1 to 100"),
        ("per_second", True, "per_second: expected an integer from 1 to 100"),
        ("only_count", "yes", "only_count: expected true or false"),
        ("cursor", "made up", "cursor: expected the cursor of an earlier answer"),
        ("connection_id", "a", "connection_id: unknown field"),
    ],
)
def test_a_bad_request_names_its_field(stack: Stack, field: str, value: Any, expected: str) -> None:
    """And nothing is read."""
    stack.aws_calls.clear()

    answer = stack.invoke("reseal", {field: value})

    assert answer is not None
    assert (answer["error"], answer["retryable"]) == ("invalid_request", False)
    assert answer["error_description"].startswith(expected)
    assert [call.operation for call in stack.aws_calls] == []


def test_no_token_is_in_an_answer_or_in_the_log(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator sees numbers, and the ids of keys and connections."""
    shops = connected(deployment, 2)
    vended = [deployment.token(shop)["access_token"] for shop in shops]
    capsys.readouterr()

    answer = deployment.reseal()

    said = json.dumps(answer) + capsys.readouterr().out
    assert '"resealed": 2' in said or '"resealed":2' in said
    assert not any(each in said for each in vended)

"""Sealed tokens in the deployed functions: what was changed does not open, and who keeps opened tokens in memory."""

from __future__ import annotations

import gc
import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import boto3
import pytest

from functions.callback import handler as callback
from functions.rescue import handler as rescue
from functions.token import handler as token
from functions.vault.grant.token_set import TokenSet
from functions.vault.storage import sealing
from tests.flows.application import Context, fresh, table_name, with_services
from tests.flows.scripted import CODE, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

    Item = dict[str, Any]


@pytest.fixture
def connection_id(browser: Browser, demo: DemoServer) -> str:
    """Connect a merchant, and give the demo server's record an empty page."""
    connected = browser.connect(connection_id=fresh())
    demo.reset()
    return connected


def the_set(item: Item) -> Item:
    """Return the token set of a stored connection."""
    found: Item = item["sets"]["L"][0]["M"]
    return found


def octet(position: float) -> Callable[[Item], None]:
    """Return what changes the octet at a part of the ciphertext's length."""

    def change(item: Item) -> None:
        seal = the_set(item)["seal"]["M"]
        ciphertext = bytearray(seal["ciphertext"]["B"])
        ciphertext[int(position * (len(ciphertext) - 1))] ^= 1
        seal["ciphertext"] = {"B": bytes(ciphertext)}

    return change


CHANGES: dict[str, Callable[[Item], Any]] = {
    **{f"octet at {part:.0%} of the ciphertext": octet(part) for part in (0, 0.02, 0.3, 0.55, 0.7, 0.9, 1)},
    "format": lambda item: the_set(item)["seal"]["M"].update(format={"N": "1"}),
    "version": lambda item: the_set(item)["seal"]["M"].update(version={"N": "2"}),
    "version of the record": lambda item: item.update(version={"N": "2"}),
    "key": lambda item: the_set(item)["seal"]["M"].update(key={"S": "another"}),
    "set": lambda item: the_set(item).update(id={"S": "another"}),
    "client": lambda item: the_set(item)["whose"]["M"].update(client_id={"S": "another"}),
    "origin": lambda item: the_set(item)["whose"]["M"].update(origins={"M": {"token": {"S": "https://evil.example"}}}),
    "provider": lambda item: item.update(provider={"S": "demo"}),
}


def test_a_changed_record_vends_nothing_and_loses_nothing(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """By Invoke and over HTTP the caller gets `server_error`; the record stays as it is. Whole again, it is vended."""
    # given
    vended = application.call("token", connection_id=connection_id)
    whole = application.connection_item(connection_id)
    assert whole is not None

    for what, change in CHANGES.items():
        changed = deepcopy(whole)
        change(changed)
        put(stack, changed)

        # when
        invoked = stack.lambda_client().invoke(
            FunctionName="gatehouse-token", Payload=json.dumps({"connection_id": connection_id})
        )
        answered = application.post("token", {"connection_id": connection_id})

        # then
        payload = invoked["Payload"].read().decode()
        assert (invoked.get("FunctionError"), json.loads(payload)["errorType"]) == ("Unhandled", "ServerError"), what
        assert (answered.status_code, answered.json()["error"]) == (500, "server_error"), what
        assert vended["access_token"] not in payload + answered.text
        assert application.connection_item(connection_id) == changed, what

    put(stack, whole)
    assert application.call("token", connection_id=connection_id) == vended
    assert demo.requests("token") == []


def test_what_an_earlier_release_has_sealed_still_opens(
    stack: Stack, application: Application, connection_id: str
) -> None:
    """Format 1 is vended, and its next refresh is sealed in format 2."""
    # given
    item = application.connection_item(connection_id)
    assert item is not None
    vended = application.call("token", connection_id=connection_id)
    context = sealing.context_of(connection_id, item["provider"]["S"], 1)
    key_id = the_set(item)["seal"]["M"]["key"]["S"]
    key = boto3.client("kms").generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=context)
    tokens = TokenSet(vended["access_token"] + "-of-before", "refresh-of-before")
    sealed = sealing.seal(tokens.to_bytes(), context, key["Plaintext"], key["CiphertextBlob"], made_as=1)
    the_set(item)["seal"]["M"] = {"ciphertext": {"B": sealed}, "format": {"N": "1"}, "version": {"N": "1"}}

    # when
    put(stack, item)

    # then
    assert application.call("token", connection_id=connection_id)["access_token"] == tokens.access_token


def test_only_functions_that_vend_keep_tokens_in_memory(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """`callback` and `rescue`, which get new tokens to store, have none once they have answered. `token` has."""
    # given
    access_token = fresh("token")
    scripted.answers["/token"] = {**TOKENS, "access_token": access_token}
    started = application.call("start", provider=application.register(scripted.registration))
    query = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)
    event = {
        "version": "2.0",
        "requestContext": {"http": {"method": "GET"}},
        "pathParameters": {"provider": query["redirect_uri"][0].rpartition("/")[2]},
        "rawQueryString": urlencode({"code": CODE, "state": query["state"][0]}),
        "cookies": [f"{name}={value}" for name, value in browser.cookies.items()],
    }
    called = {"callback": callback, "rescue": rescue, "token": token}
    handlers = {name: with_services(stack, each) for name, each in called.items()}
    stack.aws_faults.fail("dynamodb", "PutItem", error="AccessDeniedException")

    # when
    page = handlers["callback"](event, Context(alias="http"))
    stack.aws_faults.clear()
    (message,) = waiting(stack)
    stored = handlers["rescue"]({"Records": [message]}, Context(180))
    # What a cycle holds will be gone; going through everything takes its time, and is done once.
    gc.collect()
    kept_by_others = in_memory(access_token)
    vended = handlers["token"]({"connection_id": started["connection_id"]}, Context())

    # then
    assert page["headers"]["Location"].endswith(".unfinished")
    assert stored == {"batchItemFailures": []}
    assert vended["access_token"] == access_token
    assert (kept_by_others, in_memory(access_token)) == (0, 1)


def in_memory(access_token: str) -> int:
    """Return how many token sets with this access token this process holds."""
    return sum(isinstance(each, TokenSet) and each.access_token == access_token for each in gc.get_objects())


def waiting(stack: Stack) -> list[Item]:
    """Take what is in the rescue queue of the stack, as Lambda hands it to `rescue`."""
    sqs = boto3.client("sqs")
    named = (each.environment.get("GATEHOUSE_RESCUE_QUEUE_URL") for each in stack.deployment.functions.values())
    (url,) = {each for each in named if each}
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for each in found:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return [{"eventSource": "aws:sqs", "messageId": each["MessageId"], "body": each["Body"]} for each in found]


def put(stack: Stack, item: Item) -> None:
    """Write an item over a stored connection."""
    boto3.client("dynamodb").put_item(TableName=table_name(stack, "connections"), Item=item)

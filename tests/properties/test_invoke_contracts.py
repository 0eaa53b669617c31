"""Whatever is sent to a function by Invoke, HTTP or a queue: a result or failure by its contract, never a defect."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from functions.vault.base.cursor import cursor_of
from functions.vault.base.errors import BY_CODE
from functions.vault.grant.announced import KINDS
from tests.flows.application import TOKEN_KEYS
from tests.properties import answers
from tests.properties.answers import check_failure, check_log
from tests.properties.deployment import CLIENT_SECRET, INVOKED, QUEUED, REGISTRATIONS, RETURN_TO, browsed
from tests.properties.deployment import prepared as prepared_deployment
from tests.properties.effort import examples
from tests.properties.rescued import documents
from tests.properties.shapes import MARK, any_json, any_text, changed, fields_of, near

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from functions.vault.oauth.transport import Answer
    from tests.properties.deployment import Called, Deployment

_STORED = sorted(prepared_deployment().account.dynamo.items["connections"])
_REQUESTS = sorted(visit.ticket.partition(".")[0] for visit in prepared_deployment().visits.values())

EVENT: dict[str, SearchStrategy[Any]] = {
    "detail_type": near(*(f"connection.{kind}" for kind in KINDS)),
    "detail": fields_of({"id": near("0" * 32), "connection_id": near("somebody-new"), "more": any_json}),
    "at": st.integers(-1, 2**31) | st.sampled_from((253_402_300_799, 253_402_300_800, 2**53)),
}
_public_key = generate_private_key(SECP256R1()).public_key()
PUBLIC_KEY = _public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

_connection_id = near(*_STORED, "somebody-new", MARK)
_provider = near(*sorted(REGISTRATIONS))
_strings = st.dictionaries(near("shop", "tier", "a.b:c"), near("one", "gold"), max_size=2)
_owner = near("owner-1", "owner-2", "öwner 3")
_version = st.integers(-1, 4) | st.sampled_from((2**53, 2**53 + 1))

FIELDS: dict[str, dict[str, SearchStrategy[Any]]] = {
    "start": {
        "provider": _provider,
        "connection_id": _connection_id,
        "owner": _owner,
        "scopes": st.lists(near("read", "write"), max_size=3),
        "return_to": near(RETURN_TO, "http://localhost:3000/", "https://app.example.evil.example/"),
        "parameters": _strings,
        "authorization_params": st.dictionaries(near("prompt", "audience", "state"), near("consent"), max_size=2),
        "tags": _strings,
        "confirm": st.booleans(),
        "allow_new_subject": st.booleans(),
    },
    "token": {"connection_id": _connection_id, "min_ttl": st.integers(-1, 90000)},
    "refresh": {"connection_id": _connection_id, "if_version": _version},
    "revoke": {"connection_id": _connection_id},
    "connections": {
        "connection_id": _connection_id,
        "request_id": near(*_REQUESTS),
        "owner": _owner,
        "provider": _provider,
        "status": near("active", "revoked", "revoking", "reauthorization_required"),
        "needs": near("reauthorization", "confirmation"),
        "tag": _strings,
        "expiring_before": st.integers(-1, 2**53),
        "limit": st.integers(-1, 101),
        "cursor": any_text,
    },
    "confirm": {
        "connection_id": near("unconfirmed", "unconfirmed", *_STORED),
        "confirmation": near(prepared_deployment().confirmation, "A" * 43),
        "owner": _owner,
    },
    "import_connection": {
        "provider": _provider,
        "connection_id": near("brought-along", "brought-along-too") | _connection_id,
        "refresh_token": near("refresh-token-of-an-earlier-system"),
        "access_token": near("access-token-of-an-earlier-system"),
        "expires_at": st.integers(-1, 2**34) | st.just(2_000_000_000),
        "scope": near("read write", "read", ""),
        "owner": _owner,
        "parameters": _strings,
        "tags": _strings,
        "subject": near("A-1", "A-2"),
        "metadata": _strings,
        "prove": st.booleans(),
    },
    "reseal": {
        "per_second": st.integers(0, 101),
        "only_count": st.booleans(),
        "cursor": near(prepared_deployment().copy().done("reseal", {}, 5.0)["cursor"]),
    },
    "export": {
        "public_key": near(PUBLIC_KEY),
        "owner": _owner,
        "per_second": st.integers(0, 101),
        "cursor": near(cursor_of("connected"), cursor_of("unconfirmed")),
    },
    "sweep": {"connection_id": _connection_id},
    "events": EVENT,
}
MESSAGES: dict[str, dict[str, SearchStrategy[Any]]] = {
    "refresh": {
        "connection_id": _connection_id,
        "version": _version,
        "provider": _provider,
        "ask_now": st.booleans(),
    },
    "revoke": {"connection_id": _connection_id, "version": _version, "provider": _provider, "ask_now": st.booleans()},
    "events": EVENT,
}
RESULTS: dict[str, list[set[str]]] = {
    "start": [{"connection_id", "request_id", "authorize_url", "expires_at"}],
    "token": [TOKEN_KEYS],
    "refresh": [TOKEN_KEYS],
    "revoke": [{"connection_id", "status"}, {"connection_id", "status", "grant"}],
    "connections": [{"connection"}, {"last_attempt"}, {"connections"}, {"connections", "cursor"}],
    "confirm": [{"connection_id", "status", "version"}],
    "import_connection": [{"connection_id", "status", "version"}],
    "rescue": [{"connection_id", "status", "version"}],
    "events": [{"published"}],
    "export": [
        {"exported", "left_out", "token_sets_left", "key", *more}
        for more in ((), ("jwe",), ("cursor",), ("jwe", "cursor"))
    ],
}


@st.composite
def payloads(draw: DrawFn, function: str, *, by_queue: bool = False) -> Any:
    """Give what somebody may send to a function: mostly a request, or a message, that is nearly right."""
    fields = MESSAGES if by_queue else FIELDS
    if draw(st.integers(0, 19)) == 0:
        return draw(any_json)
    return draw(documents() if function == "rescue" else fields_of(fields[function], ("version", "Records", "body")))


def check(called: Called, function: str) -> None:
    """Check the answer to an Invoke."""
    assert called.raised is None
    if "error" in called.answer:
        check_failure(called.answer)
    else:
        assert function not in RESULTS or called.answer.keys() in RESULTS[function]
    json.dumps(called.answer, allow_nan=False).encode()


def check_secrets(called: Called, deployment: Deployment, function: str) -> None:
    """Check that no secret is in the log, and none in an answer that is not there to give it."""
    check_log(called)
    given = {"start": "authorize_url", "token": "access_token", "refresh": "access_token"}.get(function, "")
    shown = json.dumps({name: value for name, value in called.answer.items() if name != given})
    link = str(called.answer.get("authorize_url", "")).rpartition(".")[2] or CLIENT_SECRET
    secrets = [CLIENT_SECRET, link, deployment.confirmation, "access-token-", "refresh-token-"]
    secrets += [secret for visit in deployment.visits.values() for secret in visit.secrets if secret]
    assert [secret for secret in secrets if secret in called.log + shown] == []


@pytest.mark.parametrize("function", INVOKED)
def test_an_invoke_is_answered_by_its_contract(function: str) -> None:
    """Any JSON, at any time that is left, and any answer of the server to what is sent to it."""

    @examples(12)
    @given(payloads(function), st.none() | answers.of_a_server(), st.sampled_from((29.0, 29.0, 16.0, 3.0)))
    def holds(payload: Any, said: Answer | None, seconds: float) -> None:
        deployment = prepared_deployment().copy()
        before = deployment.account.stored()
        deployment.server.said = said or deployment.server.issue

        called = deployment.call(function, payload, seconds)

        check(called, function)
        check_secrets(called, deployment, function)
        if called.answer.get("error") == "invalid_request":
            assert deployment.account.stored() == before
            assert (deployment.server.requests, deployment.account.messages) == ([], [])

    holds()


BY_API = ("start", "token", "refresh", "revoke", "connections", "confirm", "import_connection")


def signed(function: str, body: str, named: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Return the event of a signed call: by `/v1/{function}`, or by the path for what is `named`."""
    key, path = f"POST /v1/{function}", f"/v1/{function}"
    for name, value in (named or {}).items():
        folder = {"owner": "owners", "connection_id": "connections"}[name]
        key, path = f"POST /v1/{folder}/{{{name}}}/{function}", f"/v1/{folder}/{value}/{function}"
    event = browsed("POST", named or {}, headers={"content-type": "application/json"}, body=body)
    event["requestContext"]["authorizer"] = {"iam": {"userArn": "arn:aws:iam::123456789012:user/a-caller"}}
    return event | {"routeKey": key, "rawPath": path} | more


def result_of(called: Called) -> dict[str, Any]:
    """Return the result in the response to a call by the API, after a check of the response."""
    assert called.raised is None
    result: dict[str, Any] = json.loads(called.answer["body"])
    assert called.answer["headers"]["Content-Type"] == "application/json"
    assert called.answer["statusCode"] == (BY_CODE[result["error"]].http_status if "error" in result else 200)
    if "error" in result:
        check_failure(result)
    check_log(called)
    return result


@pytest.mark.parametrize("function", BY_API)
def test_a_call_by_http_is_answered_like_an_invoke(function: str) -> None:
    """The same object in a body: the same answer, with the status of its error; any other body is named."""

    @examples(8)
    @given(payloads(function), st.booleans(), st.none() | any_text)
    def holds(payload: Any, in_base64: bool, cut: str | None) -> None:  # noqa: FBT001 - as generated
        deployment, by_invoke = prepared_deployment().copy(), prepared_deployment().copy()
        text = json.dumps(payload)[: None if cut is None else len(cut)]
        body = b64encode(text.encode()).decode() if in_base64 else text

        called = deployment.call(function, signed(function, body, isBase64Encoded=in_base64), by_api=True)

        result = result_of(called)
        if cut is None:
            assert result.keys() == by_invoke.call(function, json.loads(text)).answer.keys()

    holds()


@pytest.mark.parametrize("function", BY_API)
def test_a_narrowed_path_opens_nothing_else(function: str) -> None:
    """Whatever stands in the path and in the body: what is answered is of the owner, or of the id, in the path."""
    owners, ids = near("owner-1", "owner-2", ".", ".."), near(*_STORED, ".", "..")
    named = st.fixed_dictionaries({"owner": owners}) | st.fixed_dictionaries({"connection_id": ids})
    odd = st.none() | st.fixed_dictionaries({"rawPath": any_text}) | st.fixed_dictionaries({"pathParameters": any_json})

    @examples(12)
    @given(payloads(function), named, odd)
    def holds(payload: Any, named: dict[str, str], other: dict[str, Any] | None) -> None:
        deployment = prepared_deployment().copy()
        before = deployment.account.stored()

        called = deployment.call(function, signed(function, json.dumps(payload), named) | (other or {}), by_api=True)

        result = result_of(called)
        if "error" in result:
            return
        for found in _acted_on(result, deployment):
            assert {name: found.get(name) for name in named} == named
        changed_ids = {
            name
            for name, item in deployment.account.dynamo.items["connections"].items()
            if before["connections"].get(name) != item
        }
        assert changed_ids <= {found["connection_id"] for found in _acted_on(result, deployment)}

    holds()


def test_an_owners_path_opens_what_is_the_owners() -> None:
    """Without it the property would hold of nothing but refusals."""
    deployment = prepared_deployment().copy()
    event = json.dumps({"connection_id": "apart"})

    answered = [
        result_of(deployment.call("token", signed("token", event, {"owner": owner}), by_api=True))
        for owner in ("owner-2", "owner-1")
    ]

    assert answered[0].keys() == TOKEN_KEYS
    assert answered[1]["error"] == "connection_not_found"
    assert _acted_on(answered[0], deployment) == [{"owner": "owner-2", "connection_id": "apart"}]


def _acted_on(result: dict[str, Any], deployment: Deployment) -> list[dict[str, Any]]:
    """Return owner and id of what a result is about, as they are stored."""
    items = deployment.account.dynamo.items
    listed = [each["connection_id"] for each in result.get("connections", ())]
    one = (result.get("connection") or {}).get("connection_id", result.get("connection_id"))
    if "last_attempt" in result:
        return []
    found = [
        items["authorizations"][result["request_id"]] if "request_id" in result else items["connections"][connection_id]
        for connection_id in [*listed, *([one] if one is not None else [])]
    ]
    whole = [{**item, **item.get("summary", {}).get("M", {})} for item in found]
    return [{name: item[name]["S"] for name in ("owner", "connection_id") if name in item} for item in whole]


@st.composite
def batches(draw: DrawFn, function: str) -> dict[str, Any]:
    """Give a batch of messages as SQS sends it, or nearly."""
    records = []
    for number in range(draw(st.integers(1, 3))):
        body = json.dumps(draw(payloads(function, by_queue=True)))
        body = draw(st.just(body) | st.just(body) | changed(body))
        record: dict[str, Any] = {"messageId": f"message-{number}", "eventSource": "aws:sqs", "body": body}
        if draw(st.integers(0, 9)) == 0:
            record[draw(st.sampled_from(sorted(record)))] = draw(any_json)
        records.append(record)
    return {"Records": records}


@pytest.mark.parametrize("function", QUEUED)
def test_a_batch_of_a_queue_is_done_or_comes_again(function: str) -> None:
    """Any messages, and any answer of the server: what cannot be done now is reported, by its id, in its order."""

    @examples(8)
    @given(batches(function), st.none() | answers.of_a_server())
    def holds(batch: dict[str, Any], said: Answer | None) -> None:
        deployment = prepared_deployment().copy()
        deployment.server.said = said or deployment.server.issue

        called = deployment.call(function, batch)

        assert called.raised is None
        check_log(called)
        if "error" in called.answer:
            check_failure(called.answer)
            return
        ids = [record["messageId"] for record in batch["Records"]]
        again = [failure["itemIdentifier"] for failure in called.answer["batchItemFailures"]]
        assert again == ids[len(ids) - len(again) :]

    holds()


STEPS = (*BY_API, "sweep", "reseal", "export")


@st.composite
def steps(draw: DrawFn) -> list[tuple[str, Any, Any, int]]:
    """Give a few calls in a row, with what the server says meanwhile, and the time that passes after each."""
    made = []
    for _ in range(draw(st.integers(2, 6))):
        function = draw(st.sampled_from(STEPS))
        said = draw(st.none() | st.none() | st.just("nothing") | answers.of_a_server())
        made.append((function, draw(payloads(function)), said, draw(st.sampled_from((0, 1, 30, 400, 4000, 90000)))))
    return made


@examples(12)
@given(steps(), st.sampled_from(_STORED))
def test_calls_in_any_order_are_answered_by_their_contracts(made: list[Any], connection_id: str) -> None:
    """What one call leaves behind, whatever the server said, is no defect for the next; queues are worked off, too."""
    deployment = prepared_deployment().copy()
    for function, payload, said, pause in made:
        deployment.server.said = None if said == "nothing" else said or deployment.server.issue
        about = {"connection_id": connection_id} if isinstance(payload, dict) and "connection_id" in payload else {}

        called = deployment.call(function, payload | about if about else payload)

        check(called, function)
        check_secrets(called, deployment, function)
        for queue, body in deployment.account.messages:
            worker = queue.rpartition("/")[2].partition(".")[0]
            record = {"messageId": "message-1", "eventSource": "aws:sqs", "body": body}
            worked = deployment.call(worker, {"Records": [record]})
            assert worked.raised is None
            assert worked.answer.keys() == {"batchItemFailures"}
            check_log(worked)
        deployment.account.messages.clear()
        deployment.now += pause


def test_the_links_of_start_lead_to_authorize() -> None:
    """What the properties take for a link is one."""
    deployment = prepared_deployment().copy()

    ticket = deployment.start("acme", connection_id="somebody-new")

    assert deployment.open("acme", ticket).state.startswith(ticket.partition(".")[0])

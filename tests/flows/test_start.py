"""`start`: opens an authorization request, refuses bad input by name, and stores no secret."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from werkzeug.wrappers import Response

from functions.vault.oauth.token_fields import LONGEST_TOKEN
from tests.flows.application import FAILURE_KEYS, fresh, request_id_of, table_name, ticket_of, writes
from tests.flows.scripted import connect
from tests.flows.scripted import scripted as running_scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.call import AwsCall
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TICKET = re.compile(r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}")
LONE_SURROGATE = "\ud800"


def test_answers_with_a_link_that_lives_ten_minutes(stack: Stack, application: Application) -> None:
    """The answer has exactly four fields; the connection gets a UUIDv4 if the caller chose no id."""
    # given
    before = int(stack.clock.now())

    # when
    answer = application.call("start", provider="ultracart")

    # then
    assert answer.keys() == {"connection_id", "request_id", "authorize_url", "expires_at"}
    assert answer["request_id"] == request_id_of(answer)
    assert UUID4.fullmatch(answer["connection_id"])
    assert answer["authorize_url"].startswith(f"{stack.base_url}/authorize/")
    assert TICKET.fullmatch(ticket_of(answer))
    assert isinstance(answer["expires_at"], int)
    assert before + 600 <= answer["expires_at"] <= stack.clock.now() + 600


def test_every_start_is_a_request_of_its_own(application: Application) -> None:
    """Two starts for one connection share neither request id nor ticket secret."""
    # given
    connection_id = fresh()

    # when
    answers = [application.call("start", provider="ultracart", connection_id=connection_id) for _ in range(2)]

    # then
    tickets = [ticket_of(answer).split(".") for answer in answers]
    assert tickets[0][0] != tickets[1][0]
    assert tickets[0][1] != tickets[1][1]
    assert [answer["connection_id"] for answer in answers] == [connection_id] * 2


@pytest.mark.parametrize("connection_id", ["a", "A.z_0:9@-", "x" * 128, "a.b", "@"])
def test_takes_the_ids_that_callers_may_choose(application: Application, connection_id: str) -> None:
    """Every id of the alphabet is taken as it is."""
    # when
    answer = application.call("start", provider="ultracart", connection_id=connection_id)

    # then
    assert answer["connection_id"] == connection_id


def test_stores_nothing_that_would_let_a_reader_complete_the_request(application: Application) -> None:
    """At rest there is the hash of the ticket's secret, and an expiry; neither secret, state nor verifier."""
    # when
    answer = application.call("start", provider="demo", connection_id=fresh(), owner="o", tags={"a": "b"})

    # then
    item = application.request_item(request_id_of(answer))
    assert item is not None
    secret = ticket_of(answer).partition(".")[2]
    assert secret not in str(item)
    assert item["expires_at"]["N"] == str(answer["expires_at"])
    assert int(item["ttl"]["N"]) >= answer["expires_at"]
    assert item.keys().isdisjoint({"state", "code_verifier", "nonce", "ticket_secret"})
    assert application.connection_item(answer["connection_id"]) is None


def test_carries_owner_tags_and_parameters_to_the_connection(
    application: Application, new_browser: Callable[..., Browser]
) -> None:
    """What the application says of a connection comes back with it."""
    # given
    given: dict[str, Any] = {"owner": "Zoë & Söhne 😀", "tags": {"plan": "pro"}, "parameters": {"shop-id": "7"}}

    # when
    connection_id = new_browser().connect("ultracart", connection_id=fresh(), **given)

    # then
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert {name: connection[name] for name in given} == given


def test_sends_the_scopes_that_were_asked_for(application: Application, browser: Browser) -> None:
    """Without `scopes` the registration's go out, with it those; the connection has what was granted."""
    # when
    usual = _query(browser.authorize(application.call("start", provider="demo")["authorize_url"]))
    fewer = _query(
        browser.authorize(application.call("start", provider="demo", scopes=["orders:read"])["authorize_url"])
    )
    none = _query(browser.authorize(application.call("start", provider="demo", scopes=[])["authorize_url"]))
    connection_id = browser.connect("demo", connection_id=fresh(), scopes=["orders:read"])

    # then
    assert usual["scope"] == "orders:read orders:write"
    assert fewer["scope"] == "orders:read"
    assert "scope" not in none
    assert application.call("token", connection_id=connection_id)["scope"] == "orders:read"


def test_adds_authorization_params(application: Application, browser: Browser) -> None:
    """A caller's own parameters reach the authorization endpoint beside ours."""
    # when
    started = application.call("start", provider="demo", authorization_params={"prompt": "select account&x=1"})

    # then
    query = _query(browser.authorize(started["authorize_url"]))
    assert query["prompt"] == "select account&x=1"
    assert query["response_type"] == "code"


@pytest.mark.parametrize(
    "own",
    [
        "state",
        "redirect_uri",
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "response_type",
        "scope",
        "response_mode",
        "request",
        "request_uri",
    ],
)
def test_refuses_authorization_params_that_are_ours(application: Application, own: str) -> None:
    """No caller can set what the flow's guarantees rest on."""
    # when
    answer = application.call("start", provider="demo", authorization_params={own: "x"})

    # then
    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith("authorization_params: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", ""),
        ("provider", "../ultracart"),
        ("provider", "a" * 65),
        ("provider", 7),
        ("provider", ["ultracart"]),
        ("connection_id", ""),
        ("connection_id", "x" * 129),
        ("connection_id", "with space"),
        ("connection_id", "slash/"),
        ("connection_id", "ü"),
        ("connection_id", "line\n"),
        ("connection_id", 5),
        ("owner", ""),
        ("owner", "x" * 257),
        ("owner", "tab\t"),
        ("owner", LONE_SURROGATE),
        ("owner", {"id": "x"}),
        ("scopes", "order_read"),
        ("scopes", ["with space"]),
        ("scopes", [""]),
        ("scopes", [1]),
        ("scopes", ["a"] * 101),
        ("return_to", "/relative"),
        ("return_to", ""),
        ("return_to", 1),
        ("parameters", ["a"]),
        ("parameters", {"a": 1}),
        ("parameters", {"": "x"}),
        ("parameters", {"a": "x" * 257}),
        ("parameters", {"a": LONE_SURROGATE}),
        ("parameters", {f"k{number}": "v" for number in range(21)}),
        ("tags", "x"),
        ("tags", {"a": None}),
        ("tags", {"a": "\x00"}),
        ("tags", {"a": LONE_SURROGATE}),
        ("authorization_params", {"a": ["b"]}),
        ("authorization_params", {"a": LONE_SURROGATE}),
        ("confirm", "yes"),
        ("confirm", 1),
    ],
)
def test_bad_field_is_named_and_changes_nothing(
    application: Application, aws_calls: list[AwsCall], field: str, value: object
) -> None:
    """The description names the field, never repeats the value, and no AWS service is asked."""
    # when
    answer = application.call("start", **{"provider": "ultracart", field: value})

    # then
    assert answer.keys() == FAILURE_KEYS
    assert (answer["error"], answer["retryable"]) == ("invalid_request", False)
    assert answer["error_description"].startswith(f"{field}: ")
    assert aws_calls == []


def test_every_bad_field_is_named_at_once(application: Application) -> None:
    """Missing, wrong and unknown fields come in one answer, with what was expected, an example, and what came."""
    # when
    answer = application.call("start", connection_id="a b", owner=1, colour="red")

    # then
    assert answer["error_description"] == (
        "colour: unknown field; "
        'provider: required, like "acme"; '
        "connection_id: expected 1 to 128 of A-Z a-z 0-9 . _ : @ -, and neither . nor .. alone, "
        'like "shop-1" (it is a string with 3 characters, a blank in it); '
        "owner: expected a string of 1 to 256 characters without control characters, "
        'like "customer-42" (it is a number); '
        "known are provider, connection_id, owner, scopes, return_to, parameters, authorization_params, tags, confirm, "
        "allow_new_subject."
    )


@pytest.mark.parametrize(
    ("field", "meant"),
    [("providr", "provider"), ("scope", "scopes"), ("returnTo", "return_to"), ("redirect_uri", "return_to")],
)
def test_a_field_with_nearly_the_right_name_is_asked_back(application: Application, field: str, meant: str) -> None:
    """If the right one is missing because of that, this is one problem and not two."""
    # when
    answer = application.call("start", **{field: "x", **({} if meant == "provider" else {"provider": "ultracart"})})

    # then
    assert answer["error_description"] == f"{field}: unknown field (did you mean {meant}?)."


@pytest.mark.parametrize("payload", [None, [], "ultracart", 7, True, {}])
def test_payload_that_is_no_request_is_an_invalid_request(application: Application, payload: object) -> None:
    """Whatever JSON is sent, the answer is a failure that says what is expected."""
    # when
    answer = application.invoke("start", payload)

    # then
    assert answer["error"] == "invalid_request"
    assert "provider" in answer["error_description"]


def test_null_is_as_good_as_absent(application: Application) -> None:
    """Languages that write `null` for what they do not have are understood."""
    # when
    answer = application.call("start", provider="ultracart", owner=None, return_to=None, scopes=None)

    # then
    assert "authorize_url" in answer


def test_unknown_provider(application: Application, aws_calls: list[AwsCall]) -> None:
    """A provider without a registration is unknown, and nothing is stored."""
    # when
    answer = application.call("start", provider="nowhere")

    # then
    assert answer.keys() == FAILURE_KEYS
    assert (answer["error"], answer["retryable"]) == ("unknown_provider", False)
    assert "gatehouse/providers/nowhere" in answer["error_description"]
    assert writes(aws_calls) == []


def test_a_misspelt_provider_is_answered_with_the_nearest(application: Application) -> None:
    """Every caller that names one gets it: `start` and `import_connection`."""
    # when
    answers = [
        application.call("start", provider="shopfy"),
        application.call("import_connection", provider="shopfy", connection_id="shop-1", refresh_token="RT-1"),
    ]

    # then
    expected = "No provider 'shopfy' is configured (did you mean shopify?): if the name is right, create the secret "
    assert [each["error_description"].startswith(expected) for each in answers] == [True, True]


def test_scopes_of_a_provider_that_fixes_them_are_refused(application: Application) -> None:
    """UltraCart fixes the scopes of an application where it is registered; asking for some would do nothing."""
    # when
    answer = application.call("start", provider="ultracart", scopes=["order_read"])

    # then
    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith("scopes: ")


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/",
        "http://localhost/",
        "http://localhost:1/",
        "//localhost/",
        "{origin}.evil.example/",
        "{origin}@evil.example/",
        "http://user@{netloc}/",
        "{origin}/#fragment",
        "{origin}\\@evil.example/",
        "{origin}/a b",
        "{origin}/\r\nSet-Cookie: x=y",
        "javascript:alert(1)",
        "https://{netloc}/",
        "http://[::1/",
        "{origin}/" + "x" * 2048,
    ],
)
def test_return_to_must_be_of_an_allowed_origin(stack: Stack, application: Application, return_to: str) -> None:
    """Nobody is sent anywhere but where the deployment's owner said."""
    # given
    url = return_to.format(origin=stack.base_url, netloc=urlsplit(stack.base_url).netloc)

    # when
    answer = application.call("start", provider="ultracart", return_to=url)

    # then
    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith("return_to: ")
    assert "evil" not in answer["error_description"]


def test_another_provider_or_owner_cannot_take_a_connection_over(
    application: Application, new_browser: Callable[..., Browser], aws_calls: list[AwsCall]
) -> None:
    """A re-authorization keeps provider and owner; both problems are named, and nothing is stored."""
    # given
    connection_id = new_browser().connect("ultracart", connection_id=fresh(), owner="alice")
    aws_calls.clear()

    # when
    answer = application.call("start", provider="demo", connection_id=connection_id, owner="bob")

    # then
    assert answer.keys() == FAILURE_KEYS | {"connection_id"}
    assert (answer["error"], answer["connection_id"]) == ("invalid_request", connection_id)
    assert "provider: " in answer["error_description"]
    assert "owner: " in answer["error_description"]
    assert "alice" not in answer["error_description"]
    assert writes(aws_calls) == []
    assert application.call("token", connection_id=connection_id)["version"] == 1


def test_revoked_connection_id_is_free_again(application: Application, new_browser: Callable[..., Browser]) -> None:
    """After revocation an id may go to another party; the version goes on, nothing of the old grant stays."""
    # given
    connection_id = new_browser(fresh("merchant")).connect(connection_id=fresh(), owner="alice", tags={"a": "b"})
    assert application.call("revoke", connection_id=connection_id)["status"] == "revoked"

    # when
    new_browser().connect("demo", connection_id=connection_id, owner="bob", tags={})

    # then
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert (connection["provider"], connection["owner"], connection["status"]) == ("demo", "bob", "active")
    assert connection["version"] == 2
    assert (connection["subject"], connection["metadata"], connection["tags"]) == (None, {}, {})


def test_reauthorization_keeps_what_is_known_of_the_connection(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """Owner, parameters and tags stay where the second start is silent, and change where it speaks."""
    # given
    given: dict[str, Any] = {"owner": "alice", "tags": {"a": "1"}, "parameters": {"p": "1"}}
    connection_id = new_browser().connect(connection_id=fresh(), **given)
    created_at = application.call("connections", connection_id=connection_id)["connection"]["created_at"]

    # when
    new_browser().connect(connection_id=connection_id, tags={"a": "2"})

    # then
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert (connection["owner"], connection["parameters"]) == ("alice", {"p": "1"})
    assert connection["tags"] == {"a": "2"}
    assert (connection["version"], connection["created_at"]) == (2, created_at)
    assert len(demo.requests("token")) == 2


@pytest.mark.parametrize(
    ("registration", "named"),
    [
        ("not json", "JSON"),
        ("[]", "object"),
        ({}, "client_id"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "c", "secret": "hush-hush-hush"}, "secret"),
        ({"client_id": "c", "token_endpoint": "ftp://x.example/t"}, "token_endpoint"),
        ({"client_id": "c", "token_endpoint": "http://provider.example/token"}, "token_endpoint"),
        ({"client_id": "c", "pkce": "plain"}, "pkce"),
        ({"client_id": "c", "authorization_params": {"state": "fixed"}}, "authorization_params"),
        ({"client_id": "c", "token_params": {"grant_type": "password"}}, "token_params"),
        ({"client_id": "c", "token_endpoint_auth_method": "tls_client_auth"}, "token_endpoint_auth_method"),
        ({"client_id": "c"}, "authorization_endpoint"),
    ],
)
def test_wrong_registration_is_the_operators_fault_and_named(
    application: Application, registration: dict[str, Any] | str, named: str
) -> None:
    """`provider_misconfigured` says which key is wrong and never repeats a value of the secret."""
    # given
    provider = application.register(registration)

    # when
    answer = application.call("start", provider=provider)

    # then
    assert (answer["error"], answer["retryable"]) == ("provider_misconfigured", False)
    assert named in answer["error_description"]
    assert "hush" not in answer["error_description"]
    assert "fixed" not in answer["error_description"]


def _query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.mark.parametrize("status", [None, 404], ids=["silent", "not found, late"])
def test_slow_issuer_is_answered_for_within_the_functions_time(application: Application, status: int | None) -> None:
    """All that is asked of it takes five seconds of the ten together; the next caller is answered at once."""
    with running_scripted() as issuer:
        # given
        provider = application.register({"client_id": "scripted-client", "issuer": issuer.url})
        if status is None:
            issuer.open.clear()
        else:
            issuer.answers["/.well-known/oauth-authorization-server"] = lambda _received: time.sleep(4.5)
            issuer.answers["/.well-known/openid-configuration"] = lambda _received: time.sleep(4.5)

        # when
        answers = [application.call("start", provider=provider) for _ in range(3)]
        asked = len(issuer.received)
        issuer.open.set()

    # then
    assert {answer["error"] for answer in answers} == {"provider_unavailable"}
    assert all(5 <= answer["retry_after"] <= 60 for answer in answers)
    assert asked == (1 if status is None else 2)


def test_connection_without_room_is_refused_before_its_customer_consents(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Grants whose server does not confirm their end stay in the record, and a record is bounded: `start` says so."""
    # given
    large = {name: secrets.token_hex(LONGEST_TOKEN // 2) for name in ("access_token", "refresh_token")}
    scripted.answers |= {"/token": large, "/revoke": Response(b"", 503)}
    provider = application.register(scripted.registration)
    connection_id = connect(application, browser, provider)[0]["connection_id"]
    assert application.call("revoke", connection_id=connection_id)["status"] == "revoking"
    allowed = application.call("start", provider=provider, connection_id=connection_id)

    # when
    _repeat_the_token_set(stack, application, connection_id, times=7)
    refused = application.call("start", provider=provider, connection_id=connection_id)

    # then
    assert "authorize_url" in allowed
    assert (refused["error"], refused["retryable"]) == ("temporarily_unavailable", True)
    assert "The connection holds 7 token sets" in refused["error_description"]
    assert "or choose another connection_id" in refused["error_description"]
    assert refused["retry_after"] > 0


def _repeat_the_token_set(stack: Stack, application: Application, connection_id: str, *, times: int) -> None:
    """Leave a record as an outage of the revocation endpoint would that lasts for as many consents."""
    item = application.connection_item(connection_id)
    assert item is not None
    (held,) = item["sets"]["L"]
    sets = [{"M": {**held["M"], "id": {"S": f"{held['M']['id']['S']}-{number}"}}} for number in range(times)]
    table = table_name(stack, "connections")
    boto3.client("dynamodb").put_item(TableName=table, Item={**item, "sets": {"L": sets}})

"""What docs/calling.md says is so: its programs run, its tables are the code's, and its times follow from the code."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.endpoint import DEFAULT_TIMEOUT
from botocore.exceptions import ClientError

from functions.vault.base.errors import BY_CODE
from functions.vault.base.fields import Mismatch
from functions.vault.base.timing import RESERVE, SLOT_WAIT, Deadline
from functions.vault.grant.connection import JUST_OBTAINED
from functions.vault.oauth.authorization_response import RESPONSE_ERRORS
from functions.vault.oauth.discovery import TIMEOUT as METADATA_TIMEOUT
from functions.vault.oauth.visit_outcome import SUBJECT_MISMATCH
from functions.vault.provider.provider import Provider
from functions.vault.provider.vocabulary import checks
from local.aws import cloudformation
from tests.documents import page, programs, rows, run, section
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.stack import Stack
    from tests.browser import Browser

CALLING = page("docs/calling.md")
FUNCTIONS = ("start", "confirm", "token", "refresh", "revoke", "connections", "import_connection")
COLD_START = 10
"""Seconds that Lambda gives a process until it is ready, beside the function's timeout."""
API_GATEWAY = 30
"""Seconds that an HTTP API waits for a function."""


def test_the_error_table_is_that_of_the_code() -> None:
    """Every code that a caller can meet is there with its HTTP status and whether asking again helps."""
    table = {code: (status, retryable) for code, status, retryable, *_ in rows(section(CALLING, "Errors"))}

    assert table == {
        code: (str(error.http_status), "yes" if error.retryable else "no") for code, error in BY_CODE.items()
    }


def test_every_code_that_a_customer_can_come_back_with_is_named() -> None:
    """Beside the codes of the table, `return_to` gets what the authorization server may answer to a browser."""
    named = set(re.findall(r"`(\w+)`", section(CALLING, "Errors")))

    assert RESPONSE_ERRORS | BY_CODE.keys() | {"request_expired", SUBJECT_MISMATCH} <= named


def test_the_failure_shown_is_one_of_the_stack(stack: Stack) -> None:
    """It is what a caller gets who asks for a connection that is not there."""
    (shown,) = programs(section(CALLING, "Errors"), "json")

    assert stack.invoke("token", {"connection_id": "nobody"}) == json.loads(shown)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_fields_of_a_call_are_those_of_the_function(function: str, stack: Stack) -> None:
    """Each field that a function takes is explained, and no other; a required one is called so."""
    table = {row[0]: row[1] for row in rows(section(CALLING, function))}

    answers = [
        json.load(stack.lambda_client().invoke(FunctionName=f"gatehouse-{function}", Payload=payload)["Payload"])
        for payload in ("[]", "{}")
    ]

    taken, missing = (str(answer.get("error_description", "")) for answer in answers)
    assert set(taken.partition("fields: ")[2].rstrip(".").split(", ")) == table.keys()
    assert set(re.findall(r"(\w+): required", missing)) == {name for name, need in table.items() if need == "required"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_answers_shown_have_the_fields_of_the_function(function: str, stack: Stack, browser: Browser) -> None:
    """The request, with another id, is accepted, and its answer has what the one shown has. `refresh` has token's."""
    request, *shown = [json.loads(text) for text in programs(section(CALLING, function), "json")]
    shown = shown or [json.loads(programs(section(CALLING, "token"), "json")[1])]
    about: dict[str, Any] = {"connection_id": browser.connect(connection_id=f"shown-{function}")}
    if function == "confirm":
        about = to_confirm(stack, browser, owner=request["owner"])
    if function == "import_connection":
        # What is shown is no token of this machine's, and an id is imported once.
        about = {"connection_id": "imported-as-shown", "prove": False}

    answer = stack.invoke(function, {**request, **about})

    assert [shape(answer)] == [shape(each) for each in shown]


def to_confirm(stack: Stack, browser: Browser, owner: str) -> dict[str, str]:
    """Let a customer consent and come back; return what the browser brings that a confirmation takes from it."""
    started = browser.start(confirm=True, owner=owner, return_to=f"{stack.base_url}/app")
    back = browser.open(browser.consent(browser.authorize(started["authorize_url"]))).headers["Location"]
    query = parse_qs(urlsplit(back).query)
    return {name: query[name][0] for name in ("connection_id", "confirmation")}


def shape(answer: Any) -> Any:
    """Return the names of the fields of an answer, and of the objects in it."""
    return {name: shape(value) for name, value in answer.items()} if isinstance(answer, dict) else None


def test_the_complete_example_gets_a_token_and_another_one(stack: Stack, browser: Browser) -> None:
    """The program, copied as it stands, prints the token of `shop-1`, and what it is refreshed to."""
    connection_id = browser.connect(connection_id="shop-1")
    stack.clock.advance(JUST_OBTAINED)
    first = stack.invoke("token", {"connection_id": connection_id})

    printed = run(programs(CALLING, "python")[0], AWS_ENDPOINT_URL_LAMBDA=stack.base_url).split()

    second = stack.invoke("token", {"connection_id": connection_id})
    assert first is not None
    assert second is not None
    assert second["version"] == first["version"] + 1
    assert printed == [first["access_token"], second["access_token"]]


@pytest.mark.parametrize("which", ["Invoke without the client", "HTTP with the client", "HTTP without the client"])
def test_the_other_programs_get_a_token(which: str, stack: Stack, browser: Browser) -> None:
    """Copied as they stand, they print the token of `shop-1`."""
    connection_id = browser.connect(connection_id="shop-1")
    by_http = programs(section(CALLING, "From other clouds"), "python")
    shown = dict(zip(("HTTP with the client", "HTTP without the client"), by_http, strict=True))
    program = shown.get(which) or programs(CALLING, "python")[1]
    api = {"GATEHOUSE_API_URL": stack.base_url} if which in shown else {}

    printed = run(program, AWS_ENDPOINT_URL_LAMBDA=stack.base_url, **api)

    token = stack.invoke("token", {"connection_id": connection_id})
    assert token is not None
    assert printed == token["access_token"]


def test_both_links_of_a_repeated_start_work(stack: Stack, browser: Browser) -> None:
    """An SDK that repeats `start` makes a second request: whichever link the customer has leads to the connection."""
    first, second = (browser.start(connection_id="start-repeated") for _ in range(2))

    pages = [browser.visit(started["authorize_url"]) for started in (second, first)]

    assert first["request_id"] != second["request_id"]
    assert [page.status_code for page in pages] == [200, 200]
    assert status_of("start-repeated", stack) == "active"


def test_a_repeated_refresh_is_one_refresh(stack: Stack, browser: Browser) -> None:
    """With `if_version` at any time; without it while the token set is younger than ten seconds."""
    request = {"connection_id": browser.connect(connection_id="refresh-repeated")}
    stack.clock.advance(JUST_OBTAINED)

    versions = [version_of(stack.invoke("refresh", request)) for _ in range(2)]
    stack.clock.advance(JUST_OBTAINED)
    versions += [version_of(stack.invoke("refresh", {**request, "if_version": 2})) for _ in range(2)]

    assert versions == [2, 2, 3, 3]


def test_a_late_repeat_of_revoke_ends_what_was_connected_since(stack: Stack, browser: Browser) -> None:
    """It is harmless at once; but it names no version, so a queue must not repeat it hours later."""
    request = {"connection_id": browser.connect(connection_id="revoke-repeated")}

    answers = [stack.invoke("revoke", request) for _ in range(2)]
    browser.connect(connection_id="revoke-repeated")
    reconnected = status_of("revoke-repeated", stack)
    stack.invoke("revoke", request)

    assert answers[0] == answers[1]
    assert reconnected == "active"
    assert status_of("revoke-repeated", stack) == "revoked"


def status_of(connection_id: str, stack: Stack) -> str:
    """Return where a connection stands."""
    answer = stack.invoke("connections", {"connection_id": connection_id})
    assert answer is not None
    return str(answer["connection"]["status"])


def version_of(answer: dict[str, Any] | None) -> int:
    """Return the version of the token set in an answer."""
    assert answer is not None
    return int(answer["version"])


def test_a_call_ends_when_the_page_says() -> None:
    """The times are the template's; HTTP ends, and a killed call's lease, as the code has it."""
    text = section(CALLING, "How long a call takes")
    timeouts = timeouts_of_the_template()

    table = {
        name: int(within.removesuffix(" s"))
        for names, within, _ in rows(text)
        for name in re.findall(r"\w+", names)
        if name in FUNCTIONS
    }

    assert table == {name: timeouts[name] for name in FUNCTIONS}
    said = " ".join(text.split())
    refreshes = timeouts["refresh"]
    assert timeouts["token"] == timeouts["revoke"] == refreshes
    assert f"latest {refreshes - RESERVE:.0f} seconds after the call began" in said
    assert f"The other {RESERVE:.0f} seconds are kept" in said
    assert said.count(f"for {SLOT_WAIT:.0f} s") == 4
    assert METADATA_TIMEOUT == SLOT_WAIT
    repeats = " ".join(section(CALLING, "What you may repeat").split())
    assert f"at most {Deadline(lambda: refreshes).for_lease():.0f} seconds after the refresh began" in repeats
    assert JUST_OBTAINED == 10
    assert "for ten seconds" in repeats


def test_a_request_to_a_provider_takes_as_long_as_the_page_says() -> None:
    """The default is the one of a registration that names none, and the most is what a registration may name."""
    said = " ".join(section(CALLING, "How long a call takes").split())
    default, most = re.findall(r"may take (\d+) seconds, .* \(`request_timeout`, up to (\d+)\)", said)[0]
    check = checks(loopback_http=False)["request_timeout"]

    assert [int(default)] == [each.default for each in fields(Provider) if each.name == "request_timeout"]
    assert check(int(most)) == int(most)
    with pytest.raises(Mismatch):
        check(int(most) + 1)


def test_the_timeouts_that_callers_should_set_outlast_a_call() -> None:
    """They are longer than a cold start and the longest call together, and no snippet of the page has another."""
    longest = max(timeouts_of_the_template()[name] for name in FUNCTIONS)
    snippets = "\n".join(text for language in ("python", "js", "sh") for text in programs(CALLING, language))

    named = re.findall(r"(?:read_timeout=|requestTimeout: |--cli-read-timeout )(\d+)", CALLING)

    assert set(named) == {"40"}
    assert longest + COLD_START < 40
    assert longest < API_GATEWAY
    assert re.findall(r"\btimeout=(\d+)", snippets) == ["35"]
    assert API_GATEWAY < 35
    assert DEFAULT_TIMEOUT == 60


def timeouts_of_the_template() -> dict[str, int]:
    """Return the seconds after which Lambda ends each function."""
    made = cloudformation.load(ROOT / "template.yaml")["Resources"].values()
    functions = [each["Properties"] for each in made if each["Type"] == "AWS::Lambda::Function"]
    return {each["Handler"].split(".")[1]: each["Timeout"] for each in functions}


class Lambda(HTTPServer):
    """A Lambda service that always answers with one status, and counts."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.status, self.headers, self.requests = status, headers, 0


class _Answering(BaseHTTPRequestHandler):
    server: Lambda

    def do_POST(self) -> None:
        self.server.requests += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        for name, value in {**self.server.headers, "Content-Length": "2"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def answering(status: int, headers: dict[str, str]) -> Iterator[Lambda]:
    """Run such a service."""
    server = Lambda(status, headers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "headers", "attempts"),
    [(503, {}, {3, 5}), (200, {"X-Amz-Function-Error": "Unhandled"}, {1})],
    ids=["Lambda fails", "the function fails"],
)
def test_boto3_repeats_a_call_as_often_as_the_page_says(
    status: int, headers: dict[str, str], attempts: set[int]
) -> None:
    """Lambda's own failures are repeated, to three or five attempts in all; a function's failure is not."""
    with answering(status, headers) as server, suppress(ClientError):
        keys = boto3.Session(aws_access_key_id="key", aws_secret_access_key="key", region_name="us-east-1")
        client = keys.client("lambda", endpoint_url=f"http://127.0.0.1:{server.server_port}")
        client.invoke(FunctionName="gatehouse-token:live", Payload=b"{}")

    assert server.requests in attempts
    assert "boto3 tries three or five times in all" in " ".join(CALLING.split())

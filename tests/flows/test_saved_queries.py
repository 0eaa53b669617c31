"""Each way not to connect is staged, and the saved query for it finds its cause in the lines that the functions wrote.

Other customers connect before and after it: what a query shows of them is none of the cause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from functions.vault.grant.life import CONFIRM_WITHIN
from functions.vault.storage.registrations import KEPT
from tests import insights
from tests.expressions import Deployed, translated
from tests.flows.application import fresh
from tests.flows.scripted import CODE, TOKENS, connect
from tests.functions import FUNCTIONS, logical_name
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

PAGE = (ROOT / "docs" / "does-not-connect.md").read_text(encoding="utf-8")
QUERIES = {
    name: Deployed().properties(name)
    for name, each in translated()["Resources"].items()
    if each["Type"] == "AWS::Logs::QueryDefinition"
}
PLACEHOLDER = "WHAT_YOU_KNOW"
LONGER_THAN_A_LINK_OPENS = 601
LONGER_THAN_A_TOKEN_LIVES = 3700


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that answers as scripted, and grants."""
    scripted.answers["/token"] = TOKENS
    return scripted


@dataclass
class Staged:
    """What a way not to connect is staged with."""

    stack: Stack
    application: Application
    scripted: Scripted
    new_browser: Callable[..., Browser]

    def register(self, **changed: Any) -> str:
        """Register at the scripted server."""
        return self.application.register(self.scripted.registration | changed)

    def connect(self, provider: str, **fields: Any) -> str:
        """Go the whole way in a browser of its own, and return the connection's id."""
        about = {"connection_id": fresh(), **fields}
        started, _ = connect(self.application, self.new_browser(), provider, **about)
        return str(started["connection_id"])


Stage = Callable[[Staged], str]
"""Stages a way not to connect, and returns the id of the connection that does not come about."""


def _no_link(staged: Staged) -> str:
    connection_id = fresh()
    staged.application.call("start", provider="nobody-registered", connection_id=connection_id)
    return connection_id


def _not_opened(staged: Staged) -> str:
    return str(staged.application.call("start", provider=staged.register(), connection_id=fresh())["connection_id"])


def _opened_too_late(staged: Staged) -> str:
    started = staged.application.call("start", provider=staged.register(), connection_id=fresh())
    staged.stack.clock.advance(LONGER_THAN_A_LINK_OPENS)
    staged.new_browser().open(started["authorize_url"])
    return str(started["connection_id"])


def _stuck_at_the_provider(staged: Staged) -> str:
    started = staged.application.call("start", provider=staged.register(), connection_id=fresh())
    staged.new_browser().open(started["authorize_url"])
    return str(started["connection_id"])


def _finished_in_another_browser(staged: Staged) -> str:
    started = staged.application.call("start", provider="ultracart", connection_id=fresh())
    opened_in = staged.new_browser()
    callback = opened_in.consent(opened_in.authorize(started["authorize_url"]))
    staged.new_browser().open(callback)
    return str(started["connection_id"])


def _declined(staged: Staged) -> str:
    started = staged.application.call("start", provider="ultracart", connection_id=fresh())
    staged.new_browser().visit(started["authorize_url"], "deny")
    return str(started["connection_id"])


def _wrong_secret(staged: Staged) -> str:
    provider = staged.register()
    staged.scripted.answers["/token"] = _refusal("invalid_client", 401)
    return staged.connect(provider)


def _wrong_issuer(staged: Staged) -> str:
    issuer = staged.scripted.url
    provider = staged.register(issuer=issuer, authorization_response_iss_parameter_supported=True)
    started = staged.application.call("start", provider=provider, connection_id=fresh())
    browser = staged.new_browser()
    state = re.search(r"state=([^&]+)", browser.authorize(started["authorize_url"]))
    assert state
    answer = f"state={state[1]}&" + urlencode({"code": CODE, "iss": "https://another.example"})
    browser.open(f"/callback/{provider}?{answer}")
    return str(started["connection_id"])


def _provider_is_down(staged: Staged) -> str:
    provider = staged.register()
    staged.scripted.answers["/token"] = _refusal("", 503)
    return staged.connect(provider)


def _another_account(staged: Staged) -> str:
    provider = staged.register(subject="account")
    staged.scripted.answers["/token"] = {**TOKENS, "account": "shop-1"}
    connection_id = staged.connect(provider)
    staged.scripted.answers["/token"] = {**TOKENS, "account": "shop-2"}
    return staged.connect(provider, connection_id=connection_id)


def _not_confirmed(staged: Staged) -> str:
    return _to_be_confirmed(staged)["connection_id"]


def _confirmed_too_late(staged: Staged) -> str:
    brought = _to_be_confirmed(staged)
    staged.stack.clock.advance(CONFIRM_WITHIN + 1)
    about = {name: brought[name] for name in ("connection_id", "confirmation")}
    staged.application.call("confirm", **about, owner="customer-1")
    return brought["connection_id"]


def _to_be_confirmed(staged: Staged) -> dict[str, str]:
    """Return what the browser brings to the application."""
    about = {"connection_id": fresh(), "confirm": True, "owner": "customer-1"}
    back = f"{staged.stack.base_url}/app"
    _, page = connect(staged.application, staged.new_browser(), staged.register(), return_to=back, **about)
    return dict(parse_qsl(urlsplit(page.headers["Location"]).query))


def _grant_ended(staged: Staged) -> str:
    connection_id = staged.connect(staged.register())
    staged.scripted.answers["/token"] = _refusal("invalid_grant", 400)
    staged.stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    for _ in range(3):
        staged.application.call("token", connection_id=connection_id)
    return connection_id


def _no_refresh_token(staged: Staged) -> str:
    staged.scripted.answers["/token"] = {"access_token": "of-an-hour", "expires_in": 3600}
    return staged.connect(staged.register())


def _refreshes_fail(staged: Staged) -> str:
    connection_id = staged.connect(staged.register())
    staged.scripted.answers["/token"] = _refusal("invalid_client", 401)
    staged.stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    staged.application.call("token", connection_id=connection_id)
    return connection_id


def _aws_fails(staged: Staged) -> str:
    started = staged.application.call("start", provider=staged.register(), connection_id=fresh())
    staged.stack.aws_faults.fail("dynamodb", "GetItem", error="ProvisionedThroughputExceededException")
    staged.new_browser().open(started["authorize_url"])
    staged.stack.aws_faults.clear()
    return str(started["connection_id"])


def _refusal(error: str, status: int) -> Any:
    from werkzeug.wrappers import Response  # noqa: PLC0415 - here alone

    return Response(json.dumps({"error": error}) if error else "", status, content_type="application/json")


CAUSES: dict[str, tuple[Stage, str, dict[str, Any]]] = {
    "the provider is not registered": (_no_link, "QueryNoLink", {"outcome": "unknown_provider"}),
    "nobody opened the link": (_not_opened, "QueryHalfway", {"step": "start", "ended": "ok"}),
    "the link was opened too late": (_opened_too_late, "QueryLink", {"message": "authorize", "outcome": "expired"}),
    "the provider shows an error of its own": (
        _stuck_at_the_provider,
        "QueryHalfway",
        {"step": "authorize", "ended": "redirected"},
    ),
    "they finished in another browser": (
        _finished_in_another_browser,
        "QueryNotAccepted",
        {"outcome": "refused", "reason": "browser_unknown"},
    ),
    "the issuer is another": (
        _wrong_issuer,
        "QueryNotAccepted",
        {"outcome": "refused", "reason": "issuer_mismatch"},
    ),
    "they declined": (_declined, "QueryProviderSaidNo", {"outcome": "denied", "reason": "access_denied"}),
    "the client secret is wrong": (
        _wrong_secret,
        "QueryProviderSaidNo",
        {"outcome": "failed", "reason": "provider_misconfigured", "provider_error": "invalid_client"},
    ),
    "the provider is down": (
        _provider_is_down,
        "QueryProviderSaidNo",
        {"outcome": "failed", "reason": "provider_unavailable"},
    ),
    "they signed in with another account": (
        _another_account,
        "QueryProviderSaidNo",
        {"outcome": "failed", "reason": "subject_mismatch"},
    ),
    "the application does not confirm": (
        _not_confirmed,
        "QueryNotConfirmed",
        {"step": "callback", "ended": "unconfirmed"},
    ),
    "the application confirms too late": (
        _confirmed_too_late,
        "QueryNotConfirmed",
        {"step": "confirm", "ended": "confirmation_expired"},
    ),
    "the provider has ended the grant": (
        _grant_ended,
        "QueryEnded",
        {"failure": "reauthorization_required", "failed_with": "invalid_grant"},
    ),
    "no refresh token came": (_no_refresh_token, "QueryEnded", {"message": "no refresh token came"}),
    "refreshes are refused": (
        _refreshes_fail,
        "QueryProviderFails",
        {"failure": "provider_misconfigured", "said": "invalid_client"},
    ),
    "AWS throttles": (_aws_fails, "QueryWentWrong", {"outcome": "error", "reason": "temporarily_unavailable"}),
}


@pytest.fixture
def staged(
    stack: Stack, application: Application, scripted: Scripted, new_browser: Callable[..., Browser]
) -> Iterator[Staged]:
    """Give what is needed to stage something, and mend what it broke."""
    yield Staged(stack, application, scripted, new_browser)
    stack.aws_faults.clear()


_CONNECTED: list[tuple[str, str]] = []


@pytest.fixture
def connected(staged: Staged, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Connect another customer, once for all tests; give the connection's id, and what the functions wrote of it."""
    if not _CONNECTED:
        capsys.readouterr()
        connection_id = staged.new_browser().connect("demo")
        _CONNECTED.append((connection_id, capsys.readouterr().out))
    return _CONNECTED[0]


@pytest.mark.parametrize("cause", CAUSES)
def test_the_saved_query_for_a_cause_finds_it(
    staged: Staged, connected: tuple[str, str], cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one row, with other customers in the log who connect; and the query for one attempt shows its steps."""
    # given
    stage, query, expected = CAUSES[cause]
    healthy, theirs = connected
    capsys.readouterr()

    # when
    connection_id = stage(staged)
    log = Log(theirs + capsys.readouterr().out + theirs)

    # then
    (found,) = log.ask(query)
    assert expected.items() <= found.items(), found
    assert healthy not in found.values()
    steps = log.ask("QueryOneAttempt", connection_id)
    assert steps
    if query in {"QueryNotAccepted", "QueryWentWrong"}:
        steps += log.ask("QueryOneAttempt", found.get("authorization_request_id") or found["request_id"])
    assert {step["message"] for step in steps} >= {found.get("message", found.get("step", "start"))}


class Log:
    """What the functions wrote, in order, and whose log group each line is in."""

    def __init__(self, printed: str) -> None:
        self._lines: list[tuple[str, str]] = []
        waiting: list[str] = []
        for line in printed.splitlines():
            waiting.append(line)
            # A call's last line is named after its function. What it logged before that is in the same log group.
            function = json.loads(line)["message"] if line.startswith("{") else ""
            if function in FUNCTIONS:
                self._lines += [(f"{logical_name(function)}LogGroup", each) for each in waiting]
                waiting = []
        assert not waiting

    def ask(self, query: str, known: str | None = None) -> list[dict[str, Any]]:
        """Run a saved query over its log groups, with what is known of an attempt in place of the placeholder."""
        properties = QUERIES[query]
        lines = [line for group, line in self._lines if group in properties["LogGroupNames"]]
        text = properties["QueryString"]
        return insights.run(text if known is None else text.replace(PLACEHOLDER, known), insights.lines_of(lines))


def test_all_causes_of_a_day_are_counted_by_one_query(staged: Staged, capsys: pytest.CaptureFixture[str]) -> None:
    """The most frequent first, whoever it was; those who connected are not among them."""
    # given
    staged.stack.clock.advance(int(KEPT) + 1)
    capsys.readouterr()

    # when
    for stage in (_declined, _no_link, _declined, _wrong_secret):
        stage(staged)
    staged.new_browser().connect("demo")
    rows = Log(capsys.readouterr().out).ask("QueryCauses")

    # then
    counted = [(row["message"], row["cause"], row["times"]) for row in rows]
    assert counted[0] == ("callback", "access_denied", 2)
    assert sorted(counted[1:]) == [("callback", "provider_misconfigured", 1), ("start", "unknown_provider", 1)]


@pytest.mark.parametrize("known", ["authorization_request_id", "connection_id", "request_id"])
def test_one_attempt_is_found_by_whatever_is_known_of_it(
    staged: Staged, capsys: pytest.CaptureFixture[str], known: str
) -> None:
    """By the request id that the application has, by its own connection id, or by the reference on an error page."""
    # given
    staged.new_browser().connect(connection_id=fresh())
    printed = capsys.readouterr().out
    connected = json.loads(printed.splitlines()[-2])

    # when
    rows = Log(printed).ask("QueryOneAttempt", connected[known])

    # then
    steps = [(row["message"], row["outcome"]) for row in rows]
    if known == "request_id":
        assert (steps, rows[0]["status"]) == ([("callback", "connected")], "active")
        return
    assert steps[-2:] == [("callback", "connected"), ("callback", "shown")]
    assert (len(steps), rows[-2]["status"], rows[-1]["page"]) == (4, "active", "connected")


def test_what_went_wrong_is_looked_for_in_every_function(staged: Staged, capsys: pytest.CaptureFixture[str]) -> None:
    """Alarms lead to this query. A token response that does not open is a line of `rescue`, which nobody calls."""
    # given
    connection_id = staged.connect(staged.register())
    staged.stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    staged.stack.aws_faults.fail("dynamodb", "UpdateItem", error="AccessDeniedException", after=1)
    staged.stack.aws_faults.fail("sqs", "SendMessage", error="AccessDeniedException")
    capsys.readouterr()
    staged.application.call("token", connection_id=connection_id)
    staged.stack.aws_faults.clear()
    (last_copy,) = [line for line in capsys.readouterr().out.splitlines() if '"CRITICAL"' in line]

    # when
    staged.application.call("rescue", **{**json.loads(last_copy)["obtained"], "connection_id": fresh()})
    found = Log(capsys.readouterr().out).ask("QueryWentWrong")

    # then
    assert [(row["message"], row["level"]) for row in found] == [("a token response does not open", "ERROR")]
    assert set(QUERIES["QueryWentWrong"]["LogGroupNames"]) == {f"{logical_name(each)}LogGroup" for each in FUNCTIONS}


def test_what_the_api_answers_by_itself_is_in_the_access_log() -> None:
    """No function was called for it, so that none of them has a line. The format of the log is the template's own."""
    # given
    template = translated()["Resources"]
    (stage,) = (each for each in template.values() if each["Type"] == "AWS::ApiGatewayV2::Stage")
    form = stage["Properties"]["AccessLogSettings"]["Format"]

    def line(status: int, kind: str) -> str:
        known = {"status": str(status), "routeKey": "GET /callback/{provider}", "error.responseType": kind}
        return re.sub(r"\$context\.([\w.]+)", lambda match: known.get(match[1], "-"), form)

    # when
    lines = [
        line(429, "THROTTLED"),
        line(302, "-"),
        line(404, "-"),
        line(429, "THROTTLED"),
        line(503, "INTEGRATION_FAILURE"),
    ]
    rows = insights.run(QUERIES["QueryApiErrors"]["QueryString"], insights.lines_of(lines))

    # then
    assert [(row["status"], row["error"], row["times"]) for row in rows] == [
        ("429", "THROTTLED", 2),
        ("503", "INTEGRATION_FAILURE", 1),
    ]
    assert {row["route"] for row in rows} == {"GET /callback/{provider}"}


def test_every_saved_query_is_on_the_page_that_leads_to_it() -> None:
    """By its name, as the console lists it; and no other is spoken of."""
    named = {properties["Name"].rpartition("/")[2] for properties in QUERIES.values()}

    assert {name for name in named if f"**{name}**" not in PAGE} == set()
    assert {name for name in re.findall(r"\*\*(\d+ [^*]+)\*\*", PAGE) if name not in named} == set()
    assert {query for _, query, _ in CAUSES.values()} | {"QueryOneAttempt", "QueryCauses", "QueryApiErrors"} == {
        *QUERIES
    }

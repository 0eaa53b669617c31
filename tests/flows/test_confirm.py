"""`confirm`: a link that somebody else opens gives nobody anything, and costs nobody a grant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.start import handler as start
from functions.vault.grant.life import CONFIRM_WITHIN
from tests.built import running_stack
from tests.flows.application import Context, fresh, operations, with_services, writes
from tests.flows.scripted import CODE, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

OWNER = "customer-1"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a stack of this module's own: a sweep queues all that is due, and other tests leave much that is."""
    with running_stack() as running:
        yield running


def query_of(answer: requests.Response) -> dict[str, str]:
    """Return what a redirect to the application brings."""
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    return {name: values[0] for name, values in query.items()}


@dataclass(frozen=True)
class Attempt:
    """One customer's way to the server and back, which the application has to confirm."""

    application: Application
    browser: Browser
    started: dict[str, Any]

    @property
    def connection_id(self) -> str:
        """Return the connection that it is for."""
        return str(self.started["connection_id"])

    def back(self, decision: str = "allow") -> dict[str, str]:
        """Consent, and return what the browser brings to the application."""
        callback = self.browser.consent(self.browser.authorize(self.started["authorize_url"]), decision)
        return query_of(self.browser.open(callback))

    def confirm(self, brought: dict[str, str], **fields: Any) -> dict[str, Any]:
        """Confirm with what the browser has brought, and the owner of its session."""
        about = {"connection_id": self.connection_id, "confirmation": brought["confirmation"], "owner": OWNER}
        return self.application.call("confirm", **{**about, **fields})


@pytest.fixture
def attempt(stack: Stack, application: Application, new_browser: Callable[..., Browser]) -> Callable[..., Attempt]:
    """Start authorizations that have to be confirmed."""

    def started(merchant: str | None = None, **fields: Any) -> Attempt:
        about = {"provider": "ultracart", "connection_id": fresh(), "owner": OWNER, "confirm": True}
        answer = application.call("start", **{**about, "return_to": f"{stack.base_url}/app", **fields})
        return Attempt(application, new_browser(merchant), answer)

    return started


def test_tokens_are_vended_once_the_application_has_confirmed(
    application: Application, attempt: Callable[..., Attempt]
) -> None:
    """The whole way: what the browser brings, what `token` and `connections` say before, and after."""
    # given
    visit = attempt()

    # when
    brought = visit.back()

    # then
    assert brought.keys() == {"connection_id", "request_id", "status", "confirmation"}
    assert brought["status"] == "unconfirmed"
    assert application.call("token", connection_id=visit.connection_id)["error"] == "confirmation_required"
    shown = application.call("connections", connection_id=visit.connection_id)["connection"]
    assert (shown["status"], shown["needs"], shown["version"], shown["subject"]) == (
        "unconfirmed",
        "confirmation",
        0,
        None,
    )
    listed = application.call("connections", owner=OWNER, needs="confirmation")["connections"]
    assert visit.connection_id in [each["connection_id"] for each in listed]

    # when
    confirmed = visit.confirm(brought)

    # then
    assert confirmed == {"connection_id": visit.connection_id, "status": "active", "version": 1}
    assert application.call("token", connection_id=visit.connection_id)["version"] == 1
    shown = application.call("connections", connection_id=visit.connection_id)["connection"]
    assert (shown["status"], shown["needs"], shown["subject"]) == ("active", None, "DEMO")
    assert shown["last_attempt"]["outcome"] == "connected"


def test_over_http_the_answer_is_the_same(application: Application, attempt: Callable[..., Attempt]) -> None:
    """`POST /v1/confirm`, with the same object and the statuses of the table."""
    visit = attempt()
    brought = visit.back()
    about = {"connection_id": visit.connection_id, "confirmation": brought["confirmation"]}

    stolen = application.post("confirm", {**about, "owner": "somebody else"})
    confirmed = application.post("confirm", {**about, "owner": OWNER})

    assert (stolen.status_code, stolen.json()["error"]) == (409, "confirmation_invalid")
    assert (confirmed.status_code, confirmed.json()["status"]) == (200, "active")


def test_one_call_reads_once_and_writes_once(stack: Stack, attempt: Callable[..., Attempt]) -> None:
    """It opens what waits and seals what is used; a repeat only reads."""
    visit = attempt()
    brought = visit.back()

    stack.aws_calls.clear()
    visit.confirm(brought)
    first = operations(stack.aws_calls)
    stack.aws_calls.clear()
    visit.confirm(brought)

    assert sorted(first) == ["Decrypt", "GenerateDataKey", "GetItem", "UpdateItem"]
    assert operations(stack.aws_calls) == ["GetItem"]


def test_a_reload_shows_the_same(attempt: Callable[..., Attempt]) -> None:
    """As often as the customer comes back in this browser; confirmed, it says connected."""
    visit = attempt()
    callback = visit.browser.consent(visit.browser.authorize(visit.started["authorize_url"]))

    brought = [query_of(visit.browser.open(callback)) for _ in range(3)]
    visit.confirm(brought[0])

    assert brought[0] == brought[1] == brought[2]
    assert query_of(visit.browser.open(callback))["status"] == "connected"


def test_a_posted_answer_brings_the_same(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """By 303 (OAuth 2.0 Form Post Response Mode), for the form and for the same form once more."""
    # given
    scripted.answers["/token"] = TOKENS
    provider = application.register(scripted.registration | {"response_mode": "form_post"})
    fields = {"connection_id": fresh(), "confirm": True, "return_to": f"{stack.base_url}/app"}
    started = application.call("start", provider=provider, **fields)
    query = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)

    # when
    form = {"code": CODE, "state": query["state"][0]}
    brought = [query_of(browser.post(query["redirect_uri"][0], form)) for _ in range(2)]

    # then
    assert brought[0] == brought[1]
    about = {"connection_id": started["connection_id"], "confirmation": brought[0]["confirmation"]}
    assert application.call("confirm", **about)["status"] == "active"


def test_how_an_attempt_stands_can_be_asked(application: Application, attempt: Callable[..., Attempt]) -> None:
    """By its request: unconfirmed, then connected."""
    visit = attempt()
    brought = visit.back()

    outcomes = [application.call("connections", request_id=brought["request_id"])["last_attempt"]["outcome"]]
    visit.confirm(brought)
    outcomes.append(application.call("connections", request_id=brought["request_id"])["last_attempt"]["outcome"])

    assert outcomes == ["unconfirmed", "connected"]


# Phishing


def test_whoever_opens_anothers_link_connects_nothing(
    stack: Stack, application: Application, attempt: Callable[..., Attempt], new_browser: Callable[..., Browser]
) -> None:
    """An attacker sends a link to a victim, who consents. Without `confirm` the attacker has the victim's account now.

    With it the victim's browser comes to the application, in the victim's session or in none.
    """
    # given a link without confirm
    victim = new_browser("VICTIM")
    unprotected = application.call("start", provider="ultracart", connection_id=fresh(), owner="attacker")
    victim.visit(unprotected["authorize_url"])
    assert application.call("token", connection_id=unprotected["connection_id"])["subject"] == "VICTIM"

    # when the same is tried with confirm
    visit = attempt("VICTIM", owner="attacker")
    brought = visit.back()

    # then nothing is vended, whoever confirms: the session is not the attacker's
    assert application.call("token", connection_id=visit.connection_id)["error"] == "confirmation_required"
    assert visit.confirm(brought, owner="victim")["error"] == "confirmation_invalid"
    assert visit.confirm(brought, owner=None)["error"] == "invalid_request"
    # and the attacker, who does not have the confirmation, gets nothing either
    stranger = new_browser()
    assert "confirmation" not in stranger.visit(visit.started["authorize_url"]).headers.get("Location", "")
    assert visit.confirm({"confirmation": "A" * 43}, owner="attacker")["error"] == "confirmation_invalid"
    # and in the end it is gone
    stack.clock.advance(CONFIRM_WITHIN)
    stack.background.run_schedules()
    stack.background.poll()
    assert application.call("token", connection_id=visit.connection_id)["error"] == "reauthorization_required"


def test_it_costs_the_customer_nothing_who_is_connected(
    stack: Stack, application: Application, demo: DemoServer, attempt: Callable[..., Attempt]
) -> None:
    """Somebody else's consent to a connection in use is not vended, takes nothing from it, and is not revoked."""
    # given
    own = attempt("MINE")
    own.confirm(own.back())
    before = application.call("token", connection_id=own.connection_id)

    # when
    other = attempt("MINE", connection_id=own.connection_id)
    other.back()
    during = application.call("token", connection_id=own.connection_id)
    stack.clock.advance(CONFIRM_WITHIN)
    stack.background.run_schedules()
    stack.background.poll()

    # then
    assert during == before == application.call("token", connection_id=own.connection_id)
    assert demo.requests("revoke") == []
    assert application.refresh_later(own.connection_id)["version"] == 2


def test_by_a_narrowed_path_the_owner_is_the_one_in_the_path(
    application: Application, attempt: Callable[..., Attempt]
) -> None:
    """It need not be in the body, and another owner's path finds no such connection; an id's path names no owner."""
    visit = attempt()
    body = {"connection_id": visit.connection_id, "confirmation": visit.back()["confirmation"]}

    other = application.post("owners/customer-2/confirm", body)
    unnamed = application.post(f"connections/{visit.connection_id}/confirm", body)
    own = application.post(f"owners/{OWNER}/confirm", body)

    assert (other.status_code, other.json()["error"]) == (404, "connection_not_found")
    assert (unnamed.status_code, unnamed.json()["error"]) == (400, "invalid_request")
    assert (own.status_code, own.json()["status"]) == (200, "active")


def test_a_revoked_connection_that_gets_another_owner_is_confirmed_by_that_owners_path(
    application: Application, attempt: Callable[..., Attempt], browser: Browser
) -> None:
    """Whose it was before can neither confirm what waits, nor take it away."""
    # given
    connection_id = fresh()
    browser.connect(connection_id=connection_id, owner="customer-0")
    application.call("revoke", connection_id=connection_id)
    body = {"connection_id": connection_id, "confirmation": attempt(connection_id=connection_id).back()["confirmation"]}

    # when
    revoked = application.post("owners/customer-0/revoke", {"connection_id": connection_id})
    by_its_earlier_owner = application.post("owners/customer-0/confirm", body)
    by_its_owner = application.post(f"owners/{OWNER}/confirm", body)

    # then
    assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    assert (by_its_earlier_owner.status_code, by_its_earlier_owner.json()["error"]) == (404, "connection_not_found")
    assert (by_its_owner.status_code, by_its_owner.json()["status"]) == (200, "active")


# What is no confirmation


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connection_id", None),
        ("connection_id", "a b"),
        ("confirmation", None),
        ("confirmation", 1),
        ("confirmation", "short"),
        ("confirmation", "A" * 44),
        ("confirmation", "ü" * 43),
        ("owner", ""),
        ("owner", 7),
        ("nonsense", "x"),
    ],
)
def test_a_bad_field_is_named(stack: Stack, application: Application, field: str, value: Any) -> None:
    """And nothing is asked of AWS."""
    stack.aws_calls.clear()
    good = {"connection_id": fresh(), "confirmation": "A" * 43, "owner": OWNER}

    answer = application.call("confirm", **{**good, field: value})

    assert answer["error"] == "invalid_request"
    assert field in answer["error_description"]
    assert operations(stack.aws_calls) == []


def test_an_unknown_connection_is_not_found(application: Application) -> None:
    """As everywhere."""
    answer = application.call("confirm", connection_id=fresh(), confirmation="A" * 43)

    assert answer["error"] == "connection_not_found"


def test_a_wrong_late_or_used_confirmation_changes_nothing(
    stack: Stack, application: Application, attempt: Callable[..., Attempt]
) -> None:
    """Of another connection, used, too late: each gets its error, and no write reaches the table."""
    # given
    used, other, late = attempt(), attempt(), attempt()
    used_one, others, late_one = used.back(), other.back(), late.back()
    used.confirm(used_one)
    application.refresh_later(used.connection_id)
    stack.aws_calls.clear()

    # when
    errors = [used.confirm(others), used.confirm(used_one), late.confirm(used_one)]
    stack.clock.advance(CONFIRM_WITHIN)
    errors.append(late.confirm(late_one))

    # then
    assert [error["error"] for error in errors] == ["confirmation_invalid"] * 3 + ["confirmation_expired"]
    assert [error["retryable"] for error in errors] == [False] * 4
    assert writes(stack.aws_calls) == []


def test_a_late_one_stays_late_when_its_tokens_are_gone(
    stack: Stack, application: Application, attempt: Callable[..., Attempt]
) -> None:
    """The background takes them away; the operator finds it in `last_attempt`, the redirect says it too."""
    visit = attempt()
    callback = visit.browser.consent(visit.browser.authorize(visit.started["authorize_url"]))
    brought = query_of(visit.browser.open(callback))
    stack.clock.advance(CONFIRM_WITHIN)
    stack.background.run_schedules()
    stack.background.poll()

    assert visit.confirm(brought)["error"] == "confirmation_expired"
    shown = application.call("connections", connection_id=visit.connection_id)["connection"]
    assert (shown["status"], shown["last_attempt"]["error"]) == ("reauthorization_required", "confirmation_expired")
    asked = application.call("connections", request_id=brought["request_id"])["last_attempt"]
    assert (asked["outcome"], asked["error"]) == ("failed", "confirmation_expired")
    assert query_of(visit.browser.open(callback))["error"] == "confirmation_expired"


def test_a_no_is_a_no(attempt: Callable[..., Attempt]) -> None:
    """Nothing waits, and there is nothing to confirm."""
    brought = attempt().back("deny")

    assert brought["error"] == "access_denied"
    assert "confirmation" not in brought


def test_after_a_revocation_there_is_nothing_to_confirm(
    application: Application, attempt: Callable[..., Attempt]
) -> None:
    """What waited is gone, and a new link is needed."""
    visit = attempt()
    brought = visit.back()

    assert application.call("revoke", connection_id=visit.connection_id)["status"] == "revoked"

    assert visit.confirm(brought)["error"] == "confirmation_invalid"
    assert application.call("token", connection_id=visit.connection_id)["error"] == "connection_revoked"


# start


def test_start_names_the_way_back_that_it_needs(application: Application) -> None:
    """The browser has to bring the confirmation somewhere."""
    answer = application.call("start", provider="ultracart", confirm=True)

    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith("return_to: ")


@pytest.mark.parametrize("confirm", ["yes", 1, []])
def test_confirm_is_true_or_false(application: Application, confirm: Any) -> None:
    """Nothing else."""
    answer = application.call("start", provider="ultracart", confirm=confirm)

    assert (answer["error"], answer["retryable"]) == ("invalid_request", False)
    assert answer["error_description"].startswith("confirm: expected true or false (it is a ")


def test_a_deployment_can_require_it(stack: Stack, application: Application) -> None:
    """Then `start` confirms unasked, takes no false, and needs a way back."""
    # given
    required = with_services(stack, start, GATEHOUSE_CONFIRM="required")
    way_back = {"return_to": f"{stack.base_url}/app"}

    # when
    unasked, asked = (
        required({"provider": "ultracart", **way_back, **more}, Context()) for more in ({}, {"confirm": True})
    )
    refused = required({"provider": "ultracart", **way_back, "confirm": False}, Context())
    lost = required({"provider": "ultracart"}, Context())

    # then
    for started in (unasked, asked):
        item = application.request_item(started["request_id"])
        assert item is not None
        assert item["confirm"] == {"BOOL": True}
    assert (refused["error"], refused["error_description"][:8]) == ("invalid_request", "confirm:")
    assert (lost["error"], lost["error_description"][:10]) == ("invalid_request", "return_to:")


def test_unasked_nothing_has_to_be_confirmed(application: Application, browser: Browser) -> None:
    """The default: as it was."""
    started = browser.start(connection_id=fresh(), confirm=False)

    browser.visit(started["authorize_url"])

    item = application.request_item(started["request_id"])
    assert item is not None
    assert "confirm" not in item
    assert application.call("token", connection_id=started["connection_id"])["version"] == 1


# The stack on one machine


def test_the_landing_page_confirms_who_came_back(stack: Stack, new_browser: Callable[..., Browser]) -> None:
    """It plays the application: with a session of its own it connects, and another browser's session does not."""
    # given
    own, other = new_browser(), new_browser()
    links = [
        own.post("/_local/connect", {"provider": "ultracart", "connection_id": each, "confirm": "1"}).headers[
            "Location"
        ]
        for each in ("confirmed-1", "confirmed-2")
    ]

    # when
    pages = [own.visit(links[0]).text, other.visit(links[1]).text]

    # then
    assert "gatehouse-confirm answered for confirmed-1." in pages[0]
    assert "confirmation_invalid" in pages[1]
    found = [stack.invoke("connections", {"connection_id": each}) for each in ("confirmed-1", "confirmed-2")]
    assert [each and each["connection"]["status"] for each in found] == ["active", "unconfirmed"]

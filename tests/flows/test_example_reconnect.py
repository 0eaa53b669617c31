"""The loop of the example under examples/reconnect: a grant ends, a mail goes out, a click, connected again."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from examples.reconnect import mail, page
from examples.reconnect.on_this_machine import ADDRESS, OWNER, Beside
from functions.vault.grant.connection import JUST_OBTAINED
from local.stack import Addresses, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser import Browser
    from tests.flows.conftest import OpenVisitor

LONGEST = 30.0
"""Seconds until something that happens in the background has to have happened."""


@pytest.fixture(scope="module")
def beside() -> Iterator[Beside]:
    """Give the application, beside a stack of its own whose background runs."""
    with (
        Beside() as application,
        Stack(background=True, addresses=Addresses(return_to_origins=(application.url,))) as stack,
    ):
        yield application.start(stack)
        application.leave()


@pytest.fixture(scope="module")
def stack(beside: Beside) -> Stack:
    """Give that stack."""
    return beside.stack


def until(found: Callable[[], Any]) -> Any:
    """Return what is found in the end."""
    ends_at = time.monotonic() + LONGEST
    while not (result := found()):
        assert time.monotonic() < ends_at, "it never happened"
        time.sleep(0.05)
    return result


def mails(capsys: pytest.CaptureFixture[str], read: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mails so far."""
    lines = capsys.readouterr().out.splitlines()
    read += [json.loads(line) for line in lines if line.startswith('{"mail_to"')]
    return read


@pytest.mark.needs_chromium
def test_a_customer_whose_grant_ended_is_connected_again_by_one_mail(
    stack: Stack, new_browser: Callable[..., Browser], visitor: OpenVisitor, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody but the customer does anything: three clicks, at their provider and here."""
    # given a customer who is connected
    new_browser().connect(connection_id="shop-1", owner=OWNER, tags={"plan": "gold"})
    read: list[dict[str, Any]] = []

    # when the provider ends the grant, and a caller meets a 401
    stack.demo.withdraw()
    stack.clock.advance(JUST_OBTAINED)
    began = time.monotonic()
    refused = stack.invoke("refresh", {"connection_id": "shop-1"})
    assert refused is not None
    assert refused["error"] == "reauthorization_required"
    (sent,) = until(lambda: mails(capsys, read))
    mailed = time.monotonic()

    # and the customer follows the link in the mail
    (link,) = re.findall(r"http\S+", sent["text"])
    customer = visitor()
    customer.open(link)
    customer.page.get_by_label("Your name").fill(OWNER)
    customer.press("Sign in")
    assert customer.flaws() == []
    customer.press("Connect ultracart")
    customer.press("Allow")

    # then everything works as before, for the same owner
    assert customer.heading == "Connected again"
    again = time.monotonic()
    vended = stack.invoke("token", {"connection_id": "shop-1"})
    assert vended is not None
    assert vended["version"] == 2
    seen = (stack.invoke("connections", {"connection_id": "shop-1"}) or {})["connection"]
    assert (sent["mail_to"], seen["owner"], seen["tags"], seen["needs"]) == (ADDRESS, OWNER, {"plan": "gold"}, None)
    print(f"mail after {mailed - began:.1f} s, connected again after {again - began:.1f} s")  # noqa: T201 - for docs


def event(**detail: Any) -> dict[str, Any]:
    """Return an event of a rule."""
    start = {"provider": "ultracart", "connection_id": "shop-2", "owner": OWNER}
    about = {"id": "0" * 32, "provider": "ultracart", "connection_id": "shop-2", "ends_at": None, "start": start}
    return {"detail-type": "connection.reauthorization_required", "detail": about | detail}


def test_an_event_that_comes_twice_is_mailed_once(beside: Beside, capsys: pytest.CaptureFixture[str]) -> None:
    """Another event is another mail, and an owner without an address gets none."""
    assert beside.url
    answers = [
        mail.handler(each, None)["mail"]
        for each in (event(), event(), event(id="1" * 32), event(id="2" * 32, start={"owner": "nobody"}))
    ]

    assert answers == ["sent", "sent before", "sent", "no address"]
    assert len(mails(capsys, [])) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_of_somebody_else_is_not_found(
    stack: Stack, new_browser: Callable[..., Browser], method: str
) -> None:
    """Whoever is signed in sees their own connections, whatever the link says."""
    new_browser().connect(connection_id=f"theirs-{method}", owner="somebody-else")
    http = {"requestContext": {"http": {"method": method}}, "rawPath": f"/reconnect/theirs-{method}"}

    answer = page.handler({**http, "cookies": [f"example_session={OWNER}"]}, None)

    assert answer["statusCode"] == 404
    assert stack.base_url not in str(answer)


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_signing_in_leads_to_no_other_site(path: str) -> None:
    """The form says where to go on, and anybody can write a form."""
    http = {"requestContext": {"http": {"method": "POST"}}, "rawPath": "/sign-in"}

    answer = page.handler({**http, "body": f"customer=acme&next={path}"}, None)

    assert answer["headers"]["Location"] == "/"

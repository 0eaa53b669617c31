"""The pages of the stack on one machine: the landing page, and the consent page of the demo authorization server."""

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = [ROOT / place / "templates" for place in ("local/pages", "local/demo", "functions/web")]
ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)
HOSTILE = """<script>"'&"""

CONNECTION: dict[str, Any] = {
    "connection_id": "merchant-42",
    "provider": "ultracart",
    "status": "active",
    "scope": "order_read",
    "expires_at": 1_763_928_724,
    "expires_in_text": "in 59 minutes",
    "expires_at_text": "2025-11-23 20:12:04 UTC",
    "version": 3,
    "subject": "DEMO1",
    "owner": "acme",
    "parameters": "shop=acme",
    "failure": None,
}


def landing(**changes: object) -> str:
    """Return the landing page, with nothing connected unless ``changes`` say so."""
    values: dict[str, Any] = {
        "base_url": "http://localhost:8787",
        "providers": {"ultracart": {}, "demo": {}},
        "state": "1",
        "script": "",
        "faults": {"ways": {"outage": "answers 503"}, "endpoints": {"token": "token endpoint"}, "times": {"1": "once"}}
        | {"in_force": []},
        "connections": [],
        "events": [],
        "notice": None,
        "clock": {"now": 0, "now_text": "1970-01-01 00:00:00 UTC", "offset_seconds": 0, "offset_text": ""},
        "links": {"aws_endpoint": "http://127.0.0.1:1", "demo_url": "http://127.0.0.1:2"},
        "connection": None,
        "example": "CONNECTION_ID",
    }
    return ENVIRONMENT.get_template("landing.html").render(values | changes)


def consent(**changes: object) -> str:
    """Return the consent page of a demo merchant."""
    values: dict[str, Any] = {
        "application_name": "Gatehouse demo",
        "merchant_name": "Demo Merchant",
        "merchant_id": "DEMO1",
        "scopes": ["order_read", "item_read"],
        "action": "/consent",
        "fields": {"request": "r-1"},
    }
    return ENVIRONMENT.get_template("consent.html").render(values | changes)


def test_a_newcomer_can_connect_any_provider() -> None:
    """Before anything is connected the page offers every provider and says that nothing is there yet."""
    page = landing()

    assert re.findall(r"<option>(.*)</option>", page) == ["ultracart", "demo"]
    assert "Nothing is connected yet" in page
    assert "CONNECTION_ID" in page


def test_a_connection_is_shown_with_what_matters() -> None:
    """Status, account, scopes, expiry in words and absolutely, and version; and it is in the example to copy."""
    page = landing(connections=[CONNECTION], example="merchant-42")

    for shown in ("merchant-42", "active", "DEMO1", "order_read", "in 59 minutes", "2025-11-23 20:12:04 UTC", ">3<"):
        assert shown in page
    assert "&#34;connection_id&#34;: &#34;merchant-42&#34;" in page or '"connection_id": "merchant-42"' in page


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("active", ["Get token", "Refresh now", "Revoke"]),
        ("unconfirmed", ["Revoke", "Connect again"]),
        ("reauthorization_required", ["Revoke", "Connect again"]),
        ("revoking", ["Connect again"]),
        ("revoked", ["Connect again"]),
    ],
)
def test_a_connection_offers_what_its_status_allows(status: str, buttons: list[str]) -> None:
    """No button leads to a certain refusal."""
    page = landing(connections=[CONNECTION | {"status": status, "failure": {"code": "invalid_grant"}}])

    listed = page[page.index('<ul class="connections">') : page.index("</ul>")]
    assert re.findall(r"<button[^>]*>(.*?)</button>", listed) == buttons
    assert "invalid_grant" in listed


@pytest.mark.parametrize(("kind", "role"), [("ok", "status"), ("error", "alert")])
def test_an_answer_is_announced(kind: str, role: str) -> None:
    """What a function answered stands at the top, and a screen reader announces it."""
    page = landing(notice={"kind": kind, "text": "It answered.", "details": [("Version", "3")]})

    notice = page[page.index(f'role="{role}"') :]
    assert notice.index("It answered.") < notice.index("Version") < notice.index("Connect an account")


def test_nothing_on_the_landing_page_becomes_markup() -> None:
    """Values from anywhere stay text."""
    hostile = dict.fromkeys(CONNECTION, HOSTILE) | {"failure": {"code": HOSTILE}}

    page = landing(
        base_url=HOSTILE,
        events=[dict.fromkeys(("name", "connection_id", "at_text", "number", "detail"), HOSTILE)],
        providers={HOSTILE: {HOSTILE: HOSTILE}},
        state=HOSTILE,
        faults={name: {HOSTILE: HOSTILE} for name in ("ways", "endpoints", "times")} | {"in_force": [HOSTILE]},
        connections=[hostile],
        notice={"kind": "ok", "text": HOSTILE, "details": [(HOSTILE, HOSTILE)]},
        connection=HOSTILE,
        example=HOSTILE,
    )

    assert page.count("<script") == page.count("<script></script>") == 1
    assert "<script" not in consent(
        application_name=HOSTILE,
        merchant_name=HOSTILE,
        merchant_id=HOSTILE,
        scopes=[HOSTILE],
        action=HOSTILE,
        fields={HOSTILE: HOSTILE},
    )


def test_the_consent_page_asks_and_sends_the_answer() -> None:
    """Who asks, for which account, for what; one form that carries the request and the decision."""
    page = consent()

    for shown in ("Gatehouse demo", "Demo Merchant", "DEMO1", "order_read", "item_read", "Demo authorization server"):
        assert shown in page
    assert '<form method="post" action="/consent">' in page
    assert '<input type="hidden" name="request" value="r-1">' in page
    assert re.findall(r'name="decision" value="(\w+)"', page) == ["allow", "deny"]


@pytest.mark.parametrize("page", [landing(connections=[CONNECTION]), consent()], ids=["landing", "consent"])
def test_a_local_page_is_accessible_and_self_contained(page: str) -> None:
    """Language, one heading, landmarks, labelled fields; nothing from another server, and no script but its own."""
    assert '<html lang="en">' in page
    assert page.count("<h1") == page.count("<main") == page.count("<title>") == 1
    assert set(re.findall(r'<(?:input|select) id="(\w+)"', page)) == set(re.findall(r'<label for="(\w+)"', page))
    assert re.findall(r"<script(?!></script>)|<img|<iframe|@import|url\(| style=", page) == []
    assert set(re.findall(r'<link [^>]*href="([^"]*)"', page)) <= {"data:,"}


def test_every_id_that_is_referred_to_exists_once() -> None:
    """Labels and descriptions lead to what they name, also with several connections on the page."""
    page = landing(connections=[CONNECTION, CONNECTION | {"connection_id": "other", "status": "revoked"}])

    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:for|aria-labelledby|aria-describedby)="([^"]+)"', page)) <= set(ids)

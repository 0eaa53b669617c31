"""The three examples that docs/providers.md begins with: each works as it is copied, up to the provider's own page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.documents import page, programs, section
from tools import check_registration

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser import Browser
    from tests.flows.application import Application, Owner
    from tests.flows.scripted import Scripted

OAUTH = "/.well-known/oauth-authorization-server"
ISSUERS = ("https://login.acme.test", "https://accounts.google.com")
FILLED_IN = {
    "YOUR CLIENT ID": "client-4711",
    "YOUR CLIENT SECRET": "hush-7f0b",
    "login.example.com": "login.acme.test",
}
HEADINGS = {
    "A provider of the catalogue": ("https://www.dropbox.com/oauth2/authorize", {"token_access_type": ["offline"]}),
    "A provider with an address for each customer": (
        "https://acme.myshopify.com/admin/oauth/authorize",
        {"scope": ["read_orders,read_products"]},
    ),
    "Any other provider": ("{issuer}/authorize", {"scope": ["offline_access orders:read"]}),
}


def blocks(heading: str, scripted: Scripted) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the registrations under a heading, filled in and with `scripted` as the issuer, and `start`'s payload."""
    scripted.answers[OAUTH] = {**scripted.endpoints, "issuer": scripted.url}
    text = section(page("docs/providers.md"), heading)
    for placeholder, filled_in in FILLED_IN.items():
        text = text.replace(placeholder, filled_in)
    for issuer in ISSUERS:
        text = text.replace(f'"issuer": "{issuer}"', f'"issuer": "{scripted.url}"')
    documents = [json.loads(program) for program in programs(text, "json")]
    (payload,) = [each for each in documents if "provider" in each]
    return [each for each in documents if "client_id" in each], payload


@pytest.mark.parametrize("heading", HEADINGS)
def test_an_example_sends_a_customer_to_the_provider(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner, heading: str
) -> None:
    """`start` leads to the provider, with everything that the provider needs to know."""
    # given
    registrations, payload = blocks(heading, scripted)
    owner.registers(payload["provider"], **registrations[0])

    # when
    link = urlsplit(browser.authorize(application.call("start", **payload)["authorize_url"]))

    # then
    where, asked = HEADINGS[heading]
    query = parse_qs(link.query)
    assert link._replace(query="").geturl() == where.format(issuer=scripted.url)
    assert query["client_id"] == ["client-4711"]
    assert query["redirect_uri"][0].endswith(f"/callback/{payload['provider']}")
    assert {name: query.get(name) for name in asked} == asked


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_command_finds_nothing_wrong_with_an_example(
    scripted: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str], heading: str
) -> None:
    """Nor with its variants: each is a whole registration."""
    registrations, payload = blocks(heading, scripted)
    name = payload["provider"]

    for registration in registrations:
        file = tmp_path / f"{name}.local.json"
        file.write_text(json.dumps(registration), encoding="utf-8")

        assert check_registration.main([str(file), name, "--local"]) == 0, capsys.readouterr().out

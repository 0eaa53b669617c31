"""What comes back beside a code and with tokens: where they have to go, and what a caller needs to use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.flows.application import fresh
from tests.flows.scripted import CODE, TOKENS, connect
from tests.flows.test_quirks import come_back

if TYPE_CHECKING:
    from tests.browser import Browser
    from tests.flows.application import Application, Owner
    from tests.flows.scripted import Scripted

EU_SERVER = "https://accounts.zoho.eu"


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that answers as scripted, and grants in two regions."""
    for path in ("/token", "/eu/token"):
        scripted.answers[path] = TOKENS
    for path in ("/revoke", "/eu/revoke"):
        scripted.answers[path] = {"status": "success"}
    return scripted


def in_regions(scripted: Scripted) -> dict[str, Any]:
    """Return the keys of a provider with a second region."""
    there = {
        f"{name}_endpoint": f"{scripted.url}/eu/{path}" for name, path in (("token", "token"), ("revocation", "revoke"))
    }
    return {
        **scripted.endpoints,
        "revocation_tokens": ["refresh_token"],
        "callback_parameters": {"region": "location"},
        "regions": {"us": {}, "eu": there},
    }


def test_a_connection_lives_in_the_region_that_its_redirect_names(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner
) -> None:
    """Zoho's: the code goes there, and so do refreshes and the revocation; the API's host comes with the token."""
    # given
    owner.registers("zoho", **in_regions(scripted))
    scripted.answers["/eu/token"] = TOKENS | {"api_domain": "https://www.zohoapis.eu"}
    started = application.call("start", provider="zoho", connection_id=fresh())
    connection_id = started["connection_id"]

    # when
    come_back(browser, started, code=CODE, location="eu", **{"accounts-server": EU_SERVER})
    vended = application.call("token", connection_id=connection_id)
    refreshed = application.refresh_later(connection_id)
    shown = application.call("connections", connection_id=connection_id)["connection"]
    revoked = application.call("revoke", connection_id=connection_id)

    # then
    assert scripted.paths() == ["/eu/token", "/eu/token", "/eu/revoke"]
    assert shown["parameters"] == {"region": "eu"}
    assert revoked == {"connection_id": connection_id, "status": "revoked"}
    for answer in (vended, refreshed):
        assert answer["metadata"] == {"api_domain": "https://www.zohoapis.eu", "accounts-server": EU_SERVER}
        assert answer["subject"] is None


def test_a_lifetime_in_seconds_goes_before_one_in_milliseconds(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner
) -> None:
    """Zoho's expires_in_sec, if it is there: an hour, and not 41 days."""
    # given
    owner.registers("zoho", **scripted.endpoints)
    lives = []
    for lifetime in ({"expires_in": 3600000, "expires_in_sec": 3600}, {"expires_in": 1800}, {"expires_in": 3600000}):
        scripted.answers["/token"] = {"access_token": "scripted-access", **lifetime}

        # when
        started, _ = connect(application, browser, "zoho", connection_id=fresh())
        shown = application.call("connections", connection_id=started["connection_id"])["connection"]
        lives.append(shown["expires_at"] - shown["refreshed_at"])

    # then
    assert lives == [3600, 1800, 3600]


@pytest.mark.parametrize("region", ["jp", "EU", "eu.evil.example", "../eu", "{region}"])
def test_a_code_goes_nowhere_that_is_not_on_the_list(
    application: Application, browser: Browser, scripted: Scripted, region: str
) -> None:
    """The redirect is the visitor's word. Nothing of it shows, and the right answer may still come."""
    # given
    started = application.call("start", provider=application.register(scripted.registration | in_regions(scripted)))

    # when
    page = come_back(browser, started, code=CODE, location=region)
    sent = scripted.paths()
    again = come_back(browser, started, code=CODE, location="eu")

    # then
    assert (page.status_code, sent) == (502, [])
    assert region not in page.text
    assert (again.status_code, scripted.paths()) == (200, ["/eu/token"])


def test_who_moves_to_another_region_is_revoked_in_both(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Each grant ends where it was given. A redirect that names no region leaves the connection where it is."""
    # given
    provider = application.register(scripted.registration | in_regions(scripted))
    started = application.call("start", provider=provider, connection_id=fresh())
    come_back(browser, started, code=CODE, location="eu")
    come_back(browser, application.call("start", provider=provider, connection_id=started["connection_id"]), code=CODE)

    # when
    moved = application.call("start", provider=provider, connection_id=started["connection_id"])
    come_back(browser, moved, code=CODE, location="us")
    application.refresh_later(started["connection_id"])
    application.call("revoke", connection_id=started["connection_id"])

    # then
    assert scripted.paths()[:4] == ["/eu/token", "/eu/token", "/token", "/token"]
    assert sorted(scripted.paths()[4:]) == ["/eu/revoke", "/eu/revoke", "/revoke"]


def test_customers_of_a_region_can_begin_there(application: Application, browser: Browser, scripted: Scripted) -> None:
    """`start` takes the region; one that does not exist is named, with those that do."""
    # given
    regions = {"us": {}, "cn": {"authorization_endpoint": f"{scripted.url}/cn/authorize"}}
    provider = application.register(scripted.registration | {"regions": regions})

    # when
    started = application.call("start", provider=provider, parameters={"region": "cn"})
    refused = application.call("start", provider=provider, parameters={"region": "mars"})

    # then
    assert browser.authorize(started["authorize_url"]).startswith(f"{scripted.url}/cn/authorize?")
    assert refused["error_description"] == "parameters.region: expected one of us, cn."


def test_a_redirect_can_name_the_tenant(application: Application, browser: Browser, scripted: Scripted) -> None:
    """Within its pattern: what `start` did not say, or the customer has chosen since."""
    # given
    quirks = {
        "token_endpoint": f"{scripted.url}/{{shop}}/token",
        "parameters": {"shop": "[a-z]{1,20}"},
        "parameter_defaults": {"shop": "none"},
        "callback_parameters": {"shop": "domain_prefix"},
    }
    scripted.answers["/acme/token"] = TOKENS
    started = application.call("start", provider=application.register(scripted.registration | quirks))

    # when
    refused = come_back(browser, started, code=CODE, domain_prefix="acme/../other")
    page = come_back(browser, started, code=CODE, domain_prefix="acme")

    # then
    assert (refused.status_code, page.status_code, scripted.paths()) == (502, 200, ["/acme/token"])
    shown = application.call("connections", connection_id=started["connection_id"])["connection"]
    assert shown["parameters"] == {"shop": "acme"}


def test_the_host_of_the_api_comes_with_the_token(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner
) -> None:
    """Salesforce's instance_url: a caller that asks for a token needs no second call."""
    # given
    owner.registers("salesforce", **scripted.endpoints)
    scripted.answers["/token"] = TOKENS | {"instance_url": "https://acme.my.salesforce.com"}

    # when
    started, _ = connect(application, browser, "salesforce", connection_id=fresh())

    # then
    vended = application.call("token", connection_id=started["connection_id"])
    assert vended["metadata"] == {"instance_url": "https://acme.my.salesforce.com"}


def test_a_host_in_the_redirect_is_kept_only_from_a_list(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """A caller sends tokens there. What comes with the tokens goes before it."""
    # given
    quirks = {
        "callback_metadata": {"api": ["https://api.example", "https://api.example.eu"], "realm": "[0-9]{1,9}"},
        "metadata": ["api"],
    }
    provider = application.register(scripted.registration | quirks)
    kept = []
    for redirected, api in (
        ({"api": "https://api.example.eu", "realm": "12"}, None),
        ({"api": "https://api.example.evil.example", "realm": "12x"}, None),
        ({"api": "https://api.example.eu"}, "https://api.example"),
    ):
        scripted.answers["/token"] = TOKENS | ({"api": api} if api else {})
        started = application.call("start", provider=provider)

        # when
        come_back(browser, started, code=CODE, **redirected)
        kept.append(application.call("token", connection_id=started["connection_id"])["metadata"])

    # then
    assert kept == [{"api": "https://api.example.eu", "realm": "12"}, {}, {"api": "https://api.example"}]

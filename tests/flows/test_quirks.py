"""A provider that does everything its own way, by registration alone: each way as callers see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.flows.scripted import CODE, TOKENS, connect

if TYPE_CHECKING:
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application, Owner
    from tests.flows.scripted import Scripted


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that answers as scripted, and grants at first."""
    scripted.answers["/token"] = TOKENS
    return scripted


def come_back(browser: Browser, started: dict[str, Any], **parameters: str) -> Any:
    """Return the page that a browser ends on whose redirect carries these parameters beside the state."""
    query = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)
    answer = urlencode({**parameters, "state": query["state"][0]})
    return browser.open(f"{query['redirect_uri'][0]}?{answer}")


# Endpoints of one tenant each


@pytest.fixture
def tenants(application: Application, scripted: Scripted) -> str:
    """Register a provider that has endpoints for each tenant, and gives tokens to two of them."""
    for tenant in ("acme", "other"):
        scripted.answers[f"/{tenant}/token"] = TOKENS
        scripted.answers[f"/{tenant}/revoke"] = {}
    return application.register(
        {
            "client_id": "scripted-client",
            "authorization_endpoint": f"{scripted.url}/{{tenant}}/authorize",
            "token_endpoint": f"{scripted.url}/{{tenant}}/token",
            "revocation_endpoint": f"{scripted.url}/{{tenant}}/revoke",
            "token_params": {"context": "tenants/{tenant}"},
            "revocation_tokens": ["refresh_token"],
            "parameters": {"tenant": "[a-z]{1,20}"},
        }
    )


def test_whole_life_at_the_tenants_own_endpoints(
    application: Application, browser: Browser, scripted: Scripted, tenants: str
) -> None:
    """What `start` was given holds for the exchange, every refresh and the revocation, of this connection alone."""
    # given
    acme, _ = connect(application, browser, tenants, parameters={"tenant": "acme"})
    other, _ = connect(application, browser, tenants, parameters={"tenant": "other"})

    # when
    application.refresh_later(acme["connection_id"])
    application.call("revoke", connection_id=other["connection_id"])

    # then
    assert scripted.paths() == ["/acme/token", "/other/token", "/acme/token", "/other/revoke"]
    assert [dict(seen.form).get("context") for seen in scripted.received[:2]] == ["tenants/acme", "tenants/other"]
    listed = application.call("connections", connection_id=acme["connection_id"])["connection"]
    assert listed["parameters"] == {"tenant": "acme"}


def test_missing_tenant_is_named(application: Application, tenants: str) -> None:
    """Nothing is opened for nobody's endpoint."""
    # when
    answer = application.call("start", provider=tenants)

    # then
    assert answer["error"] == "invalid_request"
    assert answer["error_description"] == 'parameters.tenant: required: 1 to 20 of a-z, like "acme".'


@pytest.mark.parametrize("tenant", ["", "ACME", "a.b", "a/b", "..", "%2e", "a@evil.example", "a b", "é", "x" * 21])
def test_tenant_that_does_not_fit_is_refused(application: Application, tenants: str, tenant: str) -> None:
    """By name, and without its value."""
    # when
    answer = application.call("start", provider=tenants, parameters={"tenant": tenant})

    # then
    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith("parameters.tenant: expected ")


def test_tenant_of_the_registration_stands_in_and_stays(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """A default is part of the connection from then on."""
    # given
    endpoints = {f"{name}_endpoint": f"{scripted.url}/{{tenant}}/{name}" for name in ("authorization", "token")}
    scripted.answers["/acme/token"] = TOKENS
    registration = {"parameters": {"tenant": "[a-z]{1,20}"}, "parameter_defaults": {"tenant": "acme"}}
    provider = application.register({"client_id": "c", **endpoints, **registration})

    # when
    started, page = connect(application, browser, provider)

    # then
    assert (page.status_code, scripted.paths()) == (200, ["/acme/token"])
    listed = application.call("connections", connection_id=started["connection_id"])["connection"]
    assert listed["parameters"] == {"tenant": "acme"}


# What comes with the redirect


def test_what_the_redirect_says_of_the_account_is_kept(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """QuickBooks' realmId: named in the registration, kept through refreshes; what is not named is not kept."""
    # given
    quirks = {"callback_metadata": {"realmId": "[0-9]{1,20}"}, "subject": "realmId"}
    started = application.call("start", provider=application.register(scripted.registration | quirks))

    # when
    come_back(browser, started, code=CODE, realmId="4620816365", other="x")
    application.refresh_later(started["connection_id"])

    # then
    listed = application.call("connections", connection_id=started["connection_id"])["connection"]
    assert (listed["subject"], listed["metadata"], listed["version"]) == ("4620816365", {"realmId": "4620816365"}, 2)


def test_code_may_come_under_another_name(application: Application, browser: Browser, scripted: Scripted) -> None:
    """Amazon's spapi_oauth_code: it is sent on as the code."""
    # given
    quirks = {"code_parameter": "spapi_oauth_code"}
    started = application.call("start", provider=application.register(scripted.registration | quirks))

    # when
    page = come_back(browser, started, spapi_oauth_code=CODE)

    # then
    assert page.status_code == 200
    assert dict(scripted.received[0].form)["code"] == CODE


def test_redirect_without_a_code_exchanges_nothing(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """The person reads that the settings are wrong, and may try again once they are not."""
    # given
    started = application.call("start", provider=application.register(scripted.registration))

    # when
    page = come_back(browser, started, spapi_oauth_code=CODE)

    # then
    assert (page.status_code, scripted.received) == (502, [])
    assert "Try again" in page.text
    assert CODE not in page.text


# Requests and answers in other words


def test_everything_in_other_words(application: Application, browser: Browser, scripted: Scripted) -> None:
    """JSON bodies, other names, an envelope around the tokens, a refresh endpoint, a revocation by DELETE."""
    # given
    quirks = {
        "authorization_param_names": {"client_id": "app_id", "response_type": ""},
        "redirect_uri": "AcmeRuName",
        "body_format": "json",
        "token_param_names": {"client_id": "app_id", "grant_type": ""},
        "refresh_param_names": {"client_id": "app_id", "refresh_token": "token"},
        "refresh_endpoint": f"{scripted.url}/refresh",
        "response_paths": ["data"],
        "response_fields": {"access_token": "accessToken", "expires_in": "validMillis"},
        "expires_in_unit": "milliseconds",
        "error_fields": {"error": "code", "error_description": "msg"},
        "error_codes": {"40110": "invalid_grant"},
        "revocation_method": "DELETE",
        "revocation_endpoint": f"{scripted.url}/tokens/{{token}}",
        "revocation_body_format": "none",
        "revocation_headers": {"Authorization": "Bearer {token}"},
        "revocation_tokens": ["access_token"],
        "revocation_success": "ok",
    }
    good = {"code": 0, "data": {"accessToken": "scripted-access", "refresh_token": "r", "validMillis": 7200000}}
    scripted.answers |= {"/token": good, "/refresh": good, "/tokens/scripted-access": {"ok": True}}
    started = application.call("start", provider=application.register(scripted.registration | quirks))
    asked = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)

    # when
    back = f"{started['authorize_url'].partition('/authorize/')[0]}/callback/{started_provider(application, started)}"
    page = browser.open(f"{back}?{urlencode({'code': CODE, 'state': asked['state'][0]})}")
    refreshed = application.refresh_later(started["connection_id"])
    scripted.answers["/refresh"] = {"code": 40110, "msg": "gone"}
    dead = application.refresh_later(started["connection_id"])
    application.call("revoke", connection_id=started["connection_id"])

    # then
    assert asked.keys() == {"app_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"}
    assert (page.status_code, refreshed["version"], dead["error"]) == (200, 2, "reauthorization_required")
    exchange, refresh, _, revocation = scripted.received
    assert exchange.headers["content-type"] == "application/json"
    body = json.loads(exchange.body)
    assert (body["code"], body["redirect_uri"], body["app_id"]) == (CODE, "AcmeRuName", "scripted-client")
    assert (refresh.path, json.loads(refresh.body)) == (
        "/refresh",
        {"grant_type": "refresh_token", "token": "r", "app_id": "scripted-client"},
    )
    assert (revocation.method, revocation.path, revocation.body) == ("DELETE", "/tokens/scripted-access", "")
    assert revocation.headers["authorization"] == "Bearer scripted-access"


def started_provider(application: Application, started: dict[str, Any]) -> str:
    """Return the provider of a request that was started."""
    request_id = started["authorize_url"].rpartition("/")[2].partition(".")[0]
    item = application.request_item(request_id)
    assert item is not None
    provider: str = item["provider"]["S"]
    return provider


# The catalogue


def test_provider_of_the_catalogue_needs_a_client_alone(application: Application, owner: Owner) -> None:
    """Where to send the customer, and how, is known: by the name of the secret."""
    # given
    owner.registers("linear")

    # when
    started = application.call("start", provider="linear", scopes=["read", "write"])

    # then
    item = application.request_item(started["authorize_url"].rpartition("/")[2].partition(".")[0])
    assert item is not None
    assert item["authorization_url"]["S"].startswith("https://linear.app/oauth/authorize?prompt=consent&")
    assert "scope=read%2Cwrite" in item["authorization_url"]["S"]


def test_file_of_the_catalogue_says_how_answers_are_read(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner
) -> None:
    """Slack's, with a server of ours in Slack's place: a nested token, a 200 that says no, the account in a path."""
    # given
    owner.registers("slack", **scripted.endpoints)
    nested = {"access_token": "xoxp-1", "refresh_token": "xoxe-1", "expires_in": 43200, "token_type": "user"}
    scripted.answers["/token"] = {"ok": True, "team": {"id": "T1"}, "authed_user": {"id": "U1", **nested}}
    started, page = connect(application, browser, "slack", scopes=["search:read"])

    # when
    vended = application.call("token", connection_id=started["connection_id"])
    scripted.answers["/token"] = {"ok": False, "error": "invalid_refresh_token"}
    dead = application.refresh_later(started["connection_id"])

    # then
    assert page.status_code == 200
    assert (vended["access_token"], vended["token_type"]) == ("xoxp-1", "Bearer")
    assert dead["error"] == "reauthorization_required"
    listed = application.call("connections", connection_id=started["connection_id"])["connection"]
    assert (listed["subject"], listed["metadata"]["team.id"]) == ("T1", "T1")


def test_key_that_a_file_leaves_to_the_owner_is_named(application: Application, owner: Owner) -> None:
    """EBay's redirect URI has a name that only the owner can know: nothing is opened without it."""
    # given
    owner.registers("ebay")

    # when
    answer = application.call("start", provider="ebay")

    # then
    assert answer["error"] == "provider_misconfigured"
    assert "redirect_uri: needed, as the provider file says" in answer["error_description"]


def test_shop_of_the_catalogue_is_asked_for(application: Application, owner: Owner) -> None:
    """Shopify has no endpoint of its own, each shop has."""
    # given
    owner.registers("shopify")

    # when
    without = application.call("start", provider="shopify")
    evil = application.call("start", provider="shopify", parameters={"shop": "evil.example/"})
    started = application.call("start", provider="shopify", parameters={"shop": "acme"})

    # then
    assert [answer["error"] for answer in (without, evil)] == ["invalid_request", "invalid_request"]
    item = application.request_item(started["authorize_url"].rpartition("/")[2].partition(".")[0])
    assert item is not None
    assert item["authorization_url"]["S"].startswith("https://acme.myshopify.com/admin/oauth/authorize?")


# An access token that is exchanged itself


def in_the_place_of_instagram(scripted: Scripted) -> dict[str, Any]:
    """Return where Instagram's endpoints are here: one for codes, one for the first token, one for the later ones."""
    first = {
        "refresh_endpoint": f"{scripted.url}/first",
        "refresh_grant_type": "ig_exchange_token",
        "refresh_param_names": {"refresh_token": "access_token", "client_id": ""},
    }
    return {**scripted.endpoints, "refresh_endpoint": f"{scripted.url}/later", "first_refresh": first}


def test_a_short_lived_token_is_exchanged_once_and_extended_from_then_on(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner, stack: Stack
) -> None:
    """Instagram's token of an hour becomes one of 60 days, which another request extends; the secret is not in that."""
    # given
    owner.registers("instagram", **in_the_place_of_instagram(scripted))
    scripted.answers["/token"] = {"data": [{"access_token": "short", "user_id": "1", "permissions": "a,b"}]}
    scripted.answers["/first"] = {"access_token": "long-1", "token_type": "bearer", "expires_in": 5183944}
    scripted.answers["/later"] = {"access_token": "long-2", "token_type": "bearer", "expires_in": 5183944}
    started, _ = connect(application, browser, "instagram")
    connection_id = started["connection_id"]
    scripted.received.clear()

    # when
    vended = []
    for seconds in (3400, 3600, 5184000):
        stack.clock.advance(seconds)
        vended.append(application.call("token", connection_id=connection_id)["access_token"])

    # then
    assert vended == ["long-1", "long-1", "long-2"]
    first, later = scripted.received
    secret = {"client_secret": "scripted-secret"}
    assert (first.method, first.path, first.body) == ("GET", "/first", "")
    assert first.query == {"grant_type": "ig_exchange_token", "access_token": "short", **secret}
    assert (later.method, later.path, later.body) == ("GET", "/later", "")
    assert later.query == {"grant_type": "ig_refresh_token", "access_token": "long-1"}


def test_a_token_that_refreshes_itself_is_refreshed_before_it_ends(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner
) -> None:
    """Nobody has to ask for it in its first hour: it is due in the background before 70 % of that is over."""
    # given
    owner.registers("facebook", **scripted.endpoints)
    scripted.answers["/token"] = {"access_token": "short", "token_type": "bearer", "expires_in": 5400}

    # when
    started, _ = connect(application, browser, "facebook")

    # then
    item = application.connection_item(started["connection_id"]) or {}
    connection = application.call("connections", connection_id=started["connection_id"])["connection"]
    assert connection["refreshable"]
    assert connection["expires_at"] - int(item["due_at"]["N"]) >= 0.3 * 5400

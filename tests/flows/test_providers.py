"""Providers are data: UltraCart's dialect on the wire, and any other server by registration alone."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from werkzeug.wrappers import Response

from local.demo import Faults
from tests.flows.application import fresh, request_id_of, token_requests
from tests.flows.scripted import CODE, TOKENS, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application, Owner
    from tests.flows.scripted import Received, Scripted

LONGER_THAN_A_REGISTRATION_IS_KEPT = 301

ULTRACART = {
    "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
    "pkce": "none",
    "scopes_fixed": True,
    "token_headers": {"X-UltraCart-Api-Version": "2017-03-01"},
    "revocation_tokens": ["access_token"],
    "revocation_token_type_hint": False,
    "revocation_success": "successful",
    "subject": "merchant_id",
    "metadata": ["merchant_id"],
}


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that answers as scripted, and grants at first."""
    scripted.answers["/token"] = TOKENS
    return scripted


# UltraCart


def test_ultracart_gets_its_own_form_names_and_header(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """Exchange, refresh and revocation as the official SDK sends them: these names, and the version header."""
    # given
    connection_id = new_browser(fresh("merchant")).connect("ultracart", connection_id=fresh())

    # when
    application.refresh_later(connection_id)
    application.call("revoke", connection_id=connection_id)

    # then
    exchange, refresh = demo.requests("token")
    (revocation,) = demo.requests("revoke")
    assert sorted(exchange["parameter_names"]) == ["client_id", "code", "grant_type", "redirect_uri"]
    assert sorted(refresh["parameter_names"]) == ["client_id", "grant_type", "refresh_token"]
    assert sorted(revocation["parameter_names"]) == ["client_id", "token"]
    for seen in (exchange, refresh, revocation):
        assert seen["client_auth"] == "none"
        assert "x-ultracart-api-version" in [name.lower() for name in seen["header_names"]]
        assert "authorization" not in [name.lower() for name in seen["header_names"]]


def test_ultracart_requests_match_the_recorded_ones(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Header values and form-encoding to the byte, against what was recorded from the official SDK."""
    # given
    scripted.answers["/revoke"] = {"successful": True, "message": "Access has been revoked."}
    provider = application.register(scripted.registration | ULTRACART)
    started, _ = connect(application, browser, provider)

    # when
    application.call("revoke", connection_id=started["connection_id"])

    # then
    exchange, revocation = scripted.received
    assert exchange.method == revocation.method == "POST"
    assert exchange.headers["accept"] == "application/json"
    assert exchange.headers["content-type"] == "application/x-www-form-urlencoded"
    assert exchange.headers["x-ultracart-api-version"] == "2017-03-01"
    assert sorted(exchange.body.split("&")) == sorted(
        [
            f"code={quote_plus(CODE)}",
            f"redirect_uri={quote_plus(_redirect_uri(started, provider))}",
            "client_id=scripted-client",
            "grant_type=authorization_code",
        ]
    )
    assert sorted(revocation.body.split("&")) == ["client_id=scripted-client", "token=scripted-access"]


def test_ultracart_secret_goes_into_the_form(application: Application, browser: Browser, demo: DemoServer) -> None:
    """With a client secret in the registration the client authenticates, with nothing else configured."""
    # given
    secret = next(value for value in demo.secrets()["client_secret"] if value.startswith("demo-ultracart"))
    registration = demo.registrations["ultracart"] | ULTRACART | {"client_secret": secret}

    # when
    browser.connect(application.register(registration), connection_id=fresh())

    # then
    assert [seen["client_auth"] for seen in demo.requests("token")] == ["client_secret_post"]


@pytest.mark.parametrize(
    ("document", "status", "expected"),
    [
        ({"error": "invalid_grant", "error_description": "no"}, 200, "reauthorization_required"),
        ({"error": "invalid_client"}, 200, "provider_misconfigured"),
        ({"error": {"error_code": "400", "developer_message": "Bad"}, "success": False}, 400, "provider_unavailable"),
        ({"error": {"error_code": "410", "user_message": "Disabled"}}, 410, "provider_misconfigured"),
        ({"error": {"error_code": "500"}, "success": False}, 500, "provider_unavailable"),
        ({"error": {}, "access_token": "not-to-be-believed"}, 200, "provider_unavailable"),
        ({"error": "", "access_token": "fine", "expires_in": "60"}, 200, None),
        ({"error": None, "access_token": "fine", "expires_in": "60"}, 200, None),
    ],
)
def test_error_comes_first_whatever_the_status(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    document: dict[str, Any],
    status: int,
    expected: str | None,
) -> None:
    """A 200 can carry an error, and an error can be an object; empty ones are none."""
    # given
    started, _ = connect(application, browser, application.register(scripted.registration | ULTRACART))
    scripted.answers["/token"] = _json(document, status)

    # when
    answer = application.refresh_later(started["connection_id"])

    # then
    assert answer.get("error") == expected


def test_words_of_the_server_are_passed_on_cut_and_cleaned(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Short, printable, and without what we had sent in confidence."""
    # given
    registration = scripted.registration | {"client_secret": "a-secret-of-the-client"}
    started, _ = connect(application, browser, application.register(registration))
    text = "You sent scripted-refresh and a-secret-of-the-client\r\n<b>" + "x" * 500
    scripted.answers["/token"] = _json({"error": "invalid_scope", "error_description": text}, 400)

    # when
    said = application.refresh_later(started["connection_id"])["provider_error"]

    # then
    assert said["error"] == "invalid_scope"
    assert said["error_description"].startswith("You sent *** and *** <b>xxx")
    assert len(said["error_description"]) <= 200


# Any other server


def test_provider_by_full_metadata(application: Application, browser: Browser, scripted: Scripted) -> None:
    """Endpoints and a client id are enough; PKCE is on, the client public, nothing is discovered."""
    # given
    provider = application.register(scripted.registration)

    # when
    started, page = connect(application, browser, provider)

    # then
    assert page.status_code == 200
    assert scripted.paths() == ["/token"]
    form = dict(scripted.received[0].form)
    assert form.keys() == {"grant_type", "code", "redirect_uri", "code_verifier", "client_id"}
    assert form["redirect_uri"] == _redirect_uri(started, provider)
    assert form["code"] == CODE
    assert len(form["code_verifier"]) == 43


def test_pkce_verifier_belongs_to_the_challenge(application: Application, browser: Browser, scripted: Scripted) -> None:
    """S256 of what the token request carries is what the authorization request carried (RFC 7636 section 4.6)."""
    # given
    started = application.call("start", provider=application.register(scripted.registration))
    query = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)

    # when
    browser.open(f"{query['redirect_uri'][0]}?code=x&state={query['state'][0]}")

    # then
    verifier = dict(scripted.received[0].form)["code_verifier"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert query["code_challenge"] == [digest]


def test_server_verifies_pkce_so_an_injected_code_is_worthless(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """A code of the attacker's flow, put into the victim's answer, fails at the server; the victim can try again."""
    # given
    victim, attacker = new_browser(), new_browser("ATTACKER")
    started = application.call("start", provider="demo", connection_id=fresh())
    victims_url = victim.consent(victim.authorize(started["authorize_url"]))
    attackers = attacker.authorize(application.call("start", provider="demo")["authorize_url"])
    attackers_code = parse_qs(urlsplit(attacker.consent(attackers)).query)["code"][0]
    victims_code = parse_qs(urlsplit(victims_url).query)["code"][0]

    # when
    page = victim.open(victims_url.replace(victims_code, attackers_code))

    # then
    assert page.status_code == 409
    assert [seen["outcome"] for seen in demo.requests("token")] == ["invalid_grant"]
    assert application.call("token", connection_id=started["connection_id"])["error"] == "connection_not_found"
    assert victim.visit(f"/authorize/{request_id_of(started)}").status_code == 200


@pytest.mark.parametrize("issuer", ["standard", "openid"])
def test_provider_by_issuer_alone(application: Application, browser: Browser, demo: DemoServer, issuer: str) -> None:
    """By RFC 8414 or by OpenID discovery, the whole life of a connection follows from an issuer and a client."""
    # given
    provider = application.register(demo.standard_registration(issuer))

    # when
    connection_id = browser.connect(provider, connection_id=fresh())
    refreshed = application.refresh_later(connection_id)
    revoked = application.call("revoke", connection_id=connection_id)

    # then
    assert (refreshed["version"], revoked["status"]) == (2, "revoked")
    assert {seen["dialect"] for seen in demo.requests("token")} == {issuer}
    assert {seen["client_auth"] for seen in demo.requests("token")} == {"client_secret_basic"}


def test_discovery_asks_in_the_order_of_the_standards(application: Application, scripted: Scripted) -> None:
    """RFC 8414 puts the well-known part before the issuer's path, OpenID discovery behind it; some servers mix them."""
    # given
    provider = application.register({"client_id": "c", "issuer": f"{scripted.url}/tenant/1"})

    # when
    answer = application.call("start", provider=provider)

    # then
    assert answer["error"] == "provider_misconfigured"
    assert scripted.paths() == [
        "/.well-known/oauth-authorization-server/tenant/1",
        "/tenant/1/.well-known/openid-configuration",
        "/tenant/1/.well-known/oauth-authorization-server",
    ]


@pytest.mark.parametrize("claimed", ["https://evil.example", "{issuer}/", "{issuer_upper}", None, 7])
def test_metadata_of_another_issuer_is_not_believed(
    application: Application, scripted: Scripted, claimed: object
) -> None:
    """The document's `issuer` must be the configured one to the letter (RFC 8414 section 3.3)."""
    # given
    urls = {"issuer": scripted.url, "issuer_upper": scripted.url.upper()}
    named = claimed.format(**urls) if isinstance(claimed, str) else claimed
    scripted.answers["/.well-known/oauth-authorization-server"] = {
        "issuer": named,
        "authorization_endpoint": f"{scripted.url}/authorize",
        "token_endpoint": f"{scripted.url}/token",
    }

    # when
    answer = application.call("start", provider=application.register({"client_id": "c", "issuer": scripted.url}))

    # then
    assert (answer["error"], answer["retryable"]) == ("provider_misconfigured", False)
    assert "issuer" in answer["error_description"]
    assert "evil" not in answer["error_description"]


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        (Response(b"", 500), "provider_unavailable"),
        (Response(b"<html>", 200, content_type="text/html"), "provider_misconfigured"),
        (Response(b"", 302, {"Location": "http://127.0.0.1:9/"}), "provider_misconfigured"),
        (Response(b"[" * 100_000, 200), "provider_misconfigured"),
        (Response(b" " * (1024 * 1024), 200), "provider_unavailable"),
    ],
)
def test_odd_metadata_is_distinguished(
    application: Application, scripted: Scripted, metadata: Response, error: str
) -> None:
    """An outage passes, a wrong issuer does not; redirects are not followed, and endless documents not read."""
    # given
    scripted.answers["/.well-known/oauth-authorization-server"] = metadata

    # when
    answer = application.call("start", provider=application.register({"client_id": "c", "issuer": scripted.url}))

    # then
    assert answer["error"] == error


def test_registration_goes_over_metadata(application: Application, browser: Browser, demo: DemoServer) -> None:
    """What the owner wrote wins over what was discovered."""
    # given
    registration = demo.standard_registration("standard") | {"token_endpoint_auth_method": "client_secret_post"}

    # when
    browser.connect(application.register(registration), connection_id=fresh())

    # then
    (seen,) = demo.requests("token")
    assert (seen["client_auth"], seen["outcome"]) == ("client_secret_post", "issued")


def test_second_application_at_a_provider_of_the_catalogue(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner
) -> None:
    """Its file's dialect, under a name of its own: callback, secret and connections are not the first one's."""
    # given
    own = {"based_on": "ultracart", "client_secret": "of-the-second", "max_concurrency": 0, **scripted.endpoints}
    owner.registers("ultracart-eu", **own)
    scripted.answers["/token"] = {**TOKENS, "merchant_id": "EU-1"}

    # when
    started, page = connect(application, browser, "ultracart-eu")

    # then
    (exchange,) = scripted.received
    form = dict(exchange.form)
    assert page.status_code == 200
    assert (form["redirect_uri"], form["client_secret"]) == (_redirect_uri(started, "ultracart-eu"), "of-the-second")
    assert exchange.headers["x-ultracart-api-version"] == "2017-03-01"
    connection = application.call("connections", connection_id=started["connection_id"])["connection"]
    assert (connection["provider"], connection["subject"]) == ("ultracart-eu", "EU-1")


# Client authentication


@pytest.mark.parametrize(
    ("client_id", "secret"),
    [
        ("plain", "plain"),
        ("with:colon", "with:colon"),
        ("a b+c/d=e&f%g", "ü€😀 \\\"'<>"),
        ("~-._", "~!*'()"),
    ],
)
def test_basic_authentication_form_encodes_both_halves(
    application: Application, browser: Browser, scripted: Scripted, client_id: str, secret: str
) -> None:
    """RFC 6749 section 2.3.1: form-encoded, then joined by a colon, then base64; nothing of it in the form."""
    # given
    credentials = {"client_id": client_id, "client_secret": secret, "token_endpoint_auth_method": "client_secret_basic"}

    # when
    _, page = connect(application, browser, application.register(scripted.registration | credentials))

    # then
    scheme, _, encoded = scripted.received[0].headers["authorization"].partition(" ")
    halves = base64.b64decode(encoded).decode("ascii").split(":")
    assert (page.status_code, scheme, len(halves)) == (200, "Basic", 2)
    assert [parse_qs(f"x={half}")["x"][0] for half in halves] == [client_id, secret]
    assert dict(scripted.received[0].form).keys().isdisjoint({"client_id", "client_secret"})


def test_secret_in_the_form_is_not_in_a_header(application: Application, browser: Browser, scripted: Scripted) -> None:
    """`client_secret_post` sends both in the form."""
    # given
    credentials = {"client_secret": "s3cret+/=&%ü", "token_endpoint_auth_method": "client_secret_post"}

    # when
    connect(application, browser, application.register(scripted.registration | credentials))

    # then
    form = dict(scripted.received[0].form)
    assert (form["client_id"], form["client_secret"]) == ("scripted-client", "s3cret+/=&%ü")
    assert "authorization" not in scripted.received[0].headers


def test_secret_without_a_method_is_basic(application: Application, browser: Browser, scripted: Scripted) -> None:
    """Silence about methods means `client_secret_basic` (RFC 8414 section 2)."""
    # when
    connect(application, browser, application.register(scripted.registration | {"client_secret": "x"}))

    # then
    assert scripted.received[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("in_body", [False, True])
def test_server_may_look_for_the_client_id_in_the_body(
    application: Application, browser: Browser, scripted: Scripted, capsys: pytest.CaptureFixture[str], *, in_body: bool
) -> None:
    """Beside Basic, for the exchange, the refresh and the revocation; if it is missing the log names the key."""

    # given
    def answer(received: Received) -> Any:
        known = "authorization" in received.headers and dict(received.form).get("client_id") == "scripted-client"
        missing = _json({"error": "unauthorized_client", "error_description": "Missing client_id"}, 401)
        return TOKENS if known else missing

    scripted.answers |= {"/token": answer, "/revoke": answer}
    own = {"client_secret": "x", "client_id_in_body": in_body}

    # when
    started, page = connect(application, browser, application.register(scripted.registration | own))

    # then
    if not in_body:
        assert page.status_code == 502
        assert "try client_id_in_body true" in capsys.readouterr().out
        return
    assert application.refresh_later(started["connection_id"])["version"] == 2
    assert application.call("revoke", connection_id=started["connection_id"])["status"] == "revoked"


@pytest.mark.parametrize(("audience", "status"), [("issuer", "revoking"), ("endpoint", "revoked")])
def test_revocation_endpoint_may_take_assertions_for_itself_alone(
    application: Application, browser: Browser, scripted: Scripted, audience: str, status: str
) -> None:
    """Without that word it is asked for a day without success, and only says that it does not know the client."""

    # given
    def revoke(received: Received) -> Response:
        claims = dict(received.form)["client_assertion"].split(".")[1]
        audience = json.loads(base64.urlsafe_b64decode(claims + "=="))["aud"]
        return Response(b"", 200) if audience == f"{scripted.url}/revoke" else _json({"error": "invalid_client"}, 401)

    scripted.answers["/revoke"] = revoke
    own = {"issuer": scripted.url, "client_secret": "x", "token_endpoint_auth_method": "client_secret_jwt"}
    provider = application.register({**scripted.registration, **own, "client_assertion_audience": audience})
    started, _ = connect(application, browser, provider)

    # when
    revoked = application.call("revoke", connection_id=started["connection_id"])

    # then
    assert revoked["status"] == status


def test_secret_that_is_taken_away_under_way_is_the_operators_fault(
    application: Application, browser: Browser, scripted: Scripted, stack: Stack
) -> None:
    """`start` refuses a method without its secret; for a customer on the way, nothing is sent unauthenticated."""
    # given
    named = scripted.registration | {"token_endpoint_auth_method": "client_secret_basic"}
    provider = application.register(named | {"client_secret": "x"})
    started = application.call("start", provider=provider)
    query = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)
    application.register_again(provider, named)
    stack.clock.advance(LONGER_THAN_A_REGISTRATION_IS_KEPT)

    # when
    page = browser.open(f"{query['redirect_uri'][0]}?code=x&state={query['state'][0]}")

    # then
    assert (page.status_code, scripted.received) == (502, [])
    assert application.call("start", provider=provider)["error"] == "provider_misconfigured"


# The vocabulary of quirks


def test_quirks_are_sent_as_registered(application: Application, browser: Browser, scripted: Scripted) -> None:
    """Separators, parameters and headers of a registration reach the wire, each in its own request."""
    # given
    quirks = {
        "scopes": ["a", "b"],
        "scope_separator": ",",
        "authorization_params": {"access_type": "offline"},
        "token_params": {"audience": "shop"},
        "refresh_params": {"again": "yes"},
        "revocation_params": {"all": "true"},
        "token_headers": {"X-Version": "2"},
    }
    scripted.answers["/revoke"] = {}
    scripted.answers["/token"] = TOKENS | {"scope": "a,b"}
    provider = application.register(scripted.registration | quirks)
    url = urlsplit(browser.authorize(application.call("start", provider=provider)["authorize_url"]))

    # when
    started, _ = connect(application, browser, provider)
    vended = application.refresh_later(started["connection_id"])
    application.call("revoke", connection_id=started["connection_id"])

    # then
    assert "scope=a%2Cb" in url.query
    assert "access_type=offline" in url.query
    assert vended["scope"] == "a b"
    exchange, refresh, *revocations = [(dict(seen.form), seen.headers) for seen in scripted.received]
    assert (exchange[0]["audience"], refresh[0]["again"]) == ("shop", "yes")
    assert {form["all"] for form, _ in revocations} == {"true"}
    assert "audience" not in refresh[0]
    assert {headers["x-version"] for _, headers in (exchange, refresh, *revocations)} == {"2"}


@pytest.mark.parametrize(
    "answer",
    [
        Response(b"access_token=form-access&token_type=bearer&expires_in=3600", 200, content_type="text/plain"),
        Response(b"access_token=form-access&expires_in=3600", 200, content_type="application/x-www-form-urlencoded"),
        Response(b'\xef\xbb\xbf{"access_token": "form-access"}', 200, content_type="application/json"),
        Response(b'{"access_token": "form-access", "token_type": "BEARER"}', 201, content_type="text/html"),
    ],
)
def test_answers_are_read_tolerantly(
    application: Application, browser: Browser, scripted: Scripted, answer: Response
) -> None:
    """Forms, byte order marks, odd content types: what matters is the access token."""
    # given
    scripted.answers["/token"] = answer

    # when
    started, page = connect(application, browser, application.register(scripted.registration))

    # then
    assert page.status_code == 200
    vended = application.call("token", connection_id=started["connection_id"])
    assert (vended["access_token"], vended["token_type"]) == ("form-access", "Bearer")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": 7},
        {"access_token": ["a"]},
        {"access_token": "line\nbreak"},
        {"access_token": "ü"},
        {"access_token": "fine", "refresh_token": 7},
        [],
        "token",
    ],
)
def test_answers_without_a_usable_token_connect_nothing(
    application: Application, browser: Browser, scripted: Scripted, document: object
) -> None:
    """An access token is a non-empty string of visible ASCII, or there is none."""
    # given
    scripted.answers["/token"] = document

    # when
    started, page = connect(application, browser, application.register(scripted.registration))

    # then
    assert page.status_code == 503
    assert application.call("token", connection_id=started["connection_id"])["error"] == "connection_not_found"


def test_sender_constrained_tokens_are_refused(application: Application, browser: Browser, scripted: Scripted) -> None:
    """A DPoP token vended as Bearer would fail at every caller: the operator gets an error instead."""
    # given
    scripted.answers["/token"] = TOKENS | {"token_type": "DPoP"}

    # when
    _, page = connect(application, browser, application.register(scripted.registration))

    # then
    assert page.status_code == 502


def test_redirects_of_a_token_endpoint_are_never_followed(
    application: Application, browser: Browser, demo: DemoServer
) -> None:
    """A code or secret goes to the registered endpoint and nowhere else."""
    # given
    demo.put_faults(Faults(endpoint="token", redirect_to=f"{demo.url}/elsewhere", status=307))

    # when
    page = browser.visit(application.call("start", provider="ultracart")["authorize_url"])

    # then
    assert page.status_code == 502
    assert token_requests(demo) == 1
    assert demo.requests("unknown") == []


def test_unreachable_server_is_an_outage(application: Application, browser: Browser, scripted: Scripted) -> None:
    """Nobody listens: the person may try again later, and nothing is connected."""
    # given
    registration = scripted.registration | {"token_endpoint": "http://127.0.0.1:9/token"}

    # when
    started, page = connect(application, browser, application.register(registration))

    # then
    assert page.status_code == 503
    assert f"/authorize/{request_id_of(started)}" in page.text
    assert application.call("token", connection_id=started["connection_id"])["error"] == "connection_not_found"


def _redirect_uri(started: dict[str, Any], provider: str) -> str:
    parts = urlsplit(started["authorize_url"])
    return f"{parts.scheme}://{parts.netloc}/callback/{provider}"


def _json(document: object, status: int) -> Response:
    return Response(json.dumps(document), status, content_type="application/json")

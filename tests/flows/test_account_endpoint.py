"""Whose account it is, if the token response does not say it: UltraCart before its answers had a `merchant_id`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local.demo import Faults
from tests.flows.application import fresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.demo import DemoServer
    from tests.browser import Browser
    from tests.flows.application import Application

WITHOUT_MERCHANT = Faults(endpoint="token", names_merchant=False)
PERMISSIONS = "item_read order_read order_write"


@pytest.fixture
def merchant() -> str:
    """Name a merchant of this test's own."""
    return fresh("M")


@pytest.fixture
def older(demo: DemoServer) -> DemoServer:
    """Give a server whose token answers do not say whose they are."""
    demo.put_faults(WITHOUT_MERCHANT)
    return demo


def of(merchant: str) -> tuple[str, dict[str, str]]:
    """Return what is to be known of a merchant: subject and metadata."""
    return merchant, {"merchant_id": merchant, "merchant_name": f"Demo merchant {merchant}"}


def account_in(answer: dict[str, Any]) -> tuple[str | None, dict[str, str]]:
    """Return what an answer says of the account."""
    return answer["subject"], answer["metadata"]


def test_merchant_name_and_permissions_are_asked_for(
    application: Application, new_browser: Callable[..., Browser], older: DemoServer, merchant: str
) -> None:
    """The page, `token` and `connections` say them; asked once, with the header that UltraCart wants."""
    # given
    browser, connection_id = new_browser(merchant), fresh()

    # when
    page = browser.visit(browser.start(connection_id=connection_id)["authorize_url"])

    # then
    assert f"account <strong><bdi>Demo merchant {merchant}</bdi></strong> is connected" in page.text
    vended = application.call("token", connection_id=connection_id)
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert account_in(vended) == account_in(connection) == of(merchant)
    assert vended["scope"] == connection["scope"] == PERMISSIONS
    (asked,) = older.requests("me")
    assert (asked["method"], asked["answer"]) == ("GET", 200)
    assert "x-ultracart-api-version" in [name.lower() for name in asked["header_names"]]
    assert application.refresh_later(connection_id)["subject"] == merchant
    assert len(older.requests("me")) == 1


def test_a_newer_server_is_not_asked(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer, merchant: str
) -> None:
    """Its token answer names the merchant."""
    connection_id = new_browser(merchant).connect(connection_id=fresh())

    assert application.call("token", connection_id=connection_id)["subject"] == merchant
    assert demo.requests("me") == []


def test_permissions_are_those_of_the_consent(
    application: Application, new_browser: Callable[..., Browser], older: DemoServer, merchant: str
) -> None:
    """The application gains one: connected merchants have it when they authorize again, and `scope` says so."""
    # given
    browser = new_browser(merchant)
    connection_id = browser.connect(connection_id=fresh())
    older.put_faults(Faults(endpoint="authorize", application_scopes=f"{PERMISSIONS} customer_read"))

    # when
    refreshed = application.refresh_later(connection_id)
    browser.connect(connection_id=connection_id)

    # then
    assert refreshed["scope"] == PERMISSIONS
    assert application.call("token", connection_id=connection_id)["scope"] == f"{PERMISSIONS} customer_read"


def test_another_merchant_is_sent_back(
    application: Application, new_browser: Callable[..., Browser], older: DemoServer, merchant: str
) -> None:
    """The same page as with an answer that names the merchant, and the connection stays the first one's."""
    # given
    connection_id = new_browser(merchant).connect(connection_id=fresh())
    before = application.call("token", connection_id=connection_id)

    # when
    other = new_browser(fresh("M"))
    page = other.visit(other.start(connection_id=connection_id)["authorize_url"])

    # then
    assert page.status_code == 409
    assert application.call("token", connection_id=connection_id) == before
    assert [seen["answer"] for seen in older.requests("me")] == [200, 200]


@pytest.mark.parametrize(
    "silence",
    [
        Faults(endpoint="me", status=401),
        Faults(endpoint="me", drop_answer=True),
        Faults(endpoint="me", html=True),
        Faults(endpoint="me", redirect_to="http://127.0.0.1:9/"),
        Faults(endpoint="me", huge_body_bytes=1024 * 1024),
    ],
    ids=["401", "dropped", "a page", "a redirect", "too large"],
)
def test_who_is_not_named_connects_even_so(
    application: Application, new_browser: Callable[..., Browser], older: DemoServer, merchant: str, silence: Faults
) -> None:
    """Whatever the endpoint answers says nothing of the grant: it works, and it is unknown whose it is."""
    # given
    older.put_faults(silence)

    # when
    connection_id = new_browser(merchant).connect(connection_id=fresh())

    # then
    vended = application.call("token", connection_id=connection_id)
    assert account_in(vended) == (None, {})
    assert len(older.requests("me")) == 1


def test_userinfo_is_of_the_same_kind(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer, merchant: str
) -> None:
    """An issuer that is discovered, and an endpoint that the registration names."""
    # given
    registration = demo.standard_registration("openid") | {
        "account_endpoint": f"{demo.url}/openid/me",
        "account_scope": "scopes",
        "subject": "merchant_id",
        "metadata": ["merchant_name"],
    }

    # when
    connection_id = new_browser(merchant).connect(application.register(registration), connection_id=fresh())

    # then
    vended = application.call("token", connection_id=connection_id)
    assert account_in(vended) == (merchant, {"merchant_name": f"Demo merchant {merchant}"})
    assert vended["scope"] == "orders:read orders:write"

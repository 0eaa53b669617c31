"""The unmodified SDK of UltraCart exchanges, refreshes, revokes and reads orders against the demo server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from ultracart import ApiClient, ApiException, Configuration
from ultracart.api.oauth_api import OauthApi
from ultracart.api.order_api import OrderApi
from ultracart.exceptions import NotFoundException, UnauthorizedException

from local.demo import Faults
from tests.flows.demo_server.applications import REDIRECT_URI, document_of

if TYPE_CHECKING:
    from local.demo import DemoServer
    from tests.flows.demo_server.applications import Clock, UltraCart


@pytest.fixture
def api(server: DemoServer) -> OauthApi:
    """The SDK's OAuth calls."""
    return OauthApi(sdk(server))


def test_the_sdk_exchanges_a_code_and_refreshes(api: OauthApi, ultracart: UltraCart) -> None:
    """Both grants give the SDK's own OauthTokenResponse; a refresh without rotation has no refresh_token."""
    code = ultracart.code()

    issued = api.oauth_access_token(ultracart.client_id, "authorization_code", code=code, redirect_uri=REDIRECT_URI)
    refreshed = api.oauth_access_token(ultracart.client_id, "refresh_token", refresh_token=issued.refresh_token)

    assert issued.expires_in == "3600"
    assert issued.token_type == "bearer"
    assert issued.scope == "item_read order_read order_write"
    assert issued.merchant_id == "DEMO"
    assert refreshed.access_token != issued.access_token
    assert "refresh_token" not in refreshed


def test_the_sdk_takes_a_rotated_refresh_token(server: DemoServer, api: OauthApi, ultracart: UltraCart) -> None:
    """With the switch on a refresh brings a new refresh token."""
    server.put_faults(Faults("token", rotate=True))
    issued = ultracart.connected()

    refreshed = api.oauth_access_token(ultracart.client_id, "refresh_token", refresh_token=issued["refresh_token"])

    assert refreshed.refresh_token not in {None, issued["refresh_token"]}


def test_the_sdk_revokes_the_application_as_a_whole(server: DemoServer, api: OauthApi, ultracart: UltraCart) -> None:
    """Revoking one access token ends every grant of that merchant, and of no other merchant."""
    first, second, foreign = ultracart.connected(), ultracart.connected(), ultracart.connected("OTHER")

    revoked = api.oauth_revoke(ultracart.client_id, first["access_token"])
    again = api.oauth_revoke(ultracart.client_id, first["access_token"])

    assert revoked.successful
    assert not again.successful
    assert again.message
    assert ultracart.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert ultracart.refresh(foreign["refresh_token"]).status_code == 200
    assert [seen["outcome"] for seen in server.requests("revoke")] == ["revoked", "not_revoked"]


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_the_sdk_revokes_by_either_token(api: OauthApi, ultracart: UltraCart, kind: str) -> None:
    """Since 4.1.208 the SDK says that the revocation takes either."""
    tokens = ultracart.connected()

    revoked = api.oauth_revoke(ultracart.client_id, tokens[kind])

    assert revoked.successful
    assert ultracart.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_the_sdk_reads_orders_until_the_token_expires(server: DemoServer, clock: Clock, ultracart: UltraCart) -> None:
    """A bearer token works to the last moment of its lifetime and is a 401 with an ErrorResponse then."""
    access_token = ultracart.connected("SHOP")["access_token"]
    orders = OrderApi(sdk(server, access_token))

    clock.now += 3599
    answer = orders.get_orders(limit=2)
    clock.now += 1
    with pytest.raises(UnauthorizedException) as failure:
        orders.get_orders()

    assert [order.merchant_id for order in answer.orders] == ["SHOP", "SHOP"]
    assert answer.metadata.result_set.more
    assert failure.value.headers["UC-REST-ERROR"]
    assert json.loads(failure.value.body)["error"]["error_code"] == "401"


def test_the_sdk_reads_one_order(server: DemoServer, ultracart: UltraCart) -> None:
    """By its id; and an order of another merchant is not there."""
    orders = OrderApi(sdk(server, ultracart.connected("SHOP")["access_token"]))

    answer = orders.get_order("SHOP-202601010002")
    with pytest.raises(NotFoundException):
        orders.get_order("OTHER-202601010002")

    assert (answer.success, answer.order.order_id) == (True, "SHOP-202601010002")


def test_the_sdk_asks_who_it_is(server: DemoServer, ultracart: UltraCart) -> None:
    """The SDK declares no model for /me, so the answer is read raw."""
    access_token = ultracart.connected()["access_token"]

    answer = OauthApi(sdk(server, access_token)).oauth_me(_preload_content=False)

    assert json.loads(answer.data) == {
        "application_name": "Gatehouse demo application",
        "client_id": ultracart.client_id,
        "merchant_id": "DEMO",
        "merchant_name": "Demo merchant DEMO",
        "scopes": ["item_read", "order_read", "order_write"],
    }


def test_permissions_are_those_of_the_consent(server: DemoServer, ultracart: UltraCart) -> None:
    """An application that gains one has it from those who authorize from then on, and from nobody else."""
    before = ultracart.connected()
    server.put_faults(Faults("authorize", application_scopes="item_read order_read order_write customer_read"))
    after = ultracart.connected()
    refreshed = document_of(ultracart.refresh(before["refresh_token"]))

    answers = [
        json.loads(OauthApi(sdk(server, each["access_token"])).oauth_me(_preload_content=False).data)
        for each in (before, refreshed, after)
    ]

    assert ["customer_read" in each["scopes"] for each in answers] == [False, False, True]


@pytest.mark.parametrize("status", [400, 401, 410, 429, 500])
def test_failures_are_error_responses(server: DemoServer, api: OauthApi, ultracart: UltraCart, status: int) -> None:
    """Every failure that UltraCart documents is an exception of the SDK with header and ErrorResponse."""
    server.put_faults(Faults("token", status=status))

    with pytest.raises(ApiException) as failure:
        api.oauth_access_token(ultracart.client_id, "refresh_token", refresh_token="unknown")

    assert failure.value.status == status
    assert failure.value.headers["UC-REST-ERROR"]
    assert set(json.loads(failure.value.body)["error"]) == {
        "developer_message",
        "error_code",
        "more_info",
        "object_id",
        "user_message",
    }


def test_the_sdk_reads_a_200_with_an_error(server: DemoServer, api: OauthApi, ultracart: UltraCart) -> None:
    """The SDK's model has room for an error in a 200, and the demo server can answer so."""
    server.put_faults(Faults("token", error_form="ok"))

    answer = api.oauth_access_token(ultracart.client_id, "refresh_token", refresh_token="unknown")

    assert answer.error == "invalid_grant"
    assert "access_token" not in answer


def sdk(server: DemoServer, access_token: str | None = None) -> ApiClient:
    """Make the official client, pointed at the demo server by its own settings alone."""
    configuration = Configuration(host=f"{server.url}/rest/v2")
    configuration.access_token = access_token
    return ApiClient(configuration, "X-UltraCart-Api-Version", "2017-03-01")

"""What each provider answers, as far as its documents show; otherwise the answers in RFC 6749's examples."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """One life of a connection: what `start` is given, what comes with the redirect, what the endpoints answer.

    `registration` is what the owner has to add to client id and secret. A `refreshed` of None is a grant without
    refresh token. `account` is what the account endpoint answers, where it is asked. `revoked` is what the revocation
    endpoint answers, as status and body.
    """

    registration: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=lambda: {"scopes": ["SCOPE_A", "SCOPE_B"]})
    redirect: dict[str, str] = field(default_factory=lambda: {"code": "CODE"})
    issued: Any = field(default_factory=lambda: tokens(1))
    account: Any = None
    refreshed: Any = field(default_factory=lambda: tokens(2))
    revoked: tuple[int, Any] = (200, "")


def tokens(number: int, **fields: Any) -> dict[str, Any]:
    """Return a token response; a field of None is left out."""
    whole = {
        "access_token": f"AT-{number}",
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": f"RT-{number}",
        "scope": "SCOPE_A SCOPE_B",
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def _alone(**fields: Any) -> dict[str, Any]:
    """Return the answer to a refresh that has only an access token and its expiry."""
    return tokens(2, refresh_token=None, scope=None, **fields)


def _for(**parameters: str) -> dict[str, Any]:
    return {"parameters": parameters, "scopes": ["SCOPE_A", "SCOPE_B"]}


_ENDLESS = {"expires_in": None, "refresh_token": None}

EXAMPLES: dict[str, Example] = {
    "ultracart": Example(
        start={},
        issued=tokens(1, token_type="bearer", expires_in="3600", scope=None, error=None),
        account={
            "application_name": "Example",
            "client_id": "CLIENT_ID",
            "merchant_id": "DEMO",
            "merchant_name": "Demo Outfitters",
            "scopes": ["order_read", "item_read"],
        },
        refreshed=tokens(2, token_type="bearer", expires_in="3600", merchant_id="DEMO"),
        revoked=(200, {"successful": True, "message": "Access has been revoked."}),
    ),
    "google": Example(issued=tokens(1, expires_in=3599, refresh_token_expires_in=604799), refreshed=_alone()),
    "microsoft": Example(
        start=_for(tenant="contoso.onmicrosoft.com"), issued=tokens(1, ext_expires_in=3599), refreshed=tokens(2)
    ),
    "github": Example(
        issued="access_token=AT-1&expires_in=28800&refresh_token=RT-1&refresh_token_expires_in=15811200"
        "&scope=&token_type=bearer",
        refreshed=tokens(2, expires_in=28800, refresh_token_expires_in=15811200, scope=None, token_type="bearer"),
        revoked=(204, ""),
    ),
    "slack": Example(
        issued={
            "ok": True,
            "access_token": "AT-1",
            "token_type": "bot",
            "scope": "SCOPE_A,SCOPE_B",
            "expires_in": 43200,
            "refresh_token": "RT-1",
            "bot_user_id": "U1",
            "team": {"id": "T1", "name": "Acme"},
            "authed_user": {"id": "U2", "access_token": "AT-of-the-user", "refresh_token": "RT-of-the-user"},
            "incoming_webhook": {"channel": "#general", "channel_id": "C1", "url": "https://hooks.slack.com/x"},
        },
        refreshed={"ok": True, "access_token": "AT-2", "expires_in": 43200, "refresh_token": "RT-2"},
        revoked=(200, {"ok": True, "revoked": True}),
    ),
    "shopify": Example(
        start=_for(shop="acme"),
        issued=tokens(1, scope="SCOPE_A,SCOPE_B", refresh_token_expires_in=7776000),
        refreshed=tokens(2, scope="SCOPE_A,SCOPE_B", refresh_token_expires_in=7776000),
        revoked=(200, ""),
    ),
    "quickbooks": Example(
        redirect={"code": "CODE", "realmId": "4620816365"},
        issued=tokens(1, token_type="bearer", scope=None, x_refresh_token_expires_in=8726400),
        refreshed=tokens(2, token_type="bearer", scope=None, x_refresh_token_expires_in=8726400),
    ),
    "xero": Example(issued=tokens(1, expires_in=1800), refreshed=tokens(2, expires_in=1800)),
    "hubspot": Example(
        issued=tokens(1, expires_in=1800, scope=None, hub_id=62515, scopes=["SCOPE_A", "SCOPE_B"]),
        refreshed=tokens(
            2, expires_in=1800, refresh_token="RT-1", scope=None, hub_id=62515, scopes=["SCOPE_A", "SCOPE_B"]
        ),
    ),
    "salesforce": Example(
        start=_for(domain="acme.my"),
        issued=tokens(1, expires_in=None, instance_url="https://acme.my.salesforce.com"),
        refreshed=_alone(expires_in=None, instance_url="https://acme.my.salesforce.com"),
    ),
    "stripe": Example(
        issued=tokens(1, expires_in=None, stripe_user_id="acct_1", livemode=True), refreshed=tokens(2, expires_in=None)
    ),
    "notion": Example(
        start={},
        issued=tokens(
            1,
            scope=None,
            expires_in=None,
            workspace_id="W1",
            workspace_name="Acme",
            bot_id="B1",
            owner={"type": "user"},
        ),
        refreshed=tokens(2, scope=None, expires_in=None, workspace_id="W1", bot_id="B1"),
        revoked=(200, {"request_id": "R1"}),
    ),
    "zoom": Example(revoked=(200, {"status": "success"})),
    "dropbox": Example(
        issued=tokens(1, token_type="bearer", expires_in=14400, account_id="dbid:1", uid="1"),
        refreshed=_alone(expires_in=14400),
        revoked=(200, "null"),
    ),
    "linkedin": Example(
        issued=tokens(1, expires_in=5184000, refresh_token_expires_in=31536000),
        refreshed=tokens(2, expires_in=5184000, refresh_token="RT-1", refresh_token_expires_in=31449600),
    ),
    "facebook": Example(
        issued=tokens(1, expires_in=5400, refresh_token=None, scope=None),
        refreshed=_alone(expires_in=5183944),
        revoked=(200, {"success": True}),
    ),
    "x-twitter": Example(issued=tokens(1, expires_in=7200), refreshed=tokens(2, expires_in=7200)),
    "spotify": Example(refreshed=_alone()),
    "square": Example(
        issued=tokens(1, expires_in=None, expires_at="2023-12-14T22:13:20Z", merchant_id="MLQ", token_type="bearer"),
        refreshed=tokens(2, expires_in=None, expires_at="2023-12-14T22:13:20Z", merchant_id="MLQ", token_type="bearer"),
        revoked=(200, {"success": True}),
    ),
    "amazon-sp-api": Example(
        registration={
            "authorization_endpoint": "https://sellercentral.amazon.com/apps/authorize/consent",
            "authorization_params": {"application_id": "amzn1.sp.solution.1"},
        },
        start={},
        redirect={"spapi_oauth_code": "CODE", "selling_partner_id": "A1B2C3"},
        issued=tokens(1, token_type="bearer", scope=None),
        refreshed=tokens(2, token_type="bearer", scope=None, refresh_token="RT-1"),
    ),
    "ebay": Example(
        registration={"redirect_uri": "Acme_Inc-AcmeInc-Acme-PRD-abc"},
        issued=tokens(1, expires_in=7200, token_type="User Access Token"),
        refreshed=_alone(expires_in=7200),
    ),
    "bigcommerce": Example(
        start=_for(store_hash="abc123"),
        issued=tokens(
            1, **_ENDLESS, token_type=None, context="stores/abc123", account_uuid="UUID", user={"id": 1, "email": "x"}
        ),
        refreshed=None,
    ),
    "mailchimp": Example(
        start={},
        issued=tokens(1, expires_in=0, refresh_token=None, scope=None),
        account={
            "dc": "us6",
            "accountname": "Acme",
            "user_id": 12345,
            "api_endpoint": "https://us6.api.mailchimp.com",
        },
        refreshed=None,
    ),
    "zendesk": Example(
        start=_for(subdomain="acme"),
        issued=tokens(1, expires_in=1800, token_type="bearer"),
        refreshed=tokens(2, expires_in=1800, token_type="bearer"),
        revoked=(204, ""),
    ),
    "intercom": Example(
        start={},
        issued=tokens(1, **_ENDLESS, scope=None, token="AT-1"),
        account={"type": "admin", "id": "1", "app": {"type": "app", "id_code": "abc123", "name": "Acme"}},
        refreshed=None,
    ),
    "linear": Example(issued=tokens(1, expires_in=86399), refreshed=tokens(2, expires_in=86399)),
    "bitbucket": Example(
        issued=tokens(1, expires_in=7200, state="authorization_code"),
        refreshed=tokens(2, expires_in=7200, state="authorization_code"),
    ),
    "figma": Example(issued=tokens(1, user_id_string="1234567890", scope=None), refreshed=_alone()),
    "pipedrive": Example(
        start={},
        issued=tokens(1, scope="base,SCOPE_A,SCOPE_B", api_domain="https://acme.pipedrive.com"),
        refreshed=tokens(
            2, refresh_token="RT-1", scope="base,SCOPE_A,SCOPE_B", api_domain="https://acme.pipedrive.com"
        ),
    ),
    "zoho": Example(
        redirect={"code": "CODE", "location": "eu", "accounts-server": "https://accounts.zoho.eu"},
        issued=tokens(1, api_domain="https://www.zohoapis.eu", expires_in=3600000, expires_in_sec=3600),
        refreshed=_alone(api_domain="https://www.zohoapis.eu"),
    ),
    "calendly": Example(issued=tokens(1, owner="https://api.calendly.com/users/1"), refreshed=tokens(2)),
    "monday": Example(
        redirect={"code": "CODE", "status": "approved"},
        issued=tokens(1, expires_in=None),
        refreshed=tokens(2, expires_in=None),
        revoked=(200, {"success": True}),
    ),
    "instagram": Example(
        issued={"data": [{"access_token": "AT-1", "user_id": "17841405822304", "permissions": "SCOPE_A,SCOPE_B"}]},
        refreshed=_alone(token_type="bearer", expires_in=5183944),
    ),
    "airtable": Example(issued=tokens(1, refresh_expires_in=5184000), refreshed=tokens(2, refresh_expires_in=5184000)),
    "asana": Example(issued=tokens(1, data={"gid": "4673218951", "name": "x", "email": "x"}), refreshed=_alone()),
    "clickup": Example(start={}, issued={"access_token": "AT-1"}, refreshed=None),
    "discord": Example(
        issued=tokens(1, expires_in=604800, guild={"id": "290926798626357999", "name": "Acme"}),
        refreshed=tokens(2, expires_in=604800),
    ),
    "docusign": Example(issued=tokens(1, expires_in=28800), refreshed=tokens(2, expires_in=28800)),
    "stripe-app": Example(
        issued=tokens(1, token_type="bearer", stripe_user_id="acct_1", livemode=True),
        refreshed=tokens(2, token_type="bearer", stripe_user_id="acct_1", livemode=True),
    ),
    "tiktok-ads": Example(
        start={},
        redirect={"auth_code": "CODE"},
        issued={"code": 0, "message": "OK", "data": {"access_token": "AT-1", "advertiser_ids": ["1"], "scope": [4]}},
        refreshed=None,
        revoked=(200, {"code": 0, "message": "OK", "data": {}}),
    ),
}

COMMON = Example()
"""The life with a provider whose documents show no other answers."""


def body_of(answer: Any) -> str:
    """Return an answer's body as it is sent."""
    return answer if isinstance(answer, str) else json.dumps(answer, separators=(", ", ": "))

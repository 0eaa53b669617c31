"""What an access token is good for: who am I, and the merchant's orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.demo.dialect import json_answer
from local.demo.errors import RestError
from local.demo.ultracart import check_version

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

    from local.demo.dialect import Dialect
    from local.demo.grants import Grant, Grants

ORDERS = "/rest/v2/order/orders"

_STAGES = ("Completed Order", "Shipping Department", "Accounts Receivable")
_LARGEST_PAGE = 200


def me(dialect: Dialect, grants: Grants, request: Request) -> Response:
    """Answer whom the token speaks for; raises RestError (401 for a token that is not alive)."""
    dialect.check_headers(request)
    grant = _authorized(grants, request)
    return json_answer(
        {
            "application_name": dialect.client.application_name,
            "client_id": grant.client_id,
            "merchant_id": grant.merchant.merchant_id,
            "merchant_name": grant.merchant.name,
            "scopes": list(grant.scopes),
        }
    )


def order_or_orders(grants: Grants, request: Request) -> Response:
    """Answer `GET /rest/v2/order/orders`, or one of them by its id; raises RestError."""
    check_version(request)
    grant = _authorized(grants, request)
    everything = [_order(grant.merchant.merchant_id, number) for number in range(len(_STAGES))]
    order_id = request.path.removeprefix(ORDERS).lstrip("/")
    return _one(everything, order_id) if order_id else _page(everything, request)


def _one(everything: list[dict[str, Any]], order_id: str) -> Response:
    """Answer as the SDK's OrderResponse."""
    for order in everything:
        if order["order_id"] == order_id:
            return json_answer({"metadata": {"payload_name": "order"}, "order": order, "success": True})
    raise RestError(404, "There is no such order.")


def _page(everything: list[dict[str, Any]], request: Request) -> Response:
    """Answer as the SDK's OrdersResponse."""
    limit, offset = _number(request, "_limit", 100), _number(request, "_offset", 0)
    page = everything[offset : offset + min(limit, _LARGEST_PAGE)]
    result_set = {
        "count": len(page),
        "limit": limit,
        "more": offset + len(page) < len(everything),
        "offset": offset,
        "total_records": len(everything),
    }
    metadata = {"payload_name": "orders", "result_set": result_set}
    return json_answer({"metadata": metadata, "orders": page, "success": True})


def _order(merchant_id: str, number: int) -> dict[str, Any]:
    return {
        "creation_dts": f"2026-01-{number + 1:02d}T12:00:00-05:00",
        "currency_code": "USD",
        "current_stage": _STAGES[number],
        "merchant_id": merchant_id,
        "order_id": f"{merchant_id}-{202601010001 + number}",
    }


def _authorized(grants: Grants, request: Request) -> Grant:
    """Return the grant of the bearer token (RFC 6750 section 2.1); raises RestError."""
    scheme, _, access_token = request.headers.get("Authorization", "").partition(" ")
    grant = grants.bearer(access_token) if scheme.lower() == "bearer" else None
    if grant is None:
        raise RestError(401, "The access token is missing, unknown, expired or revoked.")
    return grant


def _number(request: Request, name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise RestError(400, f"{name} must be a number.")
    return int(text)

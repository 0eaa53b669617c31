"""A Lambda function with the pages of an application on which a customer connects again. An HTTP API calls it.

Whoever is signed in is the owner: the page shows and starts nothing that belongs to somebody else, and only their own
session confirms what comes back.
"""

from __future__ import annotations

import html
import json
import os
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote

import boto3

if TYPE_CHECKING:
    from collections.abc import Mapping

    Event = Mapping[str, Any]
    Response = dict[str, Any]

APPLICATION = os.environ.get("APPLICATION_URL", "https://app.example.com")
STACK = os.environ.get("GATEHOUSE_STACK", "gatehouse")

_SESSION = "example_session"
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>body{{font:1.1rem/1.5 system-ui;margin:2rem auto;max-width:34rem;padding:0 1rem}}
button,input{{font:inherit;padding:.5rem 1rem}}</style></head>
<body><main><h1>{title}</h1>{body}</main></body></html>"""


def handler(event: Event, _context: object) -> Response:
    """Answer the application's pages."""
    method, path = event["requestContext"]["http"]["method"], event["rawPath"]
    owner = owner_of(event)
    if (method, path) == ("POST", "/sign-in"):
        return _sign_in(event)
    if owner is None:
        return _page("Sign in", _form("/sign-in", _hidden("next", path) + _NAME, "Sign in"))
    if path.startswith("/reconnect/"):
        connection_id = unquote(path.removeprefix("/reconnect/"))
        return _ask(owner, connection_id) if method == "GET" else _send_on(owner, connection_id)
    if (method, path) == ("GET", "/back"):
        return _came_back(owner, event.get("queryStringParameters", {}))
    return _page("Not found", "<p>There is no such page.</p>", 404)


_NAME = '<p><label>Your name <input name="customer" required></label></p>'


def owner_of(event: Event) -> str | None:
    """Return who is signed in. Your application has sessions; here a cookie has the name, without a password."""
    cookies = dict(each.partition("=")[::2] for each in event.get("cookies", []))
    return unquote(cookies.get(_SESSION, "")) or None


def _sign_in(event: Event) -> Response:
    form = _form_of(event)
    next_page = form.get("next", "/")
    # A path on this site and no other: `//host` would be another one.
    next_page = next_page if next_page.startswith("/") and not next_page.startswith(("//", "/\\")) else "/"
    cookie = f"{_SESSION}={quote(form.get('customer', ''))}; HttpOnly; SameSite=Lax; Path=/"
    return {"statusCode": 303, "headers": {"Location": next_page}, "cookies": [cookie], "body": ""}


def _ask(owner: str, connection_id: str) -> Response:
    """Show what is to be connected again; an event is a hint, so it asks how the connection is now."""
    connection = _connection(owner, connection_id)
    if connection is None:
        return _page("Not found", "<p>You have no such connection.</p>", 404)
    provider = html.escape(connection["provider"])
    if connection["status"] == "active" and connection["needs"] is None:
        return _page("Connected", f"<p>Your connection with {provider} works. There is nothing to do.</p>")
    text = f"<p>Your connection with {provider} has ended.</p>"
    return _page("Connect again", text + _form(f"/reconnect/{quote(connection_id)}", "", f"Connect {provider}"))


def _send_on(owner: str, connection_id: str) -> Response:
    """Start an authorization for this session's owner, and send the browser to consent."""
    connection = _connection(owner, connection_id)
    if connection is None:
        return _page("Not found", "<p>You have no such connection.</p>", 404)
    scopes = connection["requested_scope"]
    wanted: dict[str, Any] = {
        "provider": connection["provider"],
        "connection_id": connection_id,
        "owner": owner,
        "confirm": True,
        "return_to": f"{APPLICATION}/back",
        "parameters": connection["parameters"],
        "tags": connection["tags"],
        **({"scopes": scopes.split()} if scopes else {}),
    }
    answer = _gatehouse("start", wanted)
    if "authorize_url" not in answer:
        return _page("Not now", "<p>This does not work at the moment. Please try again in a few minutes.</p>", 503)
    return {"statusCode": 303, "headers": {"Location": answer["authorize_url"]}, "body": ""}


def _came_back(owner: str, query: Mapping[str, str]) -> Response:
    """Confirm that who was sent has come back: the owner is this session's, whatever the query says."""
    about = {"connection_id": query.get("connection_id", ""), "confirmation": query.get("confirmation", "")}
    if query.get("status") != "unconfirmed" or "error" in _gatehouse("confirm", {**about, "owner": owner}):
        return _page("Not connected", "<p>Nothing has changed. Follow the link in our mail to try again.</p>")
    return _page("Connected again", "<p>Thank you. Everything works as before.</p>")


def _connection(owner: str, connection_id: str) -> dict[str, Any] | None:
    """Return a connection, if it is this owner's."""
    found: dict[str, Any] | None = _gatehouse("connections", {"connection_id": connection_id}).get("connection")
    return found if found is not None and found["owner"] == owner else None


def _gatehouse(function: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Return what a function of Gatehouse answers: a result, or a failure with an `error`."""
    response = boto3.client("lambda").invoke(FunctionName=f"{STACK}-{function}:live", Payload=json.dumps(payload))
    answer: dict[str, Any] = json.load(response["Payload"])
    return {"error": "server_error"} if response.get("FunctionError") else answer


def _form_of(event: Event) -> dict[str, str]:
    body = event.get("body", "")
    text = b64decode(body).decode() if event.get("isBase64Encoded") else body
    return {name: values[0] for name, values in parse_qs(text).items()}


def _form(action: str, fields: str, button: str) -> str:
    return f'<form method="post" action="{html.escape(action)}">{fields}<button>{html.escape(button)}</button></form>'


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{html.escape(value)}">'


def _page(title: str, body: str, status: int = 200) -> Response:
    return {"statusCode": status, "headers": _HEADERS, "body": _PAGE.format(title=title, body=body)}

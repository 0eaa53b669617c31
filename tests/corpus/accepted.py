"""Answers with tokens in them that a client should accept."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from tests.corpus.case import Case, accepts

YEARS = 10 * 365 * 86400
FORM = {"content-type": "application/x-www-form-urlencoded"}
TEXT = {"content-type": "text/plain; charset=utf-8"}
HTML = {"content-type": "text/html"}


def tokens(**fields: Any) -> dict[str, Any]:
    """Return a token response with these fields beside its access token."""
    return {"access_token": "AT-1", "token_type": "Bearer", **fields}


def moment(now: int, seconds: float, zone: timezone = UTC) -> str:
    """Return a moment in RFC 3339."""
    return (datetime.fromtimestamp(now, zone) + timedelta(seconds=seconds)).isoformat()


def _form(**fields: Any) -> str:
    return urlencode({"access_token": "AT-1", **fields})


WHOLE = [
    accepts(
        "RFC 6749 section 5.1, its example",
        {
            "access_token": "2YotnFZFEjr1zCsicMWpAA",
            "token_type": "example",
            "expires_in": 3600,
            "refresh_token": "tGzv3JOkF0XG5Qx2TlKWIA",
            "example_parameter": "example_value",
        },
        access_token="2YotnFZFEjr1zCsicMWpAA",
        token_type="example",
        expires_in=3600,
        refresh_token="tGzv3JOkF0XG5Qx2TlKWIA",
    ),
    accepts("the least: an access token alone", {"access_token": "AT-1"}),
    accepts("access token and type alone", tokens()),
    accepts(
        "everything at once",
        tokens(refresh_token="RT-1", expires_in=60, scope="a b", id_token="e.y.J"),
        refresh_token="RT-1",
        expires_in=60,
        scope="a b",
    ),
    accepts("an access token of 8 KB", {"access_token": "x" * 8192}, access_token="x" * 8192),
    accepts(
        "an access token with every character of b64token",
        {"access_token": "aZ09-._~+/=="},
        access_token="aZ09-._~+/==",
    ),
    accepts("an access token with a space and punctuation inside", {"access_token": "a b|c!d"}, access_token="a b|c!d"),
    accepts("fields that nobody knows", tokens(foo={"bar": [1, {"baz": None}]}, **{"": 1, "a.b": 2})),
    accepts("nulls in all that is optional", tokens(refresh_token=None, expires_in=None, scope=None, error=None)),
    accepts(
        "empty strings in all that is optional",
        tokens(refresh_token="", expires_in="", scope="", error="", error_description="", error_uri=""),
    ),
    accepts("error: false", tokens(error=False)),
    accepts("error: 0", tokens(error=0)),
    accepts("error: an empty list", tokens(error=[])),
    accepts("ok: true", tokens(ok=True)),
    accepts("success: true", tokens(success=True, message="fine")),
    accepts("refresh_token: false, as PHP has it", tokens(refresh_token=False)),
    accepts("status 201", tokens(), status=201),
    accepts("status 202", tokens(), status=202),
    accepts("status 203 of a proxy", tokens(), status=203),
]

TYPES = [
    accepts("token_type bearer", tokens(token_type="bearer")),
    accepts("token_type BEARER", tokens(token_type="BEARER")),
    accepts("token_type BeArEr", tokens(token_type="BeArEr")),
    accepts("token_type missing", {"access_token": "AT-1", "expires_in": 5}, expires_in=5),
    accepts("token_type null", tokens(token_type=None)),
    accepts("token_type empty", tokens(token_type="")),
    accepts("token_type a number", tokens(token_type=7)),
    accepts("token_type with a line break", tokens(token_type="Bea\nrer")),
    accepts("token_type another word", tokens(token_type="Token"), token_type="Token"),
    accepts(
        "token_type that the data passes over", tokens(token_type="bot"), quirks={"response_fields": {"token_type": ""}}
    ),
]

_LIFETIMES: list[tuple[Any, int | None]] = [
    (3600, 3600),
    (1, 1),
    (2592000, 2592000),
    ("3600", 3600),
    (" 3600 ", 3600),
    (3600.0, 3600),
    (3599.97, 3599),
    ("3600.0", 3600),
    ("3.6e3", 3600),
    ("+3600", 3600),
    ("0003600", 3600),
    (10**12, YEARS),
    (2**63 - 1, YEARS),
    ("9" * 18, YEARS),
    (0, None),
    ("0", None),
    (0.0, None),
    (0.5, None),
    (-1, None),
    (-3600, None),
    ("-1", None),
    ("", None),
    ("never", None),
    ("3600s", None),
    ("1 hour", None),
    ("0x10", None),
    ("NaN", None),
    ("Infinity", None),
    (None, None),
    (True, None),
    (False, None),
    ([3600], None),
    ({"seconds": 3600}, None),
]
_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000, "-" + "9" * 5000, "1" + "0" * 30]

LIFETIMES = [
    *(
        Case(
            f"expires_in {json.dumps(value)}",
            "accept",
            tokens(expires_in=value),
            stored={"access_token": "AT-1"} | ({} if known is None else {"expires_in": known}),
        )
        for value, known in _LIFETIMES
    ),
    *(
        accepts(
            f"expires_in {number[:12]}, {len(number)} characters", f'{{"access_token":"AT-1","expires_in":{number}}}'
        )
        for number in _NUMBERS
    ),
    accepts("expires_in 3.6e3 as JSON spells it", '{"access_token":"AT-1","expires_in":3.6e3}', expires_in=3600),
    accepts(
        "expires_in in milliseconds",
        tokens(expires_in=3600000),
        expires_in=3600,
        quirks={"expires_in_unit": "milliseconds"},
    ),
    accepts(
        "expires_in in milliseconds as a string",
        tokens(expires_in="3600000"),
        expires_in=3600,
        quirks={"expires_in_unit": "milliseconds"},
    ),
    accepts(
        "expires_in less than a second in milliseconds",
        tokens(expires_in=999),
        quirks={"expires_in_unit": "milliseconds"},
    ),
    accepts("no expires_in where the data knows it", tokens(), expires_in=7200, quirks={"default_expires_in": 7200}),
    accepts(
        "expires_in 0 where the data knows better",
        tokens(expires_in=0),
        expires_in=7200,
        quirks={"default_expires_in": 7200},
    ),
    accepts(
        "expires_in beyond what the data believes",
        tokens(expires_in=86400),
        expires_in=3600,
        quirks={"max_expires_in": 3600},
    ),
    accepts("expires_in below that", tokens(expires_in=60), expires_in=60, quirks={"max_expires_in": 3600}),
    accepts(
        "expires_in under another name",
        tokens(expires="3600"),
        expires_in=3600,
        quirks={"response_fields": {"expires_in": "expires"}},
    ),
    accepts("Microsoft's ext_expires_in is another's", tokens(expires_in=3599, ext_expires_in=7199), expires_in=3599),
    accepts("ext_expires_in alone", tokens(ext_expires_in=7199)),
]

MOMENTS = [
    accepts("expires_at in Unix seconds", lambda now: tokens(expires_at=now + 3600), expires_in=3600),
    accepts("expires_at in Unix seconds as a string", lambda now: tokens(expires_at=str(now + 3600)), expires_in=3600),
    accepts("expires_at in fractions", lambda now: tokens(expires_at=now + 3600.75), expires_in=3600),
    accepts("expires_at in milliseconds", lambda now: tokens(expires_at=(now + 3600) * 1000), expires_in=3600),
    accepts(
        "expires_at in RFC 3339 with Z",
        lambda now: tokens(expires_at=moment(now, 3600).replace("+00:00", "Z")),
        expires_in=3600,
    ),
    accepts(
        "expires_at in RFC 3339 in another zone",
        lambda now: tokens(expires_at=moment(now, 3600, timezone(timedelta(hours=-7)))),
        expires_in=3600,
    ),
    accepts(
        "expires_at in RFC 3339 with fractions", lambda now: tokens(expires_at=moment(now, 3600.5)), expires_in=3600
    ),
    accepts(
        "expires_at without a zone is UTC",
        lambda now: tokens(expires_at=moment(now, 3600).replace("+00:00", "")),
        expires_in=3600,
    ),
    accepts("expires_in goes over expires_at", lambda now: tokens(expires_in=60, expires_at=now + 3600), expires_in=60),
    accepts(
        "expires_at where expires_in is zero", lambda now: tokens(expires_in=0, expires_at=now + 3600), expires_in=3600
    ),
    accepts("expires_at in the past", lambda now: tokens(expires_at=now - 10)),
    accepts(
        "expires_at with a blank for the T",
        lambda now: tokens(expires_at=moment(now, 60).replace("T", " ")),
        expires_in=60,
    ),
    accepts("expires_at 0", tokens(expires_at=0)),
    accepts("expires_at that is no moment", tokens(expires_at="tomorrow")),
    accepts("expires_at in the year 99999", tokens(expires_at="99999-01-01T00:00:00Z")),
    accepts("expires_at without end", '{"access_token":"AT-1","expires_at":1e400}'),
    accepts("expires_at null beside expires_in", tokens(expires_in=60, expires_at=None), expires_in=60),
    accepts(
        "Square: RFC 3339 and an account",
        lambda now: tokens(
            token_type="bearer",
            expires_at=moment(now, 2592000).replace("+00:00", "Z"),
            merchant_id="MLQ",
            refresh_token="RT-1",
            short_lived=False,
        ),
        expires_in=2592000,
        refresh_token="RT-1",
        subject="MLQ",
        quirks={"subject": "merchant_id"},
    ),
]

REFRESH_TOKENS = [
    accepts("a rotated refresh token", tokens(refresh_token="RT-1"), refresh_token="RT-1", refresh=True),
    accepts(
        "a refresh without a new refresh token keeps the old",
        tokens(expires_in=60),
        refresh_token="RT-0",
        expires_in=60,
        refresh=True,
    ),
    accepts(
        "a refresh with a null refresh token keeps the old",
        tokens(refresh_token=None),
        refresh_token="RT-0",
        refresh=True,
    ),
    accepts(
        "a refresh with an empty refresh token keeps the old",
        tokens(refresh_token=""),
        refresh_token="RT-0",
        refresh=True,
    ),
    accepts(
        "Dropbox: a refresh brings access token and expiry alone",
        {"access_token": "AT-1", "token_type": "bearer", "expires_in": 14400},
        refresh_token="RT-0",
        expires_in=14400,
        refresh=True,
    ),
    accepts(
        "Google: refresh_token_expires_in",
        tokens(refresh_token="RT-1", expires_in=3599, refresh_token_expires_in=604799),
        refresh_token="RT-1",
        expires_in=3599,
        refresh_expires_in=604799,
    ),
    accepts(
        "QuickBooks: x_refresh_token_expires_in",
        tokens(token_type="bearer", refresh_token="RT-1", expires_in=3600, x_refresh_token_expires_in=8726400),
        refresh_token="RT-1",
        expires_in=3600,
        refresh_expires_in=8726400,
    ),
    accepts(
        "Keycloak: refresh_expires_in",
        tokens(refresh_token="RT-1", expires_in=300, refresh_expires_in=1800, **{"not-before-policy": 0}),
        refresh_token="RT-1",
        expires_in=300,
        refresh_expires_in=1800,
    ),
    accepts(
        "Keycloak: refresh_expires_in 0 of an offline token",
        tokens(refresh_token="RT-1", refresh_expires_in=0),
        refresh_token="RT-1",
    ),
    accepts(
        "refresh_token_expires_in as a string",
        tokens(refresh_token="RT-1", refresh_token_expires_in="15811200"),
        refresh_token="RT-1",
        refresh_expires_in=15811200,
    ),
    accepts(
        "refresh_token_expires_at in Unix seconds",
        lambda now: tokens(refresh_token="RT-1", refresh_token_expires_at=now + 86400),
        refresh_token="RT-1",
        refresh_expires_in=86400,
    ),
    accepts(
        "refresh_token_expires_at in RFC 3339",
        lambda now: tokens(refresh_token="RT-1", refresh_token_expires_at=moment(now, 86400)),
        refresh_token="RT-1",
        refresh_expires_in=86400,
    ),
    accepts(
        "a refresh token whose life the data knows",
        tokens(refresh_token="RT-1"),
        refresh_token="RT-1",
        refresh_expires_in=86400,
        quirks={"default_refresh_token_expires_in": 86400},
    ),
    accepts(
        "that life begins with a new refresh token only",
        tokens(),
        refresh_token="RT-0",
        refresh=True,
        quirks={"default_refresh_token_expires_in": 86400},
    ),
    accepts(
        "that life does not start again with one that comes back unchanged",
        tokens(refresh_token="RT-0"),
        refresh_token="RT-0",
        refresh=True,
        quirks={"default_refresh_token_expires_in": 86400},
    ),
]

SCOPES = [
    accepts("scope with spaces", tokens(scope="read write"), scope="read write"),
    accepts("scope with spaces around and within", tokens(scope="  read   write "), scope="read write"),
    accepts(
        "scope with commas where the data says so",
        tokens(scope="read,write"),
        scope="read write",
        quirks={"scope_separator": ","},
    ),
    accepts(
        "scope with commas and spaces", tokens(scope="read, write"), scope="read write", quirks={"scope_separator": ","}
    ),
    accepts("scope as a list", tokens(scope=["read", "write"]), scope="read write"),
    accepts("scope as an empty list", tokens(scope=[])),
    accepts("scope a number", tokens(scope=7)),
    accepts(
        "Bitbucket: scopes",
        tokens(scopes="account repository"),
        scope="account repository",
        quirks={"response_fields": {"scope": "scopes"}},
    ),
    accepts("Mailchimp: expires_in 0, scope null", tokens(expires_in=0, scope=None)),
]

FORMS = [
    accepts(
        "a form that says so",
        _form(token_type="bearer", expires_in=3600, refresh_token="RT-1", scope="a b"),
        headers=FORM,
        expires_in=3600,
        refresh_token="RT-1",
        scope="a b",
    ),
    accepts(
        "GitHub: a form without an expiry",
        _form(scope="repo gist", token_type="bearer"),
        headers=FORM,
        scope="repo gist",
    ),
    accepts("GitHub: a form with an empty scope", _form(scope="", token_type="bearer"), headers=FORM),
    accepts(
        "GitHub Apps: JSON with two expiries",
        tokens(
            expires_in=28800, refresh_token="ghr_1", refresh_token_expires_in=15811200, scope="", token_type="bearer"
        ),
        expires_in=28800,
        refresh_token="ghr_1",
        refresh_expires_in=15811200,
    ),
    accepts("a form as text/plain", _form(expires_in=5183999), headers=TEXT, expires_in=5183999),
    accepts("a form as text/html", _form(expires_in=3600), headers={"content-type": "text/plain"}, expires_in=3600),
    accepts("a form without a content type", _form(expires_in=60), headers={"content-type": ""}, expires_in=60),
    accepts("a form with a line break behind it", _form(expires_in=60) + "\r\n", headers=FORM, expires_in=60),
    accepts("a form with an empty part", _form(expires_in=60) + "&", headers=FORM, expires_in=60),
    accepts("a form with escapes", "access_token=a%2Fb%2Bc%3D&token_type=bearer", headers=FORM, access_token="a/b+c="),
    accepts("a form with a plus for a space", "access_token=AT-1&scope=read+write", headers=FORM, scope="read write"),
]

TRANSPORT = [
    accepts("JSON as text/plain", tokens(), headers=TEXT),
    accepts("JSON as text/html", tokens(), headers=HTML),
    accepts("JSON as text/javascript", tokens(), headers={"content-type": "text/javascript; charset=UTF-8"}),
    accepts("JSON without a content type", tokens(), headers={"content-type": ""}),
    accepts("JSON with a byte order mark", b"\xef\xbb\xbf" + json.dumps(tokens(expires_in=60)).encode(), expires_in=60),
    accepts("JSON in UTF-16", json.dumps(tokens(expires_in=60)).encode("utf-16"), expires_in=60),
    accepts("JSON between blanks and line breaks", f"\r\n\t {json.dumps(tokens())} \n\n"),
    accepts("JSON in many lines", json.dumps(tokens(expires_in=60), indent=4), expires_in=60),
    accepts("JSON with escaped letters", '{"\\u0061ccess_token":"\\u0041T-1"}'),
    accepts("JSON with an umlaut in UTF-8", tokens(name="Müller")),
    accepts(
        "JSON with an umlaut in Latin-1",
        '{"access_token":"AT-1","name":"Müller"}'.encode("latin-1"),
        headers={"content-type": "application/json; charset=iso-8859-1"},
    ),
    accepts(
        "JSON compressed by gzip",
        gzip.compress(json.dumps(tokens(expires_in=60)).encode()),
        headers={"content-encoding": "gzip"},
        expires_in=60,
    ),
    accepts(
        "JSON compressed by deflate",
        zlib.compress(json.dumps(tokens(expires_in=60)).encode()),
        headers={"content-encoding": "deflate"},
        expires_in=60,
    ),
    accepts("a member twice with one value", '{"access_token":"AT-1","access_token":"AT-1"}'),
    accepts("a member that does not matter twice", '{"access_token":"AT-1","id":1,"id":2,"user":{"x":1,"x":2}}'),
    accepts("expires_in twice with different values", '{"access_token":"AT-1","expires_in":1,"expires_in":3600}'),
    accepts("half a surrogate pair in a scope", '{"access_token":"AT-1","scope":"re\\ud800ad"}', scope="re?ad"),
    accepts("a NUL in a field that nobody knows", '{"access_token":"AT-1","x":"\\u0000"}'),
    accepts("an answer with 100 KB beside the token", tokens(padding="x" * 100_000)),
]

NESTED = [
    accepts(
        "Slack: a bot token",
        {
            "ok": True,
            "access_token": "xoxb-1",
            "token_type": "bot",
            "scope": "chat:write,commands",
            "bot_user_id": "U1",
            "team": {"name": "T", "id": "T1"},
            "authed_user": {"id": "U2"},
        },
        access_token="xoxb-1",
        scope="chat:write commands",
        subject="T1",
        metadata={"bot_user_id": "U1", "team.id": "T1"},
        quirks={
            "scope_separator": ",",
            "response_paths": [".", "authed_user"],
            "response_fields": {"token_type": ""},
            "subject": "team.id",
            "metadata": ["bot_user_id", "team.id"],
        },
    ),
    accepts(
        "Slack: a user token",
        {
            "ok": True,
            "team": {"id": "T1"},
            "authed_user": {
                "id": "U2",
                "access_token": "xoxp-1",
                "token_type": "user",
                "scope": "search:read",
                "refresh_token": "xoxe-1",
                "expires_in": 43200,
            },
        },
        access_token="xoxp-1",
        refresh_token="xoxe-1",
        expires_in=43200,
        scope="search:read",
        subject="T1",
        quirks={
            "scope_separator": ",",
            "response_paths": [".", "authed_user"],
            "response_fields": {"token_type": ""},
            "subject": "team.id",
        },
    ),
    accepts(
        "Slack: the refresh token of a user is not the bot's",
        {"ok": True, "access_token": "xoxb-1", "authed_user": {"access_token": "xoxp-1", "refresh_token": "xoxe-2"}},
        access_token="xoxb-1",
        quirks={"response_paths": [".", "authed_user"]},
    ),
    accepts(
        "Instagram: the first entry of a list",
        {"data": [{"access_token": "AT-1", "user_id": "1"}, {"access_token": "AT-2"}]},
        quirks={"response_paths": [".", "data.0"]},
    ),
    accepts(
        "tokens in an envelope",
        {"code": 0, "message": "OK", "data": {"access_token": "AT-1", "expires_in": 86400, "refresh_token": "RT-1"}},
        expires_in=86400,
        refresh_token="RT-1",
        quirks={"response_paths": ["data"], "error_fields": {"error": "code", "error_description": "message"}},
    ),
    accepts(
        "tokens under other names",
        {"accessToken": "AT-1", "refreshToken": "RT-1", "expiresIn": 60},
        refresh_token="RT-1",
        expires_in=60,
        quirks={
            "response_fields": {
                "access_token": "accessToken",
                "refresh_token": "refreshToken",
                "expires_in": "expiresIn",
            }
        },
    ),
    accepts(
        "a token deep within",
        {"result": {"token": {"value": "AT-1"}}},
        quirks={"response_fields": {"access_token": "result.token.value"}},
    ),
    accepts(
        "Salesforce: instance_url, no expiry",
        {
            "access_token": "AT-1",
            "refresh_token": "RT-1",
            "signature": "x",
            "scope": "refresh_token api",
            "instance_url": "https://acme.my.salesforce.com",
            "id": "https://login.salesforce.com/id/00D/005",
            "token_type": "Bearer",
            "issued_at": "1700000000000",
        },
        refresh_token="RT-1",
        scope="refresh_token api",
        metadata={"instance_url": "https://acme.my.salesforce.com"},
        quirks={"metadata": ["instance_url"]},
    ),
    accepts(
        "UltraCart: every field a string",
        {
            "access_token": "AT-1",
            "refresh_token": "RT-1",
            "token_type": "bearer",
            "expires_in": "3600",
            "scope": "order_read",
            "merchant_id": "DEMO",
            "error": None,
            "error_description": None,
        },
        refresh_token="RT-1",
        expires_in=3600,
        scope="order_read",
        subject="DEMO",
        metadata={"merchant_id": "DEMO"},
        quirks={"subject": "merchant_id", "metadata": ["merchant_id"]},
    ),
    accepts("an account that is a number", tokens(hub_id=4711), subject="4711", quirks={"subject": "hub_id"}),
    accepts("an account that is an object is none", tokens(owner={"id": 1}), quirks={"subject": "owner"}),
    accepts(
        "an account deep within",
        tokens(owner={"user": {"id": "u-1"}}),
        subject="u-1",
        quirks={"subject": "owner.user.id"},
    ),
    accepts(
        "metadata that is not there",
        tokens(a=1, b=None, c=["x"]),
        metadata={"a": "1"},
        quirks={"metadata": ["a", "b", "c", "d.e"]},
    ),
    accepts(
        "metadata without end is cut", tokens(url="x" * 5000), metadata={"url": "x" * 512}, quirks={"metadata": ["url"]}
    ),
    accepts("a flag that the data asks for", tokens(status={"ok": True}), quirks={"response_success": "status.ok"}),
]

ACCEPTED: list[Case] = [*WHOLE, *TYPES, *LIFETIMES, *MOMENTS, *REFRESH_TOKENS, *SCOPES, *FORMS, *TRANSPORT, *NESTED]

"""Answers that are no token response, and what each of them means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.corpus.case import refuses
from tests.corpus.field import FIELD

if TYPE_CHECKING:
    from tests.corpus.case import Case

FORM = {"content-type": "application/x-www-form-urlencoded"}
HTML = {"content-type": "text/html; charset=utf-8"}
PAGE = "<!doctype html><html><body><form action='?error=invalid_grant&access_token=AT-1'>error=1</form></body></html>"
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def _error(code: Any, words: str | None = "why", **more: Any) -> dict[str, Any]:
    return {"error": code, **({"error_description": words} if words else {}), **more}


def _dead(name: str, status: int, body: Any, code: str = "invalid_grant", **rest: Any) -> Case:
    return refuses("dead", name, status, body, code, **rest)


def _operator(name: str, status: int, body: Any, code: str | None = None, **rest: Any) -> Case:
    return refuses("operator", name, status, body, code, **rest)


def _throttled(name: str, status: int, body: Any, code: str | None = None, **rest: Any) -> Case:
    return refuses("throttled", name, status, body, code, **rest)


def _unavailable(name: str, status: int, body: Any, code: str | None = None, **rest: Any) -> Case:
    return refuses("unavailable", name, status, body, code, **rest)


def _rule(means: str, **conditions: Any) -> dict[str, Any]:
    """Return provider data that explains an answer: one rule."""
    return {"refusals": [{"endpoint": "refresh", **conditions, "means": means}]}


_STRAVA = {
    "refusals": [
        {"contains": {"errors": {"resource": "RefreshToken", "code": "invalid"}}, "means": "invalid_grant"},
        {"contains": {"errors": {"resource": "Application"}}, "means": "invalid_client"},
    ]
}


def _strava(resource: str, name: str) -> dict[str, Any]:
    return {"message": "Bad Request", "errors": [{"resource": resource, "field": name, "code": "invalid"}]}


DEAD = [
    *(
        _dead(f"invalid_grant on {status}", status, _error("invalid_grant"))
        for status in (400, 401, 403, 200, 201, 404, 410, 422)
    ),
    _dead("invalid_grant without words", 400, _error("invalid_grant", None)),
    _dead("invalid_grant in a form", 400, "error=invalid_grant&error_description=why", headers=FORM),
    _dead("invalid_grant in a form on 200", 200, "error=invalid_grant", headers=FORM),
    _dead("invalid_grant as text/html", 400, _error("invalid_grant"), headers=HTML),
    _dead("invalid_grant with a byte order mark", 400, b'\xef\xbb\xbf{"error":"invalid_grant"}'),
    _dead("invalid_grant with a blank behind it", 400, _error("invalid_grant ")),
    _dead("invalid_grant on 409", 409, _error("invalid_grant")),
    _dead("invalid_grant in a list of strings", 400, {"errors": ["invalid_grant"]}),
    _dead("invalid_grant in capitals", 400, _error("INVALID_GRANT"), "INVALID_GRANT"),
    _dead("invalid_grant beside an access token", 200, _error("invalid_grant", access_token="AT-1")),
    _dead(
        "invalid_grant with words in Latin-1",
        400,
        '{"error":"invalid_grant","error_description":"ungültig"}'.encode("latin-1"),
    ),
    _dead("invalid_grant in an object", 400, {"error": {"code": "invalid_grant", "message": "why"}}),
    _dead(
        "invalid_grant in an object of numbers and words",
        400,
        {"error": {"code": 400, "status": "INVALID_ARGUMENT", "type": "invalid_grant"}},
    ),
    _dead("invalid_grant in a list", 400, {"error": ["invalid_grant"]}),
    _dead(
        "Fitbit: invalid_grant in a list of objects",
        400,
        {"errors": [{"errorType": "invalid_grant", "message": "Refresh token invalid"}], "success": False},
    ),
    _dead(
        "Microsoft: invalid_grant with codes",
        400,
        _error("invalid_grant", "AADSTS70008: expired", error_codes=[70008], suberror="bad_token"),
    ),
    _dead("a known code under another name on 200", 200, {"code": "invalid_grant", "message": "why"}),
    _dead("a known code in a list of objects on 200", 200, {"errors": [{"code": "invalid_grant"}]}),
    _dead("HubSpot: its word on 200", 200, {"status": "BAD_REFRESH_TOKEN"}, "BAD_REFRESH_TOKEN"),
    _dead("interaction_required", 400, _error("interaction_required"), "interaction_required"),
    _dead("consent_required", 400, _error("consent_required"), "consent_required"),
    _dead("login_required", 400, _error("login_required"), "login_required"),
    _dead("Spring: invalid_token for a refresh token", 401, _error("invalid_token"), "invalid_token"),
    _dead(
        "GitHub: bad_refresh_token on 200",
        200,
        _error("bad_refresh_token", error_uri="https://docs.example"),
        "bad_refresh_token",
    ),
    _dead(
        "GitHub: bad_refresh_token in a form on 200",
        200,
        "error=bad_refresh_token&error_description=why",
        "bad_refresh_token",
        headers=FORM,
    ),
    _dead("GitHub: bad_verification_code on 200", 200, _error("bad_verification_code"), "bad_verification_code"),
    _dead(
        "Slack: invalid_refresh_token", 200, {"ok": False, "error": "invalid_refresh_token"}, "invalid_refresh_token"
    ),
    _dead("Slack: token_revoked", 200, {"ok": False, "error": "token_revoked"}, "token_revoked"),
    _dead("Slack: token_expired", 200, {"ok": False, "error": "token_expired"}, "token_expired"),
    _dead("Slack: invalid_code", 200, {"ok": False, "error": "invalid_code"}, "invalid_code"),
    _dead("Slack: code_already_used", 200, {"ok": False, "error": "code_already_used"}, "code_already_used"),
    _dead("Slack: account_inactive", 200, {"ok": False, "error": "account_inactive"}, "account_inactive"),
    _dead(
        "HubSpot: a word of its own under status",
        400,
        {"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"},
        "BAD_REFRESH_TOKEN",
    ),
    _dead(
        "UltraCart: invalid_grant in its error object",
        400,
        {"error": {"error_code": "invalid_grant", "developer_message": "why"}, "success": False},
    ),
    _dead(
        "a code that the data explains",
        400,
        _error("E-4711"),
        "E-4711",
        quirks={"error_codes": {"E-4711": "invalid_grant"}},
    ),
    _dead(
        "a number that the data explains",
        200,
        {"errcode": 42007, "errmsg": "why"},
        "42007",
        quirks={
            "error_fields": {"error": "errcode", "error_description": "errmsg"},
            "error_codes": {"42007": "invalid_grant"},
        },
    ),
    _dead(
        "an envelope's code that the data explains",
        200,
        {"code": 40110, "message": "why", "data": {}},
        "40110",
        quirks={
            "response_paths": ["data"],
            "error_fields": {"error": "code", "error_description": "message"},
            "error_codes": {"40110": "invalid_grant"},
        },
    ),
]

# Of a refresh, as the field has met them.
DEAD += [
    _dead(
        "Strava: a list of what is invalid, the refresh token in it",
        400,
        _strava("RefreshToken", "refresh_token"),
        "invalid",
        quirks=_STRAVA,
        refresh=True,
    ),
    _dead(
        "Facebook: a number and its subcode",
        400,
        {"error": {"message": "why", "type": "OAuthException", "code": 190, "error_subcode": 458}},
        "OAuthException",
        quirks=_rule("invalid_grant", contains={"error": {"code": 190}}),
        refresh=True,
    ),
    _dead(
        "nothing at all, where the data explains that",
        400,
        "",
        "http_400",
        quirks={"error_codes": {"http_400": "invalid_grant"}},
        refresh=True,
    ),
]

OPERATOR = [
    *(
        _operator(f"invalid_client on {status}", status, _error("invalid_client"), "invalid_client")
        for status in (400, 401, 403, 200)
    ),
    _operator(
        "invalid_client with a challenge",
        401,
        _error("invalid_client"),
        "invalid_client",
        headers={"www-authenticate": "Basic"},
    ),
    _operator("invalid_client on 409", 409, _error("invalid_client"), "invalid_client"),
    _operator("401 and nothing else", 401, ""),
    _operator("401 and a page", 401, PAGE, headers=HTML),
    *(
        _operator(code, 400, _error(code), code)
        for code in (
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
            "invalid_request",
            "invalid_target",
            "redirect_uri_mismatch",
            "use_dpop_nonce",
        )
    ),
    _operator("a code that nobody knows", 400, _error("something_new"), "something_new"),
    _operator(
        "GitHub: incorrect_client_credentials on 200",
        200,
        _error("incorrect_client_credentials"),
        "incorrect_client_credentials",
    ),
    _operator(
        "GitHub: the same in a form",
        200,
        "error=incorrect_client_credentials&error_description=why",
        "incorrect_client_credentials",
        headers=FORM,
    ),
    _operator("GitHub: redirect_uri_mismatch on 200", 200, _error("redirect_uri_mismatch"), "redirect_uri_mismatch"),
    _operator("Slack: bad_client_secret", 200, {"ok": False, "error": "bad_client_secret"}, "bad_client_secret"),
    _operator("Slack: invalid_client_id", 200, {"ok": False, "error": "invalid_client_id"}, "invalid_client_id"),
    _operator("ok: false without a word", 200, {"ok": False}, "error"),
    _operator("ok: false beside an access token", 200, {"ok": False, "access_token": "AT-1"}, "error"),
    _operator("success: false with words", 200, {"success": False, "message": "Invalid application"}, "error"),
    _operator("error: true", 200, {"error": True, "message": "why"}, "error"),
    _operator("error: a number", 400, {"message": "Bad Request", "error": 400}, "400"),
    _operator(
        "error: an empty object beside an access token", 200, {"error": {}, "access_token": "AT-1"}, "error_response"
    ),
    _operator(
        "Facebook: an error object",
        400,
        {"error": {"message": "why", "type": "OAuthException", "code": 101, "fbtrace_id": "x"}},
        "OAuthException",
    ),
    _operator(
        "Google: an error object",
        403,
        {"error": {"code": 403, "message": "why", "status": "PERMISSION_DENIED"}},
        "PERMISSION_DENIED",
    ),
    _operator("Figma: error true and a status", 403, {"error": True, "status": 403, "message": "Invalid token"}, "403"),
    _operator("ClickUp: err and ECODE", 400, {"err": "Client not found", "ECODE": "OAUTH_010"}),
    _operator(
        "UltraCart: its error object",
        400,
        {
            "error": {"developer_message": "why", "error_code": "400", "object_id": None, "user_message": "x"},
            "metadata": {},
            "success": False,
            "warning": None,
        },
        "400",
    ),
    _operator(
        "UltraCart: an application that it has disabled",
        410,
        {"error": {"developer_message": "disabled"}, "success": False},
        "error_response",
    ),
    _operator("UltraCart: the same with a header alone", 410, "", headers={"uc-rest-error": "application disabled"}),
    _operator("403 with a message", 403, {"message": "Forbidden"}),
    _operator("404 and a page", 404, PAGE, headers=HTML),
    _operator("404 and JSON", 404, {"message": "no such route"}),
    _operator("405", 405, ""),
    _operator("415 with a message", 415, {"message": "Unsupported Media Type"}),
    *(
        _operator(f"{status} to elsewhere", status, "", headers={"location": "https://elsewhere.example/"})
        for status in (301, 302, 303, 307, 308)
    ),
    _operator("302 with a token in its body", 302, {"access_token": "AT-1"}, headers={"location": "/"}),
    _operator("400 with a token in its body", 400, {"access_token": "AT-1"}),
    _operator("token_type DPoP", 200, {"access_token": "AT-1", "token_type": "DPoP"}, ""),
    _operator("token_type mac", 200, {"access_token": "AT-1", "token_type": "mac"}, ""),
    _operator(
        "a flag that the data asks for is not there",
        200,
        {"access_token": "AT-1"},
        "error",
        quirks={"response_success": "success"},
    ),
    _operator(
        "a code that the data explains as the operator's",
        400,
        _error("invalid_grant"),
        "invalid_grant",
        quirks={"error_codes": {"invalid_grant": "invalid_client"}},
    ),
]

OPERATOR += [
    _operator(
        "Strava: a list of what is invalid, the client in it",
        400,
        _strava("Application", "client_id"),
        "invalid",
        quirks=_STRAVA,
        refresh=True,
    ),
    *(
        _operator(f"{code} to a refresh", 400, _error(code), code, refresh=True)
        for code in ("invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope")
    ),
]

THROTTLED = [
    _throttled("429 and nothing else", 429, ""),
    _throttled("429 with seconds", 429, "", headers={"retry-after": "120"}, retry_after=120),
    _throttled("429 with zero seconds", 429, "", headers={"retry-after": "0"}, retry_after=0),
    _throttled(
        "429 with a date",
        429,
        "",
        headers={"date": DATE, "retry-after": "Tue, 14 Nov 2023 22:15:20 GMT"},
        retry_after=120,
    ),
    _throttled(
        "429 with a date in the past",
        429,
        "",
        headers={"date": DATE, "retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"},
        retry_after=0,
    ),
    _throttled("429 with a week", 429, "", headers={"retry-after": "604800"}, retry_after=86400),
    _throttled("429 with nonsense", 429, "", headers={"retry-after": "soon"}),
    _throttled("429 with negative seconds", 429, "", headers={"retry-after": "-5"}),
    _throttled("429 and a page", 429, PAGE, headers={**HTML, "retry-after": "30"}, retry_after=30),
    _throttled("429 with invalid_grant", 429, _error("invalid_grant"), "invalid_grant"),
    _throttled("429 with invalid_client", 429, _error("invalid_client"), "invalid_client"),
    _throttled(
        "Discord: retry_after in the body",
        429,
        {"message": "You are being rate limited.", "retry_after": 64.57, "global": False},
        retry_after=64,
    ),
    _throttled(
        "UltraCart: its limit in a header",
        429,
        "",
        headers={"uc-rest-error": "rate of 10000 per 86400 second(s) exceeded."},
    ),
    _throttled("slow_down on 400", 400, _error("slow_down"), "slow_down"),
    _throttled("too_many_requests on 200", 200, _error("too_many_requests"), "too_many_requests"),
    _throttled(
        "Slack: ratelimited on 200",
        200,
        {"ok": False, "error": "ratelimited"},
        "ratelimited",
        headers={"retry-after": "10"},
        retry_after=10,
    ),
    _throttled("rate_limit_exceeded on 403", 403, _error("rate_limit_exceeded"), "rate_limit_exceeded"),
    _throttled(
        "403 and Retry-After",
        403,
        {"message": "You have exceeded a secondary rate limit."},
        headers={"retry-after": "60"},
        retry_after=60,
    ),
    _throttled("420 of old", 420, {"error": "Enhance Your Calm"}, None),
]

OUTAGES = [
    *(
        _unavailable(f"{status} and nothing else", status, "", outcome_unknown=True)
        for status in (500, 501, 502, 503, 504, 507, 520, 522, 599)
    ),
    _unavailable("502 and a page", 502, PAGE, headers=HTML, outcome_unknown=True),
    _unavailable(
        "500 with a code of a client's", 500, _error("invalid_client"), "invalid_client", outcome_unknown=True
    ),
    _unavailable("500 with a token in its body", 500, {"access_token": "AT-1"}, outcome_unknown=True),
    _unavailable("503 with seconds", 503, "", headers={"retry-after": "30"}, retry_after=30, outcome_unknown=True),
    _unavailable(
        "503 with a date",
        503,
        PAGE,
        headers={**HTML, "date": DATE, "retry-after": "Tue, 14 Nov 2023 22:14:20 GMT"},
        retry_after=60,
        outcome_unknown=True,
    ),
    _unavailable(
        "503 with temporarily_unavailable",
        503,
        _error("temporarily_unavailable"),
        "temporarily_unavailable",
        outcome_unknown=True,
    ),
    _unavailable("400 with temporarily_unavailable", 400, _error("temporarily_unavailable"), "temporarily_unavailable"),
    _unavailable("400 with server_error", 400, _error("server_error"), "server_error"),
    _unavailable("200 with server_error", 200, _error("server_error"), "server_error"),
    _unavailable("Slack: internal_error on 200", 200, {"ok": False, "error": "internal_error"}, "internal_error"),
    _unavailable("Slack: fatal_error on 200", 200, {"ok": False, "error": "fatal_error"}, "fatal_error"),
    _unavailable(
        "Slack: service_unavailable on 200", 200, {"ok": False, "error": "service_unavailable"}, "service_unavailable"
    ),
    _unavailable("408", 408, ""),
    _unavailable("409 and a message", 409, {"message": "Another refresh is under way"}),
    _unavailable("423", 423, ""),
    _unavailable("425 with a code that nobody knows", 425, _error("too_early"), "too_early"),
    _unavailable(
        "UltraCart: its error object on 500",
        500,
        {"error": {"developer_message": "why", "error_code": "500"}, "success": False},
        "500",
        outcome_unknown=True,
    ),
    _unavailable("400 and a firewall's page", 400, PAGE, headers=HTML),
    _unavailable("403 and a firewall's page", 403, PAGE, headers=HTML),
    _unavailable("400 and nothing else", 400, ""),
    _unavailable("400 and text", 400, "Bad Request"),
    _unavailable("error twice with different values", 400, '{"error":"invalid_grant","error":"invalid_client"}'),
]

_NOTHING: list[tuple[str, Any]] = [
    ("nothing", ""),
    ("blanks", " \r\n"),
    ("null", "null"),
    ("a list", [{"access_token": "AT-1"}]),
    ("a string", '"AT-1"'),
    ("a number", "42"),
    ("an empty object", "{}"),
    ("half an object", '{"access_token":"AT-1"'),
    ("an object and more", '{"access_token":"AT-1"} trailing'),
    ("JSON with single quotes", "{'access_token':'AT-1'}"),
    ("access_token empty", '{"access_token":""}'),
    ("access_token a blank", '{"access_token":" "}'),
    ("access_token null", '{"access_token":null}'),
    ("access_token a number", '{"access_token":12345}'),
    ("access_token true", '{"access_token":true}'),
    ("access_token a list", '{"access_token":["AT-1"]}'),
    ("access_token an object", '{"access_token":{"token":"AT-1"}}'),
    ("access_token with a line break", '{"access_token":"AT\\r\\nX: 1"}'),
    ("access_token with a line break behind it", '{"access_token":"AT-1\\n"}'),
    ("access_token with an umlaut", '{"access_token":"ü"}'),
    ("access_token with a NUL", '{"access_token":"A\\u0000"}'),
    ("access_token in Latin-1", b'{"access_token":"\xe9"}'),
    ("access_token twice with different values", '{"access_token":"AT-1","access_token":"AT-2"}'),
    ("access_token under another name", '{"accessToken":"AT-1"}'),
    ("refresh_token a number", '{"access_token":"AT-1","refresh_token":7}'),
    ("refresh_token a list", '{"access_token":"AT-1","refresh_token":["RT-1"]}'),
    ("refresh_token with a NUL", '{"access_token":"AT-1","refresh_token":"R\\u0000"}'),
    (
        "refresh_token twice with different values",
        '{"access_token":"AT-1","refresh_token":"RT-1","refresh_token":"RT-2"}',
    ),
    ("a code that nobody knows and no token", '{"code":"oops","status":"error"}'),
    ("a token in a list that no data names", '{"data":[{"access_token":"AT-1"}]}'),
    ("a token in an envelope that no data names", '{"data":{"access_token":"AT-1"}}'),
    ("nesting 200,000 deep", "[" * 200_000),
    ("nesting in objects 50,000 deep", '{"a":' * 50_000),
    ("octets of no encoding", b"\xff\xfe\x00\x80\x81"),
    ("text", "OK"),
    ("access_token twice in a form", "access_token=AT-1&access_token=AT-2"),
    ("access_token empty in a form", "access_token=&token_type=bearer"),
    ("a body larger than any answer", json.dumps({"access_token": "AT-1", "x": "x" * 300_000})),
]

NOTHING = [
    *(_unavailable(f"200 and {name}", 200, body, "", outcome_unknown=True) for name, body in _NOTHING),
    _unavailable("200 and a page", 200, PAGE, "", headers=HTML, outcome_unknown=True),
    _unavailable("200 and a page that calls itself a form", 200, PAGE, "", headers=FORM, outcome_unknown=True),
    _unavailable("200 and a page that calls itself JSON", 200, PAGE, "", outcome_unknown=True),
    _unavailable(
        "200 and gzip that is none", 200, b"not gzip", "", headers={"content-encoding": "gzip"}, outcome_unknown=True
    ),
    _unavailable("204", 204, "", "", outcome_unknown=True),
    _unavailable("205", 205, "", "", outcome_unknown=True),
]

# Of a refresh: what is no answer about the grant, and what nobody knows.
OUTAGES += [
    *(
        _unavailable(f"{name} to a refresh", status, body, code, refresh=True)
        for name, status, body, code in (
            ("a code that nobody knows", 400, _error("something_new"), "something_new"),
            ("invalid_request", 400, _error("invalid_request"), "invalid_request"),
            ("nothing at all", 400, "", "http_400"),
            ("403 and nothing else", 403, "", "http_403"),
            ("403 with a message", 403, {"message": "Forbidden"}, "http_403"),
            ("error: true", 200, {"error": True, "message": "why"}, "error"),
        )
    ),
    _unavailable(
        "a firewall's page where the data explains an answer without a body",
        400,
        PAGE,
        headers=HTML,
        quirks={"error_codes": {"http_400": "invalid_grant"}},
        refresh=True,
    ),
]

REFUSED: list[Case] = [*DEAD, *OPERATOR, *THROTTLED, *OUTAGES, *NOTHING, *FIELD]

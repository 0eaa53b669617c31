"""Answers that people met at the catalogue's providers and reported, read with what the provider's own file says.

Where the field has the meaning and no words, `why` stands for them. The files name the reports.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import functions
from tests.corpus.case import refuses

if TYPE_CHECKING:
    from tests.corpus.case import Case, Verdict

_FILES = Path(functions.__file__).parent / "providers"
_OF_ANSWERS = ("response_paths", "response_fields", "response_success", "error_fields", "error_codes", "refusals")
_HTML = {"content-type": "text/html; charset=utf-8"}
_TWO_WAYS = "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI, or ..."


def _said_by(provider: str) -> dict[str, Any]:
    """Return what a provider's file says of its answers."""
    written = tomllib.loads((_FILES / f"{provider}.toml").read_text(encoding="utf-8"))
    return {key: written[key] for key in _OF_ANSWERS if key in written}


def _case(  # noqa: PLR0913, PLR0917 - an answer in a line
    verdict: Verdict, provider: str, what: str, status: int, body: Any, code: str, **rest: Any
) -> Case:
    refresh = rest.pop("refresh", True)
    return refuses(
        verdict, f"{provider}: {what}", status, body, code, quirks=_said_by(provider), refresh=refresh, **rest
    )


def _dead(provider: str, what: str, status: int, body: Any, code: str = "invalid_grant", **rest: Any) -> Case:
    return _case("dead", provider, what, status, body, code, **rest)


def _operator(provider: str, what: str, status: int, body: Any, code: str, **rest: Any) -> Case:
    return _case("operator", provider, what, status, body, code, **rest)


def _error(code: Any, words: str | None = "why", **more: Any) -> dict[str, Any]:
    return {"error": code, **({"error_description": words} if words else {}), **more}


_DEAD = [
    _dead("airtable", "a used refresh token", 400, _error("invalid_grant", None)),
    _dead(
        "amazon-sp-api",
        "a refresh token that was revoked or never granted",
        400,
        _error("invalid_grant", "The request has an invalid grant parameter : refresh_token. User may have revoked it"),
    ),
    _dead("atlassian-jira", "a dead refresh token", 403, _error("invalid_grant", "Unknown or invalid refresh token.")),
    _dead(
        "atlassian-jira",
        "unauthorized_client, and words of a dead refresh token",
        403,
        _error("unauthorized_client", "refresh_token is invalid"),
        "unauthorized_client",
    ),
    _dead(
        "bitbucket",
        "a dead refresh token in 2017",
        400,
        _error("invalid_request", "Invalid refresh_token"),
        "invalid_request",
    ),
    _dead("box", "a used refresh token", 400, _error("invalid_grant", "Refresh token has expired")),
    _dead("box", "no refresh token of its own", 400, _error("invalid_grant", "Invalid refresh token")),
    _dead(
        "discord",
        "a used refresh token in 2020",
        400,
        _error("invalid_request", 'Invalid "refresh_token" in request.'),
        "invalid_request",
    ),
    _dead("discord", "a used refresh token since", 400, _error("invalid_grant")),
    _dead("dropbox", "a revoked refresh token", 400, _error("invalid_grant", "refresh token is invalid or revoked")),
    _dead(
        "ebay",
        "a dead refresh token, or another client's",
        400,
        _error("invalid_grant", "the provided authorization refresh token is invalid or was issued to another client"),
    ),
    _dead("etsy", "a used refresh token", 400, _error("invalid_grant", "refresh_token is revoked")),
    _dead(
        "github",
        "a used refresh token on 200",
        200,
        _error("bad_refresh_token", "The refresh token passed is incorrect or expired."),
        "bad_refresh_token",
    ),
    _dead(
        "github",
        "a mail address that the customer has to confirm",
        200,
        _error("unverified_user_email"),
        "unverified_user_email",
        refresh=False,
    ),
    _dead("gitlab", "whatever is wrong with a refresh token", 400, _error("invalid_grant", _TWO_WAYS)),
    _dead("google", "a dead refresh token", 400, _error("invalid_grant", "Token has been expired or revoked.")),
    _dead("google", "the same, twelve hours later", 400, _error("invalid_grant", "Bad Request")),
    _dead(
        "google",
        "an organization's session rules",
        400,
        _error("invalid_grant", "reauth", error_subtype="invalid_rapt"),
    ),
    _dead(
        "hubspot",
        "a dead refresh token in former words",
        400,
        {"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"},
        "BAD_REFRESH_TOKEN",
    ),
    _dead(
        "hubspot",
        "a dead refresh token in both words",
        400,
        {"status": "BAD_REFRESH_TOKEN", "message": "why", **_error("invalid_grant")},
    ),
    _dead(
        "hubspot",
        "an account that is gone",
        400,
        {"status": "BAD_HUB", "message": "why", **_error("access_denied")},
        "access_denied",
    ),
    *(
        _dead(
            provider,
            "a dead token at its refresh",
            400,
            {"error": {"message": "why", "type": "OAuthException", "code": 190, "error_subcode": 460}},
            code,
        )
        for provider, code in (("facebook", "OAuthException"), ("instagram", "error"))
    ),
    _dead(
        "linkedin",
        "invalid_request, and words of a dead refresh token",
        400,
        _error("invalid_request", "The provided authorization grant or refresh token is invalid, expired or revoked."),
        "invalid_request",
    ),
    _dead("linkedin", "a dead refresh token, as an article has it", 400, _error("invalid_grant")),
    _dead(
        "microsoft",
        "a refresh token that was not used for too long",
        400,
        _error("invalid_grant", "AADSTS700082: why", error_codes=[700082], suberror="bad_token"),
    ),
    _dead("microsoft", "consent_required", 400, _error("consent_required", "AADSTS65001: why"), "consent_required"),
    _dead("notion", "words of a dead refresh token on 401", 401, {"message": "Invalid refresh token"}, "http_401"),
    _dead("notion", "a used refresh token", 400, _error("invalid_grant", "OAuth grant revoked")),
    _dead(
        "quickbooks",
        "a dead, replaced or wrong refresh token",
        400,
        _error("invalid_grant", "Incorrect or invalid refresh token"),
    ),
    _dead("quickbooks", "the same without words", 400, _error("invalid_grant", None)),
    _dead("reddit", "the status in the place of a code", 400, {"message": "Bad Request", "error": 400}, "400"),
    _dead("reddit", "a bad code on 200", 200, _error("invalid_grant", None), refresh=False),
    _dead("salesforce", "a dead refresh token", 400, _error("invalid_grant", "expired access/refresh token")),
    _dead(
        "shopify",
        "invalid_request on 401, and words of a dead refresh token",
        401,
        _error("invalid_request", "This request requires an active refresh_token"),
        "invalid_request",
    ),
    _dead(
        "slack",
        "a used refresh token",
        200,
        {"ok": False, "error": "invalid_refresh_token"},
        "invalid_refresh_token",
    ),
    _dead(
        "slack",
        "an authorization that is gone",
        200,
        {"ok": False, "error": "authorization_not_found"},
        "authorization_not_found",
    ),
    _dead("spotify", "a revoked refresh token", 400, _error("invalid_grant", "Refresh token revoked")),
    _dead("spotify", "an unknown refresh token", 400, _error("invalid_grant", "Invalid refresh token")),
    _dead(
        "square",
        "a type, and words of a dead refresh token",
        401,
        {"message": "Invalid refresh token", "type": "service.not_authorized"},
        "service.not_authorized",
    ),
    _dead(
        "tiktok-ads",
        "an old code",
        200,
        {"code": 40110, "message": "Authorization code is expired", "data": {}},
        "40110",
        refresh=False,
    ),
    _dead(
        "x-twitter",
        "invalid_request, and words of a dead refresh token",
        400,
        _error("invalid_request", "Value passed for the token was invalid."),
        "invalid_request",
    ),
    _dead(
        "x-twitter",
        "a bad code",
        400,
        _error("invalid_request", "Value passed for the authorization code was invalid."),
        "invalid_request",
        refresh=False,
    ),
    _dead("xero", "a refresh token that was used before the last half hour", 400, _error("invalid_grant", None)),
    _dead("zoho", "a revoked refresh token on 200", 200, _error("invalid_code", None), "invalid_code"),
    _dead("zoom", "a replaced refresh token", 400, {"reason": "Invalid Token!", "error": "invalid_grant"}),
]

_OPERATOR = [
    _operator(
        "amazon-sp-api",
        "an outdated secret",
        401,
        _error("invalid_client", "Client authentication failed"),
        "invalid_client",
    ),
    _operator(
        "atlassian-jira",
        "unauthorized_client, and other words",
        403,
        _error("unauthorized_client"),
        "unauthorized_client",
    ),
    *(
        _operator(
            "docusign",
            f"a wrong secret in the words of a dead grant, at {'a refresh' if refresh else 'an exchange'}",
            400,
            _error("invalid_grant", "expired_client_token"),
            "invalid_grant",
            refresh=refresh,
        )
        for refresh in (True, False)
    ),
    _operator("google", "a deleted client", 401, _error("deleted_client"), "deleted_client"),
    _operator(
        "hubspot",
        "a refresh token of another application",
        400,
        {"status": "BAD_REFRESH_TOKEN", "message": "refresh token was not issued to this client"},
        "BAD_REFRESH_TOKEN",
    ),
    _operator(
        "instagram",
        "a failed exchange",
        400,
        {"error_type": "OAuthException", "code": 400, "error_message": "why"},
        "OAuthException",
        refresh=False,
    ),
    _operator(
        "linkedin", "invalid_request to a code", 400, _error("invalid_request"), "invalid_request", refresh=False
    ),
    _operator("microsoft", "an expired secret", 401, _error("invalid_client", "AADSTS7000222: why"), "invalid_client"),
    _operator(
        "pipedrive",
        "a wrong client",
        400,
        {"success": False, "message": "Invalid client: client is invalid"},
        "http_400",
    ),
    _operator(
        "reddit",
        "a wrong client",
        401,
        {"message": "Unauthorized", "error": 401},
        "401",
        headers={"www-authenticate": "Basic"},
    ),
    _operator(
        "salesforce",
        "a wrong secret in the words of a dead grant",
        400,
        _error("invalid_grant", "authentication failure - invalid client credentials"),
        "invalid_grant",
    ),
    _operator("tiktok-ads", "a failure on 200", 200, {"code": 40002, "message": "why"}, "40002", refresh=False),
    _operator(
        "x-twitter",
        "a wrong secret",
        401,
        _error("unauthorized_client", "Missing valid authorization header"),
        "unauthorized_client",
    ),
]

_PASSING = [
    _case(
        "throttled",
        "hubspot",
        "its limit",
        429,
        {"message": "why"},
        "http_429",
        headers={"retry-after": "10"},
        retry_after=10,
    ),
    _case("throttled", "quickbooks", "its limit without a body", 429, "", "http_429"),
    _case(
        "throttled",
        "zoho",
        "its limit in two words on 200",
        200,
        _error("Access Denied", "You have made too many requests.", status="failure"),
        "http_200",
    ),
    _case("throttled", "reddit", "its limit, a page", 429, "<html>Too Many Requests</html>", "http_429", headers=_HTML),
    _case(
        "unavailable",
        "etsy",
        "a failure that may have rotated",
        500,
        _error("Server Error", None),
        "http_500",
        outcome_unknown=True,
    ),
    _case(
        "unavailable", "figma", "an error that is true", 400, {"error": True, "status": 400, "message": "why"}, "400"
    ),
    _case(
        "unavailable",
        "salesforce",
        "at work on the same token",
        400,
        _error("invalid_grant", "token request is already being processed"),
        "invalid_grant",
    ),
    *(
        _case(
            "unavailable",
            "salesforce",
            f"unknown_error to a {'refresh' if refresh else 'code'}",
            400,
            _error("unknown_error", "retry your request"),
            "unknown_error",
            refresh=refresh,
        )
        for refresh in (True, False)
    ),
    _case("unavailable", "shopify", "a failure in the middle of a rotation", 520, "", "http_520", outcome_unknown=True),
]

FIELD: list[Case] = [*_DEAD, *_OPERATOR, *_PASSING]

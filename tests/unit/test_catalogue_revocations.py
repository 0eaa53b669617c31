"""How the catalogue's providers answer a revocation, as reported or documented, read with their own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import functions
from functions.vault.base.errors import GatehouseError, ProviderThrottled, TokenTypeNotRevoked
from functions.vault.oauth.responses import is_revoked
from functions.vault.oauth.transport import Answer
from functions.vault.provider.provider import Provider
from functions.vault.provider.vocabulary import checks, validated
from tools.catalogue import written

FILES = Path(functions.__file__).parent / "providers"


def answered(provider: str, status: int, body: Any) -> bool:
    """Return whether the provider has revoked the token; false if it does not know it."""
    known = validated(written(FILES / f"{provider}.toml"), provider, checks(loopback_http=False))
    octets = (body if isinstance(body, str) else json.dumps(body)).encode()
    answer = Answer(status, {"content-type": "application/json"}, octets)
    return is_revoked(answer, Provider(name=provider, **known), secrets=())


@pytest.mark.parametrize(
    ("provider", "status", "body"),
    [
        ("calendly", 200, ""),
        ("dropbox", 200, "null"),
        ("facebook", 200, {"success": True}),
        ("facebook", 200, "true"),
        ("gitlab", 200, {}),
        ("linear", 200, ""),
        ("monday", 200, {"success": True}),
        ("pipedrive", 200, ""),
        ("quickbooks", 200, ""),
        ("reddit", 200, ""),
        ("reddit", 204, ""),
        ("slack", 200, {"ok": True, "revoked": True}),
        ("tiktok-ads", 200, {"code": 0, "message": "OK", "data": {}}),
        ("zoho", 200, {"status": "success"}),
    ],
)
def test_a_revocation_is_confirmed(provider: str, status: int, body: Any) -> None:
    """In whatever form the server has for it."""
    assert answered(provider, status, body)


@pytest.mark.parametrize(
    ("provider", "status", "body"),
    [
        ("dropbox", 401, {"error": {".tag": "expired_access_token"}, "error_summary": "expired_access_token/"}),
        ("facebook", 400, {"error": {"message": "why", "type": "OAuthException", "code": 190, "error_subcode": 458}}),
        ("github", 422, {"message": "Validation Failed"}),
        ("google", 400, {"error": "invalid_token", "error_description": "Token expired or revoked"}),
        ("intercom", 401, {"type": "error.list", "errors": [{"code": "token_not_found", "message": "why"}]}),
        ("linear", 400, ""),
        ("linear", 401, ""),
        ("quickbooks", 400, ""),
        ("salesforce", 400, {"error": "invalid_token"}),
        ("shopify", 401, {"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}),
        ("slack", 200, {"ok": False, "error": "token_revoked"}),
        ("slack", 200, {"ok": False, "error": "invalid_auth"}),
        ("slack", 200, {"ok": False, "error": "account_inactive"}),
        ("zendesk", 401, {"error": "invalid_token", "error_description": "why"}),
        ("zendesk", 401, {"error": "Couldn't authenticate you"}),
        ("zoho", 400, {"status": "failure"}),
    ],
)
def test_a_dead_token_is_recognized(provider: str, status: int, body: Any) -> None:
    """A dead access token says nothing about the grant: if there is a refresh token, that comes next."""
    assert not answered(provider, status, body)


@pytest.mark.parametrize(
    ("provider", "status", "body", "failure"),
    [
        ("facebook", 400, {"error": {"type": "OAuthException", "code": 190, "error_subcode": 463}}, GatehouseError),
        ("monday", 200, {"success": False}, GatehouseError),
        ("quickbooks", 429, "", ProviderThrottled),
        ("reddit", 400, {"error": "unauthorized_client"}, GatehouseError),
        ("salesforce", 400, {"error": "unsupported_token_type"}, TokenTypeNotRevoked),
        ("slack", 200, {"ok": True, "revoked": False}, GatehouseError),
        ("tiktok-ads", 200, {"code": 40105, "message": "why", "data": {}}, GatehouseError),
    ],
)
def test_an_answer_that_confirms_nothing_is_a_failure(
    provider: str, status: int, body: Any, failure: type[GatehouseError]
) -> None:
    """The grant may live: the revocation is retried, or left to a person."""
    with pytest.raises(failure):
        answered(provider, status, body)

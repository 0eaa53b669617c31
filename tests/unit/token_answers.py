"""What tests do with one answer of a token endpoint: accept its tokens, or read what its refusal means."""

import json
from typing import Any

import pytest

from functions.vault.base.errors import GatehouseError
from functions.vault.grant.tokens import TokenResponse
from functions.vault.oauth.responses import token_response
from functions.vault.oauth.transport import Answer
from functions.vault.provider.provider import Provider
from functions.vault.provider.refusal_rules import Rule
from tests.unit.samples import NOW, answer

ACME = Provider("acme")
ERROR = '{"error":"%s","error_description":"why"}'
TRY_AGAIN = '{"error":"%s","error_description":"Something went wrong. Please TRY\\n again later."}'


def accepted(body: Any, provider: Provider = ACME, **headers: str) -> TokenResponse:
    """Return the tokens that a 200 with this body brings; `body` is JSON, or text that is sent as it is."""
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return token_response(answer(text, 200, **headers), provider, "token", now=NOW + 0.9, secrets=())


def refused(given: Answer, *secrets: str, provider: Provider = ACME, endpoint: str = "token") -> GatehouseError:
    """Return the failure that an answer means."""
    with pytest.raises(GatehouseError) as caught:
        token_response(given, provider, endpoint, now=NOW, secrets=secrets)
    assert caught.value.description, "whoever reads it learns something"
    return caught.value


def explained(*rules: Rule, **codes: str) -> Provider:
    """Return a provider whose data has these rules, and these codes in their short form."""
    return Provider("acme", refusals=rules, error_codes=codes)

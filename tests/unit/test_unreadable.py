"""Whoever configures a provider reads in an error where its answer has what was looked for, and at which host."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.vault.base.errors import ProviderUnavailable, TooLittleTime
from functions.vault.oauth.provider_requests import requesting
from functions.vault.oauth.responses import token_response
from functions.vault.provider import pattern_words
from functions.vault.provider.provider import Provider
from tests.unit.samples import NOW, answer

SECRET = "rt-4711-secret"


def refused(body: str, content_type: str = "application/json") -> str:
    """Return how the failure reads that an answer without tokens is."""
    came = answer(body, content_type=content_type)
    with pytest.raises(ProviderUnavailable) as caught:
        token_response(came, Provider("acme"), "refresh", now=NOW, secrets=(SECRET,))
    return caught.value.description


def test_the_fields_of_an_answer_without_tokens_are_named() -> None:
    """As `response_paths` and `response_fields` have them, and none of their values."""
    said = refused(json.dumps({"data": {"accessToken": "at-secret", "ttl": 60}, "ok": True}))

    assert said.endswith("Of the answer: its fields are data, data.accessToken, data.ttl, ok.")
    assert "secret" not in said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "it has no fields"),
        ({"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9x0aF3": 1, "ok": 1}, "its fields are ok, and 1 more"),
        ({SECRET: 1, "ok": 1}, "its fields are ok, and 1 more"),
        ({"a b<script>": 1}, "its fields have names that are not repeated"),
        ({f"field{number}": 1 for number in range(30)}, "field19, and 10 more"),
    ],
)
def test_a_name_that_could_be_a_secret_is_counted_and_not_repeated(body: dict[str, Any], said: str) -> None:
    """Some servers use values as keys."""
    text = refused(json.dumps(body))

    assert said in text
    assert SECRET not in text


def test_a_page_is_named_by_its_kind() -> None:
    """A gateway's page in place of an answer is seen at once; nothing of it is repeated."""
    said = refused("<html>secret</html>", "text/html; charset=utf-8")

    assert said == "The answer is not a token response: it is text/html of 19 octets."
    assert "a text of no known type of 6 octets" in refused("secret", "made up")


def test_a_failure_says_which_request_met_it_and_at_which_host() -> None:
    """Not the rest of the URL, in which some servers take a token."""
    with pytest.raises(TooLittleTime) as caught, requesting("revocation", f"https://id.acme.example/revoke/{SECRET}"):
        raise TooLittleTime("Too little time is left.")

    assert caught.value.description == "Revoking at id.acme.example: too little time is left."


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("[a-z0-9-]{1,63}", '1 to 63 of a-z 0-9 -, like "acme"'),
        ("[0-9]{1,20}", '1 to 20 of 0-9, like "4711"'),
        ("[A-Z]{2}", '2 of A-Z, like "AC"'),
        ("us|eu", "one of us, eu"),
        ("us", "us"),
        ("[a-z0-9][a-z0-9-]{0,61}", '1 of a-z 0-9, then up to 61 of a-z 0-9 -, like "acme"'),
        (r"[a-z]{1,5}\.eu|[a-z]", '1 to 5 of a-z, then ".eu" or 1 of a-z, like "acme.eu"'),
    ],
)
def test_a_parameters_pattern_is_said_in_words(pattern: str, said: str) -> None:
    """With an example that fits it."""
    assert pattern_words.described(pattern) == said

"""The secrets of a grant, while they are in memory."""

import json

import pytest

from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import TokenResponse
from tests.unit.samples import NOW, token_response


def test_tokens_show_in_no_representation() -> None:
    """An exception, a debugger or a log line that holds a token set does not hold the tokens."""
    response = token_response(tokens=TokenSet("AT-hidden", "RT-hidden"))

    shown = f"{response} {response!r} {response.tokens} {[response.tokens]!r}"

    assert "hidden" not in shown


@pytest.mark.parametrize("refresh_token", ["RT-1", None])
@pytest.mark.parametrize("access_token", ["AT-1", ' !"\\~', "a" * 100_000])
def test_what_is_sealed_comes_back(access_token: str, refresh_token: str | None) -> None:
    """Any token, with or without a refresh token, survives its plaintext form."""
    tokens = TokenSet(access_token, refresh_token)

    assert TokenSet.from_bytes(tokens.to_bytes()) == tokens


def test_the_plaintext_is_canonical() -> None:
    """The form is frozen: what is sealed today is opened by every later version."""
    assert TokenSet("AT-1", "RT-1").to_bytes() == b'{"access_token":"AT-1","refresh_token":"RT-1"}'
    assert json.loads(TokenSet("AT-1").to_bytes()) == {"access_token": "AT-1", "refresh_token": None}


def test_the_old_refresh_token_stays_if_none_came() -> None:
    """RFC 6749 section 6: a server need not issue a new one."""
    silent = TokenResponse(TokenSet("AT-2"), expires_at=NOW)

    kept = silent.keeping("RT-1")

    assert kept == TokenResponse(TokenSet("AT-2", "RT-1"), expires_at=NOW)


def test_a_new_refresh_token_replaces_the_old_one() -> None:
    """RFC 6749 section 6: the client must discard the old one then."""
    rotated = TokenResponse(TokenSet("AT-2", "RT-2"))

    assert rotated.keeping("RT-1") is rotated

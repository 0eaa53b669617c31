"""The secrets of a grant, while they are in memory."""

from dataclasses import fields, replace

import pytest

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.grant.life import Place
from functions.vault.grant.seal import Seal, Sealer
from functions.vault.grant.stored_set import StoredSet
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import Account, SealedTokens, TokenResponse
from functions.vault.grant.upkeep import Upkeep
from tests.unit.samples import NOW, WHOSE, token_response

SEALER = Sealer("set-7", WHOSE, lambda tokens: Seal(b"sealed " + tokens.access_token.encode(), 2, 5, "key-1"))
FULL = TokenResponse(
    TokenSet("AT-1", "RT-1"),
    token_type="DPoP",
    expires_at=NOW + 3600,
    refresh_expires_at=NOW + 86400,
    scope="read",
    scope_missing=("write",),
    subject="account-1",
    metadata={"region": "eu"},
    client_secret_used="newest",
)
STORED = SealedTokens(
    "set-7",
    Seal(b"sealed AT-1", 2, 5, "key-1"),
    WHOSE,
    refreshable=True,
    token_type="DPoP",
    obtained_at=NOW + 1,
    expires_at=NOW + 3600,
    refresh_at=NOW + 3300,
    refresh_expires_at=NOW + 86400,
    due_at=Upkeep().due_at(NOW + 1, NOW + 3600, NOW + 86400, 0.5, first=True),
    scope="read",
    scope_missing=("write",),
    subject="account-1",
    metadata={"region": "eu"},
    client_secret_used="newest",
)


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
    assert TokenSet("AT-1").to_bytes() == b'{"access_token":"AT-1","refresh_token":null}'
    assert TokenSet("ü", None, "IDT").to_bytes() == (
        b'{"access_token":"\\u00fc","refresh_token":null,"unverified_id_token":"IDT"}'
    )


def test_an_id_token_is_sealed_until_it_is_verified() -> None:
    """Whoever opens it asks for the account with it."""
    tokens = TokenSet("AT-1", "RT-1", "IDT-1")

    assert TokenSet.from_bytes(tokens.to_bytes()) == tokens
    assert TokenSet.from_bytes(TokenSet("AT-1", "RT-1").to_bytes()).unverified_id_token is None


def test_the_old_refresh_token_stays_if_none_came() -> None:
    """RFC 6749 section 6: a server need not issue a new one."""
    silent = TokenResponse(TokenSet("AT-2"), expires_at=NOW)

    kept = silent.keeping("RT-1")

    assert kept == TokenResponse(TokenSet("AT-2", "RT-1"), expires_at=NOW)


def test_a_new_refresh_token_replaces_the_old_one() -> None:
    """RFC 6749 section 6: the client must discard the old one then."""
    rotated = TokenResponse(TokenSet("AT-2", "RT-2"))

    assert rotated.keeping("RT-1") is rotated
    assert TokenResponse(TokenSet("AT-2")).keeping(None).tokens == TokenSet("AT-2")


# Whose account it is for


def test_what_a_server_does_not_say_is_unknown() -> None:
    """RFC 6749 section 5.1: all that it must send is an access token and its type."""
    silent = TokenResponse(TokenSet("AT-1"))

    assert silent.token_type == "Bearer"
    assert (silent.expires_at, silent.refresh_expires_at, silent.scope, silent.scope_missing) == (None, None, None, ())
    assert (silent.subject, silent.metadata, silent.client_secret_used, silent.not_verified) == (None, {}, None, None)
    assert (silent.asks_endpoint, silent.asks_account) == (False, False)
    assert Account("account-1") == Account("account-1", scope=None, scope_missing=(), metadata={})


@pytest.mark.parametrize(
    ("response", "asks"),
    [
        (TokenResponse(TokenSet("AT-1")), False),
        (TokenResponse(TokenSet("AT-1", None, "IDT-1")), True),
        (TokenResponse(TokenSet("AT-1"), asks_endpoint=True), True),
        (TokenResponse(TokenSet("AT-1"), subject="account-1").asking_endpoint(), False),
        (TokenResponse(TokenSet("AT-1")).asking_endpoint(), True),
        (TokenResponse(TokenSet("AT-1"), asks_endpoint=True, subject="account-1").asking_endpoint(), False),
    ],
)
def test_the_account_is_asked_for_by_an_id_token_or_at_an_endpoint(response: TokenResponse, *, asks: bool) -> None:
    """At the endpoint only if the response does not name it."""
    assert response.asks_account is asks
    assert response.sealed_with(SEALER, Upkeep(), NOW, 0.5, first=True).asks_account is asks


def test_an_id_token_that_came_earlier_names_the_account_of_both() -> None:
    """Until it is known; then nothing asks for it any more."""
    asking = FULL.asking_with("IDT-1")
    known = asking.of_account("account-2")

    assert asking == replace(FULL, tokens=TokenSet("AT-1", "RT-1", "IDT-1"))
    assert known == replace(FULL, subject="account-2")
    assert asking.of_account(None).subject is None


# As it is stored


def test_all_of_a_response_is_stored_and_only_its_tokens_are_sealed() -> None:
    """Under the id that the sealer gives it, with its times of upkeep."""
    assert FULL.sealed_with(SEALER, Upkeep(), NOW + 1, 0.5, first=True) == STORED


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("background", ["keep_alive", "keep_fresh"])
def test_it_is_due_as_the_upkeep_says(background: str, *, first: bool) -> None:
    """Spread by the jitter. Without a refresh token nothing is due: nothing could be done."""
    upkeep = Upkeep(margin=100, background=background)
    for jitter in (0.0, 1.0):
        sealed = FULL.sealed_with(SEALER, upkeep, NOW, jitter, first=first)
        assert sealed.due_at == upkeep.due_at(NOW, NOW + 3600, NOW + 86400, jitter, first=first)
        assert sealed.refresh_at == NOW + 3500

    bare = replace(FULL, tokens=TokenSet("AT-1")).sealed_with(SEALER, upkeep, NOW, 0.5, first=first)
    assert (bare.refreshable, bare.due_at, bare.refresh_at) == (False, None, NOW + 3500)


def test_a_token_set_and_its_connection_share_what_is_stored() -> None:
    """What the connection takes is of its current token set alone; the rest stays with the token set."""
    held = STORED.stored("request-1")

    assert held == StoredSet(
        "set-7",
        Place.OUTSIDE,
        STORED.seal,
        WHOSE,
        token_type="DPoP",
        refreshable=True,
        expires_at=NOW + 3600,
        refresh_at=NOW + 3300,
        refresh_expires_at=NOW + 86400,
        client_secret_used="newest",
        request_id="request-1",
    )
    assert STORED.values_for_connection() == {
        "scope": "read",
        "scope_missing": ("write",),
        "subject": "account-1",
        "metadata": {"region": "eu"},
        "refreshed_at": NOW + 1,
        "upkeep_at": STORED.due_at,
        "failure": None,
    }


def test_without_a_refresh_token_it_comes_into_no_margin() -> None:
    """Nothing could refresh it."""
    held = replace(STORED, refreshable=False).stored(None)

    assert (held.refresh_at, held.request_id, held.refreshable) == (None, None, False)


def test_what_was_not_verified_is_not_stored() -> None:
    """Why an account is not to be believed is for whoever has the response in hand."""
    doubtful = replace(FULL, not_verified=ProviderMisconfigured("Wrong issuer."))

    assert doubtful.sealed_with(SEALER, Upkeep(), NOW + 1, 0.5, first=True) == STORED


def test_what_is_stored_of_a_silent_response_is_empty() -> None:
    """A document of an earlier release lacks what came later: it is read as this."""
    sealed = SealedTokens("set-7", STORED.seal, WHOSE, refreshable=False, token_type="Bearer", obtained_at=NOW)

    rest = [getattr(sealed, each.name) for each in fields(sealed)[6:]]
    assert [value for value in rest if value is not None] == [(), {}, False]
    assert sealed == TokenResponse(TokenSet("AT-1")).sealed_with(
        replace(SEALER, seal=lambda _tokens: STORED.seal), Upkeep(), NOW, 0.5, first=False
    )

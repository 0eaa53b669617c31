"""The fields of a token response, wherever and however a provider writes them."""

import json
from typing import Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured, ProviderUnavailable, ReauthorizationRequired
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import TokenResponse
from functions.vault.oauth.responses import token_response
from functions.vault.provider.provider import Provider
from tests.unit.samples import NOW, answer
from tests.unit.token_answers import accepted, refused

YEARS = 10 * 365 * 86400


def test_a_whole_token_response_is_kept_field_by_field() -> None:
    """Times become absolute, and nothing is stored that the provider data does not ask for."""
    provider = Provider("acme", subject="account", metadata=("account", "region", "missing"))
    body = {
        "access_token": "AT-1",
        "refresh_token": "RT-1",
        "token_type": "bearer",
        "expires_in": 3600,
        "refresh_token_expires_in": 86400,
        "scope": "read write",
        "account": 4711,
        "region": "eu",
        "id_token": "not kept",
    }

    assert accepted(body, provider) == TokenResponse(
        tokens=TokenSet("AT-1", "RT-1"),
        token_type="Bearer",
        expires_at=NOW + 3600,
        refresh_expires_at=NOW + 86400,
        scope="read write",
        subject="4711",
        metadata={"account": "4711", "region": "eu"},
    )


def test_the_least_token_response_is_an_access_token() -> None:
    """RFC 6749 requires a token type too; servers forget it, and Bearer is what they mean."""
    assert accepted({"access_token": "AT-1"}) == TokenResponse(TokenSet("AT-1"))


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (3599.9, 3599),
        ("3599.9", 3599),
        (" 3600 ", 3600),
        ("3.6e3", 3600),
        (1, 1),
        (10**12, YEARS),
        ("9" * 30, YEARS),
        (None, None),
        (0, None),
        ("0", None),
        (0.5, None),
        (-1, None),
        ("-3600", None),
        ("", None),
        ("soon", None),
        ("1h", None),
        ("nan", None),
        ("inf", None),
        ("9" * 5000, None),
        (True, None),
        ([3600], None),
        ({"seconds": 3600}, None),
    ],
)
def test_a_lifetime_may_come_in_any_form(expires_in: Any, seconds: int | None) -> None:
    """A number, or a string with one. Anything else leaves the expiry unknown, and the tokens are kept."""
    response = accepted({"access_token": "AT-1", "expires_in": expires_in})

    assert response.expires_at == (None if seconds is None else NOW + seconds)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000, "-" + "9" * 5000])
def test_a_number_that_cannot_be_represented_costs_nothing(number: str) -> None:
    """Numbers that JSON or Python cannot represent leave the expiry unknown, and the tokens are kept."""
    response = accepted(
        f'{{"access_token":"AT-1","expires_in":{number},"merchant":{number}}}', Provider("a", subject="merchant")
    )

    assert response == TokenResponse(TokenSet("AT-1"))


def test_data_can_give_the_lifetime_that_a_server_omits() -> None:
    """The provider's `default_expires_in` applies only if the answer names no lifetime."""
    provider = Provider("acme", default_expires_in=7200)

    assert accepted({"access_token": "AT-1"}, provider).expires_at == NOW + 7200
    assert accepted({"access_token": "AT-1", "expires_in": 60}, provider).expires_at == NOW + 60


@pytest.mark.parametrize("name", ["refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"])
def test_the_expiry_of_the_refresh_token_is_read_from_the_names_in_use(name: str) -> None:
    """No RFC has a name for it; servers use these three."""
    assert accepted({"access_token": "AT-1", name: "60"}).refresh_expires_at == NOW + 60


@pytest.mark.parametrize("lifetime", [0, "0", -1, 0.5, "never"])
def test_a_refresh_token_that_does_not_expire_has_no_expiry(lifetime: Any) -> None:
    """Servers send zero for that."""
    assert accepted({"access_token": "AT-1", "refresh_token_expires_in": lifetime}).refresh_expires_at is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("bearer", "Bearer"),
        ("Bearer", "Bearer"),
        ("BEARER", "Bearer"),
        (None, "Bearer"),
        ("", "Bearer"),
        (7, "Bearer"),
        ("b\nad", "Bearer"),
        ("token", "token"),
    ],
)
def test_a_token_type_is_one_word(sent: Any, kept: str) -> None:
    """It goes into an Authorization header: Bearer in any case, or another plain word."""
    assert accepted({"access_token": "AT-1", "token_type": sent}).token_type == kept


@pytest.mark.parametrize("token_type", ["DPoP", "dpop", "MAC", "pop", "N_A"])
def test_a_token_that_is_bound_to_a_key_is_for_the_operator(token_type: str) -> None:
    """Such a token is useless to whoever gets it from Gatehouse."""
    error = refused(answer(json.dumps({"access_token": "AT-1", "token_type": token_type})))

    assert isinstance(error, ProviderMisconfigured)


@pytest.mark.parametrize(
    ("sent", "lives"),
    [
        ({"expires_in_sec": 60, "expires_in": 60_000}, 60),
        ({"expires_in": 60}, 60),
        ({"expires_in_sec": None, "expires_in": 60}, 60),
        ({"expires_in_sec": "", "expires_in": 60}, 60),
        ({"expires_in_sec": "60", "expires_in": "x"}, 60),
    ],
)
def test_the_first_name_that_is_present_counts(sent: dict[str, Any], lives: int) -> None:
    """Servers of one provider differ, and a server may change a name: meanwhile both are known."""
    provider = Provider("acme", response_fields={"expires_in": ["expires_in_sec", "expires_in"]})

    assert accepted({"access_token": "AT-1", **sent}, provider).expires_at == NOW + lives


@pytest.mark.parametrize(
    ("sent", "separator", "kept"),
    [
        ("read write", " ", "read write"),
        ("  read   write ", " ", "read write"),
        ("read,write", ",", "read write"),
        ("read, write", ",", "read write"),
        (["read", "write"], " ", "read write"),
        ("", " ", None),
        (None, " ", None),
        ([1], " ", None),
        (5, " ", None),
        ("x" * 9000, " ", "x" * 8192),
    ],
)
def test_a_scope_is_kept_as_the_rfc_writes_it(sent: Any, separator: str, kept: str | None) -> None:
    """Separated by one space, whatever the server's separator (RFC 6749 section 3.3)."""
    response = accepted({"access_token": "AT-1", "scope": sent}, Provider("acme", scope_separator=separator))

    assert response.scope == kept


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("acct", "acct"),
        (12, "12"),
        ("x" * 600, "x" * 512),
        ("", None),
        (True, None),
        (1.5, None),
        ([], None),
        ({}, None),
    ],
)
def test_a_subject_is_one_short_word(sent: Any, kept: str | None) -> None:
    """A string or a whole number; anything else does not name an account."""
    response = accepted({"access_token": "AT-1", "sub": sent}, Provider("acme", subject="sub", metadata=("sub",)))

    assert (response.subject, response.metadata) == (kept, {"sub": kept} if kept else {})


def test_text_that_cannot_be_stored_does_not_cost_the_tokens() -> None:
    """Half a surrogate pair is valid only in JSON: it must not fail the write of good tokens."""
    body = '{"access_token":"AT-1","scope":"re\\ud800ad","sub":"\\udfff1"}'

    response = accepted(body, Provider("acme", subject="sub", metadata=("sub",)))

    assert response.tokens == TokenSet("AT-1")
    assert (response.scope, response.subject, response.metadata) == ("re?ad", "?1", {"sub": "?1"})


@pytest.mark.parametrize(
    "body",
    [
        "access_token=AT-1&refresh_token=RT-1&expires_in=3600&token_type=bearer",
        " access_token=AT-1&refresh_token=RT-1&expires_in=3600\n",
    ],
)
@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", ""])
def test_a_form_is_read_too(body: str, content_type: str) -> None:
    """Old servers answer in a form, and some do not say so."""
    response = accepted(body, content_type=content_type)

    assert response == TokenResponse(TokenSet("AT-1", "RT-1"), expires_at=NOW + 3600)


def test_a_form_is_known_by_the_providers_own_names() -> None:
    """Of its token, or of its error; any other text is not taken for a form."""
    provider = Provider("acme", response_fields={"access_token": "token"}, error_fields={"error": "fault"})

    assert accepted("token=AT-1&x=1", provider, content_type="text/plain").tokens == TokenSet("AT-1")
    error = refused(answer("fault=invalid_grant", 200, content_type="text/plain"), provider=provider)
    assert isinstance(error, ReauthorizationRequired)
    assert isinstance(
        refused(answer("x=1&y=2", 200, content_type="text/plain"), provider=provider), ProviderUnavailable
    )


@pytest.mark.parametrize(
    ("sent", "used", "lives"),
    [("RT-2", "RT-1", 60), ("RT-1", "RT-1", None), (None, "RT-1", None), ("RT-1", None, 60), (None, None, None)],
)
def test_the_lifetime_in_the_data_counts_from_the_issue_of_a_refresh_token(
    sent: str | None, used: str | None, lives: int | None
) -> None:
    """One that comes back unchanged, or not at all, is as old as it was."""
    provider = Provider("acme", default_refresh_token_expires_in=60)
    given = answer(json.dumps({"access_token": "AT-1", "refresh_token": sent}))

    response = token_response(given, provider, "refresh", now=NOW, secrets=(), used=used)

    assert response.refresh_expires_at == (None if lives is None else NOW + lives)


@pytest.mark.parametrize("content_type", ["text/html", "text/javascript", "application/octet-stream", ""])
def test_json_is_read_whatever_the_content_type(content_type: str) -> None:
    """The body shows what it is."""
    assert accepted('{"access_token":"AT-1"}', content_type=content_type).tokens == TokenSet("AT-1")


def test_a_byte_order_mark_is_ignored() -> None:
    """Some frameworks write one before the JSON."""
    assert accepted(b'\xef\xbb\xbf{"access_token":"AT-1"}').tokens == TokenSet("AT-1")


def test_a_field_that_comes_twice_with_one_value_is_that_value() -> None:
    """Only a contradiction is an error."""
    assert accepted('{"access_token":"AT-1","access_token":"AT-1"}').tokens == TokenSet("AT-1")


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "null",
        "[]",
        '"AT-1"',
        "{",
        "{}",
        '{"access_token":""}',
        '{"access_token":null}',
        '{"access_token":7}',
        '{"access_token":["AT-1"]}',
        '{"access_token":{"value":"AT-1"}}',
        '{"access_token":"A\\nT"}',
        '{"access_token":"\\u00e9"}',
        '{"access_token":"AT-1","refresh_token":7}',
        '{"access_token":"AT-1","refresh_token":["RT-1"]}',
        '{"access_token":"AT-1","refresh_token":"R\\u0000T"}',
        '{"access_token":"AT-1","access_token":"AT-2"}',
        "access_token=AT-1&access_token=AT-2",
        "access_token=",
        "<html><body>error=1&access_token=2</body></html>",
        "ok",
        b"\xff\xfe\x00",
        b'{"access_token":"\xe9"}',
        "[" * 200_000,
        '{"a":' * 50_000,
    ],
)
def test_an_answer_that_is_no_token_response_is_an_outage_with_an_unknown_outcome(body: str | bytes) -> None:
    """A 200 may have consumed the code or refresh token, whatever its body is."""
    error = refused(answer(body))

    assert isinstance(error, ProviderUnavailable)
    assert error.outcome_unknown


def test_an_empty_refresh_token_is_none() -> None:
    """Some servers send the field with nothing in it."""
    assert accepted({"access_token": "AT-1", "refresh_token": ""}).tokens == TokenSet("AT-1")

"""What an authorization server's answer means, and what is stored of it."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import pytest

from functions.vault.base.errors import (
    GatehouseError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    ReauthorizationRequired,
    RevocationRefused,
    TokenTypeNotRevoked,
    UnknownRefusal,
)
from functions.vault.grant.tokens import TokenResponse, TokenSet
from functions.vault.oauth.answer_times import retry_after
from functions.vault.oauth.authorization_response import redirect_error
from functions.vault.oauth.responses import is_revoked, token_response, with_redirect_metadata
from functions.vault.oauth.transport import Answer
from functions.vault.provider.provider import Provider
from functions.vault.provider.refusal_rules import Rule
from tests.unit.samples import NOW, answer

ACME = Provider("acme")
YEARS = 10 * 365 * 86400


def accepted(body: Any, provider: Provider = ACME, **headers: str) -> TokenResponse:
    """Return the tokens that a 200 with this body brings; `body` is JSON, or text that is sent as it is."""
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return token_response(answer(text, 200, **headers), provider, "token", now=NOW + 0.9, secrets=())


def refused(given: Answer, *secrets: str, provider: Provider = ACME, endpoint: str = "token") -> GatehouseError:
    """Return the failure that an answer means."""
    with pytest.raises(GatehouseError) as caught:
        token_response(given, provider, endpoint, now=NOW, secrets=secrets)
    return caught.value


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


@pytest.mark.parametrize(
    ("metadata", "subject", "kept"),
    [
        ({}, None, (None, {"region": "eu"})),
        ({"realmId": "[0-9]{1,20}"}, None, (None, {"region": "eu", "realmId": "46"})),
        ({"realmId": "[0-9]{1,20}"}, "realmId", ("46", {"region": "eu", "realmId": "46"})),
        ({"realmId": ["46", "47"]}, "realmId", ("46", {"region": "eu", "realmId": "46"})),
        ({"missing": "[a-z]{1,9}", "empty": "[a-z]{1,9}"}, "missing", (None, {"region": "eu"})),
        ({"realmId": "[0-9]"}, "realmId", (None, {"region": "eu"})),
        ({"realmId": ["4", "467"]}, "realmId", (None, {"region": "eu"})),
    ],
)
def test_a_redirect_can_name_the_account(
    metadata: dict[str, str | list[str]], subject: str | None, kept: tuple[str | None, dict[str, str]]
) -> None:
    """Values that match the provider's data are kept beside what came with the tokens, and can name the account."""
    provider = Provider("acme", callback_metadata=metadata, subject=subject)
    response = TokenResponse(TokenSet("AT-1"), metadata={"region": "eu"})

    named = with_redirect_metadata(response, provider, {"realmId": "46", "empty": "", "state": "not kept"})

    assert (named.subject, named.metadata) == kept


def test_the_account_in_the_answer_takes_precedence_over_the_redirects() -> None:
    """The server's word counts more than the browser's."""
    provider = Provider("acme", callback_metadata={"account": "[a-z-]{1,20}"}, subject="account")
    response = TokenResponse(TokenSet("AT-1"), subject="of-the-token", metadata={"account": "of-the-token"})

    named = with_redirect_metadata(response, provider, {"account": "of-the-browser"})

    assert (named.subject, named.metadata) == ("of-the-token", {"account": "of-the-token"})


ERROR = '{"error":"%s","error_description":"why"}'

REFUSALS = [
    # status, body, what it means, the code that is passed on
    (400, ERROR % "invalid_grant", ReauthorizationRequired, "invalid_grant"),
    (401, ERROR % "invalid_grant", ReauthorizationRequired, "invalid_grant"),
    (200, ERROR % "invalid_grant", ReauthorizationRequired, "invalid_grant"),
    (400, ERROR % "consent_required", ReauthorizationRequired, "consent_required"),
    (400, ERROR % "interaction_required", ReauthorizationRequired, "interaction_required"),
    (400, "error=invalid_grant&error_description=why", ReauthorizationRequired, "invalid_grant"),
    (400, ERROR % "invalid_client", ProviderMisconfigured, "invalid_client"),
    (401, ERROR % "invalid_client", ProviderMisconfigured, "invalid_client"),
    (200, ERROR % "invalid_client", ProviderMisconfigured, "invalid_client"),
    (400, ERROR % "unauthorized_client", ProviderMisconfigured, "unauthorized_client"),
    (400, ERROR % "unsupported_grant_type", ProviderMisconfigured, "unsupported_grant_type"),
    (400, ERROR % "invalid_scope", ProviderMisconfigured, "invalid_scope"),
    (400, ERROR % "invalid_request", ProviderMisconfigured, "invalid_request"),
    (403, '{"message":"Forbidden"}', ProviderMisconfigured, "http_403"),
    (404, "<html>not found</html>", ProviderMisconfigured, "http_404"),
    (405, "", ProviderMisconfigured, "http_405"),
    (301, "", ProviderMisconfigured, "http_301"),
    (302, '{"access_token":"AT-1"}', ProviderMisconfigured, "http_302"),
    (307, "", ProviderMisconfigured, "http_307"),
    (429, "", ProviderThrottled, "http_429"),
    (429, ERROR % "invalid_grant", ProviderThrottled, "invalid_grant"),
    (400, ERROR % "slow_down", ProviderThrottled, "slow_down"),
    (200, ERROR % "too_many_requests", ProviderThrottled, "too_many_requests"),
    (500, "", ProviderUnavailable, "http_500"),
    (502, "<html>bad gateway</html>", ProviderUnavailable, "http_502"),
    (503, ERROR % "temporarily_unavailable", ProviderUnavailable, "temporarily_unavailable"),
    (400, ERROR % "temporarily_unavailable", ProviderUnavailable, "temporarily_unavailable"),
    (200, ERROR % "server_error", ProviderUnavailable, "server_error"),
    (408, "", ProviderUnavailable, "http_408"),
    (400, "<html>blocked by a firewall</html>", ProviderUnavailable, "http_400"),
    (400, ERROR % "something_new", ProviderMisconfigured, "something_new"),
    (400, ERROR % "two words", ProviderMisconfigured, "http_400"),
    (400, ERROR % ("x" * 65), ProviderMisconfigured, "http_400"),
    (200, '{"error":true,"access_token":"AT-1"}', ProviderMisconfigured, "error"),
    (200, '{"error":{"error_code":"expired","developer_message":"why"}}', ProviderMisconfigured, "expired"),
    (400, '{"error":{"user_message":"why"}}', ProviderMisconfigured, "error_response"),
    (500, '{"error":{"developer_message":"why"}}', ProviderUnavailable, "error_response"),
    (400, '{"error":{"error_code":"invalid_grant"}}', ReauthorizationRequired, "invalid_grant"),
]


@pytest.mark.parametrize(("status", "body", "meaning", "code"), REFUSALS)
def test_each_refusal_has_one_meaning(status: int, body: str, meaning: type[GatehouseError], code: str) -> None:
    """A dead grant, the operator's fault, a limit and an outage are distinguished; the server's code is passed on."""
    error = refused(answer(body, status))

    assert type(error) is meaning
    assert error.provider_error is not None
    assert (error.provider_error.error, error.provider_error.status) == (code, status)
    assert error.provider_error.error_description == next((word for word in ("why", "Forbidden") if word in body), None)


# What a provider's data says of a refusal


def explained(*rules: Rule, **codes: str) -> Provider:
    """Return a provider whose data has these rules, and these codes in their short form."""
    return Provider("acme", refusals=rules, error_codes=codes)


JIRA: Rule = {
    "endpoint": "refresh",
    "code": "unauthorized_client",
    "words": ["token is invalid"],
    "means": "invalid_grant",
}
UNKNOWN_TOKEN = '{"error":"unauthorized_client","error_description":"refresh_token is invalid"}'
STRAVA = '{"message":"Bad Request","errors":[{"resource":"%s","field":"x","code":"invalid"}]}'
STRAVAS: tuple[Rule, ...] = (
    {"contains": {"errors": {"resource": "RefreshToken", "code": "invalid"}}, "means": "invalid_grant"},
    {"contains": {"errors": {"resource": "Application"}}, "means": "invalid_client"},
)
WORKING: Rule = {"words": ["already being processed"], "means": "busy"}
IN_WORK = '{"error":"invalid_grant","error_description":"token request is already being processed"}'


@pytest.mark.parametrize(
    ("provider", "status", "body", "meaning"),
    [
        (explained(JIRA), 403, UNKNOWN_TOKEN, ReauthorizationRequired),
        (explained(JIRA), 403, ERROR % "unauthorized_client", ProviderMisconfigured),
        (explained(JIRA, unauthorized_client="slow_down"), 403, UNKNOWN_TOKEN, ReauthorizationRequired),
        (explained(JIRA, unauthorized_client="slow_down"), 403, ERROR % "unauthorized_client", ProviderThrottled),
        (explained(*STRAVAS), 400, STRAVA % "RefreshToken", ReauthorizationRequired),
        (explained(*STRAVAS), 400, STRAVA % "Application", ProviderMisconfigured),
        (explained(*STRAVAS), 400, STRAVA % "Athlete", UnknownRefusal),
        (explained(WORKING), 400, IN_WORK, ProviderUnavailable),
        (explained(WORKING), 400, ERROR % "invalid_grant", ReauthorizationRequired),
        # Without a body, and with one that has no code.
        (explained(http_400="invalid_grant"), 400, "", ReauthorizationRequired),
        (explained(http_400="invalid_grant"), 400, " \n", ReauthorizationRequired),
        (explained(http_400="invalid_grant"), 400, '{"message":"Bad Request"}', ReauthorizationRequired),
        (explained(http_400="invalid_grant"), 400, ERROR % "something_new", UnknownRefusal),
        (explained(http_400="invalid_grant"), 403, "", UnknownRefusal),
        (explained(http_400="invalid_grant"), 400, "<html>blocked by a firewall</html>", ProviderUnavailable),
        (explained({"status": 400, "means": "invalid_grant"}), 400, "<html>blocked</html>", ProviderUnavailable),
        (
            explained({"words": ["TOKEN revoked"], "means": "invalid_grant"}),
            400,
            "Token revoked",
            ReauthorizationRequired,
        ),
        # A status that says more than a code, and a rule that has taken it into account.
        (explained(E1="invalid_grant"), 429, ERROR % "E1", ProviderThrottled),
        (
            explained({"status": 429, "code": "E1", "means": "invalid_grant"}),
            429,
            ERROR % "E1",
            ReauthorizationRequired,
        ),
        (explained(E1="invalid_client"), 500, ERROR % "E1", ProviderUnavailable),
        (explained({"status": 500, "code": "E1", "means": "invalid_client"}), 500, ERROR % "E1", ProviderMisconfigured),
        (explained(E1="invalid_grant"), 500, ERROR % "E1", ReauthorizationRequired),
        # A 200 that is no success.
        (explained({"words": ["try later"], "means": "slow_down"}), 200, '{"message":"Try later."}', ProviderThrottled),
        (explained(E1="invalid_grant"), 200, '{"code":"E1"}', ReauthorizationRequired),
        (explained({"words": ["another"], "means": "busy"}), 200, '{"message":"At another."}', ProviderUnavailable),
        (explained(E1="invalid_scope"), 200, '{"code":"E1"}', ProviderMisconfigured),
        # Of several codes the one that is explained.
        (explained(E1="invalid_grant"), 400, '{"error":{"code":"first","type":"E1"}}', ReauthorizationRequired),
        (explained(**{"access denied": "slow_down"}), 200, '{"error":"Access Denied"}', ProviderThrottled),
    ],
)
def test_data_says_what_a_refusal_means(
    provider: Provider, status: int, body: str, meaning: type[GatehouseError]
) -> None:
    """By code, by words, by members of lists, and even if there is no body."""
    assert type(refused(answer(body, status), provider=provider, endpoint="refresh")) is meaning


def test_data_takes_precedence_over_the_usual_meaning_of_a_404() -> None:
    """A server may answer 404 if it does not know the client; that the URL is wrong is only a guess."""
    provider = explained({"status": 404, "code": "no_such_client", "means": "invalid_client"})

    error = refused(answer(ERROR % "no_such_client", 404), provider=provider, endpoint="refresh")

    assert isinstance(error, ProviderMisconfigured)
    assert error.refuses_client
    assert "check client_id" in error.description


def test_a_rule_applies_only_to_its_endpoint() -> None:
    """The same words about a code are about the client."""
    error = refused(answer(UNKNOWN_TOKEN, 403), provider=explained(JIRA), endpoint="token")

    assert isinstance(error, ProviderMisconfigured)


def test_no_rule_turns_a_success_into_a_refusal() -> None:
    """If tokens came, they are stored, whatever else the answer contains."""
    provider = explained({"status": 200, "means": "invalid_grant"}, {"words": ["expired"], "means": "invalid_grant"})

    response = accepted({"access_token": "AT-1", "message": "Your trial has expired."}, provider)

    assert response.tokens == TokenSet("AT-1")


def test_a_busy_server_says_nothing_about_the_grant() -> None:
    """It can be asked again, and the message says what it is busy with."""
    error = refused(answer(IN_WORK, 400, retry_after="2"), provider=explained(WORKING), endpoint="refresh")

    assert isinstance(error, ProviderUnavailable)
    assert (error.retryable, error.retry_after, error.outcome_unknown) == (True, 2, False)
    assert "busy with another request" in error.description


# What nobody knows


NOBODY_KNOWS = [
    (400, ERROR % "something_new"),
    (400, ERROR % "invalid_request"),
    (400, ERROR % "access_denied"),
    (403, '{"message":"Forbidden"}'),
    (415, '{"message":"Unsupported Media Type"}'),
    (400, ""),
    (403, ""),
    (200, '{"ok":false,"error":"something_new"}'),
    (200, '{"error":true}'),
    (400, STRAVA % "RefreshToken"),
    (400, '{"error":"unknown_error","error_description":"retry your request"}'),
]


@pytest.mark.parametrize(("status", "body"), NOBODY_KNOWS)
def test_a_refresh_that_is_refused_for_an_unknown_reason_may_succeed_later(status: int, body: str) -> None:
    """It ends no grant and alarms nobody. An operator who knows what it means can say so in the registration."""
    error = refused(answer(body, status), endpoint="refresh")

    assert type(error) is UnknownRefusal
    assert (error.code, error.retryable, error.outcome_unknown) == ("provider_unavailable", True, False)
    assert "say so in refusals of the registration" in error.description


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, ERROR % "invalid_client"),
        (403, ERROR % "unauthorized_client"),
        (400, ERROR % "unsupported_grant_type"),
        (400, ERROR % "invalid_scope"),
        (400, ERROR % "invalid_target"),
        (400, ERROR % "use_dpop_nonce"),
        (400, ERROR % "redirect_uri_mismatch"),
        (200, ERROR % "invalid_client_id"),
        (401, ERROR % "something_new"),
        (401, ""),
        (410, ""),
        (404, ""),
        (302, ""),
    ],
)
def test_a_known_fault_of_the_operator_is_one_at_a_refresh_too(status: int, body: str) -> None:
    """Asking again is useless: the alarm fires at once."""
    assert isinstance(refused(answer(body, status), endpoint="refresh"), ProviderMisconfigured)


TRY_AGAIN = '{"error":"%s","error_description":"Something went wrong. Please TRY\\n again later."}'


@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        (TRY_AGAIN % "unknown_error", ProviderUnavailable),
        ('{"error":"unknown_error","error_description":"retry your request"}', ProviderUnavailable),
        ('{"error":"Something broke, try again"}', ProviderUnavailable),
        (TRY_AGAIN % "invalid_request", ProviderMisconfigured),
        (TRY_AGAIN % "invalid_client", ProviderMisconfigured),
        (TRY_AGAIN % "invalid_grant", ReauthorizationRequired),
        (ERROR % "unknown_error", ProviderMisconfigured),
    ],
)
def test_a_server_that_asks_to_try_again_is_taken_at_its_word(body: str, meaning: type[GatehouseError]) -> None:
    """Unless its code has a known meaning."""
    assert type(refused(answer(body, 400), endpoint="token")) is meaning


def test_a_sentence_in_place_of_a_code_is_passed_on_as_the_description() -> None:
    """The operator reads it; `error` has the status, as it does if there is no code."""
    error = refused(answer('{"error":"Refresh token has expired"}', 400), endpoint="refresh")

    assert error.provider_error is not None
    assert error.provider_error.as_dict() == {
        "error": "http_400",
        "error_description": "Refresh token has expired",
        "status": 400,
    }


def test_a_page_is_not_passed_on() -> None:
    """A rule may look for words in it, but nobody else reads it."""
    provider = explained({"words": ["revoked"], "means": "invalid_grant"})

    error = refused(answer("<html>Token hunter2 revoked</html>", 400), provider=provider, endpoint="refresh")

    assert isinstance(error, ReauthorizationRequired)
    assert error.provider_error is not None
    assert (error.provider_error.error, error.provider_error.error_description) == ("http_400", None)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_gateways_error_leaves_the_outcome_unknown(status: int) -> None:
    """A 504 says nothing about what the server behind it did with the refresh token."""
    error = refused(answer("", status))

    assert isinstance(error, ProviderUnavailable)
    assert error.outcome_unknown


@pytest.mark.parametrize(("status", "body"), [(400, ERROR % "temporarily_unavailable"), (408, ""), (400, "<html>")])
def test_a_refusal_by_the_server_itself_is_a_known_outcome(status: int, body: str) -> None:
    """By a 4xx the server says that it did nothing."""
    error = refused(answer(body, status))

    assert isinstance(error, ProviderUnavailable)
    assert not error.outcome_unknown


@pytest.mark.parametrize("error", ["null", '""', "false", "0"])
def test_an_empty_error_field_is_no_error(error: str) -> None:
    """Servers that serialize a class send every field."""
    assert accepted(f'{{"access_token":"AT-1","error":{error},"error_description":null}}').tokens == TokenSet("AT-1")


def test_the_reason_may_be_in_a_header() -> None:
    """If the body has no text, UltraCart's header has."""
    error = refused(answer("", 429, uc_rest_error="rate of 10000 per 86400 second(s) exceeded."))

    assert error.provider_error is not None
    assert error.provider_error.error_description == "rate of 10000 per 86400 second(s) exceeded."


@pytest.mark.parametrize("spelling", [str, quote_plus, lambda secret: quote(secret, safe="")])
@pytest.mark.parametrize("place", ["error_description", "error", "object", "header"])
def test_a_server_that_repeats_our_secrets_is_not_quoted(place: str, spelling: Any) -> None:
    """A code or refresh token in an error text, plain or encoded, reaches no log, no caller and no record."""
    secret = "s3cr3t/+ token&x" if place != "error" else "s3cr3t-token"
    said = f"bad:{spelling(secret)}!"
    bodies = {
        "error_description": {"error": "invalid_grant", "error_description": said},
        "error": {"error": said},
        "object": {"error": {"error_code": "x", "developer_message": said}},
        "header": {},
    }

    error = refused(answer(json.dumps(bodies[place]), 400, uc_rest_error=said), "another", secret)

    assert "s3cr3t" not in str(error.as_result())
    assert "***" in str(error.as_result())


def _lower_case_percent(secret: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda octet: octet[0].lower(), quote(secret, safe=""))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "lower-case percent-encoded": _lower_case_percent,
    "cut to twenty characters": lambda secret: secret[:20],
    "cut in the middle": lambda secret: secret[10:30],
    "encoded twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "encoded twice, in lower case": lambda secret: quote(_lower_case_percent(secret), safe=""),
    "encoded twice and cut": lambda secret: quote(quote(secret[:24], safe=""), safe=""),
    "spaced": " ".join,
    "folded": "\n ".join,
    "every octet encoded": lambda secret: "".join(f"%{ord(character):02x}" for character in secret),
    "as JSON quotes it": lambda secret: json.dumps(secret)[1:-1],
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("place", ["error_description", "object", "header"])
def test_no_encoding_of_a_secret_is_quoted(place: str, spelling: Callable[[str], str]) -> None:
    """If no replacement finds it, nothing is repeated at all: a reader could decode every one of these."""
    secret = 's3cr3t/+"tokeN&thAt~is=long-enough'
    said = f"Bad token {spelling(secret)} given."
    bodies = {
        "error_description": {"error": "invalid_grant", "error_description": said},
        "object": {"error": {"error_code": "x", "developer_message": said}},
        "header": {},
    }

    error = refused(answer(json.dumps(bodies[place]), 400, uc_rest_error=said), "another", secret)

    description = (error.provider_error.error_description if error.provider_error else None) or ""
    once = unquote_plus(description)
    readings = ["".join(reading.split()) for reading in (description, once, unquote_plus(once))]
    runs = [secret[start : start + 8] for start in range(len(secret) - 7)]
    assert [run for run in runs for reading in readings if run in reading] == []


def test_words_that_are_no_secret_are_quoted() -> None:
    """The operator reads what the server says, even if a word of it is part of a secret."""
    said = "The refresh token has expired; 100% of them do (see https://acme.example/?a=b+c)."

    error = refused(
        answer(json.dumps({"error": "invalid_grant", "error_description": said}), 400), "token-4711-expires"
    )

    assert error.provider_error is not None
    assert error.provider_error.error_description == said


def test_a_servers_words_are_cut_and_made_printable() -> None:
    """They go into log lines and terminals: visible ASCII, at most 200 characters."""
    said = "first\nsecond\x1b[31m\u202e" + "x" * 500

    error = refused(answer(json.dumps({"error": "invalid_grant", "error_description": said}), 400))

    assert error.provider_error is not None
    assert error.provider_error.error_description == ("first second [31m " + "x" * 500)[:200]


@pytest.mark.parametrize(
    ("error", "description", "passed_on"),
    [
        (None, None, None),
        ("access_denied", None, ("access_denied", None)),
        (
            "admin_policy_enforced",
            "blocked\nby the organization",
            ("admin_policy_enforced", "blocked by the organization"),
        ),
        (
            "access_denied",
            "AADSTS65004: User declined to consent.",
            ("access_denied", "AADSTS65004: User declined to consent."),
        ),
        ("access_denied", "no, " + "aB3-_x" * 8 + "!", ("access_denied", "no, ***!")),
        ("access_denied", "state%3D" + "x" * 32, ("access_denied", "***")),
        ("access_denied", "you sent s3cret-of-ours", ("access_denied", "you sent ***")),
        ("4f1c2d3e-" * 4, None, ("error", None)),
        ("two words", "said so", ("error", "said so")),
        (None, "said so", ("error", "said so")),
    ],
)
def test_an_error_in_a_redirect_contains_no_secret(
    error: str | None, description: str | None, passed_on: tuple[str, str | None] | None
) -> None:
    """Anybody with a link can write anything there. An operator reads words, and nothing that could be a token."""
    said = redirect_error(error, description, ("s3cret-of-ours",))

    assert (None if said is None else (said.error, said.error_description)) == passed_on


@pytest.mark.parametrize("description", [7, None, [], {"text": "x"}, "", "\n\n", "\u202e"])
def test_a_description_that_is_no_text_is_left_out(description: Any) -> None:
    """It is as if it were absent."""
    error = refused(answer(json.dumps({"error": "invalid_grant", "error_description": description}), 400))

    assert error.provider_error is not None
    assert error.provider_error.error_description is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("86401", 86400),
        ("9" * 9, 86400),
        ("9" * 5000, None),
        ("Tue, 14 Nov 2023 22:15:20 GMT", 120),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0),
        ("Mon, 13 Nov 2023 22:13:20 GMT", 0),
        ("Tue, 14 Nov 2023 23:15:20 +0100", 120),
        ("Tue, 14 Nov 2023 22:15:20 -0000", 120),
        ("Fri, 14 Nov 2098 22:15:20 GMT", 86400),
        ("Fri, 14 Nov 99999 22:15:20 GMT", None),
        ("Fri, 14 Nov 2023 22:15:20 +9999", None),
        ("Fri, 14 Nov 2023 22:15:20 +99999999999999999999", None),
        ("Fri, 99 Nov 2023 22:15:20 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("١٢٠", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    """RFC 9110 section 10.2.3, at most a day; anything else is ignored."""
    given = answer("", 429, retry_after=value)

    assert retry_after(given, now=datetime.fromtimestamp(NOW, UTC)) == seconds


def test_a_date_is_read_by_the_servers_own_clock() -> None:
    """Its clock and ours may differ: what counts is the distance to the answer's own Date."""
    given = answer("", 429, retry_after="Sat, 01 Jan 2000 00:01:00 GMT", date="Sat, 01 Jan 2000 00:00:00 GMT")

    assert retry_after(given) == 60


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 01 Jan 2000 00:00:00 +99999999999999999999"])
def test_without_the_servers_clock_a_date_is_read_by_ours(date: str) -> None:
    """A date in the past means no wait."""
    assert retry_after(answer("", 429, retry_after="Sat, 01 Jan 2000 00:01:00 GMT", date=date)) == 0


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_the_server_asks_for_is_passed_on(status: int) -> None:
    """Callers learn when to come again."""
    assert refused(answer("", status, retry_after="30")).retry_after == 30


SUCCESSFUL = Provider("acme", revocation_success="successful")
AT_ITS_ADDRESS = Provider("acme", revocation_method="DELETE", revocation_endpoint="https://acme.example/{token}")
IN_A_BODY = Provider("acme", revocation_method="DELETE", revocation_endpoint="https://acme.example/grant")
EXPLAINED = Provider("acme", error_codes={"E-1": "invalid_token"})
GONE = explained({"endpoint": "revocation", "status": 400, "means": "invalid_token"})
REPEATED = Provider(
    "acme",
    revocation_success="successful",
    refusals=({"endpoint": "revocation", "words": ["revoked already"], "means": "invalid_token"},),
)


@pytest.mark.parametrize(
    ("provider", "given", "is_known"),
    [
        (ACME, answer("", 200), True),
        (ACME, answer("<html>ok</html>", 200, content_type="text/html"), True),
        (ACME, answer("", 204), True),
        (SUCCESSFUL, answer('{"successful":true,"message":"done"}'), True),
        (ACME, answer(ERROR % "invalid_token", 400), False),
        (ACME, answer(ERROR % "invalid_grant", 400), False),
        (ACME, answer(ERROR % "token_revoked", 200), False),
        (ACME, answer('{"ok":false,"error":"token_expired"}', 200), False),
        (ACME, answer(ERROR % "INVALID_TOKEN", 400), False),
        (EXPLAINED, answer(ERROR % "E-1", 400), False),
        (explained(http_400="invalid_token"), answer("", 400), False),
        (GONE, answer("", 400), False),
        (GONE, answer('{"status":"failure"}', 400), False),
        (REPEATED, answer('{"successful":false,"message":"It was revoked already."}'), False),
        (AT_ITS_ADDRESS, answer("", 404), False),
        (AT_ITS_ADDRESS, answer('{"message":"no such token"}', 410), False),
    ],
)
def test_a_revocation_is_believed(provider: Provider, given: Answer, *, is_known: bool) -> None:
    """RFC 7009 section 2.2: any 200 is a success. That a token is unknown does not confirm its end."""
    assert is_revoked(given, provider, secrets=()) is is_known


@pytest.mark.parametrize(
    ("provider", "given", "meaning", "said"),
    [
        (SUCCESSFUL, answer('{"successful":false,"message":"no"}'), RevocationRefused, ("not_revoked", "no")),
        (SUCCESSFUL, answer('{"successful":"true"}'), RevocationRefused, ("not_revoked", None)),
        (SUCCESSFUL, answer('{"successful":1}'), RevocationRefused, ("not_revoked", None)),
        (SUCCESSFUL, answer(""), ProviderUnavailable, ("not_revoked", None)),
        (SUCCESSFUL, answer("<html>"), ProviderUnavailable, ("not_revoked", None)),
        (ACME, answer(ERROR % "invalid_client", 401), ProviderMisconfigured, ("invalid_client", "why")),
        (ACME, answer(ERROR % "unsupported_token_type", 400), TokenTypeNotRevoked, ("unsupported_token_type", "why")),
        (ACME, answer("", 404), ProviderMisconfigured, ("http_404", None)),
        (IN_A_BODY, answer("", 404), ProviderMisconfigured, ("http_404", None)),
        (AT_ITS_ADDRESS, answer("", 401), ProviderMisconfigured, ("http_401", None)),
        (ACME, answer(ERROR % "E-1", 400), ProviderMisconfigured, ("E-1", "why")),
        (
            ACME,
            answer(TRY_AGAIN % "E-1", 400),
            ProviderMisconfigured,
            ("E-1", "Something went wrong. Please TRY  again later."),
        ),
        (ACME, answer("", 400), ProviderUnavailable, ("http_400", None)),
        (ACME, answer(ERROR % "account_inactive", 400), RevocationRefused, ("account_inactive", "why")),
        (ACME, answer("<html>blocked</html>", 400), ProviderUnavailable, ("http_400", None)),
        (GONE, answer("<html>blocked</html>", 400), ProviderUnavailable, ("http_400", None)),
        (GONE, answer(ERROR % "E-1", 403), ProviderMisconfigured, ("E-1", "why")),
        (explained(http_400="busy"), answer("", 400), ProviderUnavailable, ("http_400", None)),
        (REPEATED, answer('{"successful":false,"message":"no"}'), RevocationRefused, ("not_revoked", "no")),
        (ACME, answer(ERROR % "invalid_token", 429), ProviderThrottled, ("invalid_token", "why")),
        (ACME, answer("", 503), ProviderUnavailable, ("http_503", None)),
        (ACME, answer("", 429), ProviderThrottled, ("http_429", None)),
        (ACME, answer("", 302), ProviderMisconfigured, ("http_302", None)),
    ],
)
def test_a_revocation_that_is_not_confirmed_is_a_failure(
    provider: Provider, given: Answer, meaning: type[GatehouseError], said: tuple[str, str | None]
) -> None:
    """Even with a 200, if the provider is known to answer so."""
    with pytest.raises(meaning) as caught:
        is_revoked(given, provider, secrets=())

    assert isinstance(caught.value, RevocationRefused) is issubclass(meaning, RevocationRefused)
    assert caught.value.provider_error is not None
    assert (caught.value.provider_error.error, caught.value.provider_error.error_description) == said


def test_a_refused_revocation_does_not_repeat_the_token() -> None:
    """The message of an unconfirming 200 is masked like any other."""
    given = answer('{"successful":false,"message":"token AT-1 is unknown"}')

    with pytest.raises(ProviderUnavailable) as caught:
        is_revoked(given, SUCCESSFUL, secrets=("AT-1",))

    assert caught.value.as_result()["provider_error"]["error_description"] == "token *** is unknown"


def test_an_answer_shows_neither_its_headers_nor_its_body() -> None:
    """An exception that holds an answer does not show the tokens in it."""
    shown = repr(answer('{"access_token":"AT-1"}', set_cookie="session=1"))

    assert "AT-1" not in shown
    assert "session" not in shown

"""What an answer that is no success means, and what of a server's words may be repeated."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import pytest

from functions.vault.base.errors import (
    GatehouseError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    ReauthorizationRequired,
    UnknownRefusal,
)
from functions.vault.grant.token_set import TokenSet
from functions.vault.provider.provider import Provider
from functions.vault.provider.refusal_rules import Rule
from tests.unit.samples import answer
from tests.unit.token_answers import ERROR, TRY_AGAIN, accepted, explained, refused

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


@pytest.mark.parametrize("flag", ["ok", "success", "successful"])
def test_a_flag_that_says_no_counts_whatever_else_comes(flag: str) -> None:
    """Even beside a token. A flag that says yes, or says nothing, is no refusal."""
    error = refused(answer(f'{{"access_token":"AT-1","{flag}":false}}'))

    assert isinstance(error, ProviderMisconfigured)
    for value in ("true", "null", "0", '"false"'):
        assert accepted(f'{{"access_token":"AT-1","{flag}":{value}}}').tokens == TokenSet("AT-1")


@pytest.mark.parametrize("value", ["false", "null", "1", '"true"', "{}"])
def test_a_flag_that_the_data_asks_for_has_to_say_yes(value: str) -> None:
    """If it is missing, or anything but `true`, the answer is a refusal."""
    provider = Provider("acme", response_success="status.done")

    for body in (f'{{"access_token":"AT-1","status":{{"done":{value}}}}}', '{"access_token":"AT-1","done":true}'):
        assert isinstance(refused(answer(body), provider=provider), ProviderMisconfigured)
    assert accepted('{"access_token":"AT-1","status":{"done":true}}', provider).tokens == TokenSet("AT-1")


@pytest.mark.parametrize(
    ("endpoint", "meaning"), [("refresh", ReauthorizationRequired), ("token", ProviderUnavailable)]
)
def test_a_code_on_a_200_is_a_refusal_at_the_endpoint_of_its_rule(endpoint: str, meaning: type[GatehouseError]) -> None:
    """At another it explains nothing: what came is no token response."""
    provider = explained({"endpoint": "refresh", "code": "E1", "means": "invalid_grant"})

    error = refused(answer('{"code":"E1"}'), provider=provider, endpoint=endpoint)

    assert type(error) is meaning
    assert getattr(error, "outcome_unknown", False) is (endpoint == "token")


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


# Unknown refusals


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


@pytest.mark.parametrize("description", [7, None, [], {"text": "x"}, "", "\n\n", "\u202e"])
def test_a_description_that_is_no_text_is_left_out(description: Any) -> None:
    """It is as if it were absent."""
    error = refused(answer(json.dumps({"error": "invalid_grant", "error_description": description}), 400))

    assert error.provider_error is not None
    assert error.provider_error.error_description is None


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_the_server_asks_for_is_passed_on(status: int) -> None:
    """Callers learn when to come again."""
    assert refused(answer("", status, retry_after="30")).retry_after == 30

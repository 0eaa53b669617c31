"""A refusal, and the rule that matches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.oauth.refusal import Refusal, matching_rule
from functions.vault.provider import refusal_rules

if TYPE_CHECKING:
    from functions.vault.provider.refusal_rules import Rule

STRAVA = {
    "message": "Bad Request",
    "errors": [{"resource": "RefreshToken", "field": "refresh_token", "code": "invalid"}],
}


def refusal(**fields: Any) -> Refusal:
    """Return the refusal of a refresh with a server's own code."""
    given: dict[str, Any] = {
        "endpoint": "refresh",
        "status": 403,
        "code": "E-1",
        "texts": ("The refresh  token\nis INVALID.",),
        "document": {"error": "E-1"},
    }
    return Refusal(**(given | fields))


def matches(rule: dict[str, Any], **fields: Any) -> bool:
    """Return whether one rule matches a refusal."""
    (checked,) = refusal_rules.checked([{**rule, "means": "invalid_grant"}])
    return matching_rule(refusal(**fields), [checked]) is not None


@pytest.mark.parametrize(
    "rule",
    [
        {"status": 403},
        {"code": "E-1"},
        {"code": "e-1"},
        {"words": ["refresh token is invalid"]},
        {"words": ["nothing of the kind", "REFRESH TOKEN"]},
        {"endpoint": "refresh", "status": 403, "code": "E-1", "words": ["invalid"], "contains": {"error": "E-1"}},
    ],
)
def test_a_rule_matches_if_all_its_conditions_are_met(rule: dict[str, Any]) -> None:
    """Texts are compared without regard to case and spacing; one of several words is enough."""
    assert matches(rule)


@pytest.mark.parametrize(
    "rule",
    [
        {"status": 400},
        {"code": "E-2"},
        {"code": "E"},
        {"code": "http_403"},
        {"words": ["access token"]},
        {"words": ["\u2003"]},
        {"endpoint": "token", "status": 403},
        {"status": 403, "code": "E-2"},
        {"code": "E-1", "words": ["access token"]},
        {"code": "E-1", "contains": {"error": "E-2"}},
    ],
)
def test_a_rule_does_not_match_if_a_condition_is_not_met(rule: dict[str, Any]) -> None:
    """All conditions have to be met, and a code is compared whole."""
    assert not matches(rule)


@pytest.mark.parametrize(
    ("document", "contained"),
    [
        (STRAVA, {"errors": {"resource": "RefreshToken"}}),
        (STRAVA, {"errors": {"resource": "refreshtoken", "code": "invalid"}, "message": "Bad Request"}),
        (
            {"errors": [{"resource": "Application"}, {"resource": "RefreshToken"}]},
            {"errors": {"resource": "RefreshToken"}},
        ),
        ({"errors": {"resource": "RefreshToken"}}, {"errors": {"resource": "RefreshToken"}}),
        ({"errors": ["gone", "dead"]}, {"errors": "dead"}),
        ({"error": {"code": 190, "error_subcode": 458}}, {"error": {"code": 190}}),
        ({"error_codes": [50173, 700082]}, {"error_codes": 700082}),
        ({"code": "190"}, {"code": 190}),
        ({"code": 190}, {"code": "190"}),
        ({"error": True}, {"error": True}),
        ({"a": {"b": {"c": {"d": "x"}}}}, {"a": {"b": {"c": {"d": "x"}}}}),
    ],
)
def test_members_are_found_by_their_content(document: dict[str, Any], contained: dict[str, Any]) -> None:
    """One member of a list has to be as expected, at any position; other members do not matter."""
    assert matches({"contains": contained}, document=document)


@pytest.mark.parametrize(
    ("document", "contained"),
    [
        ({"errors": [{"resource": "Application", "code": "invalid"}]}, {"errors": {"resource": "RefreshToken"}}),
        (
            {"errors": [{"resource": "RefreshToken", "code": "x"}, {"resource": "Application", "code": "invalid"}]},
            {"errors": {"resource": "RefreshToken", "code": "invalid"}},
        ),
        ({"errors": []}, {"errors": {"resource": "RefreshToken"}}),
        ({"errors": None}, {"errors": {"resource": "RefreshToken"}}),
        ({"errors": [[{"resource": "RefreshToken"}]]}, {"errors": {"resource": "RefreshToken"}}),
        ({"errors": "RefreshToken"}, {"errors": {"resource": "RefreshToken"}}),
        ({"error": 1}, {"error": True}),
        ({"error": True}, {"error": 1}),
        ({"error": True}, {"error": "true"}),
        ({"error": 190.0}, {"error": 190}),
        ({}, {"error": "E-1"}),
        (None, {"error": "E-1"}),
    ],
)
def test_members_with_other_content_do_not_match(document: dict[str, Any] | None, contained: dict[str, Any]) -> None:
    """One and the same member of a list has to meet everything that is expected."""
    assert not matches({"contains": contained}, document=document)


def test_words_do_not_match_across_texts() -> None:
    """Two texts of a server are not one sentence."""
    assert not matches({"words": ["token is invalid"]}, texts=("Refresh token", "is invalid"))
    assert matches({"words": ["is invalid"]}, texts=("Refresh token", "is invalid"))


def test_deeply_nested_lists_are_not_followed() -> None:
    """A server that nests them deeper than Python can recurse fails no call."""
    endless: Any = "x"
    for _ in range(5000):
        endless = [endless]

    assert not matches({"contains": {"errors": "x"}}, document={"errors": endless})


@pytest.mark.parametrize(
    ("rule", "is_fitting"),
    [
        ({"words": ["token is invalid"]}, True),
        ({"endpoint": "refresh", "status": 403, "words": ["token is invalid"]}, True),
        ({"status": 403}, False),
        ({"code": "http_403"}, False),
        ({"code": "http_403", "words": ["token is invalid"]}, False),
    ],
)
def test_a_page_is_recognized_only_by_its_words(rule: dict[str, Any], *, is_fitting: bool) -> None:
    """A firewall may answer with the status of a dead grant."""
    assert matches(rule, code=None, document=None) is is_fitting


CODE: Rule = {"code": "E-1", "means": "invalid_client"}
STATUS: Rule = {"status": 403, "means": "slow_down"}
WORDS: Rule = {"words": ["invalid"], "means": "invalid_grant"}
MEMBERS: Rule = {"contains": {"error": "E-1"}, "means": "busy"}


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ([CODE, STATUS], CODE),
        ([STATUS, CODE], STATUS),
        ([CODE, WORDS], WORDS),
        ([CODE, STATUS, MEMBERS], MEMBERS),
        ([WORDS, MEMBERS], WORDS),
        ([MEMBERS, WORDS], MEMBERS),
    ],
)
def test_rules_that_look_into_an_answer_come_first(order: list[Rule], first: Rule) -> None:
    """Then the order in which they are written."""
    assert matching_rule(refusal(), order) is first

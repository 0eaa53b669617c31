"""The evaluator of filter patterns agrees with AWS's documented examples, and refuses what it does not know."""

from __future__ import annotations

import json

import pytest

from tests.filter_patterns import matches

# As in "Using filter patterns to match terms in JSON log events" of the CloudWatch Logs user guide.
EVENT = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "isAdmin": False,
    "bandwidth": 80.5,
    "user": {"id": 1, "email": "John.Stiles@example.com"},
    "actions": ["GET", "PUT", "DELETE"],
}


@pytest.mark.parametrize(
    ("pattern", "does"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ('{ $.eventType = "Update*" }', True),
        ('{ $.eventType = "*" }', True),
        ('{ $.eventType = "Trail" }', False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ("{ $.sourceIPAddress != 111.111.* }", False),
        ('{ $.arrayKey[0] = "value" }', True),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.objectList[2].id = 2 }", False),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.SomeObject NOT EXISTS }", False),
        ("{ $.isAdmin IS FALSE }", True),
        ("{ $.isAdmin IS TRUE }", False),
        ("{ $.bandwidth > 75 }", True),
        ("{ $.bandwidth >= 80.5 && $.bandwidth < 80.6 }", True),
        ("{ $.missing > 0 }", False),
        ('{ ($.user.id = 1) && ($.user.email = "John.Stiles@example.com") }', True),
        ('{ $.user.email = "John.Stiles@example.com" || $.actions[0] = "no" && $.actions[2] = "no" }', True),
        ('{ ($.user.email = "John.Stiles@example.com" || $.actions[0] = "no") && $.actions[2] = "no" }', False),
    ],
)
def test_a_pattern_matches_as_documented(pattern: str, does: bool) -> None:  # noqa: FBT001 - a table's column
    """Text, numbers, what is there and what is not, and how conditions are joined."""
    assert matches(pattern, json.dumps(EVENT)) is does


def test_a_line_that_is_not_json_is_matched_by_no_pattern() -> None:
    """Such a line may be of Lambda's own."""
    assert not matches("{ $.missing NOT EXISTS }", "START RequestId: 1")


@pytest.mark.parametrize(
    "pattern",
    ["ERROR", "{ $.a }", "{ $.a = %x% }", "{ $.a ~ 1 }", "{ $.missing != 1 }", "{ ($.a = 1 }", "{ $.a = 1 $.b = 2 }"],
)
def test_what_is_not_known_is_an_error(pattern: str) -> None:
    """A pattern that a test cannot read is no pattern that it holds."""
    with pytest.raises((ValueError, IndexError)):
        matches(pattern, json.dumps({"a": 1, "b": 2}))

"""Rules about refusals in data: every mistake in them is named."""

from __future__ import annotations

from typing import Any

import pytest

from functions.vault.base.fields import Mismatch
from functions.vault.provider import refusal_rules


def expected(value: Any) -> str:
    """Return what was expected instead of invalid rules."""
    with pytest.raises(Mismatch) as caught:
        refusal_rules.checked(value)
    return str(caught.value)


GOOD: dict[str, Any] = {"code": "E-1", "means": "invalid_grant"}
KEYS, MEANINGS = "endpoint, status, code, words, contains, means", ", ".join(refusal_rules.MEANINGS)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"code": "E-1"}, "a list of at most 50 rules, like [{"),
        (["E-1"], "rule 1 to be an object, like {"),
        ([GOOD, {"means": "busy"}], "rule 2 to have a condition: at least one of status, code, words, contains"),
        ([{"endpoint": "refresh", "means": "busy"}], "rule 1 to have a condition: at least one of status"),
        ([{"code": "E-1"}], "rule 1 to say what it means: one of invalid_grant, revoked, invalid_client"),
        ([{**GOOD, "means": "dead"}], "means of rule 1 to be one of invalid_grant, revoked, invalid_client"),
        ([{**GOOD, "endpoint": "push"}], "endpoint of rule 1 to be one of authorization, token, refresh, revocation"),
        ([{**GOOD, "status": "403"}], "status of rule 1 to be an integer from 200 to 599"),
        (
            [{**GOOD, "words": "invalid"}],
            "words of rule 1 to be a list of 1 to 10 texts of 1 to 200 characters (an answer has to contain",
        ),
        ([{**GOOD, "contains": ["errors"]}], "contains of rule 1 to be an object of 1 to 10 members"),
        (
            [{**GOOD, "error": "x"}],
            "rule 1 to have none but the keys endpoint, status, code, words, contains, means: error is not one of them",
        ),
        (
            [{**GOOD, "word": "x"}],
            f"rule 1 to have none but the keys {KEYS}: word is not one of them (did you mean words?)",
        ),
        ([{**GOOD, "means": "invalid_grnt"}], f"means of rule 1 to be one of {MEANINGS} (did you mean invalid_grant?)"),
    ],
)
def test_a_mistake_is_named_with_its_rule(value: Any, said: str) -> None:
    """The rule, the key, and what was expected there."""
    assert expected(value).startswith(said)


def test_all_mistakes_are_named_at_once() -> None:
    """No value is repeated: it may be a misplaced secret."""
    said = expected([{**GOOD, "status": "hunter2"}, {**GOOD, "means": "hunter2", "hunter2!": 1}])

    assert said.startswith(
        "status of rule 1 to be an integer from 200 to 599 (it is a string with 7 characters), and rule"
    )
    assert "and rule 2 to have none but the keys" in said
    assert "means of rule 2 to be one of" in said
    assert "hunter2" not in said

"""Event patterns, as far as the template's filters use them: a value, `exists` and `anything-but`."""

from __future__ import annotations

from typing import Any

from local.base.errors import TemplateError

_ABSENT = object()


def matches(pattern: Any, event: Any) -> bool:
    """Return whether an event has everything that a pattern asks for. Raises ``TemplateError`` for an unknown rule.

    What is not in the event matches nothing but ``{"exists": false}``: ``anything-but`` needs a value, too.
    """
    return all(_holds(wanted, event.get(name, _ABSENT)) for name, wanted in pattern.items())


def _holds(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, dict):
        return matches(wanted, value if isinstance(value, dict) else {})
    return any(_is(rule, value) for rule in wanted)


def _is(rule: Any, value: Any) -> bool:
    match rule:
        case {"exists": bool(there)}:
            return (value is not _ABSENT) is there
        case {"anything-but": list(others)}:
            return value is not _ABSENT and value not in others
        case dict():
            raise TemplateError(f"the local stack does not know the rule {rule!r} of an event pattern")
    return bool(value == rule)

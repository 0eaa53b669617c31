"""What is noted of a call for its lines in the log, by whatever learns it: a use case need not know who logs."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_noted: ContextVar[dict[str, Any] | None] = ContextVar("noted", default=None)


@contextmanager
def of_a_call() -> Iterator[dict[str, Any]]:
    """Collect what is noted, for as long as a call lasts."""
    facts: dict[str, Any] = {}
    before = _noted.set(facts)
    try:
        yield facts
    finally:
        _noted.reset(before)


def so_far() -> dict[str, Any]:
    """Return what is noted of the call that is under way; nothing outside of one."""
    return _noted.get() or {}


def note(**facts: Any) -> None:
    """Note facts of the call that is under way. None may be a secret: every line that the call logs from now on has it.

    What is None is left out.
    """
    noted = _noted.get()
    if noted is not None:
        noted.update({name: fact for name, fact in facts.items() if fact is not None})

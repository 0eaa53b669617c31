"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return `1 grant`, `2 grants`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"

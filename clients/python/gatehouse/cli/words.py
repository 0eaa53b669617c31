"""Numbers and commands in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return `1 grant`, `2 grants`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def connecting(provider: str, connection_id: str, options: str) -> str:
    """Return the command that connects a connection again. `options` lead to the stack, with a blank before each."""
    return f"gatehouse connect {provider} --id {connection_id}{options}"

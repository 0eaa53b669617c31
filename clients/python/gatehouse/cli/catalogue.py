"""Provider files by name, for the commands that take one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from . import exits, repository
from .failures import Failure

if TYPE_CHECKING:
    import click


def described(name: str) -> dict[str, Any]:
    """Return what the catalogue says of a provider. Raises `Failure` with the nearest name."""
    path = repository.provider_files() / f"{name}.toml"
    if name not in repository.provider_names():
        nearest = near(name)
        advice = f"Did you mean {nearest}? " if nearest else ""
        raise Failure(
            "unknown_provider",
            f"The catalogue has no provider {name}.",
            advice=f"{advice}See all: gatehouse providers. For one that is not there: gatehouse register {name}",
            code=exits.MISCONFIGURED,
        )
    found: dict[str, Any] = repository.module("tools.catalogue").described(path)
    return found


def near(name: str) -> str | None:
    """Return the name of the catalogue that may have been meant; None if it has this name, or none like it."""
    names = repository.provider_names()
    return None if name in names else next(iter(get_close_matches(name.lower(), names, 1)), None)


def complete_provider(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names that begin so, for the shell."""
    return [name for name in repository.provider_names() if name.startswith(incomplete)]

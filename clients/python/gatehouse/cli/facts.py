"""What is known of a connection, or of an attempt to connect, as a person reads it: names, and values in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import times
from .words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def in_words(found: Mapping[str, Any], now: float) -> dict[str, object]:
    """Return what `connections` has answered about one of them, or about an attempt."""
    return {name.replace("_", " "): _shown(name, value, now) for name, value in found.items()}


def _shown(name: str, value: Any, now: float) -> object:
    """Return a value in words. Gatehouse's names say which are times; what a newer one adds is shown by that, too."""
    if name in _IN_WORDS and value:
        return _IN_WORDS[name](value, now)
    if (name == "at" or name.endswith("_at")) and _is_time(value):
        return times.shown(value, now)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(_shown("", each, now)) for each in value)
    if isinstance(value, dict):
        known = {key: each for key, each in value.items() if each is not None}
        return ", ".join(f"{key}={_shown(key, each, now)}" for key, each in known.items())
    return value


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _failure(value: Mapping[str, Any], now: float) -> str:
    often = counted(value["count"], "time")
    again = f", tried again {times.shown(value['retry_at'], now)}" if value.get("retry_at") else ""
    said = _with_the_providers_words(f"{value['code']}: {value['description']}", value)
    return f"{said} ({often}, last {times.shown(value['at'], now)}{again})"


def _last_attempt(value: Mapping[str, Any], now: float) -> str:
    error = f": {value['error']}" if value.get("error") else ""
    return _with_the_providers_words(f"{value['outcome']}{error}, {times.shown(value['at'], now)}", value)


def _left_alone(value: Mapping[str, Any], now: float) -> str:
    return f"asked last {times.shown(value['asked_at'], now)}, asked again {times.shown(value['next_at'], now)}"


def _provider_error(value: Mapping[str, Any], _now: float) -> str:
    return " ".join(str(value[name]) for name in ("status", "error", "error_description") if value.get(name))


def _with_the_providers_words(text: str, value: Mapping[str, Any]) -> str:
    said = _provider_error(value.get("provider_error") or {}, 0)
    return f"{text.removesuffix('.')}; the provider said: {said}" if said else text


def _labels(value: Mapping[str, str], _now: float) -> str:
    """Return names and values as they are given on a command line. Those are the customer's: none of them is a time."""
    return ", ".join(f"{name}={text}" for name, text in value.items())


_IN_WORDS: dict[str, Callable[[Any, float], str]] = {
    "failure": _failure,
    "last_attempt": _last_attempt,
    "left_alone": _left_alone,
    "provider_error": _provider_error,
    "metadata": _labels,
    "parameters": _labels,
    "tags": _labels,
}

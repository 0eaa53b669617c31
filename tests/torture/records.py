"""What is stored of a connection, looked at from outside: plain values, and its token sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.grant.life import Place
from functions.vault.grant.seal import Seal, Whose
from functions.vault.grant.stored_set import Pending, StoredSet
from functions.vault.storage import attributes

if TYPE_CHECKING:
    from collections.abc import Mapping


def plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored item's values, those of its summary among them; nothing for no item."""
    values = {name: attributes.read(value) for name, value in item.items()}
    return {**values.pop("summary", {}), **values}


def sets_in(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the token sets among an item's plain values, by their ids."""
    return {each["id"]: each for each in values.get("sets", ())}


def current_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the current token set among an item's plain values; nothing if there is none."""
    return next((each for each in values.get("sets", ()) if each["place"] == Place.CURRENT), {})


def to_refresh(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the token set whose refresh token is used: the current one, or what is kept beside one without."""
    current = current_of(values)
    if not current or current.get("refreshable"):
        return current
    return next((each for each in values.get("sets", ()) if each["place"] == Place.KEPT), {})


def to_revoke(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the token sets among an item's plain values that are yet to be revoked at their server."""
    return [each for each in values.get("sets", ()) if each["place"] == Place.REVOKING]


def turns(values: Mapping[str, Any]) -> list[float]:
    """Return the times at which a state turns into another: a lease lapses, a delay is over."""
    times = [values.get("failure", {}).get("retry_at"), values.get("tell_at")]
    times += [each.get("lease", {}).get("until") for each in values.get("sets", ())]
    times += [each.get("pending", {}).get("confirm_by") for each in values.get("sets", ())]
    return [float(time) for time in times if time is not None]


def sealed(stored: Mapping[str, Any]) -> StoredSet:
    """Return a stored token set as far as it takes to open it."""
    pending = Pending(**stored["pending"]) if "pending" in stored else None
    whose, seal = Whose(**stored["whose"]), Seal(**stored["seal"])
    return StoredSet(stored["id"], Place(stored["place"]), seal, whose, pending=pending)

"""What else a revocation ends: some providers end all that an account has authorized together with any part of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gatehouse.errors import ConnectionNotFound, GatehouseError

from . import repository
from .catalogue import described
from .failures import failure_of
from .looks import registrations
from .output import clean
from .words import connecting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .account import Account

_LOOK_SECONDS = 10
"""Seconds that the search may take. It reads the whole table, and the question of a person waits for it."""
_SHOWN = 10
_WITH_TOKENS = {"active", "unconfirmed"}
_REVOKED = {"revoked", "revoking"}
_ENDED_WITH_ALL = "ended with all of its account"


@dataclass(frozen=True)
class Others:
    """The other connections to an account. `end` says whether they end with the one; None if that is not known."""

    provider: str = ""
    subject: str | None = None
    end: bool | None = None
    connections: tuple[str, ...] | None = None
    """Their ids; None if it is not known which they are."""

    def warning(self) -> str:
        """Return what somebody should know before the one is revoked; nothing if the others stay, or there are none."""
        if self.end is False or self.connections == ():
            return ""
        verb = "ends" if self.end else "may also end"
        if self.connections is None:
            return f"This {verb}, at the provider, whatever the same account has authorized for other connections."
        return (
            f"This {verb}, at the provider, whatever the account {clean(self.subject)} has authorized: "
            f"{_named(self.connections)} {self._lose()}, too."
        )

    def after(self, ended: Mapping[str, Any]) -> Others:
        """Return the same after the one was revoked: what Gatehouse has answered counts more than what was known."""
        if ended["status"] == "revoking":
            return self
        if "grant" in ended:
            return replace(self, end=ended["grant"] == _ENDED_WITH_ALL)
        return replace(self, end=None if self.end is None else False)

    def advice(self, ended: Mapping[str, Any], where: str) -> list[str]:
        """Return what is to be done about them, in lines. `where` are the options that lead to the same stack."""
        if self.end is False or self.connections == ():
            return []
        if self.connections is None:
            do = "Connect again" if self.end else "See whether it still works"
            return [f"{do}: whatever else is connected to the same account."]
        its = "its" if len(self.connections) == 1 else "their"
        if ended["status"] == "revoking":
            said = f"{self._lose()}, too, once the provider confirms that"
        elif self.end:
            said = f"{'has' if its == 'its' else 'have'} lost {its} tokens, too"
        else:
            said = f"may have lost {its} tokens, too"
        again = (f"  {connecting(self.provider, each, where)}" for each in self.connections)
        return [f"{_named(self.connections)} {said}. To connect again:", *again]

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {"end": self.end, "connections": None if self.connections is None else [*self.connections]}

    def _lose(self) -> str:
        is_one = self.connections is not None and len(self.connections) == 1
        lose = ("loses" if is_one else "lose") if self.end else "may lose"
        return f"{lose} {'its' if is_one else 'their'} tokens"


def others_of(account: Account, connection_id: str) -> Others:
    """Return the other connections to the account of one. Raises `ConnectionNotFound`.

    Whatever else prevents that from being found out prevents no revocation: then it is not known.
    """
    hurried = account.gatehouse.within(_LOOK_SECONDS)
    try:
        one = hurried.connection(connection_id)
    except ConnectionNotFound:
        raise
    except GatehouseError:
        return Others()
    provider, subject = one["provider"], one.get("subject")
    if one["status"] == "revoked":
        return Others(provider, subject, end=False, connections=())
    found = Others(provider, subject, end=_end_together(account, provider))
    if found.end is False:
        return replace(found, connections=())
    if subject is None:
        return found
    try:
        ids = [
            each["connection_id"]
            for each in hurried.connections(provider=provider, limit=100)
            if each.get("subject") == subject and each["status"] in _WITH_TOKENS
        ]
    except GatehouseError:
        return found
    return replace(found, connections=tuple(sorted({*ids} - {connection_id})))


def ended_since(account: Account, connection: Mapping[str, Any]) -> list[str]:
    """Return which connections to the same account were revoked after this one got its tokens, if that ends all of it.

    The provider may have ended these tokens, too, and Gatehouse cannot know that before it refreshes them.
    """
    provider, subject = connection["provider"], connection.get("subject")
    if subject is None or _end_together(account, provider) is False:
        return []
    try:
        return [
            each["connection_id"]
            for each in account.gatehouse.within(_LOOK_SECONDS).connections(provider=provider, limit=100)
            if each.get("subject") == subject
            and each["status"] in _REVOKED
            and each["updated_at"] > (connection.get("refreshed_at") or 0)
        ]
    except GatehouseError:
        return []


def _end_together(account: Account, name: str) -> bool | None:
    """Return whether a provider ends all of an account together: by its registration, or by its file instead."""
    try:
        provider = registrations.merged(account, name).provider
    except Exception as error:
        if failure_of(error, "") is None:
            raise
        is_known = name in repository.provider_names()
        found: bool | None = described(name)["revocation_ends_authorization"] if is_known else None
        return found
    ends: bool | None = provider.revocation_ends_authorization
    return ends if provider.revocation_endpoint else False


def _named(ids: tuple[str, ...]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more

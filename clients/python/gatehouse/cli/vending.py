"""Whether `token` would vend, by what `connections` says about a connection: nothing is vended, and nobody is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import times
from .words import connecting

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAST = 60
"""Seconds that `token` wants a token to be valid for, if its caller names none."""


@dataclass(frozen=True)
class Verdict:
    """Whether it would vend, and why. `error` is the code that a call of `token` would get, if it would fail."""

    vends: bool
    reason: str
    error: str | None = None
    advice: str | None = None
    until: float | None = None
    refreshes: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {
            "vends": self.vends,
            "refreshes_first": self.refreshes,
            "error": self.error,
            "reason": self.reason,
            "advice": self.advice,
            "until": self.until,
        }


def verdict(connection: Mapping[str, Any], now: float, where: str) -> Verdict:
    """Return the verdict. `where` are the options that lead to the same stack."""
    ended = _by_status(connection, where)
    if ended is not None:
        return ended
    expires_at = connection.get("expires_at")
    if expires_at is None:
        return Verdict(vends=True, reason="Its token has no known end: it is vended until an API rejects it.")
    if expires_at - now > _LEAST:
        return Verdict(vends=True, reason="It has a valid token.", until=expires_at)
    return _refreshed(connection, now, where)


def _by_status(connection: Mapping[str, Any], where: str) -> Verdict | None:
    """Return the verdict where the status alone decides."""
    again = connecting(connection["provider"], connection["connection_id"], where)
    match connection["status"]:
        case "active":
            return None
        case "unconfirmed" if connection.get("needs") == "confirmation":
            return Verdict(
                vends=False,
                reason="The customer has consented, and your application has not called confirm yet.",
                error="confirmation_required",
                advice=f"Your application has to call confirm. If it is too late for that: {again}",
            )
        case "unconfirmed":
            return Verdict(
                vends=False,
                reason=_with_failure("It was imported, and its grant has not been proved by a refresh yet", connection),
                error="temporarily_unavailable",
                advice=f"The background goes on with that: gatehouse show {connection['connection_id']}{where}",
            )
        case "reauthorization_required":
            reason = _with_failure("The provider does not take the grant any more", connection)
            return Verdict(vends=False, reason=reason, error="reauthorization_required", advice=again)
    return Verdict(vends=False, reason="It was revoked.", error="connection_revoked", advice=again)


def _refreshed(connection: Mapping[str, Any], now: float, where: str) -> Verdict:
    """Return the verdict on a connection whose token has run out."""
    if not connection.get("refreshable"):
        return Verdict(
            vends=False,
            reason="Its token has run out, and there is no refresh token.",
            error="reauthorization_required",
            advice=connecting(connection["provider"], connection["connection_id"], where),
        )
    failure, left_alone = connection.get("failure"), connection.get("left_alone")
    waits_until = max(
        (failure or {}).get("retry_at") or 0,
        (left_alone or {}).get("next_at") or 0,
    )
    if failure and waits_until > now:
        return Verdict(
            vends=False,
            reason=_with_failure("Its token has run out, and the last refresh has failed", connection),
            error=failure["code"],
            advice=f"Gatehouse tries again {times.shown(waits_until, now)}.{_mend(failure['code'], where)}",
        )
    if waits_until > now:
        return Verdict(
            vends=False,
            reason="Its token has run out, and the provider is left alone, because other refreshes have failed.",
            error="provider_unavailable",
            advice=f"Gatehouse asks it again {times.shown(waits_until, now)}.",
        )
    reason = _with_failure("Its token has run out: the next call refreshes it first", connection)
    return Verdict(vends=True, reason=reason, refreshes=True)


def _with_failure(text: str, connection: Mapping[str, Any]) -> str:
    failure = connection.get("failure")
    if not failure:
        return f"{text}."
    said = failure.get("provider_error") or {}
    words = " ".join(str(said[name]) for name in ("error", "error_description") if said.get(name))
    answered = f" The provider said: {words}" if words else ""
    return f"{text}. Last failure: {failure['code']}: {failure['description']}{answered}"


def _mend(code: str, where: str) -> str:
    return f" Look at the registration: gatehouse doctor{where}" if code == "provider_misconfigured" else ""

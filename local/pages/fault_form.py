"""The fault switches of the demo server on the landing page: the usual ways in which a provider fails, each by a name.

`/_demo/faults` has all switches; here are those that a person wants to see an application survive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.demo.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "outage": ("answers 503", {"status": 503}),
    "throttled": ("answers 429, with Retry-After: 7", {"status": 429, "retry_after": 7}),
    "page": ("answers with an HTML page", {"html": True}),
    "slow": ("takes 20 seconds", {"delay_seconds": 20}),
    "lost": ("acts, and its answer is lost", {"drop_answer": True}),
    "invalid_grant": ("refuses with invalid_grant", {"error": "invalid_grant"}),
    "invalid_client": ("refuses with invalid_client", {"error": "invalid_client", "status": 401}),
    "unauthorized": ("answers 401", {"status": 401}),
    "denied": ("says no to the customer (authorize)", {"deny": True}),
    "rotate": ("issues a new refresh token each time (token)", {"rotate": True}),
}
"""What a server does, by the name that the form sends."""

ENDPOINTS = {
    "token": "token endpoint",
    "revoke": "revocation endpoint",
    "authorize": "authorization endpoint",
    "me": "account endpoint",
    "api": "API",
}
TIMES = {"1": "once", "3": "three times", "": "until you end it"}


def read(form: Mapping[str, str]) -> Faults | None:
    """Return the switch that the form names; None if it names none that there is."""
    way, endpoint, times = WAYS.get(form.get("way", "")), form.get("endpoint", ""), form.get("times", "")
    if way is None or endpoint not in ENDPOINTS or times not in TIMES:
        return None
    return Faults(endpoint=endpoint, times=int(times) if times else None, **way[1])


def described(in_force: Sequence[Faults]) -> list[str]:
    """Return what the server does other than it should, a line for each switch."""
    return [_described(each) for each in in_force]


def _described(faults: Faults) -> str:
    switches = {name: value for name, value in faults.document().items() if name not in {"endpoint", "times"}}
    known = (words for words, given in WAYS.values() if given == switches)
    what = next(known, ", ".join(f"{name}: {value}" for name, value in switches.items()) or "works")
    left = "" if faults.times is None else f", {faults.times} more {'time' if faults.times == 1 else 'times'}"
    return f"The {ENDPOINTS.get(faults.endpoint, 'server')} {what}{left}."

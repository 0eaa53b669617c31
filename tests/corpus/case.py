"""One answer of a token endpoint, and what a client should make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["accept", "dead", "operator", "throttled", "unavailable"]

VERDICTS: dict[str, str] = {
    "accept": "there are tokens to store",
    "dead": "the grant is gone; only the customer can help",
    "operator": "the registration is wrong; the grant lives on",
    "throttled": "try again later",
    "unavailable": "the answer means nothing; try again later",
}

Body = str | bytes | dict[str, Any] | list[Any] | Callable[[int], str | bytes | dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """`body` is what the server sends: text, octets, JSON, or a function of the time in Unix seconds.

    `stored` are the fields of an accepted response, times in seconds from now; no other field may be stored. `quirks`
    are the provider data that it takes. `refresh` means that the request was a refresh, with the refresh token RT-0.
    """

    name: str
    verdict: Verdict
    body: Body
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    quirks: dict[str, Any] = field(default_factory=dict)
    refresh: bool = False
    code: str | None = None
    retry_after: int | None = None
    outcome_unknown: bool = False

    def octets(self, now: int) -> bytes:
        """Return the body that is sent at `now`."""
        body = self.body(now) if callable(self.body) else self.body
        if isinstance(body, bytes):
            return body
        return (body if isinstance(body, str) else json.dumps(body)).encode()


def accepts(name: str, body: Body, *, status: int = 200, headers: dict[str, str] | None = None, **rest: Any) -> Case:
    """Return an answer whose tokens are stored: AT-1, a Bearer token, unless `stored` says otherwise."""
    options = {key: rest.pop(key) for key in ("quirks", "refresh") if key in rest}
    return Case(name, "accept", body, status, headers or {}, {"access_token": "AT-1", **rest}, **options)


def refuses(verdict: Verdict, name: str, status: int, body: Body, code: str | None = None, **rest: Any) -> Case:
    """Return an answer that is a failure, with the code that is passed on."""
    return Case(name, verdict, body, status, code=f"http_{status}" if code is None else code, **rest)

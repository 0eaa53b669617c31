"""Switches that make the demo server misbehave on purpose, or differ where real servers differ."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENDPOINTS = ("*", "authorize", "token", "revoke", "metadata", "me", "api")
ERROR_FORMS = ("rfc6749", "ok", "error_response")
REVOKES_BY = ("either", "refresh_token", "access_token")
_LARGEST_BODY = 64 * 1024 * 1024
_LONGEST_SECONDS = 600


class FaultError(ValueError):
    """A switch that cannot be set; the message names the field."""


@dataclass(frozen=True)
class Faults:
    """How requests to `endpoint` are treated. The defaults are a server that works.

    The order of things: act on the request (unless an answer is put in its place), wait, answer.
    """

    endpoint: str = "*"
    """Where it applies; a switch for a named endpoint wins as a whole over one for `*`."""
    times: int | None = None
    """Applies to so many requests, then no more; None: until changed."""

    deny: bool = False
    """At the authorization endpoint: the merchant says no."""
    rotate: bool | None = None
    """Whether a refresh answers with a new refresh token. None: as the dialect does (UltraCart no, standard yes)."""
    reuse_detection: bool = True
    """Whether a refresh token that was rotated away ends its grant when it comes again."""
    replay_window_seconds: float = 0
    """For so long after a rotation the old refresh token gets the same answer once more."""
    application_scopes: str | None = None
    """At UltraCart's authorization endpoint: the permissions that the application has now, space-separated. Whoever has
    consented before keeps those of then."""
    names_merchant: bool = True
    """Whether UltraCart's token answers name the merchant, as newer servers' do."""
    revokes_by: str = "either"
    """Which token UltraCart's revocation takes: `either`, or one of `refresh_token` and `access_token`."""
    lifetime_seconds: int = 3600
    """How long access tokens issued now are good for."""
    expires_in_literal: str | None = None
    """What the answer says instead, as JSON text (`1e400`, `"abc"`, `null`); an empty string leaves it out."""
    error_form: str = "rfc6749"
    """How OAuth errors look: `rfc6749`, `ok` (the same with status 200), or `error_response` (UltraCart's object)."""
    issuer: str | None = None
    """What the metadata and `iss` claim in place of the truth."""

    error: str | None = None
    """Answer with this OAuth error code; at the authorization endpoint through the redirect."""
    status: int | None = None
    """Answer with this HTTP status; alone it is a failure of the server, otherwise the status of the other switch."""
    retry_after: int | str | None = None
    """The Retry-After header: seconds, or an HTTP date. Needs `status`."""
    html: bool = False
    """Answer with an HTML page (status 200 unless `status` says otherwise)."""
    redirect_to: str | None = None
    """Answer with a redirect to this URL (status 302 unless `status` says otherwise)."""

    act: bool = False
    """Act on the request although the answer will not say so."""
    drop_answer: bool = False
    """Act, then close the connection without a byte of answer."""
    delay_seconds: float = 0
    """Wait so long between acting and answering."""
    drip_seconds: float = 0
    """Send the body byte by byte over so many seconds."""
    huge_body_bytes: int = 0
    """Follow the body with so many bytes of white space: still valid JSON, if somebody reads it all."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense; raises FaultError."""
        for name, (is_valid, expected) in _CHECKS.items():
            if not is_valid(getattr(self, name)):
                raise FaultError(f"{name}: must be {expected}")
        replacements = [name for name in ("error", "html", "redirect_to") if getattr(self, name)]
        if len(replacements) > 1:
            raise FaultError(f"{replacements[1]}: cannot be combined with {replacements[0]}")
        if self.retry_after is not None and self.status is None:
            raise FaultError("retry_after: needs status")

    @classmethod
    def from_document(cls, document: object) -> Faults:
        """Read a JSON object strictly; raises FaultError naming an unknown key or a bad value."""
        if not isinstance(document, dict):
            raise FaultError("document: must be a JSON object, or a list of them for one endpoint")
        known = {field.name for field in fields(cls)}
        for key in document:
            if key not in known:
                raise FaultError(f"{key}: unknown switch; known are {', '.join(sorted(known))}")
        return cls(**document)

    def document(self) -> dict[str, Any]:
        """Return the switches that differ from a working server, and the endpoint."""
        changed = {name: value for name, value in asdict(self).items() if value != getattr(Faults, name)}
        return {"endpoint": self.endpoint} | changed

    @property
    def replaces_answer(self) -> bool:
        """Whether the true answer is never sent."""
        return self.status is not None or self.error is not None or self.html or self.redirect_to is not None

    @property
    def prevents_action(self) -> bool:
        """Whether the request is not even acted upon."""
        return self.replaces_answer and not self.act and not self.drop_answer


class FaultBook:
    """The switches in force. Safe to use from several threads."""

    def __init__(self) -> None:
        """Start with a server that works."""
        self._lock = threading.Lock()
        self._queues: dict[str, list[Faults]] = {}

    def put(self, *sequence: Faults) -> None:
        """Set what the endpoint of `sequence` does from now on, in place of what it did.

        Several switches take effect one after the other: each but the last must say how many `times`.
        Raises FaultError.
        """
        if not sequence or len({faults.endpoint for faults in sequence}) > 1:
            raise FaultError("endpoint: must be the same in the whole sequence")
        if any(faults.times is None for faults in sequence[:-1]):
            raise FaultError("times: needed in all but the last of a sequence")
        with self._lock:
            self._queues[sequence[0].endpoint] = list(sequence)

    def take(self, endpoint: str) -> Faults:
        """Return what applies to a request that has just come to `endpoint`, and count it."""
        with self._lock:
            for name in (endpoint, "*"):
                if queue := self._queues.get(name):
                    return _take_first(queue)
            return Faults(endpoint)

    def clear(self) -> None:
        """Make the server work again."""
        with self._lock:
            self._queues.clear()

    def in_force(self) -> list[Faults]:
        """Return what is set, with the `times` that are left."""
        with self._lock:
            return [faults for queue in self._queues.values() for faults in queue]


def _take_first(queue: list[Faults]) -> Faults:
    first = queue[0]
    if first.times == 1:
        del queue[0]
    elif first.times is not None:
        queue[0] = replace(first, times=first.times - 1)
    return first


def _is_integer(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_seconds(value: object, high: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= high  # which NaN is not


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


def _is_json_text(value: object) -> bool:
    if value is None or value == "":
        return True
    if not isinstance(value, str):
        return False
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def _or_none(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


_FLAG = (_is_bool, "true or false")
_TEXT = (_or_none(_is_text), "null or printable ASCII text")
_DURATION = (lambda value: _is_seconds(value, _LONGEST_SECONDS), f"a number of seconds from 0 to {_LONGEST_SECONDS}")
_CHECKS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "endpoint": (lambda value: value in ENDPOINTS, f"one of {', '.join(ENDPOINTS)}"),
    "times": (_or_none(lambda value: _is_integer(value, 1, 10**6)), "null or an integer of at least 1"),
    "deny": _FLAG,
    "rotate": (_or_none(_is_bool), "null, true or false"),
    "reuse_detection": _FLAG,
    "replay_window_seconds": (lambda value: _is_seconds(value, 10**10), "a number of seconds of at least 0"),
    "application_scopes": _TEXT,
    "names_merchant": _FLAG,
    "revokes_by": (lambda value: value in REVOKES_BY, f"one of {', '.join(REVOKES_BY)}"),
    "lifetime_seconds": (lambda value: _is_integer(value, 0, 10**10), "an integer of at least 0"),
    "expires_in_literal": (_is_json_text, "null, JSON text, or an empty string"),
    "error_form": (lambda value: value in ERROR_FORMS, f"one of {', '.join(ERROR_FORMS)}"),
    "issuer": _TEXT,
    "error": _TEXT,
    "status": (_or_none(lambda value: _is_integer(value, 200, 599)), "null or an integer from 200 to 599"),
    "retry_after": (
        _or_none(lambda value: _is_integer(value, 0, 10**9) or _is_text(value)),
        "null, seconds as an integer, or text",
    ),
    "html": _FLAG,
    "redirect_to": _TEXT,
    "act": _FLAG,
    "drop_answer": _FLAG,
    "delay_seconds": _DURATION,
    "drip_seconds": _DURATION,
    "huge_body_bytes": (lambda value: _is_integer(value, 0, _LARGEST_BODY), f"an integer from 0 to {_LARGEST_BODY}"),
}

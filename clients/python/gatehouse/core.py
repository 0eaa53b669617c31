"""What a client of Gatehouse is, sync or async: a transport, the tokens it keeps, and the calls under way."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from . import answers, calls
from .answers import Token
from .errors import GatehouseError
from .http import Http, Paths
from .invoke import Invoke
from .kept import KeptTokens, SingleFlight
from .refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Literal

    import boto3

    from .timing import Deadline, Timing
    from .transport import Transport

DEFAULT_MIN_TTL = 60
"""Seconds that a token is valid for at least, as at Gatehouse itself."""

_LEAVES_TOKENS = frozenset({"token", "connections", "start"})
"""What neither ends nor replaces a token. For all else, also for what this client does not know, the kept one goes."""

_WHOSE = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""The variables that say whose credentials boto3 uses, and where it calls. None of them is a secret."""


class Core:
    """The calls that both clients make. It is made for threads."""

    def __init__(self, transport: Transport, keep: float, timing: Timing) -> None:
        self.transport = transport
        self.timing = timing
        self.kept = KeptTokens(keep, timing)
        self.refusals = Refusals(timing)
        self._flights: SingleFlight[Token] = SingleFlight(timing)
        self._refreshes: dict[str, int] = {}

    def call(self, function: str, request: dict[str, Any], until: Deadline) -> dict[str, Any]:
        """Return the answer of any function, and forget the token that it may have ended or replaced."""
        connection_id = request.get("connection_id")
        try:
            return calls.call(self.transport, self.timing, function, request, until)
        finally:
            # Whatever came of it: without an answer, too, it may have happened.
            if connection_id is not None and function not in _LEAVES_TOKENS:
                self.kept.forget(connection_id)

    def token(self, connection_id: str, min_ttl: int | None, until: Deadline) -> Token:
        """Return a token, kept or asked for."""
        seconds = DEFAULT_MIN_TTL if min_ttl is None else min_ttl
        kept = self.kept.get(connection_id, seconds)
        if kept is not None:
            return kept
        rejected = self._refreshes.get(connection_id)
        if rejected is not None and seconds <= DEFAULT_MIN_TTL:
            # Another thread is getting the next one: Gatehouse could only answer with the one that was rejected.
            return self.refresh(connection_id, rejected, until)
        request = without_nulls(connection_id=connection_id, min_ttl=min_ttl)
        return self._asked("token", request, lambda: self.kept.get(connection_id, seconds), until)

    def refresh(self, connection_id: str, if_version: int | None, until: Deadline) -> Token:
        """Return a token that is newer than `if_version`, or refreshed now."""
        request = without_nulls(connection_id=connection_id, if_version=if_version)
        if if_version is None:
            return self._asked("refresh", request, lambda: None, until)
        newer = self._newer(connection_id, if_version)
        if newer is not None:
            return newer
        self._refreshes[connection_id] = if_version
        self.kept.forget(connection_id, if_version)
        try:
            return self._asked("refresh", request, lambda: self._newer(connection_id, if_version), until)
        finally:
            self._refreshes.pop(connection_id, None)

    def _newer(self, connection_id: str, version: int) -> Token | None:
        kept = self.kept.get(connection_id, DEFAULT_MIN_TTL)
        return kept if kept is not None and kept.version > version else None

    def another(self, refused: Token, until: Deadline) -> Token | None:
        """Return the token for a repeat of a request that an API refused, or None if no repeat would help.

        It is the same token if that has just been obtained. Some providers' servers learn of a token late, and the
        repeat may succeed; Gatehouse would refresh none that is so young.
        """
        if self.refusals.is_refused(refused):
            return None
        if self.refusals.is_just_obtained(refused):
            return refused
        token = self.refresh(refused.connection_id, refused.version, until)
        if token.access_token == refused.access_token:
            self.refusals.note_unchanged(token)
        return token

    def _asked(
        self, function: str, request: dict[str, Any], look: Callable[[], Token | None], until: Deadline
    ) -> Token:
        """Return the token of a call that threads share. `look` finds what another of them has just got."""

        def ask() -> Token:
            found = look()
            if found is not None:
                return found
            moment = self.kept.moment
            token = answers.read(Token, calls.call(self.transport, self.timing, function, request, until))
            if function == "refresh" and token.version > request.get("if_version", 0):
                # Before another thread can find it.
                self.refusals.note_replacement(token)
            self.kept.keep(token, moment)
            return token

        def pause_after(error: Exception) -> float | None:
            return calls.pause_before_repeating(error, 0) if isinstance(error, GatehouseError) else None

        try:
            return self._flights.run((function, *sorted(request.items())), ask, pause_after, until)
        except GatehouseError as error:
            calls.say_of(error, function, request)
            raise


def without_nulls(**fields: Any) -> dict[str, Any]:
    """Return a request without the fields that the caller left out."""
    return {name: value for name, value in fields.items() if value is not None}


_cores: OrderedDict[Hashable, Core] = OrderedDict()
_lock = threading.Lock()
_MOST_SHARED = 100
"""Cores that a client made alike finds. Each has connections to AWS: who makes a client for each owner makes many."""


def core_for(  # noqa: PLR0913 - all that a client can be made with
    *,
    stack: str | None,
    region: str | None,
    url: str | None,
    owner: str | None,
    connection: str | Literal[True] | None,
    session: boto3.Session | None,
    client: Any,
    is_forked: bool,
    keep: float,
    timing: Timing,
) -> Core:
    """Return the core of a client. Clients that are made alike share one, so that a new one has the kept tokens.

    Those with a session or an AWS client of their own share nothing: nobody can see whose credentials these have.
    """
    if url is None and client is None:
        # A variable is for whoever says nothing of the way: a client of Lambda says it.
        url = os.environ.get("GATEHOUSE_API_URL")
    # In the files of many tools a variable that is left out is there, and empty.
    stack = stack if stack is not None else os.environ.get("GATEHOUSE_STACK") or "gatehouse"
    if not stack:
        raise ValueError("stack='' is no name: leave it out for GATEHOUSE_STACK, or for gatehouse.")
    paths = Paths(owner, connection)
    if url and not url.startswith(("https://", "http://")):
        raise ValueError(f"url={url!r} is no URL: pass the stack's output ApiUrl, like https://...")
    if url and client is not None:
        raise ValueError("client= is for calls by Invoke, and url= for calls by HTTP: pass one of them.")
    if not url and paths != Paths():
        raise ValueError("owner= and connection= are paths of the HTTP API: pass url=, the stack's output ApiUrl.")

    def made() -> Core:
        transport = (
            Http(url, paths, session=session, region=region)
            if url
            else Invoke(stack, session=session, region=region, client=client, is_forked=is_forked)
        )
        return Core(transport, keep, timing)

    if session is not None or client is not None:
        return made()
    environment = tuple(os.environ.get(name) for name in _WHOSE)
    return _shared((stack, region, url, paths, keep, timing, environment), made)


def _shared(key: Hashable, made: Callable[[], Core]) -> Core:
    with _lock:
        if key not in _cores:
            _cores[key] = made()
            if len(_cores) > _MOST_SHARED:
                _cores.popitem(last=False)
        _cores.move_to_end(key)
        return _cores[key]


def _forget_all() -> None:
    """Begin again in a forked process: sockets and calls under way are those of its parent."""
    global _lock  # noqa: PLW0603 - it may have been held in the parent at the moment of the fork
    _lock = threading.Lock()
    _cores.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)

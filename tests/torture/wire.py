"""What a process has of the network: the transport to the authorization server, and its registration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from functions.vault.errors import ProviderUnavailable
from functions.vault.registrations import Registrations
from functions.vault.responses import Answer
from tests.torture.scheduler import Fault, Point
from tests.torture.server import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.client import Transport
    from tests.torture.scheduler import Actor
    from tests.torture.server import Profile
    from tests.torture.world import World

HTTP_TIMEOUT = 10
PROVIDER = "as"

_BEFORE_HTTP = (Fault.CRASH, Fault.CRASH_SENT, Fault.LOST_REQUEST, Fault.LATE_REQUEST, Fault.REFUSED, Fault.SLOW)
_ONE_SIDED_HTTP = (Fault.CRASH, Fault.LOST_REQUEST)


@dataclass(eq=False)
class TokenRequest:
    """One request to the token endpoint, and what became of its answer."""

    actor: Actor
    token: str
    since: float
    is_refresh: bool
    effect_at: float | None = None
    settled_at: float = 0.0
    arrived_at: float = 0.0
    """By the clock of the process that got it."""
    fate: str = "under way"
    overlapped: bool = False
    lease_until: float | None = None


def registrations_of(profile: Profile) -> Registrations:
    """Return the one registration of this world. Reading it is no step: it is in every warm process's memory."""
    document: dict[str, Any] = {
        "client_id": "client",
        "authorization_endpoint": "https://as.test/authorize",
        "token_endpoint": "https://as.test/token",
        "revocation_endpoint": "https://as.test/revoke",
        "request_timeout": HTTP_TIMEOUT,
        "max_concurrency": 1,
    }
    if profile.replay_seconds and profile.replay_is_known:
        document["refresh_token_replay_seconds"] = profile.replay_seconds
    if profile.revokes_by_access:
        document["revocation_tokens"] = ["access_token"]
    if profile.revokes_all:
        document |= {"revocation_ends_authorization": True, "revocation_success": "successful"}
    return _kept_registrations(json.dumps(document))


class _Secrets:
    def __init__(self, document: str) -> None:
        self._document = document

    def get_secret_value(self, **_arguments: Any) -> dict[str, str]:
        return {"SecretString": self._document}


class _NoTransport:
    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        raise NotImplementedError


_REGISTRATIONS: dict[str, Registrations] = {}


def _kept_registrations(document: str) -> Registrations:
    if document not in _REGISTRATIONS:
        secrets = _Secrets(document)
        _REGISTRATIONS[document] = Registrations(
            lambda _service: secrets, "", _NoTransport(), lambda: 0.0, loopback_http=False
        )
    return _REGISTRATIONS[document]


class _Answered(Exception):
    """An answer that stands in the way of the server's own: a gateway's."""


class _HttpEdge:
    """The transport to the authorization server."""

    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:  # noqa: ARG002 - as `Transport`
        world, path, form = self._world, urlsplit(url).path, dict(parse_qsl(body or ""))
        if not world.is_set_up:
            return _json(world.server.exchange(form["code"], world.scheduler.now, None))
        scheduler = world.scheduler
        point = Point(
            "http",
            path.removeprefix("/"),
            faults=_BEFORE_HTTP if scheduler.two_sided else _ONE_SIDED_HTTP,
            time_limit=timeout,
            detail=lambda: form.get("refresh_token") or form.get("code") or form.get("token") or "",
            told=lambda answer: f"{answer.status} {answer.body.decode()}",
        )
        request = None
        if path == "/token":
            request = self._request(scheduler.running, form)
        try:
            answer = scheduler.call(point, lambda: self._effect(form, request), _http_failure)
        except _Answered:
            _settle(request, "lost on the wire", scheduler.now)
            return Answer(503, {}, b"")
        except ProviderUnavailable:
            _settle(request, "lost on the wire", scheduler.now)
            raise
        except BaseException:
            _settle(request, "lost in a crash", scheduler.now)
            raise
        _settle(request, "delivered", scheduler.now)
        assert isinstance(answer, Answer)
        return answer

    def _request(self, actor: Actor, form: Mapping[str, str]) -> TokenRequest:
        world = self._world
        is_refresh = form["grant_type"] == "refresh_token"
        request = TokenRequest(
            actor,
            form["refresh_token"] if is_refresh else form["code"],
            world.scheduler.now,
            is_refresh,
            lease_until=actor.notes.get("lease until"),
        )
        world.observer.asked(request)
        world.requests.append(request)
        return request

    def _effect(self, form: Mapping[str, str], request: TokenRequest | None) -> Answer:
        world = self._world
        if request is not None:
            request.effect_at = world.scheduler.now
        try:
            if request is None:
                return _json(world.server.revoke(form["token"], world.scheduler.running))
            if request.is_refresh:
                return _json(world.server.refresh(request.token, world.scheduler.now, request))
            return _json(world.server.exchange(request.token, world.scheduler.now, request))
        except Refusal as refusal:
            return Answer(400, {"content-type": "application/json"}, json.dumps({"error": str(refusal)}).encode())


def transport(world: World) -> Transport:
    """Return what carries the requests of one process."""
    return _HttpEdge(world)


def _settle(request: TokenRequest | None, fate: str, now: float) -> None:
    if request is not None:
        request.fate, request.settled_at = fate, now
        request.arrived_at = request.actor.notes["clock"]()


def _json(document: Mapping[str, Any]) -> Answer:
    return Answer(200, {"content-type": "application/json"}, json.dumps(document).encode())


def _http_failure(fault: Fault) -> Exception:
    if fault is Fault.OUTAGE:
        return _Answered()
    return ProviderUnavailable("The authorization server did not answer.", outcome_unknown=fault is not Fault.REFUSED)

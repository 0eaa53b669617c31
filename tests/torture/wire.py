"""What a process has of the network: the transport to the authorization server, and its registration."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from functions.vault.base.errors import ProviderTimedOut, ProviderUnavailable
from functions.vault.oauth.transport import Answer
from functions.vault.storage.registrations import Registrations
from tests.torture.id_tokens import ISSUER
from tests.torture.scheduler import PASSING, Fault, Point
from tests.torture.server import BUSY_WORDS, UNKNOWN, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from functions.vault.oauth.transport import Transport
    from tests.torture.scheduler import Actor
    from tests.torture.server import Grant, Profile
    from tests.torture.world import World

HTTP_TIMEOUT = 10
PROVIDER, CLIENT = "as", "client"

_BEFORE_HTTP = (Fault.CRASH, Fault.CRASH_SENT, Fault.LOST_REQUEST, Fault.LATE_REQUEST, Fault.REFUSED, Fault.SLOW)
_ONE_SIDED_HTTP = (Fault.CRASH, Fault.LOST_REQUEST)


@dataclass(eq=False)
class TokenRequest:
    """One request to the token endpoint, and what became of its answer. `answered` is what that said."""

    actor: Actor
    token: str
    since: float
    is_refresh: bool
    effect_at: float | None = None
    settled_at: float = 0.0
    arrived_at: float = 0.0
    """By the clock of the process that got it."""
    fate: str = "under way"
    answered: str = ""
    overlapped: bool = False
    timed_out: bool = False
    """Its sender gave up on it while the server was at work."""

    never_left: bool = False
    """There was no connection, and its sender knows that the server has seen nothing of it."""
    lease_until: float | None = None
    has_waited: bool = False
    """Its sender has waited long enough for the answer of an attempt before it."""

    @property
    def is_refused(self) -> bool:
        """Return whether the server said that the grant is dead."""
        return "invalid_grant" in self.answered


@dataclass(eq=False)
class OnTheWire:
    """One request to an endpoint, as which client it was sent, since when it is there, and its time-out."""

    actor: Actor
    client_id: str
    since: float
    timeout: float
    is_over: bool = False


@dataclass(eq=False)
class RevocationRequest:
    """One request to the revocation endpoint: for which `grant`, and at which step its sender last saw the record.

    `is_temporary`: the server has refused it and done nothing, as it might not another time.
    """

    actor: Actor
    grant: Grant | None
    knows_of: int
    is_temporary: bool = False
    is_asked_for: bool = False
    answered: str = ""
    ended: list[Grant] = field(default_factory=list)


# What the owner has registered


def registrations_of(profile: Profile, client_id: str = CLIENT) -> Registrations:
    """Return the one registration of a world. Reading it is no step: it is in every warm process's memory."""
    document = {"client_id": client_id, **_REGISTRATION, **_of_refreshes(profile), **_of_revocations(profile)}
    return _kept_registrations(json.dumps(document))


_REGISTRATION: dict[str, Any] = {
    "authorization_endpoint": "https://as.test/authorize",
    "token_endpoint": "https://as.test/token",
    "request_timeout": HTTP_TIMEOUT,
}


def _of_refreshes(profile: Profile) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if profile.replay_seconds and profile.replay_is_known:
        document["refresh_token_replay_seconds"] = profile.replay_seconds
    if profile.at_once is not None:
        document["max_concurrency"] = profile.at_once
    if profile.names_it_by == "ID token":
        document |= {"subject": "id_token.sub", "issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
    elif profile.names_account:
        document["subject"] = "account"
    if profile.names_it_by == "endpoint":
        document["account_endpoint"] = "https://as.test/account"
    if profile.busy == "explained":
        document["refusals"] = [{"endpoint": "refresh", "words": [BUSY_WORDS], "means": "busy"}]
    return document


def _of_revocations(profile: Profile) -> dict[str, Any]:
    document: dict[str, Any] = {"revocation_endpoint": "https://as.test/revoke"} if profile.revocable else {}
    if profile.revokes_by_access or profile.takes_live_access_alone:
        document["revocation_tokens"] = ["access_token"]
    if profile.takes_live_access_alone and profile.says_of_dead == "ok: false":
        document["revocation_success"] = "ok"
    if profile.confirms:
        document["revocation_success"] = "successful"
    if profile.says_all is not None:
        document["revocation_ends_authorization"] = profile.says_all
    return document


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


# What carries requests


class _Answered(Exception):
    """An answer that stands in the way of the server's own: a gateway's, or one of a server that did nothing."""

    def __init__(self, answer: Answer, *, by_server: bool) -> None:
        super().__init__()
        self.answer = answer
        self.by_server = by_server


class _HttpEdge:
    """The transport to the authorization server."""

    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, _method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        path, form = urlsplit(url).path.removeprefix("/"), dict(parse_qsl(body or ""))
        shown = headers.get("Authorization", "").removeprefix("Bearer ")
        if not self._world.is_set_up:
            return _answered(lambda: self._as_set_up(path, form, shown))
        if path == "keys":
            return self._read_keys(timeout)
        # An access token does not say as which client it is shown.
        scheduler, client_id = self._world.scheduler, CLIENT if path == "account" else form.get("client_id", "")
        there = OnTheWire(scheduler.running, client_id, scheduler.now, timeout)
        self._world.observer.sent(there)
        try:
            if path == "account":
                answer = self._ask_for_account(shown, timeout)
            else:
                answer = (
                    self._ask_for_tokens(form, timeout) if path == "token" else self._revoke(form["token"], timeout)
                )
        except ProviderUnavailable as lost:
            # The server may be at work on what is lost, until the caller's time for it is up.
            there.is_over = not lost.outcome_unknown
            raise
        there.is_over = True
        return answer

    def _as_set_up(self, path: str, form: Mapping[str, str], shown: str) -> Mapping[str, Any]:
        server, now = self._world.server, self._world.scheduler.now
        if path == "account":
            return server.account(shown, now)
        if path == "revoke":
            return server.revoke(form["token"], now, None)
        if "refresh_token" in form:
            return server.refresh(form["refresh_token"], now, None)
        return server.exchange(form["code"], now, None)

    def _ask_for_tokens(self, form: Mapping[str, str], timeout: float) -> Answer:
        scheduler = self._world.scheduler
        request = self._request(scheduler.running, form)
        point = self._point("token", timeout, request.token, request)
        try:
            answer: Answer = scheduler.call(point, lambda: self._tokens(request), _http_failure)
        except _Answered as instead:
            request.answered = instead.answer.body.decode()
            _settle(request, "delivered" if instead.by_server else "lost on the wire", scheduler.now)
            return instead.answer
        except ProviderUnavailable as error:
            request.timed_out, request.never_left = isinstance(error, ProviderTimedOut), not error.outcome_unknown
            _settle(request, "lost on the wire", scheduler.now)
            raise
        except BaseException:
            _settle(request, "lost in a crash", scheduler.now)
            raise
        request.answered = answer.body.decode()
        _settle(request, "delivered", scheduler.now)
        return answer

    def _read_keys(self, timeout: float) -> Answer:
        scheduler, server = self._world.scheduler, self._world.server
        try:
            answer: Answer = scheduler.call(
                self._point("keys", timeout, "", None), lambda: _json(server.keys(scheduler.now)), _http_failure
            )
        except _Answered as instead:
            return instead.answer
        return answer

    def _ask_for_account(self, access_token: str, timeout: float) -> Answer:
        scheduler, server = self._world.scheduler, self._world.server

        def effect() -> Answer:
            return _answered(lambda: server.account(access_token, scheduler.now))

        try:
            answer: Answer = scheduler.call(self._point("account", timeout, access_token, None), effect, _http_failure)
        except _Answered as instead:
            return instead.answer
        return answer

    def _revoke(self, token: str, timeout: float) -> Answer:
        world, scheduler = self._world, self._world.scheduler
        issue = world.server.by_refresh_token.get(token) or world.server.by_access_token.get(token)
        knows_of = scheduler.running.notes.get("knows of", 0)
        request = RevocationRequest(scheduler.running, issue.grant if issue else None, knows_of)
        world.observer.revoking(request)
        world.revocations.append(request)

        def effect() -> Answer:
            answer = _answered(lambda: world.server.revoke(token, scheduler.now, request))
            request.ended = [grant for grant in world.server.grants if grant.ended_by is request]
            world.observer.revoked(request)
            return answer

        try:
            answer: Answer = scheduler.call(self._point("revoke", timeout, token, request), effect, _http_failure)
        except _Answered as instead:
            answer, request.is_temporary = instead.answer, instead.by_server
        request.answered = f"{answer.status} {answer.body.decode()}"
        return answer

    def _point(self, operation: str, timeout: float, token: str, about: Any) -> Point:
        scheduler = self._world.scheduler
        faults: tuple[Fault, ...] = _BEFORE_HTTP if scheduler.two_sided else _ONE_SIDED_HTTP
        if self._world.profile.refuses_temporarily:
            faults += PASSING if operation == "token" and about.is_refresh else (Fault.UNKNOWN, Fault.DOWN)
        return Point(
            "http",
            operation,
            faults=faults,
            time_limit=timeout,
            detail=lambda: token,
            answered=lambda answer: f"{answer.status} {answer.body.decode()[:160]}",
            about=about,
        )

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

    def _tokens(self, request: TokenRequest) -> Answer:
        world = self._world
        request.effect_at = world.scheduler.now
        if request.is_refresh and world.profile.busy and self._is_at_work_on(request.token):
            return _BUSY[world.profile.busy]
        answer = world.server.refresh if request.is_refresh else world.server.exchange
        return _answered(lambda: answer(request.token, world.scheduler.now, request))

    def _is_at_work_on(self, token: str) -> bool:
        """Return whether the server has another request with a token, whose sender no longer waits for the answer."""
        abandoned = [orphan.about for orphan in self._world.scheduler.orphans]
        return any(isinstance(about, TokenRequest) and about.token == token for about in abandoned)


def transport(world: World) -> Transport:
    """Return what carries the requests of one process."""
    return _HttpEdge(world)


def _settle(request: TokenRequest, fate: str, now: float) -> None:
    request.fate, request.settled_at = fate, now
    request.arrived_at = request.actor.notes["clock"]()


def _answered(answer: Callable[[], Mapping[str, Any]]) -> Answer:
    try:
        return _json(answer())
    except Refusal as refusal:
        return _json(refusal.document, refusal.status)


def _json(document: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(document).encode())


_BUSY = {
    "explained": _json({"error": "invalid_grant", "error_description": BUSY_WORDS}, 400),
    "as dead": _json({"error": "invalid_grant"}, 400),
}
_IN_PASSING = {
    Fault.DEAD: _json({"error": "invalid_grant"}, 400),
    Fault.UNKNOWN: _json({"error": UNKNOWN}, 400),
    Fault.DOWN: Answer(503, {}, b""),
}


def _http_failure(fault: Fault) -> Exception:
    if fault in _IN_PASSING:
        return _Answered(_IN_PASSING[fault], by_server=True)
    if fault is Fault.OUTAGE:
        return _Answered(Answer(503, {}, b""), by_server=False)
    if fault is Fault.LATE_REQUEST:
        return ProviderTimedOut("The authorization server did not answer in time.")
    return ProviderUnavailable("The connection broke.", outcome_unknown=fault is not Fault.REFUSED)

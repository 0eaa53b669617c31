"""The WSGI application: which request goes where, and the faults on its way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request

from local.demo import resources
from local.demo.authorization import AuthorizationEndpoint
from local.demo.back_channel import BackChannel
from local.demo.call import Call
from local.demo.dialect import json_answer
from local.demo.errors import AnswerDroppedError, OAuthError, RestError
from local.demo.fault_api import PREFIX as FAULT_API
from local.demo.fault_api import FaultApi
from local.demo.faults import FaultBook
from local.demo.grants import Grants
from local.demo.observation import Ledger
from local.demo.standard import OpenId, Rfc8414
from local.demo.ultracart import UltraCart
from local.demo.wire_faults import hang_up, replacement, stretched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.wrappers import Response

    from local.demo.dialect import Dialect
    from local.demo.observation import Seen

_BACK_CHANNEL = frozenset({"token", "revoke"})
_METADATA_PATHS = {
    "standard": "/.well-known/oauth-authorization-server/standard",
    "openid": "/openid/.well-known/openid-configuration",
}


class _Request(Request):
    max_content_length = 1024 * 1024


class Application:
    """All of the demo server but its socket."""

    def __init__(self, base_url: str, clock: Callable[[], float], callbacks_at: str | None = None) -> None:
        """Serve under `base_url`; the time is `clock`'s (Unix seconds). `callbacks_at`: see `Client.accepts`."""
        self.faults = FaultBook()
        self.grants = Grants(clock)
        self.ledger = Ledger(clock)
        self.fault_api = FaultApi(self.faults, self.ledger, self.grants)
        self.stopping = threading.Event()
        self.dialects: dict[str, Dialect] = {
            dialect.name: dialect
            for dialect in (UltraCart(), Rfc8414(base_url, "/standard"), OpenId(base_url, "/openid"))
        }
        for dialect in self.dialects.values():
            self.ledger.issued("client_secret", dialect.client.secret)
        self._authorization = AuthorizationEndpoint(self.grants, self.ledger, clock, callbacks_at)
        self._back_channel = BackChannel(self.grants, self.ledger)
        self._routes = Map(_rules(self.dialects.values()))
        self._acts: dict[str, Callable[[Call], Response]] = {
            "authorize": self._authorization.answer,
            "token": self._back_channel.token,
            "revoke": self._back_channel.revoke,
            "me": self._me,
            "api": self._orders,
            "metadata": _metadata,
            "jwks": _no_keys,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        request = _Request(environ)
        try:
            answer = self._dispatch(request)
        except HTTPException as error:
            answer = error.get_response(environ)
        except AnswerDroppedError:
            hang_up(request)
        return answer(environ, start_response)

    def _dispatch(self, request: Request) -> Response:
        if request.path.startswith(FAULT_API):
            return self.fault_api.answer(request)
        try:
            endpoint, values = self._routes.bind_to_environ(request.environ).match()
        except HTTPException as error:
            # Written down even so: a test may ask whether a redirect was followed to here.
            seen = self._seen("unknown", None, request)
            seen.outcome, seen.answer = "not_found", error.code or 404
            raise
        dialect = self.dialects[values["dialect"]]
        seen = self._seen(endpoint, dialect, request)
        return self._counted(Call(endpoint, dialect, request, self.faults.take(endpoint), seen))

    def _counted(self, call: Call) -> Response:
        """Answer, and count how many token requests of one grant are open at once."""
        if call.endpoint in _BACK_CHANNEL:
            self._back_channel.note(call)
        grant_id = call.seen.grant_id if call.endpoint == "token" else None
        if grant_id is None:
            return self._answer(call)
        self.ledger.enter(grant_id)
        try:
            answer = self._answer(call)
        except BaseException:
            self.ledger.leave(grant_id)
            raise
        # Counted out before the client can know that the answer is complete: its next request is not simultaneous.
        if answer.is_streamed:
            answer.response = self._leaving(answer.response, grant_id)
        else:
            self.ledger.leave(grant_id)
        return answer

    def _leaving(self, body: Iterable[Any], grant_id: str) -> Iterator[Any]:
        try:
            yield from body
        finally:
            self.ledger.leave(grant_id)

    def _answer(self, call: Call) -> Response:
        faults = call.faults
        # An error of the authorization endpoint goes through the browser, so that endpoint sends it itself.
        is_replaced = faults.replaces_answer and not (call.endpoint == "authorize" and faults.error is not None)
        answer = self._replaced(call) if is_replaced else self._acted(call)
        self.stopping.wait(faults.delay_seconds)
        if faults.drop_answer:
            call.seen.answer = "dropped"
            raise AnswerDroppedError
        call.seen.answer = answer.status_code
        return stretched(answer, faults, self.stopping)

    def _replaced(self, call: Call) -> Response:
        if call.faults.prevents_action:
            call.seen.outcome = "not_acted"
        else:
            self._acted(call)
        return replacement(call.dialect, call.faults)

    def _acted(self, call: Call) -> Response:
        try:
            return self._acts[call.endpoint](call)
        except OAuthError as error:
            call.seen.outcome = error.code
            return call.dialect.oauth_error(error, call.faults)
        except RestError as error:
            call.seen.outcome = "refused"
            return call.dialect.failure(error.status, error.message)

    def _me(self, call: Call) -> Response:
        answer = resources.me(call.dialect, self.grants, call.request)
        call.seen.outcome = "served"
        return answer

    def _orders(self, call: Call) -> Response:
        answer = resources.order_or_orders(self.grants, call.request)
        call.seen.outcome = "served"
        return answer

    def _seen(self, endpoint: str, dialect: Dialect | None, request: Request) -> Seen:
        parameters = [*request.args.items(multi=True), *request.form.items(multi=True)]
        names = [name for name, _ in parameters]
        return self.ledger.arrived(
            endpoint, dialect.name if dialect else None, request.method, names, list(request.headers.keys())
        )


def _metadata(call: Call) -> Response:
    call.seen.outcome = "served"
    return json_answer(call.dialect.metadata(call.faults.issuer))


def _no_keys(call: Call) -> Response:
    # Discovery must name a key set; nothing here is ever signed.
    call.seen.outcome = "served"
    return json_answer({"keys": []})


def _rules(dialects: Iterable[Dialect]) -> list[Rule]:
    rules = [
        _rule(resources.ORDERS, "api", "ultracart", "GET"),
        _rule(f"{resources.ORDERS}/<order_id>", "api", "ultracart", "GET"),
        _rule("/openid/jwks", "jwks", "openid", "GET"),
        *(_rule(path, "metadata", name, "GET") for name, path in _METADATA_PATHS.items()),
    ]
    for dialect in dialects:
        rules += [
            _rule(f"{dialect.prefix}/authorize", "authorize", dialect.name, "GET", "POST"),
            _rule(f"{dialect.prefix}/token", "token", dialect.name, "POST"),
            _rule(f"{dialect.prefix}/revoke", "revoke", dialect.name, "POST"),
            _rule(f"{dialect.prefix}/me", "me", dialect.name, "GET"),
        ]
    return rules


def _rule(path: str, endpoint: str, dialect: str, *methods: str) -> Rule:
    return Rule(path, endpoint=endpoint, defaults={"dialect": dialect}, methods=methods)

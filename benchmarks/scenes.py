"""What each function is asked, and what it is answered: recorded on the local stack, played by `benchmarks.replay`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from benchmarks.replay import SHARED
from functions.vault.grant import obtained_document
from functions.vault.grant.connection import JUST_OBTAINED
from functions.vault.grant.obtained import Obtained
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.tokens import SealedTokens
from functions.vault.services import Services
from functions.vault.storage.registrations import KEPT
from local.aws.account import EmulatedAws
from local.gateway.invoker import alias_for
from local.stack import Stack
from tests.browser import Browser
from tests.unlimited import lift_the_limit, limit

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from local.aws.call import AwsCall

TOKEN_ANSWER = {
    "access_token": "a" * 40,
    "refresh_token": "r" * 40,
    "token_type": "bearer",
    "expires_in": "3600",
    "scope": "item_read order_read",
}


IN_A_SLOT = "refresh, of a provider with slots"
"""The scene of a refresh at a provider that names how many requests it takes at a time."""


@dataclass(frozen=True)
class Exchange:
    """A request to AWS, its operation and document, and what it was answered."""

    service: str
    operation: str
    document: dict[str, Any]
    answer: str

    @property
    def name(self) -> str:
        """Return what it is replayed by: its operation, and whether it is of the table of what connections share."""
        return self.operation + (SHARED if "SharedTable" in self.document.get("TableName", "") else "")


@dataclass(frozen=True)
class Scene:
    """One invocation of a function: its event, its environment, and the requests to AWS that it makes, in order."""

    function: str
    event: dict[str, Any]
    env: dict[str, str]
    exchanges: tuple[Exchange, ...]
    asks_the_provider: bool = False
    port: int = 0
    delays: Mapping[str, float] = field(default_factory=dict)
    """Seconds that an operation takes; "provider" and "aws" stand for all of theirs."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """Further answers, for whoever does the same work in another way."""

    def answers(self) -> dict[str, Any]:
        """Return the scene as `benchmarks.replay` takes it."""
        aws = self.delays.get("aws", 0)
        said = {x.name: {"body": x.answer, "delay": aws} for x in self.exchanges}
        provider = {"body": json.dumps(TOKEN_ANSWER), "delay": self.delays.get("provider", 0)}
        revoked = {"body": '{"successful": true, "message": ""}', "delay": provider["delay"]}
        return said | {
            "port": self.port,
            "POST /rest/v2/oauth/token": provider,
            "POST /rest/v2/oauth/revoke": revoked,
            **self.also,
        }

    def without(self, operations: Container[str]) -> Scene:
        """Return the scene without requests for these operations."""
        return replace(self, exchanges=tuple(x for x in self.exchanges if x.operation not in operations))

    def slowed(self, **delays: float) -> Scene:
        """Return the scene in which AWS or the provider take so many seconds for each answer."""
        return replace(self, delays=delays)


class _RecordingAws(EmulatedAws):
    """The emulated account, whose answers to the functions are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[Exchange] = []

    def _emulate(self, call: AwsCall, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        answer = b"".join(super()._emulate(call, environ, start_response))
        if environ.get("HTTP_X_AMZ_TARGET"):
            self.exchanges.append(Exchange(call.service, call.operation, json.loads(body), answer.decode()))
        return [answer]


class Recorder:
    """Goes through a connection's life on a stack, once, and keeps a scene of each call."""

    def __init__(self) -> None:
        self.scenes: dict[str, Scene] = {}

    def record(self) -> dict[str, Scene]:
        """Return the scenes by name: those of the functions, and `token expired` and `garbage ...`."""
        aws = _RecordingAws()
        stack = Stack()
        stack._aws = aws  # noqa: SLF001 - the stack knows no other way to be listened to
        with stack:
            lift_the_limit(stack)
            self._go_through(stack, aws)
        return self.scenes

    def _go_through(self, stack: Stack, aws: _RecordingAws) -> None:
        def call(function: str, event: dict[str, Any], *, name: str = "", asks_the_provider: bool = False) -> Any:
            aws.exchanges.clear()
            answer = stack.invoke(f"{function}:{alias_for(event)}", event)
            assert answer is not None, f"{function} raised"
            deployed = stack.deployment.functions[f"gatehouse-{function}"]
            environment, port = dict(deployed.environment), urlsplit(stack.demo.url).port
            self.scenes[name or function] = Scene(
                function, event, environment, tuple(aws.exchanges), asks_the_provider, port or 0
            )
            return answer

        browser = Browser(stack)
        started = call("start", {"provider": "ultracart", "owner": "customer-12345678"})
        ticket = urlsplit(started["authorize_url"]).path.rpartition("/")[2]
        sent_on = call("authorize", _browser_event("GET /authorize/{ticket}", {"ticket": ticket}))
        cookie = sent_on["cookies"][0].partition(";")[0]
        callback = urlsplit(browser.consent(sent_on["headers"]["Location"]))
        answered = _browser_event("GET /callback/{provider}", {"provider": "ultracart"}, callback.query, [cookie])
        # The exchange, and the redirect to its result: the page is shown by another visit.
        assert call("callback", answered, asks_the_provider=True)["statusCode"] == 303
        which = {"connection_id": started["connection_id"]}
        call("confirm", _to_confirm(stack))
        call("token", which)
        call("connections", which)
        call("sweep", {})
        call("rescue", _rescued(stack, started["connection_id"]))
        stack.clock.advance(JUST_OBTAINED)
        call("refresh", which, asks_the_provider=True)
        # Of another connection: nobody has opened its tokens yet.
        other = {"connection_id": Browser(stack).connect()}
        limit(stack, 1)
        stack.clock.advance(KEPT)
        call("refresh", other, name=IN_A_SLOT, asks_the_provider=True)
        lift_the_limit(stack)
        stack.clock.advance(3700)
        call("token", which, name="token expired", asks_the_provider=True)
        call("revoke", which, asks_the_provider=True)
        # The right request and the right browser, but not a state that was given out.
        request_id = parse_qs(callback.query)["state"][0].partition(".")[0]
        forged = answered | {"rawQueryString": f"code=x&state={request_id}.{'A' * 43}"}
        call("callback", forged, name="garbage callback")
        call("authorize", _browser_event("GET /authorize/{ticket}", {"ticket": "nonsense"}), name="garbage authorize")


def _to_confirm(stack: Stack) -> dict[str, Any]:
    """Return what confirms a consent that has just been given."""
    browser = Browser(stack)
    started = browser.start(confirm=True, return_to=f"{stack.base_url}/app")
    back = browser.open(browser.consent(browser.authorize(started["authorize_url"]))).headers["Location"]
    return {
        "connection_id": started["connection_id"],
        "confirmation": parse_qs(urlsplit(back).query)["confirmation"][0],
    }


def _rescued(stack: Stack, connection_id: str) -> dict[str, Any]:
    """Return what lies in the rescue queue, of a connection: an answer whose first write failed."""
    services = Services.from_environ(stack.deployment.functions["gatehouse-token"].environment)
    stored = services.connections.require(connection_id)
    current = stored.current
    assert current is not None, "the scene has connected it just before"
    tokens = SealedTokens(
        current.id,
        current.seal,
        current.whose,
        refreshable=True,
        token_type=current.token_type,
        obtained_at=stored.updated_at,
    )
    obtained = Obtained(connection_id, "holder", tokens, refreshed_from=RefreshedFrom("another", 0))
    document: dict[str, Any] = json.loads(obtained_document.to_json(obtained))
    return document


def _browser_event(route: str, path: dict[str, str], query: str = "", cookies: Iterable[str] = ()) -> dict[str, Any]:
    """Return what the HTTP API sends for a browser's request (payload format 2.0)."""
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": "/",
        "rawQueryString": query,
        "headers": {"user-agent": "a browser", "accept": "text/html"},
        "pathParameters": path,
        "cookies": list(cookies),
        "requestContext": {"http": {"method": "GET", "path": "/"}, "stage": "$default"},
        "isBase64Encoded": False,
    }


class Playing:
    """A scene at work: a process that replays it; a context manager ends it."""

    def __init__(self, answers: Mapping[str, Any], certificate: Path | None = None) -> None:
        """``certificate`` is a file with a key and its certificate, where it is to be played over TLS."""
        self._answers = answers
        self._arguments = [str(certificate)] if certificate else []
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Start it."""
        command = [sys.executable, "-m", "benchmarks.replay", *self._arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._answers) + "\n")
        self._process.stdin.flush()
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """Return requests, bytes sent and bytes received by operation, since this was last asked."""
        with urllib.request.urlopen(f"{self.url}/_counts", timeout=10) as response:  # noqa: S310 - our own server
            return {operation: tuple(count) for operation, count in json.load(response).items()}

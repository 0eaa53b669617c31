"""All functions in one process, on an account in memory: from the event that Lambda passes to the answer that it gets.

Nothing of Gatehouse is replaced but AWS, the network and the time. A deployment is prepared once, with connections and
requests in every state; each example works on a copy.
"""

from __future__ import annotations

import importlib
import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from functions.vault.base.errors import ProviderTimedOut
from functions.vault.base.timing import Timing
from functions.vault.oauth.transport import Answer
from functions.vault.services import Services
from functions.vault.settings import Settings
from tests.properties.account import AUTHORIZATIONS, CONNECTIONS, SHARED, Account

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Said = Answer | None | Callable[[dict[str, str]], Answer]

BASE_URL, RETURN_TO, APPLICATION = "https://gate.example", "https://app.example/done?a=b", "https://app.example/"
CLIENT_SECRET = "client-secret-6f1d0b9a"
_ENVIRONMENT = {
    "GATEHOUSE_BASE_URL": BASE_URL,
    "GATEHOUSE_RETURN_TO_ORIGINS": "https://app.example,http://localhost:3000",
    "GATEHOUSE_APPLICATION_URL": APPLICATION,
    "GATEHOUSE_CONNECTIONS_TABLE": CONNECTIONS,
    "GATEHOUSE_AUTHORIZATIONS_TABLE": AUTHORIZATIONS,
    "GATEHOUSE_SHARED_TABLE": SHARED,
    "GATEHOUSE_KEY_ID": "arn:aws:kms:us-east-1:123456789012:key/1",
    "GATEHOUSE_REFRESH_QUEUE_URL": "https://sqs.example/refresh.fifo",
    "GATEHOUSE_REVOKE_QUEUE_URL": "https://sqs.example/revoke",
    "GATEHOUSE_RESCUE_QUEUE_URL": "https://sqs.example/rescue",
    "GATEHOUSE_PUSHED_REQUESTS": "true",
    "GATEHOUSE_UNPUBLISHED_QUEUE_URL": "https://sqs.example/events",
    "GATEHOUSE_EVENT_BUS": "default",
    "GATEHOUSE_DEPLOYMENT": "gatehouse",
}
INVOKED = (
    *("start", "token", "refresh", "revoke", "connections", "confirm", "import_connection"),
    *("sweep", "rescue", "reseal", "export", "events"),
)
BROWSED = ("authorize", "callback")
QUEUED = ("refresh", "revoke", "rescue", "events")

_ACME: dict[str, Any] = {
    "client_id": "client-1",
    "client_secret": CLIENT_SECRET,
    "authorization_endpoint": "https://acme.example/authorize?tenant=1",
    "token_endpoint": "https://acme.example/token",
    "revocation_endpoint": "https://acme.example/revoke",
    "scopes": ["read", "write"],
}
_ISSUER = {"issuer": "https://id.example", "jwks_uri": "https://id.example/keys"}
REGISTRATIONS: dict[str, dict[str, Any]] = {
    "acme": _ACME,
    "posted": _ACME | {"response_mode": "form_post"},
    "pushed": _ACME
    | {
        "pushed_authorization_request_endpoint": "https://acme.example/par",
        "require_pushed_authorization_requests": True,
    },
    "named": _ACME | _ISSUER | {"authorization_response_iss_parameter_supported": True},
    "slow": _ACME | {"max_concurrency": 1},
    "apart": _ACME | {"revocation_ends_authorization": False, "subject": "account", "metadata": ["account", "region"]},
    "asked": _ACME | {"subject": "sub", "account_endpoint": "https://acme.example/me"},
    "identified": _ACME | _ISSUER | {"subject": "id_token.sub", "nonce": True},
    "renamed": _ACME | {"code_parameter": "auth_code", "callback_metadata": {"realm": "[0-9]{1,20}"}, "pkce": "none"},
    "shop": _ACME
    | {
        "authorization_endpoint": "https://{shop}.acme.example/authorize",
        "token_endpoint": "https://{shop}.acme.example/token",
        "revocation_endpoint": "",
        "parameters": {"shop": "[a-z0-9][a-z0-9-]{0,62}"},
    },
    "broken": {"client_id": "client-1", "token_endpoint": "http://acme.example/token"},
}
_BEGINNING = 1_700_000_000.0


class Server:
    """Every authorization server: it issues tokens and confirms revocations, or says what a test wants it to say.

    `said` is what it says to all requests (None: it never answers), `requests` are the forms that it got.
    """

    def __init__(self) -> None:
        self.said: Said = self.issue
        self.requests: list[dict[str, str]] = []
        self.issued = 0

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Answer a request."""
        del method, headers, timeout
        form = dict(parse_qsl(body or "")) | {"url": url}
        self.requests.append(form)
        if self.said is None:
            raise ProviderTimedOut("The authorization server did not answer in time.")
        return self.said(form) if callable(self.said) else self.said

    def issue(self, form: dict[str, str]) -> Answer:
        """Do what is asked for."""
        document: dict[str, Any] = {}
        if "grant_type" in form:
            self.issued += 1
            document = {"access_token": f"access-token-{self.issued}-5d8c", "expires_in": 3600, "account": "A-1"}
            document["refresh_token"] = f"refresh-token-{self.issued}-77ab"
        elif form["url"].endswith("/par"):
            document = {"request_uri": "urn:example:pushed"}
        elif form["url"].endswith("/keys"):
            document = {"keys": []}
        elif form["url"].endswith("/me"):
            document = {"sub": "A-1"}
        return Answer(200, {"content-type": "application/json"}, json.dumps(document).encode())


class _Services(Services):
    """The services of a function, in this account and this time."""

    def __init__(self, deployment: Deployment) -> None:
        # The base class would make a session of boto3 here, for each example.
        self.settings = Settings(_ENVIRONMENT)
        self.timing = Timing(now=lambda: deployment.now, sleep=deployment.sleep, jitter=lambda: 0.5)
        self._clients = deployment.account.client_of
        self._on_date = None
        self._on_one_machine = False
        network: Any = deployment.server
        self._outbound = network


@dataclass(frozen=True)
class Visit:
    """What one browser knows of one request: the ticket of its link, its cookie and, once it was sent on, the state."""

    provider: str
    ticket: str
    cookie: str
    state: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what nobody else may learn."""
        value = self.cookie.partition("=")[2]
        return (self.ticket.partition(".")[2], *value.split("."), self.state.partition(".")[2])


@dataclass(frozen=True)
class Called:
    """What came of a call: the answer, or the error by which the function failed; and the lines that it logged."""

    answer: Any
    raised: Exception | None
    log: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the log."""
        return [json.loads(line) for line in self.log.splitlines()]


@dataclass(frozen=True)
class _Context:
    aws_request_id: str
    invoked_function_arn: str
    deployment: Deployment
    ends_at: float

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that are left."""
        return int((self.ends_at - self.deployment.now) * 1000)


@dataclass
class Deployment:
    """One deployment. Time passes only while a function sleeps, and by `pass_time`."""

    account: Account
    server: Server = field(default_factory=Server)
    now: float = _BEGINNING
    visits: dict[str, Visit] = field(default_factory=dict)
    confirmation: str = ""

    def __post_init__(self) -> None:
        """Make the services that all functions share, like one warm process."""
        self._services = _Services(self)

    def copy(self) -> Deployment:
        """Return a deployment in the same state, with nothing in its memory."""
        copied = Deployment(self.account.copy(), now=self.now, visits=dict(self.visits), confirmation=self.confirmation)
        copied.server.issued = self.server.issued
        return copied

    def sleep(self, seconds: float) -> None:
        """Let time pass while a function waits."""
        self.now += seconds

    def call(self, function: str, event: Any, seconds: float = 29.0, *, by_api: bool = False) -> Called:
        """Invoke a function: by the API's alias, by which browsers come, too, or else by the one for Invoke."""
        handler = importlib.import_module(f"functions.{function}").handler.with_services(self._services)
        alias = "http" if by_api or function in BROWSED else "live"
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:gatehouse-{function}:{alias}"
        context, log = _Context("request-of-lambda", arn, self, self.now + seconds), io.StringIO()
        answer, raised = None, None
        with redirect_stdout(log):
            try:
                answer = handler(event, context)
            except Exception as error:  # noqa: BLE001 - whatever it is, the property says what it must not be
                raised = error
        return Called(answer, raised, log.getvalue())

    def done(self, function: str, event: Any, seconds: float = 29.0) -> Any:
        """Invoke a function that has to succeed."""
        called = self.call(function, event, seconds)
        assert called.raised is None, called.raised
        assert "error" not in called.answer, called.answer
        return called.answer

    def start(self, provider: str, **fields: Any) -> str:
        """Start an authorization, and return the ticket of its link."""
        return str(self.done("start", {"provider": provider, **fields})["authorize_url"]).rpartition("/")[2]

    def open(self, provider: str, ticket: str) -> Visit:
        """Open a link."""
        sent = self.done("authorize", browsed("GET", {"ticket": ticket}))
        query = parse_qs(urlsplit(sent["headers"]["Location"]).query)
        state = query["state"][0] if "state" in query else self.server.requests[-1]["state"]
        return Visit(provider, ticket, sent["cookies"][0].partition(";")[0], state)

    def come_back(self, visit: Visit, **parameters: str) -> Any:
        """Come back from the authorization server."""
        query = urlencode({"state": visit.state, **parameters})
        if visit.provider == "posted":
            return self.done("callback", posted({"provider": visit.provider}, query, [visit.cookie]))
        return self.done("callback", browsed("GET", {"provider": visit.provider}, query, [visit.cookie]))

    def connect(self, provider: str, connection_id: str, **fields: Any) -> Visit:
        """Go the whole way."""
        visit = self.open(provider, self.start(provider, connection_id=connection_id, **fields))
        self.come_back(visit, code=f"code-of-{connection_id}-3e21", iss=_ISSUER["issuer"])
        return visit


def browsed(
    method: str, path: Mapping[str, str], query: str = "", cookies: list[str] | None = None, **more: Any
) -> dict[str, Any]:
    """Return the event of a browser's request."""
    return {
        "version": "2.0",
        "rawQueryString": query,
        "cookies": cookies or [],
        "headers": {"host": "gate.example"},
        "pathParameters": dict(path),
        "requestContext": {"http": {"method": method, "path": "/", "sourceIp": "192.0.2.1"}},
        "isBase64Encoded": False,
        **more,
    }


def posted(path: Mapping[str, str], form: str, cookies: list[str]) -> dict[str, Any]:
    """Return the event of a form that a browser posts."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return browsed("POST", path, "", cookies, headers=headers, body=form)


@cache
def prepared() -> Deployment:
    """Return a deployment with connections and requests in every state. It is copied, never used."""
    made = Deployment(Account({name: json.dumps(document) for name, document in REGISTRATIONS.items()}))
    made.visits["expired"] = made.open("acme", made.start("acme"))
    for name in ("old", "dead", "revoked", "revoking"):
        made.connect("acme", name, owner="owner-1")
    made.connect("apart", "apart", owner="owner-2", tags={"tier": "gold"})
    made.now += 4000
    made.server.said = Answer(400, {}, b'{"error": "invalid_grant"}')
    assert made.call("refresh", {"connection_id": "dead"}).answer["error"] == "reauthorization_required"
    made.server.said = Answer(500, {}, b"")
    made.done("revoke", {"connection_id": "revoking"})
    made.server.said = made.server.issue
    made.done("revoke", {"connection_id": "revoked"})
    made.visits["consumed"] = made.connect("acme", "active", return_to=RETURN_TO)
    asked = made.start("acme", connection_id="unconfirmed", owner="owner-1", confirm=True, return_to=RETURN_TO)
    made.visits["unconfirmed"] = made.open("acme", asked)
    back = made.come_back(made.visits["unconfirmed"], code="code-to-be-confirmed-88f0")
    made.confirmation = parse_qs(urlsplit(back["headers"]["Location"]).query)["confirmation"][0]
    asked = made.start("acme", connection_id="active", confirm=True, return_to=RETURN_TO)
    made.visits["confirming"] = made.open("acme", asked)
    for name in ("posted", "pushed", "named", "slow", "asked", "renamed"):
        made.connect(name, f"of-{name}")
    made.connect("shop", "of-shop", parameters={"shop": "one"})
    made.visits["failed"] = made.open("acme", made.start("acme", connection_id="active"))
    made.come_back(made.visits["failed"], error="access_denied")
    made.visits["unopened"] = Visit("acme", made.start("acme"), "", "")
    for name in REGISTRATIONS.keys() - {"broken"}:
        fields = {"parameters": {"shop": "one"}} if name == "shop" else {}
        made.visits[name] = made.open(name, made.start(name, connection_id=f"new-{name}", **fields))
    made.visits["returning"] = made.open("acme", made.start("acme", connection_id="old", return_to=RETURN_TO))
    made.visits["slot"] = made.visits.pop("slow")
    return made

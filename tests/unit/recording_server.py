"""An authorization server in memory that records requests, and registrations of clients at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs

from functions.vault.oauth.transport import Answer
from functions.vault.provider.registration import Registration
from tests.unit.samples import NOW, answer, registration

REDIRECT_URI = "https://gate.example/callback/acme"
WALL = NOW - 86400
"""The wall clock: the clock of the records was moved forward by a day."""

TOKEN_ANSWER = answer('{"access_token":"AT-2","expires_in":3600}')
HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/x-www-form-urlencoded",
    "User-Agent": "gatehouse",
}
REFUSED = answer('{"error":"invalid_client"}', 401)
TWO: dict[str, Any] = {"client_secret": "new", "previous_client_secret": "old"}
REQUEST = [
    ("response_type", "code"),
    ("client_id", "client-1"),
    ("resource", "a:b"),
    ("resource", "c:d"),
    ("state", "x"),
]


@dataclass
class Server:
    """An authorization server that records each request, and sends the given answers, the last one repeatedly."""

    answers: list[Answer] = field(default_factory=lambda: [TOKEN_ANSWER])
    requests: list[tuple[str, str, dict[str, str], str, float]] = field(default_factory=list)

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Note the request and answer."""
        self.requests.append((method, url, dict(headers), body or "", timeout))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def forms(self) -> list[dict[str, str]]:
        """Return the form of each request; every name comes once."""
        parsed = [parse_qs(body, keep_blank_values=True, strict_parsing=True) for *_, body, _ in self.requests]
        assert all(len(values) == 1 for form in parsed for values in form.values())
        return [{name: value for name, (value,) in form.items()} for form in parsed]


def at_issuer(client_secret: str | None = None, **fields: Any) -> Registration:
    """Return the registration of a client at a server with a known issuer."""
    return registration(client_secret, **{"issuer": "https://acme.example", **fields})


def par(client_secret: str | None = None, **fields: Any) -> Registration:
    """Return a registration whose provider takes pushed requests."""
    return at_issuer(client_secret, pushed_authorization_request_endpoint="https://acme.example/par", **fields)


def two_secrets(method: str = "client_secret_post") -> Registration:
    """Return the registration of a client whose secret is being rotated."""
    return replace(registration(token_endpoint_auth_method=method), **TWO)

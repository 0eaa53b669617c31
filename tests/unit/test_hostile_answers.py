"""Whatever a server says, at whichever endpoint: a result or a failure of the services, never an error of another kind.

Nothing that it says comes back unescaped, at length, or with anything that was sent to it in confidence.
"""

from __future__ import annotations

import json
import random
import re
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import GatehouseError
from functions.vault.oauth.client import Client
from functions.vault.oauth.transport import Answer
from functions.vault.storage.registrations import Registrations
from tests.breadth import EVERY_ONE, combinations
from tests.unit.samples import BROWSER, NOW, registration, validated_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ISSUER = "https://id.example"
SECRETS = ("CODE-of-the-user", BROWSER.code_verifier, "RT-of-the-grant", "hunter2-of-the-client")
LONGEST_ECHO = 200

NUMBERS = [
    "NaN",
    "-Infinity",
    "1e400",
    "-1e400",
    "1" * 5000,
    "-" + "9" * 5000,
    "0.1e-999",
    "1E+2",
    "-0",
    "true",
    "null",
]
STRINGS = [
    '""',
    '" "',
    '"\\ud800"',
    '"\\u0000"',
    '"\\r\\nSet-Cookie: a=b"',
    '"<script>alert(1)</script>"',
    '"' + "x" * 20_000 + '"',
    json.dumps(" ".join(SECRETS)),
    json.dumps("\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH SPACE}\N{GRINNING FACE}"),
]
CONTAINERS = ["[]", "{}", '[["a"]]', '{"a":{"b":[1]}}', "[" * 2000 + "]" * 2000, '{"a":' * 2000 + "1" + "}" * 2000]
NAMES = [
    *(
        "access_token",
        "refresh_token",
        "token_type",
        "expires_in",
        "scope",
        "error",
        "error_description",
        "request_uri",
    ),
    *("issuer", "token_endpoint", "authorization_endpoint", "token_endpoint_auth_methods_supported", "account"),
    *("authorization_response_iss_parameter_supported", "refresh_token_expires_in", "successful", "message"),
]
WHOLE = [
    b"",
    b"null",
    b"NaN",
    b"[]",
    b'"access_token"',
    b"<html>",
    b"access_token=a&access_token=b",
    b"access_token=%FF&error=%00",
    b"=&=&=",
    b"&" * 10_000,
    b"\xff\xfe{\x00}\x00",
    b"\x00" * 1000,
    b"\xef\xbb\xbf{}",
    b'{"access_token":"AT","access_token":"BT"}',
    b'{"error":"a","error":"b"}',
    b"{" * 100_000,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"access_token":"AT"',
    b"{'access_token':'AT'}",
    ('{"access_token":"AT","expires_in":' + "1" * 5000 + "}").encode(),
]
HEADERS: list[dict[str, str]] = [
    {},
    {"content-type": "application/json"},
    {"content-type": "application/x-www-form-urlencoded; charset=\xff"},
    {"content-type": "text/html", "uc-rest-error": "<b>" + "y" * 10_000},
    {"retry-after": "1" * 5000, "date": "x"},
    {"retry-after": "Thu, 99 Foo 2026 99:99:99 GMT"},
    {"retry-after": "Thu, 01 Jan 9999 00:00:00 -9959", "date": "Thu, 01 Jan 0001 00:00:00 +9959"},
    {"retry-after": "\u0662"},
]
STATUSES = [200, 201, 204, 299, 302, 304, 400, 401, 403, 404, 405, 408, 410, 418, 429, 451, 500, 502, 503, 599, 999]
GOOD = {"access_token": '"AT-1"', "request_uri": '"urn:a"', "issuer": f'"{ISSUER}"'}
# What stands beside a member, and the status: most often what lets the rest be believed.
BESIDE: list[tuple[dict[str, str], int]] = [(GOOD, 200), ({}, 200), (GOOD, 400), (GOOD, 200), ({}, 400)]
WITH_HEADERS = combinations(list(product(range(len(WHOLE)), STATUSES)), HEADERS)
MEMBERS = combinations(list(product(NAMES, [*NUMBERS, *STRINGS, *CONTAINERS])), BESIDE)


class Hostile:
    """A server that gives everybody the same answer."""

    def __init__(self, said: Answer) -> None:
        self._said = said

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the answer."""
        del method, url, headers, body, timeout
        return self._said


def acts(said: Answer) -> dict[str, Callable[[], object]]:
    """Return every kind of request to a server."""
    client = Client(Hostile(said), lambda: NOW)
    known = registration(
        "hunter2-of-the-client",
        pushed_authorization_request_endpoint="https://acme.example/par",
        token_endpoint_auth_method="client_secret_post",
        subject="account",
        metadata=("account", "scope", "issuer"),
        revocation_success="successful",
    )
    response = validated_response(code=SECRETS[0])
    push = [("client_id", "client-1"), ("state", BROWSER.state)]
    return {
        "exchange": lambda: client.exchange(known, response, "https://gate.example/callback/acme", 9),
        "refresh": lambda: client.refresh(known, SECRETS[2], 9),
        "revoke": lambda: client.revoke(known, "refresh_token", SECRETS[2], 9),
        "push": lambda: client.push(known, push, 9),
        "discover": lambda: discovered(said),
    }


class Secrets:
    """A Secrets Manager with one registration."""

    def get_secret_value(self, **_arguments: Any) -> dict[str, str]:
        """Return the secret."""
        return {"SecretString": json.dumps({"client_id": "client-1", "issuer": ISSUER})}


def discovered(said: Answer) -> object:
    """Discover a provider."""
    return Registrations(lambda _: Secrets(), "", Hostile(said), lambda: NOW, loopback_http=False).get("acme")


def hold(said: Answer) -> None:
    """Send every request: each answer is accepted, or fails in order."""
    for act in acts(said).values():
        try:
            act()
        except GatehouseError as error:
            check(error)


def check(error: GatehouseError) -> None:
    """Check the failure that an answer means."""
    result = error.as_result()
    echoed = result.get("provider_error") or {}
    words = [echoed.get("error"), echoed.get("error_description")]
    assert all(word is None or (len(word) <= LONGEST_ECHO and re.fullmatch(r"[\x20-\x7e]*", word)) for word in words)
    assert [secret for secret in SECRETS if secret in json.dumps(result)] == []
    assert result.get("retry_after") is None or 0 <= result["retry_after"] <= 86400
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("body", WHOLE, ids=range(len(WHOLE)))
def test_a_body_of_any_kind(body: bytes) -> None:
    """With every status, and with every kind of header at one of the bodies."""
    for (index, status), headers in WITH_HEADERS:
        if WHOLE[index] is body:
            hold(Answer(status, headers, body))


@pytest.mark.parametrize("name", NAMES)
def test_a_member_of_any_kind(name: str) -> None:
    """Beside a valid access token, or alone."""
    for (member, value), (others, status) in MEMBERS:
        if member == name:
            members = {**others, name: value}
            body = "{" + ",".join(f'"{key}":{text}' for key, text in members.items()) + "}"
            hold(Answer(status, {"content-type": "application/json"}, body.encode()))


@pytest.mark.parametrize("seed", range(8 if EVERY_ONE else 3))
def test_anything_at_all(seed: int) -> None:
    """Random and repeatable: members and values of all kinds, some cut short or with flipped bits."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be kept secret

    for _ in range(150):
        members = [
            f'"{chance.choice(NAMES)}":{chance.choice([*NUMBERS, *STRINGS[:6], *CONTAINERS[:4]])}'
            for _ in range(chance.randrange(6))
        ]
        body = bytearray(("{" + ",".join(members) + "}").encode(errors="surrogatepass"))
        if chance.random() < 0.3:
            body = body[: chance.randrange(len(body) + 1)]
        for _ in range(chance.randrange(3) if body else 0):
            body[chance.randrange(len(body))] = chance.randrange(256)
        hold(Answer(chance.choice(STATUSES), chance.choice(HEADERS), bytes(body)))

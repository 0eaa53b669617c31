"""No secret is at rest, in a log, on a page or in an answer: everything is done, everything is read, nothing is found.

The stack runs as its user runs it, in a process of its own, so that all it ever says is in one file. Each fault meets
one of the providers here, and each of them in `make fuzz`.
"""

from __future__ import annotations

import base64
import html
import json
import re
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, quote_plus, urlencode, urlsplit

import boto3
import pytest
import requests
from werkzeug.wrappers import Response

from functions.vault.grant.connection import JUST_OBTAINED
from local.base.environment import REGION
from tests.breadth import combinations
from tests.browser import Browser
from tests.flows.application import TIMEOUT
from tests.flows.scripted import CODE, scripted
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.flows.scripted import Received, Scripted

PLANTED = "planted-" + uuid.uuid4().hex
RUDE = {
    "client_id": "rude client",
    "client_secret": "rude:s3cret/+ü-7f0b2c9d",
    "client_secret_previous": "rude:s3cret/+ü-before-51e8a7",
    "access_token": "rude-access-1b6f2a90c4",
    "refresh_token": "rude-refresh-55d0e8b713",
    "api_key": "Rude-Key 9c4e/7b+20f1d6&a8",
    "parameter": "rude-parameter-e07731bc94",
}
# Short enough to be anywhere by chance, and public besides.
_SHORTEST = 8
_MANY = 1000
_FAULTS: list[dict[str, Any]] = [
    {"status": 500},
    {"status": 429, "retry_after": 3},
    {"html": True},
    {"drop_answer": True},
    {"huge_body_bytes": 1_000_000},
    {"error": "invalid_client"},
    {"error": "invalid_client", "error_form": "ok"},
    {"error": "invalid_scope", "error_form": "error_response"},
    {"redirect_to": "http://127.0.0.1:9/"},
    {"expires_in_literal": "[]"},
    {"rotate": True},
]


# The scan


def spellings(secret: str) -> set[str]:
    """Return the ways in which a secret may stand in a text: as it is, encoded, or inside something encoded."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), quote_plus(secret), quote(secret), html.escape(secret), raw.hex()}
    quoted = json.dumps(secret)[1:-1]
    # Escaped once, and again if one JSON text is quoted within another.
    found |= {json.dumps(quoted)[1:-1], quoted, json.dumps(secret, ensure_ascii=False)[1:-1], raw.decode("latin-1")}
    # HTTP Basic has the secret form-encoded below the base64 (RFC 6749 section 2.3.1).
    for octets in {raw, quote_plus(secret).encode()}:
        for before in range(3):
            # What stands before shifts the secret in base64; the characters at both ends depend on the neighbours.
            encoded = base64.b64encode(b"\0" * before + octets).decode().rstrip("=")
            inner = encoded[(before * 8 + 5) // 6 : len(encoded) - 1]
            found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {spelling for spelling in found if len(spelling) >= _SHORTEST}


def scan(secrets: dict[str, set[str]], places: dict[str, str]) -> set[tuple[str, str]]:
    """Return where which kind of secret was found; never the secret itself."""
    by_beginning: dict[str, list[tuple[str, str]]] = {}
    for kind, values in secrets.items():
        for spelling in {spelling for value in values for spelling in spellings(value)}:
            by_beginning.setdefault(spelling[:_SHORTEST], []).append((kind, spelling))
    return {found for place, text in places.items() for found in _found_in(place, text, by_beginning)}


def _found_in(place: str, text: str, by_beginning: dict[str, list[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    """Yield what a place has. If spellings are many, going through the text once is faster than a search for each."""
    if len(by_beginning) > _MANY:
        beginnings = {text[at : at + _SHORTEST] for at in range(len(text))} & by_beginning.keys()
    else:
        beginnings = {each for each in by_beginning if each in text}
    for beginning in beginnings:
        yield from ((place, kind) for kind, spelling in by_beginning[beginning] if spelling in text)


# What is done, and what is kept of it


@dataclass
class Witness:
    """Everybody's ears: what the functions answered and showed, and every secret that a browser held."""

    base_url: str
    demo_url: str
    aws_endpoint: str
    answers: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    secrets: dict[str, set[str]] = field(default_factory=dict)

    def keep(self, kind: str, *values: str) -> None:
        """Remember secrets of a kind."""
        self.secrets.setdefault(kind, set()).update(values)

    def invoke(self, function: str, event: Any, *, keep_answer: bool = True) -> Any:
        """Invoke a function; of the answer everything is kept but the access token or link that it is there to give."""
        url = f"{self.base_url}/2015-03-31/functions/gatehouse-{function}/invocations"
        return self._kept(function, requests.post(url, json=event, timeout=TIMEOUT), keep_answer=keep_answer)

    def post(self, function: str, body: str) -> Any:
        """Call a function by HTTP, likewise."""
        url = f"{self.base_url}/v1/{function}"
        return self._kept(function, requests.post(url, body.encode(), timeout=TIMEOUT), keep_answer=True)

    def pass_time(self, seconds: int) -> None:
        """Move the stack's clock."""
        requests.post(f"{self.base_url}/_local/clock", json={"advance_seconds": seconds}, timeout=TIMEOUT)

    def _kept(self, function: str, answer: requests.Response, *, keep_answer: bool) -> Any:
        document = answer.json()
        given = {"start": "authorize_url", "token": "access_token", "refresh": "access_token"}.get(function, "")
        kept = {name: value for name, value in document.items() if name != given}
        if keep_answer:
            self.answers.append(json.dumps(kept, ensure_ascii=False) + str(answer.headers))
        if "authorize_url" in document:
            self.keep("ticket", document["authorize_url"].rpartition(".")[2])
        return document

    def faults(self, endpoint: str, **fault: Any) -> None:
        """Set a switch of the demo server; none: it works again."""
        if fault:
            document = {"endpoint": endpoint, **fault}
            requests.put(f"{self.demo_url}/_demo/faults", json=document, timeout=TIMEOUT).raise_for_status()
        else:
            requests.delete(f"{self.demo_url}/_demo/faults", timeout=TIMEOUT).raise_for_status()

    def client(self, service: Any) -> Any:
        """Return a client of the emulated account."""
        return boto3.client(
            service,
            endpoint_url=self.aws_endpoint,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )


class WatchedBrowser(Browser):
    """A browser whose owner notes every secret that it holds, and every page of Gatehouse that it shows."""

    def __init__(self, witness: Witness) -> None:
        stack: Any = SimpleNamespace(base_url=witness.base_url, demo=SimpleNamespace(url=witness.demo_url))
        super().__init__(stack, f"LEAK-{uuid.uuid4().hex[:8]}")
        self._witness = witness

    def get(self, url: str, **headers: str) -> requests.Response:
        """GET, and note."""
        answer = super().get(url, **headers)
        for value in self.cookies.values():
            self._witness.keep("cookie", *value.split("."))
        query = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
        for state in query.get("state", []):
            self._witness.keep("state", state, state.partition(".")[2])
        self._witness.keep("code", *query.get("code", []))
        self._witness.keep("confirmation", *query.get("confirmation", []))
        if answer.url.startswith(self._witness.base_url):
            public = {name: value for name, value in answer.headers.items() if name not in {"Location", "Set-Cookie"}}
            self._witness.pages.append(answer.text + str(public))
        if "?result=" in answer.headers.get("Location", ""):
            self._note_result(answer)
        return answer

    def post(self, url: str, form: dict[str, str], **headers: str) -> requests.Response:
        """POST, and note."""
        answer = super().post(url, form, **headers)
        self._note_result(answer)
        return answer

    def _note_result(self, answer: requests.Response) -> None:
        """Note where a response leads: that is public, apart from what names the visit there."""
        location = answer.headers.get("Location", "")
        for visit in re.findall(r"result=[A-Za-z0-9_-]{22}\.([A-Za-z0-9_-]{43})", location):
            self._witness.keep("result", visit)
            location = location.replace(visit, "")
        self._witness.pages.append(f"{answer.text} {location}")


@dataclass
class Evidence:
    """What was said and stored, by place, and the secrets to look for in it."""

    places: dict[str, str]
    secrets: dict[str, set[str]]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Do everything, then read everything."""
    log = tmp_path_factory.mktemp("leaks") / "log"
    with log.open("wb") as output, scripted() as rude, _running(output, log) as witness:
        _register(witness, rude)
        _succeed(witness)
        _fail_and_deny(witness)
        _live(witness)
        _ask_whose_account_it_is(witness)
        _put_secrets_where_they_do_not_belong(witness)
        _meet_a_rude_server(witness, rude)
        _bring_along(witness, rude)
        _post_answers(witness, rude)
        _meet_defects(witness)
        _plant(witness)
        tables = _tables(witness)
        for kind, values in requests.get(f"{witness.demo_url}/_demo/secrets", timeout=TIMEOUT).json().items():
            witness.keep(kind, *values)
        for kind in ("client_secret", "access_token", "refresh_token"):
            witness.keep(kind, RUDE[kind])
        witness.keep("private_value", RUDE["api_key"], RUDE["api_key"].partition(" ")[2], RUDE["parameter"])
        witness.keep("client_secret", RUDE["client_secret_previous"])
        witness.keep("code", CODE)
    said = {"log": log.read_text(), "pages": "\n".join(witness.pages), "answers": "\n".join(witness.answers)}
    return Evidence(said | tables, witness.secrets)


@contextmanager
def _running(output: IO[bytes], log: Path) -> Iterator[Witness]:
    """Run the stack as a person does, with all that it says in `log`."""
    command = [sys.executable, "-m", "local", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            while not (found := re.search(r"Open +(\S+)/\s", log.read_text())):
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            info = requests.get(f"{found[1]}/_local", timeout=TIMEOUT).json()
            yield Witness(info["base_url"], info["demo_url"], info["aws_endpoint"])
        finally:
            process.send_signal(signal.SIGINT)


def _register(witness: Witness, rude: Scripted) -> None:
    secrets = witness.client("secretsmanager")

    def register(name: str, registration: dict[str, Any]) -> None:
        secrets.create_secret(Name=f"gatehouse/providers/{name}", SecretString=json.dumps(registration))

    # With any number of requests at a time: each fault would keep those after it waiting for the one slot.
    ultracart_secret = "gatehouse/providers/ultracart"
    ultracart = json.loads(secrets.get_secret_value(SecretId=ultracart_secret)["SecretString"]) | {"max_concurrency": 0}
    secrets.put_secret_value(SecretId=ultracart_secret, SecretString=json.dumps(ultracart))
    ultracart["subject"] = "merchant_id"
    secret = "demo-ultracart-client-secret"
    headers = {"X-UltraCart-Api-Version": "2017-03-01"}
    register(PLANTED, ultracart | {"pkce": "none", "token_headers": headers, "scopes_fixed": True})
    confidential = {"client_secret": secret, "token_endpoint_auth_method": "client_secret_post", "pkce": "S256"}
    register("confidential", ultracart | confidential | {"token_headers": headers})
    credentials: dict[str, Any] = {name: RUDE[name] for name in ("client_id", "client_secret")}
    parameter = {"gateway_key": RUDE["parameter"]}
    credentials |= {"token_headers": {"X-Api-Key": RUDE["api_key"]}, "token_params": parameter}
    credentials |= {"refresh_params": parameter, "revocation_params": parameter}
    register("rude", rude.registration | credentials)
    register("rude-posted", rude.registration | credentials | {"response_mode": "form_post"})
    register("rude-post", rude.registration | credentials | {"token_endpoint_auth_method": "client_secret_post"})
    pushed = {
        "client_id": RUDE["client_id"],
        "client_secrets": [RUDE["client_secret"], RUDE["client_secret_previous"]],
        "pushed_authorization_request_endpoint": f"{rude.url}/par",
        "require_pushed_authorization_requests": True,
    }
    for method in ("client_secret_jwt", "client_secret_basic"):
        register(f"rude-{method}", rude.registration | pushed | {"token_endpoint_auth_method": method})


def _connect(witness: Witness, provider: str = "ultracart", **fields: Any) -> str:
    started = witness.invoke("start", {"provider": provider, **fields})
    page = WatchedBrowser(witness).visit(started["authorize_url"])
    assert page.status_code == 200, page.text
    return str(started["connection_id"])


def _succeed(witness: Witness) -> None:
    """Connect everywhere, reload, come twice, come with another's browser, return to the application, come too late."""
    for provider in ("ultracart", "demo", "confidential"):
        started = witness.invoke("start", {"provider": provider, "return_to": f"{witness.base_url}/"})
        plain = witness.invoke("start", {"provider": provider, "owner": "o", "tags": {"a": "b"}})
        for each in (started, plain):
            browser = WatchedBrowser(witness)
            url = browser.consent(browser.authorize(each["authorize_url"]))
            browser.open(url)
            browser.open(url)
            WatchedBrowser(witness).open(url)
            browser.open(each["authorize_url"])
        _confirm(witness, provider)
    late = witness.invoke("start", {"provider": "demo"})
    browser = WatchedBrowser(witness)
    url = browser.consent(browser.authorize(late["authorize_url"]))
    witness.pass_time(2400)
    assert browser.open(url).status_code == 410


def _confirm(witness: Witness, provider: str) -> None:
    """Confirm with what is wrong, right, and used; what the browser brings is in no line of the log."""
    fields = {"provider": provider, "confirm": True, "owner": "o", "return_to": f"{witness.base_url}/"}
    started = witness.invoke("start", fields)
    browser = WatchedBrowser(witness)
    answer = browser.open(browser.consent(browser.authorize(started["authorize_url"])))
    confirmation = parse_qs(urlsplit(answer.headers["Location"]).query)["confirmation"][0]
    about = {"connection_id": started["connection_id"], "confirmation": confirmation}
    for wrong in ({}, {"owner": "p"}, {"owner": "o", "confirmation": confirmation[::-1]}, {"owner": confirmation}):
        witness.invoke("confirm", about | wrong)
    witness.invoke("connections", {"connection_id": started["connection_id"]})
    for _ in range(2):
        witness.invoke("confirm", about | {"owner": "o"})
    witness.post("confirm", json.dumps(about | {"owner": "o"}))


def _fail_and_deny(witness: Witness) -> None:
    """Every fault at the exchange, then "try again"; a denial, with other words of the server, then consent."""
    providers = ("ultracart", "demo")
    for fault, provider in combinations(_FAULTS, providers):
        started = witness.invoke("start", {"provider": provider})
        browser = WatchedBrowser(witness)
        url = browser.consent(browser.authorize(started["authorize_url"]))
        witness.faults("token", **fault)
        browser.open(url)
        browser.open(url)
        witness.faults("token")
        browser.visit(started["authorize_url"])
    for provider in providers:
        started = witness.invoke("start", {"provider": provider})
        browser = WatchedBrowser(witness)
        browser.visit(started["authorize_url"], "deny")
        _deny_repeating_secrets(browser, started["authorize_url"])
        assert browser.visit(started["authorize_url"]).status_code == 200


def _deny_repeating_secrets(browser: WatchedBrowser, link: str) -> None:
    """Come back from a server that repeats in its no what it was sent, and what the browser holds."""
    query = parse_qs(urlsplit(browser.authorize(link)).query)
    state, redirect_uri = query["state"][0], query["redirect_uri"][0]
    for said in (state, *browser.cookies.values(), quote_plus(quote_plus(f"no {state}!"))):
        no = {"state": state, "error": said[:64], "error_description": f"You said {said}"}
        browser.open(f"{redirect_uri}?{urlencode(no)}")


def _live(witness: Witness) -> None:
    """Vend, refresh and revoke, in good times and bad, by Invoke and by HTTP."""
    for fault, provider in combinations(_FAULTS, ("ultracart", "demo", "confidential")):
        connection_id = _connect(witness, provider)
        event = {"connection_id": connection_id}
        witness.invoke("token", event)
        witness.pass_time(JUST_OBTAINED)
        witness.faults("token", **fault)
        witness.invoke("refresh", event)
        witness.post("token", json.dumps(event | {"min_ttl": 3599}))
        witness.faults("token")
        witness.invoke("connections", event)
        if "drop_answer" not in fault:
            # If an answer was lost, a revocation waits some seconds for it: once is enough.
            event = {"connection_id": _connect(witness, provider)}
        witness.faults("revoke", **fault)
        witness.invoke("revoke", event)
        witness.faults("revoke")
        witness.post("revoke", json.dumps(event))
        witness.invoke("token", event)
    witness.invoke("connections", {"limit": 100})
    dead = _connect(witness, "demo")
    requests.delete(f"{witness.demo_url}/_demo/grants", timeout=TIMEOUT)
    witness.pass_time(JUST_OBTAINED)
    witness.invoke("refresh", {"connection_id": dead})
    witness.invoke("connections", {"connection_id": dead})


def _ask_whose_account_it_is(witness: Witness) -> None:
    """The access token is shown to an endpoint, which answers, refuses or breaks off."""
    witness.faults("token", names_merchant=False)
    for fault in ({}, {"status": 401}, {"error": "invalid_token"}, {"drop_answer": True}):
        witness.faults("me", **fault)
        witness.invoke("token", {"connection_id": _connect(witness)})
    witness.faults("me")
    witness.faults("token")


def _put_secrets_where_they_do_not_belong(witness: Witness) -> None:
    """Code, state, cookie and ticket in every wrong field of a callback, in paths, and in broken requests."""
    for provider in ("ultracart", "demo"):
        browser = WatchedBrowser(witness)
        started = witness.invoke("start", {"provider": provider})
        url = browser.consent(browser.authorize(started["authorize_url"]))
        (query,) = [{name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}]
        cookie = next(reversed(browser.cookies.values()))
        ticket = started["authorize_url"].rpartition("/")[2]
        for secret in (query["code"], query["state"], cookie, ticket, cookie.partition(".")[2]):
            for wrong in _wrong_callbacks(provider, query, quote(secret)):
                browser.open(wrong)
                WatchedBrowser(witness).open(wrong)
            functions = ("start", "confirm", "token", "refresh", "revoke", "connections", "import_connection")
            for function in (*functions, "authorize", "callback"):
                # A caller gets the names of its own fields, and only the caller: the log has to be without them.
                witness.invoke(function, {secret: secret}, keep_answer=False)
                witness.invoke(function, {"x": secret, "provider": f" {secret}", "connection_id": f" {secret}"})
                witness.invoke(function, {"pathParameters": {"ticket": secret}, "cookies": [f"{secret}={secret}"]})
            for function in functions:
                witness.post(function, f'{{"connection_id": "{secret}')
        browser.open(url, Cookie=f"{query['code']}={cookie}; {query['state']}", **{"User-Agent": cookie})
        browser.visit(started["authorize_url"])


def _wrong_callbacks(provider: str, query: dict[str, str], secret: str) -> Iterator[str]:
    state, code = quote(query["state"]), quote(query["code"])
    base = f"/callback/{provider}"
    yield f"/callback/{secret}?state={state}&code={code}"
    yield f"/callback/{secret}"
    yield f"/authorize/{secret}"
    yield f"/authorize/{secret}?{secret}={secret}"
    yield f"{base}?{secret}"
    yield f"{base}?state={secret}&code={secret}"
    yield f"{base}?state={state}&code={code}&code={secret}"
    yield f"{base}?state={state}&iss={secret}&{secret}={secret}"
    yield f"{base}?state={state}&error={secret}&error_description={secret}&error_uri={secret}&iss={secret}"
    yield f"{base}?state={state}&error=access_denied&error_description={secret}&iss={secret}"


def _meet_a_rude_server(witness: Witness, rude: Scripted) -> None:
    """A server that repeats in its errors whatever it was sent, form and headers, and more than it should."""
    tokens = {name: RUDE[name] for name in ("access_token", "refresh_token")} | {"expires_in": 3600}

    def repeated(
        text: Callable[[Received], str], status: int, error: str = "invalid_scope"
    ) -> Callable[[Received], Response]:
        def answer(received: Received) -> Response:
            said = {"error": error, "error_description": text(received), "message": text(received)}
            header = text(received).encode("ascii", "replace").decode().replace("\n", " ")
            return Response(json.dumps(said), status, {"UC-REST-ERROR": header}, content_type="application/json")

        return answer

    texts: list[Callable[[Received], str]] = [
        lambda received: received.body[-190:],
        lambda received: " ".join(value for _, value in received.form),
        lambda received: str(dict(received.form)),
        lambda received: " ".join(received.headers.get(name, "none") for name in ("authorization", "x-api-key")),
        lambda received: json.dumps(dict(received.form)),
    ]
    # Which secret is repeated depends on how the client authenticates: here each text meets both ways in every run.
    by_token = list(product(texts, ("rude", "rude-post")))
    for (text, provider), status in combinations(by_token, (200, 400, 500)):
        _let_it_be_rude(witness, rude, provider, tokens, repeated(text, status))
    by_push = list(product(("rude-client_secret_jwt", "rude-client_secret_basic"), texts))
    for (provider, text), error in combinations(by_push, ("invalid_scope", "invalid_client")):
        _let_its_back_channel_be_rude(witness, rude, provider, tokens, repeated(text, 400, error))


def _bring_along(witness: Witness, rude: Scripted) -> None:
    """Import, rightly and wrongly, at a server that repeats what it was sent, and then at one that takes it."""

    def repeat(received: Received) -> Response:
        said = json.dumps({"error": "invalid_grant", "error_description": received.body[-190:], "x": received.body})
        return Response(said, 400, content_type="application/json")

    taken = {"access_token": RUDE["access_token"], "refresh_token": RUDE["refresh_token"], "expires_in": 3600}
    for number, answer in enumerate((repeat, Response("down", 503), taken)):
        rude.answers["/token"] = answer
        brought = {kind: f"brought-{kind}-{uuid.uuid4().hex}" for kind in ("refresh_token", "access_token")}
        witness.keep("imported", *brought.values())
        token = brought["access_token"]
        wrong: list[dict[str, Any]] = [{"expires_at": token}, {"scope": [token]}, {"metadata": {token: 1}}]
        wrong += [{"prove": token}, {"refresh_token": f"{token}\n"}, {"owner": [token]}, {"tags": {"a": {"b": token}}}]
        event = {"provider": "rude", "connection_id": f"brought-{number}", **brought}
        for mistake in (*wrong, {}, {}):
            witness.invoke("import_connection", event | mistake)
            witness.post("import_connection", json.dumps(event | mistake))
        # A caller gets the names of its own fields, and only the caller.
        witness.invoke("import_connection", event | {token: token}, keep_answer=False)
        witness.post("import_connection", json.dumps(event)[:-9])
        witness.invoke("connections", {"connection_id": f"brought-{number}"})
        witness.invoke("token", {"connection_id": f"brought-{number}"})


def _let_it_be_rude(
    witness: Witness, rude: Scripted, provider: str, tokens: dict[str, Any], rudeness: Callable[[Received], Response]
) -> None:
    browser = WatchedBrowser(witness)
    started = witness.invoke("start", {"provider": provider})
    for answer in (rudeness, tokens):
        rude.answers["/token"] = answer
        state = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)["state"][0]
        browser.open(f"/callback/{provider}?code={quote(CODE)}&state={quote(state)}")
    rude.answers["/token"] = rude.answers["/revoke"] = rudeness
    event = {"connection_id": started["connection_id"]}
    for received in rude.received:
        witness.keep("code_verifier", *[value for name, value in received.form if name == "code_verifier"])
    for function in ("refresh", "connections", "revoke", "connections", "token"):
        witness.invoke(function, event)


def _post_answers(witness: Witness, rude: Scripted) -> None:
    """Post codes, refusals and secrets in wrong fields, and open the addresses of their results, right and wrong."""
    tokens = {name: RUDE[name] for name in ("access_token", "refresh_token")} | {"expires_in": 3600}
    browser, callback = WatchedBrowser(witness), "/callback/rude-posted"
    started = witness.invoke("start", {"provider": "rude-posted"})
    for answer in (Response(b"{}", 400), tokens):
        rude.answers["/token"] = answer
        state = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)["state"][0]
        forms = [
            {"error": state},
            {"state": state, "code": CODE, "error": CODE},
            {"state": f"{state}x", "code": CODE},
            {"state": state, "error": CODE, "error_description": state},
            {"state": state, "code": CODE},
        ]
        for form in forms:
            shown = browser.post(callback, form).headers["Location"]
            pages = [browser.open(f"{shown}{more}") for more in (f"&state={quote(state)}", "")]
            WatchedBrowser(witness).open(shown)
            browser.open(f"{callback}?result={quote(state)}")
            is_connected = "Your account is connected" in pages[-1].text
            assert is_connected == (answer is tokens and form.keys() == {"state", "code"} and form["state"] == state)


def _let_its_back_channel_be_rude(
    witness: Witness, rude: Scripted, provider: str, tokens: dict[str, Any], rudeness: Callable[[Received], Response]
) -> None:
    """The same if the request is pushed, with assertions, and with two secrets that are both refused."""
    rude.received.clear()
    browser = WatchedBrowser(witness)
    started = witness.invoke("start", {"provider": provider})
    rude.answers["/par"] = rudeness
    browser.open(started["authorize_url"])
    rude.answers["/par"] = {"request_uri": "urn:example:pushed"}
    for answer in (rudeness, tokens):
        rude.answers["/token"] = answer
        browser.open(started["authorize_url"])
        state = dict(rude.received[-1].form)["state"]
        browser.open(f"/callback/{provider}?code={quote(CODE)}&state={quote(state)}")
    rude.answers["/token"] = rude.answers["/revoke"] = rudeness
    for function in ("refresh", "connections", "revoke"):
        witness.invoke(function, {"connection_id": started["connection_id"]})
    assert {received.path for received in rude.received} == {"/par", "/token", "/revoke"}
    for received in rude.received:
        form = dict(received.form)
        for kind in ("state", "code_verifier", "client_assertion"):
            witness.keep(kind, *([form[kind]] if kind in form else []))


def _meet_defects(witness: Witness) -> None:
    """Records that no function of ours would write: the log says where a defect arose, not what was read."""
    dynamodb = witness.client("dynamodb")
    names = _names(witness)
    connection_id = _connect(witness)
    dynamodb.update_item(
        TableName=names["connections"],
        Key={"connection_id": {"S": connection_id}},
        UpdateExpression="SET #sets[0].seal.ciphertext = :sealed",
        ExpressionAttributeNames={"#sets": "sets"},
        ExpressionAttributeValues={":sealed": {"B": b"\x01 broken"}},
    )
    for function in ("token", "refresh", "revoke"):
        witness.invoke(function, {"connection_id": connection_id})
        witness.post(function, json.dumps({"connection_id": connection_id}))
    browser = WatchedBrowser(witness)
    started = witness.invoke("start", {"provider": "ultracart"})
    url = browser.consent(browser.authorize(started["authorize_url"]))
    request_id = started["authorize_url"].rpartition("/")[2].partition(".")[0]
    dynamodb.update_item(
        TableName=names["authorizations"],
        Key={"request_id": {"S": request_id}},
        UpdateExpression="REMOVE redirect_uri, authorization_url",
    )
    assert browser.open(url).status_code == 500
    assert browser.open(started["authorize_url"]).status_code == 500


def _plant(witness: Witness) -> None:
    """Let a word come to every place that is scanned, as the name of a provider and of a connection."""
    connection_id = _connect(witness, PLANTED, connection_id=PLANTED)
    witness.invoke("token", {"connection_id": connection_id})


def _names(witness: Witness) -> dict[str, str]:
    tables: dict[str, str] = requests.get(f"{witness.base_url}/_local", timeout=TIMEOUT).json()["tables"]
    return {
        kind: next(name for name in tables.values() if kind in name.lower())
        for kind in ("connections", "authorizations")
    }


def _tables(witness: Witness) -> dict[str, str]:
    """Return every raw item of both tables as text; binary attributes in base64 and byte by byte."""
    dynamodb = witness.client("dynamodb")
    found = {}
    for kind, name in _names(witness).items():
        items = [item for page in dynamodb.get_paginator("scan").paginate(TableName=name) for item in page["Items"]]
        assert items
        found[f"table of {kind}"] = "\n".join(json.dumps(item, default=_binary, ensure_ascii=False) for item in items)
    return found


def _binary(value: Any) -> str:
    octets = bytes(value)
    return f"{octets.decode('latin-1')} {base64.b64encode(octets).decode()}"


# The tests


def test_nothing_that_was_ever_secret_is_found_anywhere(
    evidence: Evidence, record_property: Callable[[str, object], None]
) -> None:
    """Logs, pages, Invoke answers and both tables against every secret of server and browsers, in every spelling."""
    # given
    assert evidence.secrets.keys() >= {
        "code",
        "state",
        "code_verifier",
        "cookie",
        "ticket",
        "confirmation",
        "access_token",
        "refresh_token",
        "client_secret",
        "client_assertion",
        "private_value",
        "result",
    }
    assert all(len(values) > 1 for values in evidence.secrets.values())

    # when
    found = scan(evidence.secrets, evidence.places)

    # then
    record_property("secrets", sum(len(values) for values in evidence.secrets.values()))
    record_property("characters", {place: len(text) for place, text in evidence.places.items()})
    assert found == set()


def test_what_is_planted_is_found_in_every_place(evidence: Evidence) -> None:
    """The scan reads what it claims to read: a word that was let in everywhere is found everywhere."""
    # when
    found = scan({"planted": {PLANTED}}, evidence.places)

    # then
    assert {place for place, _ in found} == evidence.places.keys()
    assert evidence.places.keys() == {"log", "pages", "answers", "table of connections", "table of authorizations"}


SPELLED: list[Callable[[str], str]] = [
    lambda secret: secret,
    lambda secret: quote(secret, safe=""),
    quote_plus,
    html.escape,
    lambda secret: json.dumps({"message": f"it was {secret}"}),
    lambda secret: json.dumps({"message": json.dumps({"secret": secret})}),
    lambda secret: base64.b64encode(secret.encode()).decode(),
    lambda secret: base64.urlsafe_b64encode(f"client:{secret}".encode()).decode(),
    lambda secret: base64.b64encode(f"x{secret} and more".encode()).decode(),
    lambda secret: base64.b64encode(f"client:{quote_plus(secret)}".encode()).decode(),
    lambda secret: secret.encode().hex(),
]
SECRETS = ["demo-code-x4J_1kQ-9aaa", "s3cret+/=&%ü", RUDE["client_secret"]]
PLACES = ["log", "pages", "answers", "table of connections", "table of authorizations"]


@pytest.mark.parametrize(("spelled", "place"), combinations(list(product(SPELLED, SECRETS)), PLACES))
def test_planted_secret_is_found_in_every_spelling(
    evidence: Evidence, spelled: tuple[Callable[[str], str], str], place: str
) -> None:
    """One secret in the midst of all that was said, as it is or encoded, does not escape the scan."""
    # given
    spell, secret = spelled
    text = evidence.places[place]
    middle = len(text) // 2
    planted = evidence.places | {place: text[:middle] + spell(secret) + text[middle:]}

    # when
    found = scan({"planted": {secret}}, planted)

    # then
    assert found == {(place, "planted")}

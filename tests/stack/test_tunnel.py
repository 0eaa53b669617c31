"""The stack behind a tunnel, and beside an application on another port, used as a person does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from local.__main__ import banner
from local.stack import Addresses, Stack
from tests.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE_URL = "https://abc.example-tunnel.dev"
APPLICATION = "http://localhost:3000"
ANOTHER = "https://app.example.com"


class Tunnel(HTTPAdapter):
    """Carries what is sent to the tunnel's address to the stack, with the tunnel's name in `Host`."""

    def __init__(self, local_url: str) -> None:
        super().__init__()
        self._local_url = local_url

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send it on; to the browser the answer is the tunnel's."""
        carried = request.copy()
        assert request.url is not None
        carried.url = request.url.replace(BASE_URL, self._local_url)
        carried.headers.update({"Host": urlsplit(BASE_URL).netloc, "X-Forwarded-For": "203.0.113.7"})
        response = super().send(carried, *arguments, **options)
        response.request, response.url = request, request.url
        return response


class TunnelBrowser(Browser):
    """A browser that finds the stack by its tunnel alone."""

    def __init__(self, stack: Any, local_url: str) -> None:
        super().__init__(stack)
        self._session.mount(BASE_URL, Tunnel(local_url))


@dataclass
class Running:
    """The stack, as its banner and `GET /_local` tell of it."""

    banner: str
    url: str
    info: dict[str, Any]

    def browser(self) -> Browser:
        """Open a browser."""
        stack: Any = SimpleNamespace(base_url=BASE_URL, demo=SimpleNamespace(url=self.info["demo_url"]))
        return TunnelBrowser(stack, self.url)

    def call(self, function: str, **fields: Any) -> dict[str, Any]:
        """Call a function on this machine."""
        answer: dict[str, Any] = requests.post(f"{self.url}/v1/{function}", json=fields, timeout=60).json()
        return answer


@pytest.fixture(scope="module")
def stack() -> Iterator[Running]:
    """Start it with all that can be said of addresses; test_options.py has the flags."""
    with Stack(addresses=Addresses(BASE_URL, (APPLICATION, ANOTHER))) as own:
        info = requests.get(f"{own.local_url}/_local", timeout=60).json()
        yield Running(banner(own), own.local_url, info)


def test_the_banner_tells_what_to_register_and_where_the_tunnel_leads(stack: Running) -> None:
    """What is for this machine's own programs keeps the address of this machine."""
    assert f"redirect URI {BASE_URL}/callback/NAME" in stack.banner
    assert f"point the tunnel at {stack.url.replace('localhost', '127.0.0.1')}\n" in stack.banner
    assert f"--endpoint-url {stack.url} " in stack.banner
    assert (stack.info["base_url"], stack.info["local_url"]) == (BASE_URL, stack.url)


def test_a_customer_connects_by_the_tunnel(stack: Running) -> None:
    """Link, redirect URI and cookie are of its address, with all that https asks for, and the token is there."""
    # given
    browser = stack.browser()
    started = stack.call("start", provider="ultracart")

    # when
    authorized = browser.open(started["authorize_url"])
    request = authorized.headers["Location"]
    page = browser.open(browser.consent(request))

    # then
    assert started["authorize_url"].startswith(f"{BASE_URL}/authorize/")
    assert re.match(r"__Host-gatehouse-\S+; .*; Secure; SameSite=Lax$", authorized.headers["Set-Cookie"])
    assert parse_qs(urlsplit(request).query)["redirect_uri"] == [f"{BASE_URL}/callback/ultracart"]
    assert page.status_code == 200
    token = stack.call("token", connection_id=started["connection_id"])
    assert token["version"] == 1
    assert token["access_token"]


@pytest.mark.parametrize("origin", [APPLICATION, ANOTHER, BASE_URL])
def test_a_customer_is_sent_back_to_the_application(stack: Running, origin: str) -> None:
    """On the port of this machine where it runs, or wherever else was named; and to the stack, as ever."""
    # given
    browser = stack.browser()
    started = stack.call("start", provider="demo", return_to=f"{origin}/settings?tab=shops")

    # when
    answer = browser.open(browser.consent(browser.authorize(started["authorize_url"])))

    # then
    about = f"connection_id={started['connection_id']}&request_id={started['request_id']}"
    expected = f"{origin}/settings?tab=shops&{about}&status=connected"
    assert (answer.status_code, answer.headers["Location"]) == (302, expected)


def test_no_other_origin_is_sent_to(stack: Running) -> None:
    """Another port of this machine was not named."""
    refused = stack.call("start", provider="demo", return_to="http://localhost:3001/")

    assert refused["error"] == "invalid_request"
    assert "return_to: expected" in refused["error_description"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/_local"),
        ("POST", "/_local/clock"),
        ("POST", "/v1/token"),
        ("POST", "/2015-03-31/functions/gatehouse-token:live/invocations"),
    ],
)
def test_the_tunnel_opens_nothing_that_is_not_public_when_deployed(stack: Running, method: str, path: str) -> None:
    """No token, no page and no clock for whoever knows its name."""
    answer = requests.request(
        method, stack.url + path, headers={"Host": urlsplit(BASE_URL).netloc}, json={}, timeout=60
    )

    assert answer.status_code == 403
    assert "public when deployed" in answer.json()["message"]


def test_another_host_is_refused_as_ever(stack: Running) -> None:
    """A page that plays with DNS reaches nothing, not even what is public."""
    answer = requests.get(f"{stack.url}/callback/demo", headers={"Host": "evil.example"}, timeout=60)

    assert answer.status_code == 403

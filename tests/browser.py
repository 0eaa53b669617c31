"""A browser as far as HTTP goes: it keeps cookies, and follows redirects one by one so that a test can stop at any."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import requests

from local.demo import DECISION_HEADER, MERCHANT_HEADER
from tests import contracts

if TYPE_CHECKING:
    from local.stack import Stack

_TIMEOUT = 60
_LONGEST_CHAIN = 10


class Browser:
    """One person's browser; two of them share nothing. The person allows or denies without reading the consent page."""

    def __init__(self, stack: Stack, merchant_id: str | None = None) -> None:
        """``merchant_id`` is who consents at the demo authorization server, its usual merchant by default."""
        self._stack = stack
        self._session = requests.Session()
        # Ignore this machine's proxy settings and .netrc.
        self._session.trust_env = False
        self._merchant = {MERCHANT_HEADER: merchant_id} if merchant_id else {}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that are kept, by name."""
        return dict(self._session.cookies.items())

    def forget_cookies(self) -> None:
        """Drop every cookie."""
        self._session.cookies.clear()

    def open(self, url: str, **headers: str) -> requests.Response:
        """GET one URL, a path on the stack or a whole URL; follow a redirect to the result of a response, no other."""
        answer = self.get(url, **headers)
        location = answer.headers.get("Location", "")
        return self.get(location, **headers) if urlsplit(location).query.startswith("result=") else answer

    def get(self, url: str, **headers: str) -> requests.Response:
        """GET one URL, a path on the stack or a whole URL, and follow nothing."""
        return self._session.get(
            urljoin(self._stack.base_url, url), headers=headers, allow_redirects=False, timeout=_TIMEOUT
        )

    def post(self, url: str, form: dict[str, str], **headers: str) -> requests.Response:
        """POST a form, and follow nothing."""
        return self._session.post(
            urljoin(self._stack.base_url, url), form, headers=headers, allow_redirects=False, timeout=_TIMEOUT
        )

    def authorize(self, authorize_url: str) -> str:
        """Open Gatehouse's link and return the URL at the authorization server to which it redirects."""
        return _location(self.open(authorize_url))

    def consent(self, authorization_request: str, decision: str = "allow") -> str:
        """Decide at the authorization server, and return the callback URL to which it redirects."""
        return _location(self.open(authorization_request, **{DECISION_HEADER: decision}, **self._merchant))

    def visit(self, url: str, decision: str = "allow") -> requests.Response:
        """Open a URL and follow the redirects, deciding on the way, to a page of the stack or out of it."""
        for _ in range(_LONGEST_CHAIN):
            at_demo = urlsplit(url).netloc == urlsplit(self._stack.demo.url).netloc
            headers = {DECISION_HEADER: decision, **self._merchant} if at_demo else {}
            response = self.open(url, **headers)
            if "Location" not in response.headers:
                return response
            url = urljoin(url, response.headers["Location"])
        raise AssertionError(f"more than {_LONGEST_CHAIN} redirects")

    def start(self, provider: str = "ultracart", **fields: Any) -> dict[str, Any]:
        """Start an authorization as the application, and return the result."""
        return invoke(self._stack, "start", {"provider": provider, **fields})

    def connect(self, provider: str = "ultracart", **start_fields: Any) -> str:
        """Go the whole way from `start` to the result page, and return the connection_id."""
        started = self.start(provider, **start_fields)
        page = self.visit(started["authorize_url"])
        assert page.status_code == 200, page.text
        return str(started["connection_id"])


def invoke(stack: Stack, function: str, event: dict[str, Any]) -> dict[str, Any]:
    """Invoke ``gatehouse-{function}`` through boto3, as an application does. A function that raises fails the test."""
    answer = stack.lambda_client().invoke(FunctionName=f"gatehouse-{function}", Payload=json.dumps(event))
    document: dict[str, Any] = json.load(answer["Payload"])
    # The stubs say that the key is always there. It is there only if the function raised.
    assert dict(answer).get("FunctionError") is None, document
    contracts.require(function, event, document)
    return document


def _location(response: requests.Response) -> str:
    assert "Location" in response.headers, f"expected a redirect, got {response.status_code}"
    return response.headers["Location"]

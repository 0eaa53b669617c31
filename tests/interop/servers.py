"""Authorization servers that were not written here, each in its own process, and a person who consents there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import requests

    from tests.browser import Browser

_FOLDER = ROOT / "tests" / "interop"
_LONGEST_WAY = 20


@contextmanager
def oidc_provider(*clients: dict[str, Any], **settings: Any) -> Iterator[str]:
    """Run oidc-provider (npm) with these clients, and yield its issuer. Mark the test `needs_node`."""
    command = [shutil.which("node") or "node", str(_FOLDER / "oidc_provider.mjs")]
    with _running(command, {"clients": clients, "requirePushedAuthorizationRequests": False, **settings}) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def django_oauth_toolkit(*clients: dict[str, Any], **settings: Any) -> Iterator[str]:
    """Run django-oauth-toolkit (PyPI) with these applications, and yield its origin."""
    command = [sys.executable, str(_FOLDER / "django_oauth_toolkit.py")]
    with _running(command, {"clients": clients, **settings}) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: Sequence[str], settings: dict[str, Any]) -> Iterator[str]:
    """Run a program that reads its settings, prints its port and serves until it is stopped."""
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(settings))
        process.stdin.close()
        port = process.stdout.readline().strip()
        try:
            assert port.isdigit(), "the authorization server did not start"
            yield port
        finally:
            process.kill()


@dataclass
class Form:
    """A form of a page: its target, and the fields that already have values."""

    action: str
    fields: dict[str, str]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("action", ""), {}))
        elif tag == "input" and self.found and "name" in given:
            self.found[-1].fields[given["name"]] = given.get("value", "")


def form_of(page: requests.Response) -> Form:
    """Return the one form of a page."""
    parser = _Forms()
    parser.feed(page.text)
    (form,) = parser.found
    return form


def consent(browser: Browser, authorization_request: str, answers: dict[str, str], home: str) -> requests.Response:
    """Go through a server's pages, filling in `answers` if a form asks for them, up to our own last page.

    Redirects and forms are followed wherever they lead, as a browser does: to `home`, which is ours.
    """
    response = browser.open(authorization_request)
    for _ in range(_LONGEST_WAY):
        if "Location" in response.headers:
            url = urljoin(response.url, response.headers["Location"])
            response = browser.open(url)
        elif urlsplit(response.url).netloc == urlsplit(home).netloc:
            return response
        else:
            assert response.status_code == 200, response.text
            form = form_of(response)
            filled = {name: answers.get(name, value) for name, value in form.fields.items()}
            response = browser.post(urljoin(response.url, form.action), filled)
    raise AssertionError("the way through the server's pages has no end")

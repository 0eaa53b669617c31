"""A provider that nobody here knows, from nothing to a working connection: one document, and no code."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests

from functions.vault.grant.connection import JUST_OBTAINED
from tests.browser import Browser
from tests.interop.servers import consent, django_oauth_toolkit, oidc_provider
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

DOCUMENT = """\
{"somewhere": {
  "issuer": "ISSUER",
  "client_id": "shop",
  "client_secret": "a secret of more than thirty-two octets",
  "scopes": [SCOPES]
}}
"""
"""All that an owner writes: six lines, four of them about the provider."""


def from_django(redirect_uri: str) -> AbstractContextManager[str]:
    """Run django-oauth-toolkit with the client in the document."""
    return django_oauth_toolkit(
        {
            "client_id": "shop",
            "client_secret": "a secret of more than thirty-two octets",
            "client_type": "confidential",
            "authorization_grant_type": "authorization-code",
            "redirect_uris": redirect_uri,
        }
    )


def from_npm(redirect_uri: str) -> AbstractContextManager[str]:
    """Run oidc-provider with the client in the document, and pushed requests required."""
    client = {
        "client_id": "shop",
        "client_secret": "a secret of more than thirty-two octets",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }
    return oidc_provider(client, requirePushedAuthorizationRequests=True)


@pytest.mark.parametrize(
    ("run", "path", "scopes"),
    [
        (from_django, "/o", ["read"]),
        pytest.param(from_npm, "", ["openid", "offline_access"], marks=pytest.mark.needs_node),
    ],
    ids=["django-oauth-toolkit", "oidc-provider"],
)
def test_one_document_makes_a_provider(
    tmp_path: Path, run: Callable[[str], AbstractContextManager[str]], path: str, scopes: list[str]
) -> None:
    """As a person does it: write it, start the stack with it, connect, get, refresh and revoke the token."""
    with ExitStack() as running:
        # given
        port = free_port()
        server = running.enter_context(run(f"http://localhost:{port}/callback/somewhere"))
        document = DOCUMENT.replace("ISSUER", server + path).replace("SCOPES", json.dumps(scopes)[1:-1])
        (tmp_path / "providers.local.json").write_text(document, encoding="utf-8")

        # when
        base_url = running.enter_context(local_stack(port, tmp_path / "providers.local.json"))
        started = call(base_url, "start", provider="somewhere", connection_id="shop-1")
        browser = Browser(stand_in(base_url))
        page = consent(browser, started["authorize_url"], {"login": "merchant-1", "password": "x"}, base_url)
        first = call(base_url, "token", connection_id="shop-1")
        requests.post(f"{base_url}/_local/clock", json={"advance_seconds": JUST_OBTAINED}, timeout=10)
        second = call(base_url, "refresh", connection_id="shop-1")
        revoked = call(base_url, "revoke", connection_id="shop-1")

    # then
    assert len(document.splitlines()) == 6
    assert (page.status_code, "Your account is connected" in page.text) == (200, True)
    assert (first["version"], second["version"], revoked["status"]) == (1, 2, "revoked")
    assert first["access_token"] != second["access_token"]


def free_port() -> int:
    """Return a port that is free now: the redirect URI has to be known at the server before the stack runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def local_stack(port: int, registrations: Path) -> Iterator[str]:
    """Run `python -m local` on a port with a file of registrations, and yield its URL."""
    command = [sys.executable, "-m", "local", "--port", str(port), "--registrations", str(registrations)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(found[1] for line in process.stdout if (found := re.search(r"Open +(\S+)/", line)))
        finally:
            process.kill()


def call(base_url: str, function: str, **fields: Any) -> dict[str, Any]:
    """Call a function of the stack by HTTP."""
    answer: dict[str, Any] = requests.post(f"{base_url}/v1/{function}", json=fields, timeout=60).json()
    assert "error" not in answer, answer
    return answer


def stand_in(base_url: str) -> Any:
    """Return what a browser needs of a stack that runs in another process."""
    return SimpleNamespace(base_url=base_url, demo=SimpleNamespace(url=base_url))

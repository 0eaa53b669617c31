"""Who is let in at the stack's port, and who is not."""

from __future__ import annotations

import pytest
from werkzeug.test import EnvironBuilder

from local.base.guard import Guard

TUNNEL = "https://abc.example-tunnel.dev"


def is_public(method: str, raw_path: str) -> bool:
    """Tell of the route of browsers that this API has."""
    return method in {"GET", "POST"} and raw_path == "/callback/demo"


def refusal(guard: Guard, method: str, path: str, host: str, **headers: str) -> str | None:
    """Send a request to a guard."""
    sent = [("Host", host), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return guard.refusal(EnvironBuilder(path, method=method, headers=sent).get_environ())


@pytest.mark.parametrize("host", ["abc.example-tunnel.dev", "ABC.Example-Tunnel.dev", "abc.example-tunnel.dev:443"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_tunnel_leads_to_what_is_public_when_deployed(host: str, method: str) -> None:
    """Also from the page of an authorization server, which posts its answer (form_post)."""
    guard = Guard(is_public, TUNNEL)

    assert refusal(guard, method, "/callback/demo?code=x", host) is None
    assert refusal(guard, method, "/callback/demo", host, Origin="https://server.example") is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/_local"),
        ("POST", "/_local/clock"),
        ("POST", "/v1/token"),
        ("POST", "/2015-03-31/functions/gatehouse-token/invocations"),
        ("PUT", "/callback/demo"),
        ("GET", "/callback/demo/../../_local"),
        ("GET", "/callback%2Fdemo"),
    ],
)
@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("abc.example-tunnel.dev", {}),
        ("abc.example-tunnel.dev", {"Sec_Fetch_Site": "same-origin"}),
        # Tunnels that put a name of their own into Host say what it was.
        ("localhost:8787", {"X_Forwarded_Host": "abc.example-tunnel.dev"}),
        ("127.0.0.1:8787", {"X_Forwarded_For": "203.0.113.7"}),
        ("localhost", {"Forwarded": "for=203.0.113.7"}),
    ],
)
def test_nothing_else_is_reached_by_the_tunnel(method: str, path: str, host: str, headers: dict[str, str]) -> None:
    """There is no IAM on one machine: whoever knows the tunnel's name would get every token."""
    said = refusal(Guard(is_public, TUNNEL), method, path, host, **headers)

    assert said is not None
    assert "public when deployed" in said


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "abc.example-tunnel.dev.evil.example",
        "x.abc.example-tunnel.dev",
        "example-tunnel.dev",
        "abc.example-tunnel.dev:80",
        "abc.example-tunnel.dev:8787",
        "abc.example-tunnel.dev@evil.example",
        "abc.example-tunnel.dev:x",
        "",
    ],
)
@pytest.mark.parametrize("forwarded", [{}, {"X_Forwarded_Host": "abc.example-tunnel.dev"}])
def test_no_other_host_is_let_in(host: str, forwarded: dict[str, str]) -> None:
    """Not even to what is public, and whatever a header says that anybody can write."""
    said = refusal(Guard(is_public, TUNNEL), "GET", "/callback/demo", host, **forwarded)

    assert said is not None
    assert "localhost and 127.0.0.1 only" in said


@pytest.mark.parametrize("host", ["localhost:8787", "127.0.0.1:8787", "[::1]:8787"])
def test_the_person_at_the_machine_keeps_the_whole_stack(host: str) -> None:
    """With a tunnel as without."""
    for guard in (Guard(is_public, TUNNEL), Guard(is_public)):
        assert refusal(guard, "GET", "/", host) is None
        assert refusal(guard, "POST", "/v1/token", host) is None
        assert refusal(guard, "POST", "/v1/token", host, Origin=f"http://{host}") is None


@pytest.mark.parametrize("base_url", ["http://localhost:8787", "http://127.0.0.1:9000"])
def test_without_a_tunnel_no_foreign_host_is_let_in(base_url: str) -> None:
    """And who forwards a port of this machine to another is nobody's tunnel."""
    guard = Guard(is_public, base_url)

    assert refusal(guard, "GET", "/callback/demo", "abc.example-tunnel.dev") is not None
    assert refusal(guard, "GET", "/", "localhost", X_Forwarded_For="127.0.0.1") is None

"""Peers at the same work: slack-bolt and grant on the callback, Authlib on the refresh; cold and warm."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.environments import GRANT
from benchmarks.measure import PAIRS, Compared, say
from benchmarks.scenes import TOKEN_ANSWER, Playing
from benchmarks.warm import side_by_side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.environments import Subject, Workshop
    from benchmarks.scenes import Scene

_WARM_PAIRS = 100


@dataclass(frozen=True)
class Peer:
    """A peer beside us: cold starts, warm calls, and how many requests one call makes to AWS and to the provider."""

    name: str
    work: str
    cold: Compared
    warm: Compared
    requests: tuple[int, int]
    """Ours and the peer's, in one warm call."""


def peers(workshop: Workshop, scenes: Mapping[str, Scene]) -> list[Peer]:
    """Measure each."""
    callback, refresh = replace(scenes["callback"], also=_slack_answers()), scenes["refresh"]
    stored = replace(refresh, exchanges=(refresh.exchanges[0], refresh.exchanges[-1]))
    slack = _slack_event()
    found = [
        ("slack-bolt", "callback", callback, workshop.slack(), slack),
        ("slack-bolt, with bytecode", "callback", callback, workshop.slack(compiled=True), slack),
        ("Authlib and requests", "refresh", refresh, workshop.authlib(stored), {}),
        ("Authlib and requests, with bytecode", "refresh", refresh, workshop.authlib(stored, compiled=True), {}),
    ]
    if (GRANT / "node_modules").exists() and shutil.which("node"):
        found.append(("grant (Node.js)", "callback", callback, workshop.grant(), _grant_event()))
    return [_measure(name, work, scene, workshop, (subject, event)) for name, work, scene, subject, event in found]


def _measure(name: str, work: str, scene: Scene, workshop: Workshop, peer: tuple[Subject, Any]) -> Peer:
    ours, (subject, event) = workshop.function(scene), peer
    with Playing(scene.answers()) as playing:
        ours.cold(playing, scene.event), subject.cold(playing, event)
        pairs = [(ours.cold(playing, scene.event)[1], subject.cold(playing, event)[1]) for _ in range(PAIRS)]
    cold = Compared([a for a, _ in pairs], [b for _, b in pairs])
    warm, ours_asked = side_by_side(ours, subject, scene, (scene.event, event), _WARM_PAIRS)
    _, theirs_asked = side_by_side(subject, ours, scene, (event, scene.event), 1)
    asked = tuple(sum(count for count, _, _ in counts.values()) for counts in (ours_asked, theirs_asked))
    say(
        f"{work} beside {name}: cold {cold.ratio:.2f} ({cold.ours_ms:.0f} ms, {cold.other_ms:.0f} ms), "
        f"warm {warm.ratio:.2f} ({warm.ours_ms:.1f} ms, {warm.other_ms:.1f} ms); requests {asked[0]}, {asked[1]}"
    )
    return Peer(name, work, cold, warm, (asked[0], asked[1]))


def _slack_answers() -> dict[str, Any]:
    """Return what Slack's API and a bucket of S3 answer."""
    granted = {
        **TOKEN_ANSWER,
        "ok": True,
        "expires_in": 3600,
        "app_id": "A1",
        "bot_user_id": "U1",
        "team": {"id": "T1", "name": "team"},
        "authed_user": {"id": "U2"},
    }
    return {
        "POST /api/oauth.v2.access": {"body": json.dumps(granted)},
        "POST /api/auth.test": {"body": json.dumps({"ok": True, "bot_id": "B1", "team_id": "T1"})},
        "GET /states/": {"body": str(time.time() + 3600)},
        "DELETE /states/": {"status": 204},
        "PUT /installations/": {},
    }


def _slack_event() -> dict[str, Any]:
    state = "8a4c8c5e-6b5e-4b57-8d6f-1f2f1f2f1f2f"
    return {
        "version": "2.0",
        "rawPath": "/slack/oauth_redirect",
        "queryStringParameters": {"code": "code", "state": state},
        "headers": {"user-agent": "a browser"},
        "cookies": [f"slack-app-oauth-state={state}"],
        "requestContext": {"http": {"method": "GET", "path": "/slack/oauth_redirect"}},
        "isBase64Encoded": False,
    }


def _grant_event() -> dict[str, Any]:
    """Begin an authorization with grant itself, and return the event of its callback."""
    begun = _grant_http("/connect/demo", "", [])
    code = (
        "process.env.PROVIDER='http://127.0.0.1:1';"
        f"require({json.dumps(str(GRANT / 'index.cjs'))}).handler({json.dumps(begun)})"
        ".then((answer) => console.log(JSON.stringify(answer)))"
    )
    done = subprocess.run([shutil.which("node") or "node", "-e", code], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    state = answer["headers"]["location"].split("state=")[1].split("&")[0]
    cookies = [cookie.partition(";")[0] for cookie in answer["cookies"]]
    return _grant_http("/connect/demo/callback", f"code=code&state={state}", cookies)


def _grant_http(path: str, query: str, cookies: list[str]) -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "app.example.com"},
        "cookies": cookies,
        "requestContext": {"http": {"method": "GET", "path": path}},
        "isBase64Encoded": False,
    }

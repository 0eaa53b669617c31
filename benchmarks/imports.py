"""A whole system's grants imported, interrupted twice: ``python -m benchmarks.imports [--grants N] [--at-once N]``.

The caller is a process of its own. It makes each import by Invoke, so many at a time, and is killed after a third and
after two thirds of them; each time it begins again with the first. The provider replaces a refresh token with each use,
and ends a grant whose old one comes again. Ends with status 1 unless every grant is active and was proved once.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import resource
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import boto3

from benchmarks.measure import say
from local.base.environment import REGION
from local.stack import Stack
from tests.engines import running_dynalite
from tests.flows.application import Application
from tests.flows.scripted import scripted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.flows.scripted import Received

_spawning = multiprocessing.get_context("spawn")
_PARTS = 3
"""Runs that it takes: all but the last are killed."""


class Rotating:
    """What a token endpoint answers that replaces refresh tokens; each is good for one use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent: Counter[str] = Counter()

    def __call__(self, received: Received) -> dict[str, Any]:
        """Answer a refresh."""
        token = dict(received.form)["refresh_token"]
        grant, _, number = token.rpartition(".")
        with self._lock:
            self.sent[token] += 1
            if self.sent[token] > 1:
                return {"error": "invalid_grant"}
        following = f"{grant}.{int(number) + 1}"
        return {"access_token": f"access-{following}", "refresh_token": following, "expires_in": 3600}


def imports(provider: str, grants: int) -> list[dict[str, Any]]:
    """Return the imports of so many grants."""
    return [
        {"provider": provider, "connection_id": f"imported-{number}", "refresh_token": f"grant-{number}.1"}
        for number in range(grants)
    ]


def run(url: str, brought: Sequence[dict[str, Any]], at_once: int, done: Any) -> None:
    """Be the caller: make all imports, from the first on, and count what they are answered."""
    session = boto3.Session("local", "local", region_name=REGION)  # of the emulated account
    client = session.client("lambda", endpoint_url=url)

    def one(each: dict[str, Any]) -> str:
        invoked = client.invoke(FunctionName="gatehouse-import_connection", Payload=json.dumps(each))
        answer = json.load(invoked["Payload"])
        with done.get_lock():
            done.value += 1
        return str(answer.get("status", answer.get("error")))

    with ThreadPoolExecutor(at_once) as pool:
        say(f"    answers: {dict(Counter(pool.map(one, brought)))}")


def _interrupted(url: str, brought: Sequence[dict[str, Any]], at_once: int, after: int | None) -> float:
    """Run a caller, and kill it after so many answers; return how many seconds it had."""
    done, began = _spawning.Value("i", 0), time.monotonic()
    caller = _spawning.Process(target=run, args=(url, brought, at_once, done))
    caller.start()
    while after is not None and caller.is_alive() and done.value < after:
        time.sleep(0.02)
    if after is not None:
        caller.kill()
        say(f"    killed after {done.value} answers")
    caller.join()
    return time.monotonic() - began


def main() -> int:
    """Import, print what came of it, and return 1 if it is not as it has to be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("--grants", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=4)
    options = parser.parse_args()
    logging.getLogger("gatehouse").setLevel(logging.ERROR)
    rotating = Rotating()
    with ExitStack() as closing:
        stack = closing.enter_context(Stack(dynamodb_endpoint=closing.enter_context(running_dynalite())))
        server = closing.enter_context(scripted())
        server.answers["/token"] = rotating
        application = Application(stack)
        brought = imports(application.register(server.registration), options.grants)
        say(f"{options.grants} grants, {options.at_once} imports at a time, by Invoke")
        seconds = 0.0
        for part in range(1, _PARTS + 1):
            after = options.grants * part // _PARTS if part < _PARTS else None
            seconds += _interrupted(stack.base_url, brought, options.at_once, after)
        states = Counter(application.call("import_connection", **each).get("status") for each in brought)
    again = sum(times > 1 for times in rotating.sent.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    each = seconds / options.grants * 1000
    say(f"    {seconds:.0f} s in {_PARTS} runs, {each:.0f} ms for each; {memory} MB at most, with the stack")
    say(f"    {dict(states)}; {len(rotating.sent)} refresh tokens sent, {again} of them twice")
    return 0 if states == {"active": options.grants} and len(rotating.sent) == options.grants and not again else 1


if __name__ == "__main__":
    sys.exit(main())

"""The life of a connection, with a failure at each of its writes; and the bus, on which all of it has to arrive.

`python -m tests.flows.lives` fails every write of every step in each of the ways, one after the other, and prints for
each what arrived. The tests take one way for each write. With `--costs` it counts what an undisturbed life brings to
the stream, to `events` and to the bus.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from werkzeug.wrappers import Response

from tests.browser import Browser
from tests.built import running_stack
from tests.flows.application import Application, fresh
from tests.flows.scripted import CODE, TOKENS
from tests.flows.scripted import scripted as running_scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.aws.call import AwsCall, FunctionCall
    from local.stack import Stack
    from tests.flows.scripted import Scripted

OUT = Response("", 503)
DEAD = Response('{"error": "invalid_grant"}', 400, content_type="application/json")
GRANT = TOKENS | {"refresh_token_expires_in": 40_000}
NEAR_ITS_END = 31_000
OWNER = "customer-1"

LIFE = [
    "authorized",
    "scope_missing",
    "degraded",
    "recovered",
    "reauthorization_required",
    "authorized",
    "confirmed",
    "expiring",
    "revoking",
    "revoked",
]
"""What the life below is to bring."""

AT_TIMES = {"degraded", "recovered"}
"""What may come more often if a step is taken again."""

TAKEN = 0.5
"""The share of events that a bus takes which has much to do. The others it refuses one by one."""

WAYS: dict[str, dict[str, Any]] = {
    "not done": {"times": 2},
    "done, and tried again": {"times": 1, "act": True},
    "done, and nobody knows": {"times": 2, "act": True},
}
"""How a write fails: botocore tries twice, and its effect may remain although its answer is lost."""

_READS = ("BatchGet", "Decrypt", "Describe", "GenerateDataKey", "Get", "Query", "Scan")


@dataclass(frozen=True)
class Fault:
    """Which write of each step fails at the first try of it, by the `writes` of an undisturbed life, and how."""

    writes: list[list[AwsCall]]
    number: int
    way: str


class Bus:
    """The event bus of the stack, as a reader of it sees it: each event at its first coming."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._seen = len(stack.bus.events)
        self.arrived: list[dict[str, Any]] = []

    def poll(self) -> int:
        """Let Lambda read the stream once, and take what is published."""
        done = self._stack.background.poll_streams()
        self.arrived += self._stack.bus.events[self._seen :]
        self._seen = len(self._stack.bus.events)
        return done

    def catch_up(self) -> None:
        """Let Lambda read until nothing has to come again."""
        self.poll()
        while any(stream.is_behind for stream in self._stack.background.streams):
            self.poll()

    def of(self, connection_id: str) -> list[dict[str, Any]]:
        """Return the events of a connection in the order in which they came first, each once."""
        first = {event["detail"]["id"]: event for event in reversed(self.arrived)}
        found = {
            each["detail"]["id"]: None for each in self.arrived if each["detail"]["connection_id"] == connection_id
        }
        return [first[each] for each in found]

    def kinds(self, connection_id: str) -> list[str]:
        """Return what happened to a connection."""
        return [event["detail-type"].removeprefix("connection.") for event in self.of(connection_id)]

    def wrong_with(self, connection_id: str) -> str | None:
        """Return what is wrong with the events of a life that has ended; None if each came once, in order."""
        numbers = [event["detail"]["number"] for event in self.of(connection_id)]
        kinds = [kind for kind in self.kinds(connection_id) if kind not in AT_TIMES]
        if numbers != sorted(set(numbers)):
            return f"not in order: {numbers}"
        return None if kinds == [kind for kind in LIFE if kind not in AT_TIMES] else f"other events: {kinds}"


class Life:
    """A connection that goes through everything, whatever fails on the way: each step is repeated until it is done."""

    def __init__(self, application: Application, browser: Browser, scripted: Scripted, stack: Stack) -> None:
        self._application, self._browser, self._scripted, self._stack = application, browser, scripted, stack
        # One request at a time: a slot is taken and given back for each.
        registration = scripted.registration | {"scopes": ["read", "write"], "max_concurrency": 1}
        self.provider = application.register(registration)
        self.connection_id = fresh()
        self.writes: list[list[AwsCall]] = []
        self._fault: Fault | None = None
        self._then: Callable[[], Any] = lambda: None
        self._callback = ""

    def run(self, fault: Fault | None = None, then: Callable[[], Any] = lambda: None) -> None:
        """Connect with too little, fail, recover, die, connect again and confirm, come near the end, and be revoked.

        `then` is called after each try of a step.
        """
        self._fault, self._then = fault, then
        self._stack.aws_watchers.append(self._watch)
        try:
            self.connect("read")
            self._refresh(OUT, lambda seen: seen["failure"] is not None)
            self._refresh(TOKENS | {"scope": "read"}, lambda seen: seen["failure"] is None)
            self._refresh(DEAD, lambda seen: seen["status"] == "reauthorization_required")
            self._scripted.answers["/token"] = GRANT | {"scope": "read write"}
            self._until(lambda seen: seen["needs"] == "confirmation", lambda: self._authorize(confirm=True))
            self._until(lambda seen: seen["status"] == "active", self._confirm, seconds=60)
            self._stack.clock.advance(NEAR_ITS_END)
            self._until(lambda _seen: "notice_at" not in self._item(), self._work_in_the_background)
            self._scripted.answers["/revoke"] = {}
            self._until(lambda seen: seen["status"] == "revoked", lambda: self._call("revoke"))
        finally:
            self._stack.aws_watchers.remove(self._watch)

    def connect(self, scope: str) -> None:
        """Connect the account, which is granted this."""
        self._scripted.answers["/token"] = TOKENS | {"scope": scope}
        self._until(lambda seen: seen.get("status") == "active", self._authorize)

    def _authorize(self, **fields: Any) -> None:
        """Start, and come back with a code, if that works; the page that follows may tell of a failure."""
        fields |= {"provider": self.provider, "return_to": f"{self._stack.base_url}/app", "owner": OWNER}
        if url := self._call("start", **fields).get("authorize_url"):
            query = parse_qs(urlsplit(self._browser.authorize(url)).query)
            answer = urlencode({"code": CODE, "state": query["state"][0]})
            self._callback = f"{query['redirect_uri'][0]}?{answer}"
            self._browser.open(self._callback)

    def _confirm(self) -> None:
        """Confirm with what the browser brings to the application, after a reload if need be."""
        brought = dict(parse_qsl(urlsplit(self._browser.open(self._callback).headers.get("Location", "")).query))
        if "confirmation" in brought:
            self._call("confirm", confirmation=brought["confirmation"], owner=OWNER)

    def _refresh(self, answer: Any, is_done: Callable[[dict[str, Any]], bool]) -> None:
        self._scripted.answers["/token"] = answer
        self._until(is_done, lambda: self._call("refresh"))

    def _work_in_the_background(self) -> None:
        message = {"connection_id": self.connection_id, "version": self._seen()["version"], "provider": self.provider}
        record = {"eventSource": "aws:sqs", "messageId": "message-1", "body": json.dumps(message)}
        self._stack.invoke("refresh", {"Records": [record]})

    def _until(self, is_done: Callable[[dict[str, Any]], bool], step: Callable[[], Any], seconds: float = 400) -> None:
        """Take a step until it is done, each time `seconds` later: past every pause and lease, and a caller's look."""
        self.writes.append([])
        for number in range(10):
            self._stack.clock.advance(seconds)
            if self._fault is not None and number == 0:
                self._let_fail(self._fault, len(self.writes) - 1)
            step()
            self._stack.aws_faults.clear()
            self._stack.background.poll()
            if self._fault is not None:
                # Publishing is a write, too: all of the request fails.
                self._stack.aws_faults.fail("events", "PutEvents", **WAYS[self._fault.way])
            self._then()
            self._stack.aws_faults.clear()
            if is_done(self._seen()):
                return
        raise AssertionError("a step never came to its end")

    def _let_fail(self, fault: Fault, step: int) -> None:
        """Let a write fail: if a step has fewer, one of them."""
        writes = fault.writes[step]
        number = fault.number % len(writes)
        service, operation = write = writes[number]
        self._stack.aws_faults.fail(service, operation, after=writes[:number].count(write), **WAYS[fault.way])

    def _watch(self, made: FunctionCall) -> None:
        if not made.handler.startswith("functions.events") and not made.call.operation.startswith(_READS):
            self.writes[-1].append(made.call)

    def _seen(self) -> dict[str, Any]:
        seen: dict[str, Any] = self._call("connections").get("connection", {"needs": None})
        return seen

    def _item(self) -> dict[str, Any]:
        return self._application.connection_item(self.connection_id) or {}

    def _call(self, function: str, **fields: Any) -> dict[str, Any]:
        return self._application.call(function, connection_id=self.connection_id, **fields)


@contextmanager
def _resources() -> Iterator[tuple[Stack, Scripted, TextIO]]:
    """Run a stack and a server; give them, and where to print: what the functions log goes nowhere."""
    with ExitStack() as resources, os.fdopen(os.dup(1), "w") as printed, Path(os.devnull).open("w") as unread:
        os.dup2(unread.fileno(), 1)
        yield resources.enter_context(running_stack()), resources.enter_context(running_scripted()), printed


def _fail_every_write() -> int:
    with _resources() as (stack, scripted, printed):
        bus, chance = Bus(stack), Random(7)  # noqa: S311 - the same in each run
        stack.bus.refuse = lambda _entry: None if chance.random() < TAKEN else "ThrottlingException"

        def live(fault: Fault | None) -> tuple[Life, str | None]:
            life = Life(Application(stack), Browser(stack), scripted, stack)
            life.run(fault, bus.catch_up)
            return life, bus.wrong_with(life.connection_id)

        began, wrong = time.monotonic(), 0
        quiet, _ = live(None)
        for number in range(max(map(len, quiet.writes))):
            failing = [(step, each[number]) for step, each in enumerate(quiet.writes, 1) if number < len(each)]
            named = ", ".join(f"{step} {call.operation}" for step, call in failing)
            print(f"write {number + 1} of each step ({named}):", file=printed)
            for way in WAYS:
                _, found = live(Fault(quiet.writes, number, way))
                wrong += found is not None
                print(f"  {way:24} {found or 'each event once, in order'}", file=printed, flush=True)
        total, steps, taken = sum(map(len, quiet.writes)), len(quiet.writes), time.monotonic() - began
        print(f"{total} writes in {steps} steps, each failed in {len(WAYS)} ways: {taken:.0f} s", file=printed)
    return int(wrong > 0)


def _count() -> int:
    """Print what each step of a life brings to the stream, to `events` and to the bus, and how large it is."""
    with _resources() as (stack, scripted, printed):
        bus, (stream,) = Bus(stack), stack.background.streams
        seen, requests = 0, []
        stack.aws_watchers.append(lambda made: requests.append(made.call) if made.call.service == "events" else None)
        print("step  in the stream  to events  largest  requests to publish  events  largest", file=printed)

        def counted() -> None:
            nonlocal seen
            bus.arrived.clear()
            bus.catch_up()
            records = stream.records()[seen:]
            seen += len(records)
            taken = [len(json.dumps(record)) for record in records if stream.takes(record)]
            details = [len(json.dumps(event["detail"])) for event in bus.arrived]
            print(
                f"{len(life.writes):4} {len(records):14} {len(taken):10} {max(taken, default=0):8} {len(requests):20}"
                f" {len(details):7} {max(details, default=0):8}",
                file=printed,
            )
            requests.clear()

        life = Life(Application(stack), Browser(stack), scripted, stack)
        life.run(then=counted)
        print("Sizes are of JSON, in bytes. A write to the index of lists is in no stream.", file=printed)
    return 0


def main() -> int:
    """Fail each write in each way, and return 0 if every event came, once and in order; or count, with `--costs`."""
    return _count() if "--costs" in sys.argv[1:] else _fail_every_write()


if __name__ == "__main__":
    sys.exit(main())

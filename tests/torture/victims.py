"""Processes that die for the proofs: each runs one function's real handler, and ends or stops at a chosen boundary.

A boundary is a call that leaves the process: one request to AWS (each try of a call is one) or to the authorization
server. It has two sides, before the request and after its answer. Hooks of botocore and the Services's own outbound
transport count them; nothing of the functions is changed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from functions.vault.base.timing import SharedClock
from functions.vault.oauth.outbound import Outbound
from functions.vault.services import Services
from functions.vault.storage import aws
from local.gateway.invoker import Context, alias_for, load_handler

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import TracebackType

    from functions.vault.oauth.transport import Answer
    from functions.vault.storage.aws import ClientOf
    from local.aws.cloudformation import Function

# Only a failing proof ever waits so long.
_PATIENCE = 90.0
_SERVICES = ("dynamodb", "kms", "sqs", "secretsmanager")
_spawning = multiprocessing.get_context("spawn")

BEFORE, AFTER = "before", "after"
ANY = 0
"""In place of a boundary's number: the first call of that name, whichever it is."""


@dataclass(frozen=True)
class Boundary:
    """One side of one call: ``number`` counts the calls of an invocation from 1."""

    number: int
    side: str
    call: str
    outcome: str = ""

    def is_at(self, other: Boundary) -> bool:
        """Return whether the other is the same side of the same call."""
        return (self.side, self.call) == (other.side, other.call) and other.number in {self.number, ANY}


@dataclass(frozen=True)
class Job:
    """One invocation of ``gatehouse-{function}``, and where it ends: ``signal`` comes at the boundary ``at``.

    ``seconds`` is the time that it has, the function's timeout by default; ``slow_server`` is how much of it the
    authorization server takes, without anybody waiting for it.
    """

    function: str
    event: dict[str, Any] = field(repr=False)
    at: Boundary | None = None
    signal: int = signal.SIGKILL
    seconds: int | None = None
    slow_server: float = 0.0
    clock_off: float = 0.0


@dataclass(frozen=True)
class Report:
    """What became of a victim: its boundaries in their order, its result if it lived to give one, and its log."""

    passed: tuple[Boundary, ...]
    result: Any = field(default=None, repr=False)
    log: str = field(default="", repr=False)
    killed: bool = False
    stopped: int | None = None
    """The process id of a victim that is stopped (SIGSTOP), and can go on."""

    def answered(self, *calls: str) -> list[Boundary]:
        """Return the calls of these names that were answered with success."""
        return [each for each in self.passed if each.side == AFTER and each.call in calls and each.outcome == "200"]


class _Trap:
    """Counts the boundaries, writes each down, and strikes at one."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.note: int | None = None
        self.spent = 0.0
        self._count = 0

    def before(self, call: str) -> None:
        self._count += 1
        self._pass(Boundary(self._count, BEFORE, call))

    def after(self, call: str, outcome: str) -> None:
        self._pass(Boundary(self._count, AFTER, call, outcome))

    def _pass(self, boundary: Boundary) -> None:
        if self.job is None or self.note is None:
            return
        _write(self.note, vars(boundary))
        if self.job.at is not None and boundary.is_at(self.job.at):
            os.kill(os.getpid(), self.job.signal)


def _write(descriptor: int, document: Mapping[str, Any]) -> None:
    os.write(descriptor, json.dumps(document).encode() + b"\n")


def _trapped(client_of: ClientOf, trap: _Trap) -> ClientOf:
    """Return the same clients, telling the trap of every request that goes over the wire."""
    trapped: dict[str, Any] = {}

    def get(service: str) -> Any:
        if service not in trapped:
            client = trapped[service] = client_of(service)

            def before(event_name: str, **_: Any) -> None:
                trap.before(f"{service} {event_name.rpartition('.')[2]}")

            def after(event_name: str, response_dict: Any, exception: Any, **_: Any) -> None:
                outcome = str(response_dict["status_code"]) if exception is None else type(exception).__name__
                trap.after(f"{service} {event_name.rpartition('.')[2]}", outcome)

            client.meta.events.register("before-send", before)
            client.meta.events.register("response-received", after)
        return trapped[service]

    return get


class _TrappedOutbound(Outbound):
    def __init__(self, trap: _Trap) -> None:
        super().__init__(loopback=True)
        self._trap = trap

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        call = f"{method} {urlsplit(url).path.rpartition('/')[2] if method == 'POST' else 'metadata'}"
        self._trap.before(call)
        try:
            answer = super().send(method, url, headers, body, timeout)
        except Exception as error:
            self._trap.after(call, type(error).__name__)
            raise
        if method == "POST" and self._trap.job is not None:
            self._trap.spent += self._trap.job.slow_server
        self._trap.after(call, str(answer.status))
        return answer


class _TrappedServices(Services):
    def __init__(self, environ: Mapping[str, str], client_of: ClientOf, clock: _Clock, trap: _Trap) -> None:
        shared = SharedClock(clock.now)
        super().__init__(environ, clock=shared.now, on_date=shared.correct_by)
        self._clients = client_of
        self._trap = trap

    @cached_property
    def _outbound(self) -> Outbound:
        return _TrappedOutbound(self._trap)


class _Clock:
    """The stack's clock, shared; and how wrong the victim's own is."""

    def __init__(self, ahead: Any) -> None:
        self._ahead = ahead
        self.off = 0.0

    def now(self) -> float:
        return time.time() + float(self._ahead.value) + self.off


class _Context(Context):
    """An invocation's context, whose time the authorization server may have taken up."""

    def __init__(self, function: Function, trap: _Trap, alias: str) -> None:
        super().__init__(function, "request-of-a-victim", alias)
        self._trap = trap

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left when the server's time is taken off."""
        return max(0, super().get_remaining_time_in_millis() - int(self._trap.spent * 1000))


class Victims:
    """A process in which everything is set up and nothing was called yet; each victim is a copy of it (fork)."""

    def __init__(self, functions: Mapping[str, Function], endpoints: Mapping[str, str]) -> None:
        """``endpoints`` are the variables that lead boto3 elsewhere than this process's own."""
        self._ahead = _spawning.Value("d", 0.0, lock=False)
        ours, theirs = _spawning.Pipe()
        self._connection: Connection[Any, Any] = ours
        self._process: SpawnProcess = _spawning.Process(
            target=_breed, args=(theirs, dict(functions), dict(endpoints), self._ahead)
        )
        self._theirs: Connection[Any, Any] = theirs

    def __enter__(self) -> Self:
        """Start it, and wait until it is set up."""
        self._process.start()
        self._theirs.close()
        assert self._received() == "up"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and whoever is stopped."""
        self._connection.close()
        self._process.join(10)
        self._process.kill()
        self._process.join()
        self._process.close()

    def set_clock(self, ahead: float) -> None:
        """Put the victims' clock so many seconds ahead of the real time."""
        self._ahead.value = ahead

    def run(self, job: Job) -> Report:
        """Make a victim do the job, and report when it has ended, was killed or is stopped."""
        self._connection.send(job)
        return self._report()

    def resume(self, report: Report) -> Report:
        """Let a stopped victim go on to its end."""
        assert report.stopped is not None
        self._connection.send(report.stopped)
        return self._report()

    def _report(self) -> Report:
        report = self._received()
        assert isinstance(report, Report), report
        return report

    def _received(self) -> Any:
        assert self._connection.poll(_PATIENCE), "the victims do not answer"
        return self._connection.recv()


def _breed(
    connection: Connection[Any, Any], functions: dict[str, Function], endpoints: dict[str, str], ahead: Any
) -> None:
    """Be the process that victims are copied from, until the other end is closed."""
    os.environ.update(endpoints)
    import requests  # noqa: F401, PLC0415 - once here, not in every victim

    services = _Nursery(functions, ahead)
    stopped: dict[int, tuple[Any, Any]] = {}
    connection.send("up")
    try:
        while True:
            order = connection.recv()
            if isinstance(order, int):
                pid, (note, log) = order, stopped.pop(order)
                os.kill(pid, signal.SIGCONT)
            else:
                note, log = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - read after the victim
                pid = os.fork()
                if pid == 0:
                    services.live(order, note.fileno(), log.fileno())
            report = _watched(pid, note, log)
            if report.stopped is not None:
                stopped[pid] = (note, log)
            connection.send(report)
    except EOFError:
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)


class _Nursery:
    """Everything that a victim starts with: handlers, clients and classes, and not one call made."""

    def __init__(self, functions: Mapping[str, Function], ahead: Any) -> None:
        self._trap, self._clock = _Trap(), _Clock(ahead)
        self._functions = functions
        client_of = _trapped(aws.clients(), self._trap)
        for service in _SERVICES:
            client_of(service)
        self._handlers = {
            name: load_handler(function.handler).with_services(
                _TrappedServices(function.environment, client_of, self._clock, self._trap)
            )
            for name, function in functions.items()
        }

    def live(self, job: Job, note: int, log: int) -> None:
        """Be the victim. It never returns."""
        try:
            os.dup2(log, 1)
            name = f"gatehouse-{job.function}"
            function = self._functions[name]
            if job.seconds is not None:
                function = replace(function, timeout=job.seconds)
            self._trap.job, self._trap.note, self._clock.off = job, note, job.clock_off
            try:
                result = self._handlers[name](job.event, _Context(function, self._trap, alias_for(job.event)))
            except Exception as error:  # noqa: BLE001 - as Lambda does
                result = {"raised": type(error).__name__}
            _write(note, {"result": result})
            sys.stdout.flush()
        finally:
            os._exit(0)


def _watched(pid: int, note: Any, log: Any) -> Report:
    """Wait until a victim ends or stops, and report."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    lines = [json.loads(line) for line in _content(note).splitlines()]
    passed = tuple(Boundary(**line) for line in lines if "result" not in line)
    result = next((line["result"] for line in lines if "result" in line), None)
    return Report(
        passed,
        result,
        _content(log),
        killed=os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        stopped=pid if os.WIFSTOPPED(status) else None,
    )


def _content(file: Any) -> str:
    """Return what was written; the offset is shared with the writer, and goes back to the end."""
    file.seek(0)
    content: bytes = file.read()
    return content.decode()

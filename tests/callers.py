"""Callers of the functions in several processes, as Lambda runs them: they share only tables, key and time."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from local.gateway.invoker import alias_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import TracebackType

    from local.aws.cloudformation import Function
    from local.gateway.invoker import Invoker

# Only a failing test ever waits this long.
_PATIENCE = 60.0

PATIENCE = 90
"""Seconds that a call in a process may take."""

# A fork would inherit locks and sockets of the stack that are in use.
_spawning = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Call:
    """An invocation of ``gatehouse-{function}``, made ``times`` times, one after the other."""

    function: str
    event: dict[str, Any] = field(repr=False)
    times: int = 1


@dataclass(frozen=True)
class Answer:
    """The result of an invocation. ``began`` and ``ended`` are monotonic seconds, the same for all processes."""

    function: str
    result: dict[str, Any] = field(repr=False)
    began: float
    ended: float

    @property
    def outcome(self) -> str:
        """Return the error code of a failure, ``ok`` otherwise."""
        return str(self.result.get("error", "ok"))


@dataclass(frozen=True)
class SharedTime:
    """What the processes share with the test: how far the clock is ahead, and how many calls have read their record."""

    # No lock for a value with one writer: a process that is killed must not take a lock with it.
    ahead: Any = field(default_factory=lambda: _spawning.Value("d", 0.0, lock=False))
    deciding: Any = field(default_factory=lambda: _spawning.Value("i", 0))


class _Clock:
    """The clock of a process. It counts a call when that first asks for the time: by then it has read the record."""

    def __init__(self, shared: SharedTime) -> None:
        self._shared = shared
        self._thread = threading.local()

    def a_call_begins(self) -> None:
        self._thread.has_asked = False

    def note_the_call(self) -> None:
        if not getattr(self._thread, "has_asked", True):
            self._thread.has_asked = True
            with self._shared.deciding.get_lock():
                self._shared.deciding.value += 1

    def now(self) -> float:
        self.note_the_call()
        return time.time() + float(self._shared.ahead.value)


class Volley:
    """Calls that were started at one moment, and may still be running."""

    def __init__(self, connections: Sequence[Connection[Any, Any]]) -> None:
        self._connections = connections
        self._answers: list[Answer] | None = None

    def is_over(self) -> bool:
        """Return whether a process has answered all its calls, or died."""
        return any(connection.poll() for connection in self._connections)

    def answers(self) -> list[Answer]:
        """Wait for all answers. Those of a process that was killed never come."""
        if self._answers is None:
            self._answers = [answer for connection in self._connections for answer in _received(connection)]
        return self._answers


def _received(connection: Connection[Any, Any]) -> list[Answer]:
    assert connection.poll(_PATIENCE), "a process does not answer"
    try:
        answers: list[Answer] = connection.recv()
    except EOFError:
        return []
    return answers


class Callers:
    """Processes that call the functions of a deployment. Each has all functions set up, like warm environments."""

    def __init__(self, functions: Mapping[str, Function], processes: int = 4) -> None:
        self.processes = processes
        self._functions = functions
        self._shared = SharedTime()
        self._running: list[tuple[SpawnProcess, Connection[Any, Any]]] = []
        self._volleys: list[Volley] = []

    def __enter__(self) -> Self:
        """Start the processes and wait until each has its functions set up."""
        self._running = [self._start() for _ in range(self.processes)]
        for _, connection in self._running:
            _expect(connection, "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        for process, connection in self._running:
            process.kill()
            process.join()
            process.close()
            connection.close()

    def set_clock(self, ahead: float) -> None:
        """Set the processes' clocks this many seconds ahead of the real time."""
        self._shared.ahead.value = ahead

    def begin(self, calls: Sequence[Call], among: Sequence[int] | None = None) -> Volley:
        """Distribute the calls over the processes (or some of them), a thread for each call, and start all at once."""
        chosen = range(self.processes) if among is None else among
        connections = [self._running[index][1] for index in chosen]
        self._shared.deciding.value = 0
        for index, connection in enumerate(connections):
            connection.send(calls[index :: len(connections)])
        for connection in connections:
            _expect(connection, "set")
        for connection in connections:
            connection.send("go")
        self._volleys.append(volley := Volley(connections))
        return volley

    def settle(self) -> None:
        """Wait until no call is running: a test that failed may have left some."""
        for index in range(self.processes):
            self.resume(index)
        for volley in self._volleys:
            volley.answers()
        self._volleys.clear()

    def at_once(self, calls: Sequence[Call]) -> list[Answer]:
        """Make these calls at once and return their answers."""
        return self.begin(calls).answers()

    def wait_until_deciding(self, count: int) -> None:
        """Wait until this many calls of the latest volley have read the record and are deciding what to do."""
        give_up = time.monotonic() + _PATIENCE
        while self._shared.deciding.value < count:
            assert time.monotonic() < give_up, f"only {self._shared.deciding.value} of {count} calls have come"
            time.sleep(0.01)

    def suspend(self, index: int) -> None:
        """Stop a process in the middle of its work, like one that gets no processor time."""
        os.kill(self._pid(index), signal.SIGSTOP)

    def resume(self, index: int) -> None:
        """Let a suspended process continue."""
        os.kill(self._pid(index), signal.SIGCONT)

    def kill(self, index: int) -> None:
        """Kill a process in the middle of its work (SIGKILL), and start a new one in its place."""
        process, connection = self._running[index]
        process.kill()
        process.join()
        process.close()
        self._running[index] = self._start()
        _expect(self._running[index][1], "up")
        # The volley keeps the old connection, whose other end is closed now.
        del connection

    def _pid(self, index: int) -> int:
        pid = self._running[index][0].pid
        assert pid is not None, "the process was never started"
        return pid

    def _start(self) -> tuple[SpawnProcess, Connection[Any, Any]]:
        ours, theirs = _spawning.Pipe()
        process = _spawning.Process(target=_work, args=(theirs, dict(self._functions), self._shared), daemon=True)
        process.start()
        theirs.close()
        return process, ours


def _expect(connection: Connection[Any, Any], word: str) -> None:
    assert connection.poll(_PATIENCE), "a process does not come up"
    assert connection.recv() == word


def _work(connection: Connection[Any, Any], functions: dict[str, Function], shared: SharedTime) -> None:
    """Run as one of the processes until the other end is closed."""
    # A line for each of thousands of calls helps nobody. Defects are still logged.
    logging.getLogger("gatehouse").setLevel(logging.ERROR)
    from functions.vault.services import Services  # noqa: PLC0415 - after the environment is set
    from local.gateway.invoker import Invoker  # noqa: PLC0415

    clock = _Clock(shared)
    # Other tests show what a short deadline does. Here a busy machine must not exceed it.
    patient = {name: replace(function, timeout=PATIENCE) for name, function in functions.items()}
    invoker = Invoker(patient, lambda environment: Services.from_environ(environment, clock=clock.now))
    invoker.warm_up()
    connection.send("up")
    while True:
        try:
            calls = connection.recv()
        except EOFError:
            return
        connection.send(_made(calls, invoker, clock, connection))


def _made(calls: Sequence[Call], invoker: Invoker, clock: _Clock, connection: Connection[Any, Any]) -> list[Answer]:
    """Make each call in a thread of its own, once the other end says "go"."""
    go = threading.Event()
    with ThreadPoolExecutor(max(1, len(calls))) as pool:
        under_way = [pool.submit(_make, call, invoker, clock, go) for call in calls]
        connection.send("set")
        connection.recv()
        go.set()
        return [answer for each in under_way for answer in each.result()]


def _make(call: Call, invoker: Invoker, clock: _Clock, go: threading.Event) -> list[Answer]:
    go.wait()
    answers = []
    for _ in range(call.times):
        clock.a_call_begins()
        began = time.monotonic()
        invocation = invoker.invoke(f"gatehouse-{call.function}:{alias_for(call.event)}", call.event)
        ended = time.monotonic()
        clock.note_the_call()  # a call that failed before it asked for the time counts, too
        result = {"error": "raised"} if invocation.unhandled else json.loads(invocation.payload)
        answers.append(Answer(call.function, result, began, ended))
    return answers

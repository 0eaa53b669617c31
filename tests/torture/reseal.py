"""`python -m tests.torture.reseal`: 1,000 connections are sealed again under a new key while they are used and revoked.

Three processes on dynalite: two vend, refresh and revoke, one seals again and is killed (SIGKILL) twice. Who calls
does it as documented: again with the cursor of the answer, and again after an error that is retryable. In the
end nothing is left under the old key, every connection that was not revoked vends with the new key alone, and no
refresh token has met its server twice.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
import sys
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import boto3

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.base.timing import NEVER
from functions.vault.services import Services
from local.stack import Stack
from tests.browser import Browser
from tests.callers import Call, Callers
from tests.engines import running_dynalite
from tests.unlimited import lift_the_limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local.aws.cloudformation import Function
    from tests.callers import Answer, Volley

CONNECTIONS, REVOKED = 1_000, 100
_USERS, _RESEALER = (0, 1), 2
_MOST_AGAIN = 1_000
_AT_ONCE, _LONGER_THAN_A_TOKEN_LIVES = 12, 3700
_KILLED_AT = (0.25, 0.5)
"""The parts of the token sets after which the process that seals again is killed."""


_Cursor = dict[str, Any]
"""What a call goes on with: nothing at first, then what the answer before it said."""


@dataclass
class Figures:
    """What it came to. `calls` are those of users, by function and outcome.

    `called_again` counts the calls of `reseal` that were repeated because their error was retryable.
    """

    connections: int
    seconds: float = 0.0
    killed_at: list[int] = field(default_factory=list)
    called_again: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    last: dict[str, Any] = field(default_factory=dict)
    vended: int = 0
    revoked: int = 0
    violations: list[str] = field(default_factory=list)

    def require(self, what: str, *, holds: bool) -> None:
        """Note a violation if something does not hold."""
        if not holds:
            self.violations.append(what)


class _Run:
    def __init__(self, stack: Stack, connections: int, seed: int) -> None:
        self.stack = stack
        self.random = random.Random(seed)  # noqa: S311 - chance, not secrecy
        self.figures = Figures(connections)
        self.old = self._environ(stack.deployment.functions)["GATEHOUSE_KEY_ID"]
        self.new = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.environ = self._environ(stack.deployment.functions) | self._keys(self.new, self.old)
        self.ids = self._connect(connections)
        self.to_revoke = self.ids[: connections * REVOKED // CONNECTIONS]

    @staticmethod
    def _environ(functions: Mapping[str, Function]) -> dict[str, str]:
        whole: dict[str, str] = {}
        for function in functions.values():
            whole |= function.environment
        return whole

    @staticmethod
    def _keys(seals: str, opens: str = "") -> dict[str, str]:
        return {"GATEHOUSE_KEY_ID": seals, "GATEHOUSE_OTHER_KEY_ID": opens}

    def functions(self, *keys: str) -> dict[str, Function]:
        """Return the functions, with these keys."""
        deployed = self.stack.deployment.functions
        return {
            name: replace(each, environment={**each.environment, **self._keys(*keys)})
            for name, each in deployed.items()
        }

    def _connect(self, count: int) -> list[str]:
        def connect(_: int) -> str:
            merchant = f"M{uuid.uuid4().hex[:10]}"
            return Browser(self.stack, merchant).connect("demo", connection_id=f"of-{merchant}")

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(connect, range(count)))

    def count(self) -> dict[str, Any]:
        """Return what each key seals now."""
        while True:
            with suppress(TemporarilyUnavailable):
                return Services.from_environ(self.environ, clock=self.stack.clock.now).resealing.count(NEVER)

    def use_while_resealing(self, callers: Callers) -> None:
        """Let users call while everything is sealed again, kill that twice, and let it come to its end."""
        left_to_revoke, marks = list(self.to_revoke), [part * len(self.ids) for part in _KILLED_AT]
        cursor: _Cursor | None = {}
        while cursor is not None:
            # Who is to be killed is slow: however busy the machine is, the time to do it is found.
            under_way = callers.begin([_reseal_call(cursor, 25 if marks else 100)], among=[_RESEALER])
            if self._use_until(marks[0] if marks else math.inf, under_way, callers, left_to_revoke):
                marks.pop(0)
                cursor = {}
            else:
                (answer,) = under_way.answers()
                cursor = self._next(cursor, answer)
        self.figures.require(f"killed {len(self.figures.killed_at)} times", holds=not marks)
        while left_to_revoke:
            self._note(callers.begin(self._volley(left_to_revoke), among=_USERS).answers())

    def _use_until(self, mark: float, under_way: Volley, callers: Callers, left_to_revoke: list[str]) -> bool:
        """Let users call while a pass is under way; return whether it has sealed so many, and was killed.

        How many is looked at while the users' calls are under way, however long they take.
        """
        while not under_way.is_over():
            used = callers.begin(self._volley(left_to_revoke), among=_USERS)
            while not (used.is_over() or under_way.is_over()):
                if (sealed := self.count()["keys"].get(self.new, 0)) >= mark:
                    callers.kill(_RESEALER)
                    self.figures.killed_at.append(sealed)
                    self._note(used.answers())
                    self.stack.clock.advance(_LONGER_THAN_A_TOKEN_LIVES)
                    callers.set_clock(self.stack.clock.offset)
                    return True
            self._note(used.answers())
        return False

    def _next(self, cursor: _Cursor, answer: Answer) -> _Cursor | None:
        """Return what the next call is to go on with after a call's answer; None if all connections were read."""
        if answer.result.get("retryable") and self.figures.called_again < _MOST_AGAIN:
            self.figures.called_again += 1
            return cursor
        self.figures.require(f"reseal came to {answer.outcome}", holds=answer.outcome == "ok")
        return {"cursor": answer.result["cursor"]} if "cursor" in answer.result else None

    @staticmethod
    def _asked(alone: Callers, ids: Sequence[str]) -> dict[str, Answer]:
        """Return what each connection vends, asked again while that is retryable."""
        found: dict[str, Answer] = {}
        left, tries = list(ids), 0
        while left and (tries := tries + 1) <= _MOST_AGAIN:
            found |= zip(left, alone.at_once([Call("token", {"connection_id": each}) for each in left]), strict=True)
            left = [each for each in left if found[each].result.get("retryable")]
        return found

    def _last_pass(self, callers: Callers) -> dict[str, Any]:
        cursor: _Cursor | None = {}
        result: dict[str, Any] = {}
        while cursor is not None:
            (answer,) = callers.at_once([_reseal_call(cursor)])
            cursor, result = self._next(cursor, answer), answer.result
        return result

    def _volley(self, left_to_revoke: list[str]) -> list[Call]:
        """Return some calls at once: of any connections, also of those that another call is about to revoke."""
        calls = [Call("token", {"connection_id": self.random.choice(self.ids)}) for _ in range(_AT_ONCE // 2)]
        calls += [Call("refresh", {"connection_id": self.random.choice(self.ids)}) for _ in range(_AT_ONCE // 3)]
        ending = [left_to_revoke.pop() for _ in range(min(2, len(left_to_revoke)))]
        return calls + [Call("revoke", {"connection_id": each}) for each in ending]

    def _note(self, answers: Sequence[Answer]) -> None:
        self.figures.calls.update(f"{answer.function} {answer.outcome}" for answer in answers)

    def judge(self, callers: Callers) -> None:
        """See that nothing is left under the old key, and that the new one alone vends everything."""
        figures, revoked = self.figures, set(self.to_revoke)
        figures.last = self._last_pass(callers)
        figures.require(f"left: {figures.last}", holds=figures.last.get("left") == 0)
        figures.require("the old key is in use", holds=set(figures.last.get("keys", ())) == {self.new})
        with Callers(self.functions(self.new), 1) as alone:
            for first in range(0, len(self.ids), 50):
                for each, answer in self._asked(alone, self.ids[first : first + 50]).items():
                    wanted = "connection_revoked" if each in revoked else "ok"
                    figures.require(f"{each}: {answer.outcome}", holds=answer.outcome == wanted)
                    figures.vended += answer.outcome == "ok"
                    figures.revoked += answer.outcome == "connection_revoked"
        most = max(int(grant["max_simultaneous"]) for grant in self.stack.demo.grants())
        figures.require(f"{most} refreshes of one grant at once", holds=most <= 1)
        outcomes = Counter(str(seen["outcome"]) for seen in self.stack.demo.requests("token"))
        figures.require(f"answers of the token endpoint: {outcomes}", holds=outcomes.keys() <= {"issued", "refreshed"})


def _reseal_call(cursor: _Cursor, per_second: int = 100) -> Call:
    return Call("reseal", {"per_second": per_second, **cursor})


def run(connections: int = CONNECTIONS, seed: int = 1) -> Figures:
    """Connect, change the key, use and seal again, and judge."""
    with ExitStack() as closing:
        stack = closing.enter_context(Stack(dynamodb_endpoint=closing.enter_context(running_dynalite())))
        lift_the_limit(stack)
        play = _Run(stack, connections, seed)
        began = time.monotonic()
        with Callers(play.functions(play.new, play.old), 3) as callers:
            play.use_while_resealing(callers)
            play.figures.seconds = time.monotonic() - began
            play.judge(callers)
        return play.figures


def main(arguments: list[str] | None = None) -> int:
    """Print what it came to; return 0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.reseal", description=__doc__)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    figures = run(options.connections, options.seed)
    meanwhile = ", ".join(f"{number:,d} {name}" for name, number in sorted(figures.calls.items()))
    lines = [
        f"  {figures.connections:,d} connections, sealed again in {figures.seconds:.0f} s while they were used",
        f"  killed when {' and '.join(f'{each:,d}' for each in figures.killed_at)} token sets were sealed again",
        f"  called again after an error that is retryable: {figures.called_again} times",
        f"  calls meanwhile: {meanwhile}",
        f"  at last: {figures.last.get('left')} left of {figures.last.get('connections'):,d} connections",
        f"  by the new key alone {figures.vended:,d} vend, and {figures.revoked:,d} are revoked",
        *(f"VIOLATED: {each}" for each in figures.violations[:20]),
    ]
    sys.stdout.write("\n".join([*lines, ""]))
    return int(bool(figures.violations))


if __name__ == "__main__":
    logging.getLogger("gatehouse").setLevel(logging.CRITICAL)  # a line for each call helps nobody
    sys.exit(main())

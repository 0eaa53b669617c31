"""The command, run in this process as it is installed: `tests/clients/conftest.py` puts the wheel before the source."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

if TYPE_CHECKING:
    from local.stack import Stack


_LOGGED = '{"level":'


@dataclass(frozen=True)
class Ran:
    """What a call of the command has written, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer, which has to be one JSON document and nothing else."""
        return json.loads(self.out)


Gatehouse = Callable[..., Ran]


class Keyboard(io.BytesIO):
    """The keyboard of a terminal, at which somebody types, and then presses Ctrl-C, or Ctrl-D."""

    def __init__(self, typed: str = "", *, interrupts: bool = True) -> None:
        super().__init__(typed.encode())
        self._interrupts = interrupts

    def isatty(self) -> bool:
        """Say that it is one."""
        return True

    def read1(self, size: int | None = -1, /) -> bytes:
        """Give a line."""
        line = self.readline(size)
        if not line and self._interrupts:
            raise KeyboardInterrupt
        return line


def run(*arguments: str, typed: str | Keyboard | None = None) -> Ran:
    """Run the command as somebody does who has no terminal; what is `typed` is in standard input."""
    from gatehouse.cli.app import app  # noqa: PLC0415 - the installed package has to come before the source first

    result = CliRunner().invoke(app, arguments, input=typed, prog_name="gatehouse")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    # The stack runs in this process, too, and its functions' log goes where the command writes.
    lines = result.stdout.splitlines(keepends=True)
    return Ran(result.exit_code, "".join(line for line in lines if not line.startswith(_LOGGED)), result.stderr)


@pytest.fixture
def gatehouse(stack: Stack) -> Gatehouse:
    """Run a command with the local stack."""
    port = stack.local_url.rpartition(":")[2]
    return lambda *arguments, typed=None: run(*arguments, "--port", port, typed=typed)

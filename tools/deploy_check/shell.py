"""Runs the commands that a person would type, each bounded in time, and keeps what they print."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.deploy_check.report import Wrong

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LAST_LINES = 12
# A terminal's colours and bold.
_CONTROL = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Ran:
    """How a command ended, and all that it printed."""

    command: str
    code: int
    output: str

    def ok(self) -> Ran:
        """Return itself. Raises ``Wrong`` with its last lines where it failed."""
        if self.code == 0:
            return self
        last = "\n    ".join(self.output.strip().splitlines()[-_LAST_LINES:])
        raise Wrong(f"This command ended with exit code {self.code}:\n    $ {self.command}\n    {last}")


class Shell:
    """A shell in one folder and with one environment. All it runs is in the transcript, with times and outputs."""

    def __init__(self, folder: Path, environment: Mapping[str, str], transcript: Path) -> None:
        """``transcript`` is begun afresh."""
        self.folder = folder
        self.environment = dict(environment)
        self._transcript = transcript
        transcript.write_text("", encoding="utf-8")

    def run(self, command: str, *, typed: str = "", timeout: float = 120) -> Ran:
        """Run a command, or several lines that end at the first failure; ``typed`` goes to their input.

        Raises ``Wrong`` where it takes longer than ``timeout`` seconds; it is ended then, with all that it started.
        """
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 -- the commands are ours and the documents'
            ["/usr/bin/env", "bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            printed, _ = process.communicate(typed.encode(), timeout)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Wrong(f"This command was not done in {timeout:.0f} s:\n    $ {command}") from None
            raise
        output = _CONTROL.sub("", printed.decode(errors="replace"))
        self._write(command, output, process.returncode, time.monotonic() - began)
        return Ran(command, process.returncode, output)

    def _write(self, command: str, output: str, code: int, seconds: float) -> None:
        with self._transcript.open("a", encoding="utf-8") as transcript:
            transcript.write(f"$ {command}\n{output.rstrip()}\n[exit code {code}, {seconds:.1f} s]\n\n")

"""The command `gatehouse`. It needs the extra `cli`: `pip install './clients/python[cli]'` in the repository."""

from __future__ import annotations

import signal
import sys
from typing import Any

_OLDEST = (3, 11)
_NOT_INSTALLED = 3
_INTERRUPTED = 130


def main() -> int:
    """Run the command, and return its exit code. Without what it needs, say what to install."""
    if sys.version_info < _OLDEST:
        return _refuse("The command needs Python 3.11 or newer; the client itself works with 3.10, too.")
    clean_up_when_ended()
    try:
        return _run()
    except KeyboardInterrupt:
        # While it was still loading.
        return _INTERRUPTED


def clean_up_when_ended() -> None:
    """Let a terminal that is closed, or `kill`, end the command as Ctrl-C does: what it has made is taken away."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What `nohup` ignores stays ignored.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: Any) -> None:
    sys.exit(128 + number)


def _run() -> int:
    try:
        import click  # noqa: F401, PLC0415 - the client has to work without it
        import rich  # noqa: F401, PLC0415 - as above
    except ImportError as error:
        return _refuse(
            f"The command needs {error.name or 'packages'}, which the client alone does not install. "
            "Install it with them, in Gatehouse's repository:\n  pip install './clients/python[cli]'"
        )
    from .app import app  # noqa: PLC0415 - it needs both

    app(prog_name="gatehouse")
    return 0


def _refuse(text: str) -> int:
    sys.stderr.write(f"gatehouse: {text}\n")
    return _NOT_INSTALLED

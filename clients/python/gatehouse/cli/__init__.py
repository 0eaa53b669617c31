"""The command `gatehouse`. It needs the extra `cli`: `pip install './clients/python[cli]'` in the repository."""

from __future__ import annotations

import sys

_OLDEST = (3, 11)
_NOT_INSTALLED = 3


def main() -> int:
    """Run the command, and return its exit code. Without what it needs, say what to install."""
    if sys.version_info < _OLDEST:
        return _refuse("The command needs Python 3.11 or newer; the client itself works with 3.10, too.")
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

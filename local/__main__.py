"""``python -m local``: run the stack until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import FrameType

    from local.stack import Stack

DEFAULT_PORT = 8787
_CANNOT_RUN = 1
_BAD_INPUT = 2


def main(arguments: list[str]) -> int:
    """Run the stack; returns the exit code: 0 stopped, 1 cannot run, 2 bad input."""
    _on_signals(_leave_at_once)
    # Everything else is imported here, where a signal already ends the program without a traceback.
    from local.errors import RegistrationsError, StackError  # noqa: PLC0415

    options = _options(arguments)
    print("Gatehouse is starting ...", flush=True)
    try:
        with _stack(options) as stack:
            signals = _signals()
            print(banner(stack), flush=True)
            signals.recv(1)
            print("\nGatehouse is stopping.", flush=True)
    except RegistrationsError as error:
        return _fail(error, _BAD_INPUT)
    except StackError as error:
        return _fail(error, _CANNOT_RUN)
    return 0


def banner(stack: Stack) -> str:
    """Return what a person wants to know first."""
    functions = " ".join(name.removeprefix("gatehouse-") for name in stack.info()["functions"])
    return f"""
  Gatehouse runs on this machine.

  Open      {stack.base_url}/
            connect a demo merchant, then look at its connection
  Invoke    aws lambda invoke --function-name gatehouse-connections --endpoint-url {stack.base_url} \\
              --cli-binary-format raw-in-base64-out --payload '{{}}' /dev/stdout
            (any AWS credentials and region will do; boto3's lambda client takes the same endpoint_url)
  HTTP      curl -d '{{}}' -H 'Content-Type: application/json' {stack.base_url}/v1/connections
            (deployed, /v1 wants a SigV4 signature; there is no IAM on this machine)
  Clock     curl -d '{{"advance_seconds": 3600}}' {stack.base_url}/_local/clock
            (background refreshes and revocations go by it)

  Functions {functions}
  Providers {" ".join(stack.registrations)}     redirect URI {stack.base_url}/callback/NAME
  Demo authorization server {stack.demo.url}     AWS endpoint {stack.aws_endpoint}

  Everything is kept in memory and listens on 127.0.0.1 alone. What the functions log follows. Ctrl-C stops it.
"""


def _options(arguments: list[str]) -> argparse.Namespace:
    import argparse  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m local", description="Run Gatehouse on this machine.")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"where to listen (default {DEFAULT_PORT})")
    parser.add_argument(
        "--registrations",
        type=Path,
        metavar="FILE",
        help='further providers: JSON {"NAME": {"client_id": "...", ...}}, as in Secrets Manager',
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    """Return a port number; argparse names the argument in its message."""
    from argparse import ArgumentTypeError  # noqa: PLC0415

    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):  # noqa: PLR2004
        raise ArgumentTypeError(f"{text!r} is not a port: a number from 1 to 65535 (0: any free one)")
    return int(text)


def _stack(options: argparse.Namespace) -> Stack:
    from local import registrations  # noqa: PLC0415
    from local.stack import Stack  # noqa: PLC0415

    further = registrations.read(options.registrations) if options.registrations else {}
    return Stack(options.port, further, background=True)


def _on_signals(handle: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _signals() -> socket.socket:
    """Return where a byte arrives with each signal from now on.

    A lock that a handler releases can miss a signal that comes just before the wait, and a handler that interrupts the
    lock's own code can wait for itself.
    """
    ours, signals = socket.socketpair()
    signals.settimeout(0)
    _on_signals(lambda _number, _frame: None)
    signal.set_wakeup_fd(signals.detach())
    return ours


def _leave_at_once(_number: int, _frame: FrameType | None) -> None:
    """End a start-up half done: all of it is memory and daemon threads, and an exception could rise anywhere."""
    with contextlib.suppress(RuntimeError):  # the signal has come in the middle of another flush, which Python refuses
        sys.stdout.flush()
    os._exit(0)


def _fail(error: Exception, code: int) -> int:
    print(f"gatehouse: {error}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

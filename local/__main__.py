"""``python -m local``: run the stack until it is stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from local.options import Options
    from local.stack import Stack

_CANNOT_RUN = 1
_BAD_INPUT = 2


def main(arguments: list[str]) -> int:
    """Run the stack; returns the exit code: 0 stopped, 1 cannot run, 2 bad input."""
    _on_signals(_leave_at_once)
    # Everything else is imported here, where a signal already ends the program without a traceback.
    from local import options  # noqa: PLC0415
    from local.base import terminal  # noqa: PLC0415
    from local.base.errors import RegistrationsError, StackError  # noqa: PLC0415

    chosen = options.parse(arguments)
    print("Gatehouse is starting: an emulated AWS account, the functions, the demo server ...", flush=True)
    try:
        with _stack(chosen) as stack:
            signals = _signals()
            sys.stdout = terminal.for_a_person(sys.stdout)
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

  Open      {stack.local_url}/
            connect a demo merchant, then look at its connection
  Invoke    echo '{{}}' | aws lambda invoke --function-name gatehouse-connections:live \\
              --endpoint-url {stack.local_url} --payload fileb:///dev/stdin /dev/stdout | cat
            (any AWS credentials and region will do; boto3's lambda client takes the same endpoint_url)
  HTTP      curl -d '{{}}' -H 'Content-Type: application/json' {stack.local_url}/v1/connections
            (deployed, /v1 wants a SigV4 signature; there is no IAM on this machine)
  Logs      aws logs tail {stack.deployment.log_groups["gatehouse-token"]} --follow --endpoint-url {stack.aws_endpoint}
            (each function has its log group; filter patterns and the saved queries work, too)
  Clock     curl -d '{{"advance_seconds": 3600}}' {stack.local_url}/_local/clock
            (background refreshes and revocations go by it)
{_tunnel(stack)}
  Functions {functions}
  Providers {" ".join(stack.registrations)}     redirect URI {stack.base_url}/callback/NAME
  Demo authorization server {stack.demo.url}     AWS endpoint {stack.aws_endpoint}

  Everything is kept in memory and listens on 127.0.0.1 alone. What the functions log follows. Ctrl-C stops it.
"""


def _tunnel(stack: Stack) -> str:
    """Return what is to be known of a base URL that is not the stack's own."""
    if stack.base_url == stack.local_url:
        return ""
    # Not localhost: the stack listens on 127.0.0.1, and to a tunnel localhost may be ::1.
    leads_to = stack.local_url.replace("localhost", "127.0.0.1")
    return f"""  Browsers  {stack.base_url} (--base-url): point the tunnel at {leads_to}
            (through it the stack answers what is public when deployed, authorize and callback, and nothing else)
"""


def _stack(options: Options) -> Stack:
    from local import registrations  # noqa: PLC0415
    from local.stack import Addresses, Stack  # noqa: PLC0415

    further = registrations.read(options.registrations) if options.registrations else {}
    addresses = Addresses(options.base_url, tuple(options.return_to_origin))
    return Stack(options.port, further, background=True, addresses=addresses, parameters=dict(options.parameter))


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

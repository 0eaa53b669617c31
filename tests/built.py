"""A stack that runs the built package: its functions can import only what is in their own folder.

A test on such a stack also shows that the build has left out nothing that is needed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.aws import marked_calls
from local.gateway.invoker import Invoker
from local.stack import Addresses, Stack
from tests.unlimited import lift_the_limit
from tools.build import package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from local.base.clock import Clock
    from local.gateway.invoker import Context, Inside

# An environment without AWS: any call of it fails at once.
NO_AWS = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "GATEHOUSE_BASE_URL": "https://gatehouse.example.com",
}

# The same for a function under Lambda's runtime.
LAMBDA_ENVIRONMENT = {
    **NO_AWS,
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1",
    "GATEHOUSE_AUTHORIZATIONS_TABLE": "authorizations",
    "GATEHOUSE_CONNECTIONS_TABLE": "connections",
    "GATEHOUSE_KEY_ID": "arn:aws:kms:us-east-1:000000000000:key/none",
    "GATEHOUSE_REFRESH_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/refresh.fifo",
    "GATEHOUSE_RESCUE_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/rescue",
    "GATEHOUSE_REVOKE_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/revoke",
    "GATEHOUSE_SHARED_TABLE": "shared",
    "GATEHOUSE_UNPUBLISHED_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/unpublished",
    "GATEHOUSE_EVENT_BUS": "default",
    "GATEHOUSE_DEPLOYMENT": "gatehouse",
}

_SERVER = Path(__file__).with_name("built_server.py")


class BuiltStack(Stack):
    """A stack whose functions are the built ones, in a process of their own."""

    _process: subprocess.Popen[str] | None = None

    def make_invoker(self) -> Invoker:
        """Return an invoker that runs the functions in that process, by this stack's clock."""
        # -I and -S: neither this environment's packages nor this checkout can be imported there.
        arguments = [str(_SERVER), str(package(for_lambda=False)), marked_calls.__file__]
        command = [sys.executable, "-I", "-S", "-B", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        return Invoker(self.deployment.functions, dict, lambda handler: _Handler(port, handler, self.clock))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, and the stack."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        super().__exit__(kind, error, trace)


RETURN_PORT = 20_000 + os.getpid() % 10_000
"""A port of this process's own, to which that stack sends browsers back. Nothing else is given one from there."""


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Run a stack whose functions are built as they are deployed, except that they are for this machine's processor.

    With GATEHOUSE_FUNCTIONS=source they run from the checkout in the tests' own process, where a debugger reaches them.
    The demo's UltraCart has no limit of requests at a time here.
    """
    from_source = os.environ.get("GATEHOUSE_FUNCTIONS") == "source"
    addresses = Addresses(return_to_origins=(f"http://localhost:{RETURN_PORT}",))
    with (Stack if from_source else BuiltStack)(addresses=addresses) as running:
        lift_the_limit(running)
        yield running


class _Handler:
    def __init__(self, port: int, handler: str, clock: Clock) -> None:
        self._port = port
        self._handler = handler
        self._clock = clock

    def with_services(self, services: Any) -> Inside:
        environment: dict[str, str] = services

        def answer(event: Any, context: Context) -> Any:
            return self._answer(environment, event, context)

        return answer

    def _answer(self, environment: Mapping[str, str], event: Any, context: Context) -> Any:
        call = {
            "handler": self._handler,
            "environment": environment,
            "ahead": self._clock.offset,
            "context": {
                "aws_request_id": context.aws_request_id,
                "function_name": context.function_name,
                "function_version": context.function_version,
                "invoked_function_arn": context.invoked_function_arn,
            },
            "remaining_ms": context.get_remaining_time_in_millis(),
            "event": event,
        }
        with socket.create_connection(("127.0.0.1", self._port)) as connection, connection.makefile("rw") as file:
            file.write(json.dumps(call) + "\n")
            file.flush()
            result = json.loads(file.readline())
        sys.stdout.write(result["log"])
        if "raised" in result:
            name, text = result["raised"]
            raised: Callable[[str], Exception] = type(name, (Exception,), {})
            raise raised(text)
        return result["answer"]

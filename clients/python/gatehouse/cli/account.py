"""Where a command works: a stack in an AWS account, or the one that `make run` started on this machine."""

from __future__ import annotations

import json
import os
import shlex
import time
import urllib.request
from functools import cached_property, partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from . import exits
from .failures import Failure
from .options import LOCAL_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import boto3

    from gatehouse import Gatehouse
    from gatehouse.timing import Timing

_LONGEST_CALL = 120
"""Seconds that a call may take, its repeats included."""
_LOOK_SECONDS = 5
"""Seconds that it may take to find out what makes an advice more exact."""
_LONGEST_OUTAGE = 600
"""Seconds after which a pass over all connections gives up, if nothing answers. It can be begun again."""
_LOCAL_REGION = "us-east-1"
_LOCAL_STACK = "gatehouse"


class Account:
    """The AWS account, region and stack that the options of a command name."""

    def __init__(self, stack: str | None, region: str | None, profile: str | None, port: int | None) -> None:
        """`port` is that of a local stack, or None."""
        self.stack = _LOCAL_STACK if port else stack or os.environ.get("GATEHOUSE_STACK") or "gatehouse"
        self._region = region
        self._profile = profile
        self._port = port
        self._options = {"--stack": stack, "--region": region, "--profile": profile}
        self._clients: dict[str, Any] = {}

    @property
    def port(self) -> int | None:
        """The port of the stack on this machine, or None if it is another one."""
        return self._port

    @property
    def is_local(self) -> bool:
        """Whether it is the stack on this machine."""
        return self._port is not None

    @property
    def options(self) -> str:
        """The options that lead here, for a command that a person is advised to run."""
        if self._port:
            return " --local" if self._port == LOCAL_PORT else f" --local --port {self._port}"
        return "".join(f" {name} {shlex.quote(value)}" for name, value in self._options.items() if value)

    @cached_property
    def local(self) -> dict[str, Any]:
        """What the stack on this machine says about itself."""
        return self.asked_locally("/_local", "local_url")

    def asked_locally(self, path: str, expected: str) -> dict[str, Any]:
        """Return what the stack on this machine answers. Raises `Failure` if it has nothing under that name."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", headers={"Host": f"localhost:{self._port}"}
        )
        try:
            with opener.open(request, timeout=10) as answer:
                info = json.load(answer)
        except (OSError, ValueError, HTTPException):
            info = None
        if not isinstance(info, dict) or expected not in info:
            # It has ended; or something else listens there.
            raise Failure(
                "no_local_stack",
                f"No local stack answers at http://localhost:{self._port}.",
                advice="Start it in Gatehouse's repository: make run. If it has another port: --port N",
                code=exits.AWS,
            )
        return info

    @cached_property
    def session(self) -> boto3.Session:
        """The credentials and the region."""
        import boto3  # noqa: PLC0415 - it takes longer to load than all the rest

        if self.is_local:
            # A profile that does not exist would be an error even if nothing of it is used.
            os.environ.pop("AWS_PROFILE", None)
            os.environ.pop("AWS_DEFAULT_PROFILE", None)
            return boto3.Session("local", "local", region_name=_LOCAL_REGION)
        return boto3.Session(region_name=self._region, profile_name=self._profile)

    @property
    def region(self) -> str | None:
        """The region's name, or None if none is set."""
        return self.session.region_name

    def client(self, service: str) -> Any:
        """Return a boto3 client, one for each service."""
        if service not in self._clients:
            from botocore.config import Config  # noqa: PLC0415 - as above

            options: dict[str, Any] = {"connect_timeout": 5, "read_timeout": 60, "retries": {"mode": "standard"}}
            if service == "lambda":
                # What is called again, and when, the client of Gatehouse decides. An export takes 45 s.
                options |= {"read_timeout": 90, "retries": {"total_max_attempts": 1}}
            if self.is_local:
                options["proxies"] = {}
            self._clients[service] = self.session.client(
                service,  # type: ignore[call-overload]  # the stubs know the services by their names only
                endpoint_url=self._endpoint(service),
                config=Config(**options),
            )
        return self._clients[service]

    def _endpoint(self, service: str) -> str | None:
        if not self.is_local:
            return None
        return str(self.local["local_url" if service == "lambda" else "aws_endpoint"])

    @cached_property
    def described(self) -> dict[str, Any]:
        """The stack, as CloudFormation describes it. Raises `Failure` if there is none of that name."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - as above

        try:
            (found,) = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                raise Failure(
                    "no_such_stack",
                    f"There is no stack {self.stack} in {self.region}.",
                    advice="Name it with --stack, and its region with --region; gatehouse doctor looks for it.",
                    code=exits.AWS,
                ) from None
            raise
        return dict(found)

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of the stack."""
        return {each["OutputKey"]: each["OutputValue"] for each in self.described.get("Outputs", [])}

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of the stack."""
        return {each["ParameterKey"]: each["ParameterValue"] for each in self.described.get("Parameters", [])}

    @property
    def base_url(self) -> str:
        """Where browsers reach it."""
        return str(self.local["base_url"]) if self.is_local else self.outputs.get("BaseUrl", "")

    @property
    def secret_prefix(self) -> str:
        """What the names of the registrations' secrets begin with."""
        return self.parameters.get("SecretPrefix") or "gatehouse/providers/"

    def redirect_uri(self, provider: str) -> str:
        """Return what to register at a provider."""
        return f"{self.base_url}/callback/{provider}"

    @cached_property
    def gatehouse(self) -> Gatehouse:
        """The client. It keeps no token: a command asks for one at most."""
        return self.gatehouse_by(None)

    def gatehouse_by(self, timing: Timing | None) -> Gatehouse:
        """Return another client, with clocks and pauses of its caller's own."""
        from gatehouse import Gatehouse  # noqa: PLC0415 - as above

        return Gatehouse(self.stack, client=self.client("lambda"), keep=0, timeout=_LONGEST_CALL, timing=timing)

    def provider_of(self, error: Exception) -> str | None:
        """Return the provider of the connection that an error is about, or None if that cannot be found out."""
        from gatehouse.errors import GatehouseError  # noqa: PLC0415 - as above

        connection_id = getattr(error, "connection_id", None)
        if connection_id is None:
            return None
        try:
            return self.gatehouse.within(_LOOK_SECONDS).connection(connection_id)["provider"]
        except GatehouseError:
            return None

    def now(self) -> float:
        """Return the time (Unix seconds) by which the stack goes."""
        return float(self.local["clock"]["now"]) if self.is_local else time.time()

    def pass_of(self, function: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give the answers of a function to a whole pass over the connections. What is retryable is called again.

        Each call may run twice: it reads its part of the connections once more.
        """
        return whole_pass(partial(self.gatehouse.call, function), request)


def repeatable(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of a call that may run twice, which the client does not know: no answer is retryable then.

    But if there is no secure connection, there will be none the next time.
    """
    from botocore.exceptions import SSLError  # noqa: PLC0415 - as above

    from gatehouse.errors import NoAnswer  # noqa: PLC0415 - as above

    try:
        return call()
    except NoAnswer as error:
        is_lasting = isinstance(error.__cause__, SSLError)
        error.may_harm = False
        error.retryable = error.retryable or (error.may_have_run and not is_lasting)
        raise


def whole_pass(
    call: Callable[[dict[str, Any]], dict[str, Any]],
    request: dict[str, Any],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """Give answer after answer. Raises the last `GatehouseError` after ten minutes in which none came."""
    from gatehouse.errors import GatehouseError  # noqa: PLC0415 - as above

    last = now()
    while True:
        try:
            answer = repeatable(partial(call, request))
        except GatehouseError as error:
            pause = error.retry_after or 1
            if not error.retryable or now() + pause > last + _LONGEST_OUTAGE:
                raise
            sleep(pause)
            continue
        yield answer
        if not answer.get("cursor"):
            return
        request, last = {**request, "cursor": answer["cursor"]}, now()

"""The stack: emulated account, demo authorization server, functions and gateway put together in one process."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from local.aws.account import EmulatedAws
from local.base.clock import Clock
from local.base.environment import REGION, isolation
from local.base.serving import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from mypy_boto3_lambda import LambdaClient

    from local.aws.bus import EventBus
    from local.aws.call import AwsCall, FunctionCall
    from local.aws.cloudformation import Deployment
    from local.aws.faults import AwsFaults
    from local.demo import DemoServer
    from local.gateway.application import Gateway
    from local.gateway.background import Background
    from local.gateway.invoker import Invoker
    from local.pages.landing import Sources

TEMPLATE = Path(__file__).parent.parent / "template.yaml"


@dataclass(frozen=True)
class Addresses:
    """Where browsers come, if not to the port itself, and where they may be sent back to, beside the stack."""

    base_url: str | None = None
    return_to_origins: tuple[str, ...] = ()


class Stack:
    """Gatehouse on one machine; a context manager that starts it and ends it.

    While it runs, the process environment leads boto3 to the emulated account and nowhere else. Of two in one process
    (tests) the inner one has the environment: use the outer one again when the inner one has ended.
    """

    watchers: ClassVar[list[Callable[[Stack], Callable[[FunctionCall], None]]]] = []
    """Who watches the calls of the functions of each stack: given the stack, each returns what receives a call."""

    def __init__(  # noqa: PLR0913 - each is a choice of its own, and has a default
        self,
        port: int = 0,
        registrations: Mapping[str, dict[str, Any]] | None = None,
        dynamodb_endpoint: str | None = None,
        template: Path = TEMPLATE,
        *,
        background: bool = False,
        addresses: Addresses | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        """``port`` 0 means any free one.

        ``registrations`` are added to those of the demo server, by name. ``dynamodb_endpoint`` is another DynamoDB
        engine to keep the tables in; its calls are not in ``aws_calls``. With ``background`` the queues are polled and
        the schedule is kept; without, ``self.background`` does either on request. ``addresses`` are for
        browsers: wherever they come by, the stack listens on ``local_url``. ``parameters`` are further ones of the
        template.
        """
        self._port = port
        self._extra_registrations = registrations or {}
        self._dynamodb_endpoint = dynamodb_endpoint
        self._template = template
        self._has_background = background
        self._addresses = addresses or Addresses()
        self._parameters = dict(parameters or {})
        self._cleanup = ExitStack()
        self.clock = Clock()
        self.local_url: str
        self.base_url: str
        self.demo: DemoServer
        self.invoker: Invoker
        self.background: Background
        self.deployment: Deployment
        self.registrations: dict[str, dict[str, Any]] = {}
        self._aws = EmulatedAws()

    @property
    def aws_endpoint(self) -> str:
        """The endpoint URL of the emulated account."""
        return self._aws.url

    @property
    def aws_calls(self) -> list[AwsCall]:
        """What reached the emulated account, oldest first; a test may clear it."""
        return self._aws.calls

    @property
    def aws_watchers(self) -> list[Callable[[FunctionCall], None]]:
        """What receives each call that a function makes."""
        return self._aws.watchers

    @property
    def aws_faults(self) -> AwsFaults:
        """Switches that let calls to the emulated account fail (not those to another DynamoDB engine)."""
        return self._aws.faults

    @property
    def bus(self) -> EventBus:
        """The event bus of the account: what was published, and who listens."""
        return self._aws.bus

    def __enter__(self) -> Self:
        """Start everything. Raises ``StackError``; what was begun is ended."""
        with ExitStack() as starting:
            self._start(starting)
            self._cleanup = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything, and put the process environment back."""
        self._cleanup.close()

    def lambda_client(self) -> LambdaClient:
        """Return boto3's own Lambda client (one, for any thread), pointed at the gateway, without retries."""
        return self._lambda_client

    @cached_property
    def _lambda_client(self) -> LambdaClient:
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=64, read_timeout=60)
        return boto3.client("lambda", endpoint_url=self.local_url, region_name=REGION, config=config)

    def invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any] | None:
        """Invoke ``gatehouse-{function}`` without HTTP; ``None`` where it raised."""
        invocation = self.invoker.invoke(f"gatehouse-{function}", event)
        return None if invocation.unhandled else json.loads(invocation.payload)

    def _start(self, cleanup: ExitStack) -> None:
        # The port comes first: it is what fails most, and the base URL goes into the template.
        server = cleanup.enter_context(LoopbackServer(self._port))
        self.local_url = f"http://localhost:{server.port}"
        self.base_url = self._addresses.base_url or self.local_url
        cleanup.enter_context(isolation(self._endpoints()))
        cleanup.callback(self._aws.close)
        self._aws.start()
        self._start_demo(cleanup)
        self._deploy()
        gateway = self._gateway()
        # A function that cannot be imported is better met now than at the first click.
        self.invoker.warm_up()
        server.serve(gateway)
        self._start_background(cleanup)

    def _endpoints(self) -> dict[str, str]:
        dynamodb = {"AWS_ENDPOINT_URL_DYNAMODB": self._dynamodb_endpoint} if self._dynamodb_endpoint else {}
        return {"AWS_ENDPOINT_URL": self._aws.url, **dynamodb}

    def _start_demo(self, cleanup: ExitStack) -> None:
        from local.demo import DemoServer  # noqa: PLC0415

        self.demo = DemoServer(self.clock.now, callbacks_at=self.base_url)
        self.demo.start()
        cleanup.callback(self.demo.stop)

    def _deploy(self) -> None:
        from local import registrations  # noqa: PLC0415
        from local.aws import cloudformation, tables  # noqa: PLC0415

        template = cloudformation.load(self._template)
        origins = dict.fromkeys((self.base_url, self.local_url, *self._addresses.return_to_origins))
        # There are no rights on one machine that `authorize` could have too many of.
        parameters = {"BaseUrl": self.base_url, "ReturnToOrigins": ",".join(origins), "PushedRequests": "true"}
        self.deployment = cloudformation.create(template, parameters | self._parameters)
        if self._dynamodb_endpoint:
            definitions = cloudformation.table_definitions(template)
            tables.create_tables(self._dynamodb_endpoint, definitions, self.deployment.tables)
        self.registrations = {**self.demo.registrations, **self._extra_registrations}
        registrations.store(self.registrations)
        self._aws.logs.queries = list(self.deployment.queries)
        self._aws.logs.groups = self.deployment.log_groups
        # What was called so far was building the stack, not the functions' doing.
        self.aws_calls.clear()
        self.aws_watchers.extend(watch(self) for watch in self.watchers)

    def _gateway(self) -> Gateway:
        from local.base.guard import Guard  # noqa: PLC0415
        from local.gateway.application import Gateway  # noqa: PLC0415
        from local.gateway.invoke_api import InvokeApi  # noqa: PLC0415
        from local.gateway.routes import Routes  # noqa: PLC0415
        from local.pages.console import Console  # noqa: PLC0415
        from local.pages.landing import Landing  # noqa: PLC0415

        self.invoker = self.make_invoker()
        routes = Routes(self.deployment.routes, self.deployment.public)
        gateway = Gateway(self.invoker, routes, InvokeApi(self.invoker), self.clock.now, self._aws.account)
        gateway.guard = Guard(routes.is_public, self.base_url)
        gateway.desks += [
            Console(self.clock, self.info(), self._published, self._state),
            Landing(self.invoke, self.clock, self._sources()),
        ]
        return gateway

    def _sources(self) -> Sources:
        from local import registrations  # noqa: PLC0415
        from local.pages.landing import Sources  # noqa: PLC0415

        # The page is opened on this machine, and says what to call from here.
        links = {**self.links(), "base_url": self.local_url}
        providers = {name: registrations.parameters_of(name, each) for name, each in self.registrations.items()}
        return Sources(links, providers, self.demo, self._published, self._state)

    def _state(self) -> str:
        """Return what is another as soon as the landing page shows something else: also the time, once in a minute."""
        faults = hash(str(self.demo.faults()))
        return f"{self._aws.writes} {len(self.bus.events)} {self.clock.offset} {int(self.clock.now()) // 60} {faults}"

    def _published(self) -> list[dict[str, Any]]:
        return self.bus.events

    def make_invoker(self) -> Invoker:
        """Return what runs the deployment's functions: this process does, from this checkout."""
        from local.gateway.invoker import Invoker  # noqa: PLC0415

        return Invoker(self.deployment.functions, self._services, source=self._source)

    def _source(self, function: str) -> AbstractContextManager[object]:
        """Keep what is logged in a function's log group, dated by the stack's clock."""
        from local.gateway.log_lines import Source, lines_of  # noqa: PLC0415

        return lines_of(Source(function, self.clock.offset, self._keep_line))

    def _keep_line(self, function: str, line: str) -> None:
        self._aws.logs.put(self.deployment.log_groups[function], line)

    def _start_background(self, cleanup: ExitStack) -> None:
        from local.gateway.background import Background  # noqa: PLC0415

        # Another DynamoDB engine has no streams.
        streams = () if self._dynamodb_endpoint else self.deployment.streams
        self.background = Background(
            self.deployment.mappings, self.deployment.schedules, self.invoker, self.clock.now, streams
        )
        if self._has_background:
            self.background.start()
            cleanup.callback(self.background.stop)

    def _services(self, environment: Mapping[str, str]) -> Any:
        from functions.vault.services import Services  # noqa: PLC0415

        # Behind a tunnel the base URL is not this machine's, but the demo authorization server is.
        return Services.from_environ(environment, clock=self.clock.now, on_one_machine=True)

    def links(self) -> dict[str, str]:
        """Return the URLs of the stack's three servers; ``base_url`` is that of the first for browsers."""
        return {
            "base_url": self.base_url,
            "local_url": self.local_url,
            "aws_endpoint": self.aws_endpoint,
            "demo_url": self.demo.url,
        }

    def info(self) -> dict[str, Any]:
        """Return what ``GET /_local`` answers, beside the clock."""
        return {
            **self.links(),
            "functions": sorted(self.deployment.functions),
            "tables": dict(self.deployment.tables),
            "providers": list(self.registrations),
        }

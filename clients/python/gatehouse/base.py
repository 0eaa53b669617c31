"""What both clients have in common: how they are made, and the time that their calls may take."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .core import core_for
from .timing import Allowance, Timing

if TYPE_CHECKING:
    from typing import Literal

    import boto3
    from typing_extensions import Self

    from .core import Core
    from .timing import LambdaContext

TIMEOUT_SECONDS = 60
KEEP_SECONDS = 300


class Client:
    """A client of Gatehouse. `Gatehouse` and `AsyncGatehouse` have the functions."""

    def __init__(  # noqa: PLR0913 - each can be left out, and is named in the call
        self,
        stack: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        keep: float = KEEP_SECONDS,
        region: str | None = None,
        url: str | None = None,
        owner: str | None = None,
        connection: str | Literal[True] | None = None,
        session: boto3.Session | None = None,
        client: Any = None,
        timing: Timing | None = None,
    ) -> None:
        """Make a client. It connects to AWS at its first call.

        Args:
            stack: the name of Gatehouse's stack: else that of the variable GATEHOUSE_STACK, or `gatehouse`.
            timeout: seconds that a call may take, its repeats included. See `within`.
            keep: seconds that `token` keeps a token for at most; 0 to ask each time.
            region: the AWS region, if it is not that of boto3's settings.
            url: the stack's output ApiUrl, to call by HTTP and not by Invoke: else that of the variable
                GATEHOUSE_API_URL, if it is set and no `client` is passed.
            owner: with `url`, call by the paths of this owner's connections.
            connection: with `url`, call by the path of this connection; True: of the one that each call names.
            session: a boto3 session with the credentials to use.
            client: a boto3 client of Lambda to invoke with. How it repeats and how long it waits is then its own.
            timing: the clocks, for tests.
        """
        timing = timing or Timing()
        for name, number in (("timeout", timeout), ("keep", keep)):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise TypeError(f"{name}={number!r} is no number of seconds.")
        self._allowance = Allowance(timeout, timing)

        def made(*, is_forked: bool) -> Core:
            return core_for(
                stack=stack,
                region=region,
                url=url,
                owner=owner,
                connection=connection,
                session=session,
                client=client,
                is_forked=is_forked,
                keep=keep,
                timing=timing,
            )

        self._made = made
        self._cores = {os.getpid(): made(is_forked=False)}
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            # While a function is loaded its processor is faster than in a call, and what this needs is there.
            self.core.transport.connect()

    @property
    def core(self) -> Core:
        """The core. A forked process makes one of its own: the sockets and locks of its parent are not for it.

        All clients that are made of this one, by `like` and `within`, find the same.
        """
        process = os.getpid()
        if process not in self._cores:
            # Two threads may make one, and the first is taken. A lock could be held by a thread that was not forked.
            self._cores.setdefault(process, self._made(is_forked=True))
        return self._cores[process]

    @classmethod
    def like(cls, other: Client) -> Self:
        """Return a client with the core and the time of another, which may be of the other kind."""
        client = object.__new__(cls)
        client.__dict__.update(other.__dict__)
        return client

    def within(self, limit: float | LambdaContext | None) -> Self:
        """Return this client with less time: so many seconds from now on, or what a Lambda function has left.

            gatehouse.within(context).token("shop-1")

        With a Lambda context, a second is left for you to answer. None, like the context of a handler that runs
        on your own machine, leaves the time as it is.
        """
        client = self.like(self)
        client._allowance = self._allowance.within(limit)  # noqa: SLF001 - of the same class
        return client

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.core.transport})"

"""`python -m examples.reconnect.on_this_machine`: the local stack, this application beside it, and its mails.

Deployed, EventBridge, Lambda and an HTTP API do what `Beside` does here.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any, Self

import boto3
from samtranslator.yaml_helper import yaml_parse
from werkzeug.wrappers import Request

from examples.reconnect import mail, page
from local.aws.event_patterns import matches
from local.base.serving import LoopbackServer
from local.gateway import payload
from local.stack import Addresses, Stack

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TEMPLATE = Path(__file__).parent / "template.yaml"
OWNER, ADDRESS = "acme", "merchant@example.com"


class Beside:
    """The application beside a stack that is yet to start: its pages, its rule, its function."""

    def __init__(self, port: int = 0) -> None:
        self._server = LoopbackServer(port)
        self.stack: Stack
        self._came: Queue[dict[str, Any] | None] = Queue()
        self._worker = threading.Thread(target=self._work, daemon=True)
        resources = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))["Resources"]
        # This stack's name is the default of the parameter.
        self._pattern = resources["HasToConnectAgain"]["Properties"]["EventPattern"] | {}
        self._pattern["detail"] = {"deployment": ["gatehouse"]}
        self._table = resources["Mailed"]["Properties"]

    @property
    def url(self) -> str:
        """Where the application is."""
        return f"http://localhost:{self._server.port}"

    def start(self, stack: Stack) -> Self:
        """Serve the pages, and listen to the stack's bus."""
        self.stack = stack
        mail.APPLICATION = page.APPLICATION = self.url
        os.environ["AWS_ENDPOINT_URL_LAMBDA"] = stack.local_url
        os.environ["ADDRESSES"] = json.dumps({OWNER: ADDRESS})
        os.environ["MAILED_TABLE"] = "reconnect-mailed"
        essential = {name: self._table[name] for name in ("AttributeDefinitions", "KeySchema", "BillingMode")}
        boto3.client("dynamodb").create_table(TableName="reconnect-mailed", **essential)
        self._server.serve(self._answer)
        self._worker.start()
        stack.bus.listeners.append(self._came.put)
        return self

    def __enter__(self) -> Self:
        """Return it as it is."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self._server.close()

    def leave(self) -> None:
        """Listen no more, before the stack ends."""
        self.stack.bus.listeners.remove(self._came.put)
        self._came.put(None)
        self._worker.join()
        for name in ("AWS_ENDPOINT_URL_LAMBDA", "ADDRESSES", "MAILED_TABLE"):
            os.environ.pop(name, None)

    def _work(self) -> None:
        while (event := self._came.get()) is not None:
            if matches(self._pattern, event):
                mail.handler(event, None)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        event = payload.event(Request(environ), payload.Match("$default", {}), self.stack.clock.now(), "000000000000")
        return payload.response(page.handler(event, None))(environ, start_response)


def main() -> None:
    """Run both until somebody presses Ctrl+C."""
    with ExitStack() as running:
        beside = running.enter_context(Beside(8788))
        stack = Stack(8787, background=True, addresses=Addresses(return_to_origins=(beside.url,)))
        running.enter_context(stack)
        beside.start(stack)
        started = stack.invoke("start", {"provider": "ultracart", "connection_id": "shop-1", "owner": OWNER})
        print(f"Connect {ADDRESS} first:\n\n    {(started or {}).get('authorize_url')}\n\n", flush=True)  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()

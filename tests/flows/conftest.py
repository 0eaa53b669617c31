"""What flow tests share: who calls, a server that answers as scripted, and a real Chromium, driven as by a person."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from functions.vault.storage.registrations import KEPT
from tests.browser import invoke
from tests.flows.application import Application, Owner
from tests.flows.scripted import scripted as running_scripted
from tests.flows.visitor import Visitor
from tests.requirements import chromium as executable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from local.stack import Stack
    from tests.flows.scripted import Scripted

# What Chromium would otherwise start on its own account, and the sandbox that a container cannot give it. Nothing
# but this machine's own pages is ever opened in it.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

OpenVisitor = Callable[..., Visitor]


@pytest.fixture
def application(stack: Stack) -> Application:
    """Give an application."""
    return Application(stack)


@pytest.fixture
def owner(stack: Stack) -> Iterator[Owner]:
    """Give an owner who registers at providers of the catalogue, and leaves nothing behind, in no function's memory."""
    registering = Owner()
    yield registering
    registering.leave()
    stack.clock.advance(int(KEPT) + 1)


@pytest.fixture
def empty_queues(stack: Stack) -> None:
    """Begin with empty queues: to work off what other tests of the process have left could take long."""
    sqs = boto3.client("sqs", endpoint_url=stack.aws_endpoint)
    for url in sqs.list_queues()["QueueUrls"]:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Run a server that answers as scripted."""
    with running_scripted() as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One running Chromium for a module. It is not kept longer: Playwright's event loop would stay in the thread."""
    # Imported here, so that whoever runs other tests need not have it.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium: Browser, stack: Stack) -> Iterator[OpenVisitor]:
    """Open browsers that know nothing of one another; options are Playwright's of a browser context.

    At the end no page may have complained (a script, a style or an image that the policy forbids) and nothing but
    this machine may have been asked for anything.
    """
    visitors: list[Visitor] = []
    with ExitStack() as closing:

        def open_visitor(**options: Any) -> Visitor:
            context = chromium.new_context(**options)
            closing.callback(context.close)
            visitors.append(Visitor(context, stack.base_url))
            return visitors[-1]

        yield open_visitor
        assert [complaint for each in visitors for complaint in each.complaints] == []
        assert {host for each in visitors for host in each.hosts} <= {"localhost", "127.0.0.1"}


@pytest.fixture
def authorize_url(stack: Stack) -> Callable[..., str]:
    """Start a connection as an application does, and return the link for its user."""

    def start(**fields: Any) -> str:
        return str(invoke(stack, "start", {"provider": "ultracart"} | fields)["authorize_url"])

    return start

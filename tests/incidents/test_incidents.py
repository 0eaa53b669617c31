"""Each story ends as it should for Gatehouse, and for the naive keeper as docs/comparison.md says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.base.clock import Clock
from tests.flows.application import Application, fresh
from tests.flows.scripted import scripted
from tests.incidents.document import DOCUMENT, STORIES, document
from tests.incidents.grants import Grants
from tests.incidents.keepers import CLIENT_ID, Gatehouse
from tests.incidents.naive import NaiveKeeper
from tests.incidents.story import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.scripted import Scripted
    from tests.incidents.story import Story

    Register = Callable[[Story], tuple[str, Callable[[str], None]]]

every_story = pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Run a server of this story's own."""
    with scripted() as running:
        yield running


@pytest.fixture
def register(server: Scripted) -> Iterator[Register]:
    """Register at a story's server; give the provider's name, and what changes the client's id."""
    secrets = boto3.client("secretsmanager")
    names: list[str] = []

    def registered(story: Story) -> tuple[str, Callable[[str], None]]:
        name = story.provider or fresh("provider")

        def whole(client_id: str) -> dict[str, Any]:
            return {"client_id": client_id, "client_secret": "a-secret", **server.endpoints, **story.registration}

        secret = f"gatehouse/providers/{name}"
        secrets.create_secret(Name=secret, SecretString=json.dumps(whole(CLIENT_ID)))
        names.append(secret)

        def change(client_id: str) -> None:
            secrets.put_secret_value(SecretId=secret, SecretString=json.dumps(whole(client_id)))

        return name, change

    yield registered
    for name in names:
        secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


@every_story
def test_ends_well(
    stack: Stack,
    new_browser: Callable[[], Browser],
    server: Scripted,
    register: Register,
    story: Story,
) -> None:
    """Gatehouse, by its handlers."""
    provider, change = register(story)
    keeper = Gatehouse(Application(stack), new_browser, stack.clock, provider, change)

    ended = story.play(Scene(keeper, Grants(server, stack.clock.now, **story.server), stack.clock))

    assert ended == story.ends


@every_story
def test_ends_badly_with_a_naive_keeper(server: Scripted, story: Story) -> None:
    """The naive keeper, at the same server."""
    clock = Clock()
    keeper = NaiveKeeper(server.url, clock, story.revokes)

    ended = story.play(Scene(keeper, Grants(server, clock.now, **story.server), clock))

    assert ended == story.ends_naively


def test_the_document_shows_how_they_end() -> None:
    """What the tests hold is what is printed: `python -m tests.incidents --write` makes it so."""
    written = DOCUMENT.read_text(encoding="utf-8")

    assert document(written) == written

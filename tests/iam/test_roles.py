"""The functions' roles, by an evaluator of IAM that is not ours. `plugin.py` judges them by the calls of all tests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import invoke
from tests.iam.requests import Recording
from tests.iam.rights import judged, rights_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.stack import Stack
    from tests.browser import Browser
    from tests.iam.account import Role

pytestmark = pytest.mark.needs_iam_evaluator

CALLBACK, START, TOKEN = (f"functions.{name}.handler" for name in ("callback", "start", "token"))


@pytest.fixture
def recording(stack: Stack) -> Iterator[Recording]:
    """Record what the functions ask of AWS during a test."""
    recording = Recording()
    watch = recording.watch(stack)
    stack.aws_watchers.append(watch)
    yield recording
    stack.aws_watchers.remove(watch)


def with_policies(role: Role, *policies: Any) -> Role:
    """Return a role with other policies."""
    return replace(role, policies=policies)


def test_a_connection_can_be_made_and_used_by_the_roles(stack: Stack, browser: Browser, recording: Recording) -> None:
    """Each call of the functions on the way is allowed to the function that makes it."""
    # given
    connection_id = browser.connect()

    # when
    vended = invoke(stack, "token", {"connection_id": connection_id})

    # then
    assert "access_token" in vended
    found = judged(recording.account, recording.requests)
    assert found.refused == []
    assert {request.handler for request in recording.requests} >= {CALLBACK, START, TOKEN}


def test_missing_and_needless_rights_are_noticed(stack: Stack, browser: Browser, recording: Recording) -> None:
    """A right that is taken away, one for another purpose, and one that no call needs."""
    # given
    invoke(stack, "token", {"connection_id": browser.connect()})
    roles = dict(recording.account.roles)

    # when
    kept = [right.policy for right in rights_of(roles[TOKEN]) if right.action != "dynamodb:GetItem"]
    roles[TOKEN] = with_policies(roles[TOKEN], *kept)
    changed = json.dumps(roles[CALLBACK].policies).replace("gatehouse/tokens", "gatehouse/others")
    roles[CALLBACK] = with_policies(roles[CALLBACK], *json.loads(changed))
    delete = {"Effect": "Allow", "Action": "dynamodb:DeleteItem", "Resource": "arn:aws:dynamodb:*:*:table/*"}
    roles[START] = with_policies(roles[START], *roles[START].policies, {"Version": "2012-10-17", "Statement": [delete]})
    found = judged(recording.account, recording.requests, roles)

    # then
    assert [text.split(" on ")[0] for text in found.refused] == [
        f"{CALLBACK} asks for kms:GenerateDataKey",
        f"{TOKEN} asks for dynamodb:GetItem",
    ]
    assert f"{START} may dynamodb:DeleteItem on arn:aws:dynamodb:*:*:table/*" in found.unneeded
    assert not any("dynamodb:PutItem" in text for text in found.unneeded if text.startswith(START))

"""The client calls the local stack, by Invoke and by HTTP, and gets what the contract says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import gatehouse
from gatehouse import Gatehouse
from tests.clients import installed

if TYPE_CHECKING:
    from local.stack import Stack
    from tests.browser import Browser


def test_what_is_tested_is_the_installed_package() -> None:
    """The tests import it from the environment that the wheel was installed in."""
    assert str(installed.environment()) in str(gatehouse.__file__)


def test_a_token_comes_by_invoke_and_by_http(stack: Stack, browser: Browser) -> None:
    """It is the token that the stack vends, whichever way it comes."""
    connection_id = browser.connect(connection_id="client-ways", owner="client-acme")
    vended = stack.invoke("token", {"connection_id": connection_id})
    assert vended is not None
    ways = [
        Gatehouse(client=stack.lambda_client()),
        Gatehouse(url=stack.base_url),
        Gatehouse(url=stack.base_url, owner="client-acme"),
        Gatehouse(url=stack.base_url, connection=True),
        Gatehouse(url=stack.base_url, connection=connection_id),
    ]

    tokens = [client.token(connection_id) for client in ways]

    assert {token.access_token for token in tokens} == {vended["access_token"]}
    assert {token.version for token in tokens} == {1}
    assert {str(token.metadata) for token in tokens} == {str(vended["metadata"])}


def test_a_path_of_somebody_else_leads_to_nothing(stack: Stack, browser: Browser) -> None:
    """What the path does not include is answered as what does not exist."""
    connection_id = browser.connect(connection_id="client-foreign", owner="client-acme")

    for client in (Gatehouse(url=stack.base_url, owner="client-other"),):
        with pytest.raises(gatehouse.ConnectionNotFound):
            client.token(connection_id)

"""What happens to tokens that the table does not take at first: the functions that ask meanwhile, and the rescue.

These are the calls of AWS that no other flow needs. `tests/iam` shows that the roles allow them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local.demo import Faults
from tests.flows.application import fresh, token_requests
from tests.flows.test_background import places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application

LONGER_THAN_A_LEASE = 60


@pytest.fixture(autouse=True)
def aws_works_again(stack: Stack) -> Iterator[None]:
    """Leave an AWS that works, and no message."""
    stack.background.poll()
    yield
    stack.aws_faults.clear()
    stack.background.poll()


def take_no_more(stack: Stack) -> None:
    """Let the first update through, which claims a lease or a request, and refuse the write of the tokens."""
    stack.aws_faults.fail("dynamodb", "PutItem", error="AccessDeniedException")
    stack.aws_faults.fail("dynamodb", "UpdateItem", error="AccessDeniedException", after=1)


def consent_to_the_queue(stack: Stack, browser: Browser, connection_id: str, **fields: Any) -> requests.Response:
    """Consent for a connection while its record cannot be written, and return the page."""
    started = browser.start(connection_id=connection_id, **fields)
    callback_url = browser.consent(browser.authorize(started["authorize_url"]))
    take_no_more(stack)
    page = browser.open(callback_url)
    stack.aws_faults.clear()
    return page


def test_tokens_whose_successors_may_be_in_the_queue_are_not_revoked_yet(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer
) -> None:
    """After an interrupted refresh `revoke` looks there first. It vends nothing any more, and asks the server later."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    demo.reset()
    take_no_more(stack)
    interrupted = application.refresh_later(connection_id)
    stack.aws_faults.clear()
    stack.clock.advance(LONGER_THAN_A_LEASE)

    # when
    revoked = application.call("revoke", connection_id=connection_id)

    # then
    assert interrupted["error"] == "temporarily_unavailable"
    assert (revoked["status"], token_requests(demo)) == ("revoking", 1)
    assert demo.requests("revoke") == []
    stack.background.poll()
    assert places(application, connection_id) == ["revoking"]


def test_consent_is_sealed_again_for_the_version_that_is_free(
    stack: Stack, application: Application, browser: Browser
) -> None:
    """The connection was refreshed while the tokens of a new consent lay in the queue."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    page = consent_to_the_queue(stack, browser, connection_id)
    refreshed = application.refresh_later(connection_id)

    # when
    stack.background.poll()

    # then
    assert (page.status_code, refreshed["version"]) == (202, 2)
    vended = application.call("token", connection_id=connection_id)
    assert (vended["version"], vended["access_token"] != refreshed["access_token"]) == (3, True)


def test_tokens_of_an_unknown_account_are_sealed_again_to_wait(
    stack: Stack, application: Application, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """Another consent has been stored meanwhile, and now it matters whose account these are for."""
    # given
    demo.put_faults(Faults(endpoint="token", names_merchant=False))
    merchant, connection_id = fresh("M"), fresh()
    page = consent_to_the_queue(stack, new_browser(merchant), connection_id)
    demo.reset()
    new_browser(merchant).connect(connection_id=connection_id)

    # when
    stack.background.poll()

    # then
    assert page.status_code == 202
    assert sorted(places(application, connection_id)) == ["current", "pending"]
    assert application.call("token", connection_id=connection_id)["version"] == 1


def test_tokens_that_wait_for_the_application_wait_after_a_rescue_too(
    stack: Stack, application: Application, browser: Browser
) -> None:
    """They are opened before they are stored, and vended to nobody."""
    # given
    connection_id = fresh()
    page = consent_to_the_queue(stack, browser, connection_id, confirm=True, return_to=f"{stack.base_url}/app")

    # when
    stack.background.poll()

    # then
    assert page.status_code == 202
    assert places(application, connection_id) == ["pending"]
    assert application.call("token", connection_id=connection_id)["error"] == "confirmation_required"

"""Refusals: one that was about something else ends a healthy grant, or a dead grant is tried for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.incidents.grants import says
from tests.incidents.keepers import CLIENT_ID
from tests.incidents.story import story

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.incidents.story import Scene

LONGER_THAN_A_TOKEN = 3700
LATER = 400

BUSY = {"error": "invalid_grant", "error_description": "token request is already being processed"}
TRY_LATER = {"error": "unknown_error", "error_description": "retry your request"}
ABOUT_EITHER = [
    {"contains": {"errors": {"resource": "RefreshToken", "code": "invalid"}}, "means": "invalid_grant"},
    {"contains": {"errors": {"resource": "Application", "code": "invalid"}}, "means": "invalid_client"},
]


def _refused_once(scene: Scene, status: int, document: Mapping[str, object]) -> str:
    scene.keeper.connect()
    scene.clock.advance(LONGER_THAN_A_TOKEN)
    scene.server.refuses_next(says(status, document))
    first = scene.token()
    scene.clock.advance(LATER)
    return f"{first}, then {scene.token()}"


@story(
    case="A3",
    report="segmentio/action-destinations#2300",
    provider="salesforce",
    registration={"default_expires_in": 3600},
    ends="try again, then a token",
    ends_naively="connect again, then connect again",
)
def the_server_was_at_work_on_another_request(scene: Scene) -> str:
    """The server refused a refresh because it was busy with another one.

    It answers `invalid_grant`, and says in words what it means. A minute later it would serve the same token. The
    client reads only the code, and asks the customer to connect again.
    """
    return _refused_once(scene, 400, BUSY)


@story(
    case="A9",
    report="amazon-connect/amazon-connect-salesforce-lambda#43",
    provider="salesforce",
    registration={"default_expires_in": 3600},
    ends="try again, then a token",
    ends_naively="connect again, then connect again",
)
def the_server_asked_to_be_asked_again(scene: Scene) -> str:
    """The server answered 400, and asked the client to retry.

    The code is its own, and the words are "retry your request". It had an internal error, and serves the next request.
    The client takes every 400 for the end.
    """
    return _refused_once(scene, 400, TRY_LATER)


@story(
    case="A6",
    report="raycast/extensions#11836",
    provider="atlassian-jira",
    ends="connect again, then connect again",
    ends_naively="connect again, then connect again",
)
def a_dead_grant_was_refused_with_the_clients_code(scene: Scene) -> str:
    """A dead grant was refused with an error code for a bad client.

    The server answers a dead refresh token with 403 `unauthorized_client`. Only its words say that it does not mean the
    client. Code that goes by the error code blames the operator, and the customer is never asked.
    """
    return _refused_once(scene, 403, {"error": "unauthorized_client", "error_description": "refresh_token is invalid"})


@story(
    case="A8",
    report="dreeveapp/dreeve#1449",
    registration={"refusals": ABOUT_EITHER},
    ends="ask the operator, then a token",
    ends_naively="connect again, then connect again",
)
def the_client_was_refused_and_not_the_grant(scene: Scene) -> str:
    """The server refused the application, not the grant.

    Its answer lists what it refuses: the refresh token, or the application. Here it is the application. Once the owner
    has put that right, the refresh token works. The client has thrown it away.
    """
    application = {"resource": "Application", "field": "client_id", "code": "invalid"}
    return _refused_once(scene, 400, {"message": "Bad Request", "errors": [application]})


@story(
    case="A5",
    report="diegosouzapw/OmniRoute#12106",
    ends="ask the operator, then a token",
    ends_naively="connect again, then connect again",
)
def the_client_id_was_changed_by_mistake(scene: Scene) -> str:
    """The client id was changed by mistake.

    Every refresh is answered `invalid_grant`: the tokens were issued to another client (RFC 6749 section 5.2). The
    operator corrects the id. Every customer whose tokens were refreshed in the meantime is disconnected.
    """
    scene.keeper.connect()
    scene.clock.advance(LONGER_THAN_A_TOKEN)
    scene.keeper.registered_as("another-client")
    first = scene.token()
    scene.keeper.registered_as(CLIENT_ID)
    return f"{first}, then {scene.token()}"

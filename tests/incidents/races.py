"""Races: two refreshes at once, a lost answer, and a caller who never stops asking."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.incidents.story import lives, story

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from tests.flows.scripted import Received
    from tests.incidents.story import Scene

LONGER_THAN_A_TOKEN = 3700
AT_ONCE = 0.5
"""Seconds for which a server lets one request wait for another to come."""


@story(
    case="-",
    report="HQBase/hqbase#41",
    registration={"refresh_token_rotation": True},
    server={"rotates": True, "replay": -1},
    ends="2 of 2 got a token, the grant lives",
    ends_naively="1 of 2 got a token, no grant lives",
)
def two_processes_refreshed_at_once(scene: Scene) -> str:
    """Two processes refreshed at the same time.

    Both see that the token has expired, and their requests are 13 ms apart. The server rotates refresh tokens, and
    takes the second request for a thief's. It ends the grant, including the tokens that the first process just got.
    """
    scene.keeper.connect()
    scene.clock.advance(LONGER_THAN_A_TOKEN)
    both = threading.Barrier(2)

    def wait_for_the_other(_received: Received) -> Response | None:
        try:
            both.wait(AT_ONCE)
        except threading.BrokenBarrierError:
            return None  # nobody else comes
        return None

    scene.server.instead = [wait_for_the_other] * 2
    with ThreadPoolExecutor(2) as together:
        said = list(together.map(lambda _: scene.keeper.token(), range(2)))
    tokens = sum(scene.server.was_issued(each) for each in said)
    return f"{tokens} of 2 got a token, {lives(scene.server)}"


@story(
    case="-",
    report="kurrent-io/kcap-cli#946",
    registration={"refresh_token_rotation": True, "refresh_token_replay_seconds": 30, "request_timeout": 1},
    server={"rotates": True, "replay": 30},
    ends="try again, then a token, the grant lives",
    ends_naively="try again, then connect again, no grant lives",
)
def the_reply_was_lost_at_the_deadline(scene: Scene) -> str:
    """The answer to a refresh was lost to a timeout.

    The server has rotated the refresh token, and would repeat its answer for 30 seconds if it saw the old one again.
    The client comes back a minute later, and is taken for a thief.
    """
    scene.keeper.connect()
    scene.clock.advance(LONGER_THAN_A_TOKEN)
    timed_out = threading.Event()
    scene.server.answers_after(timed_out)
    said = scene.token()
    timed_out.set()
    scene.clock.advance(scene.keeper.comes_back_after)
    return f"{said}, then {scene.token()}, {lives(scene.server)}"


@story(
    case="A14",
    report="AzureAD/azure-activedirectory-library-for-js#336",
    ends="1 request for 12 refusals",
    ends_naively="12 requests for 12 refusals",
)
def an_api_refused_for_want_of_a_permission(scene: Scene) -> str:
    """An API answered 401 because the user lacked a permission.

    No token will change that. The caller asks for another one and tries again, twelve times in a second. The client
    sends a refresh each time.
    """
    scene.keeper.connect()
    scene.clock.advance(60)
    before = scene.server.requests()
    for _ in range(12):
        scene.keeper.token()
        scene.keeper.refused()
    return f"{scene.server.requests() - before} requests for 12 refusals".replace("1 requests", "1 request")

"""Disconnecting: the client says "revoked", and the grant is still alive at the server."""

from tests.incidents.grants import says
from tests.incidents.story import Scene, lives, story

A_DAY = 86400


def _after_a_day(scene: Scene) -> str:
    scene.keeper.connect()
    scene.clock.advance(A_DAY)
    said = scene.keeper.disconnect()
    return f"{said}, {lives(scene.server)}"


@story(
    case="A1",
    report="cronofy/pycronofy#59",
    provider="slack",
    server={
        "takes_only_live_access_tokens": True,
        "to_a_dead_access_token": says(200, {"ok": False, "error": "token_expired"}),
    },
    revokes="access_token",
    ends="revoked, no grant lives",
    ends_naively="revoked, the grant lives",
)
def the_access_token_ran_out_before_it_was_revoked(scene: Scene) -> str:
    """The access token had expired before it was revoked.

    A customer disconnects after a day. The server accepts only live access tokens for revocation, and reports with a
    200 that this one has expired. The client says "revoked", and the grant lives on.
    """
    return _after_a_day(scene)


@story(
    case="A2",
    report="Kilo-Org/cloud#3638",
    provider="github",
    server={
        "takes_only_live_access_tokens": True,
        "to_a_dead_access_token": says(422, {"message": "Validation Failed"}),
        "rotates": True,
    },
    revokes="access_token",
    ends="revoked, no grant lives",
    ends_naively="revoked, the grant lives",
)
def the_server_answered_422_to_an_expired_token(scene: Scene) -> str:
    """The server answered 422 to the revocation of an expired token.

    A customer disconnects after a day. The server answers 422 to an access token that it no longer knows, however often
    it is asked. Only a live token ends the grant.
    """
    return _after_a_day(scene)


@story(
    case="A11",
    report="xorbitsai/xagent#1491",
    registration={"revocation_ends_authorization": False},
    ends="revoked, no grant lives",
    ends_naively="revoked, the grant lives",
)
def connected_twice_and_revoked_once(scene: Scene) -> str:
    """A customer connected twice, and was disconnected once.

    A customer connects again under the same id. The server keeps two grants, and the client overwrites the tokens of
    the first one. Later it revokes the second. The first lives on, and nobody can end it.
    """
    scene.keeper.connect()
    scene.keeper.connect()
    said = scene.keeper.disconnect()
    return f"{said}, {lives(scene.server)}"

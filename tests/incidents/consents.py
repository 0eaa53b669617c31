"""Consents: what a second one brings, and what it does not bring."""

from tests.incidents.story import Scene, story

LONGER_THAN_A_TOKEN = 3700


@story(
    case="A10",
    report="omab/django-social-auth#299",
    registration={"subject": "account"},
    server={"refresh_token_once": True},
    ends="a token",
    ends_naively="connect again",
)
def the_second_consent_brought_no_refresh_token(scene: Scene) -> str:
    """The second consent brought no refresh token.

    The server issues one with the first consent of an account, and none with later ones. The client overwrites its
    record, and an hour later it has nothing to refresh with. The first refresh token would have worked all the time.
    """
    scene.keeper.connect()
    scene.keeper.connect()
    scene.clock.advance(LONGER_THAN_A_TOKEN)
    return scene.token()

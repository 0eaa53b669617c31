"""Consents: what a second one brings, and what it does not."""

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

    The server gives one with the first consent of an account, and none with the next ones. Whoever overwrites the
    record with what came has nothing to refresh with an hour later. The first refresh token is good all the time.
    """
    scene.keeper.connect()
    scene.keeper.connect()
    scene.clock.advance(LONGER_THAN_A_TOKEN)
    return scene.token()

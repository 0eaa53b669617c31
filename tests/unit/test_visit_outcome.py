"""How a browser's visit ends, and where the application gets its user back."""

from dataclasses import replace
from typing import Any

import pytest

from functions.vault.grant.life import Place
from functions.vault.oauth.authorization import Phase
from functions.vault.oauth.visit_outcome import Became, Outcome, became_of
from functions.web import replies
from tests.unit.samples import NOW, authorization_request, connection, current, with_current

RETURN_TO = "https://app.example/done?tab=1"


@pytest.mark.parametrize(
    ("outcome", "query"),
    [
        ({"page": "connected"}, "status=connected"),
        ({"page": "denied", "error": "access_denied"}, "error=access_denied"),
        ({"page": "failed", "error": "provider_unavailable"}, "error=provider_unavailable"),
    ],
)
def test_the_application_gets_its_user_back(outcome: dict[str, Any], query: str) -> None:
    """With the outcome added to the query that its URL has."""
    request = authorization_request(return_to=RETURN_TO)

    about = f"connection_id=merchant-1&request_id={request.request_id}"
    assert Outcome(**outcome, request=request).return_to == f"{RETURN_TO}&{about}&{query}"


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("connected", request=authorization_request()),
        Outcome("refused", reason="state_mismatch"),
        Outcome("unfinished", request=authorization_request(return_to=RETURN_TO)),
        Outcome("waiting", request=authorization_request(return_to=RETURN_TO)),
        Outcome("already", request=authorization_request(return_to=RETURN_TO)),
        Outcome("expired", request=authorization_request(return_to=RETURN_TO)),
        Outcome("refused", request=authorization_request(return_to=RETURN_TO), reason="issuer_mismatch"),
    ],
    ids=["no return_to", "no request", "not finished", "not begun", "used before", "a link that is too old", "refused"],
)
def test_otherwise_the_user_sees_a_page(outcome: Outcome) -> None:
    """Without `return_to`, without a request, or while the outcome is not known."""
    assert outcome.return_to is None


@pytest.mark.parametrize(
    ("error", "page"), [("access_denied", "denied"), ("server_error", "failed"), ("provider_throttled", "failed")]
)
def test_declining_is_not_a_failure(error: str, page: str) -> None:
    """A person who declined reads another page than one for whom something failed; both may try again."""
    outcome = Outcome.failed(authorization_request(phase=Phase.FAILED), error)

    assert (outcome.page, outcome.error, outcome.provider) == (page, error, "acme")
    assert outcome.may_try_again


@pytest.mark.parametrize(("place", "became"), [(Place.SUPERSEDED, Became.REPLACED), (Place.REVOKING, Became.UNDER_WAY)])
def test_a_second_try_is_under_way_while_the_tokens_of_the_first_are_revoked(place: Place, became: Became) -> None:
    """They were of another account. Tokens of the same link that gave way to a newer consent were in use."""
    request = authorization_request(phase=Phase.CONSUMED, consumed_at=NOW)
    was = with_current(connection(authorized_by="request-9"), place=place, request_id=request.request_id)
    stored = replace(was, authorized_at=NOW - 60, sets=(*was.sets, current(connection())))

    assert became_of(request, stored, NOW + 1) is became


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.CONSUMED])
def test_a_failure_that_leaves_the_request_consumed_cannot_be_tried_again(phase: Phase) -> None:
    """Its code may have been exchanged: another try would only lead to an error."""
    assert not Outcome.failed(authorization_request(phase=phase), "server_error").may_try_again


@pytest.mark.parametrize(
    "page", ["connected", "already", "unfinished", "waiting", "refused", "expired", "invalid_link"]
)
def test_only_failed_visits_can_be_tried_again(page: str) -> None:
    """The others are over, or not ours."""
    assert not Outcome(page).may_try_again
    if page not in {"refused", "invalid_link"}:
        assert not Outcome(page, "acme", request=authorization_request(phase=Phase.FAILED)).may_try_again


@pytest.mark.parametrize(
    ("outcome", "is_the_end"),
    [
        (Outcome("connected", request=authorization_request(phase=Phase.CONSUMED)), True),
        (Outcome("already", request=authorization_request(phase=Phase.CONSUMED)), True),
        (Outcome("expired", request=authorization_request(phase=Phase.FAILED)), True),
        (Outcome.failed(authorization_request(phase=Phase.FAILED, exchanges=5), "server_error"), True),
        (Outcome.failed(authorization_request(phase=Phase.FAILED), "access_denied"), False),
        (Outcome("unfinished", request=authorization_request(phase=Phase.CONSUMED)), False),
        (Outcome("refused", request=authorization_request()), False),
        (Outcome("refused"), False),
    ],
)
def test_a_request_ends_when_no_other_answer_is_expected(outcome: Outcome, is_the_end: bool) -> None:  # noqa: FBT001 - a parameter
    """From then on its cookie is only good for a reload."""
    assert outcome.is_the_end is is_the_end


@pytest.mark.parametrize(
    ("page", "form_post", "after"),
    [
        ("unfinished", False, 2),
        ("unfinished", True, 2),
        ("waiting", False, 2),
        ("waiting", True, None),
        ("connected", False, None),
    ],
)
def test_a_page_that_is_not_the_end_reloads_itself(page: str, form_post: bool, after: int | None) -> None:  # noqa: FBT001 - a parameter
    """Unless a posted answer was not taken: without the form, nothing will come of it."""
    outcome = Outcome(page, "acme", request=authorization_request(form_post=form_post))

    assert replies.of(outcome).reload_after == after


def test_a_posted_answer_without_a_slot_can_be_given_again() -> None:
    """A browser sends a form only once: the person goes to the provider again. Other pages reload themselves."""
    posted, redirected = (
        replies.of(Outcome("waiting", "acme", request=authorization_request(form_post=form_post)))
        for form_post in (True, False)
    )

    assert posted.values == {"provider": "acme", "try_again": f"/authorize/{authorization_request().request_id}"}
    assert redirected.values == {"provider": "acme"}
    assert (posted.status, posted.location, redirected.location) == (202, None, None)

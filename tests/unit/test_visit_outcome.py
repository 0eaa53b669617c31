"""How a browser's visit ends, and where the application gets its user back."""

from typing import Any

import pytest

from functions.vault.oauth.authorization import Phase
from functions.vault.oauth.visit_outcome import Outcome
from functions.web import replies
from tests.unit.samples import authorization_request

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
    """With what became of it, added to the query that was there."""
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
def test_a_no_is_not_a_failure(error: str, page: str) -> None:
    """The person who said no reads another page than the one for whom something went wrong; both may try again."""
    outcome = Outcome.failed(authorization_request(phase=Phase.FAILED), error)

    assert (outcome.page, outcome.error, outcome.provider) == (page, error, "acme")
    assert outcome.may_try_again


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.CONSUMED])
def test_a_failure_after_which_the_request_stays_used_cannot_be_tried_again(phase: Phase) -> None:
    """Its code may have been exchanged: a page that offers another try would lead to one that says no."""
    assert not Outcome.failed(authorization_request(phase=phase), "server_error").may_try_again


@pytest.mark.parametrize(
    "page", ["connected", "already", "unfinished", "waiting", "refused", "expired", "invalid_link"]
)
def test_only_what_came_to_nothing_can_be_tried_again(page: str) -> None:
    """The others are over, or not ours; and their pages have no place for it."""
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
def test_a_request_ends_when_no_other_answer_is_waited_for(outcome: Outcome, is_the_end: bool) -> None:  # noqa: FBT001 - a parameter
    """From then on its cookie is good for a reload, and for nothing else."""
    assert outcome.is_the_end is is_the_end


@pytest.mark.parametrize(
    ("page", "form_post", "after"),
    [
        ("unfinished", False, 2),
        ("unfinished", True, None),
        ("waiting", False, 2),
        ("waiting", True, None),
        ("connected", False, None),
    ],
)
def test_a_page_that_is_not_the_end_looks_again_by_itself(page: str, form_post: bool, after: int | None) -> None:  # noqa: FBT001 - a parameter
    """Not where the answer was posted: its address without the form is nobody's answer."""
    outcome = Outcome(page, "acme", request=authorization_request(form_post=form_post))

    assert replies.of(outcome).reload_after == after


def test_an_answer_that_was_posted_and_had_no_turn_can_be_given_again() -> None:
    """The browser sends a form but once: the person goes to the provider again. Else the page comes back by itself."""
    posted, redirected = (
        replies.of(Outcome("waiting", "acme", request=authorization_request(form_post=form_post)))
        for form_post in (True, False)
    )

    assert posted.values == {"provider": "acme", "try_again": f"/authorize/{authorization_request().request_id}"}
    assert redirected.values == {"provider": "acme"}
    assert (posted.status, posted.location, redirected.location) == (202, None, None)

"""What callers see of a failure."""

import pytest

from functions.vault.base.errors import (
    BY_CODE,
    GatehouseError,
    InvalidRequest,
    ProviderError,
    ProviderThrottled,
    ProviderUnavailable,
)
from functions.vault.grant.failure import Failure

CONTRACT = {
    "invalid_request": (400, False),
    "unknown_provider": (404, False),
    "connection_not_found": (404, False),
    "confirmation_required": (409, True),
    "confirmation_invalid": (409, False),
    "confirmation_expired": (409, False),
    "reauthorization_required": (409, False),
    "connection_revoked": (410, False),
    "provider_misconfigured": (502, False),
    "provider_throttled": (503, True),
    "provider_unavailable": (503, True),
    "temporarily_unavailable": (503, True),
    "server_error": (500, False),
}


def test_the_codes_are_those_of_the_contract() -> None:
    """Each code has its HTTP status, and says whether the same call may succeed later."""
    assert {code: (error.http_status, error.retryable) for code, error in BY_CODE.items()} == CONTRACT


def test_a_failure_without_evidence_has_three_fields() -> None:
    """What is not known is left out, not null."""
    assert InvalidRequest("owner: required.").as_result() == {
        "error": "invalid_request",
        "error_description": "owner: required.",
        "retryable": False,
    }


def test_a_full_failure_has_its_evidence() -> None:
    """What the server answered is apart from our description, with its HTTP status."""
    error_of_server = ProviderError("slow_down", "not so fast", 429)

    error = ProviderThrottled("Limited.", connection_id="merchant-1", retry_after=30, provider_error=error_of_server)

    assert error.as_result() == {
        "error": "provider_throttled",
        "error_description": "Limited.",
        "retryable": True,
        "retry_after": 30,
        "connection_id": "merchant-1",
        "provider_error": {"error": "slow_down", "error_description": "not so fast", "status": 429},
    }


def test_a_retry_after_of_0_is_part_of_the_answer() -> None:
    """It differs from having none."""
    assert ProviderUnavailable("Down.", retry_after=0).as_result()["retry_after"] == 0


def test_the_connection_can_be_added_to_a_failure_later() -> None:
    """Whoever knows the connection adds it; the failure stays the same."""
    error = ProviderUnavailable("Down.", outcome_unknown=True)

    about = error.about("merchant-1")

    assert about is error
    assert error.as_result()["connection_id"] == "merchant-1"
    assert error.outcome_unknown


@pytest.mark.parametrize("code", sorted(CONTRACT))
def test_every_stored_failure_becomes_the_same_error_again(code: str) -> None:
    """Callers that meet a stored failure get its code, description and evidence."""
    error_of_server = ProviderError("oops", None, 500)
    stored = Failure(code, 1, 1000, 1010, "holder", "What happened.", provider_error=error_of_server)

    shared = stored.as_error("merchant-1", 1000)

    assert isinstance(shared, GatehouseError)
    assert (shared.code, shared.description, shared.provider_error) == (code, "What happened.", error_of_server)
    assert shared.retry_after == (10 if CONTRACT[code][1] else None)

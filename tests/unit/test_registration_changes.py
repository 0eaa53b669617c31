"""Token sets that were issued under a registration, and under one that has changed since."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured, ReauthorizationRequired
from functions.vault.grant.seal import Whose
from functions.vault.provider.registration_changes import as_issued_to
from tests.unit.samples import registration

if TYPE_CHECKING:
    from functions.vault.provider.registration import Registration

OLD = {"client_id": "client-0", "client_secret": "old"}


def issued(**fields: Any) -> Whose:
    """Return whose the tokens of the usual client are."""
    return replace(registration().whose({}), **fields)


def moved(**fields: Any) -> Registration:
    """Return a registration whose token endpoint is elsewhere."""
    return registration("secret-1", token_endpoint="https://new.example/token", **fields)


@pytest.mark.parametrize(
    "whose",
    [
        pytest.param(issued(), id="the same"),
        pytest.param(issued(origins={"token": "https://ACME.example:443"}), id="spelled otherwise"),
        pytest.param(issued(origins={"token": "https://acme.example"}), id="no revocation was known then"),
        pytest.param(Whose("acme"), id="unknown"),
    ],
)
def test_what_was_issued_under_a_registration_is_used_with_it(whose: Whose) -> None:
    """Unchanged; and if nobody recorded whose a set is, nothing can be compared."""
    ours = registration("secret-1")

    assert as_issued_to(ours, whose) is ours


@pytest.mark.parametrize(
    ("ours", "whose", "said"),
    [
        (
            registration(),
            issued(client_id="client-0"),
            "issued to client 'client-0', and the registration names 'client-1'",
        ),
        (moved(), issued(), "the token endpoint was at https://acme.example, and is at https://new.example"),
        (
            registration(refresh_endpoint="https://r.example/refresh"),
            issued(),
            "the refresh endpoint was at https://acme.example, and is at https://r.example",
        ),
        (
            registration(revocation_endpoint="https://r.example/revoke"),
            issued(),
            "the revocation endpoint was at https://acme.example, and is at https://r.example",
        ),
        (
            registration(account_endpoint="https://r.example/me"),
            issued(origins={"account": "https://acme.example"}),
            "the account endpoint was at https://acme.example, and is at https://r.example",
        ),
    ],
)
def test_another_client_or_origin_is_the_operators_fault(ours: Registration, whose: Whose, said: str) -> None:
    """The message names each difference once, and what can be done about it."""
    with pytest.raises(ProviderMisconfigured) as caught:
        as_issued_to(ours, whose)

    assert caught.value.description.count(said) == 1
    assert caught.value.description.count(" was at ") + caught.value.description.count("issued to client") == 1
    assert "previous_clients" in caught.value.description
    assert not caught.value.refuses_client


def test_a_previous_client_keeps_its_own_secret() -> None:
    """It uses nothing of the new one; `whole` is the registration that it came from."""
    ours = replace(registration("secret-1"), previous_client_secret="secret-0", previous_clients=(OLD,))

    theirs = as_issued_to(ours, issued(client_id="client-0"))

    assert (theirs.client_id, theirs.client_secret, theirs.previous_client_secret) == ("client-0", "old", None)
    assert (theirs.whole, theirs.provider) == (ours, ours.provider)


def test_endpoints_that_have_moved_on_purpose_are_used() -> None:
    """The file or the registration says where they were."""
    ours = moved(endpoints_moved_from=("https://acme.example",))

    assert as_issued_to(ours, issued()) is ours


def test_an_issuer_may_move_what_its_metadata_names() -> None:
    """As long as it is the same issuer, and its metadata names the endpoints."""
    whose, ours = issued(issuer="https://i.example"), replace(moved(issuer="https://i.example"), is_discovered=True)

    assert as_issued_to(ours, whose) is ours
    for other in (replace(ours, is_discovered=False), replace(moved(issuer="https://j.example"), is_discovered=True)):
        with pytest.raises(ProviderMisconfigured):
            as_issued_to(other, whose)


def test_an_issuer_does_not_move_what_is_not_in_its_metadata() -> None:
    """The owner names the account endpoint: an access token is not sent to another one by mistake."""
    elsewhere = registration(issuer="https://i.example", account_endpoint="https://new.example/me")
    whose = issued(issuer="https://i.example", origins={"account": "https://i.example"})

    with pytest.raises(ProviderMisconfigured, match="the account endpoint was at"):
        as_issued_to(replace(elsewhere, is_discovered=True), whose)


def test_an_owner_can_have_customers_connect_again() -> None:
    """Their grants are over here, without doubt."""
    with pytest.raises(ReauthorizationRequired) as caught:
        as_issued_to(moved(reauthorize_previous=True), issued())

    assert caught.value.is_final

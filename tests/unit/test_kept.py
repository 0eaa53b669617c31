"""A consent that brings no refresh token: the earlier one goes on beside it, if it is for the same account."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import ProviderUnavailable, ReauthorizationRequired
from functions.vault.grant import late_answers, refreshes, revocations, transition
from functions.vault.grant.authorized import Authorized
from functions.vault.grant.connection import Connection
from functions.vault.grant.life import MOST_SUPERSEDED, Place, Status
from functions.vault.grant.obtained import Obtained, Verdict
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from functions.vault.oauth.authorization import BrowserBinding, ticket_hash
from tests.unit.samples import (
    NOW,
    WHOSE,
    answer,
    authorization_request,
    connection,
    registration,
    sealed_tokens,
    token_response,
    validated_response,
)
from tests.unit.services import MemoryServices

if TYPE_CHECKING:
    from functions.vault.grant.seal import Whose


LATER = NOW + 1000
ONLINE = TokenSet("AT-1")
GONE = ReauthorizationRequired("Gone.")


def consent(
    sealed: bytes,
    version: int,
    tokens: TokenSet = ONLINE,
    subject: str | None = "account-1",
    whose: Whose = WHOSE,
) -> Obtained:
    """Return the answer to the code of a consent, by default without a refresh token."""
    made = sealed_tokens(
        token_response(tokens=tokens, subject=subject, scope="online"), sealed, version=version, at=LATER
    )
    request_id = sealed.decode()
    authorized = Authorized(request_id, "owner-1", allow_new_subject=True)
    tokens_of_whom = replace(made, whose=whose)
    return Obtained("merchant-1", request_id, tokens_of_whom, authorized=authorized, request_id=request_id)


def after(obtained: Obtained, stored: Connection, now: float = LATER) -> Connection:
    """Return the record that an answer makes of the stored one."""
    made = obtained.decide(stored, now)
    assert isinstance(made, Connection)
    return made


def places(of: Connection) -> dict[str, str]:
    """Return the place of each token set."""
    return {each.id: str(each.place) for each in of.sets}


OFFLINE = connection(token_response(subject="account-1", scope="offline"))
"""Version 1 of `account-1`, with a refresh token."""

KEEPING = after(consent(b"online", 2), OFFLINE)
"""Version 2: its tokens came without one."""


# What a consent leaves


def test_the_refresh_token_goes_on_beside_a_consent_without_one() -> None:
    """It is what the connection is refreshed with, and its idle time goes on; the current tokens come due as any."""
    assert places(KEEPING) == {"online": "current", "sealed-1": "kept"}
    assert KEEPING.to_refresh is not None
    assert (KEEPING.to_refresh.id, KEEPING.to_refresh.scope, KEEPING.scope) == ("sealed-1", "offline", "online")
    assert KEEPING.upkeep_at == OFFLINE.upkeep_at
    assert KEEPING.is_due(LATER + 3600)


def test_the_account_endpoint_does_not_matter() -> None:
    """A release that names the endpoint costs no connection the refresh token that it had before."""
    named = replace(WHOSE, origins={**WHOSE.origins, "account": "https://acme.example"})

    assert places(after(consent(b"online", 2, whose=named), OFFLINE)) == {"online": "current", "sealed-1": "kept"}


@pytest.mark.parametrize(
    ("stored", "coming"),
    [
        (OFFLINE, consent(b"online", 2, TokenSet("AT-1", "RT-2"))),
        (refreshes.refused(OFFLINE, GONE, NOW), consent(b"online", 2)),
        (replace(OFFLINE, subject=None), consent(b"online", 2)),
        (OFFLINE, consent(b"online", 2, subject=None)),
        (replace(OFFLINE, subject=None), consent(b"online", 2, subject=None)),
        (OFFLINE, consent(b"online", 2, subject="account-2")),
        (OFFLINE, consent(b"online", 2, whose=replace(WHOSE, client_id="client-2"))),
        (OFFLINE, consent(b"online", 2, whose=replace(WHOSE, parameters={"shop": "2"}))),
        (OFFLINE, consent(b"online", 2, whose=replace(WHOSE, origins={"token": "https://moved.example"}))),
        (OFFLINE, consent(b"online", 2, whose=replace(WHOSE, issuer="https://acme.example"))),
        (connection(token_response(subject="account-1", tokens=ONLINE)), consent(b"online", 2)),
    ],
    ids=[
        "a refresh token of its own",
        "believed dead",
        "whose it was is unknown",
        "whose it is is unknown",
        "neither is known",
        "another account",
        "another client",
        "another tenant",
        "another endpoint",
        "another issuer",
        "nothing to keep",
    ],
)
def test_under_other_conditions_it_is_superseded(stored: Connection, coming: Obtained) -> None:
    """It may be of another grant, or there is nothing to keep."""
    assert places(after(coming, stored)) == {"online": "current", "sealed-1": "superseded"}


def test_a_token_set_of_an_unknown_client_is_superseded() -> None:
    """One of format 1 does not say its client: that may have been another."""
    unknown = tuple(replace(each, whose=replace(each.whose, client_id=None)) for each in OFFLINE.sets)
    coming = consent(b"online", 2, whose=replace(WHOSE, client_id=None))

    assert places(after(coming, replace(OFFLINE, sets=unknown)))["sealed-1"] == "superseded"


def test_the_next_consent_without_a_refresh_token_keeps_it() -> None:
    """Under the same conditions; the tokens before are superseded."""
    again = after(consent(b"again", 3), KEEPING)

    assert places(again) == {"again": "current", "online": "superseded", "sealed-1": "kept"}
    assert again.upkeep_at == OFFLINE.upkeep_at


def test_the_tokens_before_such_a_consent_are_revoked_at_once_if_grants_are_separate() -> None:
    """They go; the refresh token that goes on is not of their grant."""
    again = after(replace(consent(b"again", 3), grants_are_apart=True), KEEPING, LATER + 7)

    assert places(again) == {"again": "current", "online": "revoking", "sealed-1": "kept"}
    assert again.revocation_due_at == LATER + 7


@pytest.mark.parametrize(
    "coming",
    [
        consent(b"again", 3, TokenSet("AT-1", "RT-3")),
        consent(b"again", 3, subject="account-2"),
        consent(b"again", 3, whose=replace(WHOSE, client_id="client-2")),
    ],
    ids=["with one", "of another account", "of another client"],
)
def test_the_next_consent_with_a_refresh_token_supersedes_both(coming: Obtained) -> None:
    """Nothing is dropped: everything is revoked with the connection."""
    again = after(coming, KEEPING)

    assert places(again) == {"again": "current", "online": "superseded", "sealed-1": "superseded"}
    assert [each.id for each in revocations.revoked(again, LATER).to_revoke] == ["again", "online", "sealed-1"]


def test_it_is_revoked_with_the_connection_and_keeps_its_lease() -> None:
    """And not before: a consent ends no grant that the connection may go on with."""
    at_work = refreshes.leased(KEEPING, "holder-1", LATER + 30, LATER)

    assert KEEPING.to_revoke == ()
    _, kept = revocations.revoked(at_work, LATER).to_revoke
    assert (kept.id, kept.lease, kept.attempts) == ("sealed-1", at_work.lease, 1)


def test_token_sets_without_a_refresh_token_are_the_first_to_go_for_lack_of_room() -> None:
    """A kept one is older than the tokens beside it, and worth more."""
    many = KEEPING
    for number in range(3, 3 + MOST_SUPERSEDED):
        many = after(consent(b"consent-%d" % number, number), many)

    last = after(consent(b"last", many.version + 1, TokenSet("AT-1", "RT-9")), many)

    assert places(last)["sealed-1"] == "superseded"
    assert len(last.in_place(Place.SUPERSEDED)) == MOST_SUPERSEDED
    assert {each.id for each in transition.left_behind(many, last)} == {"online", "consent-3"}


# Refreshing with it


def refreshed(sealed: bytes, version: int, attempt: int = 1, source: str = "sealed-1", **fields: Any) -> Obtained:
    """Return the answer to an attempt with the kept refresh token."""
    tokens = sealed_tokens(token_response(scope=None), sealed, version=version, at=LATER + 60)
    return Obtained("merchant-1", f"holder-{attempt}", tokens, RefreshedFrom(source, attempt), **fields)


LEASED = refreshes.leased(KEEPING, "holder-1", LATER + 30, LATER)


def test_it_has_the_lease_that_all_callers_go_by() -> None:
    """The current token set has none."""
    assert LEASED.lease is not None
    assert [(each.id, each.lease is not None) for each in LEASED.sets] == [("online", False), ("sealed-1", True)]
    assert refreshes.lease_given_back(LEASED, LATER).lease is None
    assert refreshes.lease_ended(LEASED).lease is None
    assert refreshes.refresh_failed(LEASED, ProviderUnavailable("Down."), LATER, 0.5).lease is None


def test_its_answer_becomes_current_and_replaces_it() -> None:
    """With the scope that it was granted, if the answer does not say one; the tokens beside it are superseded."""
    done = after(refreshed(b"new", 3), LEASED)

    assert places(done) == {"new": "current", "online": "superseded"}
    assert (done.version, done.scope, done.subject) == (3, "offline", "account-1")
    assert done.to_refresh == done.current
    assert transition.left_behind(LEASED, done) == ()


def test_its_answer_leaves_the_tokens_beside_it_to_be_revoked_if_grants_are_separate() -> None:
    """At once: nothing else ends with them."""
    done = after(refreshed(b"new", 3, grants_are_apart=True), LEASED, LATER + 61)

    assert places(done) == {"new": "current", "online": "revoking"}
    assert done.revocation_due_at == LATER + 61


def test_its_answer_after_a_newer_consent_takes_its_place() -> None:
    """The newer consent's tokens are vended; the next refresh uses the answer."""
    meanwhile = after(consent(b"again", 3), LEASED)

    late = after(refreshed(b"new", 3), meanwhile)

    assert places(late) == {"again": "current", "online": "superseded", "new": "kept"}
    assert (late.version, late.scope) == (3, "online")
    assert late.to_refresh is not None
    assert (late.to_refresh.id, late.to_refresh.scope, late.lease) == ("new", "offline", None)
    assert refreshed(b"new", 3).decide(late, LATER) is Verdict.STORED


def test_an_answer_to_a_refresh_from_before_the_consent_is_kept() -> None:
    """Its token set was current when the refresh began."""
    begun = refreshes.leased(OFFLINE, "holder-1", LATER, NOW)
    meanwhile = after(consent(b"online", 2), begun)
    assert meanwhile.lease == begun.lease

    late = after(refreshed(b"new", 2), meanwhile)

    assert places(late) == {"online": "current", "new": "kept"}


def test_an_answer_to_a_later_attempt_replaces_an_earlier_ones() -> None:
    """Whoever is at work with it keeps the lease; a late answer waits for that."""
    meanwhile = after(consent(b"again", 3), refreshes.leased(LEASED, "holder-2", LATER + 90, LATER + 40))
    earlier = after(refreshed(b"first", 3), meanwhile, LATER + 50)
    assert earlier.lease == meanwhile.lease

    assert places(after(refreshed(b"second", 3, attempt=2), earlier, LATER + 60)) == {
        "again": "current",
        "online": "superseded",
        "second": "kept",
    }
    by_another = refreshes.leased(refreshes.lease_ended(earlier), "holder-3", LATER + 99, LATER + 60)
    assert refreshed(b"second", 3, attempt=2).decide(by_another, LATER + 61) is Verdict.WAIT


def test_if_it_is_refused_it_goes_and_the_current_tokens_are_vended_until_they_expire() -> None:
    """Nothing more is tried; and it is revoked with the connection, since the server may have been wrong."""
    refused = refreshes.refused(LEASED, GONE, LATER + 10)

    assert (refused.status, places(refused)) == (Status.ACTIVE, {"online": "current", "sealed-1": "superseded"})
    assert (refused.to_refresh, refused.lease, refused.upkeep_at) == (None, None, refused.needs_from)
    assert (LEASED.refreshable, LEASED.needs_from, refused.refreshable) == (True, None, False)
    assert not refused.is_due(LATER + 3600)
    assert refused.failure is not None
    refused.require_vendable()
    assert [each.was_dead for each in revocations.revoked(refused, LATER).to_revoke] == [False, True]


def test_if_it_is_refused_the_oldest_of_too_many_gives_way() -> None:
    """It becomes one of the superseded token sets, and of those there is a most."""
    many = KEEPING
    for number in range(3, 3 + MOST_SUPERSEDED):
        many = after(consent(b"consent-%d" % number, number), many)

    refused = refreshes.refused(refreshes.leased(many, "holder-1", LATER + 30, LATER), GONE, LATER + 10.9)

    assert len(refused.in_place(Place.SUPERSEDED)) == MOST_SUPERSEDED
    assert places(refused)["sealed-1"] == "superseded"
    assert ("online" in places(refused), refused.updated_at) == (False, LATER + 10)


def test_its_answer_after_a_revocation_is_revoked() -> None:
    """It takes the place of the token set that it came from."""
    late = after(refreshed(b"new", 3), revocations.revoked(LEASED, LATER + 5))

    assert [each.id for each in late.to_revoke] == ["online", "new"]


# All together


@pytest.fixture
def services() -> MemoryServices:
    """Return services with a connection that has a kept refresh token; its access token has expired."""
    made = MemoryServices()
    made.registrations.known["acme"] = registration(subject="account")
    for number, refresh_token in enumerate(("RT-1", None), 1):
        browser = BrowserBinding(f"{number}" * 22, "t" * 43, "n" * 43)
        stored = made.connections.records.get("merchant-1")
        made.authorizations.create(
            authorization_request(
                request_id=browser.request_id,
                ticket_hash=ticket_hash(browser.ticket_secret),
                connection_version=stored.version if stored else 0,
            )
        )
        made.server.answers = [granted(f"AT-{number}", refresh_token)]
        made.completing.complete(validated_response(browser), made.deadline())
    made.pass_time(3600)()
    made.events.calls.clear()
    made.server.requests.clear()
    return made


def granted(access_token: str, refresh_token: str | None) -> Any:
    """Return a token response of `account-1`."""
    given = {"access_token": access_token, "expires_in": 3600, "account": "account-1"}
    return answer(json.dumps(given | ({"refresh_token": refresh_token} if refresh_token else {})))


def kept(services: MemoryServices) -> list[str]:
    """Return the ids of the kept token sets."""
    return [each.id for each in services.stored().in_place(Place.KEPT)]


def test_a_token_is_refreshed_with_the_one_that_is_kept(services: MemoryServices) -> None:
    """Once, as with any other."""
    services.server.answers = [granted("AT-3", "RT-3")]

    result = services.token()

    assert (result["access_token"], result["version"], services.server.refresh_tokens) == ("AT-3", 3, ["RT-1"])
    assert services.events.calls == ["get", "registration", "change", "decrypt", "data_key", "http", "change", "note"]
    assert (kept(services), services.tokens()) == ([], TokenSet("AT-3", "RT-3"))


def test_a_consent_comes_during_its_refresh(services: MemoryServices) -> None:
    """The consent's tokens are vended; those that the kept one brought are kept."""
    sealer = services.new_cipher().prepare("merchant-1", 3, services.stored().sets[0].whose)
    newer = sealed_tokens(token_response(tokens=ONLINE, subject="account-1"), sealer, at=int(services.now))
    coming = Obtained("merchant-1", "r", newer, authorized=Authorized("r"), request_id="r")

    def consented() -> None:
        services.connections.records["merchant-1"] = after(coming, services.stored(), services.now)

    services.events.before["http"] = [consented]

    result = services.token()

    assert result["version"] == 3
    assert [each.refreshed_from is not None for each in services.stored().in_place(Place.KEPT)] == [True]


def test_an_answer_that_came_late_is_not_asked_for_again(services: MemoryServices) -> None:
    """The record has it in the place of the kept one, and the version has not changed."""
    source = services.stored().to_refresh
    assert source is not None
    interrupted = refreshes.leased(services.stored(), "holder-9", services.now - 1, services.now - 30)
    services.connections.records["merchant-1"] = interrupted
    late = services.sealed(TokenSet("AT-8", "RT-8"), 2)

    def comes_in() -> None:
        stored = services.stored()
        services.connections.records["merchant-1"] = late_answers.kept_came_late(
            stored, late, stored.in_place(Place.KEPT)[0], "holder-9", services.now, RefreshedFrom(source.id, 1)
        )

    services.events.after["sleep"] = [comes_in]

    services.token()

    assert services.server.refresh_tokens == ["RT-8"]


def test_after_a_refusal_the_current_token_is_vended_until_it_expires(services: MemoryServices) -> None:
    """Only then does somebody have to start again; nothing more is sent."""
    services.now -= 120
    services.server.answers = [answer('{"error":"invalid_grant"}', 400)]

    assert services.token()["access_token"] == "AT-2"
    assert services.token()["access_token"] == "AT-2"

    services.pass_time(120)()
    assert services.token()["error"] == "reauthorization_required"
    assert services.server.refresh_tokens == ["RT-1"]
    assert services.stored().status is Status.REAUTHORIZATION_REQUIRED


def test_a_failure_leaves_it(services: MemoryServices) -> None:
    """It is tried again after the pause."""
    services.server.answers = [ProviderUnavailable("Down."), granted("AT-3", "RT-3")]

    assert services.token()["error"] == "provider_unavailable"
    assert kept(services)
    services.pass_time(60)()
    assert services.token()["access_token"] == "AT-3"


def test_background_work_keeps_it_alive(services: MemoryServices) -> None:
    """An idle grant would die with it."""
    services.server.answers = [granted("AT-3", "RT-3")]

    assert services.vending.refresh_due("merchant-1", 2, services.deadline()) is None

    assert services.server.refresh_tokens == ["RT-1"]

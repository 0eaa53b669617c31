"""Whose account tokens are for, where an account endpoint has to say it: asked when they are safe, told to callers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from functions.vault.accounts import LONGEST_ASKING, REFUSED_WITHIN
from functions.vault.connection import Status
from functions.vault.errors import ProviderMisconfigured, ProviderUnavailable
from functions.vault.life import Place
from functions.vault.responses import Answer
from functions.vault.stored_set import ASKED_AFTER, LONGEST_UNASKED
from functions.vault.tokens import TokenSet
from tests.unit.house import MemoryHouse
from tests.unit.samples import answer, registration, validated_response
from tests.unit.test_accounts import (
    Killed,
    browser,
    come_back,
    consent,
    killed,
    one_in,
    opened_request,
    places,
    work_off,
)

ME = "https://acme.example/me"
UNAUTHORIZED = answer('{"error":{"developer_message":"no","error_code":"401"}}', 401)


class Shop:
    """An authorization server that says in its token answers whose they are, or not, and at its account endpoint."""

    def __init__(self, house: MemoryHouse) -> None:
        self._house = house
        self.merchant = "M-1"
        self.scopes = ["orders", "items"]
        self.names_merchant = False
        self.lifetime = 3600
        self.says_instead: Answer | None = None
        self.asked = 0

    def __call__(self, form: dict[str, str]) -> Answer:
        """Answer one request."""
        if "token" in form:
            return answer("{}")
        if not form:
            self.asked += 1
            me = {"client_id": "client-1", "id": self.merchant, "name": f"Shop {self.merchant}", "may": self.scopes}
            return self.says_instead or answer(json.dumps(me))
        self._house.server.issued += 1
        number = self._house.server.issued
        tokens = {"access_token": f"AT-{number}", "expires_in": self.lifetime, "refresh_token": f"RT-{number}"}
        return answer(json.dumps(tokens | ({"id": self.merchant} if self.names_merchant else {})))


def registered(house: MemoryHouse, **fields: Any) -> None:
    """Register the provider."""
    told = {"subject": "id", "metadata": ("id", "name"), "account_endpoint": ME, "account_scope": "may"}
    house.registrations.known["acme"] = registration(**(told | fields))


@pytest.fixture
def house() -> MemoryHouse:
    """Give a house without connections."""
    made = MemoryHouse()
    registered(made)
    return made


@pytest.fixture
def shop(house: MemoryHouse) -> Shop:
    """Give the provider."""
    made = Shop(house)
    house.server.answers = [made] * 1000
    return made


@pytest.fixture
def known(house: MemoryHouse, shop: Shop) -> MemoryHouse:
    """Give a house with a connection to M-1."""
    assert consent(house, "a").page == "connected"
    house.pass_time(100)()
    shop.asked = 0
    return house


@pytest.fixture
def waiting(known: MemoryHouse) -> MemoryHouse:
    """Give the same house after a consent whose process died when its tokens were safe."""
    known.events.after["change"] = [killed]
    with pytest.raises(Killed):
        consent(known, "b")
    known.pass_time(ASKED_AFTER)()
    return known


def tell(house: MemoryHouse) -> tuple[Any, ...]:
    """Return what `token` says of the account."""
    vended = house.token()
    return vended["access_token"], vended["subject"], vended["scope"], vended["metadata"]


OF_M_1 = ("M-1", "orders items", {"id": "M-1", "name": "Shop M-1"})


# A first consent


def test_a_first_consent_is_asked_about_when_its_tokens_are_stored(house: MemoryHouse, shop: Shop) -> None:
    """Then `token` says the account, what it is called and what the tokens may do."""
    assert consent(house, "a").page == "connected"

    calls = [call for call in house.events.calls if call in {"http", "create", "change"}]
    assert calls == ["http", "create", "http", "change"]
    assert house.server.requests[-1] == (ME, {})
    assert tell(house) == ("AT-2", *OF_M_1)
    stored = house.stored()
    assert (stored.version, shop.asked, stored.due_at) == (1, 1, stored.upkeep_at)
    assert house.shared.authorized["acme", "client-1", "M-1"] == [("merchant-1", int(house.now))]


def test_a_token_answer_that_names_the_account_is_enough(house: MemoryHouse, shop: Shop) -> None:
    """Nothing is asked; its scope is what the answer says, or what was asked for."""
    shop.names_merchant = True

    consent(house, "a")

    assert (shop.asked, tell(house)) == (0, ("AT-2", "M-1", None, {"id": "M-1"}))


def test_what_was_asked_for_and_is_not_granted_is_missing(house: MemoryHouse, shop: Shop) -> None:
    """By the scope that the account endpoint tells, under whatever names."""
    registered(house, scope_aliases={"read": ["items"]})

    consent(house, "a", scope="orders read write")

    assert (house.stored().scope, house.stored().scope_missing) == ("orders items", ("write",))
    assert shop.asked == 1


@pytest.mark.parametrize("told", [{}, {"may": None}, {"may": {"orders": True}}])
def test_an_answer_without_a_scope_leaves_what_is_known(house: MemoryHouse, shop: Shop, told: dict[str, Any]) -> None:
    """What was asked for is granted, where nobody says otherwise."""
    shop.says_instead = answer(json.dumps({"id": "M-1"} | told))

    consent(house, "a", scope="orders")

    assert (house.stored().scope, house.stored().subject) == ("orders", "M-1")


@pytest.mark.parametrize(
    "silence",
    [
        UNAUTHORIZED,
        answer("", 403),
        answer('{"error":"invalid_grant"}', 400),
        answer("<html>", 200),
        answer('{"id":null}'),
        answer('{"id":["M-1"]}'),
        answer("", 503),
    ],
)
def test_an_endpoint_that_does_not_say_it_is_asked_again(house: MemoryHouse, shop: Shop, silence: Answer) -> None:
    """Whoever connects is connected, and the grant is not dead for it: the background asks."""
    shop.says_instead = silence

    assert consent(house, "a").page == "connected"

    assert tell(house)[:2] == ("AT-2", None)
    assert house.stored().due_at == int(house.now) + ASKED_AFTER
    house.pass_time(ASKED_AFTER)()
    (failure,) = work_off(house)
    assert isinstance(failure, ProviderUnavailable | ProviderMisconfigured)
    assert house.stored().status is Status.ACTIVE
    shop.says_instead = None
    house.pass_time(ASKED_AFTER)()
    assert work_off(house) == [None]
    assert tell(house) == ("AT-2", *OF_M_1)


def test_the_words_of_a_refusal_are_kept_without_the_token(house: MemoryHouse, shop: Shop) -> None:
    """For the log; what was sent in confidence is not repeated."""
    shop.says_instead = answer('{"error":"bad_token","error_description":"AT-2-and-more is no good"}', 401)
    house.server.issued = 1
    consent(house, "a")
    house.pass_time(ASKED_AFTER)()

    (failure,) = work_off(house)

    assert (failure.code, failure.provider_error.error) == ("provider_unavailable", "bad_token")
    assert "AT-2" not in str(failure.as_result())


def test_what_was_refreshed_meanwhile_is_asked_about(house: MemoryHouse, shop: Shop) -> None:
    """With the token that there is by then: the one before may have run out."""
    shop.says_instead = UNAUTHORIZED
    consent(house, "a")
    house.pass_time(3700)()
    assert tell(house)[:2] == ("AT-3", None)
    shop.says_instead = None

    assert work_off(house) == [None]

    assert tell(house) == ("AT-3", *OF_M_1)


def test_a_refresh_that_names_the_account_answers_the_question(house: MemoryHouse, shop: Shop) -> None:
    """Nothing is asked any more."""
    shop.says_instead = UNAUTHORIZED
    consent(house, "a")
    shop.names_merchant, shop.asked = True, 0
    house.pass_time(3700)()

    assert tell(house)[:2] == ("AT-3", "M-1")
    assert work_off(house) == []
    assert shop.asked == 0


def test_what_is_not_told_for_a_day_stays_unknown(house: MemoryHouse, shop: Shop) -> None:
    """Each time it is asked a little later, then no more: the tokens work, and nobody has claimed anything of them."""
    registered(house, default_expires_in=10**6)
    shop.says_instead, shop.lifetime = answer("", 404), 10**6
    consent(house, "a")
    began = house.now

    while (current := one_in(house, Place.CURRENT)).account_at is not None:
        house.now = float(current.account_at)
        work_off(house)

    assert LONGEST_ASKING <= house.now - began <= LONGEST_ASKING + LONGEST_UNASKED
    assert shop.asked < 40
    assert (tell(house)[:2], house.stored().due_at) == (("AT-2", None), house.stored().upkeep_at)
    assert come_back(house, "a").page == "connected"


def test_a_limit_is_obeyed(house: MemoryHouse, shop: Shop) -> None:
    """Who is told to come again in half an hour does not come before."""
    shop.says_instead = Answer(429, {"retry-after": "1800"}, b"")
    consent(house, "a")
    house.pass_time(ASKED_AFTER)()

    work_off(house)

    assert house.stored().due_at == int(house.now) + 1800


# A consent for a connection whose account is known


def test_the_same_account_goes_on(known: MemoryHouse, shop: Shop) -> None:
    """The tokens wait, sealed, while it is asked; then they are the connection's, with what it may do now."""
    shop.scopes = ["orders", "items", "customers"]

    assert consent(known, "b").page == "connected"

    calls = [call for call in known.events.calls if call in {"http", "change", "data_key"}]
    assert calls == ["data_key", "http", "data_key", "change", "http", "data_key", "change"]
    assert (shop.asked, places(known), known.tokens()) == (1, ["current", "superseded"], TokenSet("AT-3", "RT-3"))
    assert tell(known) == ("AT-3", "M-1", "orders items customers", OF_M_1[2])


@pytest.mark.parametrize("apart", [True, None])
def test_another_account_is_refused(known: MemoryHouse, shop: Shop, *, apart: bool | None) -> None:
    """As if the token answer had named it: the same page, the old tokens stay, and the new ones are not used."""
    registered(known, revocation_ends_authorization=None if apart is None else not apart)
    shop.merchant = "M-2"

    outcome = consent(known, "b")

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", "subject_mismatch", True)
    assert tell(known) == ("AT-2", *OF_M_1)
    work_off(known)
    assert known.server.revoked == (["RT-3", "AT-3"] if apart else [])
    assert places(known) == ["current"]


def test_what_waited_is_asked_about_in_the_background(waiting: MemoryHouse) -> None:
    """Whoever had it in hand is no more."""
    assert tell(waiting)[0] == "AT-2"

    assert work_off(waiting) == [None]

    assert tell(waiting) == ("AT-3", *OF_M_1)
    assert come_back(waiting, "b").page == "connected"


def test_what_waits_longer_than_its_token_lives_is_given_up(waiting: MemoryHouse, shop: Shop) -> None:
    """Nothing refreshes it, so nobody will ever be told whose it is; the next consent need not wait for that."""
    shop.says_instead = UNAUTHORIZED
    work_off(waiting)
    assert places(waiting) == ["current", "pending"]

    waiting.pass_time(3600)()
    work_off(waiting)

    assert places(waiting) == ["current"]
    shop.says_instead = None
    assert consent(waiting, "c").page == "connected"
    assert tell(waiting)[1:] == OF_M_1


def test_what_waits_with_a_token_that_is_refused_is_given_up_in_minutes(waiting: MemoryHouse, shop: Shop) -> None:
    """The server may have ended that grant, and no other token will come of it: the next consent is what counts."""
    shop.says_instead = UNAUTHORIZED
    began = waiting.now - ASKED_AFTER

    while places(waiting) == ["current", "pending"]:
        work_off(waiting)
        waiting.now += ASKED_AFTER

    assert REFUSED_WITHIN <= waiting.now - began <= 3 * REFUSED_WITHIN
    assert places(waiting) == ["current"]
    assert (tell(waiting)[0], come_back(waiting, "b").page) == ("AT-2", "failed")


def test_an_access_token_is_shown_to_nobody_else(waiting: MemoryHouse, shop: Shop) -> None:
    """The endpoint is at another origin by now, and nobody has said that it moved: nothing is sent."""
    registered(waiting, account_endpoint="https://elsewhere.example/me")

    (failure,) = work_off(waiting)

    assert failure.code == "provider_misconfigured"
    assert "the account endpoint was at https://acme.example" in failure.description
    assert (shop.asked, places(waiting)) == (0, ["current", "pending"])


# Where the provider takes so many requests at a time


def test_callback_asks_in_the_slot_that_it_has(house: MemoryHouse, shop: Shop) -> None:
    """One request after the other: it is never without one, and takes no second."""
    registered(house, max_concurrency=1)
    held: list[int] = []
    house.events.before["http"] = [lambda: held.append(len(house.table_of_slots.slots("acme")))] * 2

    assert consent(house, "a").page == "connected"

    assert (held, shop.asked) == ([1, 1], 1)
    assert tell(house) == ("AT-2", *OF_M_1)
    assert house.table_of_slots.slots("acme") == {}


def test_the_background_waits_for_no_slot(waiting: MemoryHouse, shop: Shop) -> None:
    """Nothing is sent, and it is due again within minutes."""
    registered(waiting, max_concurrency=1)
    slot = waiting.slots.take(
        waiting.registrations.known["acme"].provider, waiting.server, waiting.deadline(), waiting.now
    )
    slept = list(waiting.slept)

    (failure,) = work_off(waiting)

    assert (failure.code, shop.asked, waiting.slept) == ("provider_throttled", 0, slept)
    due_at = waiting.stored().due_at
    assert due_at is not None
    assert 60 <= due_at - int(waiting.now) <= 300
    waiting.slots.give_back(slot, waiting.deadline())
    waiting.now = float(due_at)
    assert work_off(waiting) == [None]
    assert tell(waiting) == ("AT-3", *OF_M_1)


def test_the_redirect_does_not_say_what_the_server_is_asked_for(house: MemoryHouse, shop: Shop) -> None:
    """The browser brings it; the account endpoint goes before."""
    registered(house, callback_metadata={"id": "[A-Z0-9-]{1,9}"})
    shop.says_instead = UNAUTHORIZED
    opened = replace(validated_response(browser("a")), parameters={"id": "M-9"})
    house.authorizations.create(opened_request(house, "a"))

    assert house.completing.complete(opened, house.deadline()).page == "connected"

    assert (house.stored().subject, shop.asked) == (None, 1)
    shop.says_instead = None
    house.pass_time(ASKED_AFTER)()
    assert work_off(house) == [None]
    assert tell(house) == ("AT-2", *OF_M_1)

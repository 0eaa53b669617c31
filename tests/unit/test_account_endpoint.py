"""The account of tokens, if an account endpoint has to name it: asked once they are stored, and given to callers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured, ProviderUnavailable
from functions.vault.grant.life import Place, Status
from functions.vault.grant.stored_set import ASKED_AFTER, LONGEST_UNASKED
from functions.vault.grant.token_set import TokenSet
from functions.vault.oauth.transport import Answer
from functions.vault.usecases.account_lookup import LONGEST_LOOKUP, REFUSED_WITHIN
from tests.unit.samples import answer, registration, validated_response
from tests.unit.services import MemoryServices
from tests.unit.test_account_lookup import (
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
    """An authorization server that may name the account in its token answers, and at its account endpoint."""

    def __init__(self, services: MemoryServices) -> None:
        self._services = services
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
        self._services.server.issued += 1
        number = self._services.server.issued
        tokens = {"access_token": f"AT-{number}", "expires_in": self.lifetime, "refresh_token": f"RT-{number}"}
        return answer(json.dumps(tokens | ({"id": self.merchant} if self.names_merchant else {})))


def registered(services: MemoryServices, **fields: Any) -> None:
    """Register the provider."""
    where = {"subject": "id", "metadata": ("id", "name"), "account_endpoint": ME, "account_scope": "may"}
    services.registrations.known["acme"] = registration(**(where | fields))


@pytest.fixture
def services() -> MemoryServices:
    """Return services without connections."""
    made = MemoryServices()
    registered(made)
    return made


@pytest.fixture
def shop(services: MemoryServices) -> Shop:
    """Return the provider."""
    made = Shop(services)
    services.server.answers = [made] * 1000
    return made


@pytest.fixture
def known(services: MemoryServices, shop: Shop) -> MemoryServices:
    """Return services with a connection to M-1."""
    assert consent(services, "a").page == "connected"
    services.pass_time(100)()
    shop.asked = 0
    return services


@pytest.fixture
def waiting(known: MemoryServices) -> MemoryServices:
    """Return the same services after a consent whose process died when its tokens were stored."""
    known.events.after["change"] = [killed]
    with pytest.raises(Killed):
        consent(known, "b")
    known.pass_time(ASKED_AFTER)()
    return known


def vended(services: MemoryServices) -> tuple[Any, ...]:
    """Return what `token` answers about the account."""
    vended = services.token()
    return vended["access_token"], vended["subject"], vended["scope"], vended["metadata"]


OF_M_1 = ("M-1", "orders items", {"id": "M-1", "name": "Shop M-1"})


# A first consent


def test_after_a_first_consent_the_account_is_asked_for_once_tokens_are_stored(
    services: MemoryServices, shop: Shop
) -> None:
    """Then `token` names the account, its metadata and the scope."""
    assert consent(services, "a").page == "connected"

    calls = [call for call in services.events.calls if call in {"http", "create", "change"}]
    assert calls == ["http", "create", "http", "change"]
    assert services.server.requests[-1] == (ME, {})
    assert vended(services) == ("AT-2", *OF_M_1)
    stored = services.stored()
    assert (stored.version, shop.asked, stored.due_at) == (1, 1, stored.upkeep_at)
    assert services.shared.authorized["acme", "client-1", "M-1"] == [("merchant-1", int(services.now))]


def test_a_token_answer_that_names_the_account_is_enough(services: MemoryServices, shop: Shop) -> None:
    """Nothing is asked; the scope is the one in the answer, or the requested one."""
    shop.names_merchant = True

    consent(services, "a")

    assert (shop.asked, vended(services)) == (0, ("AT-2", "M-1", None, {"id": "M-1"}))


def test_a_requested_scope_that_is_not_granted_is_missing(services: MemoryServices, shop: Shop) -> None:
    """By the scope that the account endpoint names, under whatever names."""
    registered(services, scope_aliases={"read": ["items"]})

    consent(services, "a", scope="orders read write")

    assert (services.stored().scope, services.stored().scope_missing) == ("orders items", ("write",))
    assert shop.asked == 1


@pytest.mark.parametrize("members", [{}, {"may": None}, {"may": {"orders": True}}])
def test_an_answer_without_a_scope_changes_nothing(
    services: MemoryServices, shop: Shop, members: dict[str, Any]
) -> None:
    """The requested scope counts as granted unless the server says otherwise."""
    shop.says_instead = answer(json.dumps({"id": "M-1"} | members))

    consent(services, "a", scope="orders")

    assert (services.stored().scope, services.stored().subject) == ("orders", "M-1")


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
def test_an_endpoint_that_does_not_answer_is_asked_again(services: MemoryServices, shop: Shop, silence: Answer) -> None:
    """The customer is connected, and the grant is not taken for dead: the background asks."""
    shop.says_instead = silence

    assert consent(services, "a").page == "connected"

    assert vended(services)[:2] == ("AT-2", None)
    assert services.stored().due_at == int(services.now) + ASKED_AFTER
    services.pass_time(ASKED_AFTER)()
    (failure,) = work_off(services)
    assert isinstance(failure, ProviderUnavailable | ProviderMisconfigured)
    assert services.stored().status is Status.ACTIVE
    shop.says_instead = None
    services.pass_time(ASKED_AFTER)()
    assert work_off(services) == [None]
    assert vended(services) == ("AT-2", *OF_M_1)


def test_a_refusal_is_logged_without_the_token(services: MemoryServices, shop: Shop) -> None:
    """Nothing confidential that was sent is repeated."""
    shop.says_instead = answer('{"error":"bad_token","error_description":"AT-2-and-more is no good"}', 401)
    services.server.issued = 1
    consent(services, "a")
    services.pass_time(ASKED_AFTER)()

    (failure,) = work_off(services)

    assert (failure.code, failure.provider_error.error) == ("provider_unavailable", "bad_token")
    assert "AT-2" not in str(failure.as_result())


def test_after_a_refresh_the_new_token_asks(services: MemoryServices, shop: Shop) -> None:
    """The one before may have expired."""
    shop.says_instead = UNAUTHORIZED
    consent(services, "a")
    services.pass_time(3700)()
    assert vended(services)[:2] == ("AT-3", None)
    shop.says_instead = None

    assert work_off(services) == [None]

    assert vended(services) == ("AT-3", *OF_M_1)


def test_a_refresh_that_names_the_account_is_enough(services: MemoryServices, shop: Shop) -> None:
    """Nothing is asked any more."""
    shop.says_instead = UNAUTHORIZED
    consent(services, "a")
    shop.names_merchant, shop.asked = True, 0
    services.pass_time(3700)()

    assert vended(services)[:2] == ("AT-3", "M-1")
    assert work_off(services) == []
    assert shop.asked == 0


def test_an_account_that_is_not_named_for_a_day_stays_unknown(services: MemoryServices, shop: Shop) -> None:
    """Each attempt comes a little later, until there is none: the tokens work, and nobody needs the account."""
    registered(services, default_expires_in=10**6)
    shop.says_instead, shop.lifetime = answer("", 404), 10**6
    consent(services, "a")
    began = services.now

    while (current := one_in(services, Place.CURRENT)).account_at is not None:
        services.now = float(current.account_at)
        work_off(services)

    assert LONGEST_LOOKUP <= services.now - began <= LONGEST_LOOKUP + LONGEST_UNASKED
    assert shop.asked < 40
    assert (vended(services)[:2], services.stored().due_at) == (("AT-2", None), services.stored().upkeep_at)
    assert come_back(services, "a").page == "connected"


def test_a_limit_is_obeyed(services: MemoryServices, shop: Shop) -> None:
    """If the endpoint asks for half an hour of patience, nobody asks it before that."""
    shop.says_instead = Answer(429, {"retry-after": "1800"}, b"")
    consent(services, "a")
    services.pass_time(ASKED_AFTER)()

    work_off(services)

    assert services.stored().due_at == int(services.now) + 1800


# A consent for a connection whose account is known


def test_the_same_account_gets_the_new_tokens(known: MemoryServices, shop: Shop) -> None:
    """They wait, sealed, until the account is known; then they are current, with their own scope."""
    shop.scopes = ["orders", "items", "customers"]

    assert consent(known, "b").page == "connected"

    calls = [call for call in known.events.calls if call in {"http", "change", "data_key"}]
    assert calls == ["data_key", "http", "data_key", "change", "http", "data_key", "change"]
    assert (shop.asked, places(known), known.tokens()) == (1, ["current", "superseded"], TokenSet("AT-3", "RT-3"))
    assert vended(known) == ("AT-3", "M-1", "orders items customers", OF_M_1[2])


@pytest.mark.parametrize("apart", [True, None])
def test_another_account_is_refused(known: MemoryServices, shop: Shop, *, apart: bool | None) -> None:
    """As if the token answer had named it: the same page, the old tokens stay, and the new ones are not used."""
    registered(known, revocation_ends_authorization=None if apart is None else not apart)
    shop.merchant = "M-2"

    outcome = consent(known, "b")

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", "subject_mismatch", True)
    assert vended(known) == ("AT-2", *OF_M_1)
    work_off(known)
    assert known.server.revoked == (["RT-3", "AT-3"] if apart else [])
    assert places(known) == ["current"]


def test_the_background_asks_for_tokens_that_wait(waiting: MemoryServices) -> None:
    """The process that had them is gone."""
    assert vended(waiting)[0] == "AT-2"

    assert work_off(waiting) == [None]

    assert vended(waiting) == ("AT-3", *OF_M_1)
    assert come_back(waiting, "b").page == "connected"


def test_tokens_that_wait_longer_than_they_live_are_given_up(waiting: MemoryServices, shop: Shop) -> None:
    """Nothing refreshes them, so nobody will ever learn whose they are; the next consent need not wait for that."""
    shop.says_instead = UNAUTHORIZED
    work_off(waiting)
    assert places(waiting) == ["current", "pending"]

    waiting.pass_time(3600)()
    work_off(waiting)

    assert places(waiting) == ["current"]
    shop.says_instead = None
    assert consent(waiting, "c").page == "connected"
    assert vended(waiting)[1:] == OF_M_1


def test_waiting_tokens_that_are_refused_are_given_up_in_minutes(waiting: MemoryServices, shop: Shop) -> None:
    """The server may have ended that grant, and there will be no other token: the next consent counts."""
    shop.says_instead = UNAUTHORIZED
    began = waiting.now - ASKED_AFTER

    while places(waiting) == ["current", "pending"]:
        work_off(waiting)
        waiting.now += ASKED_AFTER

    assert REFUSED_WITHIN <= waiting.now - began <= 3 * REFUSED_WITHIN
    assert places(waiting) == ["current"]
    assert (vended(waiting)[0], come_back(waiting, "b").page) == ("AT-2", "failed")


def test_an_access_token_is_sent_to_nobody_else(waiting: MemoryServices, shop: Shop) -> None:
    """The endpoint now has another origin, and no data says that it moved: nothing is sent."""
    registered(waiting, account_endpoint="https://elsewhere.example/me")

    (failure,) = work_off(waiting)

    assert failure.code == "provider_misconfigured"
    assert "the account endpoint was at https://acme.example" in failure.description
    assert (shop.asked, places(waiting)) == (0, ["current", "pending"])


# With a provider that takes so many requests at a time


def test_callback_asks_in_the_slot_that_it_has(services: MemoryServices, shop: Shop) -> None:
    """One request after the other: it never lacks a slot, and takes no second one."""
    registered(services, max_concurrency=1)
    held: list[int] = []
    services.events.before["http"] = [lambda: held.append(len(services.table_of_slots.slots("acme")))] * 2

    assert consent(services, "a").page == "connected"

    assert (held, shop.asked) == ([1, 1], 1)
    assert vended(services) == ("AT-2", *OF_M_1)
    assert services.table_of_slots.slots("acme") == {}


def test_background_work_refreshes_while_it_is_too_early_to_ask_again(known: MemoryServices, shop: Shop) -> None:
    """Whoever has the answer in hand may still be asking whose it is; the connection's own tokens are not kept back."""
    known.events.after["change"] = [killed]
    with pytest.raises(Killed):
        consent(known, "b")
    shop.asked = 0

    assert known.vending.refresh_due("merchant-1", 1, known.deadline()) is None

    assert (shop.asked, known.stored().version) == (0, 2)


def test_the_background_waits_for_no_slot(waiting: MemoryServices, shop: Shop) -> None:
    """Nothing is sent, and the work is due again within minutes."""
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
    assert vended(waiting) == ("AT-3", *OF_M_1)


def test_the_redirect_does_not_name_what_the_server_is_asked_for(services: MemoryServices, shop: Shop) -> None:
    """The browser brings it; the account endpoint takes precedence."""
    registered(services, callback_metadata={"id": "[A-Z0-9-]{1,9}"})
    shop.says_instead = UNAUTHORIZED
    opened = replace(validated_response(browser("a")), parameters={"id": "M-9"})
    services.authorizations.create(opened_request(services, "a"))

    assert services.completing.complete(opened, services.deadline()).page == "connected"

    assert (services.stored().subject, shop.asked) == (None, 1)
    shop.says_instead = None
    services.pass_time(ASKED_AFTER)()
    assert work_off(services) == [None]
    assert vended(services) == ("AT-2", *OF_M_1)

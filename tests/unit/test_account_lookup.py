"""Whose account tokens are for, if that has to be asked: safe before it is, compared, and never vended meanwhile."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import ProviderUnavailable, TemporarilyUnavailable
from functions.vault.grant import after_waiting, obtained_document
from functions.vault.grant.connection import Connection
from functions.vault.grant.life import Place, Status
from functions.vault.grant.obtained import Verdict
from functions.vault.grant.seal import PENDING
from functions.vault.grant.stored_set import ASKED_AFTER, LONGEST_UNASKED
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import Account
from functions.vault.oauth.authorization import BrowserBinding, ticket_hash
from functions.vault.storage.sealing import SealBroken
from functions.vault.usecases.account_lookup import KEY_IS_OUT_WITHIN, LONGEST_LOOKUP
from tests.unit.samples import answer, authorization_request, registration, validated_response
from tests.unit.services import MemoryServices, down
from tests.unit.test_id_token import public, signed

if TYPE_CHECKING:
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.oauth.transport import Answer
    from functions.vault.oauth.visit_outcome import Outcome

ISSUER = "https://acme.example"


class Killed(BaseException):
    """A process that has died."""


def killed() -> None:
    """Be killed here."""
    raise Killed


class Issuer:
    """An authorization server that says whose its tokens are in an ID token, signed by a key with a name."""

    def __init__(self, services: MemoryServices) -> None:
        self._services = services
        self.published = ["k-1"]
        self.signs_with = "k-1"
        self.account = "account-1"
        self.audience = "client-1"
        self.refresh_token = True
        self.is_down = False
        self.stops_for = 0
        self.read = 0

    def __call__(self, form: dict[str, str]) -> Answer:
        """Answer one request."""
        if "token" in form:
            return answer("{}")
        if not form:
            self.read += 1
            self._services.now += self.stops_for
            if self.is_down:
                raise ProviderUnavailable("The issuer is down.")
            return answer(json.dumps({"keys": [public("ES256", kid=kid) for kid in self.published]}))
        self._services.server.issued += 1
        number, at = self._services.server.issued, int(self._services.now)
        claims = {"iss": ISSUER, "aud": self.audience, "sub": self.account, "iat": at, "exp": at + 60}
        document = {"access_token": f"AT-{number}", "expires_in": 3600, "refresh_token": f"RT-{number}"}
        if not self.refresh_token:
            del document["refresh_token"]
        if "code" in form:
            document["id_token"] = signed(claims, kid=self.signs_with)
        return answer(json.dumps(document))

    def changes_its_key(self) -> None:
        """Sign with a new one from now on, and publish it beside the old one."""
        self.signs_with = "k-2"
        self.published.append("k-2")


def registered(services: MemoryServices, *, apart: bool | None = None) -> None:
    """Register the provider: whether it keeps an account's grants apart, or does not say."""
    services.registrations.known["acme"] = registration(
        subject="id_token.sub",
        issuer=ISSUER,
        jwks_uri=f"{ISSUER}/jwks",
        revocation_ends_authorization=None if apart is None else not apart,
    )


@pytest.fixture
def services() -> MemoryServices:
    """Give services without connections."""
    made = MemoryServices()
    registered(made)
    return made


@pytest.fixture
def issuer(services: MemoryServices) -> Issuer:
    """Give the provider."""
    made = Issuer(services)
    services.server.answers = [made] * 100
    return made


def browser(name: str) -> BrowserBinding:
    """Return a browser of its own."""
    return BrowserBinding(name * 22, "t" * 43, "n" * 43)


def opened_request(services: MemoryServices, name: str, **fields: Any) -> AuthorizationRequest:
    """Return a request that was opened now, in a browser of this name."""
    stored, bound = services.connections.records.get("merchant-1"), browser(name)
    return authorization_request(
        request_id=bound.request_id,
        ticket_hash=ticket_hash(bound.ticket_secret),
        created_at=int(services.now),
        expires_at=int(services.now) + 600,
        connection_version=stored.version if stored else 0,
        connection_revocations=stored.revocations if stored else 0,
        **fields,
    )


def consent(services: MemoryServices, name: str, **fields: Any) -> Outcome:
    """Let a customer consent, in a browser of this name."""
    services.authorizations.create(opened_request(services, name, **fields))
    services.events.calls.clear()
    return come_back(services, name)


def come_back(services: MemoryServices, name: str) -> Outcome:
    """Come to the callback, for the first time or again."""
    return services.completing.complete(validated_response(browser(name)), services.deadline())


@pytest.fixture
def known(services: MemoryServices, issuer: Issuer) -> MemoryServices:
    """Give services with a connection to account-1, whose provider has just changed its key; its keys are known."""
    assert consent(services, "a").page == "connected"
    issuer.changes_its_key()
    services.pass_time(100)()
    return services


@pytest.fixture
def waiting(known: MemoryServices) -> MemoryServices:
    """Give the same services after a consent whose process died when its tokens were safe; its keys are old by now."""
    known.events.after["change"] = [killed]
    with pytest.raises(Killed):
        consent(known, "b")
    assert places(known) == ["current", "pending"]
    known.pass_time(ASKED_AFTER)()
    return known


def places(services: MemoryServices) -> list[str]:
    """Return where the token sets are."""
    return sorted(str(each.place) for each in services.stored().sets)


def one_in(services: MemoryServices, place: Place) -> StoredSet:
    """Return the one token set in a place."""
    (only,) = services.stored().in_place(place)
    return only


def work_off(services: MemoryServices) -> list[Any]:
    """Sweep, and let `refresh` and `revoke` do what is due; return the failures that they log."""
    services.sweeping.sweep(services.deadline(60))
    failures = []
    for queue in (services.refresh_queue, services.revoke_queue):
        while queue.messages:
            due = json.loads(queue.messages.pop(0)["body"])
            if queue is services.refresh_queue:
                failures.append(services.vending.refresh_due(due["connection_id"], due["version"], services.deadline()))
            else:
                failures.append(services.revoking.retry(due["connection_id"], services.deadline()))
    return failures


# In hand


def test_a_key_that_is_newer_than_those_that_are_kept(known: MemoryServices, issuer: Issuer) -> None:
    """The answer is safe first, where nobody is given it; then keys are read once more, and it is what they say."""
    before = issuer.read

    assert consent(known, "b").page == "connected"

    calls = [call for call in known.events.calls if call in {"http", "change", "data_key"}]
    assert calls == ["data_key", "http", "data_key", "change", "http", "data_key", "change"]
    assert (issuer.read - before, places(known)) == (1, ["current", "superseded"])
    stored = known.stored()
    assert (stored.version, stored.subject, stored.authorized_by) == (2, "account-1", browser("b").request_id)
    assert (known.tokens(), known.token()["access_token"]) == (TokenSet("AT-3", "RT-3"), "AT-3")
    assert known.shared.authorized["acme", "client-1", "account-1"][-1] == ("merchant-1", int(known.now))


def test_what_worked_is_vended_while_it_waits(waiting: MemoryServices, issuer: Issuer) -> None:
    """Its own request, and all that the connection takes from it, is in its record, and due."""
    waiting.now -= ASKED_AFTER
    pending, stored = one_in(waiting, Place.PENDING), waiting.stored()

    assert waiting.token()["access_token"] == "AT-2"
    assert (stored.version, stored.due_at) == (1, int(waiting.now) + ASKED_AFTER)
    assert pending.pending is not None
    assert (pending.request_id, pending.pending.until) == (browser("b").request_id, stored.due_at)
    assert come_back(waiting, "b").page == "unfinished"
    waiting.pass_time(ASKED_AFTER - 1)()
    assert come_back(waiting, "b").page == "unfinished", "and no failure, however long that takes"
    assert issuer.read == 1


def test_what_waits_opens_nowhere_else(waiting: MemoryServices) -> None:
    """Who can write to the table cannot have it vended, or taken for what it is not."""
    pending, cipher = one_in(waiting, Place.PENDING), waiting.new_cipher()

    opened = cipher.open("merchant-1", pending)

    assert (opened.access_token, opened.refresh_token) == ("AT-3", "RT-3")
    for place in (Place.CURRENT, Place.KEPT, Place.SUPERSEDED):
        with pytest.raises((SealBroken, Exception), match=r"not open|changed|KMS|Invalid"):
            cipher.open("merchant-1", replace(pending, place=place))


def test_a_first_consent_is_connected_at_once(services: MemoryServices, issuer: Issuer) -> None:
    """There is nothing to compare it with: whose it is follows, with the keys that are read when that may be again."""
    issuer.published, issuer.signs_with = ["k-1"], "k-2"

    assert consent(services, "a").page == "connected"

    assert (services.token()["access_token"], services.stored().subject, issuer.read) == ("AT-2", None, 1)
    issuer.published.append("k-2")
    services.pass_time(ASKED_AFTER)()
    assert work_off(services) == [None]
    stored = services.stored()
    assert (stored.subject, stored.version, issuer.read) == ("account-1", 1, 2)
    assert stored.current is not None
    assert (stored.current.account_at, stored.due_at) == (None, stored.upkeep_at)
    assert services.shared.authorized["acme", "client-1", "account-1"] == [("merchant-1", int(services.now))]


def test_what_was_refreshed_meanwhile_is_asked_about_too(services: MemoryServices, issuer: Issuer) -> None:
    """The ID token goes on with what its refresh token brought."""
    issuer.signs_with = "k-2"
    consent(services, "a")
    services.pass_time(ASKED_AFTER)()
    services.vending.refresh("merchant-1", 1, services.deadline())
    issuer.published.append("k-2")

    assert work_off(services) == [None]

    assert (services.stored().subject, services.stored().version) == ("account-1", 2)
    services.pass_time(60)()
    services.vending.refresh("merchant-1", 2, services.deadline())
    assert services.tokens() == TokenSet("AT-4", "RT-4")


def test_made_up_keys_cost_the_issuer_nothing(known: MemoryServices, issuer: Issuer) -> None:
    """Not more than one reading in a minute, whatever comes."""
    issuer.signs_with = "made-up"
    before = issuer.read

    for number in range(5):
        consent(known, str(number))

    assert issuer.read - before == 1


# By the background


def test_the_background_goes_on_if_a_process_died(waiting: MemoryServices, issuer: Issuer) -> None:
    """`refresh` opens what waits, and leads it to its place; the times of the grant's own upkeep are its own."""
    assert work_off(waiting) == [None]

    assert (places(waiting), waiting.tokens()) == (["current", "superseded"], TokenSet("AT-3", "RT-3"))
    assert (waiting.stored().subject, waiting.stored().authorized_by) == ("account-1", browser("b").request_id)
    assert come_back(waiting, "b").page == "connected"
    assert issuer.read == 2


def test_a_consent_without_a_refresh_token_goes_on_with_the_one_before(known: MemoryServices, issuer: Issuer) -> None:
    """As soon as it is known that it is of the same account."""
    issuer.refresh_token = False
    known.events.after["change"] = [killed]
    with pytest.raises(Killed):
        consent(known, "b")
    known.pass_time(ASKED_AFTER)()

    work_off(known)

    assert places(known) == ["current", "kept"]
    known.pass_time(3600)()
    known.token()
    assert known.server.refresh_tokens == ["RT-2"]


def test_postponing_the_question_postpones_no_upkeep(waiting: MemoryServices) -> None:
    """The sweep hands one thing on; the other is due when it was."""
    upkeep_at = waiting.stored().upkeep_at

    waiting.sweeping.sweep(waiting.deadline(60))

    assert waiting.stored().upkeep_at == upkeep_at
    assert waiting.stored().due_at == int(waiting.now) + 3600


def test_a_newer_consent_comes_first(waiting: MemoryServices, issuer: Issuer) -> None:
    """It is what the customer has said last; what waited is superseded when its account is known."""
    issuer.signs_with = "k-1"
    assert consent(waiting, "c").page == "connected"
    assert places(waiting) == ["current", "pending", "superseded"]

    assert work_off(waiting) == [None]

    assert (places(waiting), waiting.token()["access_token"]) == (["current", "superseded", "superseded"], "AT-4")
    assert come_back(waiting, "b").page == "already"
    superseded = [each.id for each in waiting.stored().in_place(Place.SUPERSEDED)]
    opened = [waiting.new_cipher().open("merchant-1", each).refresh_token for each in waiting.stored().sets]
    assert len(superseded) == 2
    assert set(opened) == {"RT-2", "RT-3", "RT-4"}


def test_an_issuer_that_is_down_is_asked_later(waiting: MemoryServices, issuer: Issuer) -> None:
    """Each time a little later; it is not the customer's fault, and the page goes on waiting."""
    issuer.is_down = True
    began, pauses = waiting.now, []

    while places(waiting) == ["current", "pending"]:
        (failure,) = work_off(waiting)
        assert failure.description == "Reading the issuer's keys at acme.example: the issuer is down."
        due_at = waiting.stored().due_at
        assert due_at is not None
        if places(waiting) == ["current", "pending"]:
            pauses.append(due_at - int(waiting.now))
            assert come_back(waiting, "b").page == "unfinished"
            waiting.now = float(due_at)

    assert (pauses[0], max(pauses)) == (ASKED_AFTER, LONGEST_UNASKED)
    assert waiting.now - began <= LONGEST_LOOKUP + LONGEST_UNASKED
    assert len(pauses) < 40
    assert (places(waiting), come_back(waiting, "b").page) == (["current"], "failed")


def test_without_aws_the_message_comes_again(waiting: MemoryServices) -> None:
    """Nothing is put off for that."""
    waiting.events.before["decrypt"] = [down()]
    before = waiting.stored()

    with pytest.raises(Exception, match="AWS is down"):
        waiting.vending.refresh_due("merchant-1", 1, waiting.deadline())

    assert waiting.stored() == before
    assert work_off(waiting) == [None]


def test_a_registration_that_is_gone_is_asked_for_later(waiting: MemoryServices) -> None:
    """An operator may be at work on it."""
    known = waiting.registrations.known
    waiting.events.before["registration"] = [ProviderUnavailable("No metadata.")]

    failure = waiting.vending.refresh_due("merchant-1", 1, waiting.deadline())

    assert failure is not None
    assert known
    assert (failure.description, places(waiting)) == ("No metadata.", ["current", "pending"])
    assert waiting.stored().due_at == int(waiting.now) + ASKED_AFTER


# What is not the connection's own


@pytest.mark.parametrize("apart", [True, False, None])
def test_another_accounts_tokens_are_not_its_own(known: MemoryServices, issuer: Issuer, *, apart: bool | None) -> None:
    """Refused as if it had been known at once; the right account may try again."""
    registered(known, apart=apart)
    issuer.account = "account-2"

    outcome = consent(known, "b")

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", "subject_mismatch", True)
    assert (known.token()["access_token"], known.stored().subject) == ("AT-2", "account-1")
    assert places(known) == (["current", "revoking"] if apart else ["current"])
    work_off(known)
    assert known.server.revoked == (["RT-3", "AT-3"] if apart else [])
    assert places(known) == ["current"]


def test_another_account_may_be_allowed(known: MemoryServices, issuer: Issuer) -> None:
    """It is compared even so: what was there is superseded, and not kept."""
    issuer.account, issuer.refresh_token = "account-2", False

    assert consent(known, "b", allow_new_subject=True).page == "connected"

    assert (places(known), known.stored().subject) == (["current", "superseded"], "account-2")


@pytest.mark.parametrize("apart", [True, None])
def test_a_key_that_is_never_published(waiting: MemoryServices, *, apart: bool | None) -> None:
    """Whoever caches the keys has its time; then they are nobody's."""
    registered(waiting, apart=apart)
    issuer = waiting.server.answers[0]
    assert isinstance(issuer, Issuer)
    issuer.published.remove("k-2")
    pending = one_in(waiting, Place.PENDING)
    assert pending.pending is not None
    held = replace(pending, pending=replace(pending.pending, grants_are_apart=bool(apart)))
    sets = tuple(held if each is pending else each for each in waiting.stored().sets)
    waiting.connections.records["merchant-1"] = replace(waiting.stored(), sets=sets)

    for _ in range(10):
        work_off(waiting)
        waiting.pass_time(ASKED_AFTER)()

    assert waiting.now > pending.pending.obtained_at + KEY_IS_OUT_WITHIN
    assert places(waiting) == ["current"]
    assert waiting.server.revoked == (["RT-3", "AT-3"] if apart else [])
    assert (waiting.token()["access_token"], come_back(waiting, "b").page) == ("AT-2", "failed")


def test_a_process_that_stops_with_the_keys_in_hand(known: MemoryServices, issuer: Issuer) -> None:
    """What it has read is old by the time it goes on: the key may be out since, and the background asks once more."""
    issuer.published.remove("k-2")
    issuer.stops_for = KEY_IS_OUT_WITHIN + 300

    assert consent(known, "b").page == "unfinished"
    issuer.stops_for = 0
    issuer.published.append("k-2")
    known.pass_time(ASKED_AFTER)()
    work_off(known)

    assert (places(known), come_back(known, "b").page) == (["current", "superseded"], "connected")


@pytest.mark.parametrize("apart", [True, None])
def test_a_first_consent_of_nobody_known(services: MemoryServices, issuer: Issuer, *, apart: bool | None) -> None:
    """It worked meanwhile, and needs another consent then; `revoke` finds nothing to end but what is ended already."""
    registered(services, apart=apart)
    issuer.signs_with = "k-2"
    consent(services, "a")

    for _ in range(10):
        services.sweeping.sweep(services.deadline(60))
        while services.refresh_queue.messages:
            services.refresh_queue.messages.pop()
            services.vending.refresh_due("merchant-1", 1, services.deadline())
        services.pass_time(ASKED_AFTER)()

    refused = services.token()
    assert (refused["error"], services.stored().status) == ("reauthorization_required", Status.REAUTHORIZATION_REQUIRED)
    assert "whose account" in refused["error_description"]
    assert places(services) == (["revoking"] if apart else [])
    assert services.revoke() == "revoked"
    assert services.server.revoked == (["RT-2", "AT-2"] if apart else [])
    assert services.stored().revocations == 1


@pytest.mark.parametrize("apart", [True, None])
def test_an_id_token_that_does_not_hold(known: MemoryServices, issuer: Issuer, *, apart: bool | None) -> None:
    """Not for us: nothing waits, and nothing of it is kept; the person may try again."""
    registered(known, apart=apart)
    issuer.audience = "client-2"
    before = issuer.read

    outcome = consent(known, "b")

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", "provider_misconfigured", True)
    assert outcome.failure is not None
    assert "another client" in outcome.failure.description
    work_off(known)
    assert known.server.revoked == (["RT-3", "AT-3"] if apart else [])
    assert (places(known), issuer.read - before) == (["current"], 0)


def test_a_first_consent_whose_id_token_does_not_hold(services: MemoryServices, issuer: Issuer) -> None:
    """There is no record that could hold its tokens, and none is made."""
    registered(services, apart=True)
    issuer.audience = "client-2"

    assert consent(services, "a").error == "provider_misconfigured"

    assert (services.connections.records, services.rescue_queue.messages) == ({}, [])


@pytest.mark.parametrize("apart", [True, None])
def test_a_revocation_meets_what_waits(known: MemoryServices, issuer: Issuer, *, apart: bool | None) -> None:
    """It ends the connection; what waits goes with it, and whoever had it in hand finds that out."""
    registered(known, apart=apart)
    before = issuer.read
    known.events.after["change"] = [known.revoke]

    outcome = consent(known, "b")

    assert outcome.error == "connection_revoked"
    assert places(known) == ([] if apart else ["revoking"]), "it is of that account, and so comes late"
    work_off(known)
    assert (known.stored().status, known.stored().sets) == (Status.REVOKED, ())
    assert known.server.revoked == ["RT-2", "AT-2", "RT-3", "AT-3"]
    assert issuer.read - before <= 1


def test_a_revocation_meets_what_nobody_has_in_hand(waiting: MemoryServices) -> None:
    """Nobody knows whose it is: it is forgotten if its revocation might end what somebody else relies on."""
    assert waiting.revoke() == "revoked"

    assert (waiting.stored().sets, waiting.stored().due_at) == ((), None)
    assert waiting.server.revoked == ["RT-2", "AT-2"]
    assert come_back(waiting, "b").page == "failed"


def test_another_consent_that_has_to_wait_waits_for_that_one(waiting: MemoryServices, issuer: Issuer) -> None:
    """One waits at a time, and the second is safe in the queue: either may be of another account."""
    waiting.now -= ASKED_AFTER
    issuer.published, issuer.signs_with = ["k-1", "k-2", "k-3"], "k-3"
    issuer.account = "account-2"

    outcome = consent(waiting, "c")

    assert (outcome.page, one_in(waiting, Place.PENDING).request_id) == ("unfinished", browser("b").request_id)
    document = json.loads(waiting.rescue_queue.messages[-1]["body"])
    waiting.slept.clear()
    with pytest.raises(TemporarilyUnavailable, match="comes first"):
        waiting.rescuing.rescue(document, waiting.deadline(900))
    assert sum(waiting.slept) < 60, "the queue is patient, a function is not"
    waiting.pass_time(ASKED_AFTER)()
    assert work_off(waiting) == [None]
    waiting.rescuing.rescue(document, waiting.deadline(900))
    assert places(waiting) == ["current", "pending", "superseded"]
    waiting.pass_time(ASKED_AFTER)()
    assert work_off(waiting) == [None]
    assert (places(waiting), waiting.token()["access_token"]) == (["current", "superseded"], "AT-3")


# On the way there


def test_an_answer_that_could_not_be_written_is_rescued_to_where_it_waits(known: MemoryServices) -> None:
    """From the queue, where it is sealed; and the background asks."""
    known.events.before["change"] = [down() for _ in range(1000)]
    assert consent(known, "b").page == "unfinished"
    known.events.before.clear()
    document = json.loads(known.rescue_queue.messages[-1]["body"])

    known.rescuing.rescue(document, known.deadline())

    assert (places(known), known.token()["access_token"]) == (["current", "pending"], "AT-2")
    assert known.rescuing.rescue(document, known.deadline())["version"] == 1
    known.pass_time(ASKED_AFTER)()
    assert work_off(known) == [None]
    assert (known.stored().subject, known.tokens()) == ("account-1", TokenSet("AT-3", "RT-3"))
    assert known.rescuing.rescue(document, known.deadline())["version"] == 2


def test_an_account_that_was_found_is_rescued_to_its_place(known: MemoryServices, issuer: Issuer) -> None:
    """It waits no more, and takes the place of what does."""
    known.events.before["change"] = [None, *(down() for _ in range(1000))]
    assert consent(known, "b").page == "unfinished"
    known.events.before.clear()
    assert places(known) == ["current", "pending"]
    document = json.loads(known.rescue_queue.messages[-1]["body"])

    known.rescuing.rescue(document, known.deadline())

    assert (places(known), known.tokens()) == (["current", "superseded"], TokenSet("AT-3", "RT-3"))
    assert issuer.read == 2


def test_what_an_answer_is_sealed_for_is_what_it_is_rescued_for(known: MemoryServices) -> None:
    """A document says so itself; an earlier one is to be used, and a made-up purpose is none."""
    known.events.before["data_key"] = [None, None]
    known.events.before["change"] = [down() for _ in range(1000)]
    consent(known, "b")
    known.events.before.clear()
    document = json.loads(known.rescue_queue.messages[-1]["body"])

    assert document["purpose"] == PENDING
    assert obtained_document.from_document({**document, "purpose": "gatehouse/tokens"}).purpose == "gatehouse/tokens"
    earlier = {name: value for name, value in document.items() if name not in {"purpose", "not_verified"}}
    assert obtained_document.from_document(earlier).purpose == "gatehouse/tokens"
    with pytest.raises(ValueError, match="not a token response"):
        obtained_document.from_document({**document, "purpose": "another"})


def test_without_kms_for_its_place_the_queue_has_it(known: MemoryServices) -> None:
    """It is sealed before anything is asked: the rescue seals it to wait."""
    known.events.before["data_key"] = [None, *(down() for _ in range(1000))]
    assert consent(known, "b").page == "unfinished"
    known.events.before.clear()
    document = json.loads(known.rescue_queue.messages[-1]["body"])
    assert (document["purpose"], places(known)) == ("gatehouse/tokens", ["current"])

    known.rescuing.rescue(document, known.deadline())

    assert (places(known), known.token()["access_token"]) == (["current", "pending"], "AT-2")
    assert one_in(known, Place.PENDING).seal.ciphertext


def test_what_waits_is_written_once(waiting: MemoryServices) -> None:
    """Its own write is known again; when its account is known it is not."""
    pending = one_in(waiting, Place.PENDING)

    later = after_waiting.obtained_from("merchant-1", pending, replace(pending.seal, version=2), Account("account-1"))

    assert isinstance(later.decide(waiting.stored(), waiting.now), Connection)
    asking = replace(later, tokens=replace(later.tokens, asks_account=True), purpose=PENDING)
    assert asking.decide(waiting.stored(), waiting.now) is Verdict.STORED

"""Storing a token response: in the table, again and again; or in the queue; or in the log; and always sealed."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from functions.vault.base.errors import ConnectionNotFound, TemporarilyUnavailable
from functions.vault.base.timing import CALL, LEASE_MARGIN, LONGEST_CALL
from functions.vault.grant import obtained_document, refreshes
from functions.vault.grant.authorized import Authorized
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import Place, Status
from functions.vault.grant.obtained import Obtained, Verdict
from functions.vault.grant.seal import TOKENS
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import TokenResponse
from functions.vault.grant.upkeep import Upkeep
from functions.vault.storage.sealing import SealBroken
from functions.vault.usecases.committing import UNREAD, Rescued
from tests.unit.samples import NOW, WHOSE, sealed_tokens, with_current
from tests.unit.services import MemoryServices, aws_error, down

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.tokens import SealedTokens
    from functions.vault.usecases.committing import Unread

SECRETS = TokenSet("AT-in/the+clear", "RT-in/the+clear")
FIRST = sealed_tokens(sealed=b"first", version=2)
"""What an earlier attempt has brought."""


class Answered:
    """A holder with the lease of version 1, to whom the server has just answered."""

    def __init__(self, services: MemoryServices) -> None:
        self.services = services
        self.held = refreshes.leased(services.connect(), "holder-1", NOW + 30, NOW)
        services.connections.records["merchant-1"] = self.held
        self.versions: list[int] = []
        self.obtained = Obtained("merchant-1", "holder-1", self.sealed(2), RefreshedFrom("set-1", 1))
        self.versions.clear()
        services.events.calls.clear()

    def sealed(self, version: int, purpose: str = TOKENS) -> SealedTokens:
        """Seal the answer for a version, as its holder does."""
        self.versions.append(version)
        sealer = self.services.cipher.prepare("merchant-1", version, WHOSE, "set-2", purpose)
        response = TokenResponse(SECRETS, expires_at=NOW + 3600)
        return response.sealed_with(sealer, Upkeep(), NOW, 0.5, first=False)

    def commit(self, stored: Connection | Unread | str | None = "held", seconds: float = 29.0) -> Connection:
        """Commit it, with `seconds` left."""
        known = self.held if isinstance(stored, str) else stored
        return self.services.committing.commit(self.obtained, self.sealed, self.services.deadline(seconds), known)

    @property
    def writes(self) -> list[str]:
        """Return the calls, without pauses."""
        return [call for call in self.services.events.calls if call != "sleep"]


@pytest.fixture
def services() -> MemoryServices:
    """Give services."""
    return MemoryServices()


@pytest.fixture
def answered(services: MemoryServices) -> Answered:
    """Give a holder with an answer."""
    return Answered(services)


def test_as_a_rule_it_is_one_write(services: MemoryServices, answered: Answered) -> None:
    """What is known needs no read, and what was sealed in advance no KMS."""
    after = answered.commit()

    assert answered.writes == ["change"]
    assert (after.version, services.tokens()) == (2, SECRETS)


def test_a_first_record_is_one_write_too(services: MemoryServices, answered: Answered) -> None:
    """Storing it is conditional on that there is none."""
    services.connections.records.clear()
    tokens = answered.sealed(1)
    services.events.calls.clear()
    consent = Obtained("merchant-1", "request-2", tokens, authorized=Authorized("request-2"))

    after = services.committing.commit(consent, answered.sealed, services.deadline(), None)

    assert answered.writes == ["create"]
    assert (after, after.version) == (services.stored(), 1)


@pytest.mark.parametrize("failures", [1, 2, 10])
def test_a_record_that_cannot_be_written_is_tried_again(
    services: MemoryServices, answered: Answered, failures: int
) -> None:
    """As long as there is time; the queue has it from the first failure on, should this process die meanwhile."""
    services.events.before["change"] = [down() for _ in range(failures)]

    after = answered.commit()

    assert answered.writes == ["change", "rescue_queue"] + ["change"] * failures
    assert len(services.slept) == failures
    assert services.tokens() == SECRETS
    assert services.logged == []
    (message,) = services.rescue_queue.messages
    assert obtained_document.from_document(json.loads(message["body"])) == answered.obtained
    assert answered.obtained.decide(after, NOW) is Verdict.STORED, "whoever takes it from the queue finds it done"


@pytest.mark.parametrize("failures", [1, 2, 10])
def test_a_read_that_fails_is_tried_again(services: MemoryServices, answered: Answered, failures: int) -> None:
    """If the record has yet to be read, a failing read loses no answer either."""
    services.events.before["get"] = [down() for _ in range(failures)]

    answered.commit(UNREAD)

    assert answered.writes == ["get", "rescue_queue"] + ["get"] * failures + ["change"]
    assert services.tokens() == SECRETS


@pytest.mark.parametrize("lost", [1, 2])
def test_a_write_whose_answer_was_lost_is_known_again(services: MemoryServices, answered: Answered, lost: int) -> None:
    """It took effect: the repeated one fails its condition, and the record says why."""
    services.events.after["change"] = [down()] * lost

    after = answered.commit()

    assert answered.writes == ["change", "rescue_queue", "change", "get"]
    assert (after, after.version, answered.versions) == (services.stored(), 2, [])


def test_what_came_in_between_is_read_and_decided_on(services: MemoryServices, answered: Answered) -> None:
    """Another took the lapsed lease meanwhile: the write fails, and the newer record gets the answer, lease and all."""
    other = Lease("holder-2", 2, NOW + 99)
    services.connections.records["merchant-1"] = with_current(
        refreshes.lease_ended(answered.held), lease=other, attempts=2
    )

    after = answered.commit()

    assert answered.writes == ["change", "get", "change"]
    assert (after.version, after.lease) == (2, other)


def test_what_is_newer_stands(services: MemoryServices, answered: Answered) -> None:
    """Another consent came in between: it is returned, and nothing of ours is kept anywhere."""
    reconnected = services.connect(version=2, authorized_by="request-9")

    after = answered.commit()

    assert (after, services.stored()) == (reconnected, reconnected)
    assert answered.writes == ["change", "get"]
    assert services.rescue_queue.messages == []


def test_an_answer_to_a_later_attempt_is_sealed_again(services: MemoryServices, answered: Answered) -> None:
    """An earlier attempt's came in first: ours follows it, under a seal for the next version."""
    first = refreshes.refreshed(answered.held, FIRST, RefreshedFrom("set-1", 1), "holder-0", NOW)
    services.connections.records["merchant-1"] = with_current(first, lease=None)
    answered.obtained = replace(answered.obtained, refreshed_from=RefreshedFrom("set-1", 2))

    after = answered.commit()

    assert answered.versions == [3]
    assert after.current
    assert (after.version, after.current.refreshed_from, services.tokens()) == (3, RefreshedFrom("set-1", 2), SECRETS)


def test_what_has_to_be_confirmed_is_sealed_again_to_wait(services: MemoryServices, answered: Answered) -> None:
    """It may have been sealed for use, by an earlier reading of the record: then it waits under a new seal."""
    owners = Authorized("request-2", answered.held.owner, confirmation="hash")
    answered.obtained = Obtained("merchant-1", "request-2", answered.sealed(2, TOKENS), authorized=owners)

    after = answered.commit()

    (waiting,) = after.in_place(Place.PENDING)
    assert services.cipher.open("merchant-1", waiting) == SECRETS
    assert after.version == 1


def test_what_an_account_is_asked_for_is_sealed_again_to_wait(services: MemoryServices, answered: Answered) -> None:
    """The connection has an account by now: nothing is vended before it is known that this is the same one."""
    asks = replace(answered.sealed(2, TOKENS), asks_account=True)
    owners = Authorized("request-2", answered.held.owner)
    answered.obtained = Obtained("merchant-1", "request-2", asks, authorized=owners)
    known = replace(answered.held, subject="account-1")
    services.connections.records["merchant-1"] = known

    def reseal(version: int, purpose: str) -> SealedTokens:
        return replace(answered.sealed(version, purpose), asks_account=True)

    after = services.committing.commit(answered.obtained, reseal, services.deadline(), known)

    assert len(after.in_place(Place.PENDING)) == after.version == 1


def test_a_consent_to_what_is_gone_by_now_is_sealed_again_as_its_first(
    services: MemoryServices, answered: Answered
) -> None:
    """It was sealed as the second version of a record that was deleted meanwhile."""
    services.connections.records.clear()
    answered.obtained = Obtained("merchant-1", "request-2", answered.sealed(2), authorized=Authorized("request-2"))

    after = answered.commit(UNREAD)

    assert (answered.versions, after.version, services.tokens()) == ([2, 1], 1, SECRETS)


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 0.25), (1.0, 0.75)])
def test_between_two_tries_is_about_half_a_second(
    services: MemoryServices, answered: Answered, chance: float, pause: float
) -> None:
    """From a quarter to three quarters: those who failed together do not try together."""
    timing = replace(services.timing, jitter=lambda: chance)
    services.events.before["change"] = [down()]

    replace(services.committing, timing=timing).commit(
        answered.obtained, answered.sealed, services.deadline(), answered.held
    )

    assert services.slept == [pause]


def test_a_seal_that_fails_is_tried_again(services: MemoryServices, answered: Answered) -> None:
    """KMS may be down just then."""
    first = refreshes.refreshed(answered.held, FIRST, RefreshedFrom("set-1", 1), "holder-1", NOW)
    services.connections.records["merchant-1"] = first
    answered.obtained = replace(answered.obtained, refreshed_from=RefreshedFrom("set-1", 2))
    services.events.before["data_key"] = [down(), down()]

    after = answered.commit()

    assert answered.versions == [3, 3, 3]
    assert (after.version, services.tokens()) == (3, SECRETS)


def test_while_another_is_at_work_on_what_follows_it_waits(services: MemoryServices, answered: Answered) -> None:
    """Until that one's lease ends or its answer is there; then it is decided again."""
    first = refreshes.refreshed(answered.held, FIRST, RefreshedFrom("set-1", 1), "holder-0", NOW)
    at_work = with_current(first, lease=Lease("holder-9", 1, NOW + 3))
    services.connections.records["merchant-1"] = at_work
    answered.obtained = replace(answered.obtained, refreshed_from=RefreshedFrom("set-1", 2))

    after = answered.commit()

    assert (after.version, services.tokens()) == (3, SECRETS)
    assert services.now >= NOW + 3
    assert set(services.slept) == {0.5}


# The queue


OUTAGES: list[Any] = [down, lambda: aws_error("AccessDeniedException"), lambda: RuntimeError("a defect")]


@pytest.mark.parametrize("failure", OUTAGES, ids=["outage", "no right", "defect"])
@pytest.mark.parametrize("call", ["change", "get"])
def test_what_no_record_takes_is_queued(services: MemoryServices, answered: Answered, failure: Any, call: str) -> None:
    """Whatever kept it from the record: the queue gets it whole, for the rescue, and the caller may come again."""
    services.events.before[call] = [failure() for _ in range(1000)]

    with pytest.raises(Rescued) as caught:
        answered.commit(UNREAD if call == "get" else "held")

    (message,) = services.rescue_queue.messages
    assert obtained_document.from_document(json.loads(message["body"])) == answered.obtained
    assert message["group"] == "merchant-1"
    assert isinstance(caught.value, TemporarilyUnavailable)
    assert (caught.value.retryable, caught.value.retry_after, caught.value.connection_id) == (True, 2, "merchant-1")
    assert caught.value.description
    assert services.logged == []
    assert answered.writes.count("rescue_queue") == 1
    assert services.stored() == answered.held


def test_while_the_queue_does_not_take_it_either_both_are_tried(services: MemoryServices, answered: Answered) -> None:
    """In turn, to the end of the call: whichever works first has it. One call at its worst is left for the last try."""
    services.events.before["change"] = [down() for _ in range(1000)]
    deadline = services.deadline(29)

    def refused() -> None:
        left.append(deadline.remaining())
        raise down()

    services.events.before["rescue_queue"] = [refused] * 20
    left: list[float] = []

    with pytest.raises(Rescued):
        services.committing.commit(answered.obtained, answered.sealed, deadline, answered.held)

    assert answered.writes[:4] == ["change", "rescue_queue"] * 2
    assert len(left) == 20
    assert len(services.rescue_queue.messages) == 1
    assert answered.writes.count("rescue_queue") == 21
    assert len(services.slept) > 20


def test_the_last_try_has_the_time_of_a_call_at_its_worst(services: MemoryServices, answered: Answered) -> None:
    """However long the queue refused."""
    services.events.before["change"] = [down() for _ in range(1000)]
    deadline = services.deadline(29)

    def refused() -> None:
        left.append(deadline.remaining())
        raise down()

    services.events.before["rescue_queue"] = [refused] * 1000
    left: list[float] = []

    with pytest.raises(Rescued):
        services.committing.commit(answered.obtained, answered.sealed, deadline, answered.held)

    assert CALL <= left[-1] <= 2 * CALL
    assert len(services.logged) == 1


def test_a_slow_outage_of_both_leaves_time_for_the_log(services: MemoryServices, answered: Answered) -> None:
    """Each try may take as long as a call at its worst."""

    def slow() -> None:
        services.now += CALL
        raise down()

    services.events.before["change"] = services.events.before["rescue_queue"] = [slow] * 1000
    services.events.before["log"] = [lambda: left.append(deadline.remaining())]
    left: list[float] = []
    deadline = services.deadline(29)

    with pytest.raises(Rescued):
        services.committing.commit(answered.obtained, answered.sealed, deadline, answered.held)

    assert left[0] >= 0


def test_without_time_to_wait_it_is_queued_at_once(services: MemoryServices, answered: Answered) -> None:
    """The table is tried once, and then the queue."""
    services.events.before["change"] = [down()]

    with pytest.raises(Rescued):
        answered.commit(seconds=2 * CALL - 0.1)

    assert answered.writes == ["change", "rescue_queue"]
    assert services.slept == []


def test_the_latest_seal_is_what_is_queued(services: MemoryServices, answered: Answered) -> None:
    """It was sealed again for the next version before the table went down."""
    first = refreshes.refreshed(answered.held, FIRST, RefreshedFrom("set-1", 1), "holder-0", NOW)
    services.connections.records["merchant-1"] = with_current(first, lease=None)
    answered.obtained = replace(answered.obtained, refreshed_from=RefreshedFrom("set-1", 2))
    services.events.before["change"] = [None, *(down() for _ in range(1000))]

    with pytest.raises(Rescued):
        answered.commit()

    queued = obtained_document.from_document(json.loads(services.rescue_queue.messages[0]["body"]))
    assert queued.version == 3
    assert services.new_cipher().open("merchant-1", queued.tokens) == SECRETS


def test_what_cannot_be_sealed_again_is_queued_as_it_is(services: MemoryServices, answered: Answered) -> None:
    """KMS refuses: under the seal of its first version it is still safe."""
    first = refreshes.refreshed(answered.held, FIRST, RefreshedFrom("set-1", 1), "holder-1", NOW)
    services.connections.records["merchant-1"] = first
    answered.obtained = replace(answered.obtained, refreshed_from=RefreshedFrom("set-1", 2))
    services.events.before["data_key"] = [aws_error("AccessDeniedException")]

    with pytest.raises(Rescued):
        answered.commit()

    assert obtained_document.from_document(json.loads(services.rescue_queue.messages[0]["body"])) == answered.obtained


def test_what_waits_too_long_for_another_is_queued(services: MemoryServices, answered: Answered) -> None:
    """The rescue has more patience."""
    first = refreshes.refreshed(answered.held, FIRST, RefreshedFrom("set-1", 1), "holder-0", NOW)
    services.connections.records["merchant-1"] = with_current(first, lease=Lease("holder-9", 1, NOW + 999))
    answered.obtained = replace(answered.obtained, refreshed_from=RefreshedFrom("set-1", 2))

    with pytest.raises(Rescued):
        answered.commit()

    assert len(services.rescue_queue.messages) == 1
    assert services.stored().version == 2


# The log


@pytest.mark.parametrize("failure", OUTAGES, ids=["outage", "no right", "defect"])
def test_what_no_queue_takes_is_logged(services: MemoryServices, answered: Answered, failure: Any) -> None:
    """Table, queue, log, in this order; and still the caller may come again."""
    services.events.before["change"] = [down() for _ in range(1000)]
    services.events.before["rescue_queue"] = [failure() for _ in range(1000)]

    with pytest.raises(Rescued):
        answered.commit()

    assert answered.writes[-2:] == ["rescue_queue", "log"]
    assert set(answered.writes[:-2]) == {"change", "rescue_queue"}
    (line,) = services.logged
    assert obtained_document.from_document(json.loads(line)) == answered.obtained


@pytest.mark.parametrize("queue_works", [True, False])
def test_no_fallback_shows_a_token(services: MemoryServices, answered: Answered, *, queue_works: bool) -> None:
    """Neither in any spelling, nor inside what is encoded, nor the data key that opens it."""
    services.events.before["change"] = [down() for _ in range(1000)]
    services.events.before["rescue_queue"] = [] if queue_works else [down() for _ in range(1000)]

    with pytest.raises(Rescued) as caught:
        answered.commit()

    (line,) = [message["body"] for message in services.rescue_queue.messages] or services.logged
    sealed = b64decode(json.loads(line)["tokens"]["seal"]["ciphertext"])
    shown = line.encode() + sealed + repr(answered.obtained).encode() + str(caught.value.as_result()).encode()
    for secret in (SECRETS.access_token, SECRETS.refresh_token or ""):
        for spelling in (
            secret,
            quote(secret, safe=""),
            b64encode(secret.encode()).decode()[:-4],
            "in/the",
            "in\\/the",
        ):
            assert spelling.encode() not in shown
    assert not any(key in shown for key, *_ in services.kms.keys.values())


# Without fallbacks


def test_what_lies_in_the_queue_is_committed_by_the_same_rules(services: MemoryServices, answered: Answered) -> None:
    """The record is read, and written; an outage is waited for."""
    services.events.before["get"] = [down()]
    services.events.before["change"] = [down()]

    after = services.committing.settle(answered.obtained, answered.sealed, services.deadline())

    assert answered.writes == ["get", "get", "change", "change"]
    assert (after, services.tokens()) == (services.stored(), SECRETS)


def test_what_waits_for_longer_than_a_lease_goes_back_to_the_queue(
    services: MemoryServices, answered: Answered
) -> None:
    """However much time is left: the queue brings it again, and other messages are not kept waiting."""
    first = refreshes.refreshed(answered.held, FIRST, RefreshedFrom("set-1", 1), "holder-0", NOW)
    services.connections.records["merchant-1"] = with_current(first, lease=Lease("holder-9", 1, NOW + 999))
    answered.obtained = replace(answered.obtained, refreshed_from=RefreshedFrom("set-1", 2))

    with pytest.raises(TemporarilyUnavailable) as caught:
        services.committing.settle(answered.obtained, answered.sealed, services.deadline(900))

    assert (caught.value.retry_after, bool(caught.value.description)) == (2, True)
    assert LONGEST_CALL + LEASE_MARGIN < services.now - NOW < 60
    assert (services.rescue_queue.messages, services.logged) == ([], [])


def test_an_answer_of_a_connection_that_is_gone_names_it(services: MemoryServices, answered: Answered) -> None:
    """Its record was deleted; whoever took the message from the queue reads which connection that was."""
    services.connections.records.clear()

    with pytest.raises(ConnectionNotFound) as caught:
        services.committing.settle(answered.obtained, answered.sealed, services.deadline())

    assert caught.value.connection_id == "merchant-1"


def test_an_outage_that_outlasts_the_call_is_one_that_may_be_tried_again(
    services: MemoryServices, answered: Answered
) -> None:
    """While there is time, AWS is asked again; then the failure says when to come back."""
    services.events.before["get"] = [down() for _ in range(1000)]

    def settle() -> object:
        return services.committing.settle(answered.obtained, answered.sealed, services.deadline())

    def read() -> object:
        return services.committing.once_aws_answers(lambda: services.connections.get("x"), services.deadline())

    for work in (settle, read):
        with pytest.raises(TemporarilyUnavailable) as caught:
            work()
        assert (caught.value.retry_after, bool(caught.value.description)) == (2, True)


@pytest.mark.parametrize(
    ("failure", "raised"),
    [(down, TemporarilyUnavailable), (lambda: aws_error("AccessDeniedException"), Exception), (SealBroken, SealBroken)],
)
def test_what_lies_in_the_queue_is_not_queued_again(
    services: MemoryServices, answered: Answered, failure: Any, raised: type[Exception]
) -> None:
    """The queue keeps it: the failure goes to whoever took it from there."""
    services.events.before["change"] = [failure() for _ in range(1000)]

    with pytest.raises(raised):
        services.committing.settle(answered.obtained, answered.sealed, services.deadline())

    assert (services.rescue_queue.messages, services.logged) == ([], [])
    assert services.stored().status is Status.ACTIVE

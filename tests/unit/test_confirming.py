"""Tokens that wait for the application: vended to nobody, put to use once, by whom they are meant for and in time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.vault.base.errors import GatehouseError, TemporarilyUnavailable
from functions.vault.grant.life import CONFIRM_WITHIN, Place, Status
from functions.vault.grant.obtained_document import from_document
from functions.vault.grant.seal import PENDING
from functions.vault.oauth.authorization import BrowserBinding, confirmation_hash
from functions.vault.storage.sealing import SealBroken
from functions.vault.storage.table import Conflict
from tests.unit.samples import registration, validated_response
from tests.unit.services import MemoryServices, down
from tests.unit.test_account_lookup import Issuer, browser, come_back, consent, registered

if TYPE_CHECKING:
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.oauth.visit_outcome import Outcome

APP = "https://app.example/connected"
OWNER = "customer-1"


@pytest.fixture
def services() -> MemoryServices:
    """Give services without connections, at a provider that does not say whether an account's grants are apart."""
    return MemoryServices()


def apart(services: MemoryServices) -> None:
    """Let the provider keep an account's grants apart."""
    services.registrations.known["acme"] = registration(revocation_ends_authorization=False)


def come(services: MemoryServices, name: str = "a", **fields: Any) -> Outcome:
    """Let a customer consent, in a browser of this name, to what the application has to confirm."""
    return consent(services, name, **{"confirm": True, "return_to": APP, "owner": OWNER, **fields})


def confirmation_of(outcome: Outcome) -> str:
    """Return what the browser brings to the application."""
    query = parse_qs(urlsplit(outcome.return_to or "").query)
    assert query["status"] == ["unconfirmed"]
    return query["confirmation"][0]


def confirm(services: MemoryServices, confirmation: str, owner: str | None = OWNER) -> dict[str, Any]:
    """Confirm, and return the result or the error."""
    try:
        return services.confirming.confirm("merchant-1", confirmation, owner, services.deadline())
    except GatehouseError as error:
        return error.as_result()


def error_of(services: MemoryServices, confirmation: str, owner: str | None = OWNER) -> Any:
    """Return the error that a confirmation comes to, having changed nothing."""
    before = services.connections.records["merchant-1"]
    result = confirm(services, confirmation, owner)
    assert services.stored() is before
    return result.get("error")


def waiting(services: MemoryServices) -> StoredSet:
    """Return the token set that waits."""
    (held,) = services.stored().in_place(Place.PENDING)
    return held


def sweep(services: MemoryServices) -> Any:
    """Do what is due in the background; return the failure that is logged."""
    stored = services.stored()
    assert stored.due_at is not None
    assert stored.due_at <= services.now
    return services.background_work.refresh_due("merchant-1", stored.version, "acme", services.deadline())


# The two halves


def test_a_first_consent_vends_nothing_until_it_is_confirmed(services: MemoryServices) -> None:
    """It is stored, sealed to wait; `token` says what is missing, and the confirmation puts it to use as version 1."""
    # when
    outcome = come(services)

    # then
    stored = services.stored()
    assert (stored.status, stored.version, stored.needs, stored.owner) == (Status.UNCONFIRMED, 0, "confirmation", OWNER)
    assert (services.token()["error"], services.refresh()["error"]) == ("confirmation_required",) * 2
    with pytest.raises(SealBroken):
        services.cipher.open("merchant-1", replace(waiting(services), place=Place.CURRENT))

    # when
    confirmed = confirm(services, confirmation_of(outcome))

    # then
    assert confirmed == {"connection_id": "merchant-1", "status": "active", "version": 1}
    assert (services.token()["access_token"], services.token()["version"]) == ("AT-2", 1)
    assert services.stored().authorized_by == browser("a").request_id
    assert services.server.codes == ["CODE-1"]


def test_what_worked_before_goes_on(services: MemoryServices) -> None:
    """The old tokens are vended until the new ones are confirmed; then they are superseded."""
    # given
    services.connect(owner=OWNER)

    # when
    outcome = come(services)

    # then
    assert (services.stored().status, services.stored().needs) == (Status.ACTIVE, None)
    assert (services.token()["access_token"], services.token()["version"]) == ("AT-1", 1)

    # when
    confirmed = confirm(services, confirmation_of(outcome))

    # then
    assert (confirmed["status"], confirmed["version"]) == ("active", 2)
    assert services.token()["access_token"] == "AT-2"
    assert {each.place for each in services.stored().sets} == {Place.CURRENT, Place.SUPERSEDED}


def test_the_record_takes_what_the_consent_brings_when_it_is_confirmed(services: MemoryServices) -> None:
    """Scope, tags and all: until then they are those of the tokens in use."""
    services.connect(owner=OWNER, tags={"tier": "old"})
    outcome = come(services, tags={"tier": "new"}, scope="write")
    before = services.stored()

    confirm(services, confirmation_of(outcome))

    after = services.stored()
    assert (before.tags, before.scope) == ({"tier": "old"}, "read")
    assert (after.tags, after.scope) == ({"tier": "new"}, "write")


def test_every_reload_brings_the_same_confirmation(services: MemoryServices) -> None:
    """From this browser, and stored is its hash alone; once it is confirmed the page says connected."""
    first = confirmation_of(come(services))

    again = confirmation_of(come_back(services, "a"))
    confirm(services, again)

    assert again == first
    assert come_back(services, "a").page == "connected"


def test_another_visit_of_the_same_link_has_no_confirmation(services: MemoryServices) -> None:
    """A state whose code failed is shown what became of the request, and not the confirmation of another visit."""
    # given
    bound = browser("a")
    other = BrowserBinding(bound.request_id, bound.ticket_secret, "m" * 43)
    services.server.answers = [down()]
    come(services)
    services.completing.complete(validated_response(other), services.deadline())

    # when
    shown = come_back(services, "a")

    # then
    assert (shown.page, shown.return_to) == ("already", None)


# The confirmation


def test_a_repeat_gets_its_answer_again_and_changes_nothing(services: MemoryServices) -> None:
    """For as long as its tokens are current: after that, it has been used."""
    confirmation = confirmation_of(come(services))
    first = confirm(services, confirmation)
    before, calls = services.stored(), len(services.events.calls)

    again = confirm(services, confirmation)

    assert again == first
    assert services.stored() is before
    assert services.events.calls[calls:] == ["get"]
    services.pass_time(60)()
    services.refresh()
    assert error_of(services, confirmation) == "confirmation_invalid"


@pytest.mark.parametrize("owner", ["customer-2", None, ""], ids=["another", "nobody", "empty"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_only_a_call_that_names_the_owner_confirms(services: MemoryServices, owner: str | None, done: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """Whoever has the confirmation but another session gets nothing, not even what came of it."""
    confirmation = confirmation_of(come(services))
    if done:
        confirm(services, confirmation)

    error = error_of(services, confirmation, owner)

    assert error == ("invalid_request" if owner is None else "confirmation_invalid")


def test_without_an_owner_none_is_to_be_named(services: MemoryServices) -> None:
    """A call that names one is about something else."""
    confirmation = confirmation_of(come(services, owner=None))

    assert error_of(services, confirmation, "customer-2") == "confirmation_invalid"
    assert confirm(services, confirmation, None)["status"] == "active"


def test_a_confirmation_of_another_connection_or_request_is_none(services: MemoryServices) -> None:
    """Nor is one that was made up; where nothing waits there is nothing to confirm."""
    theirs = confirmation_of(come(services, "b", connection_id="merchant-2"))
    come(services)

    errors = [error_of(services, each) for each in (theirs, "x" * 43, browser("c").confirmation)]

    assert errors == ["confirmation_invalid"] * 3
    assert services.stored("merchant-2").status is Status.UNCONFIRMED


def test_what_is_not_confirmed_says_what_to_do(services: MemoryServices) -> None:
    """The application gives what the browser brought, and the owner in whose session that was; or it starts again."""
    confirmation = confirmation_of(come(services))

    wrong = confirm(services, "x" * 43)["error_description"]
    of_another = confirm(services, confirmation, "customer-2")["error_description"]

    assert wrong.endswith(
        "give confirmation and connection_id as the browser brought them to return_to, or start again."
    )
    assert of_another.endswith("if that is this one, let its customer start again.")


def test_the_hash_alone_confirms_nothing(services: MemoryServices) -> None:
    """Whoever can read the record cannot confirm it."""
    confirmation = confirmation_of(come(services))
    pending = waiting(services).pending
    assert pending is not None
    assert pending.confirmation == confirmation_hash(confirmation) != confirmation

    assert error_of(services, pending.confirmation) == "confirmation_invalid"


# Too late


def test_it_is_good_for_ten_minutes(services: MemoryServices) -> None:
    """From the write that made the tokens wait, to the second."""
    confirmation = confirmation_of(come(services))

    services.pass_time(10 * 60 - 1)()
    in_time = services.stored()
    services.pass_time(1)()

    assert error_of(services, confirmation) == "confirmation_expired"
    services.now -= 1
    assert services.stored() is in_time
    assert confirm(services, confirmation)["status"] == "active"


@pytest.mark.parametrize("call", ["data_key", "decrypt"])
def test_it_is_too_late_if_its_time_ends_while_it_is_sealed(services: MemoryServices, call: str) -> None:
    """The record was read in time, and KMS took its time: the clock is looked at again right before the write."""
    confirmation = confirmation_of(come(services))
    services.confirming = type(services.confirming)(services.connections, services.new_cipher(), services.timing)
    services.pass_time(CONFIRM_WITHIN - 1)()
    services.events.after[call] = [services.pass_time(1)]

    assert error_of(services, confirmation) == "confirmation_expired"
    assert services.token()["error"] == "confirmation_required"


@pytest.mark.parametrize("are_apart", [False, True])
def test_what_nobody_confirms_is_taken_away(services: MemoryServices, are_apart: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """By the background; at a server with separate grants it is revoked, else forgotten and nothing is sent."""
    # given
    if are_apart:
        apart(services)
    confirmation = confirmation_of(come(services))
    services.pass_time(CONFIRM_WITHIN)()

    # when
    logged = sweep(services)

    # then
    stored = services.stored()
    assert (stored.status, stored.needs) == (Status.REAUTHORIZATION_REQUIRED, "reauthorization")
    assert logged.code == "confirmation_expired"
    assert stored.last_attempt is not None
    assert (stored.last_attempt.outcome, stored.last_attempt.error) == ("failed", "confirmation_expired")
    assert services.token()["error"] == "reauthorization_required"
    assert error_of(services, confirmation) == "confirmation_expired"
    assert parse_qs(urlsplit(come_back(services, "a").return_to or "").query)["error"] == ["confirmation_expired"]

    # when
    services.revoking.retry("merchant-1", services.deadline())

    # then
    assert services.stored().sets == ()
    assert services.server.revoked == (["RT-2", "AT-2"] if are_apart else [])


def test_a_working_connection_loses_nothing_by_it(services: MemoryServices) -> None:
    """What ran out was never its own; its refresh is due when it was."""
    before = services.connect(owner=OWNER)
    come(services)
    services.pass_time(CONFIRM_WITHIN)()

    sweep(services)

    after = services.stored()
    assert (after.sets, after.status, after.upkeep_at) == (before.sets, before.status, before.upkeep_at)
    assert services.token()["access_token"] == "AT-1"


def test_a_first_connection_can_be_tried_again(services: MemoryServices) -> None:
    """It is unconfirmed once more, and then active."""
    come(services)
    services.pass_time(CONFIRM_WITHIN)()
    sweep(services)

    outcome = come(services, "b")

    assert services.stored().status is Status.UNCONFIRMED
    assert confirm(services, confirmation_of(outcome))["version"] == 1


# Another consent


@pytest.mark.parametrize("are_apart", [False, True])
def test_a_newer_consent_takes_its_place(services: MemoryServices, are_apart: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """Of two that are to be confirmed the newer one can be; the older one was never the connection's own."""
    # given
    if are_apart:
        apart(services)
    older = confirmation_of(come(services, "a"))
    services.pass_time(1)()
    newer = confirmation_of(come(services, "b"))

    # then
    assert services.stored().status is Status.UNCONFIRMED
    assert error_of(services, older) == "confirmation_invalid"
    assert come_back(services, "a").page == "already"
    assert confirm(services, newer)["version"] == 1
    assert services.token()["access_token"] == "AT-3"
    services.revoking.retry("merchant-1", services.deadline())
    assert services.server.revoked == (["RT-2", "AT-2"] if are_apart else [])


def test_a_consent_that_needs_no_confirmation_takes_its_place(services: MemoryServices) -> None:
    """It is used at once, and what waited can be confirmed no more."""
    older = confirmation_of(come(services, "a"))

    newer = come(services, "b", confirm=None)

    assert newer.page == "connected"
    assert (services.stored().status, services.stored().in_place(Place.PENDING)) == (Status.ACTIVE, ())
    assert error_of(services, older) == "confirmation_invalid"


def test_an_older_consent_that_comes_late_does_not(services: MemoryServices) -> None:
    """Its answer lay in the rescue queue: the newer one stays, and can be confirmed."""
    # given
    services.connect(owner=OWNER)
    _leave_in_the_queue(services, "a")
    services.pass_time(10)()
    newer = confirmation_of(come(services, "b"))

    # when
    _rescue(services)

    # then
    assert waiting(services).request_id == browser("b").request_id
    assert confirm(services, newer)["status"] == "active"


# The rescue queue


def _leave_in_the_queue(services: MemoryServices, name: str = "a") -> None:
    """Let a consent's tokens come while the table takes nothing."""
    services.events.before["change"] = [down() for _ in range(99)]
    services.events.before["create"] = [down() for _ in range(99)]
    assert come(services, name).page == "unfinished"
    services.events.before["change"], services.events.before["create"] = [], []


def _rescue(services: MemoryServices) -> dict[str, Any]:
    import json  # noqa: PLC0415 - for the documents of the queue alone

    message = services.rescue_queue.messages.pop()
    document = json.loads(message["body"])
    assert from_document(document).purpose == PENDING
    return services.rescuing.rescue(document, services.deadline())


@pytest.mark.parametrize("seconds", [60, 3600])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_the_queue_held_waits_too(services: MemoryServices, is_first: bool, seconds: int) -> None:  # noqa: FBT001 - pytest passes it by name
    """Its ten minutes begin with the write, however late that is, and then the page brings the confirmation."""
    # given
    if not is_first:
        services.connect(owner=OWNER)
    _leave_in_the_queue(services)
    services.pass_time(seconds)()

    # when
    _rescue(services)

    # then
    services.pass_time(CONFIRM_WITHIN - 1)()
    confirmation = confirmation_of(come_back(services, "a"))
    assert confirm(services, confirmation)["status"] == "active"


@pytest.mark.parametrize("are_apart", [False, True])
@pytest.mark.parametrize("meanwhile", ["ran out", "replaced", "revoked", "confirmed"])
def test_a_copy_in_the_queue_brings_nothing_back(
    services: MemoryServices,
    are_apart: bool,  # noqa: FBT001 - pytest passes it by name
    meanwhile: str,
) -> None:
    """The queue got the answer, and then the table did: whatever has become of that, the copy makes nothing wait."""
    # given
    if are_apart:
        apart(services)
    services.connect(owner=OWNER)
    services.events.before["change"] = [down()]
    confirmation = confirmation_of(come(services))
    services.pass_time(1)()
    if meanwhile == "ran out":
        services.pass_time(CONFIRM_WITHIN)()
        sweep(services)
    elif meanwhile == "replaced":
        come(services, "b", confirm=None)
    elif meanwhile == "revoked":
        services.revoke()
    else:
        confirm(services, confirmation)
    services.revoking.retry("merchant-1", services.deadline())

    # when
    _rescue(services)

    # then
    assert services.stored().in_place(Place.PENDING) == ()
    if meanwhile != "confirmed":
        assert error_of(services, confirmation) in {"confirmation_invalid", "confirmation_expired"}


# Revocation


@pytest.mark.parametrize("are_apart", [False, True])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_revocation_takes_what_waits(
    services: MemoryServices,
    is_first: bool,  # noqa: FBT001 - pytest passes it by name
    are_apart: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    """It cannot be confirmed any more; it is revoked where that ends nothing else."""
    # given
    if are_apart:
        apart(services)
    if not is_first:
        services.connect(owner=OWNER)
    confirmation = confirmation_of(come(services))

    # when
    status = services.revoke()

    # then
    assert status == "revoked"
    assert services.stored().sets == ()
    assert error_of(services, confirmation) == "confirmation_invalid"
    assert set(services.server.revoked) >= ({"RT-2"} if are_apart else set())
    assert ("RT-2" in services.server.revoked) is are_apart


def test_a_revoked_connection_stays_revoked_until_it_is_confirmed(services: MemoryServices) -> None:
    """A link that somebody opens changes nothing of it, not even whose it is."""
    # given
    services.connect(owner="customer-0")
    services.revoke()

    # when
    outcome = come(services)

    # then
    assert (services.stored().status, services.stored().owner) == (Status.REVOKED, "customer-0")
    assert (services.stored().needs, services.token()["error"]) == ("confirmation", "connection_revoked")
    assert confirm(services, confirmation_of(outcome)) == {
        "connection_id": "merchant-1",
        "status": "active",
        "version": 2,
    }
    assert services.stored().owner == OWNER


def test_in_a_revoked_connection_it_runs_out_too(services: MemoryServices) -> None:
    """It is as it was."""
    services.connect(owner=OWNER)
    services.revoke()
    come(services)
    services.pass_time(CONFIRM_WITHIN)()

    sweep(services)

    assert (services.stored().status, services.stored().sets) == (Status.REVOKED, ())


def test_revoked_once_more_it_keeps_nothing_that_waits(services: MemoryServices) -> None:
    """And what was begun before that brings nothing either."""
    services.connect(owner=OWNER)
    services.revoke()
    confirmation = confirmation_of(come(services))

    assert services.revoke() == "revoked"

    assert (services.stored().status, services.stored().sets) == (Status.REVOKED, ())
    assert error_of(services, confirmation) == "confirmation_invalid"


# What else can go wrong


def test_a_refresh_in_between_makes_it_decide_again(services: MemoryServices) -> None:
    """Its write meets another: it is sealed for the version that is next then."""
    services.connect(owner=OWNER)
    confirmation = confirmation_of(come(services))
    services.pass_time(60)()
    services.events.before["change"] = [services.refresh]

    confirmed = confirm(services, confirmation)

    assert confirmed["version"] == 3
    assert services.tokens().access_token == "AT-2"


@pytest.mark.parametrize("follows", [False, True], ids=["at once", "after a refresh"])
def test_a_write_whose_answer_was_lost_has_confirmed(services: MemoryServices, follows: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """It is recognised in the record, even if somebody has refreshed it since."""
    confirmation = confirmation_of(come(services))

    def lost() -> None:
        if follows:
            services.pass_time(12)()
            services.refresh()
        raise Conflict

    services.events.after["change"] = [lost]

    confirmed = confirm(services, confirmation)

    assert (confirmed["status"], confirmed["version"]) == ("active", 2 if follows else 1)


@pytest.mark.parametrize("call", ["get", "data_key", "decrypt", "change"])
def test_an_outage_leaves_what_waits_as_it_was(services: MemoryServices, call: str) -> None:
    """Another try confirms it."""
    confirmation = confirmation_of(come(services))
    services.confirming = type(services.confirming)(services.connections, services.new_cipher(), services.timing)
    services.events.before[call] = [TemporarilyUnavailable("AWS is down.")]

    assert error_of(services, confirmation) == "temporarily_unavailable"
    assert confirm(services, confirmation)["status"] == "active"


# Its account


def _at_an_issuer(services: MemoryServices, *, known: bool = True) -> Issuer:
    """Let the provider name accounts in ID tokens; the connection is to `account-1` if that is known."""
    registered(services)
    issuer = Issuer(services)
    services.server.answers = [issuer] * 100
    if known:
        assert consent(services, "k", owner=OWNER).page == "connected"
        services.pass_time(100)()
    return issuer


def test_while_its_account_is_asked_for_it_cannot_be_confirmed(services: MemoryServices) -> None:
    """The page waits, the background finds the account, and then the browser brings the confirmation."""
    # given
    issuer = _at_an_issuer(services)
    issuer.changes_its_key()
    issuer.is_down = True
    outcome = come(services)

    # then
    assert outcome.page == "unfinished"
    error = confirm(services, browser("a").confirmation)
    assert (error["error"], error["retryable"], error["retry_after"]) == ("temporarily_unavailable", True, 2)

    # when
    issuer.is_down = False
    services.pass_time(120)()
    assert sweep(services) is None

    # then
    assert services.stored().current is not None
    assert confirm(services, confirmation_of(come_back(services, "a")))["version"] == 2
    assert services.stored().subject == "account-1"


def test_another_account_is_not_the_connections_own(services: MemoryServices) -> None:
    """Found out before it is confirmed: it is gone, and the person may try again."""
    issuer = _at_an_issuer(services)
    issuer.account = "account-2"

    outcome = come(services)

    assert outcome.error == "subject_mismatch"
    assert services.stored().in_place(Place.PENDING) == ()
    assert error_of(services, browser("a").confirmation) == "confirmation_invalid"


def test_a_first_consent_is_confirmed_while_its_account_is_unknown(services: MemoryServices) -> None:
    """There is none to compare it with: its account follows, as that of any first consent."""
    # given
    issuer = _at_an_issuer(services, known=False)
    consent(services, "k", connection_id="merchant-2")
    issuer.changes_its_key()
    issuer.is_down = True
    services.pass_time(100)()
    outcome = come(services)

    # when
    confirmed = confirm(services, confirmation_of(outcome))

    # then
    assert (confirmed["status"], services.stored().subject) == ("active", None)
    issuer.is_down = False
    services.pass_time(120)()
    sweep(services)
    assert services.stored().subject == "account-1"


def test_a_first_consents_account_is_known_before(services: MemoryServices) -> None:
    """If the server answers, there is nothing left to be asked."""
    _at_an_issuer(services, known=False)

    confirm(services, confirmation_of(come(services)))

    assert (services.stored().subject, services.stored().waits_first) == ("account-1", None)


def test_an_account_that_is_found_too_late_does_not_prolong_it(services: MemoryServices) -> None:
    """Ten minutes are ten minutes, whatever is asked meanwhile."""
    issuer = _at_an_issuer(services)
    issuer.changes_its_key()
    issuer.is_down = True
    come(services)
    services.pass_time(CONFIRM_WITHIN)()

    assert sweep(services).code == "confirmation_expired"

    assert services.stored().in_place(Place.PENDING) == ()
    assert services.stored().status is Status.ACTIVE

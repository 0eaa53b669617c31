"""What can be read from a connection's record."""

from dataclasses import replace

import pytest

from functions.vault.base.errors import (
    ConfirmationRequired,
    ConnectionRevoked,
    GatehouseError,
    LastingRefusal,
    ReauthorizationRequired,
)
from functions.vault.grant import consents, transition
from functions.vault.grant.belief import Belief
from functions.vault.grant.connection import NEEDS, Connection
from functions.vault.grant.failure import LASTS_AFTER, LASTS_FOR, Failure
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import Happened, Status
from functions.vault.grant.stored_set import Pending
from functions.vault.grant.token_set import TokenSet
from tests.unit.samples import NOW, connection, current, sealed_tokens, token_response, with_current


@pytest.mark.parametrize(
    ("seconds", "valid_for"),
    [(0, 3600), (60, 3540), (3599, 1), (3600, 1800), (7200, 1800)],
)
def test_a_token_is_valid_until_its_end_less_what_is_asked_for(seconds: int, valid_for: int) -> None:
    """If a caller asks for more than the token's lifetime, the first half of that will do."""
    made = connection()

    assert made.is_valid_for(seconds, NOW + valid_for - 0.001)
    assert not made.is_valid_for(seconds, NOW + valid_for)


@pytest.mark.parametrize(
    ("age", "lifetime", "expected"), [(0, 3600, True), (9, 3600, True), (10, 3600, False), (4, 5, True), (5, 5, False)]
)
def test_a_valid_token_set_counts_as_just_obtained_for_ten_seconds(age: int, lifetime: int, *, expected: bool) -> None:
    """A refresh would bring no better one, unless it has expired by then."""
    made = connection(token_response(expires_at=NOW + lifetime))

    assert made.was_just_obtained(NOW + age) is expected


def test_a_token_without_known_expiry_is_valid() -> None:
    """Until a caller says otherwise with `refresh`."""
    assert connection(token_response(expires_at=None)).is_valid_for(10**9, NOW + 10**9)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (Status.ACTIVE, None),
        (Status.UNCONFIRMED, ConfirmationRequired),
        (Status.REAUTHORIZATION_REQUIRED, ReauthorizationRequired),
        (Status.REVOKING, ConnectionRevoked),
        (Status.REVOKED, ConnectionRevoked),
    ],
)
def test_each_status_vends_or_says_why_not(status: Status, error: type[GatehouseError] | None) -> None:
    """Only an active connection has a token to give; the others name the connection and the reason."""
    made = replace(connection(), status=status)
    if status is Status.UNCONFIRMED:
        made = replace(made, sets=())  # with a current token set it has an import that is yet to be proved

    if error is None:
        made.require_vendable()
        return
    with pytest.raises(error) as caught:
        made.require_vendable()
    assert caught.value.connection_id == "merchant-1"


def test_who_meets_an_unconfirmed_connection_reads_what_to_call() -> None:
    """And with what."""
    made = replace(connection(), status=Status.UNCONFIRMED, sets=())

    with pytest.raises(
        ConfirmationRequired, match="call confirm with what the customer's browser brought to return_to"
    ):
        made.require_vendable()


@pytest.mark.parametrize(
    ("status", "provider", "owner", "belongs"),
    [
        (Status.ACTIVE, "acme", "owner-1", True),
        (Status.ACTIVE, "acme", "owner-2", False),
        (Status.ACTIVE, "acme", None, False),
        (Status.ACTIVE, "other", "owner-1", False),
        (Status.REAUTHORIZATION_REQUIRED, "acme", "owner-1", True),
        (Status.REAUTHORIZATION_REQUIRED, "other", "owner-1", False),
        (Status.REVOKING, "acme", "owner-1", True),
        (Status.REVOKING, "acme", "owner-2", False),
        (Status.REVOKED, "other", "owner-2", True),
        (Status.REVOKED, "acme", None, True),
    ],
)
def test_a_connection_belongs_to_one_party(status: Status, provider: str, owner: str | None, *, belongs: bool) -> None:
    """Its id is free for another owner or provider only when it is revoked."""
    assert replace(connection(), status=status).belongs_to(provider, owner) is belongs


def test_the_ciphertext_shows_in_no_representation() -> None:
    """Not a secret by itself, and still nothing for a log."""
    assert "sealed-1" not in repr(connection())


def waiting(
    was: Connection | None = None, until: int = NOW + 600, *, subject: str | None = "account-1", asks: bool = False
) -> Connection:
    """Return a connection of an account, with tokens that wait for the application, or until their account is known."""
    stored = replace(connection(), subject=subject) if was is None else was
    confirmation = None if asks else "hash"
    pending = Pending(until, NOW, 0, confirmation=confirmation, account_known=not asks)
    return consents.has_to_wait(stored, sealed_tokens(sealed=b"waits"), pending, "request-2", NOW)


@pytest.mark.parametrize(("until", "first"), [(NOW + 60, "waits"), (NOW + 119, "waits"), (NOW + 121, "sealed-1")])
def test_what_waits_the_shortest_comes_first(until: int, first: str) -> None:
    """Tokens in use whose account is to be asked for at `NOW + 120`, and others that wait until then or longer."""
    both = waiting(with_current(connection(), account_at=NOW + 120), until)

    assert both.waits_first is both.set_of(first)
    assert both.due_at == min(until, NOW + 120)
    assert both.set_of("another") is None
    assert connection().waits_first is None


@pytest.mark.parametrize(
    ("status", "subject", "confirmation", "waits"),
    [
        (Status.ACTIVE, "account-1", None, True),
        (Status.ACTIVE, None, None, True),
        (Status.REVOKED, "account-1", None, True),
        (Status.ACTIVE, "account-1", "hash", True),
        (Status.ACTIVE, None, "hash", False),
        (Status.REVOKED, "account-1", "hash", False),
    ],
)
def test_tokens_wait_for_their_account_if_there_is_one_to_compare_it_with(
    status: Status, subject: str | None, confirmation: str | None, *, waits: bool
) -> None:
    """Those that wait for the application only if the connection has an account, and was not revoked."""
    stored = replace(waiting(subject=subject, asks=True), status=status)
    held = stored.set_of("waits")
    assert held is not None
    assert held.pending is not None
    asked = replace(held, pending=replace(held.pending, confirmation=confirmation))

    assert stored.waits_for_account(asked) is waits
    known = replace(asked, pending=replace(held.pending, account_known=True))
    assert stored.waits_for_account(known) is False


def test_what_waits_for_the_application_needs_a_confirmation_unless_something_works() -> None:
    """A connection that vends needs none."""
    vending = waiting()
    revoked = replace(vending, status=Status.REVOKED)

    assert vending.unconfirmed is vending.set_of("waits")
    assert (vending.needs, revoked.needs) == (None, "confirmation")
    assert waiting(asks=True).unconfirmed is None


def test_a_list_can_be_asked_for_whatever_a_connection_can_need() -> None:
    """A person has to confirm it, or to connect it again; nothing else."""
    unconfirmed = replace(waiting(), status=Status.UNCONFIRMED)
    dead = replace(connection(), status=Status.REAUTHORIZATION_REQUIRED)

    assert {unconfirmed.needs, dead.needs} == set(NEEDS)


@pytest.mark.parametrize(
    ("status", "times", "needs"),
    [
        (Status.ACTIVE, LASTS_FOR, "reauthorization"),
        (Status.ACTIVE, LASTS_FOR - 1, None),
        (Status.REVOKING, LASTS_FOR, None),
    ],
)
def test_a_refusal_that_lasts_needs_a_person(status: Status, times: int, needs: str | None) -> None:
    """To connect it again shows whether the grant is dead or the client is misconfigured."""
    since = Failure.of(LastingRefusal("No."), None, NOW)
    failure = replace(since, unknown=times, at=NOW + LASTS_AFTER)

    assert replace(connection(), status=status, failure=failure).needs == needs


@pytest.mark.parametrize(("lifetime", "notice"), [(3601, 900), (3603, 900), (3604, 901), (30 * 86400, 7 * 86400)])
def test_a_person_is_needed_in_the_last_quarter_of_a_tokens_life(lifetime: int, notice: int) -> None:
    """At a whole second, as everything in the index of background work; in the last week at most."""
    made = connection(token_response(tokens=TokenSet("AT-1"), expires_at=NOW + lifetime))

    assert (made.needs_from, type(made.needs_from)) == (NOW + lifetime - notice, int)


def test_a_look_is_taken_by_one_at_a_time() -> None:
    """Nobody looks while somebody has the lease; and only at a grant that was refused."""
    belief = Belief(NOW, NOW, next_at=NOW + 300)
    refused = replace(connection(), status=Status.REAUTHORIZATION_REQUIRED)
    at_work = with_current(refused, belief=belief, lease=Lease("holder-1", 2, NOW + 340))

    looks = [at_work.may_be_looked_at(NOW + after, by_caller=False) for after in (339, 340)]
    assert looks == [False, True]
    assert replace(at_work, status=Status.ACTIVE).may_be_looked_at(NOW + 340, by_caller=False) is False


def test_a_failure_that_no_attempt_has_met_has_no_holder() -> None:
    """So nobody who waits for a refresh takes it for its outcome."""
    assert connection().failure_after(LastingRefusal("No."), NOW).holder == ""


def test_a_connection_without_tokens_has_nothing_that_hangs_on_them() -> None:
    """No lease, no expiry, nothing that is due or could be refreshed or looked at."""
    bare = transition.after(connection(), Happened.REFUSED, NOW, [current(connection())], upkeep_at=None)
    without = replace(bare, sets=())

    assert (without.lease, without.expires_at, without.needs_from) == (None, None, None)
    assert not without.is_due(NOW + 10**9)
    assert not without.refreshable
    assert not without.may_be_looked_at(NOW + 10**9, by_caller=True)
    assert not without.was_interrupted

"""What may be written over what: every decision on an answer that comes early, late, twice, or too late for anybody."""

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from functions.vault.base.errors import ProviderUnavailable, ReauthorizationRequired
from functions.vault.grant import consents, imports, obtained_document, refreshes, revocations, transition
from functions.vault.grant.authorized import Authorized
from functions.vault.grant.connection import Connection
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import Place, Status
from functions.vault.grant.obtained import Obtained, Verdict
from functions.vault.grant.seal import PENDING, TOKENS, Seal
from functions.vault.grant.stored_set import Pending, RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from tests.unit.samples import NOW, WHOSE, connection, for_version, sealed_tokens, token_response, with_current

LATE = NOW + 60
"""When the answer arrives: every lease below has lapsed by then, unless it says otherwise."""

ASKED = refreshes.leased(connection(), "holder-1", NOW + 30, NOW)
"""Version 1, whose refresh token `holder-1` has sent to the server."""

RETRIED = refreshes.leased(ASKED, "holder-2", LATE + 30, NOW + 31)
"""The same, after `holder-2` has taken the lapsed lease: it is at work when the first answer arrives."""

FIRST_ANSWER = sealed_tokens(sealed=b"sealed-first")
SECOND_ANSWER = sealed_tokens(sealed=b"sealed-second")
LATER_CONSENT = sealed_tokens(sealed=b"sealed-later", at=LATE, version=3)
LAPSED = Lease("holder-3", 1, NOW + 50)
AT_WORK = Lease("holder-3", 1, LATE + 1)


def answered(attempt: int = 1, holder: str = "holder-1", version: int = 2) -> Obtained:
    """Return the answer to an attempt with the refresh token of version 1."""
    return Obtained(
        "merchant-1",
        holder,
        sealed_tokens(sealed=b"sealed-ours", version=version),
        refreshed_from=RefreshedFrom("sealed-1", attempt),
        request_id="request-1",
    )


def for_another(ours: Obtained, version: int) -> Obtained:
    """Return an answer as it is sealed for another version."""
    return replace(ours, tokens=for_version(ours.tokens, version))


def consented(version: int = 2, provider: str = "acme", **fields: Any) -> Obtained:
    """Return the answer to a code that was exchanged for `request-2`, at `NOW + 40`."""
    revocations = fields.pop("revocations", 0)
    whose = replace(WHOSE, provider=provider, parameters=fields.pop("parameters", {}))
    authorized = Authorized(**{"request_id": "request-2", "owner": "owner-1", **fields})
    tokens = replace(sealed_tokens(sealed=b"sealed-ours", at=NOW + 40, version=version), whose=whose)
    return Obtained(
        "merchant-1", "request-2", tokens, authorized=authorized, request_id="request-2", revocations=revocations
    )


def dead(was: Connection) -> Connection:
    """Return a connection whose grant the server has refused."""
    return refreshes.refused(was, ReauthorizationRequired("Gone."), NOW + 50)


def gone(was: Connection) -> Connection:
    """Return a connection that was revoked, here and at the server."""
    return confirmed(revocations.revoked(was, NOW + 50), NOW + 51)


def confirmed(was: Connection, now: int = LATE) -> Connection:
    """Return a connection whose revocations the server has confirmed."""
    for each in was.to_revoke:
        was = revocations.revocation_confirmed(was, each.answered("refresh_token", "revoked", now), now)
    return was


def ciphertext(of: Connection) -> bytes | None:
    """Return the ciphertext of a connection's current tokens."""
    return of.current.seal.ciphertext if of.current else None


def refreshed_from(of: Connection) -> RefreshedFrom | None:
    """Return what the current tokens were refreshed from."""
    return of.current.refreshed_from if of.current else None


def refreshed(attempt: int, lease: Lease | None = None, was: Connection = RETRIED) -> Connection:
    """Return version 2 as that attempt with version 1 made it."""
    tokens = FIRST_ANSWER if attempt == 1 else SECOND_ANSWER
    source = RefreshedFrom("sealed-1", attempt)
    return with_current(
        refreshes.refreshed(was, for_version(tokens, 2), source, f"holder-{attempt}", NOW + 45), lease=lease
    )


AGAIN = connection(tokens=FIRST_ANSWER, version=2, authorized_by="request-9")
"""Version 2, by another consent; nothing is left of the earlier token set."""


IMPORT = ("merchant-1", sealed_tokens(at=NOW + 41), imports.Brought("digest", "owner-1", {}, {}))
"""What an import brings, at a time later than that of `consented`."""


# The answer to a refresh


@pytest.mark.parametrize(
    ("stored", "lease"),
    [
        (ASKED, None),
        (RETRIED, RETRIED.lease),
        (with_current(RETRIED, lease=Lease("holder-2", 2, LATE)), None),
        (refreshes.refresh_failed(ASKED, ProviderUnavailable("Lost.", outcome_unknown=True), NOW + 50, 0.5), None),
        (refreshes.lease_ended(ASKED), None),
        (dead(ASKED), None),
        (dead(RETRIED), None),
    ],
    ids=["ours", "another at work", "another vanished", "failed since", "let go", "dead", "dead by the retry"],
)
def test_an_answer_follows_the_token_set_that_was_used(stored: Connection, lease: Lease | None) -> None:
    """However late: it is the newest that the server has issued. Who is at work with the old set goes on, and learns.

    What the server calls dead, and issues tokens for, lives again.
    """
    after = answered().decide(stored, LATE)

    assert isinstance(after, Connection)
    assert (after.status, after.version, ciphertext(after)) == (Status.ACTIVE, 2, b"sealed-ours")
    assert (refreshed_from(after), after.lease, after.failure) == (RefreshedFrom("sealed-1", 1), lease, None)
    after.require_vendable()


@pytest.mark.parametrize("lease", [None, LAPSED, replace(AT_WORK, holder="holder-2")])
def test_a_later_attempts_answer_replaces_an_earlier_ones(lease: Lease | None) -> None:
    """Both used the same refresh token; the server answered us last. It is sealed again, for the next version."""
    stored = refreshed(attempt=1, lease=lease)
    ours = answered(attempt=2, holder="holder-2")

    assert ours.decide(stored, LATE) is Verdict.RESEAL
    after = for_another(ours, 3).decide(stored, LATE)
    assert isinstance(after, Connection)
    assert (after.version, ciphertext(after), refreshed_from(after)) == (
        3,
        b"sealed-ours",
        RefreshedFrom("sealed-1", 2),
    )
    assert (after.status, after.lease) == (Status.ACTIVE, None)


def test_a_later_attempts_answer_replaces_an_earlier_one_that_was_refused_since() -> None:
    """The earlier token set was tried and refused meanwhile; ours was issued after it."""
    after = answered(attempt=2, holder="holder-2", version=3).decide(dead(refreshed(attempt=1)), LATE)

    assert isinstance(after, Connection)
    assert (after.status, after.version) == (Status.ACTIVE, 3)


def test_an_answer_waits_while_another_holder_uses_an_earlier_one() -> None:
    """Whoever holds the lease is using the earlier answer; its outcome decides."""
    stored = refreshed(attempt=1, lease=AT_WORK)
    ours = answered(attempt=2, holder="holder-2")

    assert ours.decide(stored, LATE) is Verdict.WAIT
    assert for_another(ours, 3).decide(stored, LATE) is Verdict.WAIT
    assert ours.decide(stored, LATE + 1) is Verdict.RESEAL


@pytest.mark.parametrize(
    "stored",
    [
        refreshed(attempt=2),
        refreshed(attempt=2, lease=AT_WORK),
        dead(refreshed(attempt=2)),
        refreshed(attempt=1),
        AGAIN,
        with_current(refreshed(attempt=1), refreshed_from=RefreshedFrom("sealed-2", 1)),
        with_current(refreshed(attempt=1), refreshed_from=RefreshedFrom("sealed-2", 9)),
        connection(tokens=FIRST_ANSWER, version=5),
    ],
    ids=[
        "a later attempt's",
        "a later attempt's, at work",
        "a later attempt's, dead",
        "the same attempt's, by another",
        "another consent's",
        "the next generation's",
        "the next generation's, tried often",
        "a far later consent's",
    ],
)
@pytest.mark.parametrize("version", [2, 3, 4])
def test_an_answer_never_replaces_what_is_newer(stored: Connection, version: int) -> None:
    """A stale holder overwrites nothing, whatever version it is sealed for.

    Its token set is gone; what it brings may live, is vended to nobody, and is revoked when the connection is.
    """
    after = answered(version=version).decide(stored, LATE)

    assert isinstance(after, Connection)
    assert (after.status, after.version, after.current) == (stored.status, stored.version, stored.current)
    (late,) = after.in_place(Place.SUPERSEDED)
    assert (late.id, late.seal.version, late.request_id) == ("sealed-ours", version, "request-1")
    assert late in [
        replace(each, place=late.place, revocation=None) for each in revocations.revoked(after, LATE).to_revoke
    ]


def test_an_answer_for_a_connection_that_never_was_is_foreign() -> None:
    """There is no record to hold it."""
    assert answered().decide(None, LATE) is Verdict.FOREIGN


@pytest.mark.parametrize("attempt", [1, 2])
def test_an_answer_takes_the_place_of_the_token_set_that_it_came_from(attempt: int) -> None:
    """A consent has superseded that one meanwhile: with its newest refresh token it can be revoked one day."""
    again = connection(tokens=SECOND_ANSWER, version=2, authorized_by="request-9", before=ASKED)
    assert [each.id for each in again.in_place(Place.SUPERSEDED)] == ["sealed-1"]
    if attempt == 2:
        first = replace(answered(), tokens=FIRST_ANSWER).decide(again, LATE)
        assert isinstance(first, Connection)
        again = first

    after = answered(attempt).decide(again, LATE)

    assert isinstance(after, Connection)
    assert (after.status, after.current) == (Status.ACTIVE, again.current)
    assert [each.id for each in after.in_place(Place.SUPERSEDED)] == ["sealed-ours"]
    assert transition.left_behind(again, after) == ()


def test_an_answer_to_an_earlier_attempt_is_held_beside_a_later_answer() -> None:
    """Nobody knows which of them is the server's newest."""
    again = connection(tokens=SECOND_ANSWER, version=2, authorized_by="request-9", before=ASKED)
    later = replace(answered(attempt=2), tokens=FIRST_ANSWER).decide(again, LATE)
    assert isinstance(later, Connection)

    after = answered(attempt=1).decide(later, LATE)

    assert isinstance(after, Connection)
    assert [each.id for each in after.in_place(Place.SUPERSEDED)] == ["sealed-first", "sealed-ours"]


@pytest.mark.parametrize(
    "stored",
    [
        revocations.revoked(ASKED, NOW + 50),
        gone(ASKED),
        revocations.revoked(dead(ASKED), NOW + 55),
        gone(refreshed(attempt=1)),
        gone(refreshed(attempt=2)),
        gone(AGAIN),
        revocations.revoked(AGAIN, NOW + 50),
    ],
    ids=[
        "revoking",
        "revoked",
        "dead, then revoked",
        "revoked after an earlier answer",
        "revoked after a later answer",
        "revoked after another consent",
        "revoking another consent",
    ],
)
@pytest.mark.parametrize("version", [2, 3, 7])
def test_an_answer_after_a_revocation_is_revoked(stored: Connection, version: int) -> None:
    """The connection does not become active again; these tokens are to be revoked, beside whatever else is.

    They take the place of those that they came from, if these are still to be revoked. They keep the version that they
    were sealed for: nothing is sealed again, and the version does not change.
    """
    ours = answered(attempt=2, holder="holder-2", version=version)

    after = ours.decide(stored, LATE)

    assert isinstance(after, Connection)
    assert (after.status, after.version, after.current) == (Status.REVOKING, stored.version, None)
    *before, late = after.to_revoke
    assert before == [each for each in stored.to_revoke if each.id != "sealed-1"]
    assert (late.id, late.seal.version, late.whose) == ("sealed-ours", version, WHOSE)
    assert (late.request_id, late.refreshed_from) == ("request-1", RefreshedFrom("sealed-1", 2))
    assert after.revocations == stored.revocations


def test_an_answer_takes_the_place_of_a_token_set_that_is_being_revoked_beside_a_newer_consent() -> None:
    """Grants are separate there: the consent goes on, and what the refresh has brought is revoked in its place."""
    again = connection(
        tokens=SECOND_ANSWER, version=2, authorized_by="request-9", before=ASKED, now=NOW + 5, grants_are_apart=True
    )
    assert [each.id for each in again.to_revoke] == ["sealed-1"]

    after = answered().decide(again, LATE)

    assert isinstance(after, Connection)
    assert (after.status, after.current, after.updated_at) == (Status.ACTIVE, again.current, LATE)
    (late,) = after.to_revoke
    assert (late.id, late.request_id, late.refreshed_from) == ("sealed-ours", "request-1", RefreshedFrom("sealed-1", 1))
    assert late.revoke_at == LATE


def test_an_answer_that_comes_too_late_is_revoked_at_once_if_grants_are_separate() -> None:
    """Its token set is gone, and nobody uses what it brings."""
    after = replace(answered(), grants_are_apart=True).decide(AGAIN, LATE)

    assert isinstance(after, Connection)
    assert ([each.id for each in after.to_revoke], after.current) == (["sealed-ours"], AGAIN.current)


def test_an_answer_after_a_revocation_is_revoked_beside_a_newer_consent() -> None:
    """The user has consented once more since: that consent is in use, and the old tokens are revoked too."""
    again = consented(revocations=1).decide(gone(ASKED), LATE)
    assert isinstance(again, Connection)

    after = replace(answered(), tokens=FIRST_ANSWER).decide(again, LATE + 1)

    assert isinstance(after, Connection)
    assert (after.status, after.current, after.version) == (Status.ACTIVE, again.current, again.version)
    assert [(late.id, late.revoke_at) for late in after.to_revoke] == [("sealed-first", LATE + 1)]


@pytest.mark.parametrize("stored", [ASKED, refreshed(attempt=1)])
def test_an_answer_is_written_for_its_own_version_only(stored: Connection) -> None:
    """Its ciphertext opens for no other."""
    wrong = answered(attempt=2, holder="holder-2", version=stored.version + 2)

    assert wrong.decide(stored, LATE) is Verdict.RESEAL


@pytest.mark.parametrize(
    "since",
    [
        lambda stored: stored,
        lambda stored: refreshes.leased(stored, "holder-9", LATE + 30, LATE),
        dead,
        lambda stored: revocations.revoked(stored, LATE),
    ],
    ids=["as written", "leased since", "dead since", "revoking since"],
)
@pytest.mark.parametrize("ours", [answered(), consented()], ids=["refresh", "authorization"])
def test_our_own_write_is_recognised(ours: Obtained, since: Any) -> None:
    """Its answer was lost, and it was repeated: whatever happened since, it is not done twice."""
    stored = ours.decide(ASKED, LATE)
    assert isinstance(stored, Connection)

    assert ours.decide(since(stored), LATE) is Verdict.STORED


# The answer to a code


def test_a_first_consent_makes_a_connection() -> None:
    """Field by field, as `consents.consented` does."""
    ours = consented(version=1, revocations=0, parameters={"shop": "2"}, tags={"tier": "x"})

    made = ours.decide(None, LATE + 0.5)

    assert made == consents.consented(
        "merchant-1",
        "acme",
        ours.tokens,
        LATE,
        before=None,
        authorized_by="request-2",
        owner="owner-1",
        parameters={"shop": "2"},
        tags={"tier": "x"},
    )


@pytest.mark.parametrize(
    ("stored", "revocations"),
    [
        (connection(), 0),
        (ASKED, 0),
        (dead(ASKED), 0),
        (connection(authorized_by="request-9", tokens=sealed_tokens(at=NOW + 40)), 0),
        (gone(connection()), 1),
        (revocations.revoked(connection(), NOW + 20), 1),
        (imports.imported(*IMPORT, NOW + 41, before=None), 0),
        (imports.has_to_be_proved(*IMPORT, "holder-1", NOW + 71, NOW + 41, before=None), 0),
    ],
    ids=[
        "active",
        "being refreshed",
        "dead",
        "consented in the same second",
        "revoked before it",
        "revoking before it",
        "imported later by the clocks",
        "imported and not proved",
    ],
)
def test_a_consent_replaces_what_was(stored: Connection, revocations: int) -> None:
    """Nothing of the earlier grant is left, no lease and no failure; only `created_at` stays."""
    stored = replace(stored, created_at=NOW - 1000)

    after = consented(revocations=revocations).decide(stored, LATE)

    assert isinstance(after, Connection)
    assert (after.status, after.version, ciphertext(after)) == (Status.ACTIVE, 2, b"sealed-ours")
    assert (after.authorized_by, after.authorized_at, after.refreshed_at) == ("request-2", NOW + 40, NOW + 40)
    assert after.current
    assert (after.lease, after.failure, refreshed_from(after), after.current.attempts) == (None, None, None, 0)
    assert (after.created_at, after.revocations, after.import_digest) == (NOW - 1000, stored.revocations, None)


@pytest.mark.parametrize("version", [1, 2, 4])
def test_a_consent_replaces_every_version(version: int) -> None:
    """A refresh came in between: it is sealed again for the next version."""
    stored = refreshed(attempt=1)

    assert consented(version=version).decide(stored, LATE) is Verdict.RESEAL
    after = consented(version=3).decide(stored, LATE)
    assert isinstance(after, Connection)
    assert (after.version, after.authorized_by) == (3, "request-2")


def test_a_consent_for_a_record_that_vanished_is_sealed_again() -> None:
    """It was sealed for a version after one that is gone."""
    assert consented(version=2).decide(None, LATE) is Verdict.RESEAL


@pytest.mark.parametrize(
    "since",
    [
        lambda stored: stored,
        lambda stored: refreshes.refreshed(
            refreshes.leased(stored, "h", LATE + 9, LATE), SECOND_ANSWER, RefreshedFrom("sealed-ours", 1), "h", LATE
        ),
        lambda stored: confirmed(revocations.revoked(stored, LATE)),
        lambda stored: connection(tokens=LATER_CONSENT, before=stored, authorized_by="request-9", now=LATE),
    ],
    ids=["as written", "refreshed since", "revoked since", "superseded since"],
)
def test_a_consent_is_stored_once(since: Any) -> None:
    """A redelivered answer of the same request changes nothing, although it may have been sealed again."""
    stored = consented().decide(connection(), LATE)
    assert isinstance(stored, Connection)
    again = consented(version=3)
    again = replace(again, tokens=replace(again.tokens, id="another", seal=Seal(b"sealed-again", 1, 3)))

    assert again.decide(since(stored), LATE) is Verdict.STORED


@pytest.mark.parametrize(
    ("stored", "provider", "owner"),
    [
        (connection(), "other", "owner-1"),
        (connection(), "acme", "owner-2"),
        (connection(), "acme", None),
        (connection(owner=None), "acme", "owner-1"),
        (dead(ASKED), "acme", "owner-2"),
        (revocations.revoked(connection(), NOW + 50), "acme", "owner-2"),
        (revocations.revoked(connection(), NOW + 50), "other", "owner-1"),
    ],
)
@pytest.mark.parametrize("revocations", [0, 1])
def test_a_consent_takes_over_nothing_of_another_party(
    stored: Connection, provider: str, owner: str | None, revocations: int
) -> None:
    """It is another owner's or provider's, and not revoked: neither its tokens nor its name change hands."""
    for version in (1, 2, 3):
        foreign = consented(version, provider, owner=owner, revocations=revocations)
        assert foreign.decide(stored, LATE) is Verdict.FOREIGN


def test_a_revoked_connection_is_free_for_another_party() -> None:
    """Its consent was asked for after the revocation."""
    after = consented(provider="other", owner="owner-2", revocations=1).decide(gone(connection()), LATE)

    assert isinstance(after, Connection)
    assert (after.status, after.provider, after.owner) == (Status.ACTIVE, "other", "owner-2")


@pytest.mark.parametrize(
    "stored",
    [
        gone(connection()),
        gone(dead(connection())),
        gone(connection(tokens=FIRST_ANSWER, version=1, authorized_by="request-9")),
        revocations.revoked(connection(), NOW + 50),
        replace(connection(version=2, authorized_by="request-9"), revocations=1),
    ],
    ids=[
        "revoked",
        "dead, then revoked",
        "consented again, then revoked",
        "revoking",
        "revoked, and consented again",
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_consent_from_before_a_revocation_is_revoked(stored: Connection, version: int) -> None:
    """Whoever revoked the connection meant this one too: its tokens are to be revoked, and a newer consent stays."""
    after = consented(version, revocations=0).decide(stored, LATE)

    assert isinstance(after, Connection)
    assert after.status is (Status.ACTIVE if stored.current else Status.REVOKING)
    assert (after.version, after.current) == (stored.version, stored.current)
    assert (after.to_revoke[-1].id, after.to_revoke[-1].seal.version) == ("sealed-ours", version)
    assert after.authorized_by == stored.authorized_by, "it is not this consent's connection"
    assert after.revocations == stored.revocations


@pytest.mark.parametrize("owner", ["owner-2", None])
def test_a_consent_from_before_a_revocation_by_another_owner_is_not_touched(owner: str | None) -> None:
    """The id was free when both began. What the one revokes is not the other's: that may be in use somewhere else."""
    for version in (1, 2, 3):
        assert consented(version, owner=owner).decide(gone(connection()), LATE) is Verdict.FOREIGN


def test_a_consent_leaves_what_is_yet_to_be_revoked() -> None:
    """It came after a revocation that the server has not confirmed yet: that goes on."""
    revoking = revocations.revoked(connection(), NOW + 20)

    after = consented(revocations=1).decide(revoking, LATE)

    assert isinstance(after, Connection)
    assert (after.status, ciphertext(after), after.to_revoke) == (Status.ACTIVE, b"sealed-ours", revoking.to_revoke)
    assert (after.revocation_due_at, after.due_at) == (NOW + 20, NOW + 20)


def test_a_later_consent_stays_current() -> None:
    """The user went through it again meanwhile: what came later counts."""
    stored = connection(tokens=sealed_tokens(at=NOW + 41), authorized_by="request-9")

    for version in (1, 2, 3):
        after = consented(version).decide(stored, LATE)
        assert isinstance(after, Connection)
        assert (after.version, after.authorized_by, after.current) == (1, "request-9", stored.current)
        assert [each.request_id for each in after.in_place(Place.SUPERSEDED)] == ["request-2"]
        assert consented(version).decide(after, LATE) is Verdict.STORED


@pytest.mark.parametrize("apart", [True, False])
def test_an_earlier_consent_that_comes_late_is_revoked_at_once_if_grants_are_separate(*, apart: bool) -> None:
    """Nobody uses it, and nothing else ends with it; otherwise it is held until the connection is revoked."""
    stored = connection(tokens=sealed_tokens(at=NOW + 41), authorized_by="request-9")

    after = replace(consented(), grants_are_apart=apart).decide(stored, LATE)

    assert isinstance(after, Connection)
    assert after.set_of("sealed-ours") is not None
    assert [each.request_id for each in after.to_revoke] == (["request-2"] if apart else [])


def test_what_is_revoked_although_nobody_uses_it_says_which_request_brought_it() -> None:
    """So the end of its grant is known to be that of all tokens of the same authorization."""
    before_a_revocation = consented(revocations=0).decide(gone(connection()), LATE)
    of_another_party = replace(consented(owner="owner-2"), grants_are_apart=True).decide(connection(), LATE)

    for after in (before_a_revocation, of_another_party):
        assert isinstance(after, Connection)
        assert [each.request_id for each in after.to_revoke] == ["request-2"]


@pytest.mark.parametrize(("held", "verdict"), [(39, Connection), (40, Verdict.FOREIGN)])
def test_tokens_of_others_are_taken_to_be_revoked_while_there_is_room(held: int, verdict: Any) -> None:
    """A connection holds forty token sets at most."""
    one = connection().require_current()
    sets = tuple(replace(one, id=f"set-{number}", place=Place.SUPERSEDED) for number in range(held))

    after = replace(consented(owner="owner-2"), grants_are_apart=True).decide(replace(connection(), sets=sets), LATE)

    assert after is verdict or type(after) is verdict


@pytest.mark.parametrize(("known", "is_revoked"), [(None, True), ("account-1", False)])
def test_a_consent_from_before_a_revocation_whose_account_is_unknown(known: str | None, *, is_revoked: bool) -> None:
    """Nobody asks for its account any more. If the connection has one, it may be of another: that is not touched."""
    stored = gone(replace(connection(), subject=known))
    ours = consented()
    asking = replace(ours, tokens=replace(ours.tokens, asks_account=True))

    after = asking.decide(stored, LATE)

    assert (after is Verdict.FOREIGN) is not is_revoked
    assert not is_revoked or (isinstance(after, Connection) and after.status is Status.REVOKING)


@pytest.mark.parametrize(
    ("stored", "known", "waits"),
    [
        (connection(), "account-1", True),
        (connection(), None, False),
        (gone(connection()), "account-1", False),
        (dead(connection()), "account-1", True),
    ],
    ids=["connected", "of nobody known", "revoked", "dead"],
)
def test_a_consent_waits_for_its_account_if_there_is_one_to_compare_it_with(
    stored: Connection, known: str | None, *, waits: bool
) -> None:
    """A connection that was revoked before it was begun is free for any account."""
    ours = consented(revocations=stored.revocations)
    asking = replace(ours, tokens=replace(ours.tokens, asks_account=True), purpose=PENDING if waits else TOKENS)

    after = asking.decide(replace(stored, subject=known), LATE)

    assert isinstance(after, Connection)
    assert [each.id for each in after.in_place(Place.PENDING)] == (["sealed-ours"] if waits else [])
    assert waits or after.require_current().id == "sealed-ours"


@pytest.mark.parametrize(("at", "is_left"), [(NOW + 41, True), (NOW + 40, False), (NOW + 39, False)])
def test_an_earlier_consent_takes_nothing_away_that_waits(at: int, *, is_left: bool) -> None:
    """It becomes current, and what came later goes on waiting for the application; what is older goes."""
    pending = Pending(LATE + 600, at, 0, confirmation="hash", confirm_by=LATE + 600)
    stored = consents.has_to_wait(connection(), sealed_tokens(sealed=b"waits", at=at), pending, "request-9", at)

    after = consented().decide(stored, LATE)

    assert isinstance(after, Connection)
    assert (after.require_current().id, after.unconfirmed is not None) == ("sealed-ours", is_left)


@pytest.mark.parametrize(
    ("waited_at", "waited", "waits"),
    [
        (None, (), True),
        (NOW + 39, ("sealed-9",), True),
        (NOW + 40, ("sealed-9",), True),
        (NOW + 40, ("sealed-9", "sealed-ours"), False),
        (NOW + 41, ("sealed-9",), False),
    ],
    ids=["nothing has", "older ones have", "others of that second have", "it has itself", "newer ones have"],
)
def test_what_has_waited_for_its_confirmation_does_not_wait_again(
    waited_at: int | None, waited: tuple[str, ...], *, waits: bool
) -> None:
    """A copy of it comes from the queue, after it has run out or something newer has come."""
    stored = replace(connection(), waited_at=waited_at, waited=waited)
    ours = replace(consented(confirmation="hash"), purpose=PENDING)

    after = ours.decide(stored, LATE)

    assert (after is Verdict.FOREIGN) is not waits
    assert not waits or (isinstance(after, Connection) and after.unconfirmed is not None)


@pytest.mark.parametrize("apart", [False, True])
def test_what_has_waited_for_its_account_does_not_wait_again(*, apart: bool) -> None:
    """It was found to be of another account, and a copy of it comes from the queue: nobody asks once more.

    Other tokens of the same link do: who gave them may have come with the right account this time.
    """
    ours = replace(consented(), purpose=PENDING, grants_are_apart=apart)
    ours = replace(ours, tokens=replace(ours.tokens, asks_account=True))
    once_more = replace(ours, tokens=sealed_tokens(sealed=b"sealed-once-more", at=NOW + 41, version=2))
    once_more = replace(once_more, tokens=replace(once_more.tokens, asks_account=True))
    waits = ours.decide(replace(connection(), subject="account-1"), LATE)
    assert isinstance(waits, Connection)
    gone = consents.disowned(waits, waits.in_place(Place.PENDING)[0], LATE)
    forgotten = replace(gone, sets=tuple(each for each in gone.sets if each.place is not Place.REVOKING))

    of_the_copy, of_the_other = replace(ours, purpose=TOKENS).decide(forgotten, LATE), once_more.decide(gone, LATE)

    assert ours.decide(waits, LATE) is Verdict.STORED
    assert apart or of_the_copy is Verdict.FOREIGN
    assert not apart or (isinstance(of_the_copy, Connection) and not of_the_copy.in_place(Place.PENDING))
    assert isinstance(of_the_other, Connection)
    assert [each.id for each in of_the_other.in_place(Place.PENDING)] == ["sealed-once-more"]


def test_tokens_take_their_place_though_others_of_the_same_link_are_to_be_revoked() -> None:
    """Who had consented with another account was asked to come once more."""
    ours = replace(consented(), grants_are_apart=True)
    theirs = replace(sealed_tokens(sealed=b"sealed-another", at=NOW + 39, version=2), subject="account-2")
    with_another = replace(ours, tokens=theirs)
    stored = with_another.decide(replace(connection(), subject="account-1"), LATE)
    assert isinstance(stored, Connection)
    assert [each.request_id for each in stored.in_place(Place.REVOKING)] == ["request-2"]

    after = ours.decide(stored, LATE)

    assert isinstance(after, Connection)
    assert (after.require_current().id, after.authorized_by) == ("sealed-ours", "request-2")


# On paper

NOT_ONE = "not a token response as Gatehouse writes them to the rescue queue"
REFRESH = replace(
    answered(),
    tokens=sealed_tokens(token_response(subject="acct", metadata={"region": "eu"}), bytes(range(256))),
)
AUTHORIZATION = consented(1, parameters={"shop": "ü"}, tags={"tier": "gold"}, revocations=3)
BARE = replace(
    consented(1, owner=None),
    tokens=sealed_tokens(token_response(tokens=TokenSet("AT-1"), expires_at=None, scope=None), b""),
)


@pytest.mark.parametrize("written", [REFRESH, AUTHORIZATION, BARE], ids=["refresh", "authorization", "bare"])
def test_an_answer_that_was_written_down_is_read_as_it_was(written: Obtained) -> None:
    """One line of JSON, for a queue or a log."""
    line = obtained_document.to_json(written)

    assert "\n" not in line
    assert obtained_document.from_document(json.loads(line)) == written


def test_an_answer_that_was_written_down_has_no_plaintext() -> None:
    """The only tokens in it are sealed; nothing else of `Obtained` is a secret."""
    document = json.loads(obtained_document.to_json(REFRESH))

    assert document["tokens"]["seal"]["ciphertext"] == b64encode(bytes(range(256))).decode()
    assert not {"access_token", "refresh_token"} & (document.keys() | document["tokens"].keys())


def malformed(**changes: Any) -> Any:
    """Return the document of a refresh with some of its members changed, or dropped if they are `...`."""
    document = json.loads(obtained_document.to_json(REFRESH))
    for path, value in changes.items():
        *parents, name = path.split("__")
        within = document
        for parent in parents:
            within = within[parent]
        within[name] = value
        if value is ...:
            del within[name]
    return document


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"obtained": malformed()},
        {"connection_id": "merchant-1"},
        malformed(connection_id=...),
        malformed(version=2),
        malformed(tokens=...),
        malformed(tokens=None),
        malformed(tokens="sealed"),
        malformed(tokens={}),
        malformed(tokens__seal=...),
        malformed(tokens__seal=None),
        malformed(tokens__seal__ciphertext=None),
        malformed(tokens__seal__ciphertext="not base64!"),
        malformed(tokens__seal__ciphertext="AAA"),
        malformed(tokens__seal__version=...),
        malformed(tokens__whose={}),
        malformed(tokens__id=...),
        malformed(tokens__sealed=None),
        malformed(tokens__sealed="AAAA"),
        malformed(tokens__obtained_at=...),
        malformed(tokens__unknown="x"),
        malformed(unknown="x"),
        malformed(refreshed_from="1"),
        malformed(refreshed_from={"set_id": "1"}),
        malformed(refreshed_from={"set_id": "1", "attempt": 1, "x": 1}),
        malformed(authorized=["request-1"]),
        malformed(authorized={"owner": "owner-1"}),
        malformed(refreshed_from=None),
        malformed(refreshed_from=...),
        malformed(authorized={"request_id": "request-1"}),
    ],
)
def test_a_document_that_is_no_such_answer_is_refused(document: Any) -> None:
    """With a text that names what is wrong, and repeats no value of it."""
    with pytest.raises(ValueError, match=rf"^{NOT_ONE}(: [a-z_.]+: [a-z0-9 ]+(, or null)?|: expected [a-z_ ]+)?$"):
        obtained_document.from_document(document)


KEY_ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tokens": ...}, "rescue queue"),
        ({"tokens": None}, "tokens: expected an object"),
        ({"tokens__seal__ciphertext": "not base64!"}, "tokens.seal.ciphertext: expected base64"),
        ({"tokens__seal__ciphertext": "AAA!A"}, "tokens.seal.ciphertext: expected base64"),
        ({"tokens__seal__version": "1"}, "tokens.seal.version"),
        ({"tokens__seal__version": 0}, "version and format of the seal from 1 on"),
        ({"tokens__seal__format": 0}, "version and format of the seal from 1 on"),
        ({"tokens__seal__format": 256}, "version and format of the seal from 1 on"),
        ({"tokens__seal__key": ""}, "tokens.seal.key: expected the name of a KMS key, or null"),
        ({"tokens__seal__key": "a key"}, "tokens.seal.key"),
        ({"tokens__seal__key": "k" * 2049}, "tokens.seal.key"),
        ({"tokens__whose__provider": ...}, "tokens.whose.provider: required"),
        ({"tokens__whose__provider": "Acme!"}, "expected a connection_id and a provider as start takes them"),
        ({"tokens__id": 7}, "tokens.id: expected a text"),
        ({"connection_id": "merchant 1"}, "expected a connection_id and a provider as start takes them"),
        ({"connection_id": ""}, "expected a connection_id and a provider as start takes them"),
        ({"purpose": "gatehouse/else"}, "purpose: expected gatehouse/tokens or gatehouse/pending"),
        ({"refreshed_from": {"set_id": "1"}}, "refreshed_from.attempt: required"),
        ({"authorized": {"request_id": "r"}}, "expected one of refreshed_from and authorized"),
        ({"authorized": {"owner": "o"}}, "authorized.request_id: required"),
        ({"refreshed_from": None}, "expected one of refreshed_from and authorized"),
        ({"holder": 7}, "document.holder: expected a text"),
        ({"holder": ...}, "document.holder: required"),
    ],
)
def test_the_error_names_what_is_wrong_with_a_document(changes: dict[str, Any], named: str) -> None:
    """It is in the log beside a message that was put aside: a person has to find out what wrote it."""
    with pytest.raises(ValueError, match=rf"^{NOT_ONE}") as refused:
        obtained_document.from_document(malformed(**changes))

    assert named in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens__seal__format": 255},
        {"tokens__seal__key": KEY_ARN},
        {"tokens__seal__key": "k" * 2048},
        {"tokens__seal__key": "alias/Gatehouse_Key.2"},
        {"tokens__seal__key": None},
        {"tokens__scope_missing": ["write"]},
        {"tokens__scope_missing": ...},
        {"purpose": "gatehouse/pending"},
        {"authorized": None},
        {"authorized": ...},
    ],
)
def test_a_document_may_have_whatever_an_answer_may_have(changes: dict[str, Any]) -> None:
    """A later format, any name of a key, and nothing where nothing is to be said."""
    document = malformed(**changes)

    read = obtained_document.from_document(document)

    assert from_document_again(read) == read
    seal = document["tokens"]["seal"]
    assert (read.tokens.seal.format, read.tokens.seal.key) == (seal["format"], seal["key"])
    assert read.tokens.scope_missing == tuple(document["tokens"].get("scope_missing", ()))
    assert (read.purpose, read.authorized) == (document["purpose"], None)


def from_document_again(written: Obtained) -> Obtained:
    """Return an answer as it is read after it was written down once more."""
    return obtained_document.from_document(json.loads(obtained_document.to_json(written)))


def test_an_answer_is_written_down_without_blanks() -> None:
    """A message has 256 KB at most."""
    line = obtained_document.to_json(REFRESH)

    assert '": ' not in line
    assert ", " not in line


# Whose account it is


def of_account(subject: str | None, **fields: Any) -> Obtained:
    """Return the answer to a consent that this account gave."""
    one = consented(**fields)
    return replace(one, tokens=replace(one.tokens, subject=subject))


def connected_to(subject: str | None) -> Connection:
    """Return a connection to this account."""
    return replace(connection(), subject=subject)


@pytest.mark.parametrize(
    ("stored", "given", "allowed", "stands"),
    [
        ("account-1", "account-1", False, True),
        ("account-1", "account-2", False, False),
        ("account-1", "account-2", True, True),
        ("account-1", None, False, True),
        (None, "account-2", False, True),
        (None, None, False, True),
    ],
)
def test_a_consent_of_another_account_is_foreign(
    stored: str | None, given: str | None, *, allowed: bool, stands: bool
) -> None:
    """Unless `start` allowed it. If either account is unknown they cannot be compared, and the consent is stored."""
    verdict = of_account(given, allow_new_subject=allowed).decide(connected_to(stored), LATE)

    if stands:
        assert isinstance(verdict, Connection)
        assert verdict.subject == given
    else:
        assert verdict is Verdict.FOREIGN


@pytest.mark.parametrize("status", [Status.REAUTHORIZATION_REQUIRED, Status.UNCONFIRMED])
def test_a_connection_that_vends_nothing_still_has_its_account(status: Status) -> None:
    """Only its account can authorize it again, unless it was revoked."""
    stored = replace(connected_to("account-1"), status=status)

    assert of_account("account-2").decide(stored, LATE) is Verdict.FOREIGN


def test_a_connection_that_was_revoked_is_free_for_any_account() -> None:
    """The new consent says whose it is."""
    stored = gone(connected_to("account-1"))

    verdict = of_account("account-2", revocations=stored.revocations).decide(stored, LATE)

    assert isinstance(verdict, Connection)
    assert (verdict.status, verdict.subject) == (Status.ACTIVE, "account-2")


def test_the_account_of_a_refresh_is_not_compared() -> None:
    """Nobody consented to anything: what the server says about the account is stored."""
    ours = answered()

    after = replace(ours, tokens=replace(ours.tokens, subject="account-2")).decide(
        replace(ASKED, subject="account-1"), LATE
    )

    assert isinstance(after, Connection)
    assert after.subject == "account-2"
    assert ours.is_of_another_account(replace(ASKED, subject="account-1")) is False


def test_what_was_asked_for_is_kept_beside_what_was_granted() -> None:
    """Through the queue and into the record."""
    read = obtained_document.from_document(
        json.loads(obtained_document.to_json(consented(requested_scope="read write")))
    )

    after = read.decide(connection(), LATE)

    assert isinstance(after, Connection)
    assert (after.requested_scope, after.scope) == ("read write", "read")

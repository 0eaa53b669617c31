"""Gatehouse with one safeguard broken at a time: a proof that does not notice proves nothing.

Each mutant is a broken collaborator, passed in where the sound one goes. `MUTANTS` says what each has lost.
"""

from __future__ import annotations

import contextlib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import (
    ProviderTimedOut,
    ProviderUnavailable,
    ReauthorizationRequired,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.base.timing import LEASE_MARGIN, Deadline
from functions.vault.grant import another_key, late_answers, refreshes, revocations, transition
from functions.vault.grant.belief import SHORTEST_PAUSE, Belief
from functions.vault.grant.connection import Connection
from functions.vault.grant.life import Happened, Place, Status
from functions.vault.grant.obtained import Obtained, Verdict
from functions.vault.grant.revocation_attempt import RevocationAttempt
from functions.vault.grant.seal import TOKENS
from functions.vault.storage.authorizations import Authorizations
from functions.vault.storage.connections import Connections
from functions.vault.storage.slots import Slots
from functions.vault.storage.table import Conflict
from functions.vault.usecases.committing import Committing
from functions.vault.usecases.confirming import Confirming
from functions.vault.usecases.exchanging import Exchanging
from functions.vault.usecases.importing import Importing
from functions.vault.usecases.refresh_results import RefreshResults
from functions.vault.usecases.refreshing import Refreshing
from functions.vault.usecases.resealing import Resealing
from functions.vault.usecases.revocation_results import RevocationResults
from functions.vault.usecases.revoking import Revoking
from functions.vault.usecases.second_look import SecondLook
from functions.vault.usecases.token_refresh import TokenRefresh
from functions.vault.usecases.token_revocation import TokenRevocation
from functions.vault.usecases.vending import Vending, _Wanted
from tests.torture.world import Parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.grant.authorized import Authorized
    from functions.vault.grant.lease import Lease
    from functions.vault.grant.stored_set import Pending, RefreshedFrom, StoredSet
    from functions.vault.grant.tokens import SealedTokens, TokenResponse
    from functions.vault.oauth.client import Client
    from functions.vault.oauth.visit_outcome import Outcome
    from functions.vault.provider.provider import Provider
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.aws import ClientOf
    from functions.vault.storage.shared import Taken
    from functions.vault.storage.slots import Slot
    from functions.vault.usecases.refresh_results import After
    from functions.vault.usecases.token_refresh import Plan


def _without(*attributes: str) -> type[Connections]:
    """Return a store whose conditions do not look at some attributes; at none at all if none are named."""

    class Holed(Connections):
        def _call(self, operation: str, **arguments: Any) -> Any:
            if "ConditionExpression" in arguments:
                whole = arguments.pop("ConditionExpression")
                kept = [part for part in whole.split(" AND ") if not any(f"#{name}" in part for name in attributes)]
                if attributes and kept:
                    arguments["ConditionExpression"] = " AND ".join(kept)
            return super()._call(operation, **arguments)

    return Holed


class _ByVersion(Connections):
    """Writes over what has the version that it has read, whatever else has changed."""

    def _as_read(self, was: Connection, expression: Any) -> str:
        return str(expression.is_("version", was.version))


def _reading(**methods: Any) -> type[Connections]:
    """Return a store that reads its records as connections which have lost some of their sense."""
    senseless = type("Senseless", (Connection,), methods)

    class Misreading(Connections):
        def get(self, connection_id: str) -> Connection | None:
            found = super().get(connection_id)
            if found is None:
                return None
            values = {entry.name: getattr(found, entry.name) for entry in fields(Connection)}
            misread: Connection = senseless(**values)
            return misread

    return Misreading


def _lease_of_the_current(connection: Connection) -> Lease | None:
    return connection.current.lease if connection.current else None


def _goes_on_whose_ever(connection: Connection, tokens: SealedTokens) -> StoredSet | None:
    return None if tokens.refreshable or connection.status is not Status.ACTIVE else connection.to_refresh


class _ConsumesTwice(Authorizations):
    """Lets a request be consumed again and again."""

    def _call(self, operation: str, **arguments: Any) -> Any:
        if "consumed_by" in arguments.get("ExpressionAttributeNames", {}).values():
            arguments.pop("ConditionExpression", None)
        return super()._call(operation, **arguments)


class _DoesNotReread(RefreshResults):
    """Takes `invalid_grant` for the end, whatever has become of the record meanwhile."""

    def write(self, held: Connection, after: After, *rest: Any) -> Connection:
        dead = after(held)
        if dead.status is not Status.REAUTHORIZATION_REQUIRED:
            return super().write(held, after, *rest)
        while True:
            sets = tuple(replace(each, lease=None) for each in held.sets)
            buried = replace(held, status=dead.status, failure=dead.failure, sets=sets, changes=held.changes + 1)
            try:
                self.connections.change(held, buried)
            except Conflict:
                held = self.connections.require(held.connection_id)
            else:
                return buried


class _ShortLease(Refreshing):
    """Holds its lease for two seconds, however long its request takes."""

    def _claim(
        self,
        connection: Connection,
        holder: str,
        deadline: Deadline,  # noqa: ARG002 - as it is called
        *,
        waiting: bool,
        by_caller: bool,
    ) -> Connection:
        return super()._claim(
            connection, holder, Deadline(lambda: 2.0 - LEASE_MARGIN), waiting=waiting, by_caller=by_caller
        )


class _IgnoresItsLease(TokenRefresh):
    """Gives its request the usual time, however soon its lease ends."""

    def _request(self, used: StoredSet, plan: Any, client: Client, deadline: Deadline) -> TokenResponse:  # noqa: ARG002 - as it is called
        timeout = deadline.for_http(plan.registration.provider.request_timeout)
        return client.refresh(plan.registration, plan.refresh_token, timeout)


class _Impatient(TokenRefresh):
    """Sends the refresh token of an interrupted attempt again without asking whether its answer may come yet."""

    def has_late_answer(self, held: Connection, used: StoredSet, *, is_needed: bool = True) -> bool:  # noqa: ARG002 - as it is called
        return False


class _IsInAHurry(TokenRefresh):
    """Waits in the background no longer than a caller would, who needs a token now."""

    def has_late_answer(self, held: Connection, used: StoredSet, *, is_needed: bool = True) -> bool:  # noqa: ARG002 - as it is called
        return super().has_late_answer(held, used)


class _AsksAtOnce(TokenRefresh):
    """Takes a time-out for any other failure: the server is asked again after seconds, or at once."""

    def _request(self, used: StoredSet, plan: Any, client: Client, deadline: Deadline) -> TokenResponse:
        try:
            return super()._request(used, plan, client, deadline)
        except ProviderTimedOut as error:
            raise ProviderUnavailable(error.description, outcome_unknown=True) from None


class _NeverLooks(SecondLook):
    """Believes every refusal for good."""

    def take(self, connection: Connection, _deadline: Deadline, *, by_caller: bool) -> Connection:  # noqa: ARG002 - as it is called
        return connection


class _LooksWithoutEnd(Vending):
    """Counts no look, and lets no time pass between two."""

    def _looked_at(self, connection: Connection, wanted: Any, deadline: Deadline, for_slot: Any) -> Connection:
        used = connection.to_refresh
        if used is not None and used.belief is not None:
            at = int(self.timing.now()) - SHORTEST_PAUSE
            uncounted = replace(used, belief=Belief(used.belief.since, at, next_at=at))
            connection = replace(
                connection, sets=tuple(uncounted if each is used else each for each in connection.sets)
            )
        return super()._looked_at(connection, wanted, deadline, for_slot)


class _LooksInSpiteOfTheQueue(SecondLook):
    """Asks about a refused grant although the rescue queue may hold an answer."""

    def _may_be_rescued(self, connection: Connection) -> bool:  # noqa: ARG002 - as it is called
        return False


class _LooksInSpiteOfAnother(SecondLook):
    """Asks about a refused grant although its account has authorized elsewhere since."""

    def _is_authorized_elsewhere(self, connection: Connection, deadline: Deadline) -> bool:  # noqa: ARG002 - as it is called
        return False


class _DoubtsAnyRefusal(RefreshResults):
    """Looks again at whatever was refused, also if a request came before that or the server named its cause."""

    def write(self, held: Connection, after: After, *rest: Any) -> Connection:
        jitter = self.timing.jitter()

        def doubted(stored: Connection) -> Connection:
            following, used, now = after(stored), stored.to_refresh, self.timing.now()
            if used is None or used.place is Place.KEPT or not _is_refused_now(following, used.id):
                return following
            belief = used.belief.answered(now, jitter) if used.belief else Belief.begin(now, jitter)
            refused = replace(following.require_current(), belief=belief)
            looked_at = transition.after(following, Happened.LOOKS_ENDED, now, [refused], upkeep_at=belief.next_at)
            return replace(looked_at, changes=following.changes)

        return super().write(held, doubted, *rest)


def _is_refused_now(following: Connection, set_id: str) -> bool:
    """Return whether an attempt has just ended with a refusal of this token set."""
    current = following.set_of(set_id)
    was_refused = current is not None and current.was_refused and current.lease is None
    return was_refused and following.status is Status.REAUTHORIZATION_REQUIRED


class _Stubborn(_Wanted):
    """Keeps to every pause, whatever has become of the token since."""

    def has_to_wait_until(self, connection: Connection, now: float) -> int | None:  # noqa: ARG002 - as it is called
        return connection.failure.retry_at if connection.failure else None


class _KeepsToPauses(Vending):
    """Lets what was tried while the token was good stand in the way of a caller that needs another."""

    def _obtain(self, connection: Connection, wanted: _Wanted, deadline: Deadline) -> dict[str, Any]:
        values = {entry.name: getattr(wanted, entry.name) for entry in fields(_Wanted)}
        return super()._obtain(connection, _Stubborn(**values), deadline)


class _NeverConcludes(RefreshResults):
    """Takes a refusal that nobody knows for one that will pass, however long it lasts."""

    def _refused_unknown(
        self, held: Connection, _registration: Any, error: Any, deadline: Deadline, *, needed: bool
    ) -> Connection:
        passing = ProviderUnavailable(error.description, provider_error=error.provider_error)
        return self._failed(held, passing, deadline, needed=needed)


class _ConcludesAtOnce(RefreshResults):
    """Takes the first refusal that nobody knows for the end."""

    def _refused_unknown(
        self,
        held: Connection,
        _registration: Any,
        error: Any,
        deadline: Deadline,
        *,
        needed: bool,  # noqa: ARG002 - as it is called
    ) -> Connection:
        return self.dead(held, ReauthorizationRequired(error.description), deadline)


class _OwnClock(Connections):
    """Goes by its process's clock alone."""

    def __init__(self, client_of: ClientOf, name: str, _on_date: Any = None) -> None:
        super().__init__(client_of, name)


class _NoQueue(Committing):
    """Has the record and nothing behind it."""

    def _send(self, unstored: Any) -> None:
        """Forget it."""


class _NoFallback(_NoQueue):
    """Writes the record once, and leaves it at that."""

    def _pause(self, deadline: Deadline) -> None:  # noqa: ARG002 - as it is called
        raise TemporarilyUnavailable("The record could not be written.")


@record
class _Pushy(Obtained):
    """Never gives way to what came later."""

    def decide(self, stored: Connection | None, now: float) -> Connection | Verdict:
        verdict = Obtained.decide(self, stored, now)
        came_late = isinstance(verdict, Connection) and stored is not None and verdict.set_of(self.tokens.id)
        if not came_late or stored is None or stored.current is None or self.refreshed_from is None:
            return verdict
        return (
            Verdict.RESEAL
            if self.version != stored.version + 1
            else refreshes.refreshed(stored, self.tokens, self.refreshed_from, self.holder, now)
        )


@record
class _LosesThePlaceOfTheKept(Obtained):
    """Comes late to nothing where a kept token set waits for it."""

    def _in_the_place_of(
        self, replaces: StoredSet, stored: Connection, source: RefreshedFrom, now: float
    ) -> Connection | Verdict:
        decided = Obtained._in_the_place_of(self, replaces, stored, source, now)  # noqa: SLF001 - what it breaks
        is_kept = replaces.place is Place.KEPT and self.version != stored.version + 1
        if not is_kept or not isinstance(decided, Connection):
            return decided
        return late_answers.came_late(stored, self.tokens, None, replaces.request_id, now, source)


@record
class _RevokesTheKept(Obtained):
    """Has what is kept revoked at once where grants are separate, as what is superseded is."""

    def decide(self, stored: Connection | None, now: float) -> Connection | Verdict:
        decided = Obtained.decide(self, stored, now)
        if not isinstance(decided, Connection) or not self.grants_are_apart or not decided.in_place(Place.KEPT):
            return decided
        sets = tuple(
            replace(each.to_be_revoked(now), place=Place.REVOKING) if each.place is Place.KEPT else each
            for each in decided.sets
        )
        return replace(decided, sets=sets, revocation_due_at=int(now), due_at=int(now))


@record
class _ForgetsUnwanted(Obtained):
    """Waits for its account, and has what is not the connection's own forgotten, although grants are separate."""

    def _pending(self, authorized: Authorized, now: float) -> Pending:
        pending = Obtained._pending(self, authorized, now)  # noqa: SLF001 - what it breaks
        return replace(pending, grants_are_apart=False)


def _deciding(answer: type[Obtained]) -> type[Committing]:
    """Return what stores every answer by the decision of a broken one."""

    class Deciding(Committing):
        def _write(self, unstored: Any, *rest: Any) -> Connection:
            unstored.obtained = answer(**_values_of(unstored.obtained))
            return super()._write(unstored, *rest)

    return Deciding


def _values_of(obtained: Obtained) -> dict[str, Any]:
    return {entry.name: getattr(obtained, entry.name) for entry in fields(Obtained)}


class _UsesAtOnce(Committing):
    """Takes the tokens of a consent for the connection's own, whatever their account turns out to be."""

    def _write(self, unstored: Any, *rest: Any) -> Connection:
        unstored.obtained = replace(unstored.obtained, tokens=replace(unstored.obtained.tokens, asks_account=False))
        return super()._write(unstored, *rest)


class _NeedsNoConfirmation(Obtained):
    """Takes the tokens of a consent for the connection's own, whether the application has confirmed them or not."""

    def decide(self, stored: Connection | None, now: float) -> Any:
        authorized = self.authorized
        if authorized is not None and authorized.confirmation is not None:
            unasked = replace(authorized, confirmation=None)
            return Obtained(**{**_values_of(self), "authorized": unasked}).decide(stored, now)
        return super().decide(stored, now)

    def purpose_for(self, stored: Connection | None) -> str:
        return TOKENS if self.authorized and self.authorized.confirmation else super().purpose_for(stored)


class _WaitsOnceMore(Obtained):
    """Lets tokens wait whenever they come, be it that they have waited before and were taken away."""

    def _has_waited(self, *_: Any) -> bool:
        return False

    def _is_too_late_to_be_confirmed(self, *_: Any) -> bool:
        return False


class _TakesItForTheFirst(Obtained):
    """Takes the tokens of a link for stored if the record holds others of the same link, be it to revoke them."""

    def _comes_of_it(self, held: StoredSet) -> bool:
        return held.request_id == self.request_id


class _ConfirmsAtAnyTime(Confirming):
    """Confirms what waits, however long it has waited."""

    def _waiting(self, *arguments: Any) -> StoredSet:
        at_any_time = Confirming(self.connections, self.cipher, replace(self.timing, now=lambda: 0.0))
        return at_any_time._waiting(*arguments)  # noqa: SLF001 - what it breaks

    def _confirmed(self, connection: Connection, waiting: StoredSet) -> Connection:
        return _confirmed_at(self, connection, waiting, (waiting.waits_until or 0) - 1.0)


def _confirmed_at(confirming: Confirming, connection: Connection, waiting: StoredSet, at: float) -> Connection:
    """Return a connection with its tokens confirmed, by a clock that stands."""
    frozen = Confirming(confirming.connections, confirming.cipher, replace(confirming.timing, now=lambda: at))
    return frozen._confirmed(connection, waiting)  # noqa: SLF001 - what it breaks


class _LooksAtTheClockOnce(Confirming):
    """Confirms what was in time when it was read, however long the key has taken since."""

    def _confirmed(self, connection: Connection, waiting: StoredSet) -> Connection:
        return _confirmed_at(self, connection, waiting, self.timing.now())


class _LeavesWhatWaits(Revoking):
    """Ends a connection, and leaves in it what waits to be confirmed."""

    def _end_here(self, connection_id: str, *rest: Any) -> Connection:
        was = self.connections.require(connection_id)
        ended = super()._end_here(connection_id, *rest)
        waited = [each for each in was.sets if each.is_unconfirmed and ended.set_of(each.id) is None]
        still = tuple(
            replace(each, pending=replace(each.pending, revocations=ended.revocations))
            for each in waited
            if each.pending is not None
        )
        if not still:
            return ended
        left = replace(ended, sets=(*ended.sets, *still), changes=ended.changes + 1)
        return self.connections.change_or_read(ended, left)


class _TakesForApart(Committing):
    """Takes all grants for separate ones, whatever the registration says, or does not say."""

    def _write(self, unstored: Any, *rest: Any) -> Connection:
        unstored.obtained = replace(unstored.obtained, grants_are_apart=True)
        return super()._write(unstored, *rest)


class _Uncounted(Revoking):
    """Does not count revocations, so that one which began before a revocation looks like one after it."""

    def _end_here(self, *arguments: Any) -> Connection:
        ending = super()._end_here(*arguments)
        if ending.revocations == 0:
            return ending
        uncounted = replace(ending, revocations=0, changes=ending.changes + 1)
        self.connections.change(ending, uncounted)
        return uncounted


class _ForgetsLate(RevocationResults):
    """Takes its own answer for the end of it, whatever tokens came back meanwhile."""

    def conclude(self, *arguments: Any) -> Connection:
        stored = super().conclude(*arguments)
        while stored.to_revoke:
            forgotten = revocations.revocation_confirmed(stored, stored.to_revoke[0], self.timing.now())
            self.connections.change(stored, forgotten)
            stored = forgotten
        return stored


class _ForgetsSuperseded(Revoking):
    """Ends the current token set alone, and forgets those that a consent has replaced."""

    def _end_here(self, connection_id: str, *rest: Any) -> Connection:
        was = self.connections.require(connection_id)
        current = tuple(each for each in was.sets if each.place is not Place.SUPERSEDED)
        if current != was.sets:
            self.connections.change(was, replace(was, sets=current, changes=was.changes + 1))
        return super()._end_here(connection_id, *rest)


class _ForgetsReplaced(Exchanging):
    """Stores a consent as if there had been none before it."""

    def exchange(self, *arguments: Any) -> Outcome:
        outcome = super().exchange(*arguments)
        held = self.connections.get("c")
        if held is not None and held.in_place(Place.SUPERSEDED):
            sets = tuple(each for each in held.sets if each.place is not Place.SUPERSEDED)
            with contextlib.suppress(Conflict):
                self.connections.change(held, replace(held, sets=sets, changes=held.changes + 1))
        return outcome


class _RevokesInSpiteOfAConsent(TokenRevocation):
    """Sends what is to be revoked although a newer consent stands that may end with it."""

    def _is_put_off(self, *_: Any) -> bool:
        return False


class _IgnoresLeases(TokenRevocation):
    """Takes a token set to revoke it, whoever else has it in hand."""

    def _claim(self, connection: Connection, token_set: StoredSet, *rest: Any) -> Connection:
        free = tuple(replace(each, lease=None) if each.id == token_set.id else each for each in connection.sets)
        return super()._claim(replace(connection, sets=free), token_set, *rest)


class _TrustsAnyYes(TokenRevocation):
    """Takes a yes about an access token that has run out for the end of its grant."""

    def _ask(self, held: Connection, mine: StoredSet, *rest: Any) -> RevocationAttempt:
        return super()._ask(held, replace(mine, expires_at=None), *rest)


class _TrustsTheBelief(TokenRevocation):
    """Takes a grant that is believed dead for one that has ended."""

    def _ask(self, held: Connection, mine: StoredSet, *rest: Any) -> RevocationAttempt:
        return RevocationAttempt() if mine.was_dead else super()._ask(held, mine, *rest)


class _TrustsAnAccessToken(TokenRevocation):
    """Takes the end of an access token for that of the grant, although the refresh token was refused."""

    def _ask(self, held: Connection, mine: StoredSet, *rest: Any) -> RevocationAttempt:
        attempt = super()._ask(held, mine, *rest)
        has_ended = attempt.answers.get("access_token", {}).get("answer") == "revoked"
        return RevocationAttempt(attempt.answers) if has_ended else attempt


class _SendsAsAnybody(Refreshing):
    """Refreshes as the client that the registration names now."""

    def _registration_of(self, connection: Connection, deadline: Deadline) -> Registration:
        return self.registrations.get(connection.provider, deadline).for_tenant(connection.parameters)


class _RevokesAsAnybody(TokenRevocation):
    """Revokes as the client that the registration names now."""

    def _registration_of(self, token_set: StoredSet, deadline: Deadline) -> Registration:
        whose = token_set.whose
        return self.registrations.get(whose.provider, deadline).for_tenant(whose.parameters)


class _SealsOverAnything(Resealing):
    """Seals again whatever has become of the record since it was read."""

    def _one_sealed_again(self, connection: Connection, set_id: str, counts: Any) -> Connection:
        table = self.connections
        careless = _without()(table._client_of, table._name)  # noqa: SLF001 - the same table, without a condition
        return Resealing(careless, self.cipher, self.timing)._one_sealed_again(connection, set_id, counts)  # noqa: SLF001 - what it breaks


class _BringsTheOldSetBack(Resealing):
    """Seals again as it was read first, whatever has become of the token set since: its lease, and its attempts."""

    def _one_sealed_again(self, connection: Connection, set_id: str, counts: Any) -> Connection:
        held = connection.set_of(set_id)
        if held is None:
            return connection
        sealed = self.cipher.seal_again(connection.connection_id, held)
        counts.note("resealed")

        def after(stored: Connection) -> Connection | None:
            if stored.set_of(set_id) is None:
                return None
            return another_key.sealed_again(stored, [sealed], self.timing.now())

        return self.connections.change_as_found(connection, after)


class _GivesANewVersion(Resealing):
    """Takes what is sealed again for the next version of the connection."""

    def _one_sealed_again(self, connection: Connection, set_id: str, counts: Any) -> Connection:
        now = super()._one_sealed_again(connection, set_id, counts)
        newer = replace(now, version=now.version + 1, changes=now.changes + 1)
        with contextlib.suppress(Conflict):
            self.connections.change(now, newer)
        return newer


_TOO_SHORT = 11


class _TakesAnySlot(Slots):
    """Takes a slot, whoever has it."""

    def free(self, provider: Provider, seen: Mapping[int, Taken]) -> int | None:  # noqa: ARG002 - as it is called
        return 0


class _ShortSlot(Slots):
    """Holds a slot for a few seconds less than its request may take, and does not know."""

    def _look(self, provider: Provider, mine: Taken) -> tuple[int, Taken] | None:
        found = super()._look(provider, replace(mine, until=mine.until - _TOO_SHORT))
        return None if found is None else (found[0], mine)

    def give_back(self, slot: Slot, deadline: Deadline) -> None:
        slot.taken = replace(slot.taken, until=slot.taken.until - _TOO_SHORT)
        super().give_back(slot, deadline)


class _GivesAnySlotBack(Slots):
    """Gives a slot back although the server may be at work on its request."""

    def give_back(self, slot: Slot, deadline: Deadline) -> None:
        slot.may_be_at_work = False
        super().give_back(slot, deadline)


def _is_valid_unproved(connection: Connection, seconds: int, now: float) -> bool:
    return connection.expires_at is None or now < connection.expires_at - seconds


class _ProvesWithoutALease(Importing):
    """Stores what is imported without a lease, and proves it."""

    def _write(self, existing: Connection | None, following: Connection) -> None:
        free = tuple(replace(each, lease=None) for each in following.sets)
        super()._write(existing, replace(following, sets=free))


class _ProvesFirst(Importing):
    """Sends the refresh token before anything holds it."""

    def _imported(self, *about: Any) -> tuple[Connection, Plan | None]:
        following, plan = super()._imported(*about)
        assert plan is not None
        plan.registration.provider.endpoint("token_endpoint")
        self.refreshing.client.refresh(plan.registration, plan.refresh_token, 10)
        return following, plan


class _NeverCompares(Committing):
    """Lets every consent be of another account."""

    def _write(self, unstored: Any, *rest: Any) -> Connection:
        authorized = unstored.obtained.authorized
        if authorized is not None:
            allowed = replace(authorized, allow_new_subject=True)
            unstored.obtained = replace(unstored.obtained, authorized=allowed)
        return super()._write(unstored, *rest)


MUTANTS: dict[str, Parts] = {
    "the fence: no condition on any write": Parts(connections=_without()),
    "the fence: a change since it was read": Parts(connections=_without("changes")),
    "the fence: the version, not every change": Parts(connections=_ByVersion),
    "the fence: a new record over another": Parts(connections=_without("connection_id")),
    "the fence: a response used twice": Parts(authorizations=_ConsumesTwice),
    "the lease: shorter than its request": Parts(refreshing=_ShortLease, token_refresh=_IgnoresItsLease),
    "the lease: by each process's own clock": Parts(connections=_OwnClock),
    "the wait for a response in the rescue queue": Parts(token_refresh=_Impatient),
    "the wait for a response in the rescue queue, in the background": Parts(token_refresh=_IsInAHurry),
    "the wait for the lease after a time-out": Parts(token_refresh=_AsksAtOnce),
    "the looks at what is believed dead": Parts(second_look=_NeverLooks),
    "the number of looks, and the time between them": Parts(vending=_LooksWithoutEnd),
    "the look: while the rescue queue holds an answer": Parts(second_look=_LooksInSpiteOfTheQueue),
    "the look: after a consent elsewhere": Parts(second_look=_LooksInSpiteOfAnother),
    "the look: after an attempt before the refused one": Parts(refresh_results=_DoubtsAnyRefusal),
    "the pause: when a token is needed by now": Parts(vending=_KeepsToPauses),
    "the unknown refusal: never the end": Parts(refresh_results=_NeverConcludes),
    "the unknown refusal: the end at once": Parts(refresh_results=_ConcludesAtOnce),
    "the re-read on invalid_grant": Parts(refresh_results=_DoesNotReread),
    "the fallbacks: one write, no queue, no log": Parts(committing=_NoFallback),
    "the fallbacks: no queue, no log": Parts(committing=_NoQueue),
    "the order: a late answer wins": Parts(committing=_deciding(_Pushy)),
    "the count of revocations": Parts(revoking=_Uncounted),
    "the second look after a revocation": Parts(revocation_results=_ForgetsLate),
    "the superseded: forgotten by a revocation": Parts(revoking=_ForgetsSuperseded),
    "the superseded: forgotten by a consent": Parts(exchanging=_ForgetsReplaced),
    "the superseded: revoked while a newer consent stands": Parts(token_revocation=_RevokesInSpiteOfAConsent),
    "the kept: superseded by a consent without a refresh token": Parts(
        connections=_reading(goes_on_beside=lambda _connection, _tokens: None)
    ),
    "the kept: whatever its account is": Parts(connections=_reading(goes_on_beside=_goes_on_whose_ever)),
    "the kept: refreshed without its lease": Parts(connections=_reading(lease=property(_lease_of_the_current))),
    "the kept: a late answer to it": Parts(committing=_deciding(_LosesThePlaceOfTheKept)),
    "the revocation: of what another has in hand": Parts(token_revocation=_IgnoresLeases),
    "the revocation: with an access token that has run out": Parts(token_revocation=_TrustsAnyYes),
    "the revocation: of a grant that is believed dead": Parts(token_revocation=_TrustsTheBelief),
    "the revocation: with an access token, after a refusal": Parts(token_revocation=_TrustsAnAccessToken),
    "the kept: revoked by a consent": Parts(committing=_deciding(_RevokesTheKept)),
    "the account: not compared": Parts(committing=_NeverCompares),
    "the account: right only at the second try": Parts(committing=_deciding(_TakesItForTheFirst)),
    "the waiting: used before its account is known": Parts(committing=_UsesAtOnce),
    "the waiting: asked for by nobody": Parts(connections=_reading(waits_first=property(lambda _connection: None))),
    "the waiting: used before it is confirmed": Parts(committing=_deciding(_NeedsNoConfirmation)),
    "the waiting: once more, from the queue": Parts(committing=_deciding(_WaitsOnceMore)),
    "the waiting: for its account, once more": Parts(committing=_deciding(_WaitsOnceMore)),
    "the waiting: confirmed when its time is over": Parts(confirming=_ConfirmsAtAnyTime),
    "the waiting: confirmed in time when it was read": Parts(confirming=_LooksAtTheClockOnce),
    "the waiting: confirmed after a revocation": Parts(revoking=_LeavesWhatWaits),
    "the unwanted: forgotten if grants are apart": Parts(committing=_deciding(_ForgetsUnwanted)),
    "the unwanted: revoked if nobody says that grants are apart": Parts(committing=_TakesForApart),
    "the refresh: of tokens of a moment ago": Parts(
        connections=_reading(was_just_obtained=lambda _connection, _now: False)
    ),
    "the client: not compared by a refresh": Parts(refreshing=_SendsAsAnybody),
    "the client: not compared by a revocation": Parts(token_revocation=_RevokesAsAnybody),
    "the new key: over whatever was written since": Parts(resealing=_SealsOverAnything),
    "the new key: with the lease as it was read": Parts(resealing=_BringsTheOldSetBack),
    "the new key: with a new version": Parts(resealing=_GivesANewVersion),
    "the import: vended before it is proved": Parts(connections=_reading(is_valid_for=_is_valid_unproved)),
    "the import: proved without a lease": Parts(importing=_ProvesWithoutALease),
    "the import: sent before it is stored": Parts(importing=_ProvesFirst),
    "the slot: whoever has it": Parts(slots=_TakesAnySlot),
    "the slot: shorter than its request": Parts(slots=_ShortSlot),
    "the slot: given back while the server may be at work": Parts(slots=_GivesAnySlotBack),
}

_BELIEVED_DEAD = "looks at what is believed dead"
_WITHOUT_REFRESH_TOKEN = "consents without a refresh token"
_OF_ONE_ACCOUNT = "several connections of one account, believed dead"

FAMILY_OF = {
    "the lease: shorter than its request": "slow answers",
    "the lease: by each process's own clock": "clocks",
    "the wait for a response in the rescue queue": "failing writes",
    "the wait for a response in the rescue queue, in the background": "refreshes beside what is queued",
    "the wait for the lease after a time-out": "late requests",
    "the re-read on invalid_grant": "late answers",
    "the fallbacks: no queue, no log": "failing writes",
    "the order: a late answer wins": "oversleeping",
    "the superseded: forgotten by a revocation": "revoked after consents",
    "the superseded: forgotten by a consent": "revoked after consents",
    "the superseded: revoked while a newer consent stands": "consents after a revocation",
    "the looks at what is believed dead": _BELIEVED_DEAD,
    "the number of looks, and the time between them": _BELIEVED_DEAD,
    "the look: while the rescue queue holds an answer": "looks beside what is queued",
    "the look: after a consent elsewhere": _OF_ONE_ACCOUNT,
    "the look: after an attempt before the refused one": _BELIEVED_DEAD,
    "the pause: when a token is needed by now": "callers while a server is down",
    "the unknown refusal: never the end": "refusals that nobody knows",
    "the unknown refusal: the end at once": "temporary refusals",
    "the kept: superseded by a consent without a refresh token": _WITHOUT_REFRESH_TOKEN,
    "the kept: whatever its account is": _WITHOUT_REFRESH_TOKEN,
    "the kept: refreshed without its lease": _WITHOUT_REFRESH_TOKEN,
    "the kept: a late answer to it": "kept, and late",
    "the revocation: of what another has in hand": "only live access tokens revoke",
    "the revocation: with an access token that has run out": "only live access tokens revoke",
    "the revocation: of a grant that is believed dead": "only live access tokens revoke",
    "the revocation: with an access token, after a refusal": "refused revocations",
    "the kept: revoked by a consent": _WITHOUT_REFRESH_TOKEN,
    "the account: not compared": "another account",
    "the account: right only at the second try": "another account",
    "the waiting: used before its account is known": "accounts that have to be asked",
    "the waiting: asked for by nobody": "accounts that have to be asked",
    "the waiting: used before it is confirmed": "consents that the application confirms",
    "the waiting: once more, from the queue": "confirmations, and what the queue still holds",
    "the waiting: for its account, once more": "accounts, and what the queue still holds",
    "the waiting: confirmed when its time is over": "confirmations after their time",
    "the waiting: confirmed in time when it was read": "confirmations at the last moment",
    "the waiting: confirmed after a revocation": "confirmations and a revocation",
    "the unwanted: forgotten if grants are apart": "accounts that have to be asked",
    "the refresh: of tokens of a moment ago": "callers again and again",
    "the client: not compared by a refresh": "a registration that is wrong for a while",
    "the client: not compared by a revocation": "a registration that is wrong for a while",
    "the new key: over whatever was written since": "another key, amid refreshes",
    "the new key: with the lease as it was read": "another key, amid refreshes",
    "the new key: with a new version": "another key, amid refreshes",
    "the import: vended before it is proved": "imports, and callers",
    "the import: proved without a lease": "imports, and callers",
    "the import: sent before it is stored": "imports",
    "the slot: whoever has it": "so many requests at a time",
    "the slot: shorter than its request": "so many requests at a time",
    "the slot: given back while the server may be at work": "so many requests at a time",
    "the unwanted: revoked if nobody says that grants are apart": "strangers, and a revocation",
}
"""Where a mutant is hunted; the others are among any cast of callers."""

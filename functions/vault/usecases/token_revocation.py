"""One attempt to revoke one token set at its authorization server (RFC 7009): lease, slot, requests, result.

Like a refresh, it runs under the token set's own lease, and the record says that it began before anything is sent. What
the server is asked, and what its answers mean, is in `revocation_attempt`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from functions.vault.base.errors import GatehouseError, ReauthorizationRequired, SlotsTaken
from functions.vault.base.record import record
from functions.vault.grant import revocations
from functions.vault.grant.revocation_attempt import RevocationAttempt, attempt_revocation
from functions.vault.provider.registration_changes import as_issued_to

from .revocation_results import given_back, is_ours, to_revoke

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.oauth.client import Client
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.registrations import Registrations

    from .refresh_to_revoke import RefreshToRevoke
    from .revocation_results import After, RevocationResults
    from .token_refresh import TokenRefresh


@record
class TokenRevocation:
    """Revokes token sets, one at a time."""

    registrations: Registrations
    cipher: Cipher
    client: Client
    token_refresh: TokenRefresh
    refresh_to_revoke: RefreshToRevoke
    results: RevocationResults
    timing: Timing

    def attempt(
        self, connection: Connection, token_set: StoredSet, holder: str, deadline: Deadline, slot_by: float
    ) -> Connection:
        """Try to revoke one token set, write what came of it, and return the record.

        Nothing is tried if another process holds its lease, or if its provider has no slot free until `slot_by` (Unix
        seconds).
        """
        held = self._claim(connection, token_set, holder, deadline)
        mine = to_revoke(held, token_set)
        if mine is None or not mine.is_held_by(holder):
            return held
        with ExitStack() as until_stored:
            try:
                registration = self._registration_of(mine, deadline)
                if (instead := self._instead(held, mine, registration)) is not None:
                    return self.results.change(held, mine, instead)
                client = until_stored.enter_context(self.client.in_slot(registration, deadline, slot_by))
            except SlotsTaken:
                return self.results.lease_given_back(held, mine)
            except GatehouseError as error:
                return self.results.conclude(held, mine, RevocationAttempt(failure=error))
            except Exception:
                self.results.lease_given_back(held, mine)
                raise
            held = self._begun(held, mine, deadline)
            begun = to_revoke(held, mine)
            if begun is None or not begun.is_held_by(holder):
                return held
            return self._carry_out(held, begun, registration, client, deadline)

    def _claim(self, connection: Connection, token_set: StoredSet, holder: str, deadline: Deadline) -> Connection:
        """Return the record with our lease on the token set; as it is if another holds the lease or the set is gone."""
        waiting = self.registrations.has_slots(token_set.whose.provider)

        def claimed(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if current.is_in_hand(now):
                return None
            until = now + deadline.for_lease()
            claim = current.claimed(holder, until, now, revokes=True, waiting=waiting)
            return revocations.revocation_began(stored, claim)

        return self.results.change(connection, token_set, claimed)

    def _registration_of(self, token_set: StoredSet, deadline: Deadline) -> Registration:
        """Return the registration that a token set was issued under; without its revocation if that is gone."""
        registration = self.registrations.get(token_set.whose.provider, deadline)
        registration = registration.for_tenant(token_set.whose.parameters)
        try:
            return as_issued_to(registration, token_set.whose)
        except ReauthorizationRequired:
            return registration.without_revocation()

    def _instead(self, held: Connection, mine: StoredSet, registration: Registration) -> After | None:
        """Return what becomes of a token set that is not to be sent now; None if it is to be sent."""
        if self._is_put_off(held, mine, registration):
            return _put_off
        if mine.lease is not None and mine.lease.may_be_answered and self.token_refresh.has_late_answer(held, mine):
            return given_back
        return None

    def _is_put_off(self, connection: Connection, token_set: StoredSet, registration: Registration) -> bool:
        """Return whether revoking the set might end what the user has consented to since."""
        return not registration.provider.grants_are_apart and _has_newer_consent(connection, token_set)

    def _begun(self, held: Connection, mine: StoredSet, deadline: Deadline) -> Connection:
        """Return the record with the attempt in it: from here on a request may have been sent."""
        if mine.lease is None or not mine.lease.waiting:
            return held

        def got_slot(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if not is_ours(current, mine):
                return None
            return revocations.revocation_began(stored, current.got_slot(now + deadline.for_lease()))

        return self.results.change(held, mine, got_slot)

    def _carry_out(
        self, held: Connection, mine: StoredSet, registration: Registration, client: Client, deadline: Deadline
    ) -> Connection:
        """Send the requests, with a slot if the provider has slots, and write what the server answers."""
        try:
            attempt = self._ask(held, mine, registration, client, deadline)
            if attempt.needs_refresh:
                deadline.for_http(registration.provider.request_timeout)  # with too little time nothing is begun
        except GatehouseError as error:
            return self.results.conclude(held, mine, RevocationAttempt(failure=error))
        except Exception:
            # A defect must not hold the lease until it lapses, nor count as an attempt that may have arrived.
            self.results.lease_given_back(held, mine)
            raise
        if attempt.needs_refresh:
            return self.refresh_to_revoke.refresh(held, mine, registration, attempt, client, deadline)
        return self.results.conclude(held, mine, attempt)

    def _ask(
        self, held: Connection, mine: StoredSet, registration: Registration, client: Client, deadline: Deadline
    ) -> RevocationAttempt:
        """Return what came of asking the server to revoke the tokens of the set."""

        def revoke(kind: str, token: str) -> bool:
            timeout = deadline.for_http(registration.provider.request_timeout)
            return client.revoke(registration, kind, token, timeout)

        ends_all = registration.provider.revocation_ends_authorization is True
        return attempt_revocation(
            mine,
            self.cipher.open(held.connection_id, mine),
            registration.revocable_tokens,
            revoke,
            self.timing.now,
            had_ended=held.has_ended_the_grant_of(mine, ends_all=ends_all),
            ends_all=ends_all,
            first_ends_all=registration.provider.first_revocation_ends_all,
            refuses_us=registration.has_no_method_for_revocation,
        )


def _has_newer_consent(connection: Connection, token_set: StoredSet) -> bool:
    """Return whether the user has consented again, to the same client for the same tenant.

    To revoke the old grant may end the new one with it.
    """
    current = connection.current
    return current is not None and token_set.whose.is_of_the_same_client(current.whose)


def _put_off(stored: Connection, token_set: StoredSet, now: float) -> Connection:
    """Return a record in which the set waits, unless the connection was revoked meanwhile: then it is next."""
    if _has_newer_consent(stored, token_set):
        return revocations.revocation_put_off(stored, token_set, now)
    return given_back(stored, token_set, now)

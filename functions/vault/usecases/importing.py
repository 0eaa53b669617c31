"""Importing: taking over a grant that was obtained elsewhere, proved by one refresh.

The tokens are sealed and stored first, in the same write that claims their lease. Only then is the refresh token used:
at many servers that replaces it, and from there on the record is the only place where the grant can be found again.
This function seals and never opens, so it proves the tokens that it has in hand. If it dies meanwhile, that is an
interrupted refresh like any other, and the background goes on with it.

The same call, repeated, is known by a digest of what it brings: it sends nothing, and is answered by what is stored.
But if nothing has proved the tokens, and the registration names another client, tenant or endpoint since, it is a new
import: what the server has said was of the registration that was corrected. A client that it names as a previous one
was replaced, and not wrong: what waits for its proof is left to the background, which proves it as that client.
"""

from __future__ import annotations

import json
import math
import uuid
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import (
    ConnectionRevoked,
    InvalidRequest,
    ReauthorizationRequired,
    SlotsTaken,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.base.timing import SLOT_WAIT
from functions.vault.grant import imports, unproved
from functions.vault.grant.life import ENDED, Status
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import TokenResponse
from functions.vault.storage.table import Conflict

from .parties import require_free, require_same_party

if TYPE_CHECKING:
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.imports import Brought
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.grant.tokens import SealedTokens
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations

    from .refreshing import Refreshing
    from .token_refresh import Plan, TokenRefresh

_SHORTEST_TRY = 3.0
"""Seconds of the call's time without which it is not tried again when another writer was first."""


@record
class Importing:
    """The use case `import_connection`."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    refreshing: Refreshing
    token_refresh: TokenRefresh
    timing: Timing

    def take(self, fields: dict[str, Any], deadline: Deadline, narrowing: Narrowing | None = None) -> dict[str, Any]:
        """Store the tokens of `fields` in a connection that has none, prove them, and return how it is then.

        Returns `{connection_id, status, version}`; the status is `unconfirmed` while they are not proved. Raises
        `InvalidRequest`, and changes nothing, unless the connection can take them; `ReauthorizationRequired` if the
        server refuses them, and `ProviderMisconfigured` if somebody has to mend the registration first.
        """
        connection_id, digest = fields["connection_id"], _digest_of(fields)
        existing = self.connections.get(connection_id)
        while True:
            if existing is not None:
                if narrowing is not None:
                    require_free(existing, fields.get("owner"))
                if existing.import_digest != digest:
                    _require_no_tokens(existing, fields)
                elif not self._is_another_import(existing, fields, deadline):
                    return _answer(existing)
            following, plan = self._imported(fields, existing, digest, deadline)
            try:
                self._write(existing, following)
            except Conflict:
                existing = self._read_again(connection_id, deadline)
            else:
                return _answer(following if plan is None else self._proved(following, plan, deadline))

    def _is_another_import(self, existing: Connection, fields: dict[str, Any], deadline: Deadline) -> bool:
        """Return whether the same import, repeated, is another one: an earlier registration has not proved it.

        Raises `TemporarilyUnavailable` while somebody is using these very tokens under that one.
        """
        if not imports.gives_way_to_itself(existing):
            return False
        registration, parameters = self._registered(fields, existing, deadline)
        now = self.timing.now()
        earlier = unproved.of_an_earlier_registration(existing, registration.whose(parameters), now)
        if earlier is None or (unproved.refused_in(existing) is None and _still_names(registration, earlier)):
            return False
        if earlier.lease is not None and earlier.is_in_hand(now):
            raise TemporarilyUnavailable(
                "These tokens are for another registration, and are being tried under that one: try again.",
                connection_id=existing.connection_id,
                retry_after=math.ceil(earlier.lease.until - now),
            )
        return True

    def _imported(
        self, fields: dict[str, Any], existing: Connection | None, digest: str, deadline: Deadline
    ) -> tuple[Connection, Plan | None]:
        """Return the connection with the tokens, sealed, and the plan of the refresh that proves them, if one is to.

        All that can fail before the server is asked fails here, with nothing written.
        """
        registration, parameters = self._registered(fields, existing, deadline)
        brought = _brought(fields, existing, digest, parameters)
        provider, connection_id, now = registration.provider, fields["connection_id"], self.timing.now()
        tokens = self._sealed(fields, existing, registration, brought)
        about = (connection_id, tokens, brought)
        refresh_token = fields.get("refresh_token")
        if refresh_token is None or not fields.get("prove", True):
            return imports.imported(*about, now, before=existing), None
        deadline.for_http(provider.request_timeout)  # with too little time nothing is begun
        sealer = self.cipher.prepare(connection_id, tokens.seal.version + 1, tokens.whose)
        now = self.timing.now()
        holder, until = uuid.uuid4().hex, now + deadline.for_lease()
        held = imports.has_to_be_proved(*about, holder, until, now, before=existing, waiting=provider.has_slots)
        return held, self.token_refresh.plan_with(held, held.require_used(), registration, refresh_token, sealer)

    def _registered(
        self, fields: dict[str, Any], existing: Connection | None, deadline: Deadline
    ) -> tuple[Registration, dict[str, str]]:
        """Return the registration that the tokens belong to, made for their tenant, and that tenant's parameters."""
        registration = self.registrations.whole(fields["provider"], deadline)
        stored = existing.parameters if existing else {}
        parameters = registration.provider.chosen_parameters(fields.get("parameters"), stored)
        return registration.for_tenant(parameters), parameters

    def _sealed(
        self, fields: dict[str, Any], existing: Connection | None, registration: Registration, brought: Brought
    ) -> SealedTokens:
        """Return the tokens as they are stored. What has no access token counts as one that has just expired."""
        now, provider = int(self.timing.now()), registration.provider
        access_token, subject = fields.get("access_token"), fields.get("subject")
        expires_at = fields.get("expires_at") if access_token is not None else now
        is_alive = expires_at is None or expires_at > now
        if not is_alive and "refresh_token" not in fields:
            raise InvalidRequest(
                "expires_at: expected a time in the future, in Unix seconds, since there is no refresh_token: with an "
                "access token that has expired nothing can be done.",
                connection_id=fields["connection_id"],
            )
        response = TokenResponse(
            TokenSet(access_token or "", fields.get("refresh_token")),
            expires_at=expires_at,
            scope=fields.get("scope"),
            subject=subject,
            metadata=fields.get("metadata", {}),
            asks_endpoint=is_alive and subject is None and provider.account_endpoint is not None,
        )
        version = (existing.version if existing else 0) + 1
        sealer = self.cipher.prepare(fields["connection_id"], version, registration.whose(brought.parameters))
        return response.sealed_with(sealer, provider.upkeep, now, self.timing.jitter(), first=True)

    def _write(self, existing: Connection | None, following: Connection) -> None:
        if existing is None:
            self.connections.create(following)
        else:
            self.connections.change(existing, following)

    def _read_again(self, connection_id: str, deadline: Deadline) -> Connection | None:
        if deadline.remaining() < _SHORTEST_TRY:
            raise TemporarilyUnavailable(
                "Others keep changing this connection: try again.", connection_id=connection_id, retry_after=1
            )
        return self.connections.get(connection_id)

    def _proved(self, held: Connection, plan: Plan, deadline: Deadline) -> Connection:
        """Return the record after the refresh. What could not be done now is left to the background."""
        slot_by = self.timing.now() + SLOT_WAIT
        try:
            return self.refreshing.refresh_leased(held, plan, deadline, slot_by, needed=True)
        except (SlotsTaken, TemporarilyUnavailable):
            return held


def _digest_of(fields: dict[str, Any]) -> str:
    """Return the digest by which a call is known that brings the same once more. It shows nothing of a token."""
    return sha256(b"import_connection\n" + json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _still_names(registration: Registration, earlier: StoredSet) -> bool:
    """Return whether a registration names the client of tokens as a previous one: then it is used for them still."""
    client_id = earlier.whose.client_id
    if client_id is None or client_id == registration.client_id:
        return False
    return registration.of_client(client_id) is not None


def _brought(fields: dict[str, Any], existing: Connection | None, digest: str, parameters: dict[str, str]) -> Brought:
    """Return what comes beside the tokens. What an import does not say stays as it was."""
    owner = fields.get("owner", existing.owner if existing else None)
    tags = fields.get("tags", existing.tags if existing else {})
    return imports.Brought(digest, owner, parameters, tags)


def _require_no_tokens(existing: Connection, fields: dict[str, Any]) -> None:
    """Raise `InvalidRequest` unless a connection can take an import: only a consent may replace its tokens."""
    if not imports.has_no_tokens(existing):
        raise InvalidRequest(
            "connection_id: expected an id that has no tokens, and this one has some, or some that are yet to be "
            "revoked. Revoke it and wait until its status is revoked, or choose another connection_id.",
            connection_id=existing.connection_id,
        )
    require_same_party(existing, fields)


def _answer(connection: Connection) -> dict[str, Any]:
    """Return what a call is answered by the record, the first time and whenever it is repeated."""
    about, failure = connection.connection_id, connection.failure
    if connection.status in ENDED:
        raise ConnectionRevoked(
            "The connection was revoked after this import: start again to connect it, or import other tokens.",
            connection_id=about,
        )
    if connection.status is Status.REAUTHORIZATION_REQUIRED:
        said = failure.description if failure else "The authorization server has refused the grant."
        if unproved.refused_in(connection) is not None:
            said += " If you have other tokens for this connection_id, import those: they take the place of these."
        raise ReauthorizationRequired(
            said,
            connection_id=about,
            provider_error=failure.provider_error if failure else None,
        )
    if connection.is_to_be_proved and failure is not None:
        error = failure.as_error(about, failure.at)
        if not error.retryable:
            raise error
    return {"connection_id": about, "status": str(connection.status), "version": connection.version}

"""Services in memory: the real use cases on small real stores and servers, which fail when a test wants them to."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from botocore.exceptions import ClientError

from functions.vault.base.errors import GatehouseError, TemporarilyUnavailable
from functions.vault.base.timing import NEVER, Deadline, Timing
from functions.vault.grant.seal import Seal
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import TokenResponse
from functions.vault.oauth.authorization import MOST_EXCHANGES, MOST_PUSHES, Phase, ticket_hash
from functions.vault.oauth.client import Client
from functions.vault.oauth.issuer_keys import IssuerKeys
from functions.vault.storage import sealing
from functions.vault.storage.authorizations import Authorizations
from functions.vault.storage.cipher import Cipher
from functions.vault.storage.connections import Connections
from functions.vault.storage.due import Due
from functions.vault.storage.opened import Opened
from functions.vault.storage.queues import Queue
from functions.vault.storage.registrations import Registrations
from functions.vault.storage.shared import Shared
from functions.vault.storage.slots import Slots
from functions.vault.storage.table import Conflict
from functions.vault.usecases.account_lookup import AccountLookup
from functions.vault.usecases.background_work import BackgroundWork
from functions.vault.usecases.binding import Binding
from functions.vault.usecases.committing import Committing
from functions.vault.usecases.completing import Completing
from functions.vault.usecases.confirming import Confirming
from functions.vault.usecases.declining import Declining
from functions.vault.usecases.exchanging import Exchanging
from functions.vault.usecases.exporting import Exporting
from functions.vault.usecases.importing import Importing
from functions.vault.usecases.refresh_results import RefreshResults
from functions.vault.usecases.refresh_to_revoke import RefreshToRevoke
from functions.vault.usecases.refreshing import Refreshing
from functions.vault.usecases.rescuing import Rescuing
from functions.vault.usecases.resealing import Resealing
from functions.vault.usecases.revocation_results import RevocationResults
from functions.vault.usecases.revoking import Revoking
from functions.vault.usecases.second_look import SecondLook
from functions.vault.usecases.starting import Starting
from functions.vault.usecases.stored_outcomes import StoredOutcomes
from functions.vault.usecases.sweeping import Sweeping
from functions.vault.usecases.token_refresh import TokenRefresh
from functions.vault.usecases.token_revocation import TokenRevocation
from functions.vault.usecases.vending import Vending
from tests.torture.dynamo import Dynamo
from tests.unit.samples import NOW, WHOSE, answer, connection, registration, sealed_tokens, token_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from functions.vault.grant.connection import Connection
    from functions.vault.grant.last_attempt import LastAttempt
    from functions.vault.grant.tokens import SealedTokens
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.oauth.authorization_response import ValidatedResponse
    from functions.vault.oauth.transport import Answer
    from functions.vault.provider.registration import Registration

    Happening = Callable[[], Any] | Exception | None


def down() -> TemporarilyUnavailable:
    """Return an outage of AWS."""
    return TemporarilyUnavailable("AWS is down.", retry_after=1)


class Events:
    """The calls, in order, and what happens `before` and `after` the effect of the next calls of each kind.

    An exception is raised: before the effect, the call failed; after it, its answer was lost. A function is called: it
    is what happens elsewhere at that moment.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.before: dict[str, list[Happening]] = defaultdict(list)
        self.after: dict[str, list[Happening]] = defaultdict(list)

    @contextmanager
    def call(self, kind: str) -> Iterator[None]:
        """Record a call, and make happen what is planned around its effect."""
        self.calls.append(kind)
        _happen(self.before[kind])
        yield
        _happen(self.after[kind])


def _happen(coming: list[Happening]) -> None:
    happening = coming.pop(0) if coming else None
    if isinstance(happening, Exception):
        raise happening
    if happening is not None:
        happening()


def _no_aws(service: str) -> Any:
    raise AssertionError(f"a unit test has asked for {service}")


def aws_error(code: str, operation: str = "Operation") -> ClientError:
    """Return an error of AWS that is not an outage."""
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, operation)


class MemoryConnections(Connections):
    """The table of connections as a dictionary, with the conditions of the real one."""

    def __init__(self, events: Events) -> None:
        super().__init__(_no_aws, "connections")
        self.records: dict[str, Connection] = {}
        self._events = events

    def get(self, connection_id: str) -> Connection | None:
        """Return a record."""
        with self._events.call("get"):
            return self.records.get(connection_id)

    def change(self, was: Connection, now: Connection) -> None:
        """Replace a record that is as it was read."""
        with self._events.call("change"):
            stored = self.records.get(now.connection_id)
            assert now.changes > was.changes
            if stored is None or stored.changes != was.changes:
                raise Conflict
            self.records[now.connection_id] = now

    def create(self, new: Connection) -> None:
        """Write a new record."""
        with self._events.call("create"):
            if new.connection_id in self.records:
                raise Conflict
            self.records[new.connection_id] = new

    def after(
        self, connection_id: str | None, limit: int, owner: str | None = None
    ) -> tuple[list[Connection], str | None]:
        """Return some records, by their ids."""
        with self._events.call("after"):
            ids = sorted(each for each in self.records if each > (connection_id or ""))
            found = [self.records[each] for each in ids[:limit] if owner in {None, self.records[each].owner}]
            return found, ids[limit - 1] if len(ids) > limit else None

    def note_attempt(self, connection_id: str, attempt: LastAttempt) -> None:
        """Write how an attempt to authorize ended."""
        with self._events.call("note_attempt"):
            if connection_id not in self.records:
                raise Conflict
            self.records[connection_id] = replace(self.records[connection_id], last_attempt=attempt)

    def due(self, shard: str, now: int, limit: int) -> Iterator[list[Due]]:
        """Yield what is due, in pages."""
        found = [
            Due(made.connection_id, made.provider, made.version, made.due_at, made.revocation_due_at)
            for made in self.records.values()
            if made.due_shard == shard and made.due_at is not None and made.due_at <= now
        ]
        for first in range(0, max(len(found), 1), limit):
            with self._events.call("due"):
                page = found[first : first + limit]
            yield page

    def postpone(self, due: Due, until: int) -> None:
        """Set when work is due."""
        with self._events.call("postpone"):
            stored = self.records.get(due.connection_id)
            seen = (due.version, due.due_at, due.revocation_due_at)
            if stored is None or (stored.version, stored.due_at, stored.revocation_due_at) != seen:
                raise Conflict
            is_refresh = not due.is_revocation and stored.upkeep_at == due.due_at
            times: dict[str, Any] = due.postponed(until, is_refresh=is_refresh)
            self.records[due.connection_id] = replace(stored, **times, changes=stored.changes + 1)


class MemoryAuthorizations(Authorizations):
    """The table of authorization requests as a dictionary, with the conditions of the real one but for the issuer's."""

    def __init__(self, events: Events) -> None:
        super().__init__(_no_aws, "authorizations")
        self.records: dict[str, AuthorizationRequest] = {}
        self._events = events

    def create(self, request: AuthorizationRequest) -> None:
        """Write a request."""
        with self._events.call("open"):
            self.records[request.request_id] = request

    def get(self, request_id: str) -> AuthorizationRequest | None:
        """Return a request."""
        with self._events.call("get_request"):
            return self.records.get(request_id)

    def consume(
        self, response: ValidatedResponse, holder: str, now: float, *, in_slot: bool = False
    ) -> AuthorizationRequest:
        """Take a request, once."""
        with self._events.call("consume"):
            was = self.records.get(response.browser.request_id)
            if (
                was is None
                or not _fits(response, was, now)
                or was.exchanges >= MOST_EXCHANGES
                or (was.has_slots and not in_slot)
            ):
                raise Conflict
            states = was.used_states | {response.state_hash}
            taken = replace(
                was,
                phase=Phase.CONSUMED,
                consumed_by=holder,
                consumed_at=int(now),
                used_states=states,
                exchanges=was.exchanges + 1,
                outcome=None,
            )
            self.records[was.request_id] = taken
        return taken

    def count_push(self, request: AuthorizationRequest) -> None:
        """Count a push."""
        with self._events.call("count_push"):
            was = self.records[request.request_id]
            if was.pushes >= MOST_PUSHES:
                raise Conflict
            self.records[request.request_id] = replace(was, pushes=was.pushes + 1)

    def fail(self, response: ValidatedResponse, attempt: LastAttempt, now: float) -> AuthorizationRequest:
        """Store an error response."""
        with self._events.call("fail"):
            was = self.records.get(response.browser.request_id)
            if was is None or not _fits(response, was, now):
                raise Conflict
            failed = replace(was, phase=Phase.FAILED, outcome=attempt.error, last_attempt=attempt)
            self.records[was.request_id] = failed
        return failed

    def note_attempt(self, request: AuthorizationRequest, attempt: LastAttempt) -> None:
        """Note a refused response."""
        with self._events.call("note_refused"):
            self.records[request.request_id] = replace(self.records[request.request_id], last_attempt=attempt)

    def reopen(self, request: AuthorizationRequest, attempt: LastAttempt) -> AuthorizationRequest:
        """Reopen a request that has failed."""
        with self._events.call("reopen"):
            if self.records[request.request_id].consumed_by != request.consumed_by:
                raise Conflict
            failed = replace(request, phase=Phase.FAILED, outcome=attempt.error, last_attempt=attempt)
            self.records[request.request_id] = failed
        return failed

    def close(self, request: AuthorizationRequest, attempt: LastAttempt) -> None:
        """Close a request that came to nothing."""
        with self._events.call("close"):
            self.records[request.request_id] = replace(request, outcome=attempt.error, last_attempt=attempt)


def _fits(response: ValidatedResponse, was: AuthorizationRequest, now: float) -> bool:
    return (
        not was.has_expired(now)
        and was.ticket_hash == ticket_hash(response.browser.ticket_secret)
        and was.provider == response.provider
        and was.phase is not Phase.CONSUMED
        and response.state_hash not in was.used_states
    )


class MemoryShared(Shared):
    """The notes of what connections share, in a dictionary."""

    def __init__(self, events: Events) -> None:
        super().__init__(_no_aws, "shared")
        self.refreshed: dict[tuple[str, str], int] = {}
        self.authorized: dict[tuple[str, str, str], list[tuple[str, int]]] = defaultdict(list)
        self._events = events

    def note_refreshed(self, provider: str, client_id: str, now: float, _deadline: Deadline) -> None:
        """Note it each time."""
        with self._events.call("note"):
            self.refreshed[provider, client_id] = int(now)

    def last_refreshed(self, provider: str, client_id: str) -> int | None:
        """Return when that was."""
        with self._events.call("last_refreshed"):
            return self.refreshed.get((provider, client_id))

    def note_authorized(
        self, provider: str, client_id: str, subject: str, connection_id: str, now: float, _deadline: Deadline
    ) -> None:
        """Note it."""
        with self._events.call("note"):
            self.authorized[provider, client_id, subject].append((connection_id, int(now)))

    def authorized_elsewhere(self, provider: str, client_id: str, subject: str, connection_id: str) -> int | None:
        """Return when that was, by another connection."""
        with self._events.call("authorized_elsewhere"):
            noted = self.authorized[provider, client_id, subject]
            return max((at for by, at in noted if by != connection_id), default=None)


class MemoryRegistrations(Registrations):
    """Registrations by name, without Secrets Manager."""

    def __init__(self, events: Events) -> None:
        super().__init__(_no_aws, "", Server(events), lambda: 0.0, loopback_http=False)
        self.known: dict[str, Registration] = {"acme": registration(), "other": registration(name="other")}
        self._events = events

    def get(self, name: str, deadline: Deadline = NEVER) -> Registration:
        """Return a registration. Whoever asks for one says until when: a server may have to be asked for it."""
        assert deadline.remaining() < math.inf
        with self._events.call("registration"):
            return self.known[name]

    def has_slots(self, name: str) -> bool:
        """Return whether the provider limits how many requests it takes at a time."""
        return name in self.known and self.known[name].provider.has_slots

    def reread(self, _refused: Registration) -> Registration | None:
        """Find nothing new."""
        with self._events.call("reread"):
            return None


class MemoryKms:
    """A KMS: it makes data keys, and decrypts them by their own key, under the same encryption context."""

    def __init__(self, events: Events) -> None:
        self.keys: dict[bytes, tuple[bytes, Mapping[str, str], str]] = {}
        self._events = events

    def generate_data_key(self, **arguments: Any) -> dict[str, bytes]:
        """Return a new key."""
        with self._events.call("data_key"):
            key, wrapped = os.urandom(32), os.urandom(48)
            self.keys[wrapped] = key, arguments["EncryptionContext"], arguments["KeyId"]
            return {"Plaintext": key, "CiphertextBlob": wrapped}

    def decrypt(self, **arguments: Any) -> dict[str, bytes]:
        """Decrypt a key."""
        with self._events.call("decrypt"):
            key, context, key_id = self.keys.get(arguments["CiphertextBlob"], (b"", None, arguments["KeyId"]))
            if key_id != arguments["KeyId"]:
                raise aws_error("IncorrectKeyException", "Decrypt")
            if context != arguments["EncryptionContext"]:
                raise aws_error("InvalidCiphertextException", "Decrypt")
            return {"Plaintext": key}


class Server:
    """An authorization server: it issues AT-2 and RT-2, AT-3 and RT-3, ..., and confirms every revocation.

    `answers` come first, one for each request. A callable is called with the request's form.
    """

    def __init__(self, events: Events) -> None:
        self.answers: list[Answer | Exception | Callable[[dict[str, str]], Answer]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.timeouts: list[float] = []
        self.issued = 1
        self._events = events

    def send(self, _method: str, url: str, _headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Answer one request."""
        with self._events.call("http"):
            form = dict(parse_qsl(body or ""))
            self.requests.append((url, form))
            self.timeouts.append(timeout)
            following = self.answers.pop(0) if self.answers else self.issue
            if isinstance(following, Exception):
                raise following
            return following(form) if callable(following) else following

    def issue(self, form: dict[str, str]) -> Answer:
        """Issue the next tokens, or confirm a revocation."""
        if "token" in form:
            return answer("{}")
        self.issued += 1
        document = {"access_token": f"AT-{self.issued}", "refresh_token": f"RT-{self.issued}", "expires_in": 3600}
        return answer(json.dumps(document))

    @property
    def refresh_tokens(self) -> list[str]:
        """Return the refresh tokens that were used, in order."""
        return [form["refresh_token"] for _, form in self.requests if "refresh_token" in form]

    @property
    def codes(self) -> list[str]:
        """Return the codes that were exchanged, in order."""
        return [form["code"] for _, form in self.requests if "code" in form]

    @property
    def revoked(self) -> list[str]:
        """Return the tokens that were sent for revocation, in order."""
        return [form["token"] for _, form in self.requests if "token" in form]


class MemoryQueue(Queue):
    """A queue that keeps its messages."""

    def __init__(self, events: Events, kind: str) -> None:
        super().__init__(_no_aws, "")
        self.messages: list[dict[str, str]] = []
        self._events = events
        self._kind = kind

    def send(self, body: str, *, group: str = "", deduplication: str = "") -> None:
        """Keep a message."""
        with self._events.call(self._kind):
            self.messages.append({"body": body, "group": group, "deduplication": deduplication})

    def is_empty(self) -> bool:
        """Return whether it is empty."""
        with self._events.call(f"{self._kind}_is_empty"):
            return not self.messages


class MemoryServices:
    """All parts together, at the time `NOW`. Time passes only by sleeping and by `pass_time`.

    `key_ids` are the key that seals, and the other one that opens, if there is one.
    """

    def __init__(self, *key_ids: str) -> None:
        self._key_ids = key_ids or ("key-1",)
        self.now = float(NOW)
        self.slept: list[float] = []
        self.logged: list[str] = []
        self.events = Events()
        self.connections = MemoryConnections(self.events)
        self.authorizations = MemoryAuthorizations(self.events)
        self.dynamo = Dynamo({"shared": "about"})
        self.registrations = MemoryRegistrations(self.events)
        self.shared = MemoryShared(self.events)
        self.kms = MemoryKms(self.events)
        self.server = Server(self.events)
        self.rescue_queue = MemoryQueue(self.events, "rescue_queue")
        self.refresh_queue = MemoryQueue(self.events, "refresh_queue")
        self.revoke_queue = MemoryQueue(self.events, "revoke_queue")
        self.timing = Timing(now=lambda: self.now, sleep=self._sleep, jitter=lambda: 0.5)
        self.cipher = self.new_cipher()
        self.cipher.keep(Opened(lambda: self.now))
        keys = IssuerKeys(self.server, lambda: self.now)
        self.table_of_slots = Shared(lambda _service: self.dynamo, "shared")
        self.slots = Slots(self.table_of_slots, self.timing)
        self.client = Client(
            self.server,
            lambda: self.now,
            reread=self.registrations.reread,
            issuer_keys=keys,
            slots=self.slots,
            wall_clock=lambda: self.now,
        )
        self.committing = Committing(self.connections, self.rescue_queue, self._last_resort, self.timing)
        parts_of_start = (self.connections, self.authorizations, self.registrations, self.timing)
        self.starting = Starting("https://gate.example", *parts_of_start, may_push=True)
        parts = (self.registrations, self.cipher, self.client)
        self.binding = Binding(True, self.authorizations, self.registrations, self.client, self.timing)  # noqa: FBT003 - over https
        self.token_refresh = self.token_refresh_with()
        self.refreshing = self.refreshing_with()
        self.account_lookup = AccountLookup(self.connections, *parts, self.committing, self.shared, self.timing)
        self.second_look = SecondLook(
            self.connections, self.registrations, self.committing, self.shared, self.refreshing, self.timing
        )
        self.vending = Vending(
            self.connections, self.cipher, self.refreshing, self.second_look, self.account_lookup, self.timing
        )
        self.revoking = self.revoking_with()
        self.stored_outcomes = StoredOutcomes(self.connections, self.authorizations, self.timing)
        self.completing = self.completing_with()
        self.confirming = Confirming(self.connections, self.cipher, self.timing)
        imports_with = (self.registrations, self.new_cipher(), self.refreshing, self.token_refresh)
        self.importing = Importing(self.connections, *imports_with, self.timing)
        self.rescuing = Rescuing(self.new_cipher(), self.committing)
        self.resealing = Resealing(self.connections, self.new_cipher(), self.timing)
        self.exporting = Exporting(self.connections, self.new_cipher(), self.timing)
        self.sweeping = Sweeping(
            self.connections, self.table_of_slots, self.refresh_queue, self.revoke_queue, self.timing
        )
        self.background_work = BackgroundWork(
            self.connections, self.table_of_slots, self.vending, self.revoking, self.timing
        )

    def token_refresh_with(self, *, cipher: Cipher | None = None, timing: Timing | None = None) -> TokenRefresh:
        """Return what refreshes a token set, with these parts in place of its own."""
        cipher, timing = cipher or self.cipher, timing or self.timing
        return TokenRefresh(self.connections, cipher, self.committing, self.shared, timing)

    def refreshing_with(
        self,
        *,
        registrations: Any = None,
        cipher: Cipher | None = None,
        client: Client | None = None,
        timing: Timing | None = None,
    ) -> Refreshing:
        """Return what refreshes a connection's token set, with these parts in place of its own."""
        registrations, client = registrations or self.registrations, client or self.client
        timing = timing or self.timing
        token_refresh = self.token_refresh_with(cipher=cipher, timing=timing)
        results = RefreshResults(self.connections, self.shared, timing)
        return Refreshing(self.connections, registrations, client, token_refresh, results, timing)

    def revoking_with(
        self, *, registrations: Any = None, client: Client | None = None, timing: Timing | None = None
    ) -> Revoking:
        """Return what revokes connections, with these parts in place of its own."""
        registrations, client = registrations or self.registrations, client or self.client
        timing = timing or self.timing
        results = RevocationResults(self.connections, timing)
        token_revocation = TokenRevocation(
            registrations,
            self.cipher,
            client,
            self.token_refresh,
            RefreshToRevoke(self.token_refresh, results, timing),
            results,
            timing,
        )
        return Revoking(self.connections, registrations, token_revocation, timing)

    def completing_with(self, *, registrations: Any = None, client: Client | None = None) -> Completing:
        """Return what completes authorization requests, with these parts in place of its own."""
        registrations, client = registrations or self.registrations, client or self.client
        exchanging = Exchanging(
            self.connections,
            self.authorizations,
            registrations,
            self.cipher,
            client,
            self.committing,
            self.shared,
            self.account_lookup,
            self.stored_outcomes,
            self.timing,
        )
        declining = Declining(self.authorizations, self.stored_outcomes, self.timing)
        parts = (self.authorizations, registrations, exchanging, declining, self.stored_outcomes)
        return Completing(*parts, self.timing)

    def _sleep(self, seconds: float) -> None:
        with self.events.call("sleep"):
            self.slept.append(seconds)
            self.now += seconds

    def _last_resort(self, line: str) -> None:
        with self.events.call("log"):
            self.logged.append(line)

    def new_cipher(self) -> Cipher:
        """Return the cipher of a newly started function, with nothing in memory."""
        return Cipher(lambda _service: self.kms, *self._key_ids)

    def pass_time(self, seconds: float) -> Callable[[], None]:
        """Return a function that lets time pass in the middle of a call."""

        def passing() -> None:
            self.now += seconds

        return passing

    def deadline(self, seconds: float = 29.0) -> Deadline:
        """Return the deadline of a call that begins now."""
        ends_at = self.now + seconds
        return Deadline(lambda: ends_at - self.now)

    def connect(self, tokens: TokenSet | None = None, **fields: Any) -> Connection:
        """Store a connection at version 1 with AT-1 and RT-1, and clear the list of calls."""
        given = tokens or TokenSet("AT-1", "RT-1")
        version, provider = fields.get("version", 1), fields.get("provider", "acme")
        whose = replace(WHOSE, provider=provider, parameters=fields.get("parameters", WHOSE.parameters))
        sealer = self.new_cipher().prepare(fields.get("connection_id", "merchant-1"), version, whose, f"set-{version}")
        response = TokenResponse(given, expires_at=int(self.now) + 3600, scope="read")
        made = connection(tokens=sealed_tokens(response, sealer, at=int(self.now)), now=self.now, **fields)
        self.connections.records[made.connection_id] = made
        self.events.calls.clear()
        return made

    def sealed(self, given: TokenSet, version: int, **response: Any) -> SealedTokens:
        """Return tokens sealed by a function with nothing in memory."""
        sealer = self.new_cipher().prepare("merchant-1", version, WHOSE)
        return sealed_tokens(token_response(tokens=given, **response), sealer)

    def sealed_before(self, given: TokenSet, version: int = 1) -> Seal:
        """Return tokens sealed in format 1."""
        context = sealing.context_of("merchant-1", "acme", version)
        key, wrapped = os.urandom(32), os.urandom(48)
        self.kms.keys[wrapped] = key, context, "key-1"
        return Seal(sealing.seal(given.to_bytes(), context, key, wrapped, made_as=1), 1, version)

    def stored(self, connection_id: str = "merchant-1") -> Connection:
        """Return what is stored."""
        return self.connections.records[connection_id]

    def tokens(self, connection_id: str = "merchant-1") -> TokenSet:
        """Return the stored tokens, opened without a call that the test would see."""
        opened = Cipher(lambda _service: _Opening(self.kms), *self._key_ids)
        return opened.tokens_of(self.stored(connection_id))

    def token(self, seconds: float = 29.0, min_ttl: int = 60) -> dict[str, Any]:
        """Ask for a token, and return the result or the error."""
        try:
            return self.vending.token("merchant-1", min_ttl, self.deadline(seconds))
        except GatehouseError as error:
            return _explained(error)

    def refresh(self, if_version: int | None = None) -> dict[str, Any]:
        """Ask for a refresh, likewise."""
        try:
            return self.vending.refresh("merchant-1", if_version, self.deadline())
        except GatehouseError as error:
            return _explained(error)

    def revoke(self, seconds: float = 29.0) -> str:
        """Revoke the connection, and return its status."""
        return str(self.revoking.revoke("merchant-1", self.deadline(seconds))["status"])


def _explained(error: GatehouseError) -> dict[str, Any]:
    """Return what callers get of a failure: each has a text for whoever reads it, so no test has to say that."""
    result = error.as_result()
    assert result["error_description"]
    return result


class _Opening:
    """The KMS without the record of its calls."""

    def __init__(self, kms: MemoryKms) -> None:
        self._keys = kms.keys

    def decrypt(self, **arguments: Any) -> dict[str, bytes]:
        key, context, _ = self._keys[arguments["CiphertextBlob"]]
        assert context == arguments["EncryptionContext"], "the ciphertext is not this record's"
        return {"Plaintext": key}

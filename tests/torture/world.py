"""Gatehouse in a world of its own: the real use cases and stores, with every edge in the scheduler's hand."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from functions.vault.base.timing import NEVER, Deadline, SharedClock, Timing
from functions.vault.oauth.authorization import BrowserBinding, new_secret
from functions.vault.oauth.authorization_response import ValidatedResponse
from functions.vault.oauth.client import Client
from functions.vault.storage.authorizations import Authorizations
from functions.vault.storage.cipher import Cipher
from functions.vault.storage.connections import Connections
from functions.vault.storage.opened import Opened
from functions.vault.storage.queues import Queue
from functions.vault.storage.shared import Shared
from functions.vault.storage.slots import Slots
from functions.vault.usecases.account_lookup import AccountLookup
from functions.vault.usecases.committing import Committing
from functions.vault.usecases.completing import Completing
from functions.vault.usecases.confirming import Confirming
from functions.vault.usecases.declining import Declining
from functions.vault.usecases.exchanging import Exchanging
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
from tests.torture import edges, records
from tests.torture.dynamo import Dynamo
from tests.torture.edges import AUTHORIZATIONS, CONNECTIONS, SHARED
from tests.torture.id_tokens import WarmKeys
from tests.torture.scheduler import Fault, Message, Point
from tests.torture.server import Server
from tests.torture.wire import CLIENT, PROVIDER, registrations_of, transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.base.errors import GatehouseError
    from functions.vault.grant.token_set import TokenSet
    from functions.vault.oauth.visit_outcome import Outcome
    from functions.vault.storage.registrations import Registrations
    from tests.torture.scheduler import Actor, Scheduler
    from tests.torture.server import Profile
    from tests.torture.wire import OnTheWire, RevocationRequest, TokenRequest

CONNECTION = "c"
ACCOUNT = "one"
"""The connection and the account of whoever is not said to have another."""

KEY, NEW_KEY = "key", "new-key"
"""The key that seals at the beginning, and the one that seals once keys are changed."""


_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Parts:
    """What a process is put together from. A mutation proof passes a broken part here."""

    connections: type[Connections] = Connections
    authorizations: type[Authorizations] = Authorizations
    committing: type[Committing] = Committing
    token_refresh: type[TokenRefresh] = TokenRefresh
    refresh_results: type[RefreshResults] = RefreshResults
    refreshing: type[Refreshing] = Refreshing
    second_look: type[SecondLook] = SecondLook
    vending: type[Vending] = Vending
    revocation_results: type[RevocationResults] = RevocationResults
    token_revocation: type[TokenRevocation] = TokenRevocation
    revoking: type[Revoking] = Revoking
    exchanging: type[Exchanging] = Exchanging
    confirming: type[Confirming] = Confirming
    importing: type[Importing] = Importing
    resealing: type[Resealing] = Resealing
    slots: type[Slots] = Slots


class Observer:
    """What the world reports of itself; `invariants.Watch` is the one that judges it."""

    def wrote(self, actor: Actor | None, table: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Notice a write that took effect."""

    def queued(self, queue: str, body: str) -> None:
        """Notice a message that a queue took, or a line that the log did."""

    def sent(self, request: OnTheWire) -> None:
        """Notice a request on its way to an endpoint."""

    def asked(self, request: TokenRequest) -> None:
        """Notice a token request on its way."""

    def refused(self, actor: Actor, connection_id: str, error: GatehouseError) -> None:
        """Notice a caller that got no token."""

    def revoking(self, request: RevocationRequest) -> None:
        """Notice a revocation on its way."""

    def revoked(self, request: RevocationRequest) -> None:
        """Notice a revocation that took effect, or might have: what it ended is in it."""


class World:
    """One deployment: tables, key, queues, log, authorization server, and processes made as they are needed.

    `accounts` says whose each connection is: one account may have several.
    """

    def __init__(
        self, scheduler: Scheduler, profile: Profile, parts: Parts | None = None, dynamo: Dynamo | None = None
    ) -> None:
        self.scheduler = scheduler
        self.profile = profile
        self.accounts = {CONNECTION: ACCOUNT}
        self.parts = parts or Parts()
        self.server = Server(profile)
        self.dynamo = dynamo or Dynamo({CONNECTIONS: "connection_id", AUTHORIZATIONS: "request_id"})
        self.shared = Dynamo({SHARED: "about"})
        self.keys: dict[bytes, tuple[bytes, dict[str, str]]] = {}
        self.requests: list[TokenRequest] = []
        self.revocations: list[RevocationRequest] = []
        self.log: list[str] = []
        self.observer = Observer()
        self.registrations = registrations_of(profile)
        self.key_ids: tuple[str, ...] = (KEY,)
        """The key that seals, and the other one that opens, if there is one."""
        self.truth = Cipher(lambda _service: edges.keys(self), KEY, NEW_KEY)
        self.is_set_up = False
        self.begins_refused = False
        self.to_confirm: set[str] = set()
        """The requests whose tokens the application has to confirm."""
        self.imports: dict[str, dict[str, Any]] = {}
        """What is imported into each connection: all who import it bring the same."""
        self.vouched_for: set[str] = set()
        """Those among them that it has set out to confirm."""
        self._sent: set[tuple[str, str]] = set()
        self._turns: dict[int, list[float]] = {}
        self._plain: dict[int, tuple[Mapping[str, Any], dict[str, Any]]] = {}
        self._numbers = count(1)

    def item(self, connection_id: str = CONNECTION) -> dict[str, Any]:
        """Return the attributes of a connection as they are stored, as plain values; empty if there is none."""
        return self.plain(self.dynamo.items[CONNECTIONS].get(connection_id, _NOTHING))

    def turns(self) -> list[float]:
        """Return the times at which what is stored turns into something else: a lease lapses, a delay is over."""
        items = [self.dynamo.items[CONNECTIONS].get(each, _NOTHING) for each in self.accounts]
        return [time for item in items for time in self._turns_of(item)]

    def _turns_of(self, item: Mapping[str, Any]) -> list[float]:
        if id(item) not in self._turns:
            self._turns[id(item)] = records.turns(self.plain(item))
        return self._turns[id(item)]

    def plain(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stored item's plain values, made once: an item is replaced, and never changed."""
        _, values = self._plain.get(id(item), (None, None))
        if values is None:
            values = records.plain(item)
            self._plain[id(item)] = item, values
        return values

    def authorized_elsewhere(self, connection_id: str) -> int | None:
        """Return when the account of a connection last authorized the client by another one, as far as is noted."""
        subject = self.item(connection_id).get("subject")
        shared = Shared(lambda _service: self.shared, SHARED)
        return None if subject is None else shared.authorized_elsewhere(PROVIDER, CLIENT, subject, connection_id)

    def opened(self, connection_id: str, stored: Mapping[str, Any]) -> TokenSet:
        """Return what a stored token set holds, with no call noticed by anybody."""
        return self.truth.open(connection_id, records.sealed(stored))

    def send_message(self, queue: str, body: str, group: str, deduplication: str) -> None:
        """Put a message into a queue; a FIFO queue takes one deduplication id once."""
        self.observer.queued(queue, body)
        if queue == "refresh" and (queue, deduplication) in self._sent:
            return
        self._sent.add((queue, deduplication))
        now = self.scheduler.now
        self.scheduler.messages.append(Message(queue, body, group, next(self._numbers), visible_at=now, sent_at=now))


class Process:
    """One cold start: the use cases, put together as `services.Services` does."""

    def __init__(self, world: World, actor: Actor | None, parts: Parts | None = None) -> None:
        self.world = world
        self.actor = actor
        scheduler, parts = world.scheduler, parts or world.parts
        skew = actor.skew if actor else 0.0
        client_of = edges.clients(world).__getitem__
        clock = SharedClock(lambda: scheduler.now + skew)
        self.timing = Timing(clock.now, scheduler.sleep, scheduler.strategy.jitter)
        if actor is not None:
            actor.notes["clock"] = clock.now
        self.connections = parts.connections(client_of, CONNECTIONS, clock.correct_by)
        self.authorizations = parts.authorizations(client_of, AUTHORIZATIONS, clock.correct_by)
        self.cipher = Cipher(client_of, *world.key_ids)
        self.cipher.keep(Opened(self.timing.now))
        wire, now = transport(world), self.timing.now
        self.committing = parts.committing(self.connections, Queue(client_of, "rescue"), self._last_resort, self.timing)
        shared = Shared(client_of, SHARED, clock.correct_by)
        slots = parts.slots(shared, self.timing)
        self.client = Client(wire, now, issuer_keys=WarmKeys(wire, now), wall_clock=now, slots=slots)
        common = (self.registrations, self.cipher, self.client, self.committing, shared, self.timing)
        self.token_refresh = parts.token_refresh(self.connections, self.cipher, self.committing, shared, self.timing)
        results = parts.refresh_results(self.connections, shared, self.timing)
        self.refreshing = parts.refreshing(
            self.connections, self.registrations, self.client, self.token_refresh, results, self.timing
        )
        account_lookup = AccountLookup(self.connections, *common)
        self.second_look = parts.second_look(
            self.connections, self.registrations, self.committing, shared, self.refreshing, self.timing
        )
        self.vending = parts.vending(
            self.connections, self.cipher, self.refreshing, self.second_look, account_lookup, self.timing
        )
        stored_outcomes = StoredOutcomes(self.connections, self.authorizations, self.timing)
        exchanging = parts.exchanging(
            self.connections,
            self.authorizations,
            self.registrations,
            self.cipher,
            self.client,
            self.committing,
            shared,
            account_lookup,
            stored_outcomes,
            self.timing,
        )
        declining = Declining(self.authorizations, stored_outcomes, self.timing)
        self.completing = Completing(
            self.authorizations, self.registrations, exchanging, declining, stored_outcomes, self.timing
        )
        revocation_results = parts.revocation_results(self.connections, self.timing)
        token_revocation = parts.token_revocation(
            self.registrations,
            self.cipher,
            self.client,
            self.token_refresh,
            RefreshToRevoke(self.token_refresh, revocation_results, self.timing),
            revocation_results,
            self.timing,
        )
        self.revoking = parts.revoking(self.connections, self.registrations, token_revocation, self.timing)
        self.confirming = parts.confirming(self.connections, self.cipher, self.timing)
        self.importing = parts.importing(
            self.connections, self.registrations, self.cipher, self.refreshing, self.token_refresh, self.timing
        )
        self.rescuing = Rescuing(self.cipher, self.committing)
        self.resealing = parts.resealing(self.connections, self.cipher, self.timing)
        self.sweeping = Sweeping(
            self.connections,
            shared,
            Queue(client_of, "refresh.fifo"),
            Queue(client_of, "revoke"),
            self.timing,
        )
        parts_of_start = (self.connections, self.authorizations, self.registrations, self.timing)
        self.starting = Starting("https://gatehouse.test", *parts_of_start, may_push=True)

    @property
    def registrations(self) -> Registrations:
        """Return the registrations of this world."""
        return self.world.registrations

    @property
    def deadline(self) -> Deadline:
        """Return when this process's time is up."""
        actor, scheduler = self.actor, self.world.scheduler
        if actor is None:
            return Deadline(lambda: 1000.0)
        return Deadline(lambda: actor.deadline - scheduler.now)

    def consent(self, connection_id: str, account: str | None = None, *, confirm: bool = False) -> ValidatedResponse:
        """Start an authorization, and let the user say yes: the response that the browser brings to the callback.

        The user is the one whose connection it is, or has another `account`. `confirm`: the application has to.
        """
        about = {"provider": PROVIDER, "connection_id": connection_id, "confirm": confirm}
        started = self.starting.start(about, NEVER)
        self.world.to_confirm |= {started["request_id"]} if confirm else set()
        request_id, _, secret = started["authorize_url"].rpartition("/")[2].partition(".")
        return self._consented(connection_id, request_id, secret, account)

    def consent_again(self, response: ValidatedResponse, connection_id: str) -> ValidatedResponse:
        """Let the one whose connection it is open the link of that response again, and say yes."""
        return self._consented(connection_id, response.browser.request_id, response.browser.ticket_secret)

    def _consented(
        self, connection_id: str, request_id: str, secret: str, account: str | None = None
    ) -> ValidatedResponse:
        code = self.world.server.consent(connection_id, request_id, account or self.world.accounts[connection_id])
        return ValidatedResponse(PROVIDER, BrowserBinding(request_id, secret, new_secret()), None, code)

    def take_over(self, connection_id: str, number: int = 1) -> Any:
        """Be the operator who brings a grant of the connection's account along; each `number` is another one."""
        world, name = self.world, f"{connection_id} {number}"
        if name not in world.imports:
            about = (connection_id, f"import of {name}", world.accounts[connection_id], world.scheduler.now)
            issue = world.server.issue_elsewhere(*about)
            tokens = {"refresh_token": issue.refresh_token, "access_token": issue.access_token}
            world.imports[name] = {"provider": PROVIDER, "connection_id": connection_id, **tokens}
        return self.importing.take(dict(world.imports[name]), self.deadline)

    def confirm(self, connection_id: str, response: ValidatedResponse) -> Any:
        """Be the application to which the browser has come back with its confirmation."""
        self.world.vouched_for.add(response.browser.request_id)
        return self.confirming.confirm(connection_id, response.browser.confirmation, None, self.deadline)

    def complete(self, response: ValidatedResponse) -> Outcome:
        """Be the callback that the browser calls."""
        return self.completing.complete(response, self.deadline)

    def _last_resort(self, document: str) -> None:
        world = self.world

        def write() -> None:
            world.log.append(document)
            world.observer.queued("log", document)

        world.scheduler.call(Point("log", "write", faults=(Fault.CRASH,)), write, edges.aws_failure)

"""What has to hold while a world is at work (DESIGN section 10), judged from outside.

That is by the server's own books and by what is written down. What is left at the end is judged in `judging`.

A token response is *secured* once a write holds it: the record, the rescue queue or the log. It is *lost on the wire*
if its answer never reached a client, *lost in a crash* if the client died before any write could hold it. Those
two nobody can prevent, and they are counted; everything else that is missing is a violation.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import GatehouseError
from functions.vault.base.timing import QUEUE_SPEAKS_FOR, RESCUED_WITHIN, TOLERATED
from functions.vault.grant import obtained_document
from functions.vault.grant.belief import BACKGROUND, BY_CALLERS, SHORTEST_PAUSE
from functions.vault.grant.connection import JUST_OBTAINED
from functions.vault.grant.life import Happened
from functions.vault.usecases.revoking import NotRevokedYet
from tests.torture import records
from tests.torture.edges import CONNECTIONS
from tests.torture.rows import refused_import, rows_of
from tests.torture.scenarios import MIN_TTL
from tests.torture.scheduler import CALL_TIME
from tests.torture.wire import CLIENT
from tests.torture.world import Observer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.grant.token_set import TokenSet
    from tests.torture.rows import Row
    from tests.torture.scheduler import Actor
    from tests.torture.server import Grant, Issue
    from tests.torture.wire import OnTheWire, RevocationRequest, TokenRequest
    from tests.torture.world import World

ENDED = frozenset({"revoking", "revoked"})

_ASKED_FOR = frozenset({Happened.REVOKED, Happened.CAME_AFTER_REVOCATION})
"""What brings a token set into the place `revoking` because somebody has revoked the connection."""

UNDER_WAY = "ended by a revocation that was under way"
OF_THE_ACCOUNT = "ended by a revoke of the same account that was asked for"
WRONGLY_SEPARATE = "ended because the registration says that grants are separate, and they are not"


@dataclass
class Book:
    """What was seen of one connection, by steps of the scheduler; `stored_at` is by the numbers of grants.

    `to_end` are the grants that are to be revoked at the server, `asked_for` those of a connection that was revoked.
    """

    stored_at: dict[int, int] = field(default_factory=dict)
    revoked_at: list[int] = field(default_factory=list)
    authorized_at: list[int] = field(default_factory=list)
    to_end: list[Grant] = field(default_factory=list)
    asked_for: set[Grant] = field(default_factory=set)
    own: set[Grant] = field(default_factory=set)
    """Those whose tokens the connection has had for its own, and not only waiting."""

    left: set[Grant] = field(default_factory=set)
    """Those whose tokens went for want of room, among too many that were superseded."""

    account: str | None = None
    """Whose it is known to be, since it was last free."""

    kept: Grant | None = None
    """The grant whose refresh token goes on beside tokens without one, or was refused as it did."""


class Watch(Observer):
    """Watches one world and collects what is wrong in it (`violations`) and what happened in it (`counts`)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.secured: dict[str, dict[str, float]] = {}
        self.books: dict[str, Book] = {}
        self.endings: dict[Grant, str] = {}
        """Why a grant ended that was not to end, if nobody can be blamed for it."""
        self.have_waited: set[str] = set()
        """The token sets that have come to wait."""
        self.read_at: dict[str, int] = {}
        """The step at which a request's start read the connection, by the request."""
        self.on_the_wire: list[OnTheWire] = []
        self.rescued_at = 0.0
        self.rows: set[Row] = set()
        world.observer = self
        world.scheduler.on_over = self.over

    def violated(self, what: str) -> None:
        """Note a violation, in the history too."""
        self.violations.append(what)
        self.world.scheduler.note("INVARIANT", "violated", what)

    def book(self, connection_id: str) -> Book:
        """Return what was seen of a connection."""
        return self.books.setdefault(connection_id, Book())

    # Writes

    def wrote(self, actor: Actor | None, table: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Judge a write by itself: versions only grow, nothing ended comes to life, a seal opens where it lies."""
        if table != CONNECTIONS:
            self.read_at.setdefault(after["request_id"]["S"], actor.notes.get("read at", -1) if actor else -1)
            return
        was, now = self.world.plain(before), self.world.plain(after)
        if now["version"] < was.get("version", 0):
            self.violated(f"the version fell from {was['version']} to {now['version']}")
        # How an attempt to authorize ended is written beside everything else: nothing is decided by it. What the write
        # before it brought goes, as with every write: the stream would show it twice.
        as_before = {name: value for name, value in was.items() if name != "events"}
        is_a_note = {**as_before, "last_attempt": now.get("last_attempt")} == now
        if now["changes"] <= was.get("changes", 0) and not is_a_note:
            self.violated(f"a write did not count: {was.get('changes')} changes, then {now['changes']}")
        rows = self._life_written(was, now)
        again = self._sealed_again_written(was, now)
        if records.current_of(was).get("seal") != records.current_of(now).get("seal") and not again:
            self._tokens_written(was, now)
        if actor is not None:
            self._confirmation_written(actor, was, now)
        self._import_written(actor, was, now)
        self._sets_written(now, is_asked_for=any(row[2] in _ASKED_FOR for row in rows))
        self._status_written(was, now)
        self._consent_written(was, now)
        if any(row[2] in {Happened.HAS_TO_WAIT, Happened.FIRST_HAS_TO_WAIT} for row in rows):
            self._waiting_written(was, now)
        if any(row[2] is Happened.LEFT_TO_SERVER for row in rows):
            self._left_to_server(was, now)
        held, old = records.sets_in(now), records.sets_in(was)
        for each in held.values() if actor is not None else ():
            lease, before_it = each.get("lease", {}), old.get(each["id"], {}).get("lease", {})
            if actor is not None and lease and lease["holder"] != before_it.get("holder"):
                actor.notes["lease until"] = float(lease["until"])

    def _life_written(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> set[Row]:
        """Judge a write by the table of a connection's life: what it has no row for must not be written."""
        rows = rows_of(was, now)
        if rows is None:
            states = [
                (values.get("status"), sorted(each["place"] for each in records.sets_in(values).values()))
                for values in (was, now)
            ]
            self.violated(f"no row of the table leads from {states[0]} to {states[1]}")
        self.rows |= rows or set()
        if sum(each["place"] == "current" for each in records.sets_in(now).values()) > 1:
            self.violated("two token sets are current")
        return rows or set()

    def _sealed_again_written(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
        """Judge what is sealed again, and return whether anything is: the same tokens, and all else as it was."""
        old, new = records.sets_in(was), records.sets_in(now)
        again = [each for each in old.keys() & new.keys() if old[each]["seal"] != new[each]["seal"]]
        again = [each for each in again if old[each]["seal"]["key"] != new[each]["seal"]["key"]]
        again = [each for each in again if old[each]["place"] == new[each]["place"]]
        for set_id in again:
            before, after = (self.opened(now["connection_id"], sets[set_id]) for sets in (old, new))
            self.counts["token sets that were sealed again"] += 1
            if before != after:
                self.violated("other tokens were sealed in the place of those that were there")
            if {**old[set_id], "seal": None} != {**new[set_id], "seal": None}:
                self.violated("a token set was changed as it was sealed again")
            if new[set_id]["seal"]["version"] != old[set_id]["seal"]["version"]:
                self.violated("a token set has another version, sealed again")
        if again and (was["status"], was["version"], set(old)) != (now["status"], now["version"], set(new)):
            self.violated("something else happened as a token set was sealed again")
        return bool(again)

    def _tokens_written(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        current = records.current_of(now)
        if not current:
            return
        if now["version"] <= was.get("version", 0):
            self.violated(f"tokens were replaced within version {now['version']}")
        if current["seal"]["version"] != now["version"]:
            self.violated(f"version {now['version']} holds tokens that were sealed for another")
        new = self.opened(now["connection_id"], current)
        if new is None:
            return
        if now.get("authorized_by") != was.get("authorized_by"):
            grant = self.issue_of(new).grant
            self.book(now["connection_id"]).stored_at[grant.number] = self.world.scheduler.step
            known = was.get("subject") if was.get("status") not in ENDED else None
            if known is not None and self.world.profile.names_account and grant.account != known:
                self.violated(f"tokens of {grant.account} are current in a connection of {known}")

    def _import_written(self, actor: Actor | None, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Note when an import was begun that a write brings, and forget one that was refused and gave way."""
        held, refused = records.sets_in(now), refused_import(was)
        gone = self.opened(was["connection_id"], refused) if refused and refused["id"] not in held else None
        if gone is not None and not any(
            each.get("refreshed_from", {}).get("set_id") == refused["id"] for each in held.values()
        ):
            self.book(now["connection_id"]).own.discard(self.issue_of(gone).grant)
        if "import_digest" not in now or now["import_digest"] == was.get("import_digest"):
            return
        new = self.opened(now["connection_id"], records.current_of(now))
        if new is not None:
            grant = self.issue_of(new).grant
            self.read_at[grant.request_id] = actor.notes.get("read at", -1) if actor else -1
            self.book(now["connection_id"]).stored_at[grant.number] = self.world.scheduler.step
            self.counts["imports that were stored"] += 1

    def _consent_written(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Judge whether a refresh token goes on that is good, and no other, if a consent has brought none."""
        used, current = records.to_refresh(was), records.current_of(now)
        if now.get("authorized_by") == was.get("authorized_by") or not used or current.get("refreshable"):
            return
        before, new = self.opened(was["connection_id"], used), self.opened(now["connection_id"], current)
        if before is None or new is None:
            return
        is_same_account = self.issue_of(before).grant.account == self.issue_of(new).grant.account
        place = records.sets_in(now).get(used["id"], {}).get("place")
        is_known = None not in {was.get("subject"), now.get("subject")}
        if place == "kept" and not (is_known and is_same_account):
            self.violated(f"{before.refresh_token} goes on beside tokens that may be of another account")
        if place == "kept" and was["status"] != "active":
            self.violated(f"{before.refresh_token} goes on, and was believed dead")
        if place != "kept" and is_known and is_same_account and was["status"] == "active":
            self.violated(f"{before.refresh_token} would go on, and is {place or 'gone'}")

    def _waiting_written(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Judge what comes to wait: what waits for its account alone may not give way to it, nor a newer consent.

        Nothing comes to wait twice.
        """
        new = [each for set_id, each in records.sets_in(now).items() if set_id not in records.sets_in(was)]
        came = [each for each in new if each["place"] == "pending"]
        for each in records.sets_in(was).values():
            if each["place"] == "pending" and records.sets_in(now).get(each["id"], {}).get("place") != "pending":
                if each["pending"].get("confirmation") is None:
                    self.violated("a consent was replaced by another while both waited for their accounts")
                if any(other["pending"]["obtained_at"] < each["pending"]["obtained_at"] for other in came):
                    self.violated("a consent that waits to be confirmed gave way to an older one")
        for each in came:
            if each["id"] in self.have_waited:
                self.violated("a consent's tokens came to wait once more")
            self.have_waited.add(each["id"])

    def _confirmation_written(self, actor: Actor, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Judge whether the tokens of a consent that is to be confirmed are in use only if that was done, and in time.

        In time is a write that was begun in time, by any clock that the process may have. How long its one request is
        on its way is in nobody's hand: DynamoDB compares no clock, and may get it after its sender has given up.
        """
        current = records.current_of(now)
        if not current or current["id"] == records.current_of(was).get("id") or "refreshed_from" in current:
            return
        if current.get("request_id") not in self.world.to_confirm:
            return
        if current["request_id"] not in self.world.vouched_for:
            self.violated("tokens are current that nobody has confirmed")
        waited = records.sets_in(was).get(current["id"], {})
        confirm_by = waited.get("pending", {}).get("confirm_by", 0)
        if actor.notes["call begun"] - abs(actor.skew) - TOLERATED - 1 > confirm_by:
            self.violated("tokens are current that were confirmed too late, or never waited for it")

    def _left_to_server(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Note whose tokens had to go for want of room; what gave way to newer ones of its own did not."""
        held = records.sets_in(now)
        gave_way = {each.get("refreshed_from", {}).get("set_id") for each in held.values()}
        for set_id, each in records.sets_in(was).items():
            gone = self.opened(now["connection_id"], each) if set_id not in held.keys() | gave_way else None
            self.book(now["connection_id"]).left |= {self.issue_of(gone).grant} if gone else set()

    def _sets_written(self, now: Mapping[str, Any], *, is_asked_for: bool) -> None:
        """Note what the record holds, and which grants are to be revoked: each of them has to end at the server."""
        book = self.book(now["connection_id"])
        if records.current_of(now).get("refreshable", True):
            book.kept = None
        for each in records.sets_in(now).values():
            held = self.opened(now["connection_id"], each)
            if held is None:
                continue
            self._secure(held, "record")
            grant = self.issue_of(held).grant
            if each["place"] == "kept":
                book.kept = grant
            if each["place"] in {"current", "kept", "superseded"}:
                book.own.add(grant)
            if each["place"] == "revoking" and grant not in book.to_end:
                book.to_end.append(grant)
                book.asked_for |= {grant} if is_asked_for else set()

    def _status_written(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        step, authorized_by, book = self.world.scheduler.step, now.get("authorized_by"), self.book(now["connection_id"])
        book.account = None if now["status"] in ENDED else now.get("subject", book.account)
        if now.get("revocations", 0) > was.get("revocations", 0):
            book.revoked_at.append(step)
            self._all_of_it_is_to_end(book)
        is_import = "import_digest" in now and now["import_digest"] != was.get("import_digest")
        is_new = authorized_by != was.get("authorized_by") or is_import
        if is_import and (current := self._current(now["connection_id"])) is not None:
            authorized_by = self.issue_of(current).grant.request_id
        if is_new and now["status"] not in ENDED:
            book.authorized_at.append(step)
        if was.get("status") in ENDED and now["status"] not in ENDED:
            began = self.read_at.get(str(authorized_by), -1) if is_new else -1
            if began < max(book.revoked_at, default=-1):
                self.violated(f"a revoked connection is {now['status']} again without an authorization begun since")
        if now["status"] in ENDED and records.current_of(now):
            self.violated("a connection that has ended holds tokens to be vended")

    def _all_of_it_is_to_end(self, book: Book) -> None:
        """Note every grant that the connection has ever had, also such as newer consents have replaced."""
        book.asked_for |= book.own
        book.to_end += [grant for grant in self.world.server.grants if grant in book.own - set(book.to_end)]

    def queued(self, queue: str, body: str) -> None:
        """Note the tokens that a queue or the log holds now, sealed."""
        if queue in {"rescue", "log"}:
            obtained = obtained_document.from_document(json.loads(body))
            tokens = self.world.truth.open(obtained.connection_id, obtained.tokens, obtained.purpose)
            self._secure(tokens, queue)
            self.counts[f"answers that the {queue} held"] += 1

    # Requests

    def sent(self, request: OnTheWire) -> None:
        """Judge as whom a request is sent, and whether a server gets more of them at a time than it takes.

        One that brought no answer is there until the time for it is up: longer than that nobody can wait for it.
        """
        if request.client_id != CLIENT:
            self.violated(f"{request.actor.name} has sent tokens as a client that they were not issued to")
        at_once, now = self.world.profile.at_once, self.world.scheduler.now
        if at_once is None:
            return
        there = [each for each in self.on_the_wire if not each.is_over and now < each.since + each.timeout]
        if len(there) >= at_once:
            self.violated(f"{len(there) + 1} requests at a time at a server that takes {at_once}")
        self.on_the_wire.append(request)

    def asked(self, request: TokenRequest) -> None:
        """Judge a token request on its way: one at a time for one refresh token, but for those whose lease is over."""
        if request.is_refresh and request.actor.role not in {"revoke", "revoke-queue"}:
            self._judge_look(request)
            self._judge_need(request)
            request.has_waited = self._has_waited(request)
        profile = self.world.profile
        is_repeated = profile.replay_seconds > 0 and profile.replay_is_known
        for other in self.world.requests:
            if other.token == request.token and other.timed_out and not is_repeated and self._is_leased(other):
                self.violated(f"{request.token} is asked about again while the server may be at work on it")
            if other.token != request.token or other.fate != "under way" or other.actor.is_over:
                continue
            if self._is_stale(other) or self._is_stale(request):
                request.overlapped = other.overlapped = True
                self.counts["token requests beside a zombie's"] += 1
            else:
                self.violated(f"two token requests in flight with {request.token}")

    def refused(self, actor: Actor, connection_id: str, error: GatehouseError) -> None:
        """Judge whether the server was asked for a token that a caller needs before the answer is that it is down.

        What was tried while the token was still good is no reason; a request that timed out is, while it has its lease.
        """
        current = records.current_of(self.world.item(connection_id))
        used = records.to_refresh(self.world.item(connection_id))
        if error.code != "provider_unavailable" or "expires_at" not in current or not used:
            return
        needed_at = current["expires_at"] - MIN_TTL - abs(actor.skew) - TOLERATED - 1
        token = self.world.opened(connection_id, used).refresh_token
        asked = [each for each in self.world.requests if each.token == token]
        if any(each.actor is actor and each.since >= actor.deadline - CALL_TIME for each in self.world.requests):
            return  # it has asked itself, with a token that a consent has replaced since
        if not any(each.settled_at >= needed_at or (each.timed_out and self._is_leased(each)) for each in asked):
            self.violated(f"{actor.name} got no token, and nobody has asked for one since it was needed")

    def asked_since_tokens_came(self, token: str) -> list[TokenRequest]:
        """Return the requests with a refresh token since the latest that was answered with tokens, in order."""
        asked = [request for request in self.world.requests if request.token == token]
        last = max((number for number, each in enumerate(asked) if "access_token" in each.answered), default=-1)
        return asked[last + 1 :]

    def _judge_need(self, request: TokenRequest) -> None:
        """Judge whether anybody can want newer tokens than those of a moment ago, which open all that there is."""
        server, now = self.world.server, self.world.scheduler.now
        connection_id = server.by_refresh_token[request.token].grant.connection_id
        held = self._current(connection_id)
        issue = self.issue_of(held) if held is not None else None
        is_used = issue is not None and issue.refresh_token == request.token
        if issue and is_used and now < issue.at + JUST_OBTAINED - TOLERATED - 1 and server.is_alive(issue, now):
            self.violated(f"{request.actor.name} refreshes tokens of a moment ago")

    def _current(self, connection_id: str) -> TokenSet | None:
        current = records.current_of(self.world.item(connection_id))
        return self.opened(connection_id, current) if current else None

    def _judge_look(self, request: TokenRequest) -> None:
        """Judge a request for a grant that the server has called dead: four at most, a minute after the one before.

        What a revocation sends is another matter, and what a sleeper has begun before it was known.
        """
        connection_id = self.world.server.by_refresh_token[request.token].grant.connection_id
        status = self.world.item(connection_id).get("status")
        before = [each for each in self.asked_since_tokens_came(request.token) if each is not request]
        refused = [each for each in before if each.is_refused]
        if (
            status != "reauthorization_required"
            or self._is_stale(request)
            or not (refused or self.world.begins_refused)
        ):
            return
        if len(refused) >= len(BACKGROUND) + BY_CALLERS + 1:
            self.violated(f"{request.token} is asked about without end, and was refused {len(refused)} times")
        if before and self.world.scheduler.now < before[-1].settled_at + SHORTEST_PAUSE - TOLERATED - 1:
            self.violated(f"{request.token} was refused just now, and is asked about again")
        used = [each for each in before if not each.never_left]
        if refused and refused[0] is not used[0] and not self.world.begins_refused:
            self.violated(f"{request.token} was used before it was refused, and is asked about again")
        self._judge_what_speaks_against_a_look(request, connection_id)

    def _judge_what_speaks_against_a_look(self, request: TokenRequest, connection_id: str) -> None:
        """Judge whether its sender could have known better: by what was there before it began."""
        began, item = request.actor.started_at, self.world.item(connection_id)
        queued = [each for each in self.world.scheduler.messages if each.queue == "rescue" and each.sent_at < began]
        if queued and request.since < item["failure"]["at"] + QUEUE_SPEAKS_FOR - TOLERATED - 1:
            self.violated(f"{request.token} is asked about while the rescue queue holds an answer")
        elsewhere = self.world.authorized_elsewhere(connection_id)
        if elsewhere is not None and item["refreshed_at"] + TOLERATED + 1 < elsewhere < began - TOLERATED - 1:
            self.violated(f"{request.token} is asked about, and its account has authorized elsewhere since")

    def _has_waited(self, request: TokenRequest) -> bool:
        """Return whether its sender has waited for as long as anybody does for what the rescue queue may hold.

        That is since an interruption was noticed, as the lease says, and an hour in the background.
        """
        connection_id = self.world.server.by_refresh_token[request.token].grant.connection_id
        lease = records.to_refresh(self.world.item(connection_id)).get("lease", {})
        longest = QUEUE_SPEAKS_FOR if request.actor.role == "refresh-queue" else RESCUED_WITHIN
        interrupted_at = lease.get("interrupted_at")
        if interrupted_at is None:
            return False
        now = self.world.scheduler.now + TOLERATED + 1
        return now >= float(interrupted_at) + longest

    def died_in_the_queue(self, grant: Grant) -> bool:
        """Return whether a grant was ended by a request that had waited for its answer, which the queue still held."""
        request: TokenRequest | None = grant.ended_by if grant.ended == "reuse" else None
        if request is None or not request.has_waited:
            return False
        used = self.world.server.by_refresh_token[request.token]
        held = self.secured.get(used.successor.access_token, {}) if used.successor is not None else {}
        return held.get("rescue", request.since) < request.since <= held.get("record", request.since)

    def _is_leased(self, request: TokenRequest) -> bool:
        """Return whether a request's lease is live, by any clock that a process may have."""
        return request.lease_until is not None and self.world.scheduler.now + TOLERATED + 1 < request.lease_until

    def _is_stale(self, request: TokenRequest) -> bool:
        """Return whether its lease has run out by its own clock: it slept, and should not be at work any more.

        Only if processes outlive their deadline: if they do not, no lease may be over before its request is, and
        one that is so is a violation, not an excuse.
        """
        scheduler = self.world.scheduler
        clock = scheduler.now + request.actor.skew
        return not scheduler.bounded and request.lease_until is not None and clock >= request.lease_until

    def revoking(self, request: RevocationRequest) -> None:
        """Note whether somebody has asked for this revocation: a `revoke` of the connection that it is for."""
        grant = request.grant
        request.is_asked_for = grant is not None and grant in self.book(grant.connection_id).asked_for
        if not request.is_asked_for and self.world.profile.says_all is not False:
            self.violated(f"a revocation of {grant and grant.number} was sent that nobody asked for")

    def revoked(self, request: RevocationRequest) -> None:
        """Judge what a revocation has ended beside what it was sent for."""
        for grant in request.ended:
            if grant in self.book(grant.connection_id).asked_for:
                continue
            if grant is request.grant and not self._is_relied_on(grant):
                self.counts["replaced or strangers' grants that we ended of our own accord"] += 1
                continue
            name = self._blameless(grant, request)
            if name is None:
                accord = "while a newer consent stands" if request.is_asked_for else "of our own accord"
                self.violated(f"grant {grant.number} of {grant.connection_id} was ended {accord}")
            else:
                self.endings[grant] = name

    def _blameless(self, grant: Grant, request: RevocationRequest) -> str | None:
        """Return why a grant had to end that was not to end; None if it need not."""
        if request.is_asked_for and request.grant and grant.connection_id != request.grant.connection_id:
            return OF_THE_ACCOUNT
        if self.world.profile.revokes_all and self.world.profile.says_all is False:
            return WRONGLY_SEPARATE
        stored_at = self.book(grant.connection_id).stored_at.get(grant.number)
        if request.is_asked_for and (stored_at is None or request.knows_of <= stored_at):
            return UNDER_WAY
        return None

    def _is_relied_on(self, grant: Grant) -> bool:
        """Return whether a connection has tokens of this grant to vend, or to refresh."""
        for connection_id in self.world.accounts:
            for each in records.sets_in(self.world.item(connection_id)).values():
                held = self.opened(connection_id, each) if each["place"] in {"current", "kept"} else None
                if held is not None and self.issue_of(held).grant is grant:
                    return True
        return False

    # Processes

    def over(self, actor: Actor) -> None:
        """Judge how a process ended."""
        if actor.error is not None and not isinstance(actor.error, GatehouseError | NotRevokedYet):
            self.violated(f"{actor.name} failed with a defect: {type(actor.error).__name__} {actor.error}")
        if actor.outcome == "returned" and actor.role == "rescue-queue":
            self.rescued_at = self.world.scheduler.now
        if actor.outcome == "returned" and actor.role in {"token", "refresh"}:
            self._vended(actor)

    def _vended(self, actor: Actor) -> None:
        token, book = actor.result["access_token"], self.book(actor.result["connection_id"])
        if token not in self.world.server.by_access_token:
            self.violated(f"{actor.name} was given a token that no server issued")
        else:
            account = self.world.server.by_access_token[token].grant.account
            if book.account not in {None, account}:
                self.violated(f"{actor.name} was given a token of another account")
            if not self.world.server.by_access_token[token].calls:
                self.violated(f"{actor.name} was given an import that no refresh has proved")
            request_id = self.world.server.by_access_token[token].grant.request_id
            if request_id in self.world.to_confirm - self.world.vouched_for:
                self.violated(f"{actor.name} was given a token that nobody has confirmed")
        revoked = max((step for step in book.revoked_at if step < actor.started_step), default=None)
        if revoked is not None and not any(step > revoked for step in book.authorized_at):
            self.violated(f"{actor.name} began after the revocation and was given a token")

    # What the books say

    def is_lost(self, issue: Issue) -> bool:
        """Return whether an answer reached nobody who lived to write it down."""
        if issue.access_token in self.secured:
            return False
        return not any(
            call is not None and call.fate == "delivered" and not call.actor.has_died for call in issue.calls
        )

    def was_refused_beside(self, grant: Grant) -> bool:
        """Return whether a refresh token of a grant was refused that had brought tokens already."""
        brought = {each.token for each in self.world.requests if "access_token" in each.answered}
        tokens = {issue.refresh_token for issue in grant.issues}
        return any(each.token in brought & tokens and each.is_refused for each in self.world.requests)

    def issue_of(self, held: TokenSet) -> Issue:
        """Return the token response that a token set came with."""
        return self.world.server.by_access_token[held.access_token]

    def opened(self, connection_id: str, stored: Mapping[str, Any]) -> TokenSet | None:
        """Return what a stored token set holds; a violation if it does not open."""
        try:
            return self.world.opened(connection_id, stored)
        except Exception as error:  # noqa: BLE001 - whatever it is, this record has a seal that does not open
            self.violated(f"the stored seal does not open: {type(error).__name__}")
            return None

    def _secure(self, tokens: TokenSet, where: str) -> None:
        self.secured.setdefault(tokens.access_token, {}).setdefault(where, self.world.scheduler.now)

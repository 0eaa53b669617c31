"""What has to hold (DESIGN section 10), judged from outside: by the server's own books and by what was written down.

A token response is *secured* once a write holds it: the record, the rescue queue or the log. It is *lost on the wire*
where its answer never reached a client, *lost in a crash* where the client died before any write could hold it. Those
two nobody can prevent, and they are counted; everything else that is missing is a violation.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from functions.vault.errors import GatehouseError
from functions.vault.obtained import Obtained
from functions.vault.revoking import NotToldYet
from tests.torture import records
from tests.torture.edges import CONNECTIONS
from tests.torture.world import CONNECTION, Observer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.tokens import TokenSet
    from tests.torture.scheduler import Actor
    from tests.torture.server import Grant, Issue
    from tests.torture.wire import TokenRequest
    from tests.torture.world import World

_ENDED = frozenset({"revoking", "revoked"})


class Watch(Observer):
    """Watches one world and collects what is wrong in it (`violations`) and what happened in it (`counts`)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.secured: dict[str, dict[str, float]] = {}
        self.to_be_revoked: list[Grant] = []
        self.rescued_at = 0.0
        self.rows: set[records.Row] = set()
        self._stored_at: dict[int, int] = {}
        self._revoked_at: list[int] = []
        self._authorized_at: list[int] = []
        self._read_at: dict[str, int] = {}
        world.observer = self
        world.scheduler.on_over = self.over

    def violated(self, what: str) -> None:
        """Note a violation, in the history too."""
        self.violations.append(what)
        self.world.scheduler.note("INVARIANT", "violated", what)

    # While it runs

    def wrote(self, actor: Actor | None, table: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Judge a write by itself: versions only grow, nothing ended comes to life, a seal opens where it lies."""
        if table != CONNECTIONS:
            self._read_at.setdefault(after["request_id"]["S"], actor.notes.get("read at", -1) if actor else -1)
            return
        was, now = records.plain(before), records.plain(after)
        if now["version"] < was.get("version", 0):
            self.violated(f"the version fell from {was['version']} to {now['version']}")
        if now["changes"] <= was.get("changes", 0):
            self.violated(f"a write did not count: {was.get('changes')} changes, then {now['changes']}")
        self._life_written(was, now)
        if records.current_of(was).get("seal") != records.current_of(now).get("seal"):
            self._tokens_written(was, now)
        self._sets_written(now)
        self._status_written(was, now)
        lease, before_it = (records.current_of(values).get("lease", {}) for values in (now, was))
        if actor is not None and lease and lease["holder"] != before_it.get("holder"):
            actor.notes["lease until"] = float(lease["until"])

    def _life_written(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Judge a write by the table of a connection's life: what it has no row for must not be written."""
        rows = records.rows_of(was, now)
        if rows is None:
            states = [
                (values.get("status"), sorted(each["place"] for each in records.sets_in(values).values()))
                for values in (was, now)
            ]
            self.violated(f"no row of the table leads from {states[0]} to {states[1]}")
        self.rows |= rows or set()
        if sum(each["place"] == "current" for each in records.sets_in(now).values()) > 1:
            self.violated("two token sets are current")

    def _tokens_written(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        current = records.current_of(now)
        if not current:
            return
        if now["version"] <= was.get("version", 0):
            self.violated(f"tokens were replaced within version {now['version']}")
        if current["seal"]["version"] != now["version"]:
            self.violated(f"version {now['version']} holds tokens that were sealed for another")
        new = self._opened(current)
        if new is None:
            return
        if now.get("authorized_by") != was.get("authorized_by"):
            self._stored_at[self.world.server.by_access_token[new.access_token].grant.number] = (
                self.world.scheduler.step
            )

    def _sets_written(self, now: Mapping[str, Any]) -> None:
        """Note what the record holds, and of whom the server is to be told: each of these grants has to end there."""
        for each in records.sets_in(now).values():
            held = self._opened(each)
            if held is None:
                continue
            self._secure(held, "record")
            grant = self.world.server.by_access_token[held.access_token].grant
            if each["place"] == "revoking" and grant not in self.to_be_revoked:
                self.to_be_revoked.append(grant)

    def _status_written(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        step, authorized_by = self.world.scheduler.step, now.get("authorized_by")
        if now.get("revocations", 0) > was.get("revocations", 0):
            self._revoked_at.append(step)
            self._all_of_it_is_to_end()
        is_new = authorized_by != was.get("authorized_by")
        if is_new and now["status"] not in _ENDED:
            self._authorized_at.append(step)
        if was.get("status") in _ENDED and now["status"] not in _ENDED:
            began = self._read_at.get(str(authorized_by), -1) if is_new else -1
            if began < max(self._revoked_at, default=-1):
                self.violated(f"a revoked connection is {now['status']} again without an authorization begun since")
        if now["status"] in _ENDED and self._stored_tokens() is not None:
            self.violated("a connection that has ended holds tokens to be vended")

    def _all_of_it_is_to_end(self) -> None:
        """Note every grant that the record has ever held, also such as newer consents have replaced."""
        for grant in self.world.server.grants:
            held = any("record" in self.secured.get(issue.access_token, {}) for issue in grant.issues)
            if held and grant not in self.to_be_revoked:
                self.to_be_revoked.append(grant)

    def queued(self, queue: str, body: str) -> None:
        """Note the tokens that a queue or the log holds now, sealed."""
        if queue in {"rescue", "log"}:
            obtained = Obtained.from_document(json.loads(body))
            tokens = self.world.truth.open(obtained.connection_id, obtained.tokens)
            self._secure(tokens, queue)
            self.counts[f"answers that the {queue} held"] += 1

    def asked(self, request: TokenRequest) -> None:
        """Judge a token request on its way: one at a time for one refresh token, but for those whose lease is over."""
        for other in self.world.requests:
            if other.token != request.token or other.fate != "under way" or other.actor.is_over:
                continue
            if self._is_stale(other) or self._is_stale(request):
                request.overlapped = other.overlapped = True
                self.counts["token requests beside a zombie's"] += 1
            else:
                self.violated(f"two token requests in flight with {request.token}")

    def _is_stale(self, request: TokenRequest) -> bool:
        """Tell whether its lease has run out by its own clock: it slept, and should not be at work any more.

        Only where processes outlive their deadline: where they do not, no lease may be over before its request is, and
        one that is so is a violation, not an excuse.
        """
        scheduler = self.world.scheduler
        clock = scheduler.now + request.actor.skew
        return not scheduler.bounded and request.lease_until is not None and clock >= request.lease_until

    def over(self, actor: Actor) -> None:
        """Judge how a process ended."""
        if actor.error is not None and not isinstance(actor.error, GatehouseError | NotToldYet):
            self.violated(f"{actor.name} failed with a defect: {type(actor.error).__name__} {actor.error}")
        if actor.outcome == "returned" and actor.role == "rescue-queue":
            self.rescued_at = self.world.scheduler.now
        if actor.outcome == "returned" and actor.role in {"token", "refresh"}:
            self._vended(actor)

    def _vended(self, actor: Actor) -> None:
        token = actor.result["access_token"]
        if token not in self.world.server.by_access_token:
            self.violated(f"{actor.name} was given a token that no server issued")
        revoked = max((step for step in self._revoked_at if step < actor.started_step), default=None)
        if revoked is not None and not any(step > revoked for step in self._authorized_at):
            self.violated(f"{actor.name} began after the revocation and was given a token")

    # At the end

    def judge(self) -> None:
        """Judge what is left when all is quiet."""
        for code, times in self.world.server.code_requests.items():
            if times > 1:
                self.violated(f"{code} was sent {times} times")
        for grant in self.to_be_revoked:
            if grant.ended or self._is_lost(grant.issues[-1]) or self._goes_on_in_a_newer_consent():
                continue
            self.violated(f"grant {grant.number} was revoked here and lives on at the server")
        self._count_losses()
        status = self.world.item().get("status")
        if status in _ENDED:
            self._judge_ended(str(status))
        elif status is not None:
            self._judge_living(str(status))
        elif self._standing_consents():
            self.violated("an authorization was lost: there is no connection")

    def _judge_ended(self, status: str) -> None:
        if status == "revoking" or records.to_revoke(self.world.item()):
            self.violated("the revocation never came to its end")
        elif records.sets_in(self.world.item()):
            self.violated("a revoked connection keeps its ciphertext")
        standing = self._standing_consents()
        if standing:
            self.violated(f"the consent of grant {standing[-1].number} was given after the revocation, and is lost")

    def _judge_living(self, status: str) -> None:
        held = self._stored_tokens()
        if held is None:
            self.violated(f"the connection is {status} and has no tokens")
            return
        if records.to_revoke(self.world.item()):
            self.violated("a server was never told of a revocation")
        grant = self.world.server.by_access_token[held.access_token].grant
        standing = self._standing_consents()
        newest = max((self._arrival(other) for other in standing), default=0)
        if self._arrival(grant) < newest:
            self.violated(f"grant {grant.number} stands over a newer consent")
        if any(call.overlapped for issue in grant.issues for call in issue.calls if call is not None):
            self.counts["histories with a zombie's answer"] += 1
            return
        kept = [issue for issue in grant.issues if not self._is_lost(issue)]
        if held.refresh_token != kept[-1].refresh_token:
            self.violated(f"{held.refresh_token} is stored, but {kept[-1].refresh_token} was issued and reached us")
        elif not self.world.server.accepts(held.refresh_token):
            self._judge_dead(grant, status)
        elif status == "reauthorization_required":
            self.violated("the grant is taken for dead, and the server would refresh it")

    def _judge_dead(self, grant: Grant, status: str) -> None:
        """Judge a grant that is over: something must have been lost that nobody could have kept."""
        if status == "active":
            self.violated(f"grant {grant.number} is dead at the server ({grant.ended}) and active here")
        if self._is_lost(grant.issues[-1]):
            self.counts["grants that died of a loss"] += 1
        elif self._was_ended_by_a_revocation_under_way(grant):
            self.counts["ended by a revocation that was under way"] += 1
        elif self._lay_in_the_log(grant):
            self.counts["died while the log alone held its tokens"] += 1
        else:
            self.violated(f"grant {grant.number} is dead ({grant.ended}), and nothing was lost of it")

    def _lay_in_the_log(self, grant: Grant) -> bool:
        """Tell whether table and queue failed at once, so that nothing but a person brings the tokens back."""
        return "log" in self.secured.get(grant.issues[-1].access_token, {})

    def _goes_on_in_a_newer_consent(self) -> bool:
        """Tell whether to end an old grant would be to end a newer one: the server ends all of a user's at once."""
        return self.world.profile.revokes_all and self.world.item().get("status") not in _ENDED

    def _was_ended_by_a_revocation_under_way(self, grant: Grant) -> bool:
        """Tell whether the server, which ends all grants of a user at once, was told before the consent was stored."""
        if not self.world.profile.revokes_all or grant.ended != "revoked" or grant.ended_by is None:
            return False
        return bool(grant.ended_by.notes.get("knows of", 0) <= self._stored_at.get(grant.number, 0))

    def _count_losses(self) -> None:
        for grant in self.world.server.grants:
            for number, issue in enumerate(grant.issues):
                self.counts["token responses issued"] += 1
                if self._is_lost(issue):
                    fates = {call.fate for call in issue.calls}
                    on_wire = "lost on the wire" in fates
                    self.counts["lost on the wire" if on_wire else "lost in a crash"] += 1
                    if any(not self._is_lost(later) for later in grant.issues[number + 1 :]):
                        self.counts["lost, saved by a replay"] += 1
                elif issue.replayed:
                    self.counts["lost, saved by a replay"] += 1
                    self.counts["lost on the wire"] += 1

    def _standing_consents(self) -> list[Grant]:
        """Return the grants whose first tokens reached us and that no revocation has touched, in order."""
        since = max(self._revoked_at, default=-1)
        return [
            grant
            for grant in self.world.server.grants
            if grant.issues
            and not self._is_lost(grant.issues[0])
            and (self._read_at.get(grant.request_id, -1) > since or since < 0)
        ]

    def _arrival(self, grant: Grant) -> int:
        """Return the second in which a consent's tokens reached us, by the clock of the process that got them."""
        call = grant.issues[0].calls[0]
        return int(call.arrived_at) if call is not None else 0

    def _is_lost(self, issue: Issue) -> bool:
        """Tell whether an answer reached nobody who lived to write it down."""
        if issue.access_token in self.secured:
            return False
        return not any(
            call is not None and call.fate == "delivered" and not call.actor.has_died for call in issue.calls
        )

    def _opened(self, stored: Mapping[str, Any]) -> TokenSet | None:
        try:
            return self.world.opened(CONNECTION, stored)
        except Exception as error:  # noqa: BLE001 - whatever it is, this record has a seal that does not open
            self.violated(f"the stored seal does not open: {type(error).__name__}")
            return None

    def _stored_tokens(self) -> TokenSet | None:
        current = records.current_of(self.world.item())
        return self._opened(current) if current else None

    def _secure(self, tokens: TokenSet, where: str) -> None:
        self.secured.setdefault(tokens.access_token, {}).setdefault(where, self.world.scheduler.now)

"""What has to hold at the end, when all is quiet: of each connection by itself, and of all that the server has issued.

What is not as it should be is a violation, or it has a name: of what no client can know, and of nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.grant.belief import BACKGROUND
from functions.vault.grant.connection import REAUTHORIZATION
from functions.vault.grant.revocation import INTERRUPTED, LEFT_AT_THE_SERVER
from tests.torture import records
from tests.torture.invariants import ENDED, UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.grant.token_set import TokenSet
    from tests.torture.invariants import Watch
    from tests.torture.server import Grant, Issue

IN_THE_LOG = "died while the log alone held its tokens"

_REVOKERS = frozenset({"revoke", "revoke-queue"})
_BELIEVED = 2
"""Refusals by which a revocation ends, or one and an answer that was lost."""

IN_THE_QUEUE = "died of a caller who needed a token, while the rescue queue held theirs for longer than callers wait"

KEPT_AND_LATE = "a kept refresh token was refused, and its own late answer superseded"

OPEN = (IN_THE_LOG, IN_THE_QUEUE, UNDER_WAY, KEPT_AND_LATE)
"""Counts of what ought not to be and is not mended yet: named in the table, beside the violations."""


def judge(watch: Watch) -> None:
    """Judge a world in which nothing more will happen."""
    for code, times in watch.world.server.code_requests.items():
        if times > 1:
            watch.violated(f"{code} was sent {times} times")
    _count_losses(watch)
    for connection_id in watch.world.accounts:
        _Judge(watch, connection_id).judge()


def _count_losses(watch: Watch) -> None:
    for grant in watch.world.server.grants:
        for number, issue in enumerate(grant.issues):
            if not issue.calls:
                continue  # it was issued elsewhere
            watch.counts["token responses issued"] += 1
            if watch.is_lost(issue):
                fates = {call.fate for call in issue.calls}
                on_wire = "lost on the wire" in fates
                watch.counts["lost on the wire" if on_wire else "lost in a crash"] += 1
                if any(not watch.is_lost(later) for later in grant.issues[number + 1 :]):
                    watch.counts["lost, saved by a replay"] += 1
            elif issue.replayed:
                watch.counts["lost, saved by a replay"] += 1
                watch.counts["lost on the wire"] += 1


class _Judge:
    """Judges one connection."""

    def __init__(self, watch: Watch, connection_id: str) -> None:
        self.watch = watch
        self.world = watch.world
        self.connection_id = connection_id
        self.book = watch.book(connection_id)
        self.item = watch.world.item(connection_id)
        self.status = str(self.item.get("status", ""))

    def judge(self) -> None:
        for grant in self.book.to_end:
            self._judge_end(grant)
        if any(each["place"] == "pending" for each in records.sets_in(self.item).values()):
            self._violated("a consent waits for ever")
        for grant in self._not_its_own():
            if self.world.profile.says_all is False and self.world.server.lives(grant, self.world.scheduler.now):
                self._violated(f"grant {grant.number} is nobody's, and lives on although grants are said to be apart")
        if self.status in ENDED:
            self._judge_ended()
        elif self.status:
            self._judge_living()
        elif self._standing_consents():
            self._violated("an authorization was lost: there is no connection")

    def _violated(self, what: str) -> None:
        self.watch.violated(what if len(self.world.accounts) == 1 else f"{self.connection_id}: {what}")

    # Grants that were to end

    def _judge_end(self, grant: Grant) -> None:
        if not self.world.server.lives(grant, self.world.scheduler.now):
            return
        name = self._why_it_lives_on(grant)
        if name is None:
            self._violated(f"grant {grant.number} was revoked here and lives on at the server")
        else:
            self.watch.counts[name] += 1

    def _why_it_lives_on(self, grant: Grant) -> str | None:
        """Return what keeps us from ending a grant; None if nothing does."""
        newest = grant.issues[-1]
        held = [issue.refresh_token for issue in self._reached_us(grant)]
        if self.watch.is_lost(newest) and newest.refresh_token not in held:
            is_unsaid = self.status in ENDED and not self._is_said(grant, INTERRUPTED, LEFT_AT_THE_SERVER)
            return None if is_unsaid else "live on: the tokens that would end them reached nobody"
        if not self.world.profile.revocable and self._is_said(grant, LEFT_AT_THE_SERVER):
            return "live on: the server offers no revocation, and the record says so"
        if self._refused_temporarily(grant) >= _BELIEVED:
            return "live on: refused temporarily, as often as it takes to be believed"
        if grant in self.book.left:
            return "live on: there was no room for them, and they were left to their server"
        return None if self.status in ENDED else self._why_it_waits(grant)

    def _refused_temporarily(self, grant: Grant) -> int:
        """Return how often the server has refused what was sent to end a grant, and would not another time."""
        tokens = {issue.refresh_token for issue in grant.issues}
        asked = [each for each in self.world.requests if each.token in tokens and each.actor.role in _REVOKERS]
        refused = [each for each in asked if each.is_refused and each.effect_at is None]
        return len(refused) + sum(each.grant is grant and each.is_temporary for each in self.world.revocations)

    def _why_it_waits(self, grant: Grant) -> str | None:
        """Return what keeps us from ending a grant beside which the connection goes on."""
        superseded = [each for each in records.sets_in(self.item).values() if each["place"] == "superseded"]
        if grant in map(self._grant_of, superseded):
            return "live on, superseded: a newer consent stands, and to end them may end it"
        return None

    def _grant_of(self, stored: Mapping[str, Any]) -> Grant:
        return self.watch.issue_of(self.world.opened(self.connection_id, stored)).grant

    def _is_said(self, grant: Grant, *answers: str) -> bool:
        """Return whether the record says one of these of how a grant's revocation ended."""
        # An import comes of no request of ours.
        request_id = grant.request_id if grant.issues[0].calls else None
        return any(
            end.get("request_id") == request_id and end["answers"].get("grant", {}).get("answer") in answers
            for end in self.item.get("revocation", ())
        )

    def _judge_ended(self) -> None:
        if self.status == "revoking" or records.to_revoke(self.item):
            self._violated("the revocation never came to its end")
        elif records.sets_in(self.item):
            self._violated("a revoked connection keeps its ciphertext")
        standing = self._standing_consents()
        if standing:
            self._violated(f"the consent of grant {standing[-1].number} was given after the revocation, and is lost")

    # Grants that were to live

    def _judge_living(self) -> None:
        held = self._current()
        if held is not None and self.status == "unconfirmed":
            self._violated("an import was never proved, nor refused")
        if held is None and not self.book.own and self.status == "reauthorization_required":
            self.watch.counts["first consents that nobody has confirmed"] += 1
            return
        if held is None:
            self._violated(f"the connection is {self.status} and has no tokens")
            return
        if records.to_revoke(self.item):
            self._violated("a revocation was never sent to its server")
        self._judge_its_place(self.watch.issue_of(held).grant)
        used = records.to_refresh(self.item)
        goes_on = self.watch.opened(self.connection_id, used) if used else None
        if goes_on is not None and goes_on.refresh_token is not None:
            self._judge_refreshable(goes_on)
        elif self.book.kept is None:
            self.watch.counts["connections without a refresh token"] += 1
        elif self.world.server.accepts(self._reached_us(self.book.kept)[-1].refresh_token):
            self._judge_left_aside(self.book.kept)
        else:
            self._judge_why_dead(self.book.kept)

    def _judge_left_aside(self, grant: Grant) -> None:
        """Judge a grant that lives, and whose refresh token nobody uses any more."""
        superseded = [each for each in records.sets_in(self.item).values() if each["place"] == "superseded"]
        came_late = [each for each in superseded if self._grant_of(each) is grant and "refreshed_from" in each]
        if came_late and self.watch.was_refused_beside(grant):
            self.watch.counts[KEPT_AND_LATE] += 1
        else:
            self._violated(f"grant {grant.number} lives, and nobody goes on with it")

    def _judge_its_place(self, grant: Grant) -> None:
        """Judge whether the newest consent stands; one without a refresh token gives way to what goes on beside it."""
        others = [other for other in self._standing_consents() if other.issues[0].refresh_token or other is grant]
        newest = max((self._arrival(other) for other in others), default=0)
        if self._arrival(grant) < newest:
            self._violated(f"grant {grant.number} stands over a newer consent")

    def _judge_refreshable(self, held: TokenSet) -> None:
        """Judge a connection by the token set whose refresh token it goes on with."""
        grant = self.watch.issue_of(held).grant
        if self._met_a_zombie(grant):
            return
        newest = self._reached_us(grant)[-1].refresh_token
        if held.refresh_token != newest:
            self._violated(f"{held.refresh_token} is stored, but {newest} was issued and reached us")
        elif not self.world.server.accepts(held.refresh_token):
            self._judge_dead(grant)
        elif self.status == "reauthorization_required":
            self._judge_taken_for_dead(held)

    def _judge_dead(self, grant: Grant) -> None:
        """Judge a grant that is over: something must have been lost that nobody could have kept."""
        if self.status == "active" and self.item.get("needs") == REAUTHORIZATION:
            self.watch.counts["dead or the client's fault, and nobody can know which: a person is asked for"] += 1
        elif self.status == "active":
            self._violated(f"grant {grant.number} is dead at the server ({grant.ended}) and active here")
        self._judge_why_dead(grant)

    def _judge_why_dead(self, grant: Grant) -> None:
        if self._met_a_zombie(grant):
            return
        if grant.ended == "removed by the user":
            self.watch.counts["grants that the user had removed"] += 1
        elif grant in self.watch.endings:
            self.watch.counts[self.watch.endings[grant]] += 1
        elif self.watch.is_lost(grant.issues[-1]):
            self.watch.counts["grants that died of a loss"] += 1
        elif "log" in self.watch.secured.get(grant.issues[-1].access_token, {}):
            # Table and queue failed at once: nothing but a person brings the tokens back.
            self.watch.counts[IN_THE_LOG] += 1
        elif self.watch.died_in_the_queue(grant):
            # Whoever rescues has had trouble for minutes. The queue does not show whose answers it holds, so callers
            # cannot wait for as long as it holds any; background work, which can wait, does so for an hour.
            self.watch.counts[IN_THE_QUEUE] += 1
        else:
            self._violated(f"grant {grant.number} is dead ({grant.ended}), and nothing was lost of it")

    def _met_a_zombie(self, grant: Grant) -> bool:
        """Return whether two processes asked with one refresh token at once, and one of them had outlived its lease."""
        met = any(call.overlapped for issue in grant.issues for call in issue.calls if call is not None)
        self.watch.counts["histories with a zombie's answer"] += met
        return met

    def _judge_taken_for_dead(self, held: TokenSet) -> None:
        name = self._why_it_is_taken_for_dead(held.refresh_token or "")
        if name is None:
            self._violated("the grant is taken for dead, and the server would refresh it")
        else:
            self.watch.counts[name] += 1

    def _why_it_is_taken_for_dead(self, refresh_token: str) -> str | None:
        """Return why nobody can know that a grant is alive; None if somebody can."""
        asked = self.watch.asked_since_tokens_came(refresh_token)
        refused = [request for request in asked if request.is_refused]
        if sum(request.actor.role == "refresh-queue" for request in asked) >= len(BACKGROUND):
            return "taken for dead: refused, or not answered, for longer than anybody looks"
        elsewhere = self.world.authorized_elsewhere(self.connection_id)
        if elsewhere is not None and elsewhere >= self.item["refreshed_at"]:
            return "taken for dead: their account has authorized elsewhere since they were known to live"
        current = records.current_of(self.item)
        was_tried = current["attempts"] - current.get("unsent", 0) > 1 or (refused and refused[0] is not asked[0])
        # A process that died with its lease may have sent nothing: nobody can know that.
        may_be = any(actor.has_died or actor.error for actor in self.world.scheduler.actors) or len(asked) > 1
        if was_tried and may_be and "belief" not in current and not self.world.begins_refused:
            return "taken for dead: an attempt before the refused one may have used its refresh token up"
        return None

    # What the books say

    def _standing_consents(self) -> list[Grant]:
        """Return the grants whose first tokens reached us, and are the connection's own, untouched by a revocation."""
        since = max(self.book.revoked_at, default=-1)
        return [
            grant
            for grant in self.world.server.grants
            if grant.connection_id == self.connection_id
            and grant.issues
            and not self.watch.is_lost(grant.issues[0])
            and not self._is_a_strangers(grant)
            and (grant.request_id not in self.world.to_confirm or grant in self.book.own)
            and (grant.issues[0].calls or grant in self.book.own)  # an import that was refused has gone
            and not self._is_named_too_late(grant)
            and (self.watch.read_at.get(grant.request_id, -1) > since or since < 0)
        ]

    def _is_named_too_late(self, grant: Grant) -> bool:
        """Return whether its account was asked for too late: its access token, which nothing refreshes, was dead."""
        return grant in self.world.server.asked_in_vain

    def _reached_us(self, grant: Grant) -> list[Issue]:
        return [issue for issue in grant.issues if not self.watch.is_lost(issue)]

    def _not_its_own(self) -> list[Grant]:
        """Return the grants of the connection whose tokens reached us and were never its own."""
        return [
            grant
            for grant in self.world.server.grants
            if grant.connection_id == self.connection_id and grant not in self.book.own
            if any(issue.calls for issue in self._reached_us(grant))  # or it is an earlier system's
        ]

    def _is_a_strangers(self, grant: Grant) -> bool:
        """Return whether a consent was given with another account than the connection is to, and everybody knows it."""
        account = self.book.account or self.world.accounts[self.connection_id]
        return self.world.profile.names_account and grant.account != account

    def _arrival(self, grant: Grant) -> int:
        """Return the second in which a consent's tokens reached us, by the clock of the process that got them."""
        if not grant.issues[0].calls:
            return int(grant.issues[0].at)
        call = grant.issues[0].calls[0]
        return int(call.arrived_at) if call is not None else 0

    def _current(self) -> TokenSet | None:
        current = records.current_of(self.item)
        return self.watch.opened(self.connection_id, current) if current else None

"""An authorization server as a pure state machine: what it issued, what it still accepts, and to whom it said so.

It knows the truth that the invariants are held against: for each consent, which refresh token is the newest, and
whether the answer that carried it ever reached a client.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from tests.torture.id_tokens import NEW, OLD, public, signed


@dataclass(frozen=True)
class Profile:
    """How a server treats tokens, and what the owner's registration says of it. Times are seconds.

    Refresh tokens (RFC 6749 section 6, RFC 9700 section 4.14.2). `rotates`: every refresh replaces the refresh token.
    `detects_reuse`: a replaced one, used again, ends the grant. `replay_seconds`: for so long a replaced one is
    answered again: with the same tokens, or, with `fresh_replays`, with new ones. `replay_is_known`: the
    registration says so. `refuses_with` is the code with which it refuses what is dead: the standard's, or one that
    nobody knows.

    Consents. `names_account`: the server says whose tokens are, as `names_it_by` has it: in the token response; in an
    ID token alone, signed by a key that is new; or at an endpoint, for an access token that is alive. The new key is
    published, and the endpoint answers, after `names_it_after` seconds. `one_refresh_token`: a further consent of an
    account that has a grant brings no refresh token; the old one goes on.

    Revocations (RFC 7009). `revocable`: there is an endpoint for them. `revokes_by_old`: a replaced refresh token still
    revokes the grant. `revokes_by_access`: so does an access token. `takes_live_access_alone`: nothing else does, and
    that only while it lives; `says_of_dead` is the answer to any other. `revokes_all`: every grant of that account
    ends, whichever token came. `confirms`: a 200 says whether anything ended, and only the first time something does.
    `says_all`: what the registration says of `revokes_all` (`revocation_ends_authorization`): the truth or not, or
    nothing.

    Refusals for passing reasons. `busy`: a refresh is refused while another one of the same token is at work, in words
    that the registration explains, or as a dead grant would be. `refuses_temporarily`: now and then it refuses as dead
    what lives, with a code that nobody knows, or with a 5xx, and does nothing. `at_once`: so many requests at a time is
    all that it takes, and the registration says so.
    """

    rotates: bool = True
    detects_reuse: bool = True
    replay_seconds: int = 0
    fresh_replays: bool = False
    replay_is_known: bool = True
    refuses_with: str = "invalid_grant"
    lifetime: int = 3600
    names_account: bool = False
    names_it_by: Literal["response", "ID token", "endpoint"] = "response"
    names_it_after: int = 0
    one_refresh_token: bool = False
    revocable: bool = True
    revokes_by_old: bool = False
    revokes_by_access: bool = False
    takes_live_access_alone: bool = False
    says_of_dead: Literal["200", "ok: false", "422"] = "200"
    revokes_all: bool = False
    confirms: bool = False
    says_all: bool | None = None
    busy: Literal["", "explained", "as dead"] = ""
    refuses_temporarily: bool = False
    at_once: int | None = None


@dataclass(eq=False)
class Grant:
    """One consent of the user. `ended` says why it is over, `ended_by` is the request that ended it."""

    number: int
    connection_id: str
    request_id: str
    account: str
    issues: list[Issue] = field(default_factory=list)
    ended: str | None = None
    ended_by: Any = None


@dataclass(eq=False)
class Issue:
    """One token response. `calls` are the requests that it answered: more than one if it was replayed.

    Without a refresh token it came of a consent beside one that goes on. Without calls it was issued elsewhere.
    """

    grant: Grant
    access_token: str
    refresh_token: str | None
    at: float
    calls: list[Any] = field(default_factory=list)
    used_at: float | None = None
    successor: Issue | None = None
    replayed: bool = False


class Refusal(Exception):
    """The server says no: with an error code (RFC 6749 section 5.2), in its own way if it has one."""

    def __init__(self, code: str, status: int = 400, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.document: dict[str, Any] = {"error": code, **more}


UNKNOWN = "flux_capacitor"
"""A code whose meaning nobody knows."""

BUSY_WORDS = "another request with this token is being processed"

_A_WHILE = 60.0
"""Seconds ago that an earlier system got what it hands over."""

_OF_DEAD_TOKENS = {
    "ok: false": Refusal("token_expired", 200, ok=False),
    "422": Refusal("", 422),
}


class Server:
    """The token and the revocation endpoint. `call` is whatever the caller knows its request by."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.grants: list[Grant] = []
        self.by_refresh_token: dict[str, Issue] = {}
        self.by_access_token: dict[str, Issue] = {}
        self.dead_access_tokens: set[str] = set()
        self.codes: dict[str, Grant] = {}
        self.code_requests: dict[str, int] = {}
        self.takes_all_for_dead = False
        self.new_key_since: float | None = None
        """When ID tokens began to be signed by a key that nobody knew before, and the endpoint stopped to answer."""
        self.asked_in_vain: set[Grant] = set()
        """Grants whose access token was dead when it was shown to the endpoint."""
        self._numbers = count(1)

    def consent(self, connection_id: str, request_id: str, account: str) -> str:
        """Return the code of a new grant: the user has said yes."""
        grant = Grant(len(self.grants) + 1, connection_id, request_id, account)
        self.grants.append(grant)
        code = f"code-{grant.number}"
        self.codes[code] = grant
        return code

    def issue_elsewhere(self, connection_id: str, request_id: str, account: str, now: float) -> Issue:
        """Return what an earlier system of the same client was given a while ago: no request of ours brought it."""
        grant = Grant(len(self.grants) + 1, connection_id, request_id, account)
        self.grants.append(grant)
        return self._issue(grant, now - _A_WHILE, self._next(grant))

    def exchange(self, code: str, now: float, call: Any) -> dict[str, Any]:
        """Answer a token request with a code (RFC 6749 section 4.1.3); a code used twice ends its grant (4.1.2)."""
        self.code_requests[code] = self.code_requests.get(code, 0) + 1
        grant = self.codes.get(code)
        if grant is None or self.code_requests[code] > 1:
            if grant is not None:
                self._end(grant, "code used twice", call)
            raise Refusal("invalid_grant")
        if self.profile.one_refresh_token and self._has_refresh_token(grant.account):
            return self._answer(self._issue(grant, now, None), call, with_refresh_token=False)
        return self._answer(self._issue(grant, now, self._next(grant)), call, with_refresh_token=True)

    def refresh(self, refresh_token: str, now: float, call: Any) -> dict[str, Any]:
        """Answer a token request with a refresh token (RFC 6749 section 6)."""
        used = self.by_refresh_token.get(refresh_token)
        if used is None or used.grant.ended or self.takes_all_for_dead:
            raise Refusal(self.profile.refuses_with)
        if not self.profile.rotates:
            return self._answer(self._issue(used.grant, now, refresh_token), call, with_refresh_token=False)
        if used.successor is None:
            used.used_at, used.successor = now, self._issue(used.grant, now, self._next(used.grant))
            return self._answer(used.successor, call, with_refresh_token=True)
        if self._may_be_replayed(used, now):
            if self.profile.fresh_replays:
                used.successor = self._issue(used.grant, now, self._next(used.grant))
            used.successor.replayed = True
            return self._answer(used.successor, call, with_refresh_token=True)
        if self.profile.detects_reuse:
            self._end(used.grant, "reuse", call)
        raise Refusal(self.profile.refuses_with)

    def revoke(self, token: str, now: float, call: Any) -> dict[str, Any]:
        """Answer a revocation request (RFC 7009): what is not known needs no revocation."""
        profile = self.profile
        by_refresh, by_access = self.by_refresh_token.get(token), self.by_access_token.get(token)
        if profile.takes_live_access_alone:
            if by_access is None or not self.is_alive(by_access, now):
                return self._unknown_token()
            self._revoke(by_access.grant, call)
            return self._revoked()
        if by_access is not None:
            self.dead_access_tokens.add(token)
        ends = None
        if by_refresh is not None and (by_refresh.successor is None or profile.revokes_by_old):
            ends = by_refresh.grant
        elif by_access is not None and profile.revokes_by_access:
            ends = by_access.grant
        if ends is None or ends.ended:
            return {"successful": False} if profile.confirms else {}
        self._revoke(ends, call)
        return self._revoked()

    def keys(self, now: float) -> dict[str, Any]:
        """Return the keys that are published (RFC 7517 section 5)."""
        is_out = self.new_key_since is not None and self._names_it(now)
        return {"keys": [public(OLD), public(NEW)] if is_out else [public(OLD)]}

    def account(self, access_token: str, now: float) -> dict[str, Any]:
        """Return whose an access token is (like OpenID Connect Core section 5.3), if that lives."""
        if not self._names_it(now):
            raise Refusal("", 503)
        issue = self.by_access_token.get(access_token)
        if issue is None or not self.is_alive(issue, now):
            self.asked_in_vain.update([issue.grant] if issue else [])
            raise Refusal("invalid_token", 401)
        return {"account": issue.grant.account}

    def _names_it(self, now: float) -> bool:
        return self.new_key_since is None or now >= self.new_key_since + self.profile.names_it_after

    def remove(self, connection_id: str) -> None:
        """Let the user take back all that a connection was allowed, in the server's own settings."""
        for grant in self.grants:
            if grant.connection_id == connection_id:
                self._end(grant, "removed by the user", None)

    def accepts(self, refresh_token: str | None) -> bool:
        """Return whether a refresh with this token would succeed now, whatever the replay window."""
        issue = self.by_refresh_token.get(refresh_token or "")
        return issue is not None and not issue.grant.ended and issue.successor is None

    def lives(self, grant: Grant, now: float) -> bool:
        """Return whether anything that was issued for a grant still serves."""
        return any(self.accepts(issue.refresh_token) or self.is_alive(issue, now) for issue in grant.issues)

    def is_alive(self, issue: Issue, now: float) -> bool:
        """Return whether an access token opens anything."""
        is_young = now < issue.at + self.profile.lifetime
        return is_young and not issue.grant.ended and issue.access_token not in self.dead_access_tokens

    def _revoke(self, grant: Grant, call: Any) -> None:
        for each in self.grants:
            if each is grant or (self.profile.revokes_all and each.account == grant.account and each.issues):
                self._end(each, "revoked", call)

    def _revoked(self) -> dict[str, Any]:
        if self.profile.takes_live_access_alone and self.profile.says_of_dead == "ok: false":
            return {"ok": True}
        return {"successful": True} if self.profile.confirms else {}

    def _unknown_token(self) -> dict[str, Any]:
        refusal = _OF_DEAD_TOKENS.get(self.profile.says_of_dead)
        if refusal is not None:
            raise refusal
        return {}

    def _has_refresh_token(self, account: str) -> bool:
        return any(
            grant.account == account and not grant.ended and any(issue.refresh_token for issue in grant.issues)
            for grant in self.grants
        )

    def _may_be_replayed(self, used: Issue, now: float) -> bool:
        in_time = used.used_at is not None and now - used.used_at <= self.profile.replay_seconds
        # Once the client has shown that it has the successor, there is nothing to be replayed any more.
        return (
            bool(self.profile.replay_seconds)
            and in_time
            and used.successor is not None
            and not used.successor.successor
        )

    def _next(self, grant: Grant) -> str:
        return f"rt-{grant.number}.{len(grant.issues) + 1}"

    def _issue(self, grant: Grant, now: float, refresh_token: str | None) -> Issue:
        issue = Issue(grant, f"at-{grant.number}.{next(self._numbers)}", refresh_token, now)
        grant.issues.append(issue)
        self.by_access_token[issue.access_token] = issue
        if refresh_token is not None:
            self.by_refresh_token[refresh_token] = issue
        return issue

    def _answer(self, issue: Issue, call: Any, *, with_refresh_token: bool) -> dict[str, Any]:
        issue.calls.append(call)
        answer = {"access_token": issue.access_token, "token_type": "Bearer", "expires_in": self.profile.lifetime}
        if self.profile.names_it_by == "ID token":
            answer["id_token"] = signed(NEW if self.new_key_since is not None else OLD, issue.grant.account, issue.at)
        elif self.profile.names_account and self.profile.names_it_by == "response":
            answer["account"] = issue.grant.account
        return answer | ({"refresh_token": issue.refresh_token} if with_refresh_token else {})

    def _end(self, grant: Grant, why: str, call: Any) -> None:
        if not grant.ended:
            grant.ended, grant.ended_by = why, call

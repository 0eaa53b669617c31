"""An authorization server as a pure state machine: what it issued, what it still accepts, and to whom it said so.

It knows the truth that the invariants are held against: which refresh token is the newest of which consent, and
whether the answer that carried it ever reached a client.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any


@dataclass(frozen=True)
class Profile:
    """How a server treats refresh tokens (RFC 6749 section 6, RFC 9700 section 4.14.2). Times are seconds.

    `rotates`: every refresh replaces the refresh token. `detects_reuse`: a replaced one, used again, ends the grant.
    `replay_seconds`: for so long a replaced one is answered again: with the same tokens, or with `fresh_replays` anew.
    `replay_is_known`: the owner's registration says so. `revokes_by_old`: a replaced refresh token still revokes the
    grant. `revokes_by_access`: so does an access token. `revokes_all`: with any of them every grant of that user ends,
    and a second time is refused.
    """

    rotates: bool = True
    detects_reuse: bool = True
    replay_seconds: int = 0
    fresh_replays: bool = False
    replay_is_known: bool = True
    revokes_by_old: bool = False
    revokes_by_access: bool = False
    revokes_all: bool = False
    lifetime: int = 3600


@dataclass(eq=False)
class Grant:
    """One consent of the user. `ended` says why it is over, `ended_by` is the call that ended it."""

    number: int
    connection_id: str
    request_id: str
    issues: list[Issue] = field(default_factory=list)
    ended: str | None = None
    ended_by: Any = None


@dataclass(eq=False)
class Issue:
    """One token response. `calls` are the requests that it answered: more than one where it was replayed."""

    grant: Grant
    access_token: str
    refresh_token: str
    at: float
    calls: list[Any] = field(default_factory=list)
    used_at: float | None = None
    successor: Issue | None = None
    replayed: bool = False


class Refusal(Exception):
    """The server says no: an error code of RFC 6749 section 5.2."""


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
        self._numbers = count(1)

    def consent(self, connection_id: str, request_id: str) -> str:
        """Return the code of a new grant: the user has said yes."""
        grant = Grant(len(self.grants) + 1, connection_id, request_id)
        self.grants.append(grant)
        code = f"code-{grant.number}"
        self.codes[code] = grant
        return code

    def exchange(self, code: str, now: float, call: Any) -> dict[str, Any]:
        """Answer a token request with a code (RFC 6749 section 4.1.3); a code used twice ends its grant (4.1.2)."""
        self.code_requests[code] = self.code_requests.get(code, 0) + 1
        grant = self.codes.get(code)
        if grant is None or self.code_requests[code] > 1:
            if grant is not None:
                self._end(grant, "code used twice", call)
            raise Refusal("invalid_grant")
        return self._answer(self._issue(grant, now), call, with_refresh_token=True)

    def refresh(self, refresh_token: str, now: float, call: Any) -> dict[str, Any]:
        """Answer a token request with a refresh token (RFC 6749 section 6)."""
        used = self.by_refresh_token.get(refresh_token)
        if used is None or used.grant.ended:
            raise Refusal("invalid_grant")
        if not self.profile.rotates:
            return self._answer(self._issue(used.grant, now, refresh_token), call, with_refresh_token=False)
        if used.successor is None:
            used.used_at, used.successor = now, self._issue(used.grant, now)
            return self._answer(used.successor, call, with_refresh_token=True)
        if self._may_be_replayed(used, now):
            if self.profile.fresh_replays:
                used.successor = self._issue(used.grant, now)
            used.successor.replayed = True
            return self._answer(used.successor, call, with_refresh_token=True)
        if self.profile.detects_reuse:
            self._end(used.grant, "reuse", call)
        raise Refusal("invalid_grant")

    def revoke(self, token: str, call: Any) -> dict[str, Any]:
        """Answer a revocation request (RFC 7009): what is not known needs no revocation."""
        by_refresh, by_access = self.by_refresh_token.get(token), self.by_access_token.get(token)
        if self.profile.revokes_all:
            return {"successful": self._revoke_all(by_refresh or by_access, call)}
        if by_refresh is not None and (by_refresh.successor is None or self.profile.revokes_by_old):
            self._end(by_refresh.grant, "revoked", call)
        if by_access is not None:
            self.dead_access_tokens.add(token)
            if self.profile.revokes_by_access:
                self._end(by_access.grant, "revoked", call)
        return {}

    def _revoke_all(self, issue: Issue | None, call: Any) -> bool:
        if issue is None or issue.grant.ended:
            return False
        for grant in self.grants:
            if grant.issues:
                self._end(grant, "revoked", call)
        return True

    def accepts(self, refresh_token: str | None) -> bool:
        """Tell whether a refresh with this token would succeed now, whatever the replay window."""
        issue = self.by_refresh_token.get(refresh_token or "")
        return issue is not None and not issue.grant.ended and issue.successor is None

    def _may_be_replayed(self, used: Issue, now: float) -> bool:
        in_time = used.used_at is not None and now - used.used_at <= self.profile.replay_seconds
        # Once the client has shown that it has the successor, there is nothing to be replayed any more.
        return (
            bool(self.profile.replay_seconds)
            and in_time
            and used.successor is not None
            and not used.successor.successor
        )

    def _issue(self, grant: Grant, now: float, refresh_token: str | None = None) -> Issue:
        number = next(self._numbers)
        issue = Issue(grant, f"at-{grant.number}.{number}", refresh_token or f"rt-{grant.number}.{number}", now)
        grant.issues.append(issue)
        self.by_access_token[issue.access_token] = issue
        self.by_refresh_token[issue.refresh_token] = issue
        return issue

    def _answer(self, issue: Issue, call: Any, *, with_refresh_token: bool) -> dict[str, Any]:
        issue.calls.append(call)
        answer = {"access_token": issue.access_token, "token_type": "Bearer", "expires_in": self.profile.lifetime}
        return answer | ({"refresh_token": issue.refresh_token} if with_refresh_token else {})

    def _end(self, grant: Grant, why: str, call: Any) -> None:
        if not grant.ended:
            grant.ended, grant.ended_by = why, call

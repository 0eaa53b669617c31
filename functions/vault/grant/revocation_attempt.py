"""One attempt to revoke a token set: what the server is asked, in which order, and what its answers come to.

A grant has ended when the server has confirmed the end of its refresh token, or of an access token that was alive.
An access token that had expired confirms nothing: a server may say yes to a token that it does not know. Nor does the
end of an access token if the refresh token was refused in the same attempt: that refusal may be temporary, and is
believed the second time. If a server is known to end the grant with the first token, its first success is enough.

What the words of a refusal mean is in `refusal_meaning`.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from functions.vault.base.errors import GatehouseError, ProviderMisconfigured, RevocationRefused, TokenTypeNotRevoked
from functions.vault.base.record import record

from .revocation import (
    DEAD,
    ENDED_WITH_ALL,
    GONE,
    INTERRUPTED,
    LEFT_AT_THE_SERVER,
    REFUSED_AFTER_AN_INTERRUPTION,
    REVOKED,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .revocation import Answers
    from .stored_set import StoredSet
    from .token_set import TokenSet

    Revoke = Callable[[str, str], bool]

_ACCESS, _REFRESH = "access_token", "refresh_token"
_NONE, _REFUSED, _UNSUPPORTED = "none", "refused", "unsupported_token_type"

_ON_ITS_WAY = 10
"""Seconds of life that an access token needs to be alive when the server looks at it."""


@record
class RevocationAttempt:
    """The outcome of an attempt: the answers that are known now, and the failure that kept the grant from ending.

    `needs_refresh`: the grant may end with newer tokens.
    """

    answers: Answers = field(default_factory=dict)
    failure: GatehouseError | None = None
    needs_refresh: bool = False


class _Asked:
    """What the server was asked about a token set, and what it has answered."""

    def __init__(self, token_set: StoredSet, now: Callable[[], float], *, ends_all: bool) -> None:
        self.token_set = token_set
        self.ends_all = ends_all
        self.refusal: GatehouseError | None = None
        self.has_run_out = False
        self.is_gone = False
        self.is_refresh_refused = False
        self._now = now
        self._known = token_set
        self._answers: Answers = {}

    @property
    def is_confirmed(self) -> bool:
        return self._known.is_confirmed

    @property
    def has_revoked(self) -> bool:
        return any(entry["answer"] == REVOKED for entry in self._known.answers.values())

    def answered(self, kind: str, answer: str) -> None:
        self._known = self._known.answered(kind, answer, self._now())
        self._answers[kind] = self._known.answers[kind]

    def ended(self, grant: str | None = None) -> RevocationAttempt:
        if grant is not None:
            self.answered("grant", grant)
        return RevocationAttempt(self._answers)

    def failed(self, failure: GatehouseError) -> RevocationAttempt:
        return RevocationAttempt(self._answers, failure)

    def may_end_with_newer_tokens(self) -> RevocationAttempt:
        return RevocationAttempt(self._answers, needs_refresh=True)


def attempt_revocation(  # noqa: PLR0913 - a token set, how its server is asked, and what is known besides
    token_set: StoredSet,
    tokens: TokenSet,
    kinds: Iterable[str],
    revoke: Revoke,
    now: Callable[[], float],
    *,
    had_ended: bool,
    ends_all: bool = False,
    first_ends_all: bool = False,
    refuses_us: bool = False,
) -> RevocationAttempt:
    """Ask the server to revoke each token of the `kinds` that it takes, unless it has answered about that token before.

    `revoke` sends a token of a kind, and returns whether the server knew it.
    `had_ended`: the server has confirmed the end of this grant in answer to another token set.
    `ends_all`: with any grant it ends all grants of the account. `first_ends_all`: it ends them with the first token,
    and a success shows that it knew that token.
    `refuses_us`: it has published that it takes no revocation from this client.
    """
    asked = _Asked(token_set, now, ends_all=ends_all)
    try:
        for kind in kinds:
            if kind not in token_set.answers and not (first_ends_all and asked.has_revoked):
                _ask_about(asked, kind, getattr(tokens, kind), revoke, now())
    except GatehouseError as error:
        if refuses_us and isinstance(error, ProviderMisconfigured) and error.refuses_client:
            return asked.ended(LEFT_AT_THE_SERVER)
        return asked.failed(error)
    return _judged(asked, now(), had_ended=had_ended or (first_ends_all and asked.has_revoked))


def _ask_about(asked: _Asked, kind: str, token: str | None, revoke: Revoke, now: float) -> None:
    """Ask about one token, unless it has expired and nothing else could confirm the end."""
    alone = kind == _ACCESS and not asked.is_confirmed
    if token is None:
        asked.answered(kind, _NONE)
    elif alone and asked.token_set.has_run_out(now + _ON_ITS_WAY) and not asked.token_set.is_fresh(now):
        asked.has_run_out = True
    elif (answer := _answer(asked, kind, token, revoke)) == GONE and alone:
        asked.is_gone = True
    elif answer is not None:
        asked.answered(kind, answer)


def _answer(asked: _Asked, kind: str, token: str, revoke: Revoke) -> str | None:
    """Return what the server answers; None for a refusal, unless the end is confirmed already."""
    try:
        return REVOKED if revoke(kind, token) else GONE
    except TokenTypeNotRevoked:
        return _UNSUPPORTED
    except (RevocationRefused, ProviderMisconfigured) as refusal:
        is_refused_again = kind != _REFRESH or _ACCESS in asked.token_set.answers
        if asked.is_confirmed and is_refused_again and refusal.provider_error is not None:
            return _REFUSED
        if _is_about_us(refusal):
            raise
        asked.refusal = asked.refusal or refusal
        asked.is_refresh_refused |= kind == _REFRESH
        return None


def _is_about_us(refusal: GatehouseError) -> bool:
    """Return whether the server has looked at no token: it refuses the client, or was not asked at all."""
    return isinstance(refusal, ProviderMisconfigured) and (refusal.refuses_client or refusal.provider_error is None)


def _judged(asked: _Asked, now: float, *, had_ended: bool) -> RevocationAttempt:
    """Return the outcome when everything was asked."""
    token_set = asked.token_set
    is_interrupted = token_set.lease is not None and token_set.lease.is_after_an_interruption
    if asked.is_confirmed:
        is_in_doubt = asked.is_refresh_refused and not had_ended
        return _judged_confirmed(asked, is_in_doubt=is_in_doubt, is_interrupted=is_interrupted)
    if asked.has_run_out and token_set.refreshable:
        return asked.may_end_with_newer_tokens()
    is_refused = asked.is_gone or isinstance(asked.refusal, RevocationRefused)
    if is_refused and (is_interrupted or had_ended):
        return asked.ended(INTERRUPTED if is_interrupted else REVOKED)
    # A refusal of our client, or one that nobody can explain, says nothing about a grant that is alive here.
    if is_refused or (asked.refusal is not None and token_set.was_dead):
        return _judged_refused(asked, now)
    if asked.refusal is not None:
        return asked.failed(asked.refusal)
    return asked.ended(LEFT_AT_THE_SERVER)


def _judged_confirmed(asked: _Asked, *, is_in_doubt: bool, is_interrupted: bool) -> RevocationAttempt:
    """Return the outcome if the end of a token is confirmed; `is_in_doubt`: the refresh token was refused."""
    if is_interrupted:
        return asked.ended(INTERRUPTED)
    if is_in_doubt and asked.refusal is not None:
        return asked.failed(asked.refusal)
    return asked.ended(ENDED_WITH_ALL if asked.ends_all else None)


def _judged_refused(asked: _Asked, now: float) -> RevocationAttempt:
    """Return the outcome if the server took none of the tokens: a refresh shows whether the grant lives."""
    token_set = asked.token_set
    if token_set.refreshable and not token_set.is_fresh(now):
        return asked.may_end_with_newer_tokens()
    if not token_set.refreshable:
        if token_set.was_dead or token_set.open_attempts:
            return asked.ended(DEAD if token_set.was_dead else REFUSED_AFTER_AN_INTERRUPTION)
        if asked.is_gone:
            asked.answered(_ACCESS, GONE)
            return asked.ended()
    unknown = RevocationRefused("The authorization server knows nothing of an access token that it has just issued.")
    return asked.failed(asked.refusal or unknown)

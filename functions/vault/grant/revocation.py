"""How the revocation of one token set goes (RFC 7009), and what a server can have answered to it."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import record

if TYPE_CHECKING:
    from .failure import Failure

# What is known of a token, or of the grant as a whole, when its revocation has ended.

REVOKED = "revoked"
"""The server has confirmed the revocation."""

GONE = "gone"
"""The server says that there is no such token (any more)."""

DEAD = "dead"
"""The server has refused the refresh token, and once more when the grant was to be revoked."""

REFUSED_AFTER_AN_INTERRUPTION = "refused after an interruption"
"""Taken for a confirmation whose answer was lost: the server, asked once more, has nothing left to revoke."""

INTERRUPTED = "interrupted"
"""The answer to a refresh was lost: there may be tokens of this grant that only the server knows."""

ENDED_WITH_ALL = "ended with all of its account"
"""The server has confirmed the revocation, and it ends every grant that the account has given this client."""

LEFT_AT_THE_SERVER = "left at the server"
"""The server offers no revocation, or nothing is left that it would take."""

Answers = dict[str, dict[str, Any]]
"""`{kind: {answer, at}}`: what was answered about each kind of token, and under `grant` about the grant as a whole."""


@record
class Revocation:
    """The state of one token set's revocation, which is due since `since` (Unix seconds).

    `open_attempts` counts the attempts with an unknown outcome. `came_at` is when the tokens came, if that was after
    the end of their grant.
    """

    since: int
    open_attempts: int = 0
    answers: Answers = field(default_factory=dict)
    failure: Failure | None = None
    came_at: int | None = None

"""What 401s say about tokens: whether the same request may be sent once more, and whether a refresh may help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .kept import NotedVersions

if TYPE_CHECKING:
    from .answers import Token
    from .timing import Timing

JUST_OBTAINED_SECONDS = 10
"""Gatehouse does not refresh a token set that is younger."""
REFRESH_DOES_NOT_HELP_SECONDS = 300
"""How long a 401 is taken to be about something else than the token, after a new token got one, too."""


class Refusals:
    """The tokens that have just been obtained, and those that an API refused although they were new."""

    def __init__(self, timing: Timing) -> None:
        self._replacements = NotedVersions(timing)
        self._unchanged = NotedVersions(timing)
        self._refused = NotedVersions(timing)
        self._taken_after_all = NotedVersions(timing)

    def note_replacement(self, token: Token) -> None:
        """Note that a refresh has brought this token."""
        self._replacements.add(token.connection_id, token.version, JUST_OBTAINED_SECONDS)

    def note_unchanged(self, token: Token) -> None:
        """Note that Gatehouse has returned this token as it is, because it is that young."""
        self._unchanged.add(token.connection_id, token.version, JUST_OBTAINED_SECONDS)

    def is_just_obtained(self, token: Token) -> bool:
        """Return whether a refresh would bring the same token."""
        which = token.connection_id, token.version
        return self._replacements.has(*which) or self._unchanged.has(*which)

    def is_refused(self, token: Token) -> bool:
        """Return whether neither another token nor the same one once more would help."""
        return self._refused.has(token.connection_id, token.version)

    def refuse(self, first: Token, second: Token) -> None:
        """Note that an API answered 401 to a request with the first token, and to its repeat with the second one."""
        which = second.connection_id, second.version
        if first.version != second.version or self._replacements.has(*which):
            self._refused.add(*which, REFRESH_DOES_NOT_HELP_SECONDS)
        else:
            # No other token has been tried: one can be had when this one is old enough.
            self._refused.add(*which, JUST_OBTAINED_SECONDS)

    def accept(self, token: Token) -> None:
        """Note that an API took the token: a later 401 to it is about this token, and not about something else.

        Of a token that was refused it is believed once in five minutes. An API that takes a token for one call and
        refuses it for another, because a permission is missing, would cause a refresh for each of them otherwise.
        """
        which = token.connection_id, token.version
        self._replacements.remove(*which)
        if self._refused.has(*which) and not self._taken_after_all.has(token.connection_id, 0):
            self._taken_after_all.add(token.connection_id, 0, REFRESH_DOES_NOT_HELP_SECONDS)
            self._refused.remove(*which)

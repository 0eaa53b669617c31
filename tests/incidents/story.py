"""A story: the report it is from, the server in it, what happens, and how it ends for either keeper."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.incidents.grants import Grants
    from tests.incidents.keepers import Clock, Keeper

    Play = Callable[["Scene"], str]


@dataclass(frozen=True)
class Scene:
    """Who is in a story."""

    keeper: Keeper
    server: Grants
    clock: Clock

    def token(self) -> str:
        """Return `a token` if the keeper gives one that the server's API accepts, otherwise what it gives."""
        said = self.keeper.token()
        return "a token" if self.server.accepts(said) else said


@dataclass(frozen=True)
class Story:
    """`ends` and `ends_naively` are what playing it comes to, for Gatehouse and for the naive keeper.

    `report` is the public report (`owner/repository#number`). `provider` is a file of the catalogue, with its endpoints
    replaced by the story's server; `registration` is what the owner adds, and `server` how that server behaves.
    """

    play: Play
    case: str
    report: str
    ends: str
    ends_naively: str
    provider: str | None = None
    registration: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    revokes: str = "refresh_token"

    @property
    def name(self) -> str:
        """Return what it is called."""
        return self.play.__name__

    @property
    def title(self) -> str:
        """Return what happened, in a line."""
        return (self.play.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def url(self) -> str:
        """Return where the report is."""
        repository, _, number = self.report.partition("#")
        return f"https://github.com/{repository}/issues/{number}"


def story(**details: Any) -> Callable[[Play], Story]:
    """Make a story of the function that plays it; the docstring is its text."""
    return lambda play: Story(play, **details)


def lives(server: Grants) -> str:
    """Say how many grants live at the server."""
    return {0: "no grant lives", 1: "the grant lives"}.get(server.living, f"{server.living} grants live")

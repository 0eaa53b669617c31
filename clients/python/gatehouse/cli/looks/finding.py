"""What a look has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Literal

    from gatehouse.cli.failures import Failure

    State = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `do` has the steps that mend it, or what to enter elsewhere."""

    area: str
    what: str
    state: State = "ok"
    said: str = ""
    do: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {"area": self.area, "what": self.what, "state": self.state, "said": self.said, "do": list(self.do)}


def problem(area: str, what: str, said: str, *do: str) -> Finding:
    """Return a finding that something is wrong."""
    return Finding(area, what, "problem", said, do)


def of_failure(area: str, what: str, failure: Failure) -> Finding:
    """Return the finding that a look could not be taken."""
    state: State = "unknown" if failure.error in {"not_allowed", "no_credentials"} else "problem"
    return Finding(area, what, state, failure.description, (failure.advice,))

"""What a client made of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.corpus.case import Verdict


@dataclass(frozen=True)
class Result:
    """`verdict` is None if a client crashed; `how` says how it came to its verdict, `took` in how many seconds."""

    verdict: Verdict | None
    stored: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    retry_after: int | None = None
    outcome_unknown: bool = False
    how: str = ""
    took: int = 0

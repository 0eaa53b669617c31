"""One request on its way through the demo server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from local.demo.dialect import Dialect
    from local.demo.faults import Faults
    from local.demo.observation import Seen


@dataclass(frozen=True)
class Call:
    """A request, the dialect it is in, the faults that apply to it, and its line in the record."""

    endpoint: str
    dialect: Dialect
    request: Request
    faults: Faults
    seen: Seen

"""`rescue`: commits a token response whose first write failed: from its queue, or from a line of the log by hand."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from functions.vault.base.fields import Whole
from functions.vault.grant.obtained import Obtained
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

_DOCUMENT = Whole(*(field.name for field in fields(Obtained)))


def _rescue(services: Services, document: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return services.rescuing.rescue(document, deadline)


def _consume(services: Services, document: dict[str, Any], deadline: Deadline) -> None:
    services.rescuing.rescue(document, deadline)


def _preload(services: Services) -> None:
    services.preload("rescuing", clients=("dynamodb",))


handler = InvokeHandler("rescue", lambda _services: _DOCUMENT, _rescue, _consume, preload=_preload)

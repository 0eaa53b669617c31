"""EventBridge: the bus on which events are published."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.base.record import record

from .aws import ClientError, code_of, outages_are_temporary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .aws import ClientOf

AT_ONCE = 10
"""Events that one request takes."""

LARGEST_REQUEST = 200_000
"""Bytes that one request may have, about; EventBridge promises to take more."""

_NEVER_TAKEN = frozenset({"MalformedDetail", "InvalidArgument", "ValidationException", "ValidationError"})
_OUTAGE = "Unavailable"


@record
class Refused:
    """Why the bus has not taken an event: its code. `is_busy`: it has taken the request, and may soon take more."""

    code: str
    is_busy: bool = False

    @property
    def for_good(self) -> bool:
        """Return whether there is something wrong with the event itself: the bus will never take it."""
        return self.code in _NEVER_TAKEN


class Bus:
    """One event bus, by its name."""

    def __init__(self, client_of: ClientOf, name: str) -> None:
        self._client_of = client_of
        self._name = name

    def put(self, source: str, documents: Sequence[dict[str, Any]]) -> list[Refused | None]:
        """Publish up to `AT_ONCE` documents, each `{detail_type, detail, at}`; return for each why it was not taken.

        The bus takes some and refuses others. If it cannot be asked at all, it has refused all of them.
        """
        entries = [
            {
                "Source": source,
                "DetailType": each["detail_type"],
                "Detail": json.dumps(each["detail"]),
                "Time": each["at"],
                "EventBusName": self._name,
            }
            for each in documents
        ]
        try:
            with outages_are_temporary("EventBridge"):
                answer = self._client_of("events").put_events(Entries=entries)
        except TemporarilyUnavailable:
            return [Refused(_OUTAGE) for _ in documents]
        except ClientError as error:
            # The bus is gone, or the role may not use it: somebody has to see to that, and the events wait.
            logging.getLogger("gatehouse").error(  # noqa: TRY400 - the place says nothing, and it is no defect
                "the bus refuses events", extra={"aws_error": code_of(error)}
            )
            return [Refused(code_of(error)) for _ in documents]
        codes = [each.get("ErrorCode") for each in answer["Entries"]]
        return [None if code is None else Refused(code, code not in _NEVER_TAKEN) for code in codes]

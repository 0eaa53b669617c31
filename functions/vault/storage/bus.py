"""EventBridge: the bus on which events are published."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.base.record import record

from .aws import ClientError, code_of, outages_are_temporary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .aws import ClientOf

    Entry = Mapping[str, Any]

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

    def entry(self, source: str, document: Mapping[str, Any]) -> Entry:
        """Return an event `{detail_type, detail, at}` as `put` takes it."""
        return {
            "Source": source,
            "DetailType": document["detail_type"],
            "Detail": json.dumps(document["detail"]),
            "Time": document["at"],
            "EventBusName": self._name,
        }

    def put(self, entries: Sequence[Entry]) -> list[Refused | None]:
        """Publish up to `AT_ONCE` events, of `LARGEST_REQUEST` by `size_of` in all; return why each was not taken.

        The bus takes some and refuses others. If it cannot be asked at all, it has refused all of them.
        """
        try:
            with outages_are_temporary("EventBridge"):
                answer = self._client_of("events").put_events(Entries=list(entries))
        except TemporarilyUnavailable:
            return [Refused(_OUTAGE) for _ in entries]
        except ClientError as error:
            # The bus is gone, or the role may not use it: somebody has to see to that, and the events wait.
            logging.getLogger("gatehouse").error(  # noqa: TRY400 - the place says nothing, and it is no defect
                "the bus refuses events", extra={"aws_error": code_of(error)}
            )
            return [Refused(code_of(error)) for _ in entries]
        codes = [each.get("ErrorCode") for each in answer["Entries"]]
        return [None if code is None else Refused(code, code not in _NEVER_TAKEN) for code in codes]


def size_of(entry: Entry) -> int:
    """Return the bytes of an event, about. What is not in its detail is a hundred of them."""
    return len(entry["Detail"])

"""The event bus of the account: what is published is kept for whoever looks, and handed to those who listen.

moto's own bus needs a package that is not here, and knows no targets that this stack has.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local.base.environment import REGION

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment

    Event = dict[str, Any]

KEPT = 1000
"""Events that are kept."""

MOST_AT_ONCE = 10
_LARGEST = 1024 * 1024


class EventBus:
    """Answers PutEvents. The events have the form in which rules' targets get them, oldest first.

    ``refuse`` may say why an entry is not taken: a code for it, or None.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self.listeners: list[Callable[[Event], None]] = []
        self.refuse: Callable[[dict[str, Any]], str | None] = lambda _entry: None

    @property
    def events(self) -> list[Event]:
        """What was published, oldest first."""
        with self._lock:
            return list(self._events)

    def answer(self, environ: WSGIEnvironment) -> Response:
        """Answer one request."""
        entries = json.loads(Request(environ).get_data())["Entries"]
        if len(entries) > MOST_AT_ONCE:
            return _response({"__type": "ValidationException", "message": "At most ten entries."}, 400)
        results = [self._take(entry) for entry in entries]
        failed = sum("ErrorCode" in result for result in results)
        return _response({"FailedEntryCount": failed, "Entries": results})

    def _take(self, entry: dict[str, Any]) -> dict[str, Any]:
        code = self.refuse(entry) or _mistake_in(entry)
        if code is not None:
            return {"ErrorCode": code, "ErrorMessage": "The bus has not taken it."}
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": self._account,
            "time": datetime.fromtimestamp(entry["Time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": entry.get("Resources", []),
            "detail": json.loads(entry["Detail"]),
        }
        with self._lock:
            self._events.append(event)
        for listen in list(self.listeners):
            listen(event)
        return {"EventId": event["id"]}


def _mistake_in(entry: dict[str, Any]) -> str | None:
    if not all(entry.get(name) for name in ("Source", "DetailType", "Detail")):
        return "InvalidArgument"
    if len(entry["Detail"].encode()) > _LARGEST:
        return "InvalidArgument"
    try:
        is_object = isinstance(json.loads(entry["Detail"]), dict)
    except ValueError:
        is_object = False
    return None if is_object else "MalformedDetail"


def _response(document: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(document), status, content_type="application/x-amz-json-1.1")

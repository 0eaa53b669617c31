"""The log groups of the account: what the functions log is kept, and found by `filter-log-events` and by queries.

moto reads neither filter patterns nor queries. An event has the real time, so that `--since 10m` means ten minutes of
the person who asks; the time in a line is that of the stack's clock.
"""

from __future__ import annotations

import json
import re
import shlex
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local.aws import filter_patterns, insights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from _typeshed.wsgi import WSGIEnvironment

    from local.aws.call import AwsCall

KEPT = 10_000
"""Lines that each log group keeps."""

_MOST_AT_ONCE = 10_000
_STREAM = "local"


@dataclass(frozen=True)
class Line:
    """One line of a log: the time (Unix milliseconds) at which it came, and its id."""

    group: str
    time: int
    text: str
    id: str


class LogGroups:
    """Answers FilterLogEvents, StartQuery, GetQueryResults and DescribeQueryDefinitions."""

    def __init__(self) -> None:
        self.queries: list[dict[str, Any]] = []
        """The saved queries of the stack, as DescribeQueryDefinitions has them."""
        self.groups: Mapping[str, str] = {}
        """The log group of each function, by the function's name."""
        self._lines: dict[str, deque[Line]] = {}
        self._results: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "FilterLogEvents": self._filter,
            "StartQuery": self._start_query,
            "GetQueryResults": self._query_results,
            "DescribeQueryDefinitions": lambda _request: {"queryDefinitions": self.queries},
        }

    def put(self, group: str, text: str) -> None:
        """Keep a line of a log group."""
        with self._lock:
            line = Line(group, int(time.time() * 1000), text, uuid.uuid4().hex)
            self._lines.setdefault(group, deque(maxlen=KEPT)).append(line)

    def group_asked_for(self, call: AwsCall) -> str | None:
        """Return the log group of the function whose configuration is asked for: moto's answer does not have it."""
        asked = re.fullmatch(r"GET /2015-03-31/functions/([^/]+)/configuration", call.operation)
        return self.groups.get(asked[1].partition(":")[0]) if asked and call.service == "lambda" else None

    def takes(self, operation: str) -> bool:
        """Return whether an operation is answered here, and not by moto."""
        return operation in self._answers

    def answer(self, operation: str, environ: WSGIEnvironment) -> Response:
        """Answer one request."""
        try:
            return _response(self._answers[operation](json.loads(Request(environ).get_data())))
        except ValueError as error:
            kind = "MalformedQueryException" if operation == "StartQuery" else "InvalidParameterException"
            message = f"The local stack does not understand this: {error}"
            return _response({"__type": kind, "message": message}, 400)

    def _filter(self, request: dict[str, Any]) -> dict[str, Any]:
        lines = self._found([_group(request)], request.get("startTime", 0), request.get("endTime"))
        takes = _pattern(request.get("filterPattern") or "")
        found = [line for line in lines if takes(line.text)][: request.get("limit", _MOST_AT_ONCE)]
        events = [
            {
                "logStreamName": _STREAM,
                "timestamp": line.time,
                "ingestionTime": line.time,
                "message": line.text,
                "eventId": line.id,
            }
            for line in found
        ]
        return {"events": events, "searchedLogStreams": [{"logStreamName": _STREAM, "searchedCompletely": True}]}

    def _start_query(self, request: dict[str, Any]) -> dict[str, Any]:
        groups = [*request.get("logGroupNames", ()), *request.get("logGroupIdentifiers", ())] or [_group(request)]
        start, end = (request[name] * 1000 for name in ("startTime", "endTime"))
        rows = insights.run(request["queryString"], [*_rows(self._found(groups, start, end + 999))])
        query_id = str(uuid.uuid4())
        self._results[query_id] = rows[: request.get("limit", _MOST_AT_ONCE)]
        return {"queryId": query_id}

    def _query_results(self, request: dict[str, Any]) -> dict[str, Any]:
        rows = self._results.get(request["queryId"], [])
        results = [[{"field": name, "value": _text(value)} for name, value in row.items()] for row in rows]
        return {"status": "Complete", "results": results, "statistics": {"recordsMatched": float(len(rows))}}

    def _found(self, groups: Iterable[str], start: int, end: int | None) -> list[Line]:
        """Return the lines of some log groups between two times (Unix milliseconds), in their order."""
        names = [name.removesuffix(":*").rpartition(":log-group:")[2] for name in groups]
        with self._lock:
            lines = [line for name in names for line in self._lines.get(name, ())]
        return sorted(
            (line for line in lines if start <= line.time and (end is None or line.time <= end)),
            key=lambda line: line.time,
        )


def _group(request: dict[str, Any]) -> str:
    return str(request.get("logGroupName") or request.get("logGroupIdentifier") or "")


def _rows(lines: Iterable[Line]) -> Iterator[dict[str, Any]]:
    for line in lines:
        (row,) = insights.lines_of([line.text])
        at = datetime.fromtimestamp(line.time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        yield {**row, "@timestamp": at, "@log": line.group, "@logStream": _STREAM}


def _pattern(pattern: str) -> Callable[[str], bool]:
    """Return what a filter pattern takes: by fields of JSON, or all of some words."""
    if pattern.strip().startswith("{"):
        return lambda text: filter_patterns.matches(pattern.strip(), text)
    words = shlex.split(pattern)
    return lambda text: all(word in text for word in words)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _response(document: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(document), status, content_type="application/x-amz-json-1.1")

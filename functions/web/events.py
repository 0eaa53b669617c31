"""What Lambda passes to a function: an event (of the HTTP API, of SQS, or any JSON from an Invoke) and a context.

Whoever may invoke a function may send it anything. An event counts as one of AWS's only if everything that Gatehouse
reads of it has the shape that AWS gives it. Anything else is the payload of an Invoke, and is refused field by field.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from functions.vault.base.errors import InvalidRequest
from functions.vault.base.timing import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

Event = Any

_NO_OBJECT = "body: expected a JSON object."


class Context(Protocol):
    """The part of Lambda's context object that is used here."""

    @property
    def aws_request_id(self) -> str:
        """Return the id under which Lambda logs this invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends this invocation."""


def deadline_of(context: Context) -> Deadline:
    """Return when Lambda ends this invocation."""
    return Deadline(lambda: context.get_remaining_time_in_millis() / 1000)


def is_http(event: Event) -> bool:
    """Return whether an event is one of the HTTP API (payload format 2.0).

    A field that is null counts as absent: some tools always send all fields.
    """
    if not isinstance(event, Mapping) or event.get("version") != "2.0" or event.get("requestContext") is None:
        return False
    return all(fits(event[name]) for name, fits in _HTTP.items() if event.get(name) is not None)


def _is_text(value: Any) -> bool:
    """Return whether a value is a string that UTF-8 can encode. JSON can spell half a surrogate pair."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _are_texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, value.values()))


def _is_context(value: Any) -> bool:
    http = value.get("http", {}) if isinstance(value, Mapping) else None
    return isinstance(http, Mapping) and isinstance(http.get("method", ""), str)


_HTTP: dict[str, Callable[[Any], bool]] = {
    "requestContext": _is_context,
    "pathParameters": _are_texts,
    "headers": _are_texts,
    "cookies": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "rawQueryString": _is_text,
    "body": _is_text,
    "isBase64Encoded": lambda value: isinstance(value, bool),
}


def body_of(event: Event) -> Any:
    """Return the JSON in the body of an HTTP event; raise `InvalidRequest` if it is not JSON."""
    body = event.get("body") or ""
    try:
        return json.loads(b64decode(body) if event.get("isBase64Encoded") else body)
    except (ValueError, RecursionError):
        raise InvalidRequest(_NO_OBJECT) from None


def is_queue(event: Event) -> bool:
    """Return whether an event is a batch of SQS messages, and nothing else."""
    records = event.get("Records") if isinstance(event, Mapping) and len(event) == 1 else None
    return isinstance(records, list) and all(map(_is_message, records))


def _is_message(record: Any) -> bool:
    """Return whether a record has a body to work on, and an id to report if it has to come again."""
    if not isinstance(record, Mapping) or record.get("eventSource") != "aws:sqs":
        return False
    return isinstance(record.get("messageId"), str) and isinstance(record.get("body"), str)


def message_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object in the body of an SQS message; raise `InvalidRequest` if it is none."""
    message = body_of({"body": record["body"]})
    if not isinstance(message, dict):
        raise InvalidRequest(_NO_OBJECT)
    return message

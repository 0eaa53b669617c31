"""What Lambda passes to a function: an event (of the HTTP API, of SQS, or any JSON from an Invoke) and a context.

Whoever may invoke a function may send it anything. An event counts as one of AWS's only if everything that Gatehouse
reads of it has the shape that AWS gives it, and one of the HTTP API only if it comes by the API's own alias. Anything
else is the payload of an Invoke, and is refused field by field.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Protocol

from functions.vault.base.errors import InvalidRequest
from functions.vault.base.timing import Deadline

Event = Any

_EXPECTED = 'body: expected a JSON object, like {"connection_id": "shop-1"}'


class Context(Protocol):
    """The part of Lambda's context object that is used here."""

    @property
    def aws_request_id(self) -> str:
        """Return the id under which Lambda logs this invocation."""

    @property
    def invoked_function_arn(self) -> str:
        """Return the ARN that was called: with an alias or a version at its end, if the caller named one."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends this invocation."""


def deadline_of(context: Context) -> Deadline:
    """Return when Lambda ends this invocation."""
    return Deadline(lambda: context.get_remaining_time_in_millis() / 1000)


def is_by_api(context: Context) -> bool:
    """Return whether the HTTP API makes this call: it alone may call the alias `http`.

    What that alias gets has the form of the API's events, and nothing else has: whoever may invoke a function could
    otherwise write such an event, and with it the name of another caller.
    """
    return context.invoked_function_arn.split(":")[7:] == ["http"]


def body_of(event: Event) -> Any:
    """Return the JSON in the body of an HTTP event; raise `InvalidRequest` if it is not JSON."""
    body = event.get("body") or ""
    try:
        return json.loads(b64decode(body) if event.get("isBase64Encoded") else body)
    except (ValueError, RecursionError) as error:
        from functions.vault.base.refused_fields import not_json  # noqa: PLC0415 - most requests are right

        raise InvalidRequest(f"{_EXPECTED}: {not_json(error) if body else 'it is empty'}.") from None


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
        from functions.vault.base.refused_fields import kind_of  # noqa: PLC0415 - as above

        raise InvalidRequest(f"{_EXPECTED} (it is {kind_of(message)}).")
    return message

"""The edge: events become requests, answers become results or responses, and every call leaves one line in the log.

A `Handler` is what Lambda calls. Use cases behind it know nothing of events, HTTP or logging.
"""

from __future__ import annotations

import contextlib
import gc
import json
import time
import traceback
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol

from functions.vault.base.errors import GatehouseError, InvalidRequest, ServerError
from functions.vault.base.record import record
from functions.vault.base.timing import Deadline
from functions.vault.services import Services, SettingMissing
from functions.web import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.errors import ProviderError
    from functions.vault.base.fields import Fields, Whole

    # What it returns is a failure that the record takes care of: it is for the log, and the message is done with.
    Consume = Callable[[Services, dict[str, Any], Deadline], GatehouseError | None]

    Preload = Callable[[Services], None]

Event = Any

About = log.About

_logger = log.logger()


class Context(Protocol):
    """What Lambda tells of an invocation, as far as it is used here."""

    @property
    def aws_request_id(self) -> str:
        """Return the id under which Lambda logs this invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends this invocation."""


def _snapshot_hooks(services: Services) -> None:
    """Have the runtime client tell a services of its snapshot and of its restoration."""
    import snapshot_restore_py  # noqa: PLC0415 - it belongs to the runtime client, and is there with SnapStart alone

    snapshot_restore_py.register_before_snapshot(services.before_snapshot)
    snapshot_restore_py.register_after_restore(services.after_restore)


def _nothing_to_preload(_services: Services) -> None:
    """Leave a services as it is: everything in it is made when it is first used."""


class Handler(ABC):
    """One Lambda function: `Handler: functions.NAME.handler` names an instance.

    `preload` makes what the usual call needs. As Lambda loads the module it is called at once: then the processor is
    faster than in a call, and with SnapStart the snapshot has it all.
    """

    def __init__(self, name: str, preload: Preload) -> None:
        self.name = name
        self._services: Services | None = None
        if Services.running_in_lambda():
            self._preload(preload)

    def __call__(self, event: Event, context: Context) -> Any:
        """Answer an invocation; the services is put together from the process's environment, once."""
        if self._services is None:
            self._services = Services.from_environ()
        return self._serve(self._services, event, context)

    def _preload(self, preload: Preload) -> None:
        self._services = Services.from_environ()
        # What cannot be made now cannot be made in the call either, where it is logged and answered.
        with contextlib.suppress(Exception):
            preload(self._services)
        # What stays is not looked at again; see functions/__init__.py.
        gc.freeze()
        gc.enable()
        if Services.is_to_be_snapshot():
            _snapshot_hooks(self._services)

    def with_services(self, services: Services) -> Callable[[Event, Context], Any]:
        """Return this same function at work in a given services."""
        return lambda event, context: self._serve(services, event, context)

    def _serve(self, services: Services, event: Event, context: Context) -> Any:
        with log.call() as about:
            return self._answer(services, event, context, about)

    @abstractmethod
    def _answer(self, services: Services, event: Event, context: Context, about: About) -> Any: ...

    def _log(self, outcome: str, started: float, context: Context, **more: Any) -> None:
        facts = {
            "outcome": outcome,
            "duration_ms": round((time.monotonic() - started) * 1000, 1),
            "request_id": context.aws_request_id,
        }
        known = {key: value for key, value in more.items() if value is not None}
        _logger.info(self.name, extra=facts | known)

    def _log_defect(self, defect: Exception, context: Context) -> None:
        """Log where a defect arose, and its type; not its text, which may repeat what it choked on."""
        frames = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(defect.__traceback__)
        ]
        facts: dict[str, Any] = {
            "type": type(defect).__name__,
            "at": frames[-12:],
            "request_id": context.aws_request_id,
        }
        if isinstance(defect, SettingMissing):
            facts["setting"] = str(defect)
        aws_answer = getattr(defect, "response", None)
        if isinstance(aws_answer, Mapping):
            facts["aws_error"] = aws_answer.get("Error", {}).get("Code")
            facts["aws_operation"] = getattr(defect, "operation_name", None)
        _logger.error(self.name, extra={"outcome": ServerError.code, **facts})


class InvokeHandler(Handler):
    """A function for other functions: Invoke with a JSON object, or `POST /v1/{function}` with the same."""

    def __init__(  # noqa: PLR0913 - what a function takes, does and says of it
        self,
        name: str,
        fields: Callable[[Services], Fields | Whole],
        use: Callable[[Services, dict[str, Any], Deadline], dict[str, Any]],
        consume: Consume | None = None,
        *,
        preload: Preload = _nothing_to_preload,
        logged: tuple[str, ...] = ("connection_id",),
    ) -> None:
        """`logged` names what the log repeats of a request and its result: fields that hold no secret."""
        super().__init__(name, preload)
        self._fields = fields
        self._use = use
        self._consume = consume
        self._logged = logged

    def _answer(self, services: Services, event: Event, context: Context, about: About) -> Any:
        if self._consume is not None and is_queue(event):
            return self._answer_queue(self._consume, services, event["Records"], context)
        started = time.monotonic()
        by_http = is_http(event)
        try:
            request = self._fields(services).read(_body(event) if by_http else event)
            about |= self._about(request)
            result = self._use(services, request, deadline_of(context))
            status = 200
            about |= self._about(result)
            self._log("ok", started, context)
        except GatehouseError as error:
            result, status = error.as_result(), error.http_status
            self._log_failure(error, started, context)
        except Exception as defect:  # noqa: BLE001 - the edge of the services: whatever it was, no detail of it goes out
            self._log_defect(defect, context)
            report = ServerError(
                f"A defect of Gatehouse; the details are in its log under request {context.aws_request_id}."
            )
            if not by_http:
                raise report from None
            result, status = report.as_result(), report.http_status
        return _json_response(status, result) if by_http else result

    def _about(self, fields: Mapping[str, Any]) -> About:
        """Return what the log repeats of a request or a result. Lambda has an id for each call, with the same name."""
        named = {name: fields[name] for name in self._logged if fields.get(name) is not None}
        if "request_id" in named:
            named["authorization_request_id"] = named.pop("request_id")
        return named

    def _answer_queue(
        self,
        consume: Consume,
        services: Services,
        records: list[Mapping[str, Any]],
        context: Context,
    ) -> dict[str, Any]:
        """Work a batch off and report what has to come again (partial batch response).

        The first failure ends the batch: in a FIFO queue nothing may overtake it.
        """
        for number, each in enumerate(records):
            started = time.monotonic()
            try:
                message = _object(each["body"])
                failure = consume(services, message, deadline_of(context))
                if failure is not None:
                    self._log_failure(failure, started, context)
                    continue
                self._log(
                    "ok", started, context, connection_id=message.get("connection_id"), message_id=each["messageId"]
                )
            except GatehouseError as error:
                self._log_failure(error, started, context)
                return _again(records[number:])
            except Exception as defect:  # noqa: BLE001 - as above; the queue keeps the message, and then the dead letters
                self._log_defect(defect, context)
                return _again(records[number:])
        return _again([])

    def _log_failure(self, error: GatehouseError, started: float, context: Context) -> None:
        self._log(error.code, started, context, connection_id=error.connection_id, **_facts_of(error))


def _facts_of(error: GatehouseError) -> dict[str, Any]:
    """Return what the log has of a failure, beside its code."""
    return {
        # An invalid request's description has names that the caller chose; they stay with the caller.
        "description": None if isinstance(error, InvalidRequest) else error.description,
        **_words_of(error.provider_error),
    }


def _words_of(said: ProviderError | None) -> dict[str, Any]:
    """Return what the log has of an authorization server's own words, cut and cleaned."""
    if said is None:
        return {}
    return {
        "provider_error": said.error,
        "provider_error_description": said.error_description,
        "provider_status": said.status,
    }


@record
class Reply:
    """What a browser gets: a page, or where it is sent; `outcome` and `reason` are fixed words for the log.

    `failure` is what the log says of what went wrong, and `said` what a server said with its no; no page has either. A
    page with `looks_again_after` is loaded again by the browser after so many seconds.
    """

    outcome: str
    status: int = 200
    values: Mapping[str, str | None] = field(default_factory=dict)
    location: str | None = None
    cookies: tuple[str, ...] = ()
    reason: str | None = None
    failure: GatehouseError | None = None
    said: ProviderError | None = None
    looks_again_after: int | None = None


class BrowserHandler(Handler):
    """A function for a person's browser: answers with a page or a redirect, whatever happens."""

    def __init__(
        self,
        name: str,
        use: Callable[[Services, Event, Deadline, About], Reply],
        *,
        preload: Preload = _nothing_to_preload,
    ) -> None:
        super().__init__(name, preload)
        self._use = use

    def _answer(self, services: Services, event: Event, context: Context, about: About) -> Any:
        started = time.monotonic()
        try:
            if not is_http(event):
                # Nobody's browser called: the caller gets a result, not a page.
                return InvalidRequest(f"The function {self.name} answers browsers; call it by its URL.").as_result()
            present = {name: value for name, value in event.items() if value is not None}
            reply = self._use(services, present, deadline_of(context), about)
        except GatehouseError as error:
            reply = Reply("error", error.http_status, {"reference": context.aws_request_id}, reason=error.code)
        except Exception as defect:  # noqa: BLE001 - as above; a person gets a page and a reference
            self._log_defect(defect, context)
            reply = Reply("error", 500, {"reference": context.aws_request_id}, reason=ServerError.code)
        more = _words_of(reply.said) if reply.failure is None else _facts_of(reply.failure)
        self._log(reply.outcome, started, context, reason=reply.reason, **more)
        return _browser_response(reply)


# Whoever may invoke a function may send it anything. What looks like an event of AWS's is believed only if all that is
# read of it has the shape that AWS gives it. The rest is taken for a request, and refused as one, field by field.


def is_http(event: Event) -> bool:
    """Tell whether an event is one of the HTTP API (payload format 2.0), not an Invoke payload.

    A field that is null counts as absent, as it is with tools that send all fields at all times.
    """
    if not isinstance(event, Mapping) or event.get("version") != "2.0" or event.get("requestContext") is None:
        return False
    return all(fits(event[name]) for name, fits in _HTTP.items() if event.get(name) is not None)


def _is_text(value: Any) -> bool:
    """Tell whether a value is a string that has UTF-8: JSON can spell half a surrogate pair, and no request can."""
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


def is_queue(event: Event) -> bool:
    """Tell whether an event is a batch of SQS messages, and nothing else."""
    records = event.get("Records") if isinstance(event, Mapping) and len(event) == 1 else None
    return isinstance(records, list) and all(map(_is_message, records))


def _is_message(record: Any) -> bool:
    """Tell whether a record is a message that can be worked on, and named if it has to come again."""
    if not isinstance(record, Mapping) or record.get("eventSource") != "aws:sqs":
        return False
    return isinstance(record.get("messageId"), str) and isinstance(record.get("body"), str)


def _again(records: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records]}


def deadline_of(context: Context) -> Deadline:
    """Return when this invocation's time is up."""
    return Deadline(lambda: context.get_remaining_time_in_millis() / 1000)


_NO_OBJECT = "body: expected a JSON object."


def _body(event: Event) -> Any:
    body = event.get("body") or ""
    try:
        return json.loads(b64decode(body) if event.get("isBase64Encoded") else body)
    except (ValueError, RecursionError):
        raise InvalidRequest(_NO_OBJECT) from None


def _object(body: str) -> dict[str, Any]:
    """Return the JSON object in the body of a message."""
    message = _body({"body": body})
    if not isinstance(message, dict):
        raise InvalidRequest(_NO_OBJECT)
    return message


def _json_response(status: int, result: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if "retry_after" in result:
        headers["Retry-After"] = str(result["retry_after"])
    return {"statusCode": status, "headers": headers, "body": json.dumps(result)}


def _browser_response(reply: Reply) -> dict[str, Any]:
    from functions.web import pages  # noqa: PLC0415 - most browsers are sent on, and other functions have no pages

    response: dict[str, Any] = {"statusCode": reply.status}
    if reply.location is not None:
        headers = {"Location": reply.location, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        response |= {"statusCode": 302, "headers": headers, "body": ""}
    else:
        response |= {"headers": dict(pages.HEADERS), "body": pages.render(reply.outcome, **reply.values)}
    if reply.looks_again_after is not None:
        response["headers"]["Refresh"] = str(reply.looks_again_after)
    if reply.cookies:
        response["cookies"] = list(reply.cookies)
    return response

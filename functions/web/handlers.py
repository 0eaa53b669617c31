"""The handlers: what Lambda calls. An event becomes a call of a use case, and its result or error becomes the answer.

Every call leaves a line in the log with its outcome. The use cases know nothing of events or HTTP.
"""

from __future__ import annotations

import contextlib
import gc
import time
from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.vault import settings
from functions.vault.base.errors import GatehouseError, InvalidRequest, ServerError
from functions.vault.services import Services
from functions.vault.settings import Appearance, SettingMissing
from functions.web import log
from functions.web.events import body_of, deadline_of, is_by_api, is_queue, message_of
from functions.web.responses import Reader, Reply, batch_response, browser_response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from functions.vault.base.fields import Fields, Whole
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline
    from functions.web.events import Context, Event
    from functions.web.log import About

    # With a request, and the time there is for it. What a narrowed path limits the call to comes as `narrowing`.
    Use = Callable[..., dict[str, Any]]
    # It may return a failure that the record already accounts for: that is logged, and the message is done.
    Consume = Callable[[Services, dict[str, Any], Deadline], GatehouseError | None]
    Preload = Callable[[Services], None]


ORIGIN_HEADER = "x-origin-verify"
"""The header that a proxy in front of the API adds, if one is: CloudFront as a custom header of its origin."""


def nothing_to_preload(_services: Services) -> None:
    """Preload nothing: every part is made when it is first used."""


class Handler(ABC):
    """One Lambda function: `Handler: functions.NAME.handler` names an instance.

    `preload` makes what the usual call needs. It runs while Lambda loads the module, when the processor is faster than
    in a call; with SnapStart the snapshot then holds everything.
    """

    def __init__(self, name: str, preload: Preload) -> None:
        self.name = name
        self._services: Services | None = None
        if settings.running_in_lambda():
            self._preload(preload)

    def __call__(self, event: Event, context: Context) -> Any:
        """Answer an invocation, with services for the environment of this process."""
        if self._services is None:
            self._services = Services.from_environ()
        return self._serve(self._services, event, context)

    def with_services(self, services: Services) -> Callable[[Event, Context], Any]:
        """Return this function with other services than those of the process's environment."""
        return lambda event, context: self._serve(services, event, context)

    def _preload(self, preload: Preload) -> None:
        self._services = Services.from_environ()
        # What fails now fails again in the call, where it is logged and answered.
        with contextlib.suppress(Exception):
            preload(self._services)
        # The garbage collector need not look at what stays; see functions/__init__.py.
        gc.freeze()
        gc.enable()
        if settings.snapshot_follows():
            _register_snapshot_hooks(self._services)

    def _serve(self, services: Services, event: Event, context: Context) -> Any:
        with log.call() as about:
            return self._answer(services, event, context, about)

    @abstractmethod
    def _answer(self, services: Services, event: Event, context: Context, about: About) -> Any: ...

    def _log(self, outcome: str, started: float, context: Context, **more: Any) -> None:
        log.ended(self.name, outcome, time.monotonic() - started, context.aws_request_id, **more)

    def _log_failure(self, error: GatehouseError, started: float, context: Context) -> None:
        self._log(error.code, started, context, connection_id=error.connection_id, **log.facts_of(error))

    def _log_defect(self, defect: Exception, context: Context) -> None:
        log.defect(self.name, defect, context.aws_request_id)


def _register_snapshot_hooks(services: Services) -> None:
    import snapshot_restore_py  # noqa: PLC0415 - part of the runtime client, and there only with SnapStart

    snapshot_restore_py.register_before_snapshot(services.before_snapshot)
    snapshot_restore_py.register_after_restore(services.after_restore)


class InvokeHandler(Handler):
    """A function for other functions: Invoke with a JSON object, or a POST with the same object (`/v1/...`).

    Routes and an alias `http` in the template open it to the HTTP API. If they include narrowed paths, `use` takes a
    `narrowing`, which says whose connections it may act on.
    """

    def __init__(  # noqa: PLR0913 - what a function takes, does and logs
        self,
        name: str,
        fields: Callable[[Services], Fields | Whole],
        use: Use,
        consume: Consume | None = None,
        *,
        preload: Preload = nothing_to_preload,
        logged: tuple[str, ...] = ("connection_id",),
    ) -> None:
        """`consume` works on one message of a queue. `logged` names the fields of request and result for the log.

        No field in `logged` may hold a secret.
        """
        super().__init__(name, preload)
        self.fields = fields
        self._use = use
        self._consume = consume
        self._logged = logged

    def _answer(self, services: Services, event: Event, context: Context, about: About) -> Any:
        started, by_api = time.monotonic(), is_by_api(context)
        about["request_id"] = context.aws_request_id
        if not by_api and self._consume is not None and is_queue(event):
            return self._answer_batch(self._consume, services, event["Records"], context)
        try:
            read = self._by_api if by_api else self._by_invoke
            request, limits = read(services, event, about)
            about |= self._about(request)
            result = self._use(services, request, deadline_of(context), **limits)
            status = 200
            about |= self._about(result)
            self._log("ok", started, context)
        except GatehouseError as error:
            result, status = error.as_result(), error.http_status
            self._log_failure(error, started, context)
        except Exception as defect:  # noqa: BLE001 - whatever it was, no detail of it leaves the function
            self._log_defect(defect, context)
            report = ServerError(
                f"A defect of Gatehouse; the details are in its log under request {context.aws_request_id}."
            )
            if not by_api:
                raise report from None
            result, status = report.as_result(), report.http_status
        return json_response(status, result) if by_api else result

    def _by_invoke(self, services: Services, event: Event, about: About) -> tuple[dict[str, Any], dict[str, Narrowing]]:
        """Return the request of an Invoke, which nothing limits. AWS does not tell who makes it."""
        about["principal"] = log.NOT_NAMED
        return self.fields(services).read(event), {}

    def _by_api(self, services: Services, event: Event, about: About) -> tuple[dict[str, Any], dict[str, Narrowing]]:
        """Return the request of a call by the HTTP API, and what its path limits it to."""
        from functions.web import api_calls  # noqa: PLC0415 - most calls are by Invoke

        if not api_calls.is_event(event):
            raise InvalidRequest("The alias http takes what the HTTP API sends. Invoke the alias live.")
        about |= api_calls.about(event)
        narrowing = api_calls.narrowing_of(event, self.name)
        if narrowing is None:
            return self.fields(services).read(body_of(event)), {}
        request = api_calls.request_of(body_of(event), narrowing)
        return self.fields(services).read(request), {"narrowing": narrowing}

    def _about(self, fields: Mapping[str, Any]) -> About:
        """Return what the log repeats of a request or result. `request_id` is renamed: Lambda's own has that name."""
        named = {name: fields[name] for name in self._logged if fields.get(name) is not None}
        if "request_id" in named:
            named["authorization_request_id"] = named.pop("request_id")
        return named

    def _answer_batch(
        self, consume: Consume, services: Services, records: list[Mapping[str, Any]], context: Context
    ) -> dict[str, Any]:
        """Work on a batch of messages, and report those that have to come again (partial batch response).

        The first failure ends the batch: in a FIFO queue no message may overtake it.
        """
        for number, each in enumerate(records):
            # What is noted of one message must not be in the line of the next.
            with log.call():
                is_done = self._work_on(consume, services, each, context)
            if not is_done:
                return batch_response(records[number:])
        return batch_response([])

    def _work_on(self, consume: Consume, services: Services, each: Mapping[str, Any], context: Context) -> bool:
        """Work on one message; return whether it is done, or has to come again."""
        started = time.monotonic()
        try:
            message = message_of(each)
            failure = consume(services, message, deadline_of(context))
        except GatehouseError as error:
            self._log_failure(error, started, context)
            return False
        except Exception as defect:  # noqa: BLE001 - as above; the queue keeps the message, then the dead-letter queue
            self._log_defect(defect, context)
            return False
        if failure is not None:
            self._log_failure(failure, started, context)
        else:
            self._log("ok", started, context, connection_id=message.get("connection_id"), message_id=each["messageId"])
        return True


class BrowserHandler(Handler):
    """A function for a person's browser: it answers with a page or a redirect, whatever happens."""

    def __init__(
        self,
        name: str,
        use: Callable[[Services, Event, Deadline, About], Reply],
        *,
        methods: tuple[str, ...] = ("GET",),
        preload: Preload = nothing_to_preload,
    ) -> None:
        """`methods` are those that it answers, whatever the API routes to it."""
        super().__init__(name, preload)
        self._use = use
        self._methods = methods

    def _answer(self, services: Services, event: Event, context: Context, about: About) -> Any:
        started, present = time.monotonic(), {}
        try:
            from functions.web import api_calls  # noqa: PLC0415 - functions for others seldom need it

            if not is_by_api(context) or not api_calls.is_event(event):
                # Not a browser, but an Invoke: the caller gets a result, not a page.
                return InvalidRequest(f"The function {self.name} answers browsers; call it by its URL.").as_result()
            about |= api_calls.about(event)
            present = {name: value for name, value in event.items() if value is not None}
            reply = self._turned_away(services, present)
            if reply is None:
                reply = self._use(services, present, deadline_of(context), about)
        except GatehouseError as error:
            reply = Reply("error", error.http_status, reason=error.code)
        except Exception as defect:  # noqa: BLE001 - as above; the person gets a page with a reference
            self._log_defect(defect, context)
            reply = Reply("error", 500, reason=ServerError.code)
        more = log.facts_of(reply.failure) if reply.failure else log.facts_of_answer(reply.provider_error)
        self._log(_outcome(reply), started, context, reason=reply.reason, page=_page_shown(reply), **more)
        accept_language = present.get("headers", {}).get("accept-language", "")
        reader = Reader(accept_language, _appearance(services), context.aws_request_id)
        return browser_response(reply, reader, secure=_is_by_https(services))

    def _turned_away(self, services: Services, event: Event) -> Reply | None:
        """Return the reply to a request that nothing is done for; None if it may go on.

        It came past the proxy that is in front of the API, or has a method that this function does not answer.
        """
        _ = services.settings.appearance  # what is wrong with it is said before anything is done, and not after it
        value = event.get("headers", {}).get(ORIGIN_HEADER, "")
        if not services.settings.accepts_origin_header(value):
            return Reply("forbidden", HTTPStatus.FORBIDDEN, reason="origin_header")
        if event["requestContext"].get("http", {}).get("method") not in self._methods:
            return Reply("method_not_allowed", HTTPStatus.METHOD_NOT_ALLOWED, reason="method", allow=self._methods)
        return None


def _outcome(reply: Reply) -> str:
    """Return the outcome for the log. What an earlier line tells is not counted twice."""
    return "shown" if reply.is_shown_again else reply.outcome


def _page_shown(reply: Reply) -> str | None:
    return reply.outcome if reply.is_shown_again else None


def _appearance(services: Services) -> Appearance:
    with contextlib.suppress(SettingMissing):
        return services.settings.appearance
    return Appearance()


def _is_by_https(services: Services) -> bool:
    with contextlib.suppress(SettingMissing):
        return services.settings.secure
    return False

"""The Lambda Invoke API, so that an unmodified Lambda client invokes the functions here."""

from __future__ import annotations

import json
import re
import threading
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response

from local.gateway import function_names
from local.gateway.function_names import NameRefused

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from local.gateway.invoker import Invoker

PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations/?")
# Lambda's quota for the payload of a synchronous invocation.
PAYLOAD_LIMIT = 6 * 1024 * 1024


class InvokeApi:
    """``POST /2015-03-31/functions/{name}/invocations``, its three invocation types and its errors."""

    def __init__(self, invoker: Invoker) -> None:
        self._invoker = invoker

    def answer(self, request: Request, raw_name: str) -> Response:
        """Invoke the function that ``raw_name`` (percent-encoded) means: a name, a partial or a whole ARN.

        A version or an alias stands behind the name, or in the request's ``Qualifier``.
        """
        try:
            qualifier = request.args.get("Qualifier", "")
            name = function_names.resolve(unquote(raw_name), qualifier, self._invoker.functions)
            request.max_content_length = PAYLOAD_LIMIT
            event = json.loads(request.get_data() or b"{}")
        except NameRefused as refused:
            return _error(refused.status, refused.kind, str(refused))
        except RequestEntityTooLarge:
            return _too_large()
        except ValueError:
            return _error(
                HTTPStatus.BAD_REQUEST,
                "InvalidRequestContentException",
                "Could not parse request body into json: the payload must be JSON",
            )
        return self._invoke(name, event, request.headers.get("X-Amz-Invocation-Type", "RequestResponse"))

    def _invoke(self, name: str, event: Any, invocation_type: str) -> Response:
        match invocation_type:
            case "RequestResponse":
                return self._request_response(name, event)
            case "Event":
                return self._event(name, event)
            case "DryRun":
                return _empty(HTTPStatus.NO_CONTENT)
            case _:
                return _error(
                    HTTPStatus.BAD_REQUEST,
                    "InvalidParameterValueException",
                    "InvocationType: must be RequestResponse, Event or DryRun",
                )

    def _request_response(self, name: str, event: Any) -> Response:
        invocation = self._invoker.invoke(name, event)
        response = Response(invocation.payload, HTTPStatus.OK, content_type="application/json")
        response.headers["X-Amz-Executed-Version"] = invocation.version
        response.headers["x-amzn-RequestId"] = invocation.request_id
        if invocation.unhandled:
            response.headers["X-Amz-Function-Error"] = "Unhandled"
        return response

    def _event(self, name: str, event: Any) -> Response:
        """Accept and run in the background, once: Lambda's retries of failed asynchronous invocations are left out."""
        threading.Thread(target=self._invoker.invoke, args=(name, event), name=f"event-{name}", daemon=True).start()
        return _empty(HTTPStatus.ACCEPTED)


def _empty(status: HTTPStatus) -> Response:
    return Response(b"", status, {"x-amzn-RequestId": str(uuid.uuid4())})


def _too_large() -> Response:
    return _error(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "RequestTooLargeException",
        f"Request must be smaller than {PAYLOAD_LIMIT} bytes for the InvokeFunction operation",
    )


def _error(status: HTTPStatus, kind: str, message: str) -> Response:
    document = json.dumps({"Type": "User", "Message": message, "message": message})
    response = Response(document, status, content_type="application/json")
    response.headers["x-amzn-ErrorType"] = kind
    response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
    return response

"""A request that reached the emulated account, by its API name."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from local.aws.marked_calls import HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIEnvironment


_UNSIGNED = {"AssumeRoleWithWebIdentity": "sts"}
"""What AWS takes without a signature: with an OIDC token instead."""


class AwsCall(NamedTuple):
    """A service and one of its operations: ``("dynamodb", "GetItem")``."""

    service: str
    operation: str

    @classmethod
    def of(cls, environ: WSGIEnvironment) -> AwsCall:
        """Return the call that a request is."""
        operation = _operation(environ)
        return cls(_service(environ) or _UNSIGNED.get(operation, ""), operation)


class FunctionCall(NamedTuple):
    """A call that a function made: `handler` is the function's, `parameters` are those of the operation."""

    handler: str
    call: AwsCall
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, call: AwsCall, environ: WSGIEnvironment) -> FunctionCall | None:
        """Return the call of a function that a request is; None if it is no function's."""
        handler = environ.get("HTTP_" + HEADER.upper().replace("-", "_"))
        return cls(handler, call, json.loads(_body(environ) or b"{}")) if handler else None


def _service(environ: WSGIEnvironment) -> str:
    """Name the service by the scope of the signature (SigV4: .../REGION/SERVICE/aws4_request); unsigned: empty."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) > 3 else ""  # noqa: PLR2004 - key, date, region, service, aws4_request


def _operation(environ: WSGIEnvironment) -> str:
    """Name the operation: the JSON protocols carry it in a header, the query protocol in the body, REST in the path."""
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rpartition(".")[2]
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        action = parse_qs(_body(environ).decode()).get("Action")
        if action:
            return action[0]
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


def _body(environ: WSGIEnvironment) -> bytes:
    """Return the body of a request, and leave it to be read again."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body

"""A request that reached the emulated account, by its API name."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class AwsCall(NamedTuple):
    """A service and one of its operations: ``("dynamodb", "GetItem")``."""

    service: str
    operation: str

    @classmethod
    def of(cls, environ: WSGIEnvironment) -> AwsCall:
        """Return the call that a request is."""
        return cls(_service(environ), _operation(environ))


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
        body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        action = parse_qs(body.decode()).get("Action")
        if action:
            return action[0]
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"

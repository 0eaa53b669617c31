"""API Gateway's payload format 2.0: HTTP request -> event, function's answer -> HTTP response."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from werkzeug.wrappers import Response

from local.base.environment import CALLER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Request

# An HTTP API passes these bodies as text and all others, forms included, in base64.
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/javascript")
_API_ID = "local"
_STAGE = "$default"


@dataclass(frozen=True)
class Match:
    """A request's route: the key as in the template, what stands for its ``{names}``, and the path, decoded once.

    Without a ``path`` it is that of the request. ``is_signed``: the route has the AWS_IAM authorizer.
    """

    route_key: str
    parameters: Mapping[str, str]
    path: str | None = None
    is_signed: bool = False


def event(request: Request, match: Match, now: float, account: str) -> dict[str, Any]:
    """Return the event that an HTTP API makes of ``request``; what the request lacks is absent, not null."""
    raw_query = request.query_string.decode("latin-1")
    body = request.get_data()
    headers = _headers(request)
    optional = {
        "cookies": [part.strip() for part in request.headers.get("Cookie", "").split(";") if part.strip()],
        "queryStringParameters": _joined(parse_qsl(raw_query, keep_blank_values=True)),
        "pathParameters": dict(match.parameters),
        "body": _body(body, request.mimetype),
    }
    return {
        "version": "2.0",
        "routeKey": match.route_key,
        # Decoded in spite of its name: so do HTTP APIs (function URLs do not).
        "rawPath": _path(request, match),
        "rawQueryString": raw_query,
        "headers": headers,
        **{name: value for name, value in optional.items() if value},
        "requestContext": _request_context(request, match, now, account),
        "isBase64Encoded": bool(body) and not _is_text(request.mimetype),
    }


def response(answer: Any) -> Response:
    """Return the HTTP response for what a function answered.

    An object with ``statusCode`` is a response; anything else is the JSON body of a 200, as HTTP APIs infer it.
    """
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(json.dumps(answer), HTTPStatus.OK, content_type="application/json")
    body = answer.get("body") or ""
    made = Response(
        base64.b64decode(body) if answer.get("isBase64Encoded") else body,
        int(answer["statusCode"]),
        {name: str(value) for name, value in (answer.get("headers") or {}).items()},
    )
    if "content-type" not in {name.lower() for name in answer.get("headers") or {}}:
        made.headers["Content-Type"] = "text/plain; charset=utf-8"
    for cookie in answer.get("cookies") or []:
        made.headers.add("Set-Cookie", cookie)
    return made


def _headers(request: Request) -> dict[str, str]:
    """Lower-cased, duplicates joined; the cookies have a place of their own in the event."""
    return {
        **{name: value for name, value in _joined(request.headers, lower=True).items() if name != "cookie"},
        "x-forwarded-for": request.remote_addr or "",
        "x-forwarded-port": request.host.rpartition(":")[2],
        "x-forwarded-proto": request.scheme,
    }


def _joined(pairs: Any, *, lower: bool = False) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower() if lower else name
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined


def _is_text(mimetype: str) -> bool:
    return mimetype.startswith(_TEXT_TYPES)


def _body(body: bytes, mimetype: str) -> str:
    return body.decode(errors="replace") if _is_text(mimetype) else base64.b64encode(body).decode()


def _path(request: Request, match: Match) -> str:
    return request.path if match.path is None else match.path


def _signed_by(account: str) -> dict[str, Any]:
    """Return what the AWS_IAM authorizer says of a user with an access key: here, of everybody (see ``Gateway``)."""
    arn = f"arn:aws:iam::{account}:user/{CALLER}"
    return {
        "accessKey": CALLER,
        "accountId": account,
        "callerId": CALLER,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": arn,
        "userId": CALLER,
    }


def _request_context(request: Request, match: Match, now: float, account: str) -> dict[str, Any]:
    return {
        **({"authorizer": {"iam": _signed_by(account)}} if match.is_signed else {}),
        "accountId": account,
        "apiId": _API_ID,
        "domainName": request.host,
        "domainPrefix": _API_ID,
        "http": {
            "method": request.method,
            "path": _path(request, match),
            "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "sourceIp": request.remote_addr or "",
            "userAgent": request.headers.get("User-Agent", ""),
        },
        "requestId": uuid.uuid4().hex,
        "routeKey": match.route_key,
        "stage": _STAGE,
        "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now * 1000),
    }

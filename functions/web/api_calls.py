"""A call by the HTTP API: by which route it came, what its path limits it to, and who made it.

Only the API calls the alias `http` (see `events.is_by_api`), so what such an event says of its caller is AWS's word. A
call by Invoke, by a queue or by the schedule loads nothing of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ConnectionNotFound, InvalidRequest
from functions.vault.base.fields import DOT_SEGMENTS, matches
from functions.vault.base.narrowing import Narrowing

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.web.events import Event

_IN_A_PATH = {
    "owners": ("owner", r"[A-Za-z0-9._-]{1,256}"),
    "connections": ("connection_id", r"[A-Za-z0-9._-]{1,128}"),
}
"""What a narrowed path names, and what it may be. Anything else has more than one spelling in a path."""


def is_event(event: Event) -> bool:
    """Return whether an event is one of the HTTP API (payload format 2.0).

    A field that is null counts as absent: some tools always send all fields.
    """
    if not isinstance(event, Mapping) or event.get("version") != "2.0" or event.get("requestContext") is None:
        return False
    return all(fits(event[name]) for name, fits in _SHAPE.items() if event.get(name) is not None)


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


_SHAPE: dict[str, Callable[[Any], bool]] = {
    "requestContext": _is_context,
    "routeKey": _is_text,
    "rawPath": _is_text,
    "pathParameters": _are_texts,
    "headers": _are_texts,
    "cookies": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "rawQueryString": _is_text,
    "body": _is_text,
    "isBase64Encoded": lambda value: isinstance(value, bool),
}


def about(event: Event) -> dict[str, str]:
    """Return what the log says of a call by the API: who made it (if it was signed), and the API's id of it."""
    context = event["requestContext"]
    signed_by = _signed_by(event) or {}
    said = {
        "principal": signed_by.get("userArn"),
        "principal_account": signed_by.get("accountId"),
        "api_request_id": context.get("requestId"),
        "route": event.get("routeKey"),
    }
    return {name: value for name, value in said.items() if _is_text(value)}


def _signed_by(event: Event) -> Mapping[str, Any] | None:
    """Return what the AWS_IAM authorizer says of the caller; None if nobody has signed."""
    authorizer = event["requestContext"].get("authorizer")
    found = authorizer.get("iam") if isinstance(authorizer, Mapping) else None
    return found if isinstance(found, Mapping) and _is_text(found.get("userArn")) else None


def narrowing_of(event: Event, function: str) -> Narrowing | None:
    """Return what the path of a call limits it to: None for `/v1/{function}`.

    IAM has compared the path with the caller's policy. How AWS splits and spells a path is not documented, so a call is
    taken only if its path can be read in one way: what came is what the route and its values make, byte for byte.
    Raises `ConnectionNotFound` for any other.
    """
    named = _named_by_path(event, function)
    if named is None or _signed_by(event) is None:
        raise ConnectionNotFound(
            f"No connection is found by this path. Expected POST /v1/{function}, /v1/owners/OWNER/{function} or "
            f"/v1/connections/CONNECTION_ID/{function}, signed, with OWNER and CONNECTION_ID of A-Z a-z 0-9 . _ - and "
            f"neither . nor .. alone. POST /v1/{function} is for all others."
        )
    return Narrowing(**named) if named else None


def _named_by_path(event: Event, function: str) -> dict[str, str] | None:
    """Return the owner or the connection_id that a path names, if any; None if it is no path of the function's."""
    came_by, values = (event.get("routeKey"), event.get("rawPath")), event.get("pathParameters") or {}
    if came_by == (f"POST /v1/{function}", f"/v1/{function}"):
        return None if values else {}
    for folder, (name, pattern) in _IN_A_PATH.items():
        value = values.get(name)
        expected = (f"POST /v1/{folder}/{{{name}}}/{function}", f"/v1/{folder}/{value}/{function}")
        if came_by == expected and len(values) == 1 and matches(value, pattern) and value not in DOT_SEGMENTS:
            return {name: value}
    return None


def request_of(body: Any, narrowing: Narrowing) -> Any:
    """Return the request of a call by a narrowed path: what the path names may be left out of the body.

    The owner is in the narrowing, and no longer a field. Raises `InvalidRequest` if the body names another owner, or
    another connection, than the path.
    """
    if not isinstance(body, Mapping):
        return body
    for name, value in (("owner", narrowing.owner), ("connection_id", narrowing.connection_id)):
        if value is not None and body.get(name) not in (None, value):
            raise InvalidRequest(f"{name}: expected to be left out, or to be the one in the path.")
    request = {name: value for name, value in body.items() if name != "owner" or narrowing.owner is None}
    return request if narrowing.connection_id is None else request | {"connection_id": narrowing.connection_id}

"""What an authorization server may say, and what has to hold of every answer and of every line of the log."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from hypothesis import strategies as st

from functions.vault.base.errors import BY_CODE, ServerError
from functions.vault.oauth.transport import Answer
from tests.properties.shapes import MARK, any_json, any_text, fields_of, near

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from tests.properties.deployment import Called

_FAILURE = {"error", "error_description", "retryable", "retry_after", "asked_at", "connection_id", "provider_error"}
_OF_THE_SERVER = {"provider_error", "provider_error_description", "failed_with"}
_IDS = {"authorization_request_id", "connection_id", "provider"}
_LONGEST_DESCRIPTION = 6000
_NAMED = (
    r"[A-Za-z0-9_.-]{1,64}: unknown (?:field|key)|the KMS key [A-Za-z0-9:/_.-]{1,2048}"
    r"|\([A-Za-z0-9_.-]{1,64} is (?:a|an|true or|null|no) |(?:[Pp]rovider '|gatehouse/providers/)[A-Za-z0-9._-]{1,64}"
)
"""A plain name that nobody knows may be named, for whoever misspelt it; so may a provider, or a key of KMS."""

DOES_NOT_OPEN = "a token response does not open"
"""The one line with which bad input is to fire an alarm: nobody but Gatehouse writes such a document."""


_LIFETIMES = st.sampled_from((3600, "3600", 3600.5, 0, -1, "1e3", "soon", True, 10**30, "1" * 5000))
_TOKENS: dict[str, SearchStrategy[Any]] = {
    "access_token": near("access-token-of-the-server-0a1b"),
    "refresh_token": near("refresh-token-of-the-server-2c3d"),
    "token_type": near("Bearer", "bearer", "DPoP"),
    "expires_in": _LIFETIMES,
    "expires_at": _LIFETIMES | near("2030-01-01T00:00:00Z", "1900000000000"),
    "refresh_token_expires_in": _LIFETIMES,
    "scope": near("read write", "read,write") | st.lists(near("read", "write"), max_size=3),
    "account": near("A-1", "A-2") | st.integers(),
    "sub": near("A-1"),
    "region": near("eu"),
    "id_token": near("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJBLTEifQ.AAAA"),
    "request_uri": near("urn:example:pushed"),
    "keys": st.lists(any_json, max_size=2),
}
_ERROR: dict[str, SearchStrategy[Any]] = {
    "error": near("invalid_grant", "invalid_client", "temporarily_unavailable", "invalid_scope", "nonsense"),
    "error_description": any_text,
    "error_uri": any_text,
    "message": any_text,
    "ok": st.booleans(),
}
_HEADERS = {
    "content-type": near("application/json", "application/x-www-form-urlencoded", "text/html"),
    "retry-after": near("3", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 30, "-1"),
    "date": near("Wed, 21 Oct 2026 07:28:00 GMT"),
    "uc-rest-error": any_text,
    "www-authenticate": near('Bearer error="invalid_token", error_description="x"', "Basic realm=x"),
}


@st.composite
def of_a_server(draw: DrawFn) -> Answer:
    """Give an answer of a server: tokens, an error, both, or neither; in JSON, as a form, or in no form at all."""
    document = draw(st.one_of(fields_of(_TOKENS), fields_of(_ERROR), fields_of(_TOKENS | _ERROR)))
    match draw(st.sampled_from(("json", "json", "json", "form", "cut", "octets"))):
        case "json":
            body = json.dumps(document).encode()
        case "form":
            texts = {name: str(value) for name, value in document.items()}
            body = urlencode(texts, errors="replace").encode()
        case "cut":
            whole = json.dumps(document).encode()
            body = whole[: draw(st.integers(0, len(whole)))]
        case _:
            body = draw(st.binary(max_size=40))
    headers = {name: draw(values) for name, values in _HEADERS.items() if draw(st.booleans())}
    status = draw(st.sampled_from((200, 200, 200, 201, 204, 302, 400, 400, 401, 403, 404, 408, 429, 500, 503, 599)))
    return Answer(status, {name: _as_header(value) for name, value in headers.items()}, body)


def _as_header(text: str) -> str:
    """Return a text as the network gives a header: without what it cannot carry."""
    return text.encode("latin-1", errors="replace").decode("latin-1").replace("\r", "").replace("\n", "")


def check_failure(result: dict[str, Any]) -> None:
    """Check a failure: by its contract, with nothing in its description that came as a value."""
    assert result.keys() <= _FAILURE
    kind = BY_CODE[result["error"]]
    assert kind is not ServerError
    assert result["retryable"] is kind.retryable
    description = result["error_description"]
    assert 0 < len(description) <= _LONGEST_DESCRIPTION
    assert description.isprintable()
    assert result.get("retry_after") is None or 0 <= result["retry_after"] <= 10 * 365 * 86400
    assert MARK not in re.sub(_NAMED, "", description)


def check_log(called: Called) -> None:
    """Check that a call left lines, none of them an alarm's, and that none repeats what came from outside.

    A server's own words are there for the operator, cleaned, in fields of their own; so are ids that have their form.
    """
    lines = called.lines
    assert lines
    for line in lines:
        assert line["level"] in {"INFO", "WARNING"} or line["message"] == DOES_NOT_OPEN
        others = {name: value for name, value in line.items() if name not in _OF_THE_SERVER | _IDS}
        assert MARK.lower() not in re.sub(_NAMED, "", json.dumps(others)).lower()
        for name in _OF_THE_SERVER & line.keys():
            assert line[name].isascii()
            assert line[name].isprintable()
            assert len(line[name]) <= 200

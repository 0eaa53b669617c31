"""What an authorization server's answer means (RFC 6749 section 5, RFC 7009 section 2.2).

This is the one place where success, a dead grant, the operator's fault, throttling and an outage are told apart.
Tolerant about form, strict about what matters: an access token is a non-empty string of visible ASCII.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote_plus

from .errors import (
    ProviderError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    ReauthorizationRequired,
)
from .tokens import TokenResponse, TokenSet

if TYPE_CHECKING:
    from .errors import (
        GatehouseError,
    )
    from .providers import Provider

LONGEST_LIFETIME = 10 * 365 * 86400
LONGEST_RETRY_AFTER = 86400

# More digits than any number of seconds has: such a number is not computed with, but taken for endless.
_MOST_DIGITS = 19

# RFC 6749 section 5.2 and OpenID Connect Core section 3.1.2.6: the grant itself is gone, only the user can help.
_DEAD = frozenset({"invalid_grant", "interaction_required", "consent_required", "login_required"})
_THROTTLED = frozenset({"slow_down", "rate_limited", "too_many_requests"})
# RFC 9449 section 5, the drafts before it, and RFC 8693 section 2.2.1.
_NOT_BEARER = frozenset({"dpop", "pop", "mac", "n_a"})
_OUTAGE = frozenset({"server_error", "temporarily_unavailable"})

_VSCHAR = re.compile(r"[\x20-\x7e]+")
_ERROR_CODE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}")
_REQUEST_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,2048}")
_UNSPEAKABLE = re.compile(r"[^\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, whole: `headers` has lower-case names, `body` is what came, up to the cap."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def token_response(answer: Answer, provider: Provider, *, now: float, secrets: tuple[str, ...]) -> TokenResponse:
    """Return the tokens of a token endpoint's answer, or raise the failure that it means.

    `secrets` are what the request carried: a server that repeats them in an error text does not get them into ours.
    """
    document = _document(answer)
    problem = failure(answer, document, secrets)
    if problem is not None:
        raise problem
    if document is None:
        raise ProviderUnavailable(
            "The token endpoint answered with something that is not an OAuth token response.", outcome_unknown=True
        )
    return TokenResponse(
        tokens=TokenSet(_access_token(document), _refresh_token(document)),
        token_type=_token_type(document),
        expires_at=_expiry(document.get("expires_in"), now, provider.default_expires_in),
        refresh_expires_at=_refresh_expiry(document, now),
        scope=_scope(document.get("scope"), provider.scope_separator),
        subject=_word(document.get(provider.subject)) if provider.subject else None,
        metadata={key: value for key in provider.metadata if (value := _word(document.get(key))) is not None},
    )


def check_revocation(answer: Answer, provider: Provider, *, secrets: tuple[str, ...]) -> None:
    """Return where the server says that the token is dead (RFC 7009 section 2.2), else raise the failure."""
    document = _document(answer)
    problem = failure(answer, document, secrets)
    if problem is not None:
        if problem.provider_error is not None and problem.provider_error.error in {"invalid_token", "invalid_grant"}:
            return  # a token that the server does not know is a token that nobody can use
        raise problem
    if provider.revocation_success is not None and (document or {}).get(provider.revocation_success) is not True:
        said = ProviderError("not_revoked", _cleaned((document or {}).get("message"), secrets), answer.status)
        raise ProviderUnavailable("The revocation endpoint did not confirm the revocation.", provider_error=said)


def unverified_id_token(answer: Answer) -> Any:
    """Return what a token endpoint's answer has for an ID token; nobody has verified it."""
    return (_document(answer) or {}).get("id_token")


def pushed_request_uri(answer: Answer, *, secrets: tuple[str, ...]) -> str:
    """Return the `request_uri` of a pushed authorization request (RFC 9126 section 2.2), or raise the failure.

    How long it lives (`expires_in`) is not looked at: the browser is sent on with it at once.
    """
    document = _document(answer)
    problem = failure(answer, document, secrets)
    if problem is not None:
        raise problem
    request_uri = (document or {}).get("request_uri")
    if not isinstance(request_uri, str) or not _REQUEST_URI.fullmatch(request_uri):
        raise ProviderUnavailable("The pushed authorization request was answered without a request_uri.")
    return request_uri


def failure(answer: Answer, document: Mapping[str, Any] | None, secrets: tuple[str, ...]) -> GatehouseError | None:
    """Return the failure that an answer means, or None where it is a success."""
    error, description = _error_of(document)
    if error is None and HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    code = _cleaned(error, secrets) if error and _ERROR_CODE.fullmatch(error) else None
    said = ProviderError(
        code or f"http_{answer.status}",
        _cleaned(description or answer.headers.get("uc-rest-error"), secrets),
        answer.status,
    )
    return _classified(error, answer, said, is_oauth=document is not None)


def _classified(error: str | None, answer: Answer, said: ProviderError, *, is_oauth: bool) -> GatehouseError:
    status = answer.status
    if status == HTTPStatus.TOO_MANY_REQUESTS or error in _THROTTLED:
        return ProviderThrottled(
            "The authorization server limits our requests.", retry_after=retry_after(answer), provider_error=said
        )
    if error in _DEAD:
        return ReauthorizationRequired(
            "The authorization server no longer accepts this grant: authorize again.", provider_error=said
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT or error in _OUTAGE:
        return ProviderUnavailable(
            "The authorization server has an outage.",
            retry_after=retry_after(answer),
            provider_error=said,
            # A gateway's 502 or 504 says nothing about what the server behind it did.
            outcome_unknown=status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        )
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST or status in {404, 405}:
        return ProviderMisconfigured(
            "The endpoint does not answer as one of OAuth: check its URL in the registration.", provider_error=said
        )
    if is_oauth:
        return ProviderMisconfigured(
            "The authorization server refuses this client: "
            "check client_id, client_secret and endpoints of the registration.",
            provider_error=said,
        )
    return ProviderUnavailable(
        "The authorization server answered with something that is not OAuth.", provider_error=said
    )


def retry_after(answer: Answer, *, now: datetime | None = None) -> int | None:
    """Return the answer's Retry-After in seconds from now, at most a day (RFC 9110 section 10.2.3)."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
        return min(int(value), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - (now or _date_of(answer))).total_seconds()
    return int(min(max(math.ceil(seconds), 0), LONGEST_RETRY_AFTER))


def _date_of(answer: Answer) -> datetime:
    """Return the server's own Date, which a Retry-After date is relative to; ours where it sent none."""
    try:
        at = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, OverflowError):
        return datetime.now(UTC)
    return at.replace(tzinfo=at.tzinfo or UTC)


def _document(answer: Answer) -> dict[str, Any] | None:
    """Return the answer's fields from JSON (RFC 6749 section 5.1) or, as some servers do, a form; None if neither."""
    try:
        text = answer.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    content_type = answer.headers.get("content-type", "").lower()
    if "form-urlencoded" not in content_type:
        document = _json_object(text)
        if document is not None or "html" in content_type:
            return document
    return _form_object(text)


class _Ambiguous(ValueError):
    """A parameter is in the answer twice with different values (RFC 6749 section 3.2 allows it once)."""


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members and members[name] != value:
            raise _Ambiguous
        members[name] = value
    return members


def _bounded_int(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text, object_pairs_hook=_unambiguous, parse_int=_bounded_int)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _form_object(text: str) -> dict[str, Any] | None:
    text = text.strip()
    if text.startswith("<"):
        return None  # markup may hold a form's `name=value&...` anywhere, whatever its content type says
    try:
        document = _unambiguous(parse_qsl(text, strict_parsing=True, max_num_fields=100))
    except ValueError:
        return None
    return document if document.keys() & {"access_token", "error"} else None


def _error_of(document: Mapping[str, Any] | None) -> tuple[str | None, Any]:
    """Return the error code and description: RFC 6749's string, or UltraCart's `ErrorResponse` object."""
    if document is None:
        return None, None
    error = document.get("error")
    if isinstance(error, Mapping):
        code = error.get("error_code")
        description = error.get("developer_message") or error.get("user_message")
        return (code if isinstance(code, str) and code else "error_response"), description
    if isinstance(error, str) and error:
        return error, document.get("error_description")
    return ("error", None) if error not in (None, "", False) else (None, None)


def _cleaned(text: object, secrets: tuple[str, ...]) -> str | None:
    """Return a server's words as they may be repeated: short, visible ASCII, without what we had sent in confidence."""
    if not isinstance(text, str):
        return None
    for secret in secrets:
        # As it is, as a URL or a form has it, and as a JSON text has it that a server quotes within its own.
        for spelling in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]):
            text = text.replace(spelling, "***")
    if any(_repeats(spelling, secret) for spelling in _readings(text[:2000]) for secret in secrets):
        return None  # spelled so that no replacement finds it: then nothing is repeated at all
    return _UNSPEAKABLE.sub(" ", text)[:200].strip() or None


def _readings(text: str) -> tuple[str, ...]:
    """Return the texts that a reader could make of one: as it is, and percent-decoded once and twice."""
    once = unquote_plus(text)
    return tuple("".join(reading.split()) for reading in (text, once, unquote_plus(once)))


def _repeats(text: str, secret: str) -> bool:
    """Tell whether a run of eight characters of a secret stands in a text."""
    return any(secret[start : start + 8] in text for start in range(len(secret) - 7))


def _access_token(document: Mapping[str, Any]) -> str:
    token = document.get("access_token")
    if not isinstance(token, str) or not _VSCHAR.fullmatch(token):
        raise ProviderUnavailable(
            "The token response has no access_token that is a non-empty string.", outcome_unknown=True
        )
    return token


def _refresh_token(document: Mapping[str, Any]) -> str | None:
    token = document.get("refresh_token")
    if token is None or token == "":
        return None
    if not isinstance(token, str) or not _VSCHAR.fullmatch(token):
        raise ProviderUnavailable("The token response's refresh_token is not a string.", outcome_unknown=True)
    return token


def _token_type(document: Mapping[str, Any]) -> str:
    token_type = document.get("token_type")
    if not isinstance(token_type, str) or not _ERROR_CODE.fullmatch(token_type) or token_type.lower() == "bearer":
        return "Bearer"
    if token_type.lower() in _NOT_BEARER:
        raise ProviderMisconfigured(
            "The server issued a token that its bearer alone cannot use (token_type DPoP, PoP, MAC or N_A), which "
            "Gatehouse does not speak: register the client for Bearer tokens."
        )
    return token_type


def _seconds(value: Any) -> int | None:
    """Return a lifetime: a number, or a string that holds one. None where it is absent, zero, negative or no number.

    Zero is what servers send for "does not expire"; a token that were really dead on arrival would help nobody.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 1:
        return None
    return int(min(value, LONGEST_LIFETIME))


def _expiry(value: Any, now: float, default: int | None) -> int | None:
    seconds = _seconds(value) or default
    return None if seconds is None else int(now) + seconds


def _refresh_expiry(document: Mapping[str, Any], now: float) -> int | None:
    for name in ("refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"):
        if (seconds := _seconds(document.get(name))) is not None:
            return int(now) + seconds
    return None


def _scope(value: Any, separator: str) -> str | None:
    """Return the granted scope, space-separated as RFC 6749 section 3.3 writes it."""
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        value = " ".join(value)
    if not isinstance(value, str):
        return None
    words = value.replace(separator, " ").split()
    return _storable(" ".join(words)[:8192]) or None


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return _storable(str(value)[:512]) or None


def _storable(text: str) -> str:
    """Return `text` as UTF-8 holds it: half a surrogate pair, valid in JSON, must not fail the write of good tokens."""
    return text.encode(errors="replace").decode()

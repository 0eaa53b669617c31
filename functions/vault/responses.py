"""What an authorization server's answer means (RFC 6749 section 5, RFC 7009 section 2.2).

This is the one place where success, a dead grant, the operator's fault, throttling and an outage are told apart.
Tolerant about form, strict about what matters: an access token is a non-empty string of visible ASCII.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote_plus

from .errors import (
    ProviderError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    ReauthorizationRequired,
)
from .fields import matches
from .reading import NAMELESS, TWICE, at_path, document_of, error_of, moment_of, seconds_of
from .record import record
from .tokens import TokenResponse, TokenSet

if TYPE_CHECKING:
    from .errors import (
        GatehouseError,
    )
    from .providers import Provider

LONGEST_RETRY_AFTER = 86400

_MOST_DIGITS = 19
"""Digits that a Retry-After may have: one with more was not meant for us to wait."""

# The grant itself is gone, only the user can help: RFC 6749 section 5.2 and OpenID Connect Core section 3.1.2.6; then
# RFC 6750's word, which servers built with older frameworks have for a refresh token; then words of servers' own.
_DEAD = frozenset(
    {
        *("invalid_grant", "interaction_required", "consent_required", "login_required"),
        *("invalid_token", "token_expired", "token_revoked", "expired_token", "invalid_refresh_token"),
        *("bad_refresh_token", "bad_verification_code", "refresh_token_expired", "refresh_token_revoked"),
        *("invalid_code", "code_already_used", "code_expired", "expired_code", "invalid_auth", "account_inactive"),
        *("inactive_user", "user_revoked"),
    }
)
_DEAD_TOKEN = frozenset({"invalid_token", "invalid_grant", "token_revoked", "token_expired"})
_THROTTLED = frozenset(
    {
        *("slow_down", "rate_limited", "ratelimited", "rate_limit", "rate_limit_exceeded", "rate_limit_error"),
        *("too_many_requests", "throttled", "quota_exceeded", "resource_exhausted"),
    }
)
_OUTAGE = frozenset(
    {
        *("server_error", "temporarily_unavailable", "internal_error", "internal_server_error", "fatal_error"),
        *("service_unavailable", "unavailable", "request_timeout", "timeout"),
    }
)
_CLIENT = frozenset({"invalid_client", "incorrect_client_credentials", "bad_client_secret"})
_KNOWN = _DEAD | _THROTTLED | _OUTAGE | _CLIENT | {"unauthorized_client", "unsupported_token_type"}

# RFC 9449 section 5, the drafts before it, and RFC 8693 section 2.2.1.
_NOT_BEARER = frozenset({"dpop", "pop", "mac", "n_a"})

# Request Timeout, Conflict, Locked, Too Early: another request is in the way, and then it is not.
_PASSING = frozenset({408, 409, 423, 425})
_OVERLOADED = 420  # not of any RFC: what some servers said before there was a 429

_VSCHAR = r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?"
_ERROR_CODE = r"[\x21\x23-\x5b\x5d-\x7e]{1,64}"
_REQUEST_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,2048}"
_UNSPEAKABLE = r"[^\x20-\x7e]+"


@record
class Answer:
    """One HTTP answer, whole: `headers` has lower-case names, `body` is what came, up to the cap."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def token_response(answer: Answer, provider: Provider, *, now: float, secrets: tuple[str, ...]) -> TokenResponse:
    """Return the tokens of a token endpoint's answer, or raise the failure that it means.

    `secrets` are what the request carried: a server that repeats them in an error text does not get them into ours.
    """
    document = _document(answer, provider)
    refused = document is not None and _says_no(document, provider)
    problem = failure(answer, document, secrets, provider, refused=refused)
    if problem is not None:
        raise problem
    if document is None:
        raise ProviderUnavailable(
            "The token endpoint answered with something that is not an OAuth token response.", outcome_unknown=True
        )
    fields = _Fields(document, provider, now)
    tokens = TokenSet(fields.access_token(), fields.refresh_token())
    return TokenResponse(
        tokens=tokens,
        token_type=_token_type(fields.get("token_type")),
        expires_at=fields.expires_at(),
        refresh_expires_at=fields.refresh_expires_at(issued=tokens.refresh_token is not None),
        scope=_scope(fields.get("scope"), provider.scope_separator),
        subject=_word(at_path(document, provider.subject)) if provider.subject else None,
        metadata={path: value for path in provider.metadata if (value := _word(at_path(document, path))) is not None},
    )


def with_callback(response: TokenResponse, provider: Provider, parameters: Mapping[str, str]) -> TokenResponse:
    """Return the response with what the provider tells of the account in the redirect instead (QuickBooks' realmId)."""
    told = {name: value for name in provider.callback_metadata if (value := _word(parameters.get(name))) is not None}
    subject = response.subject or told.get(provider.subject or "")
    return replace(response, subject=subject, metadata={**told, **response.metadata}) if told else response


def check_revocation(answer: Answer, provider: Provider, *, secrets: tuple[str, ...]) -> None:
    """Return where the server says that the token is dead (RFC 7009 section 2.2), else raise the failure."""
    document = _document(answer, provider)
    problem = failure(answer, document, secrets, provider)
    if problem is not None:
        if _is_dead_already(problem, provider):
            return
        raise problem
    if provider.revocation_success is not None and at_path(document, provider.revocation_success) is not True:
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
    if not matches(request_uri, _REQUEST_URI):
        raise ProviderUnavailable("The pushed authorization request was answered without a request_uri.")
    return request_uri


def refuses_client(error: GatehouseError, provider: Provider) -> bool:
    """Tell whether a failure is about who asks, so that another secret of the client may be the right one."""
    return error.provider_error is not None and _meaning(error.provider_error.error, provider) in _CLIENT


def _is_dead_already(problem: GatehouseError, provider: Provider) -> bool:
    """Tell whether a revocation failed because the server does not know the token: then nobody can use it any more."""
    said = problem.provider_error
    if said is None:
        return False
    # Where a token has an address of its own, a token that is not there is one that is no more.
    is_at_its_address = provider.revocation_method == "DELETE" and "{token}" in (provider.revocation_endpoint or "")
    return (is_at_its_address and said.status in {404, 410}) or _meaning(said.error, provider) in _DEAD_TOKEN


def _meaning(code: str, provider: Provider | None) -> str:
    """Return the RFC's word for a server's code where the provider's data has one, else the code in lower case."""
    return (provider.error_codes.get(code) if provider else None) or code.lower()


def failure(
    answer: Answer,
    document: Mapping[str, Any] | None,
    secrets: tuple[str, ...],
    provider: Provider | None = None,
    *,
    refused: bool = False,
) -> GatehouseError | None:
    """Return the failure that an answer means, or None where it is a success; `refused` says that it is none."""
    failed = not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
    error, description = _error_of(document, provider, failed=failed, refused=refused)
    if error is None and not failed:
        return None
    code = _cleaned(error, secrets) if error and re.fullmatch(_ERROR_CODE, error) else None
    said = ProviderError(
        code or f"http_{answer.status}",
        _cleaned(description or answer.headers.get("uc-rest-error"), secrets),
        answer.status,
    )
    return _classified(_meaning(error or "", provider), answer, said, document)


def _error_of(
    document: Mapping[str, Any] | None, provider: Provider | None, *, failed: bool, refused: bool
) -> tuple[str | None, str | None]:
    """Return the code and the words of an error; no code where the HTTP status alone (`failed`) tells of one."""
    if document is None:
        return None, None
    names = provider.error_fields if provider else {}
    known = _KNOWN.union(code.lower() for code in provider.error_codes) if provider else _KNOWN
    error, words = error_of(document, names, known, refused=failed or refused)
    return (None, words) if failed and error == NAMELESS and "error" not in document else (error, words)


def _says_no(document: Mapping[str, Any], provider: Provider) -> bool:
    """Tell whether a 200 is a failure without having an `error`.

    It carries a flag that says no, whatever else it carries; or no token, and a code that means something to us.
    """
    if provider.response_success is not None and at_path(document, provider.response_success) is not True:
        return True
    if any(document.get(name) is False for name in ("ok", "success", "successful")):
        return True
    if _Fields(document, provider, 0).get("access_token"):
        return False
    code, _ = error_of(document, provider.error_fields, _KNOWN, refused=True)
    return code is not None and code.lower() in _KNOWN


def _classified(
    meaning: str, answer: Answer, said: ProviderError, document: Mapping[str, Any] | None
) -> GatehouseError:
    status, wait = answer.status, retry_after(answer, document)
    # A firewall or a limit of some servers refuses with a 403, and tells so by saying when to come again.
    limited = status == HTTPStatus.FORBIDDEN and wait is not None and meaning not in _DEAD
    if status in {HTTPStatus.TOO_MANY_REQUESTS, _OVERLOADED} or meaning in _THROTTLED or limited:
        return ProviderThrottled("The authorization server limits our requests.", retry_after=wait, provider_error=said)
    if meaning in _DEAD:
        return ReauthorizationRequired(
            "The authorization server no longer accepts this grant: authorize again.", provider_error=said
        )
    if (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or meaning in _OUTAGE
        or (status in _PASSING and meaning not in _CLIENT)
    ):
        return ProviderUnavailable(
            "The authorization server has an outage.",
            retry_after=wait,
            provider_error=said,
            # A gateway's 502 or 504 says nothing about what the server behind it did.
            outcome_unknown=status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        )
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST or status in {404, 405}:
        return ProviderMisconfigured(
            "The endpoint does not answer as one of OAuth: check its URL in the registration.", provider_error=said
        )
    # A 401 is about the client whatever its body is (RFC 6749 section 5.2), and a 410 about the application.
    if document is not None or status in {401, 410}:
        return ProviderMisconfigured(
            "The authorization server refuses this client: "
            "check client_id, client_secret and endpoints of the registration.",
            provider_error=said,
        )
    return ProviderUnavailable(
        "The authorization server answered with something that is not OAuth.", provider_error=said
    )


def retry_after(
    answer: Answer, document: Mapping[str, Any] | None = None, *, now: datetime | None = None
) -> int | None:
    """Return the answer's Retry-After in seconds from now, at most a day (RFC 9110 section 10.2.3).

    Where the header is missing, a body's `retry_after` in seconds stands in for it.
    """
    value = answer.headers.get("retry-after", "").strip()
    if not value and document is not None:
        told = seconds_of(document.get("retry_after"))
        return None if told is None else min(told, LONGEST_RETRY_AFTER)
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


def _document(answer: Answer, provider: Provider | None = None) -> dict[str, Any] | None:
    """Return the answer's fields, None where it has none; one that contradicts itself about an error has none, too."""
    names = {"access_token", "error"}
    if provider is not None:
        names |= {provider.response_fields.get("access_token", ""), provider.error_fields.get("error", "")} - {""}
    document = document_of(answer.body, answer.headers.get("content-type", "").lower(), frozenset(names))
    return None if document is not None and document.get("error") is TWICE else document


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
    return re.sub(_UNSPEAKABLE, " ", text)[:200].strip() or None


def _readings(text: str) -> tuple[str, ...]:
    """Return the texts that a reader could make of one: as it is, and percent-decoded once and twice."""
    once = unquote_plus(text)
    return tuple("".join(reading.split()) for reading in (text, once, unquote_plus(once)))


def _repeats(text: str, secret: str) -> bool:
    """Tell whether a run of eight characters of a secret stands in a text."""
    return any(secret[start : start + 8] in text for start in range(len(secret) - 7))


class _Fields:
    """The fields of a token response by their RFC's names, wherever the provider has them."""

    def __init__(self, document: Mapping[str, Any], provider: Provider, now: float) -> None:
        self._provider = provider
        self._now = now
        self._holder: Mapping[str, Any] = document
        for path in provider.response_paths:
            holder = at_path(document, path)
            if isinstance(holder, Mapping):
                self._holder = holder
                if self.get("access_token"):
                    break  # never a token from here and its refresh token from elsewhere

    def get(self, name: str) -> Any:
        path = self._provider.response_fields.get(name, name)
        return at_path(self._holder, path) if path else None

    def access_token(self) -> str:
        token = self.get("access_token")
        if not matches(token, _VSCHAR):
            raise ProviderUnavailable(
                "The token response has no access_token that is a non-empty string.", outcome_unknown=True
            )
        return token

    def refresh_token(self) -> str | None:
        token = self.get("refresh_token")
        if token is None or token is False or token == "":
            return None
        if not matches(token, _VSCHAR):
            raise ProviderUnavailable("The token response's refresh_token is not a string.", outcome_unknown=True)
        return token

    def expires_at(self) -> int | None:
        provider = self._provider
        seconds = seconds_of(self.get("expires_in"), provider.expires_in_unit)
        if seconds is None and (moment := moment_of(self.get("expires_at"), self._now)) is not None:
            seconds = moment - int(self._now)
        seconds = seconds or provider.default_expires_in
        if seconds is None:
            return None
        return int(self._now) + min(seconds, provider.max_expires_in or seconds)

    def refresh_expires_at(self, *, issued: bool) -> int | None:
        """Return when the refresh token ends. What the provider's data says of that counts from a token's issue."""
        for name in ("refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"):
            if (seconds := seconds_of(self.get(name), self._provider.expires_in_unit)) is not None:
                return int(self._now) + seconds
        for name in ("refresh_token_expires_at", "refresh_expires_at"):
            if (moment := moment_of(self.get(name), self._now)) is not None:
                return moment
        seconds = self._provider.default_refresh_token_expires_in if issued else None
        return None if seconds is None else int(self._now) + seconds


def _token_type(token_type: Any) -> str:
    if not matches(token_type, _ERROR_CODE) or token_type.lower() == "bearer":
        return "Bearer"
    if token_type.lower() in _NOT_BEARER:
        raise ProviderMisconfigured(
            "The server issued a token that its bearer alone cannot use (token_type DPoP, PoP, MAC or N_A), which "
            "Gatehouse does not speak: register the client for Bearer tokens."
        )
    return token_type


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

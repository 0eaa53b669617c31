"""What an authorization server's answer is: a success, or a refusal (RFC 6749 section 5, RFC 7009 section 2.2).

What a refusal means is told in `meanings`. Tolerant about form, strict about what matters: an access token is a
non-empty string of visible ASCII.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from functions.vault.base.errors import (
    ProviderError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    RevocationRefused,
)
from functions.vault.base.fields import matches
from functions.vault.base.record import record
from functions.vault.grant import scopes
from functions.vault.grant.tokens import Account, TokenResponse, TokenSet
from functions.vault.provider import tenants

from . import meanings
from .reading import NAMELESS, TWICE, at_path, document_of, error_of, moment_of, seconds_of
from .refusals import Refusal, fitting

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError
    from functions.vault.provider.providers import Provider

LONGEST_RETRY_AFTER = 86400

_MOST_DIGITS = 19
"""Digits that a Retry-After may have: one with more was not meant for us to wait."""

# RFC 9449 section 5, the drafts before it, and RFC 8693 section 2.2.1.
_NOT_BEARER = frozenset({"dpop", "pop", "mac", "n_a"})

_VSCHAR = r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?"
_ERROR_CODE = r"[\x21\x23-\x5b\x5d-\x7e]{1,64}"
_REQUEST_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,2048}"

_OPAQUE = r"(?=[A-Za-z_~+=%-]*[0-9])[A-Za-z0-9_~+=%-]{20,}|[A-Za-z0-9_~+=%-]{32,}"
"""What looks like a code, a state or a token: one long word, with digits in it or longer than words are."""

LONGEST_TOKEN = 16 * 1024
"""Characters of a token: a record holds the tokens of several consents, and DynamoDB takes 400 KB of it."""

_LONGEST_PAGE = 20_000
"""Octets of a page in which a rule's words are looked for."""


@record
class Answer:
    """One HTTP answer, whole: `headers` has lower-case names, `body` is what came, up to the cap."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """What carries a request: `Outbound`, or in tests whatever answers like it."""

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the whole answer within `timeout` seconds, or raise `ProviderUnavailable`."""


def token_response(  # noqa: PLR0913 - an answer, and what it answers
    answer: Answer,
    provider: Provider,
    endpoint: str,
    *,
    now: float,
    secrets: tuple[str, ...],
    used: str | None = None,
) -> TokenResponse:
    """Return the tokens that `token` or `refresh` (of `rules.ENDPOINTS`) is answered with, or raise what it means.

    `secrets` are what the request carried: a server that repeats them in an error text does not get them into ours.
    `used` is the refresh token among them: one that comes back as it was has not been issued anew.
    """
    document = _document(answer, provider)
    refused = document is not None and _says_no(answer, document, provider, endpoint)
    refusal = _refusal(answer, document, provider, endpoint, refused=refused)
    if refusal is not None:
        raise _failure(refusal, answer, provider, secrets)
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
        refresh_expires_at=fields.refresh_expires_at(issued=tokens.refresh_token not in {None, used}),
        scope=_scope(fields.get("scope"), provider),
        subject=_word(at_path(document, provider.subject)) if provider.subject else None,
        metadata=_metadata(document, provider),
    )


def with_callback(response: TokenResponse, provider: Provider, parameters: Mapping[str, str]) -> TokenResponse:
    """Return the response with what the provider tells of the account in the redirect instead (QuickBooks' realmId).

    The browser brings it: what does not look as the provider's data says is not kept, and nothing goes over what came
    with the tokens.
    """
    told = {
        name: parameters[name]
        for name, expected in provider.callback_metadata.items()
        if name in parameters and tenants.admits(expected, parameters[name])
    }
    # What the server itself is to be asked is not the browser's to say.
    subject = response.subject if response.asks_account else response.subject or told.get(provider.subject or "")
    return replace(response, subject=subject, metadata={**told, **response.metadata}) if told else response


def is_revoked(answer: Answer, provider: Provider, *, secrets: tuple[str, ...]) -> bool:
    """Tell whether the server has revoked the token; false where it says that it knows of none such.

    A server of RFC 7009 (section 2.2) says yes to both. Raises the failure where it says neither.
    """
    document = _document(answer, provider)
    refusal = _refusal(answer, document, provider, "revocation")
    if refusal is None and _is_unconfirmed(document, provider):
        refusal = _explained(answer, document, provider)
        if refusal is None:
            said = ProviderError(
                "not_revoked", _cleaned((document or {}).get("message"), provider, secrets), answer.status
            )
            failure = ProviderUnavailable if document is None else RevocationRefused
            raise failure("The revocation endpoint did not confirm the revocation.", provider_error=said)
    if refusal is None:
        return True
    problem = _failure(refusal, answer, provider, secrets)
    if not _is_dead_already(refusal, problem, provider):
        raise problem
    return False


def _is_unconfirmed(document: Mapping[str, Any] | None, provider: Provider) -> bool:
    path = provider.revocation_success
    return path is not None and at_path(document, path) is not True


def _explained(answer: Answer, document: Mapping[str, Any] | None, provider: Provider) -> Refusal | None:
    """Return what a 200 that does not confirm a revocation says instead, where the provider's data explains that."""
    refusal = _refusal(answer, document, provider, "revocation", refused=True)
    return refusal if refusal is not None and fitting(refusal, provider.rules) is not None else None


def unverified_id_token(answer: Answer) -> Any:
    """Return what a token endpoint's answer has for an ID token; nobody has verified it."""
    return (_document(answer) or {}).get("id_token")


def pushed_request_uri(answer: Answer, provider: Provider, *, secrets: tuple[str, ...]) -> str:
    """Return the `request_uri` of a pushed authorization request (RFC 9126 section 2.2), or raise the failure.

    How long it lives (`expires_in`) is not looked at: the browser is sent on with it at once.
    """
    document = _document(answer)
    refusal = _refusal(answer, document, provider, "authorization")
    if refusal is not None:
        raise _failure(refusal, answer, provider, secrets)
    request_uri = (document or {}).get("request_uri")
    if not matches(request_uri, _REQUEST_URI):
        raise ProviderUnavailable("The pushed authorization request was answered without a request_uri.")
    return request_uri


def told_by_redirect(error: str | None, description: str | None, secrets: tuple[str, ...]) -> ProviderError | None:
    """Return what a server says with a no (RFC 6749 section 4.1.2.1), as it may be repeated; None if nothing.

    It comes by way of the visitor, who can write anything there, a code of somebody's included: whatever looks like a
    secret is masked.
    """
    from functions.vault.provider.masking import cleaned  # noqa: PLC0415 - servers seldom say no

    if error is None and description is None:
        return None
    is_a_word = matches(error, _ERROR_CODE) and not re.search(_OPAQUE, error)
    code = cleaned(error, secrets) if is_a_word else None
    words = None if description is None else re.sub(_OPAQUE, "***", description)
    return ProviderError(code or NAMELESS, cleaned(words, secrets), None)


def account_in(answer: Answer, provider: Provider, *, secrets: tuple[str, ...]) -> Account:
    """Return the account that an account endpoint's answer names, or raise why it is not known.

    That it takes no token (401), or not this one (403), says nothing of the grant: it may have run out, and the next
    one is asked about again.
    """
    document = _document(answer)
    refusal = _refusal(answer, document, provider, "account")
    if refusal is not None:
        problem = _failure(refusal, answer, provider, secrets)
        if isinstance(problem, ProviderThrottled):
            raise problem
        raise ProviderUnavailable(
            "The account endpoint does not say whose the tokens are.",
            retry_after=problem.retry_after,
            provider_error=problem.provider_error,
        )
    if document is None:
        raise ProviderUnavailable("The account endpoint answered with something that is not a JSON object.")
    subject = _word(at_path(document, provider.subject or ""))
    if subject is None:
        raise ProviderMisconfigured(
            f"The account endpoint's answer has no {provider.subject}, which is where the account is said to be: "
            "correct subject in the registration."
        )
    scope = _scope(at_path(document, provider.account_scope), provider) if provider.account_scope else None
    return Account(subject, scope, metadata=_metadata(document, provider))


def _metadata(document: Mapping[str, Any], provider: Provider) -> dict[str, str]:
    """Return what an answer says at the paths of the provider's `metadata`."""
    found = {path: _word(at_path(document, path)) for path in provider.metadata}
    return {path: value for path, value in found.items() if value is not None}


def _is_dead_already(refusal: Refusal, problem: GatehouseError, provider: Provider) -> bool:
    """Tell whether a revocation failed because the server does not know the token: then nobody can use it any more."""
    # Where a token has an address of its own, a token that is not there is one that is no more.
    is_at_its_address = provider.revocation_method == "DELETE" and "{token}" in (provider.revocation_endpoint or "")
    if is_at_its_address and refusal.status in {404, 410}:
        return True
    is_gone = meanings.kills_token(refusal, fitting(refusal, provider.rules))
    return is_gone and isinstance(problem, RevocationRefused)


# Refusals


def _refusal(
    answer: Answer, document: Mapping[str, Any] | None, provider: Provider, endpoint: str, *, refused: bool = False
) -> Refusal | None:
    """Return the refusal that an answer is, or None where it is a success; `refused` says that it is none."""
    failed = not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
    error, texts = _error_of(document, provider, refused=failed or refused)
    if error is None and not failed:
        return None
    if failed and document is not None and error == NAMELESS and "error" not in document:
        error = None
    header = answer.headers.get("uc-rest-error")
    if document is None and (page := answer.body[:_LONGEST_PAGE].decode(errors="replace").strip()):
        return Refusal(endpoint, answer.status, None, (page, *([header] if header else [])), None)
    code = error or f"http_{answer.status}"
    return Refusal(endpoint, answer.status, code, (*texts, *([header] if header else [])), document)


def _error_of(
    document: Mapping[str, Any] | None, provider: Provider, *, refused: bool
) -> tuple[str | None, tuple[str, ...]]:
    """Return the code and the texts of an error; of several codes one that somebody knows."""
    if document is None:
        return None, ()
    explained = {rule["code"].lower() for rule in provider.rules if "code" in rule}
    return error_of(document, provider.error_fields, meanings.KNOWN | explained, refused=refused)


def _failure(refusal: Refusal, answer: Answer, provider: Provider, secrets: tuple[str, ...]) -> GatehouseError:
    """Return the failure that a refusal means, with the server's words as they may be repeated."""
    code, texts = refusal.code or "", refusal.texts
    # A page is not repeated.
    words = answer.headers.get("uc-rest-error") if refusal.code is None else next(iter(texts), None)
    said = ProviderError(
        (_cleaned(code, provider, secrets) if re.fullmatch(_ERROR_CODE, code) else None) or f"http_{answer.status}",
        _cleaned(words, provider, secrets),
        answer.status,
    )
    wait = retry_after(answer, refusal.document)
    return meanings.failure_of(refusal, fitting(refusal, provider.rules), said, wait)


def _says_no(answer: Answer, document: Mapping[str, Any], provider: Provider, endpoint: str) -> bool:
    """Tell whether a 200 is a failure without having an `error`.

    It carries a flag that says no, whatever else it carries; or no token, and something that is known to mean no.
    """
    if provider.response_success is not None and at_path(document, provider.response_success) is not True:
        return True
    if any(document.get(name) is False for name in ("ok", "success", "successful")):
        return True
    if _Fields(document, provider, 0).get("access_token"):
        return False
    refusal = _refusal(answer, document, provider, endpoint, refused=True)
    if refusal is None:
        return False
    rule = fitting(refusal, provider.rules)
    return rule is not None or meanings.word_of(refusal, rule) in meanings.KNOWN


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
        names |= {*provider.names_of("access_token"), provider.error_fields.get("error", "error")}
    document = document_of(answer.body, answer.headers.get("content-type", "").lower(), frozenset(names))
    return None if document is not None and document.get("error") is TWICE else document


def _cleaned(text: object, provider: Provider, secrets: tuple[str, ...]) -> str | None:
    """Return a server's words as they may be repeated, without what we had sent in confidence; see `masking`."""
    from functions.vault.provider.masking import cleaned  # noqa: PLC0415 - servers seldom say no

    return cleaned(text, secrets, provider.private)


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
        found = (at_path(self._holder, path) for path in self._provider.names_of(name))
        return next((value for value in found if value not in (None, "")), None)

    def access_token(self) -> str:
        token = self.get("access_token")
        if not matches(token, _VSCHAR):
            raise ProviderUnavailable(
                "The token response has no access_token that is a non-empty string.", outcome_unknown=True
            )
        return _bounded(token, "access_token")

    def refresh_token(self) -> str | None:
        token = self.get("refresh_token")
        if token is None or token is False or token == "":
            return None
        if not matches(token, _VSCHAR):
            raise ProviderUnavailable("The token response's refresh_token is not a string.", outcome_unknown=True)
        return _bounded(token, "refresh_token")

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


def _bounded(token: str, name: str) -> str:
    """Return a token, if it is of a size that can be kept: what is not would fail every write."""
    if len(token) > LONGEST_TOKEN:
        raise ProviderMisconfigured(
            f"The server issued a token of {len(token)} characters as {name}, and {LONGEST_TOKEN} is the most that is "
            "kept: ask for fewer scopes, or have the server put less into its tokens."
        )
    return token


def _token_type(token_type: Any) -> str:
    if not matches(token_type, _ERROR_CODE) or token_type.lower() == "bearer":
        return "Bearer"
    if token_type.lower() in _NOT_BEARER:
        raise ProviderMisconfigured(
            "The server issued a token that its bearer alone cannot use (token_type DPoP, PoP, MAC or N_A), which "
            "Gatehouse does not speak: register the client for Bearer tokens."
        )
    return token_type


def _scope(value: Any, provider: Provider) -> str | None:
    scope = scopes.granted(value, provider.separators_of_answers)
    return None if scope is None else _storable(scope)


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return _storable(str(value)[:512]) or None


def _storable(text: str) -> str:
    """Return `text` as UTF-8 holds it: half a surrogate pair, valid in JSON, must not fail the write of good tokens."""
    return text.encode(errors="replace").decode()

"""The authorization response (RFC 6749 section 4.1.2): whose it is, whether it brings a code, what its error means.

A response is checked against the browser's cookie without any I/O, and only `validate` makes the `ValidatedResponse`
that an exchange takes.
"""

from __future__ import annotations

import re
from dataclasses import field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from functions.vault.base.errors import ProviderError, ProviderMisconfigured
from functions.vault.base.fields import matches
from functions.vault.base.record import record
from functions.vault.provider.refusal_rules import ACCESS_DENIED, BUSY

from . import cookies
from .answer_errors import NAMELESS
from .authorization import REQUEST_ID, SECRET, ticket_hash
from .refusal import Refusal, matching_rule, normalized

if TYPE_CHECKING:
    from collections.abc import Iterable

    from functions.vault.provider.refusal_rules import Rule

    from .authorization import BrowserBinding

_STATE = rf"({REQUEST_ID})\.{SECRET}"
_LONGEST = 8192
_ERROR_CODE = r"[\x21\x23-\x5b\x5d-\x7e]{1,64}"
_OPAQUE = r"(?=[A-Za-z_~+=%-]*[0-9])[A-Za-z0-9_~+=%-]{20,}|[A-Za-z0-9_~+=%-]{32,}"
"""What looks like a code, a state or a token: one long word, with digits in it or longer than words are."""

_MOST_PARAMETERS = 50

CONSENT_REQUIRED = "consent_required"

# RFC 6749 section 4.1.2.1 and OpenID Connect Core section 3.1.2.6: any other error becomes `server_error`, unless the
# provider's data explains it.
RESPONSE_ERRORS = frozenset(
    {
        "invalid_request",
        "unauthorized_client",
        ACCESS_DENIED,
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "interaction_required",
        "login_required",
        "account_selection_required",
        CONSENT_REQUIRED,
    }
)

REMEDIES = {
    "invalid_request": (
        "The authorization server refuses the authorization request: check scopes and authorization_params of the "
        "registration."
    ),
    "unauthorized_client": (
        "The authorization server does not let this client ask for a code: check client_id of the registration, and "
        "what the client is allowed where it is registered."
    ),
    "unsupported_response_type": (
        "The authorization server gives this client no code: allow it the authorization code grant, where the client "
        "is registered."
    ),
    "invalid_scope": (
        "The authorization server refuses a scope: check scopes of the registration, and those that start was given."
    ),
}
"""What the operator can do about an error in a redirect that is not the visitor's fault, and will come again."""

# Meanings that a rule can give a refusal, as errors of an authorization response.
_IN_A_RESPONSE = {
    "slow_down": "temporarily_unavailable",
    BUSY: "temporarily_unavailable",
    "invalid_client": "unauthorized_client",
}

_READ = frozenset({"state", "code", "error", "error_description", "error_uri", "iss"})
"""Parameters that mean the same for every provider. What the others mean is in the provider's data."""


class Refused(Exception):
    """A response that does not answer a request of this browser. `reason` is a fixed word, fit for a log.

    `request_id` is the id of the request that it claims to answer, if it names one.
    """

    def __init__(self, reason: str, request_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.request_id = request_id


@record
class ValidatedResponse:
    """An authorization response to a request of the browser that brought it.

    Only `validate` makes one. It has a `code`, or is a refusal: an `error`, or nothing but its state. If it has
    neither, the code can be among the other `parameters`, under the provider's name for it: `with_code` finds it there.
    `error` and `error_description` are as the server sent them. `iss` (RFC 9207) still has to be compared with the
    stored request, in the write that consumes it.
    """

    provider: str
    browser: BrowserBinding
    iss: str | None
    code: str | None
    error: str | None = None
    error_description: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def is_refusal(self) -> bool:
        """Return whether it is a refusal for every provider."""
        return self.error is not None or (self.code is None and not self.parameters)

    def with_code(self, name: str) -> ValidatedResponse:
        """Return this response with its code, which may be under the provider's own name for it.

        Raises `ProviderMisconfigured` if there is none.
        """
        code = self.parameters.get(name) or self.code
        if code is None:
            raise ProviderMisconfigured(
                f"The authorization response has neither an error nor the code, expected as {name!r}: "
                "check code_parameter of the registration."
            )
        return replace(self, code=code)

    @property
    def state_hash(self) -> str:
        """Return what is stored of a used state."""
        return ticket_hash(self.browser.state)


def validate(
    provider: str, unverified_query: str, unverified_cookies: Iterable[str], *, secure: bool, form_post: bool = False
) -> ValidatedResponse:
    """Return the authorization response in a raw query, if it answers a request of the browser with these cookies.

    With `form_post` it is the form of a POST instead, and answers only a request that asked for one. Such a request
    can also be refused by a query: some servers post only codes. There is no I/O: a forged, foreign, malformed or stale
    response raises `Refused` and costs nothing.
    """
    brought = _Parameters(unverified_query)
    state = brought.one("state")
    if not state:
        raise Refused("code_without_state" if brought.one("code") else "state_missing")
    if (form := re.fullmatch(_STATE, state)) is None:
        raise Refused("state_malformed")
    try:
        return _validated(provider, brought, state, list(unverified_cookies), secure=secure, form_post=form_post)
    except Refused as refused:
        raise Refused(refused.reason, form[1]) from None


def _validated(  # noqa: PLR0913 - what came, in which way, and to whom
    provider: str, brought: _Parameters, state: str, unverified_cookies: list[str], *, secure: bool, form_post: bool
) -> ValidatedResponse:
    request_id = state.partition(".")[0]
    cookie = cookies.find(request_id, unverified_cookies, secure=secure, form_post=True if form_post else None)
    if cookie is None:
        raise Refused("browser_unknown")
    browser = cookie.binding_of(state)
    if browser is None:
        raise Refused("state_mismatch")
    code, error, others = brought.one("code") or None, brought.one("error", errors="replace") or None, brought.others()
    if code is not None and error is not None:
        raise Refused("code_or_error_expected")
    if cookie.form_post and not form_post and error is None and (code is not None or others):
        raise Refused("form_expected")
    return ValidatedResponse(
        provider, browser, brought.one("iss"), code, error, brought.any("error_description"), others
    )


class _Parameters:
    """The parameters of a response, each decoded when it is read: what is not read may be encoded in any way."""

    def __init__(self, unverified_query: str) -> None:
        pairs = [pair for pair in unverified_query.split("&") if pair]
        if len(unverified_query) > _LONGEST:
            raise Refused("query_too_long")
        if len(pairs) > _MOST_PARAMETERS:
            raise Refused("query_malformed")
        self._values: dict[str, list[str]] = {}
        for pair in pairs:
            name, _, value = pair.partition("=")
            self._values.setdefault(_decoded(name, "replace"), []).append(value)

    def one(self, name: str, *, errors: str = "strict") -> str | None:
        """Return a parameter that may come only once (RFC 6749 section 3.1)."""
        values = self._values.get(name, [])
        if len(values) > 1:
            raise Refused("parameter_duplicated")
        try:
            return _decoded(values[0], errors) if values else None
        except UnicodeDecodeError:
            raise Refused("query_malformed") from None

    def any(self, name: str) -> str | None:
        """Return what can be decoded of a parameter that nothing depends on."""
        return next((_decoded(value, "replace") for value in self._values.get(name, [])), None)

    def others(self) -> dict[str, str]:
        """Return the other parameters, except those that are empty, cannot be decoded or came twice."""
        others = {}
        for name, values in self._values.items():
            if name in _READ or len(values) > 1:
                continue
            try:
                others[name] = _decoded(values[0], "strict")
            except UnicodeDecodeError:
                continue
        return {name: value for name, value in others.items() if value}


def _decoded(text: str, errors: str) -> str:
    """Return a name or value of a query or form, decoded. Octets that were not text are surrogates in `text`."""
    return unquote_to_bytes(text.replace("+", " ").encode(errors="surrogateescape")).decode(errors=errors)


def redirect_error(error: str | None, description: str | None, secrets: tuple[str, ...]) -> ProviderError | None:
    """Return the error that a redirect brought (RFC 6749 section 4.1.2.1), as it may be repeated; None if it has none.

    The visitor brings it and can write anything there, even somebody's code: whatever looks like a secret is masked.
    """
    from functions.vault.provider.masking import masked  # noqa: PLC0415 - servers seldom refuse

    if error is None and description is None:
        return None
    is_a_code = matches(error, _ERROR_CODE) and not re.search(_OPAQUE, error)
    code = masked(error, secrets) if is_a_code else None
    words = None if description is None else re.sub(_OPAQUE, "***", description)
    return ProviderError(code or NAMELESS, masked(words, secrets), None)


def refusal_of(response: ValidatedResponse, rules: Iterable[Rule]) -> str | None:
    """Return what a refusal means, as one of `RESPONSE_ERRORS`; None if the response is not a refusal.

    `rules` are the provider's. Only those for the endpoint `authorization` apply: the same code at another endpoint is
    about a token.
    """
    code = response.error or NAMELESS
    texts = () if response.error_description is None else (response.error_description,)
    members = {**response.parameters, "error": response.error, "error_description": response.error_description}
    refusal = Refusal(
        "authorization", 0, code, texts, {name: text for name, text in members.items() if text is not None}
    )
    rule = matching_rule(refusal, [rule for rule in rules if rule.get("endpoint") == "authorization"])
    if rule is not None:
        meaning = rule["means"]
    elif response.error is not None:
        meaning = normalized(response.error)
    elif response.is_refusal:
        meaning = ACCESS_DENIED
    else:
        return None
    meaning = _IN_A_RESPONSE.get(meaning, meaning)
    return meaning if meaning in RESPONSE_ERRORS else "server_error"

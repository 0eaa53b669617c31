"""What a refusal means (RFC 6749 section 5.2, RFC 7009 section 2.2.1), after the provider's own data was asked.

This is the one place where a dead grant, the operator's fault, throttling and an outage are told apart. A `word` is
one of `rules.MEANINGS`, or the server's own code in lower case where nobody has explained it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.vault.base.errors import (
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    ReauthorizationRequired,
    RevocationRefused,
    TokenTypeNotRevoked,
    UnknownRefusal,
)
from functions.vault.provider.rules import BUSY, REVOKED

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError, ProviderError
    from functions.vault.provider.rules import Rule

    from .refusals import Refusal

# The grant itself is gone, only the user can help: RFC 6749 section 5.2 and OpenID Connect Core section 3.1.2.6; then
# RFC 6750's word, which servers built with older frameworks have for a refresh token; then words of servers' own.
_DEAD = frozenset(
    {
        *("invalid_grant", "interaction_required", "consent_required", "login_required"),
        *("invalid_token", "token_expired", "token_revoked", "expired_token", "invalid_refresh_token"),
        *("bad_refresh_token", "bad_verification_code", "refresh_token_expired", "refresh_token_revoked"),
        *("invalid_code", "code_already_used", "code_expired", "expired_code", "invalid_auth", "account_inactive"),
        *("inactive_user", "user_revoked", REVOKED),
    }
)
_DEAD_TOKEN = frozenset({"invalid_token", "invalid_grant", "token_revoked", "token_expired", REVOKED})
# Nobody says these of a grant that it takes for another, or has not found.
_REVOKED = frozenset(
    {
        *(REVOKED, "token_revoked", "refresh_token_revoked", "user_revoked", "account_inactive", "inactive_user"),
        "code_already_used",
    }
)
_REVOKED_IN_WORDS = (
    *("has been revoked", "was revoked", "is revoked", "token revoked", "grant revoked"),
    *("already used", "already been used", "reuse"),
)
"""Plain words for the same. Those of RFC 6749 section 5.2, "invalid, expired, revoked", are not among them."""

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
_CLIENT = frozenset({"invalid_client", "invalid_client_id", "incorrect_client_credentials", "bad_client_secret"})
# The registration is wrong: RFC 6749 section 5.2, RFC 8707 section 2, RFC 9449 section 5, and servers' own words.
_REGISTRATION = frozenset(
    {
        *("invalid_request", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target"),
        *("use_dpop_nonce", "invalid_dpop_proof", "invalid_redirect_uri", "redirect_uri_mismatch"),
    }
)
# Of these, the ones that say nothing of who asks.
_REQUEST = _REGISTRATION - {"unauthorized_client"}
_REFUSES_CLIENT = (
    "The authorization server refuses this client: check client_id, client_secret and endpoints of the registration."
)
_REFUSES_REQUEST = (
    "The authorization server refuses the request: see provider_error, and check endpoints and parameters of the "
    "registration."
)
_UNSUPPORTED = "unsupported_token_type"
KNOWN = _DEAD | _THROTTLED | _OUTAGE | _CLIENT | {"unauthorized_client", _UNSUPPORTED}

_TRY_AGAIN = ("try again", "retry your request", "retry the request", "please retry", "retry later")
"""Plain words by which a server calls its own refusal a passing one."""

# Request Timeout, Conflict, Locked, Too Early: another request is in the way, and then it is not.
_PASSING = frozenset({408, 409, 423, 425})
_OVERLOADED = 420  # not of any RFC: what some servers said before there was a 429
_ELSEWHERE = frozenset({*range(300, 400), HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


def word_of(refusal: Refusal, rule: Rule | None) -> str:
    """Return what a refusal means, in one word; `rule` is the one of the provider's data that explains it."""
    return (refusal.code or "").lower() if rule is None else rule["means"]


def kills_token(refusal: Refusal, rule: Rule | None) -> bool:
    """Tell whether a token that was to be revoked is dead already (RFC 7009 section 2.2)."""
    return word_of(refusal, rule) in _DEAD_TOKEN


def failure_of(refusal: Refusal, rule: Rule | None, said: ProviderError, wait: int | None) -> GatehouseError:
    """Return the failure that a refusal is; `said` is what the server's words are passed on as, `wait` its seconds."""
    return _passing(refusal, rule, said, wait) or _lasting(refusal, rule, said) or _unknown(refusal, said, wait)


def _passing(refusal: Refusal, rule: Rule | None, said: ProviderError, wait: int | None) -> GatehouseError | None:
    """Return the failure of what may succeed later, or of a grant that is dead; None where it is neither."""
    word, status = word_of(refusal, rule), refusal.status
    if rule is not None and "status" in rule:
        status = HTTPStatus.BAD_REQUEST  # the rule has taken the status into account: none stands against its word
    # A firewall or a limit of some servers refuses with a 403, and tells so by saying when to come again.
    limited = status == HTTPStatus.FORBIDDEN and wait is not None and word not in _DEAD
    if status in {HTTPStatus.TOO_MANY_REQUESTS, _OVERLOADED} or word in _THROTTLED or limited:
        return ProviderThrottled("The authorization server limits our requests.", retry_after=wait, provider_error=said)
    if word in _DEAD and refusal.endpoint == "revocation":
        return RevocationRefused("The authorization server does not revoke the token.", provider_error=said)
    if word in _DEAD:
        return ReauthorizationRequired(
            "The authorization server no longer accepts this grant: authorize again.",
            is_final=_is_revoked(refusal, rule),
            provider_error=said,
        )
    if word == BUSY:
        return ProviderUnavailable(
            "The authorization server is busy with another request for this grant: try again.",
            retry_after=wait,
            provider_error=said,
        )
    is_outage = status >= HTTPStatus.INTERNAL_SERVER_ERROR or word in _OUTAGE
    if is_outage or (status in _PASSING and word not in _CLIENT):
        return ProviderUnavailable(
            "The authorization server has an outage.",
            retry_after=wait,
            provider_error=said,
            # A gateway's 502 or 504 says nothing about what the server behind it did.
            outcome_unknown=refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        )
    return None


def _is_revoked(refusal: Refusal, rule: Rule | None) -> bool:
    """Tell whether a dead grant was ended on purpose, or by a second use; a rule of the data says just what it is."""
    if word_of(refusal, rule) in _REVOKED:
        return True
    words = refusal.words
    return rule is None and any(revoked in words for revoked in _REVOKED_IN_WORDS)


def _lasting(refusal: Refusal, rule: Rule | None, said: ProviderError) -> GatehouseError | None:
    """Return the failure of what stays until the operator does something; None where nobody knows what it is."""
    if refusal.endpoint == "revocation" and word_of(refusal, rule) == _UNSUPPORTED:
        return TokenTypeNotRevoked("The authorization server revokes no tokens of this type.", provider_error=said)
    if refusal.status in _ELSEWHERE and rule is None:
        return ProviderMisconfigured(
            "The endpoint does not answer as one of OAuth: check its URL in the registration.", provider_error=said
        )
    # A 401 is about the client whatever its body is (RFC 6749 section 5.2), and a 410 about the application.
    is_unauthorized = refusal.status == HTTPStatus.UNAUTHORIZED
    word = word_of(refusal, rule)
    is_told = rule is not None or word in _CLIENT or _is_of_the_registration(refusal, word)
    if not is_told and not is_unauthorized and refusal.status != HTTPStatus.GONE:
        return None
    is_of_the_client = is_unauthorized or word in _CLIENT
    return ProviderMisconfigured(
        _REFUSES_REQUEST if word in _REQUEST and not is_unauthorized else _REFUSES_CLIENT,
        # Some say in this way that a secret is wrong, others that the client may not do this at all.
        refuses_client=is_of_the_client or (refusal.status == HTTPStatus.FORBIDDEN and word == "unauthorized_client"),
        refused_first=is_of_the_client,
        provider_error=said,
    )


def _is_of_the_registration(refusal: Refusal, word: str) -> bool:
    """Tell whether a code is known to be about the registration.

    Of a refresh, which differs from the one before in nothing but its token, `invalid_request` is not: servers say it
    of refresh tokens that they no longer know.
    """
    if refusal.endpoint == "refresh" and word == "invalid_request":
        return False
    return word in _REGISTRATION


def _unknown(refusal: Refusal, said: ProviderError, wait: int | None) -> GatehouseError:
    """Return the failure of a refusal that nobody knows: of a refresh it may pass, else it is for the operator."""
    if refusal.code is None or (refusal.document is None and refusal.endpoint != "refresh"):
        return ProviderUnavailable(
            "The authorization server answered with something that is not OAuth.", provider_error=said
        )
    if refusal.endpoint == "refresh":
        return UnknownRefusal(
            "The authorization server refuses to refresh, and it is not known what its answer means: it is asked "
            "again. If you know, say so in refusals of the registration.",
            retry_after=wait,
            provider_error=said,
        )
    words = refusal.words
    # A revocation is tried again in any case, and what is not our fault there can be taken for its end.
    if refusal.endpoint != "revocation" and any(asking in words for asking in _TRY_AGAIN):
        return ProviderUnavailable("The authorization server asks to try again.", retry_after=wait, provider_error=said)
    return ProviderMisconfigured(
        "The authorization server refuses this request, and it is not known what its answer means: check client_id, "
        "client_secret and endpoints of the registration, and what provider_error says.",
        provider_error=said,
    )

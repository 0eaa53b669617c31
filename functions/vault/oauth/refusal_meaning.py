"""What a refusal means (RFC 6749 section 5.2, RFC 7009 section 2.2.1): which failure it is.

This is the one place that distinguishes a dead grant, the operator's fault, throttling and an outage. A `meaning` is
one of `refusal_rules.MEANINGS`, or, if no rule of the provider's data explains the refusal, the server's own code in
lower case.
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
from functions.vault.provider.refusal_rules import BUSY, REVOKED

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError, ProviderError
    from functions.vault.provider.refusal_rules import Rule

    from .refusal import Refusal

# The grant itself is gone, only the user can help: RFC 6749 section 5.2 and OpenID Connect Core section 3.1.2.6; then
# RFC 6750's code, which servers built with older frameworks send about a refresh token; then codes of servers' own.
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
# No server says these about a grant that it has confused with another, or has not found.
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
"""Words that mean the same. Those of RFC 6749 section 5.2, "invalid, expired, revoked", are not among them."""

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
# The registration is wrong: RFC 6749 section 5.2, RFC 8707 section 2, RFC 9449 section 5, and servers' own codes.
_REGISTRATION = frozenset(
    {
        *("invalid_request", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target"),
        *("use_dpop_nonce", "invalid_dpop_proof", "invalid_redirect_uri", "redirect_uri_mismatch"),
    }
)
# Those of them that say nothing about the client.
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
"""Words by which a server calls its own refusal temporary."""

# Request Timeout, Conflict, Locked, Too Early: another request is in the way for a moment.
_PASSING = frozenset({408, 409, 423, 425})
_OVERLOADED = 420  # in no RFC: some servers sent it before there was a 429
_ELSEWHERE = frozenset({*range(300, 400), HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


def meaning_of(refusal: Refusal, rule: Rule | None) -> str:
    """Return what a refusal means, in one word; `rule` is the rule of the provider's data that explains it, if any."""
    return (refusal.code or "").lower() if rule is None else rule["means"]


def kills_token(refusal: Refusal, rule: Rule | None) -> bool:
    """Return whether a token that was to be revoked is dead already (RFC 7009 section 2.2)."""
    return meaning_of(refusal, rule) in _DEAD_TOKEN


def failure_of(
    refusal: Refusal, rule: Rule | None, provider_error: ProviderError, retry_after: int | None
) -> GatehouseError:
    """Return the failure that a refusal is.

    `provider_error` has the server's words as they may be repeated; `retry_after` is the seconds that it wants us to
    wait.
    """
    return (
        _temporary_or_dead(refusal, rule, provider_error, retry_after)
        or _for_the_operator(refusal, rule, provider_error)
        or _unknown(refusal, provider_error, retry_after)
    )


def _temporary_or_dead(
    refusal: Refusal, rule: Rule | None, provider_error: ProviderError, retry_after: int | None
) -> GatehouseError | None:
    """Return the failure if a later request may succeed, or if the grant is dead; None otherwise."""
    meaning, status = meaning_of(refusal, rule), refusal.status
    if rule is not None and "status" in rule:
        status = HTTPStatus.BAD_REQUEST  # the rule has looked at the status, so the status cannot contradict it
    # Some firewalls and limits answer 403, and show what they are by a Retry-After.
    limited = status == HTTPStatus.FORBIDDEN and retry_after is not None and meaning not in _DEAD
    if status in {HTTPStatus.TOO_MANY_REQUESTS, _OVERLOADED} or meaning in _THROTTLED or limited:
        return ProviderThrottled(
            "The authorization server limits our requests.", retry_after=retry_after, provider_error=provider_error
        )
    if meaning in _DEAD and refusal.endpoint == "revocation":
        return RevocationRefused("The authorization server does not revoke the token.", provider_error=provider_error)
    if meaning in _DEAD:
        return ReauthorizationRequired(
            "The authorization server no longer accepts this grant: authorize again.",
            is_final=_is_revoked(refusal, rule),
            provider_error=provider_error,
        )
    if meaning == BUSY:
        return ProviderUnavailable(
            "The authorization server is busy with another request for this grant: try again.",
            retry_after=retry_after,
            provider_error=provider_error,
        )
    is_outage = status >= HTTPStatus.INTERNAL_SERVER_ERROR or meaning in _OUTAGE
    if is_outage or (status in _PASSING and meaning not in _CLIENT):
        return ProviderUnavailable(
            "The authorization server has an outage.",
            retry_after=retry_after,
            provider_error=provider_error,
            # A gateway's 502 or 504 says nothing about what the server behind it did.
            outcome_unknown=refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        )
    return None


def _is_revoked(refusal: Refusal, rule: Rule | None) -> bool:
    """Return whether a dead grant was ended on purpose, or by a second use. If a rule explains it, the rule decides."""
    if meaning_of(refusal, rule) in _REVOKED:
        return True
    words = refusal.words
    return rule is None and any(revoked in words for revoked in _REVOKED_IN_WORDS)


def _for_the_operator(refusal: Refusal, rule: Rule | None, provider_error: ProviderError) -> GatehouseError | None:
    """Return the failure if the operator has to fix something; None if nobody knows what the refusal means."""
    if refusal.endpoint == "revocation" and meaning_of(refusal, rule) == _UNSUPPORTED:
        return TokenTypeNotRevoked(
            "The authorization server revokes no tokens of this type.", provider_error=provider_error
        )
    if refusal.status in _ELSEWHERE and rule is None:
        return ProviderMisconfigured(
            "The endpoint does not answer as one of OAuth: check its URL in the registration.",
            provider_error=provider_error,
        )
    # A 401 is about the client whatever its body says (RFC 6749 section 5.2), and a 410 about the application.
    is_unauthorized = refusal.status == HTTPStatus.UNAUTHORIZED
    meaning = meaning_of(refusal, rule)
    is_known = rule is not None or meaning in _CLIENT or _is_of_the_registration(refusal, meaning)
    if not is_known and not is_unauthorized and refusal.status != HTTPStatus.GONE:
        return None
    is_of_the_client = is_unauthorized or meaning in _CLIENT
    return ProviderMisconfigured(
        _REFUSES_REQUEST if meaning in _REQUEST and not is_unauthorized else _REFUSES_CLIENT,
        # Some servers mean by this that a secret is wrong, others that the client may never do this.
        refuses_client=is_of_the_client
        or (refusal.status == HTTPStatus.FORBIDDEN and meaning == "unauthorized_client"),
        refused_first=is_of_the_client,
        provider_error=provider_error,
    )


def _is_of_the_registration(refusal: Refusal, meaning: str) -> bool:
    """Return whether a code is known to be about the registration.

    `invalid_request` for a refresh is not. A refresh differs from the previous one only in its token, and servers send
    this code for refresh tokens that they no longer know.
    """
    if refusal.endpoint == "refresh" and meaning == "invalid_request":
        return False
    return meaning in _REGISTRATION


def _unknown(refusal: Refusal, provider_error: ProviderError, retry_after: int | None) -> GatehouseError:
    """Return the failure of an unknown refusal: a refresh is retried, anything else is for the operator."""
    if refusal.code is None or (refusal.document is None and refusal.endpoint != "refresh"):
        return ProviderUnavailable(
            "The authorization server answered with something that is not OAuth.", provider_error=provider_error
        )
    if refusal.endpoint == "refresh":
        return UnknownRefusal(
            "The authorization server refuses to refresh, and it is not known what its answer means: it is asked "
            "again. If you know, say so in refusals of the registration.",
            retry_after=retry_after,
            provider_error=provider_error,
        )
    words = refusal.words
    # A revocation is retried in any case; and if it is not our fault, it may count as done.
    if refusal.endpoint != "revocation" and any(asking in words for asking in _TRY_AGAIN):
        return ProviderUnavailable(
            "The authorization server asks to try again.", retry_after=retry_after, provider_error=provider_error
        )
    return ProviderMisconfigured(
        "The authorization server refuses this request, and it is not known what its answer means: check client_id, "
        "client_secret and endpoints of the registration, and what provider_error says.",
        provider_error=provider_error,
    )

"""What an authorization server's answer means: for a token, revocation, account or pushed authorization request.

Each function returns what a success brings, or raises the failure. What stands in an answer is read in
`answer_document` and `token_fields`; what a refusal means is decided in `refusal_meaning`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import (
    ProviderError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    RevocationRefused,
)
from functions.vault.base.fields import matches
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import Account, TokenResponse
from functions.vault.provider import tenants

from . import refusal_meaning
from .answer_document import at_path, document_of, text_of
from .refusal import matching_rule
from .refused_answer import failure_of, masked, refusal_in, unexplained
from .token_fields import TokenFields, metadata_in, scope_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.base.errors import GatehouseError
    from functions.vault.provider.provider import Provider

    from .refusal import Refusal
    from .transport import Answer

_REQUEST_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,2048}"


# Tokens


def token_response(  # noqa: PLR0913 - an answer, and what it answers
    answer: Answer,
    provider: Provider,
    endpoint: str,
    *,
    now: float,
    secrets: tuple[str, ...],
    used: str | None = None,
) -> TokenResponse:
    """Return the tokens in an answer to a `token` or `refresh` request (of `refusal_rules.ENDPOINTS`).

    Raises the failure that a refusal means. `secrets` are what the request carried: a server that repeats them in an
    error text does not get them into ours. `used` is the refresh token among them: if it comes back unchanged, no new
    one has been issued.
    """
    document = document_of(answer, provider)
    refused = document is not None and _is_refused_on_success(answer, document, provider, endpoint)
    refusal = refusal_in(answer, document, provider, endpoint, refused=refused)
    if refusal is not None:
        raise failure_of(refusal, answer, provider, secrets)
    if document is None:
        came = _came(answer, document, provider, secrets)
        raise ProviderUnavailable(f"The answer is not a token response: {came}.", outcome_unknown=True)
    fields = TokenFields(document, provider, now)
    tokens = _tokens_in(fields, answer, document, provider, secrets)
    return TokenResponse(
        tokens=tokens,
        token_type=fields.token_type(),
        expires_at=fields.expires_at(),
        refresh_expires_at=fields.refresh_expires_at(issued=tokens.refresh_token not in {None, used}),
        scope=fields.scope(),
        subject=text_of(at_path(document, provider.subject)) if provider.subject else None,
        metadata=metadata_in(document, provider),
    )


def _tokens_in(
    fields: TokenFields, answer: Answer, document: Mapping[str, Any], provider: Provider, secrets: tuple[str, ...]
) -> TokenSet:
    """Return the tokens in a response. If it has none, the failure says which fields it has."""
    try:
        return TokenSet(fields.access_token(), fields.refresh_token())
    except ProviderUnavailable as failure:
        failure.description += f" Of the answer: {_came(answer, document, provider, secrets)}."
        raise


def _came(answer: Answer, document: Mapping[str, Any] | None, provider: Provider, secrets: tuple[str, ...]) -> str:
    from . import unreadable  # noqa: PLC0415 - most answers can be used

    return unreadable.described(answer, document, provider, secrets)


def _is_refused_on_success(answer: Answer, document: Mapping[str, Any], provider: Provider, endpoint: str) -> bool:
    """Return whether an answer without `error` is a refusal although its status is a success.

    It has a flag that says no, whatever else it has; or no token, and a code that is known to mean no.
    """
    if provider.response_success is not None and at_path(document, provider.response_success) is not True:
        return True
    if any(document.get(name) is False for name in ("ok", "success", "successful")):
        return True
    if TokenFields(document, provider, 0).get("access_token"):
        return False
    refusal = refusal_in(answer, document, provider, endpoint, refused=True)
    if refusal is None:
        return False
    rule = matching_rule(refusal, provider.rules)
    return rule is not None or refusal_meaning.meaning_of(refusal, rule) in refusal_meaning.KNOWN


def unverified_id_token(answer: Answer) -> Any:
    """Return what a token endpoint's answer has as its ID token; nobody has verified it."""
    return (document_of(answer) or {}).get("id_token")


def with_redirect_metadata(
    response: TokenResponse, provider: Provider, unverified_parameters: Mapping[str, str]
) -> TokenResponse:
    """Return the response with what the redirect says about the account, for providers that say it only there.

    QuickBooks sends its `realmId` so. The browser brings it: a value that does not fit the provider's data is dropped,
    and none replaces what came with the tokens.
    """
    admitted = {
        name: unverified_parameters[name]
        for name, expected in provider.callback_metadata.items()
        if name in unverified_parameters and tenants.admits(expected, unverified_parameters[name])
    }
    # If the server itself is to be asked for the account, the browser has no say in it.
    named = None if response.asks_account else admitted.get(provider.subject or "")
    if not admitted:
        return response
    return replace(response, subject=response.subject or named, metadata={**admitted, **response.metadata})


# Revocations


def is_revoked(answer: Answer, provider: Provider, *, secrets: tuple[str, ...]) -> bool:
    """Return whether the server has revoked the token: false if it says that it does not know the token.

    A server that follows RFC 7009 (section 2.2) confirms both. Raises the failure if the server says neither.
    """
    document = document_of(answer, provider)
    refusal = refusal_in(answer, document, provider, "revocation")
    if refusal is None and _is_unconfirmed(document, provider):
        refusal = _explained(answer, document, provider)
        if refusal is None:
            raise _not_revoked(answer, document, provider, secrets)
    if refusal is None:
        return True
    failure = failure_of(refusal, answer, provider, secrets)
    if not _is_dead_already(refusal, failure, provider):
        raise failure
    return False


def _is_unconfirmed(document: Mapping[str, Any] | None, provider: Provider) -> bool:
    path = provider.revocation_success
    return path is not None and at_path(document, path) is not True


def _explained(answer: Answer, document: Mapping[str, Any] | None, provider: Provider) -> Refusal | None:
    """Return the refusal in a 200 that does not confirm a revocation, if the provider's data explains it."""
    refusal = refusal_in(answer, document, provider, "revocation", refused=True)
    return refusal if refusal is not None and matching_rule(refusal, provider.rules) is not None else None


def _not_revoked(
    answer: Answer, document: Mapping[str, Any] | None, provider: Provider, secrets: tuple[str, ...]
) -> GatehouseError:
    message = masked((document or {}).get("message"), provider, secrets)
    failure = ProviderUnavailable if document is None else RevocationRefused
    return failure(
        f"The revocation endpoint did not confirm the revocation: {provider.revocation_success} in its answer is not "
        "true. If it confirms otherwise, correct revocation_success in the registration. Of the answer: "
        f"{_came(answer, document, provider, secrets)}.",
        provider_error=ProviderError("not_revoked", message, answer.status),
    )


def _is_dead_already(refusal: Refusal, failure: GatehouseError, provider: Provider) -> bool:
    """Return whether a revocation failed because the server does not know the token: nobody can use such a token."""
    # If a token has a URL of its own, a token that is not found there no longer exists.
    is_at_its_url = provider.revocation_method == "DELETE" and "{token}" in (provider.revocation_endpoint or "")
    if is_at_its_url and refusal.status in {404, 410}:
        return True
    is_gone = refusal_meaning.kills_token(refusal, matching_rule(refusal, provider.rules))
    return is_gone and isinstance(failure, RevocationRefused)


# Accounts and pushed requests


def account_in(answer: Answer, provider: Provider, *, secrets: tuple[str, ...]) -> Account:
    """Return the account that an account endpoint's answer names, or raise why it is not known.

    An answer that the endpoint takes no token (401), or not this one (403), says nothing about the grant: the token may
    have expired, and Gatehouse asks again with the next one.
    """
    document = document_of(answer)
    refusal = refusal_in(answer, document, provider, "account")
    if refusal is not None:
        failure = failure_of(refusal, answer, provider, secrets)
        if isinstance(failure, ProviderThrottled):
            raise failure
        raise ProviderUnavailable(
            "The account endpoint does not say whose the tokens are."
            + unexplained(refusal, failure, answer, provider, secrets),
            retry_after=failure.retry_after,
            provider_error=failure.provider_error,
        )
    if document is None:
        raise ProviderUnavailable(f"The answer is not a JSON object: {_came(answer, document, provider, secrets)}.")
    subject = text_of(at_path(document, provider.subject or ""))
    if subject is None:
        raise ProviderMisconfigured(
            f"The account endpoint's answer has no {provider.subject}, which is where the account is said to be: "
            f"correct subject in the registration. Of the answer: {_came(answer, document, provider, secrets)}."
        )
    scope = scope_of(at_path(document, provider.account_scope), provider) if provider.account_scope else None
    return Account(subject, scope, metadata=metadata_in(document, provider))


def pushed_request_uri(answer: Answer, provider: Provider, *, secrets: tuple[str, ...]) -> str:
    """Return the `request_uri` of a pushed authorization request (RFC 9126 section 2.2), or raise the failure.

    Its lifetime (`expires_in`) does not matter: the browser is sent on with it at once.
    """
    document = document_of(answer)
    refusal = refusal_in(answer, document, provider, "authorization")
    if refusal is not None:
        raise failure_of(refusal, answer, provider, secrets)
    request_uri = (document or {}).get("request_uri")
    if not matches(request_uri, _REQUEST_URI):
        raise ProviderUnavailable(
            f"The answer has no request_uri (RFC 9126 section 2.2): {_came(answer, document, provider, secrets)}."
        )
    return request_uri

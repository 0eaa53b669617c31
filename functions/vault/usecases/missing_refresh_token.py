"""The warning in the log about a connection without a refresh token: it works today, and ends with its access token.

Most servers give a refresh token only if one is asked for, and each has its own way to be asked.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from functions.vault.grant.scopes import OFFLINE_ACCESS

if TYPE_CHECKING:
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.provider.provider import Provider


def warn_that_none_came(request: AuthorizationRequest, provider: Provider) -> None:
    """Write a line about a connection that was made without a refresh token, and what may bring one.

    Nothing is written for a provider whose data says that it is never refreshed.
    """
    if provider.background_refresh == "never":
        return
    logging.getLogger("gatehouse").warning(
        "no refresh token came",
        extra={**request.facts, "description": "The connection ends with its access token. " + _advice(request)},
    )


def _advice(request: AuthorizationRequest) -> str:
    """Return how this server may want to be asked for a refresh token, given how it was asked."""
    if OFFLINE_ACCESS not in (request.scope or "").split():
        return (
            "To be given a refresh token, most servers have to be asked: add offline_access to scopes, or what the "
            'server documents to authorization_params of the registration, like {"access_type": "offline"}.'
        )
    if "consent" not in request.prompt:
        return (
            "It was asked for offline_access; many servers give that only if consent is asked for each time "
            '(OpenID Connect Core section 11): add "authorization_params": {"prompt": "consent"} to the registration.'
        )
    return "It was asked for offline_access: the server has to allow this client to have refresh tokens."

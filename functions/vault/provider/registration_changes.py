"""What has changed in a registration since a token set was issued under it: checked before anything of it is sent.

A registration can be changed by mistake. A server that gets another client's refresh token ends the grant, or answers
that it is dead (RFC 6749 section 5.2), and a changed endpoint may belong to anybody. If a change is intended, the
registration or the provider's file says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from functions.vault.base.errors import ProviderMisconfigured, ReauthorizationRequired

if TYPE_CHECKING:
    from collections.abc import Iterator

    from functions.vault.grant.seal import Whose

    from .registration import Registration

_USES = ("token", "refresh", "revocation", "account")
_NOT_IN_METADATA = ("account",)
_PORTS = {"https": 443, "http": 80}


def as_issued_to(registration: Registration, whose: Whose) -> Registration:
    """Return a registration, made for the tenant of `whose`, as the client that a token set was issued to.

    Raises `ProviderMisconfigured` that names each difference which nobody has declared as intended, or
    `ReauthorizationRequired` if the registration says that customers are to connect again. If `whose` names no client
    (the tokens were stored before clients were), nothing is compared.
    """
    if whose.client_id is None:
        return registration
    theirs = registration.of_client(whose.client_id)
    differences = list(_moved(registration, whose))
    if theirs is None:
        differences.insert(
            0, f"they were issued to client {whose.client_id!r}, and the registration names {registration.client_id!r}"
        )
    if not differences and theirs is not None:
        return theirs
    name, found = registration.provider.name, "; ".join(differences)
    if registration.provider.reauthorize_previous:
        raise ReauthorizationRequired(
            f"The registration of provider {name!r} was replaced after these tokens were issued ({found}): "
            "start again.",
            is_final=True,
        )
    raise ProviderMisconfigured(
        f"The registration of provider {name!r} is not the one that these tokens were issued under: {found}. "
        "Nothing was sent, and no grant is lost. If this is a mistake, correct the registration. If it is meant, say "
        "so in it: previous_clients (the old client, with its secret), endpoints_moved_from (the old origins), or "
        "reauthorize_previous, for customers to connect again."
    )


def _moved(registration: Registration, whose: Whose) -> Iterator[str]:
    """Yield the endpoints that are at another origin than they were, unless the move is declared.

    An issuer may move the endpoints that its own metadata names.
    """
    provider = registration.provider
    is_the_issuers = registration.is_discovered and provider.issuer == whose.issuer
    uses = _NOT_IN_METADATA if is_the_issuers else _USES
    was, now = _origins(whose), _origins(registration.whose(whose.parameters))
    expected = {_normalized(origin) for origin in provider.endpoints_moved_from}
    moves = {(was[use], now[use]): use for use in reversed(uses) if use in was and use in now}
    for (before, after), use in reversed(moves.items()):
        if before != after and before not in expected:
            yield f"the {use} endpoint was at {before}, and is at {after}"


def _origins(whose: Whose) -> dict[str, str]:
    """Return the normalized origin of each use; without its own endpoint, a refresh uses the token endpoint."""
    known = {use: _normalized(origin) for use, origin in whose.origins.items()}
    return {"refresh": known["token"], **known} if "token" in known else known


def _normalized(origin: str) -> str:
    parts = urlsplit(origin.lower())
    port = f":{parts.port}" if parts.port not in {None, _PORTS.get(parts.scheme)} else ""
    return f"{parts.scheme}://{parts.hostname}{port}"

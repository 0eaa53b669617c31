"""A registration: the owner's client at a provider (RFC 6749 section 2), and how that client authenticates."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.base.record import record
from functions.vault.grant.seal import Whose

from .auth_methods import SECRET_METHODS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .provider import Provider


@record
class Registration:
    """The owner's client at a provider (RFC 6749 section 2), with the provider as it is for this owner.

    `client_secret` is the newest; `previous_client_secret` is another that may work, too. A registration that was made
    for a `tenant`, for a previous client or for revocation has in `whole` the one that it was made from.
    `is_discovered`: the issuer's metadata names its endpoints.
    """

    provider: Provider
    client_id: str
    client_secret: str | None = None
    previous_client_secret: str | None = None
    client_signing_key: str | None = None
    client_signing_kid: str | None = None
    previous_clients: tuple[dict[str, str], ...] = ()
    is_discovered: bool = False
    tenant: dict[str, str] = field(default_factory=dict)
    whole: Registration | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return all client secrets, also those of previous clients: a server's words may repeat none of them."""
        ours = {"client_secret": self.client_secret, "previous_client_secret": self.previous_client_secret}
        clients: tuple[Mapping[str, str | None], ...] = (ours, *self.previous_clients)
        return tuple(secret for each in clients for name in ours if (secret := each.get(name)))

    @property
    def credentials(self) -> tuple[Any, ...]:
        """Return everything that the client authenticates with, to compare it with another registration's."""
        secrets = self.client_secret, self.previous_client_secret
        return (self.client_id, *secrets, self.client_signing_key, self.client_signing_kid, self.previous_clients)

    def of_client(self, client_id: str) -> Registration | None:
        """Return this registration for tokens that were issued to a client; None if it does not know that client.

        A previous client has its own secrets or key, and shares everything else with the current one.
        """
        if client_id == self.client_id:
            return self
        previous = next((each for each in self.previous_clients if each["client_id"] == client_id), None)
        if previous is None:
            return None
        secrets = ("client_secret", "previous_client_secret", "client_signing_key", "client_signing_kid")
        theirs: dict[str, Any] = {**dict.fromkeys(secrets), **previous}
        return replace(self, **theirs, whole=self.whole or self)

    def for_tenant(self, parameters: Mapping[str, str]) -> Registration:
        """Return this registration as it is for a connection with these parameters; see `Provider.for_tenant`."""
        if not self.provider.has_tenants:
            return self
        provider = self.provider.for_tenant(parameters)
        return replace(self, provider=provider, tenant=dict(parameters), whole=self.whole or self)

    @property
    def revocable_tokens(self) -> tuple[str, ...]:
        """Return the kinds of token that the server revokes for this client, in order; none if it revokes none."""
        return () if self.provider.revocation_endpoint is None else self.provider.revocation_tokens

    @property
    def has_no_method_for_revocation(self) -> bool:
        """Return whether the server's metadata names no method by which this client can authenticate for a revocation.

        Gatehouse tries nevertheless: some servers accept clients that their metadata excludes. But if the server
        refuses the client, its metadata had announced that.
        """
        supported = self.provider.revocation_endpoint_auth_methods_supported
        is_configured = self.provider.revocation_endpoint_auth_method is not None
        return supported is not None and not is_configured and self._revocation_method not in supported

    @property
    def _revocation_method(self) -> str:
        """Return how this client authenticates at the revocation endpoint; a public client stays one there.

        It uses the configured method, or else that of the token endpoint, unless the server's metadata (RFC 8414
        section 2) excludes that and names another that this client can use.
        """
        ours, configured = self.auth_method, self.provider.revocation_endpoint_auth_method
        supported = self.provider.revocation_endpoint_auth_methods_supported
        if configured is not None and ours != "none":
            return configured
        if configured is not None or supported is None or ours in supported:
            return ours
        usable = () if ours == "none" else ("private_key_jwt",) if self.client_signing_key else SECRET_METHODS
        return next((method for method in usable if method in supported), ours)

    def without_revocation(self) -> Registration:
        """Return this registration as if the server offered no way to revoke anything."""
        provider = replace(self.provider, revocation_endpoint=None)
        return replace(self, provider=provider, whole=self.whole or self)

    def for_revocation(self) -> Registration:
        """Return this registration as it authenticates at the revocation endpoint."""
        method = self._revocation_method
        if method == self.auth_method:
            return self
        provider = replace(self.provider, token_endpoint_auth_method=method)
        return replace(self, provider=provider, whole=self.whole or self)

    def whose(self, parameters: Mapping[str, str]) -> Whose:
        """Return whose the tokens are that this client gets for a connection with these parameters."""
        provider = self.provider
        urls = {
            "token": provider.token_endpoint,
            "refresh": provider.refresh_endpoint,
            "revocation": provider.revocation_endpoint,
            "account": provider.account_endpoint,
        }
        origins = {use: origin_of(url) for use, url in urls.items() if url}
        return Whose(provider.name, self.client_id, dict(parameters), provider.issuer, origins)

    @property
    def auth_method(self) -> str:
        """Return how this client authenticates at the token endpoint (RFC 6749 section 2.3, RFC 8414 section 2).

        It uses the configured method. By default a client with neither key nor secret uses `none`, one with a key
        `private_key_jwt`, and one with a secret the first method that the server supports. If the server names none,
        that is `client_secret_basic` (RFC 8414).
        """
        if (lacking := self.lacking_credential) is not None:
            raise ProviderMisconfigured(
                f"Provider {self.provider.name!r} authenticates with {self._method}, "
                f"but its registration has no {lacking}."
            )
        return self._method

    @property
    def lacking_credential(self) -> str | None:
        """Return the key of the credential that this client needs and does not have; None if it has what it needs."""
        needed = {"none": None, "private_key_jwt": "client_signing_key"}.get(self._method, "client_secret")
        return needed if needed is not None and getattr(self, needed) is None else None

    @property
    def _method(self) -> str:
        return self.provider.token_endpoint_auth_method or self._supported_method()

    def _supported_method(self) -> str:
        if self.client_signing_key is not None:
            return "private_key_jwt"
        if self.client_secret is None:
            return "none"
        supported = self.provider.token_endpoint_auth_methods_supported or ("client_secret_basic",)
        for method in SECRET_METHODS:
            if method in supported:
                return method
        raise ProviderMisconfigured(
            f"Provider {self.provider.name!r} supports none of the client authentication methods that a client_secret "
            f"serves for: {', '.join(SECRET_METHODS)}."
        )

    def signing_algorithm(self, usable: Collection[str], default: str | None) -> str:
        """Return how this client signs its assertions: as configured, or as the server's metadata demands.

        `usable` are the algorithms of its method; `default` applies if the metadata names none.
        """
        algorithm = self.provider.token_endpoint_auth_signing_alg
        if algorithm is None:
            supported = self.provider.token_endpoint_auth_signing_alg_values_supported
            possible = [default] if supported is None else [known for known in supported if known in usable]
            algorithm = default if default in possible else possible[0] if len(possible) == 1 else None
        if algorithm is None or algorithm not in usable:
            raise ProviderMisconfigured(
                f"Provider {self.provider.name!r} authenticates with {self.auth_method}: expected "
                f"token_endpoint_auth_signing_alg to be one of {', '.join(usable)}."
            )
        return algorithm


def origin_of(url: str) -> str:
    """Return the origin of an endpoint."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))

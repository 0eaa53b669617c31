"""Providers are data: the endpoints of RFC 8414 and a closed vocabulary of quirks. No code asks for one by name.

A `Provider` is the file `providers/NAME.toml` (where there is one), under what a discovery found (where an issuer is
given), under the owner's registration; `vocabulary` checks each of them, and `assembling` makes one of them.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from functions.vault.base.errors import InvalidRequest, ProviderMisconfigured
from functions.vault.base.fields import Mismatch
from functions.vault.base.record import record
from functions.vault.grant.stored_set import Whose
from functions.vault.grant.upkeep import Upkeep

from . import tenants
from .rules import of_codes
from .vocabulary import ENDPOINTS, REGION, SECRET_METHODS, TEMPLATE_PARAMS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .rules import Rule

ID_TOKEN_SUBJECT = "id_token.sub"  # noqa: S105 - not a token
"""What a provider's `subject` is if the ID token names it."""


@record
class Provider:
    """One authorization server as Gatehouse talks to it. Durations are seconds."""

    name: str
    issuer: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    refresh_endpoint: str | None = None
    revocation_endpoint: str | None = None
    account_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False
    token_endpoint_auth_method: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    pkce: str = "S256"
    nonce: bool | None = None
    scopes: tuple[str, ...] = ()
    scopes_fixed: bool = False
    scope_separator: str = " "
    response_scope_separators: tuple[str, ...] | None = None
    scope_parameter: str | None = None
    scope_in_refresh: bool = False
    refresh_token_needs: dict[str, list[str]] = field(default_factory=dict)
    scope_aliases: dict[str, list[str]] = field(default_factory=dict)
    redirect_uri: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    parameter_defaults: dict[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    authorization_params: dict[str, str] = field(default_factory=dict)
    authorization_param_names: dict[str, str] = field(default_factory=dict)
    code_parameter: str = "code"
    callback_metadata: dict[str, str | list[str]] = field(default_factory=dict)
    callback_parameters: dict[str, str] = field(default_factory=dict)
    regions: dict[str, dict[str, str]] = field(default_factory=dict)
    body_format: str = "form"
    token_params: dict[str, str] = field(default_factory=dict)
    token_param_names: dict[str, str] = field(default_factory=dict)
    refresh_params: dict[str, str] = field(default_factory=dict)
    refresh_param_names: dict[str, str] = field(default_factory=dict)
    refresh_method: str = "POST"
    refresh_grant_type: str = "refresh_token"
    first_refresh: dict[str, Any] = field(default_factory=dict)
    token_headers: dict[str, str] = field(default_factory=dict)
    response_paths: tuple[str, ...] = (".",)
    response_fields: dict[str, str | list[str]] = field(default_factory=dict)
    response_success: str | None = None
    error_fields: dict[str, str] = field(default_factory=dict)
    error_codes: dict[str, str] = field(default_factory=dict)
    refusals: tuple[Rule, ...] = ()
    subject: str | None = None
    metadata: tuple[str, ...] = ()
    account_scope: str | None = None
    expires_in_unit: str = "seconds"
    default_expires_in: int | None = None
    max_expires_in: int | None = None
    default_refresh_token_expires_in: int | None = None
    refresh_margin: int = 300
    background_refresh: str = "keep_alive"
    refresh_token_rotation: bool | None = None
    refresh_token_idle_seconds: int | None = None
    refresh_token_replay_seconds: int | None = None
    revocation_method: str = "POST"
    revocation_body_format: str = "form"
    revocation_endpoint_auth_method: str | None = None
    revocation_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    revocation_headers: dict[str, str] = field(default_factory=dict)
    revocation_params: dict[str, str] = field(default_factory=dict)
    revocation_param_names: dict[str, str] = field(default_factory=dict)
    revocation_tokens: tuple[str, ...] = ("refresh_token", "access_token")
    revocation_token_type_hint: bool = True
    revocation_ends_authorization: bool | None = None
    revocation_success: str | None = None
    max_concurrency: int | None = None
    request_timeout: int = 10
    jwks_uri: str | None = None
    # Pushed requests (RFC 9126), resource indicators (RFC 8707), form_post, client assertions (RFC 7523)
    pushed_authorization_request_endpoint: str | None = None
    require_pushed_authorization_requests: bool = False
    resource: tuple[str, ...] = ()
    response_mode: str | None = None
    token_endpoint_auth_signing_alg: str | None = None
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    client_assertion_audience: str = "issuer"
    client_id_in_body: bool = False
    basic_credentials_encoding: str = "form"
    # What has changed on purpose since tokens were issued: see `issued`
    endpoints_moved_from: tuple[str, ...] = ()
    reauthorize_previous: bool = False
    # What only the owner's registration says in headers, parameters and queries: keys, perhaps. See `masking`
    private: tuple[str, ...] = ()

    @property
    def has_slots(self) -> bool:
        """Tell whether it takes a limited number of requests at a time; 0 lifts the limit of a file."""
        return bool(self.max_concurrency)

    @property
    def upkeep(self) -> Upkeep:
        """Return when this provider's tokens are to be refreshed."""
        return Upkeep(self.refresh_margin, self.background_refresh, self.refresh_token_idle_seconds)

    @property
    def grants_are_apart(self) -> bool:
        """Tell whether to revoke one grant of an account leaves its others alone. Where nobody says so, it may not."""
        return self.revocation_ends_authorization is False

    @property
    def first_revocation_ends_all(self) -> bool:
        """Tell whether nothing is left to revoke after a first success: it ends all, and the server says which is one.

        A yes without that (RFC 7009 section 2.2) may be to a token that the server does not know.
        """
        return self.revocation_ends_authorization is True and self.revocation_success is not None

    @property
    def replays_refresh(self) -> bool:
        """Tell whether a refresh whose answer was lost may be sent again at once, without harm to the grant."""
        return self.refresh_token_rotation is False or bool(self.refresh_token_replay_seconds)

    def names_of(self, token_field: str) -> tuple[str, ...]:
        """Return the names of a token response's field in this provider's answers; none if it is passed over."""
        named = self.response_fields.get(token_field, token_field)
        return tuple(name for name in ([named] if isinstance(named, str) else named) if name)

    @property
    def separators_of_answers(self) -> tuple[str, ...]:
        """Return what separates scopes in answers; what separates them in requests, where data says no other."""
        given = self.response_scope_separators
        return (self.scope_separator,) if given is None else given

    @property
    def at_first_refresh(self) -> Provider:
        """Return the provider as it is asked to refresh what a consent has brought: some call that an exchange."""
        return replace(self, **self.first_refresh)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return what this provider's data says of refusals, in order."""
        return (*self.refusals, *of_codes(self.error_codes))

    @property
    def has_tenants(self) -> bool:
        """Tell whether its endpoints depend on a connection's parameters."""
        return bool(self.parameters or self.regions)

    def chosen_parameters(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return a connection's parameters, the provider's defaults filled in, each held against its pattern.

        Raises `InvalidRequest` naming every one that is missing or does not fit.
        """
        chosen = {**self.parameter_defaults, **given}
        if problems := self._parameter_problems(chosen):
            raise InvalidRequest("; ".join(problems) + ".")
        return chosen

    def told_parameters(self, chosen: Mapping[str, str], told: Mapping[str, str]) -> dict[str, str]:
        """Return a connection's parameters with those that the redirect has `told`: where its code has to go.

        The browser brings them, so they are held against the same patterns and lists as what `start` is given. Raises
        `ProviderMisconfigured` naming each that does not fit: whoever sent the code elsewhere would lose it.
        """
        named = {name: told[theirs] for name, theirs in self.callback_parameters.items() if theirs in told}
        whole = {**chosen, **named}
        if named and (problems := self._parameter_problems(whole)):
            raise ProviderMisconfigured(
                f"The authorization response names a place where provider {self.name!r} is not known to be: "
                f"{'; '.join(problems)}. The code was not sent. If the provider has a new region, add it to regions."
            )
        return whole

    def for_tenant(self, parameters: Mapping[str, str]) -> Provider:
        """Return the provider as it is for a connection with these parameters: in its region, placeholders filled in.

        Raises `ProviderMisconfigured` where they do not fit (any more): start checks them before anything is stored.
        """
        if not self.has_tenants:
            return self
        if problems := self._parameter_problems(parameters):
            raise ProviderMisconfigured(
                f"The connection's parameters do not fit provider {self.name!r}: {'; '.join(problems)}. "
                "Start it again with parameters that do, or correct the registration."
            )
        values = {name: parameters[name] for name in self.parameters}
        urls = self._endpoints(parameters.get(REGION))
        filled: dict[str, Any] = {key: tenants.expanded(url, values) for key, url in urls.items()}
        filled["endpoints_moved_from"] = tuple(tenants.filled(url, values) for url in self.endpoints_moved_from)
        for key in TEMPLATE_PARAMS:
            filled[key] = {name: tenants.filled(text, values) for name, text in getattr(self, key).items()}
        return replace(self, **filled)

    def _endpoints(self, region: str | None) -> dict[str, str]:
        known = {key: url for key in ENDPOINTS if (url := getattr(self, key)) is not None}
        return {**known, **self.regions.get(region or "", {})}

    def _parameter_problems(self, given: Mapping[str, str]) -> list[str]:
        """Return what is wrong with each parameter by itself, else with the URLs that all of them make."""
        region = given.get(REGION)
        if self.regions and region is not None and region not in self.regions:
            return [f"parameters.{REGION}: expected one of {', '.join(self.regions)}"]
        urls = self._endpoints(region)
        found = [
            tenants.problem_of(name, pattern, given.get(name), urls.values())
            for name, pattern in self.parameters.items()
        ]
        if any(found):
            return [problem for problem in found if problem is not None]
        values = {name: given[name] for name in self.parameters}
        try:
            for url in urls.values():
                tenants.expanded(url, values)
        except Mismatch as mismatch:
            return [f"parameters: expected {mismatch}"]
        return []

    def endpoint(self, name: str) -> str:
        """Return the endpoint `name`, which the operation at hand cannot do without."""
        url: str | None = getattr(self, name)
        if url is None:
            raise ProviderMisconfigured(
                f"Provider {self.name!r} has no {name}: add it to the registration, or an issuer to discover it from."
            )
        return url


@record
class Registration:
    """The owner's client at a provider (RFC 6749 section 2), with the provider as it is for this owner.

    `client_secret` is the newest; `previous_client_secret` is one that may still be live, or live already. One that was
    made for a `tenant`, or for revocation, has the `whole` that it was made of. `is_discovered`: the issuer's metadata
    names its endpoints.
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
        """Return all client secrets, those of previous clients as well: no server's words may repeat them."""
        ours = {"client_secret": self.client_secret, "previous_client_secret": self.previous_client_secret}
        clients: tuple[Mapping[str, str | None], ...] = (ours, *self.previous_clients)
        return tuple(secret for each in clients for name in ours if (secret := each.get(name)))

    @property
    def credentials(self) -> tuple[Any, ...]:
        """Return all that says who the client is, to be compared with another registration's."""
        secrets = self.client_secret, self.previous_client_secret
        return (self.client_id, *secrets, self.client_signing_key, self.client_signing_kid, self.previous_clients)

    def of_client(self, client_id: str) -> Registration | None:
        """Return this registration as it is for tokens that were issued to a client; None where that has no place here.

        A previous client has its own secrets, or key, and everything else of the one that there is now.
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
        """Return the kinds of token that the server revokes for this client, in order; none where it offers no way."""
        return () if self.provider.revocation_endpoint is None else self.provider.revocation_tokens

    @property
    def has_no_method_for_revocation(self) -> bool:
        """Tell whether the server's metadata names no way in which this client could authenticate for a revocation.

        It is tried: servers let clients revoke that their metadata leaves out. But if this one refuses the client, it
        has said before that it would.
        """
        supported = self.provider.revocation_endpoint_auth_methods_supported
        is_configured = self.provider.revocation_endpoint_auth_method is not None
        return supported is not None and not is_configured and self._revocation_method not in supported

    @property
    def _revocation_method(self) -> str:
        """Return how this client authenticates at the revocation endpoint; a public client stays one there.

        What is configured goes, else the method of the token endpoint, unless the server's metadata (RFC 8414 section
        2) leaves that out and names another that this client has.
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
        """Return whose the tokens are that this client gets, of a connection with these parameters."""
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

        What is configured goes; else neither key nor secret means `none`, a key `private_key_jwt`, and a secret the
        first supported method, of which RFC 8414 says that silence means `client_secret_basic`.
        """
        if (lacking := self.lacking_credential) is not None:
            raise ProviderMisconfigured(
                f"Provider {self.provider.name!r} authenticates with {self._method}, "
                f"but its registration has no {lacking}."
            )
        return self._method

    @property
    def lacking_credential(self) -> str | None:
        """Return the key of what this client has to authenticate with, and has not; None where nothing lacks."""
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
        """Return how this client signs its assertions: as configured, or as the server's metadata leaves no choice.

        `usable` are the algorithms of its method; `default` goes where the server does not say.
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

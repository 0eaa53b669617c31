"""A provider as data: its endpoints by the names of RFC 8414, and its quirks by the keys of a closed vocabulary.

It is merged (`merging`) from up to three layers, each checked by `vocabulary`: the file `providers/NAME.toml`, over it
the metadata of the issuer, and over both the owner's registration. No code asks for a provider by name.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import InvalidRequest, ProviderMisconfigured
from functions.vault.base.fields import Mismatch
from functions.vault.base.record import record
from functions.vault.grant.upkeep import Upkeep

from . import tenants
from .names import ENDPOINTS, REGION, TEMPLATE_PARAMS
from .refusal_rules import of_codes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .refusal_rules import Rule

ID_TOKEN_SUBJECT = "id_token.sub"  # noqa: S105 - not a token
"""The `subject` of a provider whose ID token names the account."""


@record
class Provider:
    """One authorization server as Gatehouse talks to it. Durations are seconds."""

    name: str
    display_name: str | None = None
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
    account_name: tuple[str, ...] = ()
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
    id_token_signed_response_alg: str | tuple[str, ...] | None = None
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
    # What has changed on purpose since tokens were issued: see `registration_changes`
    endpoints_moved_from: tuple[str, ...] = ()
    reauthorize_previous: bool = False
    # Values of headers, parameters and queries that only the owner's registration has: perhaps API keys. See `masking`
    private: tuple[str, ...] = ()

    @property
    def has_slots(self) -> bool:
        """Return whether it takes a limited number of requests at a time; 0 lifts the limit of a file."""
        return bool(self.max_concurrency)

    @property
    def upkeep(self) -> Upkeep:
        """Return when this provider's tokens are to be refreshed."""
        return Upkeep(self.refresh_margin, self.background_refresh, self.refresh_token_idle_seconds)

    @property
    def id_token_algorithms(self) -> tuple[str, ...] | None:
        """Return the algorithms that ID tokens may be signed with; None for all that can be verified."""
        named = self.id_token_signed_response_alg
        return (named,) if isinstance(named, str) else named

    @property
    def grants_are_apart(self) -> bool:
        """Return whether the server says that revoking one grant of an account leaves its other grants alone."""
        return self.revocation_ends_authorization is False

    @property
    def first_revocation_ends_all(self) -> bool:
        """Return whether a first successful revocation leaves nothing to revoke.

        It ends all grants, and the server says explicitly that it has succeeded. A mere 200 (RFC 7009 section 2.2) may
        be the answer to a token that the server does not know.
        """
        return self.revocation_ends_authorization is True and self.revocation_success is not None

    @property
    def replays_refresh(self) -> bool:
        """Return whether a refresh whose answer was lost may be sent again at once, without harm to the grant."""
        return self.refresh_token_rotation is False or bool(self.refresh_token_replay_seconds)

    def names_of(self, token_field: str) -> tuple[str, ...]:
        """Return the names of a token response's field in this provider's answers; none if it is to be ignored."""
        named = self.response_fields.get(token_field, token_field)
        return tuple(name for name in ([named] if isinstance(named, str) else named) if name)

    @property
    def response_separators(self) -> tuple[str, ...]:
        """Return what separates scopes in answers: by default what separates them in requests."""
        given = self.response_scope_separators
        return (self.scope_separator,) if given is None else given

    @property
    def at_first_refresh(self) -> Provider:
        """Return the provider as it takes the first refresh after a consent: some servers call that an exchange."""
        return replace(self, **self.first_refresh)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return the rules in this provider's data about refusals, in order."""
        return (*self.refusals, *of_codes(self.error_codes))

    @property
    def has_tenants(self) -> bool:
        """Return whether its endpoints depend on a connection's parameters."""
        return bool(self.parameters or self.regions)

    def chosen_parameters(self, unverified: Mapping[str, str] | None, stored: Mapping[str, str]) -> dict[str, str]:
        """Return a connection's parameters with the provider's defaults; each of the provider's matches its pattern.

        What a caller does not give (None) stays as it is stored. Raises `InvalidRequest` naming every one that is
        missing, misspelt or does not match. Others are the application's own, and stay as they are.
        """
        chosen = {**self.parameter_defaults, **(stored if unverified is None else unverified)}
        if problems := self._misspelt(unverified or {}) or self._parameter_problems(chosen):
            raise InvalidRequest("; ".join(problems) + ".")
        return chosen

    def _misspelt(self, unverified: Mapping[str, str]) -> list[str]:
        """Name those of no parameter that look like one that is not given: its default must not take their place."""
        known = {*self.parameters, *([REGION] if self.regions else [])}
        if not (missing := known - unverified.keys()) or not (others := unverified.keys() - known):
            return []
        from functions.vault.base.refused_fields import did_you_mean, nearest, shown  # noqa: PLC0415 - most are right

        near = {name: nearest(name, missing) for name in sorted(others)}
        return [f"parameters.{shown(name)}: unknown{did_you_mean(meant)}" for name, meant in near.items() if meant]

    def redirected_parameters(self, chosen: Mapping[str, str], unverified: Mapping[str, str]) -> dict[str, str]:
        """Return a connection's parameters with those that the redirect names: they say where its code has to go.

        The browser brings them, so they have to match the same patterns and lists as those that `start` gets. Raises
        `ProviderMisconfigured` naming each that does not match: a code that is sent elsewhere is lost.
        """
        named = {name: unverified[theirs] for name, theirs in self.callback_parameters.items() if theirs in unverified}
        whole = {**chosen, **named}
        if named and (problems := self._parameter_problems(whole)):
            raise ProviderMisconfigured(
                f"The authorization response names a place where provider {self.name!r} is not known to be: "
                f"{'; '.join(problems)}. The code was not sent. If the provider has a new region, add it to regions."
            )
        return whole

    def for_tenant(self, parameters: Mapping[str, str]) -> Provider:
        """Return the provider as it is for a connection with these parameters: in its region, placeholders filled in.

        Raises `ProviderMisconfigured` if they do not match. `start` has checked them, but data can change since.
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

    def _parameter_problems(self, unverified: Mapping[str, str]) -> list[str]:
        """Return what is wrong with each parameter by itself, or else with the URLs that all of them make."""
        region = unverified.get(REGION)
        if self.regions and region is not None and region not in self.regions:
            return [f"parameters.{REGION}: expected one of {', '.join(self.regions)}"]
        urls = self._endpoints(region)
        found = [
            tenants.problem_of(name, pattern, unverified.get(name), urls.values())
            for name, pattern in self.parameters.items()
        ]
        if any(found):
            return [problem for problem in found if problem is not None]
        values = {name: unverified[name] for name in self.parameters}
        try:
            for url in urls.values():
                tenants.expanded(url, values)
        except Mismatch as mismatch:
            return [f"parameters: expected {mismatch}"]
        return []

    def endpoint(self, name: str) -> str:
        """Return the endpoint `name`; raise `ProviderMisconfigured` if it is not known."""
        url: str | None = getattr(self, name)
        if url is None:
            raise ProviderMisconfigured(
                f"Provider {self.name!r} has no {name}: add it to the registration, or an issuer to discover it from."
            )
        return url

"""Each registration: as the deployed functions read it, and what can be seen of its provider from here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from gatehouse.cli import repository
from gatehouse.cli.account import repeatable
from gatehouse.cli.catalogue import near
from gatehouse.cli.failures import Failure, failure_of
from gatehouse.errors import InvalidRequest, ProviderMisconfigured, UnknownProvider

from .finding import Finding, of_failure, problem
from .parts import fetched, reason, this_machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gatehouse.cli.account import Account

_PROBE = [f"gatehouse-doctor-{number:0239}" for number in range(30)]
"""Scopes too long for a URL: with them `start` reads the registration and checks it whole, and opens no request."""

_AS_READ = "{name}: its registration, as start reads it"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "account_endpoint")
_REFUSED = {400, 404, 422}


def findings(account: Account, providers: Sequence[str]) -> Iterator[Finding]:
    """Look at the registrations of these providers, or else at all."""
    names = list(providers) or list(_stored(account))
    if not names:
        yield problem(
            "registrations",
            "a registration",
            f"Secrets Manager has no secret that begins with {account.secret_prefix}: nobody can be connected.",
            f"gatehouse register NAME{account.options}",
            "The names of the catalogue: gatehouse providers",
        )
    for name in names:
        yield from _of(account, name)


def _stored(account: Account) -> Iterator[str]:
    prefix = account.secret_prefix
    pages = (
        account.client("secretsmanager")
        .get_paginator("list_secrets")
        .paginate(Filters=[{"Key": "name", "Values": [prefix]}])
    )
    for page in pages:
        for each in page["SecretList"]:
            if each["Name"].startswith(prefix):
                yield each["Name"].removeprefix(prefix)


def _of(account: Account, name: str) -> Iterator[Finding]:
    try:
        read = as_read(account, name)
    except Exception as error:
        failure = failure_of(error, account.options)
        if failure is None:
            raise
        yield of_failure("registrations", _AS_READ.format(name=name), failure)
        return
    yield read
    if read.state != "ok":
        return
    try:
        registration = merged(account, name)
    except Exception as error:
        failure = failure_of(error, account.options)
        if failure is None:
            raise
        yield of_failure("registrations", f"{name}: its endpoints", failure)
        return
    if registration is not None:
        yield from _seen_from_here(account, name, registration)


def as_read(account: Account, name: str) -> Finding:
    """Return whether `start` would take the registration: the deployed function reads it, with its own rights.

    Raises whatever else `start` answers: it could not be looked at then, and says nothing of the registration.
    """
    what = _AS_READ.format(name=name)
    request: dict[str, Any] = {"provider": name, "scopes": _PROBE}
    if account.parameters.get("Confirm") == "required":
        request["return_to"] = account.parameters.get("ReturnToOrigins", "").partition(",")[0]
    try:
        # It opens nothing, so that it may run twice.
        repeatable(partial(account.gatehouse.call, "start", request))
    except InvalidRequest as error:
        # What a connection has to bring is no matter of the registration.
        if "scopes: expected" in error.description or error.description.startswith("parameters"):
            return Finding("registrations", what)
        return problem("registrations", what, error.description, "See docs/providers.md")
    except UnknownProvider as error:
        meant, step = near(name), f"gatehouse register {name}{account.options}"
        return problem("registrations", what, error.description, f"If {meant} was meant, name that" if meant else step)
    except ProviderMisconfigured as error:
        return problem("registrations", what, error.description, *_mend(account, name, error.description))
    return Finding("registrations", what)


def _mend(account: Account, name: str, said: str) -> Iterator[str]:
    secret = account.secret_prefix + name
    if "cannot be read" in said:
        yield "Give the functions' roles what it says; nothing in the registration needs to change."
        return
    yield f"gatehouse register {name} --replace{account.options}"
    yield f"Or correct the secret itself: aws secretsmanager get-secret-value --secret-id {secret}"


_FROM_HERE = (
    "See whether this machine reaches the issuer (network, proxy, VPN). The functions in AWS have their own way."
)


def merged(account: Account, name: str) -> Any:
    """Return the registration with its provider's file under it, read with the rights of whoever calls this.

    Raises `Failure` if it is invalid, or if its issuer does not answer this machine.
    """
    checks = repository.module("tools.check_registration")
    secret = account.client("secretsmanager").get_secret_value(SecretId=account.secret_prefix + name)
    again = f"gatehouse register {name} --replace{account.options}"
    if "SecretString" not in secret:
        text = f"The secret {account.secret_prefix}{name} is binary. It has to be JSON, as text."
        raise Failure("provider_misconfigured", text, advice=again)
    try:
        return checks.registration(name, secret["SecretString"], local=account.is_local)
    except checks.GatehouseError as error:
        advice = _FROM_HERE if error.retryable else again
        raise Failure(error.code, error.description, advice=advice) from None


def _seen_from_here(account: Account, name: str, registration: Any) -> Iterator[Finding]:
    """Look whether its hosts answer, and whether its server takes our client with our redirect URI."""
    provider = registration.provider
    endpoints = {key: url for key in _ENDPOINTS if (url := getattr(provider, key)) and "{" not in url}
    one_of_each = {urlsplit(url).netloc: (key, url) for key, url in reversed(endpoints.items())}
    with ThreadPoolExecutor(len(_ENDPOINTS)) as pool:
        looks = [pool.submit(_reached, account, name, key, url) for key, url in one_of_each.values()]
        found = [each.result() for each in looks]
    yield from found
    redirect_uri = provider.redirect_uri or account.redirect_uri(name)
    is_reached = all(each.state == "ok" for each in found)
    if "authorization_endpoint" in endpoints and is_reached:
        yield _redirect_uri(account, name, registration, redirect_uri)


def _reached(account: Account, name: str, key: str, url: str) -> Finding:
    host = urlsplit(url).netloc
    what = f"{name}: {host} is reached"
    try:
        fetched(url)
    except (OSError, ValueError) as error:
        said = reason(error) if isinstance(error, OSError) else str(error)
        return problem(
            "registrations",
            what,
            f"{key}: {said}",
            *this_machine(error),
            f"See whether {key} is right: gatehouse provider {name}. The registration may override it",
            f"gatehouse register {name} --replace{account.options}",
        )
    return Finding("registrations", what)


def _redirect_uri(account: Account, name: str, registration: Any, redirect_uri: str) -> Finding:
    """Return what the authorization endpoint says to a request with our client and redirect URI, without a customer."""
    provider, what = registration.provider, f"{name}: the redirect URI"
    expected = account.redirect_uri(name)
    params = {"response_type": "code", "client_id": registration.client_id, "redirect_uri": redirect_uri}
    scope = (provider.scope_separator or " ").join(provider.scopes)
    params |= {"scope": scope} if scope and not provider.scopes_fixed else {}
    separator = "&" if urlsplit(provider.authorization_endpoint).query else "?"
    url = f"{provider.authorization_endpoint}{separator}{urlencode({**params, 'state': 'gatehouse-doctor'})}"
    try:
        status, _ = fetched(url)
    except OSError as error:
        see = f"See whether {url.partition('?')[0]} is right"
        return problem("registrations", what, reason(error), *this_machine(error), see)
    if status in _REFUSED:
        steps = [f"Enter at the provider's console, exactly: {redirect_uri}"]
        if redirect_uri != expected:
            steps = [
                f"Take redirect_uri out of the registration, or make it {expected}",
                f"gatehouse register {name} --replace{account.options}",
            ]
        return problem(
            "registrations",
            what,
            f"The provider refuses a request with this client id and {redirect_uri} ({status}).",
            *steps,
            "See whether the client id is right, too",
        )
    return Finding("registrations", f"{what} is, at the provider's console: {redirect_uri}")

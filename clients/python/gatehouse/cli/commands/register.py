"""`gatehouse register NAME`: stores the registration of your application at a provider."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import exits, repository
from gatehouse.cli.catalogue import complete_provider, described, near
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.command import is_interactive, pairs
from gatehouse.cli.failures import Failure
from gatehouse.cli.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatehouse.cli.command import Call

_SECRET = {"client_secret", "client_secrets", "previous_clients"}
"""Keys that hold secrets."""
_NOT_ROTATED = {
    "client_id": "--client-id",
    "public": "--public",
    "scopes": "--scope",
    "based_on": "--based-on",
    "issuer": "--issuer",
    "further": "--set",
    "asked": "--ask",
}
"""Options that say what a whole registration is, and how each is written."""
_MERGING = "functions.vault.provider.merging"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "revocation_endpoint")


@cli_command("register")
@click.argument("name", shell_complete=complete_provider)
@click.option("--client-id", metavar="ID", help="The client id; else you are asked.")
@click.option("--public", is_flag=True, help="The application has no secret.")
@click.option("--secret-stdin", is_flag=True, help="Read the client secret from standard input.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="A scope that customers are asked for.")
@click.option(
    "--based-on",
    metavar="PROVIDER",
    shell_complete=complete_provider,
    help="The provider of the catalogue to start from.",
)
@click.option("--issuer", metavar="URL", help="For a provider that is not in the catalogue: its issuer.")
@click.option(
    "--set", "further", multiple=True, metavar="KEY=VALUE", callback=pairs, help="Any other key: docs/providers.md"
)
@click.option("--ask", "asked", multiple=True, metavar="KEY", help="Ask for the value of this key, without showing it.")
@click.option("--rotate", is_flag=True, help="Add a new secret to the registration; the old one stays as the second.")
@click.option("--replace", is_flag=True, help="Write over a registration that is there.")
def command(call: Call, name: str, *, rotate: bool, replace: bool, **given: Any) -> None:
    """Register your application at the provider NAME: asks for what is needed, checks it, stores it.

    The client secret is asked for without being shown, or read from the first line of standard input. It is in no
    argument, no file and no history; it goes to Secrets Manager, where Gatehouse reads it. The same goes for whatever
    else holds a key, like --ask token_headers: its value is asked for, or has the next line of standard input.
    """
    if rotate and (chosen := [option for key, option in _NOT_ROTATED.items() if given[key]] + ["--replace"] * replace):
        raise click.UsageError(f"--rotate changes the secret alone: leave out {', '.join(chosen)}, or leave it out.")
    secret = Secret(call.account, name)
    stored = secret.read_or_empty() if replace else secret.read()
    if stored is not None and not replace and not rotate:
        raise Failure(
            "registered",
            f"{name} is registered already, with the client id {stored.get('client_id')}.",
            advice=f"For another secret: gatehouse register {name} --rotate{call.account.options}. "
            f"To write over it: gatehouse register {name} --replace{call.account.options}",
            code=exits.USAGE,
        )
    registration = _rotated(stored, given) if rotate else _asked(name, given)
    report = _checked(call, name, registration)
    secret.write(registration, is_there=stored is not None)
    redirect_uri = call.account.redirect_uri(name)
    if call.out.answer({"provider": name, "secret": secret.name, "redirect_uri": redirect_uri, "report": report}):
        return
    call.out.say(f"Stored in Secrets Manager as {secret.name}.", "green")
    call.out.say("Enter this redirect URI at the provider's console, exactly:")
    call.out.say(f"  {redirect_uri}", "bold")
    call.out.note(f"Functions read it within five minutes. Then: gatehouse connect {name}{call.account.options}")


def _asked(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the registration, from the options and from what the person answers."""
    based_on = given["based_on"] or name
    further = {key: _value(text) for key, text in given["further"].items()}
    if secret_keys := _SECRET & further.keys():
        raise click.UsageError(f"--set {min(secret_keys)}: a secret is not for the command line. You are asked for it.")
    if private := next(_with_keys(further), None):
        raise click.UsageError(
            f"--set {private}: it may hold a key, which is not for the command line: --ask {private}"
        )
    registration = {key: given[key] for key in ("based_on", "issuer") if given[key]}
    if based_on in repository.provider_names():
        catalogue = described(based_on)
    else:
        catalogue = {}
        if not given["issuer"] and "token_endpoint" not in further:
            registration |= _asked_where(name)
    registration["client_id"] = given["client_id"] or _prompt("Client id")
    if not given["public"]:
        may_be_none = "none" in catalogue.get("client_authentication", ())
        secret = _secret(is_from_stdin=given["secret_stdin"], may_be_none=may_be_none)
        registration |= {"client_secret": secret} if secret else {}
    further |= {key: _value(_hidden(key, is_from_stdin=given["secret_stdin"])) for key in given["asked"]}
    return registration | _asked_beyond(catalogue, {**registration, **further}, given["scopes"]) | further


def _with_keys(further: dict[str, Any]) -> Iterator[str]:
    """Give the keys of a registration under which Gatehouse treats a value as an API key."""
    vocabulary, merging = map(repository.module, ("functions.vault.provider.vocabulary", _MERGING))
    # What is not right is refused later on, with the reason.
    known, _ = vocabulary.checked(further, vocabulary.checks(loopback_http=True))
    yield from (key for key, value in known.items() if any(merging.private_values({key: value})))


def _asked_beyond(catalogue: dict[str, Any], known: dict[str, Any], scopes: tuple[str, ...]) -> dict[str, Any]:
    """Return the scopes, and what the provider's file leaves to the registration."""
    found: dict[str, Any] = {"scopes": list(scopes)} if scopes else {}
    if not is_interactive():
        return found
    has_scopes = scopes or "scopes" in known or catalogue.get("scopes_fixed") or catalogue.get("scopes")
    asked = "" if has_scopes else _prompt("Scopes, separated by spaces (empty: none)", default="")
    if asked:
        found["scopes"] = asked.split()
    missing = [key for key in catalogue.get("required", ()) if key not in known and key not in found]
    return found | {key: _value(_prompt(key)) for key in missing}


def _asked_where(name: str) -> dict[str, str]:
    """Return where a provider is that the catalogue does not have."""
    nearest = near(name)
    hint = f" (did you mean {nearest}?)" if nearest else ""
    _require_terminal(
        f"a name of the catalogue{hint}, or --issuer URL, or --set token_endpoint=... and what else it has"
    )
    click.echo(f"The catalogue has no {name}{hint}. If it publishes OpenID metadata, its issuer is enough.", err=True)
    issuer = _prompt("Issuer (empty if it has none)", default="")
    if issuer:
        return {"issuer": issuer}
    found = {key: _prompt(f"{key} (empty if there is none)", default="") for key in _ENDPOINTS}
    return {key: value for key, value in found.items() if value}


def _rotated(stored: dict[str, Any] | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return the stored registration with a new secret before the one that it has."""
    if stored is None:
        raise click.UsageError("There is no registration yet: leave --rotate out.")
    old = stored.get("client_secret") or next(iter(stored.get("client_secrets", ())), None)
    new = _secret(is_from_stdin=given["secret_stdin"], may_be_none=False)
    kept = {key: value for key, value in stored.items() if key not in {"client_secret", "client_secrets"}}
    return {**kept, "client_secrets": [new, old]} if old else {**kept, "client_secret": new}


def _secret(*, is_from_stdin: bool, may_be_none: bool) -> str:
    hint = " (empty if there is none)" if may_be_none else ""
    return _hidden("Client secret", hint, is_from_stdin=is_from_stdin, default="" if may_be_none else None)


def _hidden(what: str, hint: str = "", *, is_from_stdin: bool, default: str | None = None) -> str:
    """Return what is typed without being shown, or the next line of standard input."""
    if is_from_stdin and not is_interactive():
        text = sys.stdin.readline().strip()
        if not text:
            raise click.UsageError(f"Standard input has no line for this: {what}")
        return text
    _require_terminal("--secret-stdin, or --public if there is no secret")
    asked = f"{what}, not shown{hint}"
    return str(click.prompt(asked, default=default, hide_input=True, show_default=False, err=True)).strip()


def _prompt(text: str, default: str | None = None) -> str:
    _require_terminal(f"the option for: {text}")
    return str(click.prompt(text, default=default, show_default=False, err=True)).strip()


def _require_terminal(otherwise: str) -> None:
    if not is_interactive():
        raise click.UsageError(f"Nobody can be asked here. Needed: {otherwise}")


def _value(text: str) -> Any:
    """Return a value as JSON if it is JSON, else as the text that it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _checked(call: Call, name: str, registration: dict[str, Any]) -> str:
    """Return what the check says. Raises `Failure` if `start` would refuse it: nothing is stored then."""
    checks = repository.module("tools.check_registration")
    base_url = call.account.base_url
    ((_, report, is_valid),) = checks.findings({name: json.dumps(registration)}, base_url, local=call.account.is_local)
    if not is_valid:
        again = "Nothing was stored. Correct that, and run the command again."
        raise Failure("invalid_registration", str(report), advice=again, code=exits.FOUND)
    return str(report)

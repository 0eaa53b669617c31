"""`gatehouse provider NAME`: what is known of a provider, and what to enter at its console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli.catalogue import complete_provider, described
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.failures import failure_of

if TYPE_CHECKING:
    from gatehouse.cli.account import Account
    from gatehouse.cli.command import Call

NO_STACK = "https://YOUR-BASE-URL"
_AUTHENTICATION = {
    "none": "a public client, without a secret",
    "header": "secret in the header",
    "body": "secret in the body",
}


@cli_command("provider")
@click.argument("name", shell_complete=complete_provider)
def command(call: Call, name: str) -> None:
    """Say what is known of the provider NAME and from where, and what to enter at its console.

    The redirect URI is that of your stack, if it can be found.
    """
    found = described(name)
    base_url, why_not = _base_url(call.account)
    redirect_uri = f"{base_url}/callback/{name}"
    if call.out.answer({**found, "redirect_uri_to_enter": redirect_uri}):
        return
    call.out.say(f"{found['title']}", "bold")
    call.out.say("\nEnter at its console:", "bold")
    call.out.facts(_at_its_console(found, redirect_uri))
    call.out.say("\nKnown of it:", "bold")
    call.out.facts(
        {
            **found["endpoints"],
            "start takes": ", ".join(found["parameters"]),
            "refresh token": "; ".join(found["refresh"]),
            "revocation": found["revocation"],
            "kept of the account": ", ".join(found["kept_of_the_account"]),
            "requests at a time": found["max_concurrency"],
            "does not work": found["missing"],
            "known from": found["known_from"],
        }
    )
    for source in found["sources"]:
        call.out.say(f"  {source}", "dim")
    if why_not:
        call.out.note(f"\nYour stack's URL belongs in place of {NO_STACK}: {why_not}")
    call.out.note(f"\nThen: gatehouse register {name}{call.account.options}")


def _at_its_console(found: dict[str, Any], redirect_uri: str) -> dict[str, object]:
    methods = found["client_authentication"]
    scopes = (
        "choose them there: an authorization request names none"
        if found["scopes_fixed"]
        else ", ".join(found["scopes"]) or "those that your application needs; name the same in the registration"
    )
    return {
        "redirect URI": found["redirect_uri"] or redirect_uri,
        "client": ", or ".join(_AUTHENTICATION.get(each, each) for each in methods),
        "PKCE": "supported" if found["pkce"] else "",
        "scopes": scopes,
        "you also need": ", ".join(found["required"]),
    }


def _base_url(account: Account) -> tuple[str, str]:
    """Return the stack's base URL; or a placeholder, and why it is not known."""
    try:
        return account.base_url, ""
    except Exception as error:
        # Whatever AWS's SDK raises: this command works without AWS.
        failure = failure_of(error, account.options)
        if failure is None:
            raise
        return NO_STACK, failure.description

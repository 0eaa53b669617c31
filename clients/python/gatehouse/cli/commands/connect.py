"""`gatehouse connect NAME`: an account is connected with the browser of whoever calls this."""

from __future__ import annotations

import time
import webbrowser
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import exits
from gatehouse.cli.catalogue import complete_provider
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.command import pairs
from gatehouse.cli.failures import Failure
from gatehouse.cli.way_back import WayBack
from gatehouse.errors import InvalidRequest

if TYPE_CHECKING:
    from gatehouse import Link
    from gatehouse.cli.command import Call

_PAUSE = 1.5
"""Seconds between two looks at whether the customer is back."""
_PORT = 8976


@cli_command("connect")
@click.argument("provider", shell_complete=complete_provider)
@click.option("--id", "connection_id", metavar="ID", help="The connection's id; else one is made.")
@click.option("--owner", metavar="OWNER", help="Whose connection it is, in your application.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="A scope to ask for; else the registration's.")
@click.option(
    "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", callback=pairs, help="What start takes."
)
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", callback=pairs, help="A tag of yours.")
@click.option("--other-account", is_flag=True, help="The customer may choose another account than before.")
@click.option(
    "--confirm", is_flag=True, help="Confirm here, as your application would. ReturnToOrigins has to allow it."
)
@click.option(
    "--return-port", type=int, default=_PORT, show_default=True, help="Where --confirm waits for the browser."
)
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the outcome.")
def command(call: Call, provider: str, **given: Any) -> None:
    """Connect an account at PROVIDER: opens your browser, waits until you have consented, and says what came of it.

    The link is good for ten minutes, and whoever opens it connects their own account. The same --id connects an
    account again.
    """
    may_wait, may_open = not given.pop("no_wait"), not given.pop("no_browser")
    confirms, port = given.pop("confirm"), given.pop("return_port")
    if confirms and not may_wait:
        raise click.UsageError("--confirm has to wait for the browser: leave --no-wait out.")
    if given.pop("other_account"):
        given["allow_new_subject"] = True
    fields: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in given.items() if value
    }
    with WayBack(port, listens=confirms) as way_back:
        if confirms:
            fields |= {"return_to": way_back.url, "confirm": True}
        link = _started(call, provider, fields, way_back)
        _send(call, link, may_open=may_open)
        if not may_wait:
            call.out.answer({"connection_id": link.connection_id, **_of(link)})
            return
        outcome = _waited_for(call, link, way_back if confirms else None)
    if confirms and outcome.get("confirmation"):
        confirmed = call.account.gatehouse.confirm(
            link.connection_id, outcome.pop("confirmation"), owner=fields.get("owner")
        )
        outcome = {**outcome, "outcome": "connected", "version": confirmed["version"]}
    _report(call, link, outcome)


def _started(call: Call, provider: str, fields: dict[str, Any], way_back: WayBack) -> Link:
    try:
        return call.account.gatehouse.start(provider, **fields)
    except InvalidRequest as error:
        if "return_to" not in error.description:
            raise
        if "return_to" not in fields:
            advice = "This deployment has every consent confirmed: add --confirm."
        else:
            advice = f"Add {way_back.origin} to the stack's parameter ReturnToOrigins; locally: --return-to-origin."
        raise Failure(error.error, error.description, advice=advice) from None


def _of(link: Link) -> dict[str, Any]:
    return {"request_id": link.request_id, "authorize_url": link.authorize_url, "expires_at": link.expires_at}


def _send(call: Call, link: Link, *, may_open: bool) -> None:
    """Open the link. A script, and whoever has no browser, gets it in writing."""
    opened = may_open and call.out.is_drawn and not call.out.as_json and webbrowser.open(link.authorize_url)
    call.out.note("Your browser shows it. If it does not, open:" if opened else "Open within ten minutes:")
    call.out.note(f"  {link.authorize_url}")


def _waited_for(call: Call, link: Link, way_back: WayBack | None) -> dict[str, Any]:
    """Return how it ended. Raises `Failure` if nobody came."""
    with call.out.waiting("Waiting for the consent ... (Ctrl-C ends the waiting, not the link)"):
        # The link is opened within ten minutes, and who has opened it may take half an hour more.
        until = time.monotonic() + (link.expires_at - call.account.now()) + 1800
        while time.monotonic() < until:
            returned = way_back.returned(link.request_id) if way_back else None
            if returned is not None:
                return returned
            attempt = call.account.gatehouse.attempt(link.request_id)
            if attempt is not None and attempt["outcome"] not in {"unfinished", "unconfirmed"}:
                return dict(attempt)
            time.sleep(_PAUSE)
    raise Failure(
        "nobody_came",
        "Nobody has consented in time.",
        advice="Begin again.",
        code=exits.NOT_CONNECTED,
    )


def _report(call: Call, link: Link, outcome: dict[str, Any]) -> None:
    is_connected = outcome.get("outcome") == "connected"
    if not is_connected:
        failure = Failure(
            str(outcome.get("error") or outcome.get("outcome")),
            f"{link.connection_id} is not connected: {outcome.get('error') or outcome.get('outcome')}.",
            advice=f"See what the provider said: gatehouse show {link.connection_id}{call.account.options}; "
            "the page in your browser may offer to try again.",
            code=exits.NOT_CONNECTED,
        )
        failure.facts = {"connection_id": link.connection_id, "provider_error": outcome.get("provider_error")}
        raise failure
    connection = call.account.gatehouse.connection(link.connection_id)
    if call.out.answer({"connection_id": link.connection_id, "connection": connection}):
        return
    account = f", account {connection['subject']}" if connection.get("subject") else ""
    call.out.say(f"Connected: {link.connection_id}{account}", "green")
    if connection.get("scope_missing"):
        call.out.note(f"The customer has not granted: {', '.join(connection['scope_missing'])}")
    call.out.note(f"Its token: gatehouse token {link.connection_id}{call.account.options}")

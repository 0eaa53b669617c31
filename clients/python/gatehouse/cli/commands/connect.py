"""`gatehouse connect NAME`: an account is connected with the browser of whoever calls this."""

from __future__ import annotations

import time
import webbrowser
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import exits
from gatehouse.cli.catalogue import complete_provider
from gatehouse.cli.command import PORT, pairs
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.failures import Failure
from gatehouse.cli.options import LOCAL_PORT
from gatehouse.cli.way_back import WayBack
from gatehouse.cli.words import connecting
from gatehouse.errors import ConnectionNotFound, InvalidRequest

if TYPE_CHECKING:
    from gatehouse import Link
    from gatehouse.cli.command import Call

_PAUSES = (0.2, 0.4, 0.8, 1.5)
"""Seconds between two looks at whether the customer is back: at first it may be quick. The last holds from then on."""
_PORT = 8976


@cli_command("connect")
@click.argument("provider", shell_complete=complete_provider)
@click.option("--id", "connection_id", metavar="ID", help="The connection's id; else one is made.")
@click.option("--owner", metavar="OWNER", help="Whose connection it is, in your application.")
@click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="A scope to ask for (default: those of the registration)."
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=pairs,
    help="A parameter of the provider, like shop=acme.",
)
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", callback=pairs, help="A tag of yours.")
@click.option("--other-account", is_flag=True, help="The customer may choose another account than before.")
@click.option(
    "--confirm", is_flag=True, help="Confirm here, as your application would. ReturnToOrigins has to allow it."
)
@click.option(
    "--return-port", type=PORT, default=_PORT, show_default=True, help="Where --confirm waits for the browser."
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
        confirm = " --confirm" if confirms else ""
        again = connecting(provider, link.connection_id, f"{confirm}{call.account.options}")
        outcome = _waited_for(call, link, way_back, again)
    if confirms and outcome.get("confirmation"):
        confirmed = call.account.gatehouse.confirm(
            link.connection_id, outcome.pop("confirmation"), owner=fields.get("owner")
        )
        outcome = {**outcome, "outcome": "connected", "version": confirmed["version"]}
    _report(call, link, outcome, again)


def _started(call: Call, provider: str, fields: dict[str, Any], way_back: WayBack) -> Link:
    try:
        return call.account.gatehouse.start(provider, **fields)
    except InvalidRequest as error:
        if "return_to" not in error.description:
            raise
        if "return_to" not in fields:
            advice = "This deployment has every consent confirmed: add --confirm."
        elif call.account.is_local:
            advice = f"Start the stack again, with {_make_run(call, way_back)}. It begins empty."
        else:
            advice = f"Add {way_back.origin} to the stack's parameter ReturnToOrigins, and deploy it."
        raise Failure(error.error, error.description, advice=advice) from None


def _make_run(call: Call, way_back: WayBack) -> str:
    """Return the command that starts a stack on this machine which allows the way back."""
    port = f" --port {call.account.port}" if call.account.port != LOCAL_PORT else ""
    return f'make run ARGS="--return-to-origin {way_back.origin}{port}"'


def _of(link: Link) -> dict[str, Any]:
    return {"request_id": link.request_id, "authorize_url": link.authorize_url, "expires_at": link.expires_at}


def _send(call: Call, link: Link, *, may_open: bool) -> None:
    """Open the link. A script, and whoever has no browser, gets it in writing."""
    opened = may_open and call.out.is_drawn and not call.out.as_json and webbrowser.open(link.authorize_url)
    call.out.note("Your browser shows it. If it does not, open:" if opened else "Open within ten minutes:")
    call.out.note(f"  {link.authorize_url}")


def _waited_for(call: Call, link: Link, way_back: WayBack, again: str) -> dict[str, Any]:
    """Return how it ended. Raises `Failure` if nobody came."""
    with call.out.waiting("Waiting for the consent ... (Ctrl-C ends the waiting, not the link)"):
        # The link is opened within ten minutes, and who has opened it may take half an hour more.
        until = time.monotonic() + (link.expires_at - call.account.now()) + 1800
        pauses = chain(_PAUSES, repeat(_PAUSES[-1]))
        while time.monotonic() < until:
            returned = way_back.returned(link.request_id)
            if returned is not None:
                return returned
            attempt = call.account.gatehouse.attempt(link.request_id)
            if attempt is not None and attempt["outcome"] not in {"unfinished", "unconfirmed"}:
                return dict(attempt)
            way_back.wait(next(pauses))
    raise Failure(
        "nobody_came",
        "Nobody has consented in time.",
        advice=f"Begin again: {again}",
        code=exits.NOT_CONNECTED,
    )


_WHY = {
    "denied": "the customer declined",
    "failed": "the provider's answer was an error",
    "refused": "what came back could not be believed",
    "replaced": "another attempt has connected it since",
}
"""What the outcomes of an attempt mean that has connected nothing."""


def _report(call: Call, link: Link, outcome: dict[str, Any], again: str) -> None:
    if outcome.get("outcome") != "connected":
        raise _not_connected(call, link, outcome, again)
    connection = call.account.gatehouse.connection(link.connection_id)
    if call.out.answer({"connection_id": link.connection_id, "connection": connection}):
        return
    account = f", account {connection['subject']}" if connection.get("subject") else ""
    call.out.say(f"Connected: {link.connection_id}{account}", "green")
    if connection.get("scope_missing"):
        call.out.note(f"The customer has not granted: {', '.join(connection['scope_missing'])}")
    call.out.note(f"Its token: gatehouse token {link.connection_id}{call.account.options}")


def _not_connected(call: Call, link: Link, outcome: dict[str, Any], again: str) -> Failure:
    """Return the failure that an attempt ended with, and how the connection is, if there was one before."""
    if "provider_error" not in outcome:
        # A browser that came back says less than the attempt does.
        outcome |= call.account.gatehouse.attempt(link.request_id) or {}
    ended, error = str(outcome["outcome"]), outcome.get("error")
    because = _WHY.get(ended, ended) + (f" ({error})" if error else "")
    try:
        status = call.account.gatehouse.connection(link.connection_id)["status"]
    except ConnectionNotFound:
        text = f"Nothing was connected, and there is no connection {link.connection_id}: {because}."
    else:
        text = f"This attempt has connected nothing: {because}. {link.connection_id} is as it was: {status}."
    failure = Failure(str(error or ended), text, advice=f"To try again: {again}", code=exits.NOT_CONNECTED)
    failure.facts = {
        "connection_id": link.connection_id,
        "request_id": link.request_id,
        "provider_error": outcome.get("provider_error"),
    }
    return failure

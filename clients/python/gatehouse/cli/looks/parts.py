"""What the stack consists of: functions, tables, keys, queues, and the URL that browsers come to."""

from __future__ import annotations

import errno
import socket
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from gatehouse.cli.words import counted
from gatehouse.errors import GatehouseError, NotDeployed

from .finding import Finding, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatehouse.cli.account import Account

_TIMEOUT = 10
_RUNBOOK = {
    "Rescue": "Token responses wait there that could not be stored",
    "Refresh": "Refreshes in the background have failed",
    "Revoke": "Revocations have failed, so that grants may still live at the provider",
    "Unpublished": "Events were not published",
}
"""What lies in the dead letters of each queue."""


def resources(account: Account, kind: str) -> list[tuple[str, str]]:
    """Return the resources of a kind, each by its logical id and its name."""
    pages = account.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=account.stack)
    found = (each for page in pages for each in page["StackResourceSummaries"])
    return [(each["LogicalResourceId"], each["PhysicalResourceId"]) for each in found if each["ResourceType"] == kind]


def functions(account: Account) -> Iterator[Finding]:
    """Look whether a function can be called, and answers."""
    what = f"{account.stack}-connections:live answers"
    try:
        account.gatehouse.call("connections", {"limit": 1})
    except NotDeployed as error:
        yield problem("functions", what, error.description, "Deploy the stack again: sam build && sam deploy")
    except GatehouseError as error:
        logs = f"aws logs tail /aws/lambda/{account.stack}-connections --since 10m"
        yield problem("functions", what, f"{error.error}: {error.description}", f"See its log: {logs}")
    else:
        yield Finding("functions", what)


def tables(account: Account) -> Iterator[Finding]:
    """Look whether each table is there."""
    named = account.outputs.get("ConnectionsTableName")
    found = dict(resources(account, "AWS::DynamoDB::Table"))
    if named and found.get("ConnectionsTable") != named:
        # Restored from a backup: the stack uses another than its own.
        found["ConnectionsTable"] = named
    for logical_id, name in found.items():
        yield _table(account, logical_id, name)


def _table(account: Account, logical_id: str, name: str) -> Finding:
    what = f"the table {name}"
    try:
        status = account.client("dynamodb").describe_table(TableName=name)["Table"]["TableStatus"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        if logical_id == "ConnectionsTable":
            return problem(
                "tables",
                what,
                "It is gone, and every connection with it.",
                f"Restore it as {name} from its last backup: aws dynamodb list-backups --table-name {name}",
                "Then see docs/runbooks.md, Restore the table",
            )
        return problem(
            "tables",
            what,
            "It is gone. What it held is of an hour at the most.",
            "Deploy the stack under another name, or restore the table under this one: "
            f"aws dynamodb list-backups --table-name {name}",
        )
    if status != "ACTIVE":
        return problem("tables", what, f"It is {status}.", "Wait until it is ACTIVE, and look again.")
    return Finding("tables", f"{what}: {status}")


def keys(account: Account) -> Iterator[Finding]:
    """Look at the stack's own keys on this machine. In AWS, what looks at a deployment looks at them."""
    if not account.is_local:
        return
    for _, key in resources(account, "AWS::KMS::Key"):
        yield Finding("keys", f"the key {key}")


def queues(account: Account) -> Iterator[Finding]:
    """Look whether anything lies in the dead letters."""
    attributes = ["ApproximateNumberOfMessages", "QueueArn"]
    for logical_id, url in resources(account, "AWS::SQS::Queue"):
        if not logical_id.endswith("DeadLetters"):
            continue
        of = account.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=attributes)["Attributes"]
        yield _dead_letters(logical_id.removesuffix("DeadLetters"), url.rpartition("/")[2], of)


def _dead_letters(kind: str, name: str, of: dict[str, Any]) -> Finding:
    number = int(of["ApproximateNumberOfMessages"])
    what = f"the dead letters {name}"
    if not number:
        return Finding("queues", f"{what}: none")
    waiting = counted(number, "message")
    return problem(
        "queues",
        what,
        f"{_RUNBOOK.get(kind, 'Messages could not be worked off')}: {waiting}.",
        f"Mend the cause: docs/runbooks.md, {kind}DeadLettersAlarm",
        f"Then have them worked off again: aws sqs start-message-move-task --source-arn {of['QueueArn']}",
    )


def base_url(account: Account) -> Iterator[Finding]:
    """Look whether browsers come to Gatehouse by its base URL."""
    url = account.base_url
    what = f"{url} leads to Gatehouse"
    try:
        status, headers = fetched(f"{url}/authorize/doctor")
    except OSError as error:
        said = f"It cannot be reached from here: {reason(error)}"
        yield problem("base URL", what, said, *this_machine(error), *_mend_url(account))
        return
    is_ours = status in {400, 404, 410} and "default-src 'none'" in headers.get("Content-Security-Policy", "")
    if is_ours:
        yield Finding("base URL", what)
    else:
        yield problem("base URL", what, f"Something else answers there ({status}).", *_mend_url(account))


def _mend_url(account: Account) -> Iterator[str]:
    own = account.outputs.get("ApiUrl")
    if own and own != account.base_url:
        yield f"Point that name at {own} (docs/deploying.md, custom domain), or set BaseUrl to it, and deploy again"
    else:
        yield "See whether the domain and its certificate are those that BaseUrl names: docs/deploying.md"


def fetched(url: str) -> tuple[int, Any]:
    """GET a URL and return status and headers of whatever answers; redirects are not followed. Raises `OSError`."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise OSError(f"expected an https URL, and not {url!r}")
    if parts.hostname in {"localhost", "127.0.0.1"}:
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"User-Agent": "gatehouse-doctor"})  # noqa: S310 - see above
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_TIMEOUT) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers
    except HTTPException:
        raise OSError("what answers there does not speak HTTP") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_options: Any) -> None:
        """Follow nothing: what redirects was reached."""


_OF_THE_NETWORK = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}


def this_machine(error: Exception) -> Iterator[str]:
    """Give what to look at before anything else, if it may be this machine that reaches nobody."""
    cause = _cause(error)
    is_lost = isinstance(cause, socket.gaierror | TimeoutError) or getattr(cause, "errno", None) in _OF_THE_NETWORK
    if is_lost or "Tunnel connection failed" in str(cause):
        yield "See whether this machine reaches the internet (network, proxy, VPN). If it does:"


def _cause(error: Exception) -> object:
    return error.reason if isinstance(error, urllib.error.URLError) else error


def reason(error: OSError) -> str:
    """Return why a URL could not be reached, in words."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLError):
        return f"no secure connection ({cause.reason or cause})"
    return str(getattr(cause, "strerror", None) or cause)

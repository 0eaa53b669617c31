"""A Lambda function that mails a customer whose connection has to be made again. A rule of EventBridge calls it."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

APPLICATION = os.environ.get("APPLICATION_URL", "https://app.example.com")
SENDER = os.environ.get("MAIL_FROM", "")
"""Who the mail is from. Empty: it is written to the log, for a try without SES."""

_KEPT = 30 * 86400
_SUBJECT = "Please connect {provider} again"
_TEXT = """\
Hello,

{reason} Until you connect it again, we cannot read your orders.

    {link}

It takes a minute. You will be asked to sign in with us, and then at {provider}.
"""
_REASONS = {
    "connection.reauthorization_required": "your connection with {provider} has ended.",
    "connection.expiring": "your connection with {provider} ends on {ends_on}.",
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """Mail the customer once for each event, however often it comes."""
    detail = event["detail"]
    address = address_of(detail["start"].get("owner"))
    if address is None:
        return {"mail": "no address"}
    if not _is_first(detail):
        return {"mail": "sent before"}
    _send(address, event["detail-type"], detail)
    return {"mail": "sent"}


def address_of(owner: str | None) -> str | None:
    """Return where a customer gets mail. Your application looks that up among its users; here a variable has it."""
    addresses: dict[str, str] = json.loads(os.environ.get("ADDRESSES", "{}"))
    return addresses.get(owner or "")


def _is_first(detail: Mapping[str, Any]) -> bool:
    """Return whether this is the first delivery of an event: events may come twice, and have the same id then."""
    try:
        boto3.client("dynamodb").put_item(
            TableName=os.environ["MAILED_TABLE"],
            Item={"id": {"S": detail["id"]}, "ttl": {"N": str(int(time.time()) + _KEPT)}},
            ConditionExpression="attribute_not_exists(id)",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return False
        raise
    return True


def _send(address: str, detail_type: str, detail: Mapping[str, Any]) -> None:
    """Send the mail. Its link leads into the application, where the customer signs in: a link of `start` ends soon."""
    provider, link = detail["provider"], f"{APPLICATION}/reconnect/{detail['connection_id']}"
    ends_on = time.strftime("%d %B", time.gmtime(detail["ends_at"] or 0))
    reason = _REASONS[detail_type].format(provider=provider, ends_on=ends_on)
    subject = _SUBJECT.format(provider=provider)
    text = _TEXT.format(reason=reason, link=link, provider=provider)
    if not SENDER:
        print(json.dumps({"mail_to": address, "subject": subject, "text": text}), flush=True)  # noqa: T201 - the log
        return
    boto3.client("sesv2").send_email(
        FromEmailAddress=SENDER,
        Destination={"ToAddresses": [address]},
        Content={"Simple": {"Subject": {"Data": subject}, "Body": {"Text": {"Data": text}}}},
    )

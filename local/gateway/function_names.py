"""What a caller of Lambda may call a function: its name, a partial or a whole ARN, and behind it a version or an alias.

Lambda's own error types and messages, where a name leads nowhere: somebody may look for them.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from local.base.environment import CALLER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.aws.cloudformation import Function

_NAME = re.compile(
    r"(?:(?:arn:(?P<partition>[a-z-]+):lambda:(?P<region>[a-z0-9-]+):)?(?P<account>\d{12}):function:|function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>[A-Za-z0-9$_-]+))?"
)


class NameRefused(Exception):
    """No function is called so; ``kind`` is the error's type, and the text its message."""

    def __init__(self, status: HTTPStatus, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


def resolve(called: str, qualifier: str, functions: Mapping[str, Function]) -> str:
    """Return the plain name of the function that is called, with the qualifier behind it: ``gatehouse-token:live``.

    ``qualifier`` is what stands beside the name in the request, or empty. Raises ``NameRefused``.
    """
    found = _NAME.fullmatch(called)
    if found is None:
        raise _not_found(f"Function not found: {called}")
    _, partition, _, region, account, *_ = next(iter(functions.values())).arn.split(":")
    if found["region"] not in {None, region}:
        raise _not_found(f"Functions from '{found['region']}' are not reachable in this region ('{region}')")
    if found["qualifier"] and qualifier and found["qualifier"] != qualifier:
        raise NameRefused(
            HTTPStatus.BAD_REQUEST,
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        )
    name = ":".join(filter(None, (found["name"], found["qualifier"] or qualifier)))
    arn = f"arn:{found['partition'] or partition}:lambda:{region}:{found['account'] or account}:function:{name}"
    if found["account"] not in {None, account}:
        raise _foreign(arn, account)
    if found["partition"] not in {None, partition} or not _exists(name, functions):
        raise _not_found(f"Function not found: {arn}")
    return name


def _exists(name: str, functions: Mapping[str, Function]) -> bool:
    plain, _, qualifier = name.partition(":")
    return plain in functions and functions[plain].version(qualifier or None) is not None


def _not_found(message: str) -> NameRefused:
    return NameRefused(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", message)


def _foreign(arn: str, account: str) -> NameRefused:
    """Lambda does not reveal whether another account has a function, unless that account lets the caller invoke it."""
    return NameRefused(
        HTTPStatus.FORBIDDEN,
        "AccessDeniedException",
        f"User: arn:aws:iam::{account}:user/{CALLER} is not authorized to perform: lambda:InvokeFunction on resource: "
        f"{arn} because no resource-based policy allows the lambda:InvokeFunction action",
    )

"""Runs MiniStack with four things put right that AWS does and it does not; the Python of its environment runs this.

- An HTTP API hands the cookies of a request to a function in a list (payload format 2.0): without it, nobody could
  finish what they began in their browser.
- A function finds in its context the alias by which the HTTP API called it: without it, it takes no call of the API.
- `aws:PrincipalArn` of a role's session is the role: without it, the policy of the key denies every function.
- KMS passes IAM the encryption context of a request: without it, no role of ours may use the key.

Each can go when MiniStack has it. It ends when its standard input does: then whoever started it is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from ministack.app import main
from ministack.core import iam_actions, iam_evaluator
from ministack.services import lambda_svc

if TYPE_CHECKING:
    from collections.abc import Callable


def with_cookies(event: Any) -> Any:
    """Return an event with its cookies where an HTTP API has them."""
    if not isinstance(event, dict) or event.get("version") != "2.0" or "cookies" in event:
        return event
    headers = {name: value for name, value in event.get("headers", {}).items() if name.lower() != "cookie"}
    cookies = [value for name, value in event.get("headers", {}).items() if name.lower() == "cookie"]
    found = [cookie.strip() for value in cookies for cookie in value.split(";")]
    return {**event, "headers": headers, "cookies": found} if found else event


def by_alias(record: Any, event: Any) -> Any:
    """Return what is executed as the HTTP API calls it: the routes of this stack lead to the alias `http`."""
    if not isinstance(event, dict) or event.get("version") != "2.0" or "requestContext" not in event:
        return record
    config = record["config"]
    return {**record, "config": {**config, "FunctionArn": ":".join([*config["FunctionArn"].split(":")[:7], "http"])}}


def encryption_context(service: str, body: bytes) -> dict[str, str]:
    """Return the condition keys `kms:EncryptionContext:NAME` of a request to KMS."""
    if service != "kms":
        return {}
    try:
        context = json.loads(body).get("EncryptionContext", {})
    except (ValueError, AttributeError):
        return {}
    return {f"kms:EncryptionContext:{name}": value for name, value in context.items()}


def role_of(arn: Any) -> Any:
    """Return the ARN of the role whose session an ARN is; any other as it is."""
    match str(arn).split(":"):
        case ["arn", partition, "sts", "", account, resource] if resource.startswith("assumed-role/"):
            return f"arn:{partition}:iam::{account}:role/{resource.split('/')[1]}"
    return arn


def _put_principals_right(resolve: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def resolving(key: str, context: Any) -> Any:
        value = resolve(key, context)
        return role_of(value) if key.lower() == "aws:principalarn" else value

    return resolving


def _put_calls_of_the_api_right(execute: Callable[..., Any]) -> Callable[..., Any]:
    def executing(record: Any, event: Any, *others: Any, **named: Any) -> Any:
        return execute(by_alias(record, event), with_cookies(event), *others, **named)

    return executing


def _put_conditions_right(context_of: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def found(service: str, action: str, body: bytes, parameters: Any) -> dict[str, Any]:
        return {**context_of(service, action, body, parameters), **encryption_context(service, body)}

    return found


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    # All of them are looked up with each request.
    lambda_svc._execute_function_with_config_scope = _put_calls_of_the_api_right(  # noqa: SLF001 -- there is no other way in
        lambda_svc._execute_function_with_config_scope  # noqa: SLF001 -- as above
    )
    iam_evaluator._resolve_condition_key = _put_principals_right(  # noqa: SLF001 -- as above
        iam_evaluator._resolve_condition_key  # noqa: SLF001 -- as above
    )
    iam_actions.request_tag_context = _put_conditions_right(iam_actions.request_tag_context)
    sys.exit(main())

"""Runs MiniStack with one thing put right: the Python of its own environment is what runs this.

An HTTP API hands the cookies of a request to a function in a list (payload format 2.0). MiniStack leaves them
in the headers. Nobody could finish what they began in their browser. This can go when MiniStack has the list.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ministack.app import main
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


def put_right(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Return what executes a function, with the cookies in place."""

    def executing(record: Any, event: Any, *others: Any, **named: Any) -> Any:
        return execute(record, with_cookies(event), *others, **named)

    return executing


if __name__ == "__main__":
    # Looked up with each request of an HTTP API.
    lambda_svc._execute_function_with_config_scope = put_right(  # noqa: SLF001 -- nothing else is there to be set
        lambda_svc._execute_function_with_config_scope  # noqa: SLF001 -- as above
    )
    sys.exit(main())

"""The demo's UltraCart without its limit of one request at a time: for tests, and measurements, of everything else.

What that limit does is in tests/flows/test_slots.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from local.stack import Stack


def lift_the_limit(stack: Stack) -> None:
    """Change the registration of the demo's UltraCart, so that it takes any number of requests at a time."""
    limit(stack, 0)


def limit(stack: Stack, at_once: int) -> None:
    """Change the registration so that it takes this many requests at a time. Functions see that within minutes."""
    stack.registrations["ultracart"] = stack.registrations["ultracart"] | {"max_concurrency": at_once}
    secret = json.dumps(stack.registrations["ultracart"])
    boto3.client("secretsmanager").put_secret_value(SecretId="gatehouse/providers/ultracart", SecretString=secret)
    stack.aws_calls.clear()

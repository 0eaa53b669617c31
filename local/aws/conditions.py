"""Where moto's CloudFormation does not pass over a resource that its condition keeps out of a stack.

It lists nothing in its place, and then fails to describe that: of any resource of the stack. To go when moto leaves
such resources out.
"""

from __future__ import annotations

from typing import Any


def mend() -> None:
    """Have moto list the resources that there are; twice does no more than once."""
    from moto.cloudformation.models import Stack  # noqa: PLC0415 - with moto, half of a start

    def stack_resources(stack: Any) -> list[Any]:
        return [each for each in stack.resource_map.values() if each is not None]

    Stack.stack_resources = property(stack_resources)  # type: ignore[method-assign,assignment]

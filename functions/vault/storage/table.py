"""One DynamoDB table: its key, the calls that all tables make, and what a failed condition means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from . import attributes
from .aws import ClientError, code_of, outages_are_temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .aws import ClientOf
    from .expression import Expression


class Conflict(Exception):
    """The item is no longer as it was read: someone else wrote first. Read it again and decide again.

    `found` has the attributes that failed the condition, if the call asked DynamoDB for them.
    """

    def __init__(self, found: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.found = found or {}


class Table:
    """Base of the tables. `KEY` names the attribute that is the partition key; there are no sort keys."""

    KEY: ClassVar[str]

    def __init__(self, client_of: ClientOf, name: str, on_date: Callable[[str | None], None] | None = None) -> None:
        """`on_date` receives the `Date` header of each answer: the clock that all functions share."""
        self._client_of = client_of
        self._name = name
        self._on_date = on_date

    def _read(self, key: str) -> Mapping[str, Any] | None:
        """Return the attributes of an item as they are now (a consistent read), or None."""
        item: Mapping[str, Any] | None = self._call("get_item", Key=self._key(key), ConsistentRead=True).get("Item")
        return item or None

    def _update(
        self, key: str, update: str, conditions: Sequence[str], expression: Expression, **arguments: Any
    ) -> Any:
        """Update an item if all conditions hold, else raise `Conflict`. Return DynamoDB's answer."""
        return self._call(
            "update_item",
            Key=self._key(key),
            UpdateExpression=update,
            **({"ConditionExpression": " AND ".join(conditions)} if conditions else {}),
            **expression.arguments(),
            **arguments,
        )

    def _key(self, key: str) -> dict[str, Any]:
        return {self.KEY: attributes.write(key)}

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            with outages_are_temporary("DynamoDB"):
                answer = getattr(self._client_of("dynamodb"), operation)(TableName=self._name, **arguments)
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                response: Any = error.response
                raise Conflict(response.get("Item")) from None
            raise
        if self._on_date is not None:
            self._on_date(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))
        return answer

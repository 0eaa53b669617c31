"""What all tables have in common: consistent reads, and how errors of DynamoDB are reported."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.vault.base.errors import (
    TemporarilyUnavailable,
)
from functions.vault.storage.authorizations import Authorizations
from functions.vault.storage.connections import Connections


class _Failing:
    """A DynamoDB that answers every call with one error."""

    def __init__(self, code: str, status: int) -> None:
        answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        self._error = ClientError(answer, "GetItem")

    def get_item(self, **_arguments: Any) -> Any:
        """Fail."""
        raise self._error


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("InternalServerError", 500),
        ("New", 503),
    ],
)
def test_an_outage_of_dynamodb_is_temporary(code: str, status: int) -> None:
    """The caller may try again."""
    with pytest.raises(TemporarilyUnavailable, match="DynamoDB") as caught:
        Connections(lambda _service: _Failing(code, status), "connections").get("merchant-1")

    assert caught.value.retry_after == 1


def test_any_other_error_of_dynamodb_is_a_defect() -> None:
    """A missing table or permission does not go away by waiting."""
    with pytest.raises(ClientError):
        Connections(lambda _service: _Failing("ResourceNotFoundException", 400), "connections").get("merchant-1")


class _Recording:
    """A DynamoDB without items that records how it is read."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        """Find nothing."""
        self.asked.append(arguments)
        return {}


def test_every_read_of_a_record_is_consistent() -> None:
    """No decision is based on an old record. Emulators cannot show that, so this looks at the request."""
    dynamodb = _Recording()

    Connections(lambda _service: dynamodb, "connections").get("merchant-1")
    Authorizations(lambda _service: dynamodb, "authorizations").get("r" * 22)

    assert [asked["ConsistentRead"] for asked in dynamodb.asked] == [True, True]

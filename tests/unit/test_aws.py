"""What went wrong at AWS: an outage that passes, or a defect that stays."""

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from functions.vault.aws import clients, code_of, outages_are_temporary
from functions.vault.errors import TemporarilyUnavailable
from local.environment import isolation


def said(code: str, status: int) -> ClientError:
    """Return an error that AWS answered with."""
    answer: Any = {"Error": {"Code": code, "Message": "hunter2"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetItem")


@pytest.mark.parametrize(
    "error",
    [
        said("ThrottlingException", 400),
        said("ProvisionedThroughputExceededException", 400),
        said("RequestLimitExceeded", 400),
        said("LimitExceededException", 400),
        said("KMSInternalException", 500),
        said("Whatever", 500),
        said("Whatever", 503),
        EndpointConnectionError(endpoint_url="https://kms.example"),
        ConnectTimeoutError(endpoint_url="https://kms.example"),
        ReadTimeoutError(endpoint_url="https://kms.example"),
    ],
    ids=repr,
)
def test_what_passes_is_temporary(error: Exception) -> None:
    """The caller is told to try again, and none of AWS's words."""
    with pytest.raises(TemporarilyUnavailable) as caught, outages_are_temporary("KMS"):
        raise error

    assert caught.value.retry_after == 1
    assert "hunter2" not in str(caught.value.as_result())
    assert "kms.example" not in str(caught.value.as_result())


@pytest.mark.parametrize(
    "error",
    [
        said("AccessDeniedException", 400),
        said("ResourceNotFoundException", 400),
        said("ValidationException", 400),
        said("ConditionalCheckFailedException", 400),
        NoCredentialsError(),
        ParamValidationError(report="x"),
        KeyError("x"),
    ],
    ids=repr,
)
def test_what_stays_is_not_hidden(error: Exception) -> None:
    """A missing right, table or parameter is a defect that waiting does not help against."""
    with pytest.raises(type(error)) as caught, outages_are_temporary("KMS"):
        raise error

    assert caught.value is error


def test_an_error_has_its_code() -> None:
    """Empty where AWS gave none."""
    assert code_of(said("ThrottlingException", 400)) == "ThrottlingException"
    assert code_of(ClientError({}, "GetItem")) == ""


def test_each_service_has_one_client_with_short_timeouts() -> None:
    """Made when it is first asked for; a call that hangs leaves time to try again."""
    with isolation({}):
        client_of = clients()
        kms = client_of("kms")

        assert client_of("kms") is kms
        assert client_of("dynamodb") is not kms
    config = kms.meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    assert config.retries["total_max_attempts"] == 2

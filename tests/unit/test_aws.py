"""Errors of AWS: an outage is temporary, anything else is a defect. And what botocore is reduced to."""

from typing import Any, cast

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.storage.aws import SERVICES, clients, code_of, outages_are_temporary, session_of
from local.base.environment import isolation
from tools.trim import OPERATIONS


def aws_error(code: str, status: int) -> ClientError:
    """Return an error that AWS answers with."""
    answer: Any = {"Error": {"Code": code, "Message": "hunter2"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetItem")


@pytest.mark.parametrize(
    "error",
    [
        aws_error("ThrottlingException", 400),
        aws_error("ProvisionedThroughputExceededException", 400),
        aws_error("RequestLimitExceeded", 400),
        aws_error("LimitExceededException", 400),
        aws_error("KMSInternalException", 500),
        aws_error("Whatever", 500),
        aws_error("Whatever", 503),
        EndpointConnectionError(endpoint_url="https://kms.example"),
        ConnectTimeoutError(endpoint_url="https://kms.example"),
        ReadTimeoutError(endpoint_url="https://kms.example"),
    ],
    ids=repr,
)
def test_an_outage_is_temporary(error: Exception) -> None:
    """The caller is asked to try again, and gets none of AWS's words."""
    with pytest.raises(TemporarilyUnavailable) as caught, outages_are_temporary("KMS"):
        raise error

    assert caught.value.retry_after == 1
    assert "hunter2" not in str(caught.value.as_result())
    assert "kms.example" not in str(caught.value.as_result())


@pytest.mark.parametrize(
    "error",
    [
        aws_error("AccessDeniedException", 400),
        aws_error("ResourceNotFoundException", 400),
        aws_error("ValidationException", 400),
        aws_error("ConditionalCheckFailedException", 400),
        NoCredentialsError(),
        ParamValidationError(report="x"),
        KeyError("x"),
    ],
    ids=repr,
)
def test_any_other_error_is_a_defect(error: Exception) -> None:
    """A missing permission, table or parameter does not go away by waiting."""
    with pytest.raises(type(error)) as caught, outages_are_temporary("KMS"):
        raise error

    assert caught.value is error


def test_an_error_has_its_code() -> None:
    """It is empty if AWS sent none."""
    assert code_of(aws_error("ThrottlingException", 400)) == "ThrottlingException"
    assert code_of(ClientError({}, "GetItem")) == ""


def test_each_service_has_one_client_with_short_timeouts() -> None:
    """It is made when it is first used. A call that hangs leaves time for another try."""
    with isolation({}):
        client_of = clients()
        kms = client_of("kms")

        assert client_of("kms") is kms
        assert client_of("dynamodb") is not kms
    config = kms.meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    assert config.retries["total_max_attempts"] == 2


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "get_item", {"TableName": "t", "Key": {"k": {"S": "v"}}}),
    ("dynamodb", "put_item", {"TableName": "t", "Item": {"k": {"S": "v"}}}),
    ("dynamodb", "update_item", {"TableName": "t", "Key": {"k": {"S": "v"}}}),
    ("dynamodb", "query", {"TableName": "t", "IndexName": "due"}),
    ("dynamodb", "scan", {"TableName": "t"}),
    ("events", "put_events", {"Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}"}]}),
    ("kms", "decrypt", {"CiphertextBlob": b"b", "KeyId": "k", "EncryptionContext": {"a": "b"}}),
    ("kms", "generate_data_key", {"KeyId": "k", "KeySpec": "AES_256"}),
    ("kms", "sign", {"KeyId": "k", "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}),
    ("secretsmanager", "get_secret_value", {"SecretId": "s"}),
    ("sqs", "get_queue_attributes", {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/0/q", "AttributeNames": ["All"]}),
    ("sqs", "send_message", {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/0/q", "MessageBody": "b"}),
]


def sent(session: boto3.Session, service: str, operation: str, arguments: dict[str, Any], answer: bytes) -> Any:
    """Return what a session sends for a call, without what changes with time, and how it reads an answer."""
    seen: list[Any] = []

    def stop(request: Any, **_more: Any) -> Any:
        changing = {"x-amz-date", "authorization", "amz-sdk-invocation-id"}
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        seen.extend([request.method, request.url, request.body])
        seen.append({name: value for name, value in headers.items() if name not in changing})
        seen.append(headers["authorization"].partition("Signature=")[0])
        return AWSResponse(request.url, 200, HTTPHeaders(), cast("Any", Raw(answer)))

    with isolation({}):
        client: Any = cast("Any", session).client(service, config=Config(retries={"total_max_attempts": 1}))
        client.meta.events.register("before-send", stop)
        seen.append(getattr(client, operation)(**arguments))
    return seen


class Raw:
    """A body, as urllib3 returns it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_options: Any) -> list[bytes]:
        """Return it in one piece."""
        return [self._content]


@pytest.mark.parametrize(("service", "operation", "arguments"), CALLS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("answer", [b"{}", b'{"MessageId": "m", "Plaintext": "AA==", "SecretString": "s"}'])
def test_the_handlers_that_are_left_out_make_no_difference(
    service: str, operation: str, arguments: dict[str, Any], answer: bytes
) -> None:
    """A call is sent, signed and read the same with the remaining handlers as with all of them."""
    ours = boto3.Session(botocore_session=session_of(SERVICES))

    assert sent(ours, service, operation, arguments, answer) == sent(
        boto3.Session(), service, operation, arguments, answer
    )


def test_every_service_of_the_build_has_its_handlers() -> None:
    """The services are the same as those of the build. Botocore spells one of them in two ways."""
    assert {name.replace("-", "") for name in SERVICES} == set(OPERATIONS)

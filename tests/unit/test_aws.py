"""What went wrong at AWS: an outage that passes, or a defect that stays."""

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
    """The caller is asked to try again, and gets none of AWS's words."""
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


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "get_item", {"TableName": "t", "Key": {"k": {"S": "v"}}}),
    ("dynamodb", "put_item", {"TableName": "t", "Item": {"k": {"S": "v"}}}),
    ("dynamodb", "update_item", {"TableName": "t", "Key": {"k": {"S": "v"}}}),
    ("dynamodb", "query", {"TableName": "t", "IndexName": "due"}),
    ("dynamodb", "scan", {"TableName": "t"}),
    ("kms", "decrypt", {"CiphertextBlob": b"b", "KeyId": "k", "EncryptionContext": {"a": "b"}}),
    ("kms", "generate_data_key", {"KeyId": "k", "KeySpec": "AES_256"}),
    ("kms", "sign", {"KeyId": "k", "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}),
    ("secretsmanager", "get_secret_value", {"SecretId": "s"}),
    ("sqs", "get_queue_attributes", {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/0/q", "AttributeNames": ["All"]}),
    ("sqs", "send_message", {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/0/q", "MessageBody": "b"}),
]


def sent(session: boto3.Session, service: str, operation: str, arguments: dict[str, Any], answer: bytes) -> Any:
    """Return what a session sends for a call (but for what changes with time), and what it makes of an answer."""
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
    """A body, as urllib3 gives it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_options: Any) -> list[bytes]:
        """Return it in one piece."""
        return [self._content]


@pytest.mark.parametrize(("service", "operation", "arguments"), CALLS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("answer", [b"{}", b'{"MessageId": "m", "Plaintext": "AA==", "SecretString": "s"}'])
def test_what_is_left_out_of_botocore_is_for_others(
    service: str, operation: str, arguments: dict[str, Any], answer: bytes
) -> None:
    """A call is sent, signed and read with the handlers that are kept as with all of them."""
    ours = boto3.Session(botocore_session=session_of(SERVICES))

    assert sent(ours, service, operation, arguments, answer) == sent(
        boto3.Session(), service, operation, arguments, answer
    )


def test_every_service_that_is_built_in_has_its_handlers() -> None:
    """The services of the build and those whose handlers are kept are the same; botocore spells one in two ways."""
    assert {name.replace("-", "") for name in SERVICES} == set(OPERATIONS)

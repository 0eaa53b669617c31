"""What was cut from boto3 and botocore was not needed: requests leave as from the whole of them, in every region."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.loaders import Loader

from tests.breadth import EVERY_ONE
from tests.built import LAMBDA_ENVIRONMENT
from tests.requirements import ROOT
from tools import trim
from tools.build import package

KEY = {"k": {"S": "v"}}
CONTEXT = {"KeyId": "k", "EncryptionContext": {"purpose": "p"}}
CALLS: dict[str, dict[str, dict[str, Any]]] = {
    "dynamodb": {
        "get_item": {"TableName": "t", "Key": KEY, "ConsistentRead": True},
        "put_item": {"TableName": "t", "Item": KEY | {"m": {"M": {"n": {"N": "1"}, "s": {"SS": ["a"]}}}}},
        "update_item": {"TableName": "t", "Key": KEY, "UpdateExpression": "SET #a = :a", "ReturnValues": "ALL_NEW"},
        "query": {
            "TableName": "t",
            "IndexName": "due",
            "Limit": 1,
            "ExpressionAttributeValues": {":a": {"BOOL": True}},
        },
        "scan": {"TableName": "t", "FilterExpression": "a = b", "ExclusiveStartKey": KEY},
    },
    "events": {
        "put_events": {"Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}", "EventBusName": "b", "Time": 1}]},
    },
    "kms": {
        "decrypt": {"CiphertextBlob": "blob", **CONTEXT},
        "generate_data_key": {"KeySpec": "AES_256", **CONTEXT},
        "sign": {"KeyId": "k", "Message": "m", "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"},
    },
    "secretsmanager": {"get_secret_value": {"SecretId": "s"}},
    "sqs": {
        "send_message": {
            "QueueUrl": "https://example.com/0/q.fifo",
            "MessageBody": "b",
            "MessageGroupId": "g",
            "MessageDeduplicationId": "d",
        },
        "get_queue_attributes": {
            "QueueUrl": "https://example.com/0/q",
            "AttributeNames": ["ApproximateNumberOfMessages"],
        },
    },
}

# Makes each call in each region of each partition, and stops it where it would go out.
SENT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

session, sent = boto3.Session(), {}

def stop(request, **_):
    text = lambda value: value.decode() if isinstance(value, bytes) else value
    headers = {name.lower(): text(value) for name, value in request.headers.items()}
    scope = headers["authorization"].split("Credential=")[1].split(",")[0].split("/", 2)[2]
    seen.append([request.url, scope, headers.get("x-amz-target"), headers.get("content-type"), text(request.body)])
    return AWSResponse(request.url, 200, {}, type("Raw", (), {"stream": lambda self, **_: [b"{}"]})())

kinds = ({}, {"use_fips_endpoint": True}, {"use_dualstack_endpoint": True})
for partition in session.get_available_partitions():
    for service, operations in json.loads(sys.argv[2]).items():
        for number, region in enumerate(session.get_available_regions(service, partition, allow_non_regional=True)):
            # In the first regions of each partition all kinds and all operations, then one of each in turn.
            is_whole, calls = number < 2 or sys.argv[3:], list(operations.items())
            made = calls if is_whole else [calls[number % len(calls)]]
            for kind in kinds if is_whole else [kinds[number % 3]]:
                seen = []
                config = Config(retries={"total_max_attempts": 1}, **kind)
                try:
                    client = session.client(service, region_name=region, config=config)
                    client.meta.events.register("before-send", stop)
                    for operation, arguments in made:
                        getattr(client, operation)(**arguments)
                except Exception as error:
                    seen.append([type(error).__name__, str(error)])
                sent[f"{partition} {region} {service} {sorted(kind)}"] = seen
print(json.dumps(sent))
"""


@cache
def sent(folder: Path) -> dict[str, Any]:
    """Return what the boto3 of a folder would send, by partition, region, service and kind of endpoint."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-B",
        "-c",
        SENT,
        str(folder),
        json.dumps(CALLS),
        *(["every"] if EVERY_ONE else []),
    ]
    environment = {name: value for name, value in LAMBDA_ENVIRONMENT.items() if name != "AWS_ENDPOINT_URL"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    calls: dict[str, Any] = json.loads(done.stdout)
    return calls


def whole() -> Path:
    """Return the folder in which the whole of boto3 is installed: this environment's."""
    spec = importlib.util.find_spec("boto3")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.parent


def test_every_operation_has_its_call() -> None:
    """The table above speaks of all that is kept."""
    operations = {name: {xform_name(each) for each in kept} for name, kept in trim.OPERATIONS.items()}

    assert {name: set(calls) for name, calls in CALLS.items()} == operations


def test_every_operation_that_the_code_calls_is_kept() -> None:
    """A call that only a rare path makes would else be missed where it is deployed, and nowhere before."""
    code = "".join(path.read_text("utf-8") for path in (ROOT / "functions" / "vault").rglob("*.py"))
    called = {(service, name) for service, name in re.findall(r'client_of\("(\w+)"\)\.(\w+)\(', code)}
    called |= {("dynamodb", name) for name in re.findall(r'_call\(\s*"(\w+)"', code)}
    called |= {("dynamodb", "scan"), ("dynamodb", "query")}  # by a name that is decided at run time

    kept = {(service, xform_name(name)) for service, names in trim.OPERATIONS.items() for name in names}

    assert called == kept


@pytest.mark.parametrize("service", trim.OPERATIONS)
def test_errors_are_read_as_before(service: str) -> None:
    """The errors that an operation can answer with are described as in the whole of botocore."""
    before = Loader().load_service_model(service, "service-2")
    after = Loader([str(package(for_lambda=False) / "botocore" / "data")], include_default_search_paths=False)

    kept = after.load_service_model(service, "service-2")

    for name, operation in kept["operations"].items():
        errors = [error["shape"] for error in operation.get("errors", [])]
        assert errors == [error["shape"] for error in before["operations"][name].get("errors", [])]
        assert set(errors) <= set(kept["shapes"])
    assert kept["metadata"] == before["metadata"]


@pytest.mark.parametrize("service", trim.OPERATIONS)
def test_no_endpoint_is_found_by_an_expression(service: str) -> None:
    """The build leaves hollow what evaluates expressions: for the operations in use, botocore does not need it."""
    described = Loader().load_service_model(service, "service-2")["operations"]

    assert [name for name in trim.OPERATIONS[service] if "operationContextParams" in described[name]] == []


@pytest.mark.parametrize("service", trim.OPERATIONS)
def test_calls_go_where_they_went(service: str) -> None:
    """In all partitions and regions, ordinary, FIPS and dual stack: address, scope of the signature, form and body.

    Most regions have one of the three here, for one of the operations, and each has everything in `make fuzz`.
    """
    here = {where: calls for where, calls in sent(whole()).items() if f" {service} " in where}
    built = {where: calls for where, calls in sent(package(for_lambda=False)).items() if f" {service} " in where}

    assert built == here
    assert {where.split()[0] for where in built} >= {"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b"}
    ordinary = {where.split()[1]: calls[0][0] for where, calls in built.items() if where.endswith("[]")}
    # Where "local" is a region, it is DynamoDB's own emulator.
    assert [region for region, url in ordinary.items() if not url.startswith("https://")] in ([], ["local"])


def test_no_other_service_is_left() -> None:
    """And of those that are, one version each, without what only documentation and waiting would read."""
    data = package(for_lambda=False) / "botocore" / "data"

    services = {path.name: [version.name for version in path.iterdir()] for path in data.iterdir() if path.is_dir()}

    assert set(services) == set(trim.OPERATIONS)
    assert all(len(versions) == 1 for versions in services.values())
    assert {file.name for file in data.glob("*/*/*")} == {f"{name}.json" for name in trim.DESCRIPTIONS}
    assert '"documentation":"' not in (data / "kms" / "2014-11-01" / "service-2.json").read_text("utf-8")

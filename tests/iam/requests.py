"""What the functions ask of AWS, as IAM judges it: an action on a resource, in a context."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws.account import LAMBDA_SERVICE
from tests.iam.account import ACCOUNT, REGION, Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from local.aws.call import FunctionCall
    from local.stack import Stack

Context = tuple[tuple[str, str | tuple[str, ...]], ...]

_ASKED_FOR = ("AWS::DynamoDB::Table", "AWS::SQS::Queue")
EVERYTHING_ALLOWED = {"PushedRequests": "true"}
"""Parameters with which the stack on one machine runs, and the roles have all rights that they may have."""

_PURPOSE = "purpose"
_CLIENT_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"


class Request(NamedTuple):
    """A request, without what differs from call to call. ``handler`` is that of the function that makes it."""

    handler: str
    action: str
    resource: str
    context: Context = ()


class Recording:
    """The requests that functions of any stack have made, each once, on the resources of one made-up account."""

    def __init__(self) -> None:
        self.requests: set[Request] = set()

    @cached_property
    def account(self) -> Account:
        """The account. Most runs of a few tests need none, and it takes half a second to translate the template."""
        return Account(EVERYTHING_ALLOWED)

    def watch(self, stack: Stack) -> Callable[[FunctionCall], None]:
        """Return what notes the calls of a stack's functions."""
        translate = _Translation(self.account, stack)

        def note(made: FunctionCall) -> None:
            self.requests.update(translate.requests(made))

        return note

    def written(self) -> str:
        """Return the requests as text, for another process."""
        return json.dumps(list(self.requests))

    def read(self, text: str) -> None:
        """Take over what another process has written."""
        for handler, action, resource, context in json.loads(text):
            pairs = ((name, value if isinstance(value, str) else tuple(value)) for name, value in context)
            self.requests.add(Request(handler, action, resource, tuple(pairs)))


class _Translation:
    """Makes requests of the calls of one stack. Its physical names become those of the made-up account."""

    def __init__(self, account: Account, stack: Stack) -> None:
        self._account = account
        # A queue's physical id is its URL. A function may have the name of a queue.
        physical = stack.deployment.physical
        declared = (logical for logical, _ in account.declared(*_ASKED_FOR) if logical in physical)
        self._logical = {physical[logical].rpartition("/")[2]: logical for logical in declared}
        self._arns: dict[str, str] = {}
        # Not as a function or a test: nobody is to see these calls.
        self._kms = boto3.client("kms", config=Config(user_agent_extra=LAMBDA_SERVICE))

    def requests(self, made: FunctionCall) -> Iterator[Request]:
        """Yield what a call asks for. There is nothing to allow about a client's key that does not exist."""
        (service, operation), parameters = made.call, made.parameters
        action = f"{service}:{operation}"
        match service:
            case "dynamodb":
                resource = self._table(parameters["TableName"], parameters.get("IndexName"))
                yield Request(made.handler, action, resource)
            case "sqs":
                queue = self._logical[parameters["QueueUrl"].rpartition("/")[2]]
                yield Request(made.handler, action, self._arn(queue))
            case "events":
                for bus in {entry["EventBusName"] for entry in parameters["Entries"]}:
                    yield Request(made.handler, action, f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}")
            case "secretsmanager":
                yield Request(made.handler, action, _secret(parameters["SecretId"]))
            case "kms" if operation == "Sign":
                yield from self._signing(made.handler, action, parameters["KeyId"])
            case "kms":
                # Tests make further keys of the tokens. The roles have the same rights on each.
                context = _encryption(parameters.get("EncryptionContext", {}))
                yield Request(made.handler, action, self._arn("TokensKey"), context)
            case _:
                raise NotImplementedError(action)

    def _table(self, name: str, index: str | None) -> str:
        """Return the ARN of a table, or of an index. Tests make further tables of connections, as a parameter can."""
        return self._arn(self._logical.get(name, "ConnectionsTable")) + (f"/index/{index}" if index else "")

    def _arn(self, logical_id: str) -> str:
        if logical_id not in self._arns:
            self._arns[logical_id] = self._account.arn(logical_id)
        return self._arns[logical_id]

    def _signing(self, handler: str, action: str, key: str) -> Iterator[Request]:
        """Yield a signature's request. The stack does not make clients' keys: IAM knows them by their aliases."""
        try:
            arn = self._kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
        except ClientError:
            return
        aliases = self._kms.list_aliases(KeyId=arn)["Aliases"]
        names = tuple(sorted(alias["AliasName"] for alias in aliases))
        yield Request(handler, action, _CLIENT_KEY, (("kms:ResourceAliases", names),))


def _secret(name: str) -> str:
    """Return the ARN of a secret: Secrets Manager puts six characters behind the name. Tests make up many names."""
    folder, slash, last = name.rpartition("/")
    return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{folder}{slash}{'NAME' if last else ''}-1a2B3c"


def _encryption(context: Mapping[str, str]) -> Context:
    """Return what IAM sees of an encryption context, as far as it is the same from call to call."""
    return ((f"kms:EncryptionContext:{_PURPOSE}", context[_PURPOSE]),) if _PURPOSE in context else ()


def made_by_lambda(account: Account) -> Iterable[Request]:
    """Yield what the Lambda service asks for with a function's role: it writes its log, reads queues and a stream."""
    for _, function in account.declared("AWS::Lambda::Function"):
        log = account.resolve(function["LoggingConfig"]["LogGroup"])
        stream = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{log}:log-stream:2026/11/29/[1]0123456789abcdef"
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            yield Request(function["Handler"], action, stream)
    handlers = {role.function_arn: handler for handler, role in account.roles.items()}
    for _, mapping in account.declared("AWS::Lambda::EventSourceMapping"):
        # The mapping names an alias of the function.
        function_arn = account.resolve(mapping["FunctionName"]).rpartition(":")[0]
        handler, source = handlers[function_arn], account.resolve(mapping["EventSourceArn"])
        if "StartingPosition" not in mapping:
            for action in ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"):
                yield Request(handler, action, source)
            continue
        for action in ("DescribeStream", "GetRecords", "GetShardIterator"):
            yield Request(handler, f"dynamodb:{action}", source)
        yield Request(handler, "dynamodb:ListStreams", "*")
        # What it has given up.
        given_up = account.resolve(mapping["DestinationConfig"]["OnFailure"]["Destination"])
        yield Request(handler, "sqs:SendMessage", given_up)

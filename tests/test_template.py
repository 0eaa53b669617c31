"""What `template.yaml` has to keep: least privilege, few public routes, no secret in a log, nothing lost."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import Loader
from samtranslator.yaml_helper import yaml_parse

from functions.vault.base.timing import RESCUED_WITHIN
from functions.vault.usecases.publishing import WAITS_FOR_BUS
from functions.web.handlers import Handler
from local.aws.event_patterns import matches
from tests.expressions import KEY_ID, SECOND_KEY_ID, Deployed, translated
from tests.functions import FUNCTIONS, logical_name
from tests.requirements import ROOT
from tools import build, trim

if TYPE_CHECKING:
    from collections.abc import Iterator

WITHOUT_ROUTE = {"sweep", "rescue", "reseal", "export", "events"}
SNAPSHOT = {"start", "authorize", "callback", "confirm", "token", "refresh"}
# The functions whose log can hold the last copy of a customer's tokens.
LAST_COPY = {"callback", "token", "refresh", "revoke", "import_connection"}
PUBLIC_ROUTES = {
    "GET /authorize/{ticket}": "authorize",
    "GET /callback/{provider}": "callback",
    "POST /callback/{provider}": "callback",
}
NARROWED = ("", "owners/{owner}/", "connections/{connection_id}/")
"""What stands before a function's name in its paths."""
SECRETS = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SecretPrefix}*"

# Everything that each function may do, besides writing its own log.
READ_AND_UPDATE_CONNECTIONS = {
    ("dynamodb:GetItem", "ConnectionsTable.Arn"),
    ("dynamodb:UpdateItem", "ConnectionsTable.Arn"),
}
READ_SHARED = {("dynamodb:GetItem", "SharedTable.Arn")}
SHARED = READ_SHARED | {("dynamodb:UpdateItem", "SharedTable.Arn")}
READ_REGISTRATIONS = {("secretsmanager:GetSecretValue", SECRETS)}
# Both keys: while a deployment changes which of them seals, some functions are new and others old.
SEAL = {("kms:GenerateDataKey", "TokensKey.Arn"), ("kms:GenerateDataKey", "SecondTokensKey.Arn")}
OPEN = {("kms:Decrypt", "TokensKey.Arn"), ("kms:Decrypt", "SecondTokensKey.Arn")}
NEW_CONNECTIONS = {("dynamodb:PutItem", "ConnectionsTable.Arn")}
CLIENT_KEYS = "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*"
SIGN = {("kms:Sign", CLIENT_KEYS)}
HAND_TO_RESCUE = {("sqs:SendMessage", "RescueQueue.Arn")}
ASK_THE_RESCUE = {("sqs:GetQueueAttributes", "RescueQueue.Arn")}


def polls(queue: str) -> set[tuple[str, str]]:
    """Return the rights that Lambda needs to read a queue for a function."""
    return {(f"sqs:{action}", f"{queue}.Arn") for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")}


RIGHTS = {
    "start": {
        ("dynamodb:GetItem", "ConnectionsTable.Arn"),
        ("dynamodb:PutItem", "AuthorizationsTable.Arn"),
        *READ_REGISTRATIONS,
    },
    # It faces the internet: no registration, no client key, nothing to write.
    "authorize": {("dynamodb:GetItem", "AuthorizationsTable.Arn")},
    "callback": {
        ("dynamodb:GetItem", "AuthorizationsTable.Arn"),
        ("dynamodb:UpdateItem", "AuthorizationsTable.Arn"),
        *READ_AND_UPDATE_CONNECTIONS,
        *NEW_CONNECTIONS,
        *SHARED,
        *READ_REGISTRATIONS,
        *SEAL,
        *SIGN,
        *HAND_TO_RESCUE,
    },
    "confirm": READ_AND_UPDATE_CONNECTIONS | SEAL | OPEN,
    "token": {
        *READ_AND_UPDATE_CONNECTIONS,
        *SHARED,
        *READ_REGISTRATIONS,
        *SEAL,
        *OPEN,
        *SIGN,
        *HAND_TO_RESCUE,
        *ASK_THE_RESCUE,
    },
    "refresh": {
        *READ_AND_UPDATE_CONNECTIONS,
        *SHARED,
        *READ_REGISTRATIONS,
        *SEAL,
        *OPEN,
        *SIGN,
        *HAND_TO_RESCUE,
        *ASK_THE_RESCUE,
        *polls("RefreshQueue"),
    },
    "revoke": {
        *READ_AND_UPDATE_CONNECTIONS,
        *SHARED,
        *READ_REGISTRATIONS,
        *SEAL,
        *OPEN,
        *SIGN,
        *HAND_TO_RESCUE,
        *ASK_THE_RESCUE,
        *polls("RevokeQueue"),
    },
    # It seals what it is given, and opens nothing. Nor does it look for answers in the queue: its attempt is the first.
    "import_connection": {
        *READ_AND_UPDATE_CONNECTIONS,
        *NEW_CONNECTIONS,
        *SHARED,
        *READ_REGISTRATIONS,
        *SEAL,
        *SIGN,
        *HAND_TO_RESCUE,
    },
    "connections": {
        ("dynamodb:GetItem", "AuthorizationsTable.Arn"),
        ("dynamodb:GetItem", "ConnectionsTable.Arn"),
        ("dynamodb:Scan", "ConnectionsTable.Arn"),
        ("dynamodb:Query", "${ConnectionsTable.Arn}/index/listed"),
        *READ_SHARED,
    },
    "sweep": {
        ("dynamodb:Query", "${ConnectionsTable.Arn}/index/due"),
        ("dynamodb:GetItem", "ConnectionsTable.Arn"),
        ("dynamodb:UpdateItem", "ConnectionsTable.Arn"),
        ("sqs:SendMessage", "RefreshQueue.Arn"),
        ("sqs:SendMessage", "RevokeQueue.Arn"),
        *READ_SHARED,
    },
    "rescue": READ_AND_UPDATE_CONNECTIONS | NEW_CONNECTIONS | SEAL | OPEN | polls("RescueQueue"),
    "reseal": READ_AND_UPDATE_CONNECTIONS | {("dynamodb:Scan", "ConnectionsTable.Arn")} | SEAL | OPEN,
    "export": {("dynamodb:Scan", "ConnectionsTable.Arn")} | OPEN,
}

# Where each function publishes.
BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}"
RIGHTS["events"] = {
    ("events:PutEvents", BUS),
    ("sqs:SendMessage", "UnpublishedQueue.Arn"),
    ("sqs:SendMessage", "UnpublishedDeadLetters.Arn"),
    *polls("UnpublishedQueue"),
}

STREAM_RIGHTS = "EventsStreamRights"
"""The policy for the stream of the table of connections."""

DIGEST = sha256(b"what the proxy adds").hexdigest()

# What a parameter adds, in a policy of its own: the parameter, the policy, and its rights.
ADDED = {
    "authorize": (
        "PushedRequests",
        "AuthorizePushRights",
        {("dynamodb:UpdateItem", "AuthorizationsTable.Arn"), *READ_REGISTRATIONS, *SIGN},
    ),
}

# The settings of each function, without GATEHOUSE_. A function that talks to providers needs the base URL: endpoints on
# loopback are allowed only if the deployment is there, too.
TALKS_TO_PROVIDERS, KEYS = ("BASE_URL", "SECRET_PREFIX"), ("KEY_ID", "OTHER_KEY_ID")
APPEARANCE = ("APPLICATION_NAME", "COLOR", "LANGUAGE", "LOGO_URL", "SUPPORT")
SETTINGS = {
    "start": {
        *("BASE_URL", "AUTHORIZATIONS_TABLE", "CONNECTIONS_TABLE"),
        *("CONFIRM", "PUSHED_REQUESTS", "RETURN_TO_ORIGINS", "SECRET_PREFIX"),
    },
    "authorize": {*APPEARANCE, "BASE_URL", "AUTHORIZATIONS_TABLE", "SECRET_PREFIX", "ORIGIN_VERIFY_SHA256"},
    "callback": {
        *APPEARANCE,
        *("APPLICATION_URL", "BASE_URL", "AUTHORIZATIONS_TABLE", "CONNECTIONS_TABLE"),
        *("KEY_ID", "SECRET_PREFIX", "RESCUE_QUEUE_URL", "SHARED_TABLE", "ORIGIN_VERIFY_SHA256"),
    },
    "token": {*TALKS_TO_PROVIDERS, *KEYS, "CONNECTIONS_TABLE", "RESCUE_QUEUE_URL", "SHARED_TABLE"},
    "refresh": {*TALKS_TO_PROVIDERS, *KEYS, "CONNECTIONS_TABLE", "RESCUE_QUEUE_URL", "SHARED_TABLE"},
    "revoke": {*TALKS_TO_PROVIDERS, *KEYS, "CONNECTIONS_TABLE", "RESCUE_QUEUE_URL", "SHARED_TABLE"},
    "import_connection": {*TALKS_TO_PROVIDERS, "KEY_ID", "CONNECTIONS_TABLE", "RESCUE_QUEUE_URL", "SHARED_TABLE"},
    "confirm": {"CONNECTIONS_TABLE", *KEYS},
    "connections": {"AUTHORIZATIONS_TABLE", "CONNECTIONS_TABLE", "SHARED_TABLE"},
    "sweep": {"CONNECTIONS_TABLE", "SHARED_TABLE", "REFRESH_QUEUE_URL", "REVOKE_QUEUE_URL"},
    "rescue": {"CONNECTIONS_TABLE", "KEY_ID", "OTHER_KEY_ID"},
    "reseal": {"CONNECTIONS_TABLE", "KEY_ID", "OTHER_KEY_ID"},
    "export": {"CONNECTIONS_TABLE", "KEY_ID", "OTHER_KEY_ID"},
    "events": {"DEPLOYMENT", "EVENT_BUS", "PUBLISH_REFRESHES", "UNPUBLISHED_QUEUE_URL"},
}

# The queues: queue -> its dead letters, its consumer.
QUEUES = {
    "RescueQueue": ("RescueDeadLetters", "rescue"),
    "RefreshQueue": ("RefreshDeadLetters", "refresh"),
    "RevokeQueue": ("RevokeDeadLetters", "revoke"),
    "UnpublishedQueue": ("UnpublishedDeadLetters", "events"),
}
FORTNIGHT = 14 * 86400
OTHER_KEY = "99999999-12ab-34cd-56ef-999999999999"

# The fields of the access log. None holds a path, a query, a body or a header: those hold tickets, codes and tokens.
LOGGED = {
    "requestId": "$context.requestId",
    "requestTimeEpoch": "$context.requestTimeEpoch",
    "route": "$context.routeKey",
    "status": "$context.status",
    "errorType": "$context.error.responseType",
    "caller": "$context.identity.userArn",
    "sourceIp": "$context.identity.sourceIp",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationStatus": "$context.integrationStatus",
    "integrationLatency": "$context.integrationLatency",
    "integrationRequestId": "$context.integration.requestId",
}


@cache
def template() -> Any:
    """Return the template, with intrinsic functions in their long form."""
    return yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))


def resources(kind: str) -> dict[str, Any]:
    """Return the resources of one type by their logical ids."""
    return {name: found for name, found in template()["Resources"].items() if found["Type"] == kind}


def function(name: str) -> Any:
    """Return the properties of a function."""
    return template()["Resources"][f"{logical_name(name)}Function"]["Properties"]


def alias(name: str) -> dict[str, str]:
    """Return a reference to a function's alias, which SAM creates."""
    return {"Ref": f"{logical_name(name)}Function.Alias"}


def alias_of_the_api(name: str) -> dict[str, str]:
    """Return a reference to the alias `http`: SAM creates it for the functions that nobody else calls."""
    return alias(name) if name in PUBLIC_ROUTES.values() else {"Ref": f"{logical_name(name)}HttpAlias"}


def timeout(name: str) -> int:
    """Return the timeout of a function in seconds."""
    seconds: int = function(name).get("Timeout", template()["Globals"]["Function"]["Timeout"])
    return seconds


def role(name: str) -> Any:
    """Return the properties of a function's own role."""
    return template()["Resources"][f"{logical_name(name)}Role"]["Properties"]


def policies(name: str) -> list[Any]:
    """Return the policies of a function's role: those in it, and its rights on the key of the tokens."""
    return [*role(name)["Policies"], *key_rights(name)]


def key_rights(name: str) -> list[Any]:
    """Return the policy of its own that gives a function's role rights on the key of the tokens, if it has any."""
    found = template()["Resources"].get(f"{logical_name(name)}KeyRights")
    return [found["Properties"]] if found else []


def statements(policies: list[Any]) -> list[Any]:
    """Return the statements of inline policies."""
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def as_list(value: Any) -> list[Any]:
    """Return a value as a list: IAM allows one value or a list of them."""
    return value if isinstance(value, list) else [value]


def target(resource: Any) -> str:
    """Return a policy's resource as text, `Table.Arn` or a Sub's text; for a replaceable one, the stack's own."""
    if not isinstance(resource, dict):
        return str(resource)
    ((name, value),) = resource.items()
    if name == "Fn::If":
        assert value[0] in {"HasOwnTable", "HasOwnKey", "HasFirstKey", "HasOwnSecondKey", "HasSecondKey"}
        return target(value[1])
    return ".".join(as_list(value))


def rights(statement: Any) -> set[tuple[str, str]]:
    """Return (action, resource) for everything that a statement allows."""
    return {(a, target(r)) for a in as_list(statement["Action"]) for r in as_list(statement["Resource"])}


def routes() -> Iterator[tuple[str, Any]]:
    """Yield each route's key and its operation in the OpenAPI document."""
    for path, operations in template()["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


def test_the_tables_here_cover_every_function() -> None:
    """A new function has to be added to the tables in this file."""
    expected = {f"{logical_name(name)}Function" for name in FUNCTIONS}

    assert set(resources("AWS::Serverless::Function")) == expected
    assert set(RIGHTS) == set(SETTINGS) == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_role_of_its_own(name: str) -> None:
    """No function shares another's rights, and none has the default role of SAM, which may write to every log."""
    properties = function(name)

    assert properties["Role"] == {"Fn::GetAtt": [f"{logical_name(name)}Role", "Arn"]}
    assert "Policies" not in properties
    assert "ManagedPolicyArns" not in role(name)
    (trust,) = role(name)["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_do_what_it_needs_and_no_more(name: str) -> None:
    """Its rights are those of the table above, and writing to its own log."""
    own_log = {
        ("logs:CreateLogStream", f"{logical_name(name)}LogGroup.Arn"),
        ("logs:PutLogEvents", f"{logical_name(name)}LogGroup.Arn"),
    }

    found = statements(policies(name))

    assert all(statement["Effect"] == "Allow" for statement in found)
    assert set().union(*map(rights, found)) == RIGHTS[name] | own_log


def test_the_stream_is_read_if_there_is_one() -> None:
    """A table that is given to the stack may have none. Nobody but `events` reads it, and no item of the table."""
    policy = resources("AWS::IAM::Policy")[STREAM_RIGHTS]["Properties"]
    given = {"ConnectionsTableName": "restored"}
    stream = "arn:aws:dynamodb:us-east-1:123456789012:table/restored/stream/2026-11-29T00:00:00.000"

    assert policy["Roles"] == [{"Ref": "EventsRole"}]
    assert set().union(*map(rights, statements([policy]))) == {
        ("dynamodb:DescribeStream", "ConnectionsTable.StreamArn"),
        ("dynamodb:GetRecords", "ConnectionsTable.StreamArn"),
        ("dynamodb:GetShardIterator", "ConnectionsTable.StreamArn"),
        ("dynamodb:ListStreams", "*"),
    }
    for logical_id in (STREAM_RIGHTS, "EventsStreamMapping"):
        assert [
            Deployed(values).has(logical_id) for values in ({}, given, {**given, "ConnectionsStreamArn": stream})
        ] == [True, False, True]
    mapping = Deployed({**given, "ConnectionsStreamArn": stream}).properties("EventsStreamMapping")
    assert mapping["EventSourceArn"] == stream


def test_a_stream_loses_nothing_and_costs_nothing_for_leases() -> None:
    """It begins at its oldest write, goes on from what failed, and what it gives up is in an alarm's queue in time."""
    mapping = Deployed().properties("EventsStreamMapping")
    (pattern,) = (json.loads(each["Pattern"]) for each in mapping["FilterCriteria"]["Filters"])
    (with_refreshes,) = Deployed({"PublishRefreshes": "true"}).properties("EventsStreamMapping")["FilterCriteria"][
        "Filters"
    ]

    taken = {
        words: (matches(pattern, image), matches(json.loads(with_refreshes["Pattern"]), image))
        for words in ("", "refreshed", "recovered refreshed", "revoked")
        for image in [{"dynamodb": {"NewImage": {"events": {"S": words}} if words else {"changes": {"N": "7"}}}}]
    }

    assert taken == {
        "": (False, False),
        "refreshed": (False, True),
        "recovered refreshed": (True, True),
        "revoked": (True, True),
    }
    assert resources("AWS::DynamoDB::Table")["ConnectionsTable"]["Properties"]["StreamSpecification"] == {
        "StreamViewType": "NEW_IMAGE"
    }
    assert (mapping["StartingPosition"], mapping["FunctionResponseTypes"]) == (
        "TRIM_HORIZON",
        ["ReportBatchItemFailures"],
    )
    assert mapping["BisectBatchOnFunctionError"] is True
    assert WAITS_FOR_BUS * 10 < mapping["MaximumRecordAgeInSeconds"] <= 22 * 3600
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == "UnpublishedDeadLetters.Arn"


@pytest.mark.parametrize("name", ADDED)
def test_a_parameter_adds_rights_to_a_function_that_needs_them_seldom(name: str) -> None:
    """Off by default. With it the function has exactly these, and the settings that go with them."""
    parameter, logical_id, added = ADDED[name]
    properties = added_policy(name)
    function_id = f"{logical_name(name)}Function"
    before, after = (Deployed(values).properties(function_id) for values in ({}, {parameter: "true"}))

    assert template()["Parameters"][parameter]["Default"] == "false"
    assert (Deployed().has(logical_id), Deployed({parameter: "true"}).has(logical_id)) == (False, True)
    assert properties["Roles"] == [{"Ref": f"{logical_name(name)}Role"}]
    assert set().union(*map(rights, statements([properties]))) == added
    variables = [set(each["Environment"]["Variables"]) for each in (before, after)]
    assert variables[1] - variables[0] == {"GATEHOUSE_SECRET_PREFIX"}


def added_policy(name: str) -> Any:
    """Return the properties of the policy that a parameter adds to a function's role."""
    return template()["Resources"][ADDED[name][1]]["Properties"]


def test_the_public_functions_cannot_open_any_token() -> None:
    """An attacker who takes over a public function can decrypt nothing."""
    for name in set(PUBLIC_ROUTES.values()):
        added = [added_policy(name)] if name in ADDED else []
        actions = {action for statement in statements([*policies(name), *added]) for action, _ in rights(statement)}

        assert not actions & {"kms:Decrypt", "kms:ReEncryptFrom", "kms:*", "*"}


def test_client_keys_are_recognized_by_their_alias() -> None:
    """No other key of the account signs for Gatehouse, and a second stack's keys have other names."""
    of_all = [*(each for name in FUNCTIONS for each in policies(name)), *map(added_policy, ADDED)]
    found = [statement for statement in statements(of_all) if rights(statement) & SIGN]

    assert len(found) == 6
    for statement in found:
        assert statement["Condition"] == {
            "ForAnyValue:StringLike": {"kms:ResourceAliases": {"Fn::Sub": "alias/${AWS::StackName}-client-*"}}
        }


def test_the_build_keeps_the_operations_that_are_allowed() -> None:
    """The built botocore can call what the roles allow, and no more. Lambda itself polls the queues."""
    polled = {action for action, _ in polls("any")} - {action for action, _ in ASK_THE_RESCUE}
    allowed = {action for granted in RIGHTS.values() for action, _ in granted} - polled

    kept = {f"{service}:{operation}" for service, operations in trim.OPERATIONS.items() for operation in operations}

    assert kept == allowed


def test_no_policy_allows_everything() -> None:
    """No policy has a wildcard for an action or for a whole resource."""
    managed = [found["Properties"] for found in resources("AWS::IAM::ManagedPolicy").values()]
    inline = [*(policy for name in FUNCTIONS for policy in policies(name)), *map(added_policy, ADDED)]

    for statement in statements([*managed, *inline]):
        for action, resource in rights(statement):
            assert "*" not in action
            assert resource not in {"*", "arn:aws:*"}


def test_callers_can_be_allowed_to_get_tokens_and_nothing_else() -> None:
    """The policy for functions that use tokens allows `token` and `refresh`. The other one gives no tokens."""
    policies = resources("AWS::IAM::ManagedPolicy")

    reach = {
        name: {
            re.sub(r"Function\.(Arn|Alias)$|^.*/POST/v1/", "", resource).lower()
            for statement in statements([found["Properties"]])
            for _, resource in rights(statement)
        }
        for name, found in policies.items()
    }

    assert reach == {
        "UseTokensPolicy": {"token", "refresh"},
        "ManageConnectionsPolicy": {"start", "confirm", "connections", "revoke"},
    }
    for found in policies.values():
        (over_http,) = [each for each in statements([found["Properties"]]) if each["Sid"] == "CallOverHttp"]
        assert all(":${Api}/$default/POST/v1/" in target(resource) for resource in over_http["Resource"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_handler_exists(name: str) -> None:
    """It is in the package `functions`, where the template names it."""
    module_name, _, attribute = function(name)["Handler"].rpartition(".")

    spec = importlib.util.find_spec(module_name)

    assert module_name == f"functions.{name}"
    assert spec is not None
    assert isinstance(getattr(importlib.import_module(module_name), attribute), Handler)


def test_lambda_knows_the_runtime() -> None:
    """It exists, which linters do not check, and the build chooses wheels for it."""
    shared = template()["Globals"]["Function"]
    known = Loader().load_service_model("lambda", "service-2")["shapes"]

    assert shared["Runtime"] in known["Runtime"]["enum"]
    assert shared["Runtime"] == f"python{build.LAMBDA_PYTHON}"
    assert shared["Architectures"] == ["arm64"]
    assert all(name.endswith("_aarch64") for name in build.LAMBDA_PLATFORMS)


def test_functions_that_someone_waits_for_can_start_from_a_snapshot() -> None:
    """A parameter turns SnapStart on, for published versions: those are in tests/test_versions.py."""
    assert {name for name in FUNCTIONS if "SnapStart" in function(name)} == SNAPSHOT
    for name in SNAPSHOT:
        assert function(name)["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"}}
    assert template()["Parameters"]["SnapStart"]["AllowedValues"] == ["None", "PublishedVersions"]


@pytest.mark.parametrize(
    ("taken_over", "own", "other"),
    [
        (
            {"ConnectionsTableName": "restored"},
            "gatehouse-ConnectionsTable-1A2B3C4D5E6F7",
            "arn:aws:dynamodb:us-east-1:123456789012:table/restored",
        ),
        ({"TokensKeyId": OTHER_KEY}, KEY_ID, f"arn:aws:kms:us-east-1:123456789012:key/{OTHER_KEY}"),
    ],
)
def test_an_existing_table_or_key_can_be_used(taken_over: dict[str, str], own: str, other: str) -> None:
    """If it is named, all roles, settings and outputs have it, and the stack creates none of its own."""
    before, after = Deployed(), Deployed(taken_over)
    (name,) = taken_over
    logical_id = {"ConnectionsTableName": "ConnectionsTable", "TokensKeyId": "TokensKey"}[name]

    def said(deployed: Deployed) -> str:
        kinds = ("Role", "KeyRights", "Function", "Alias")
        parts = [deployed.properties(each) for each in translated()["Resources"] if each.endswith(kinds)]
        return json.dumps([*parts, deployed.resolve(translated()["Outputs"])])

    assert (before.has(logical_id), after.has(logical_id)) == (True, False)
    # Functions and aliases refer to it by name, roles by ARN.
    expected = said(before).replace(f"{own}.Arn", other).replace(own, taken_over[name])
    assert said(after) == expected
    assert own not in said(after)
    assert said(after).count(other) >= 10


def test_concurrency_can_be_reserved_for_browsers() -> None:
    """By a parameter, off by default: in a small account AWS refuses a reservation, and the deployment fails."""
    reserved = {
        name: function(name)["ReservedConcurrentExecutions"]
        for name in FUNCTIONS
        if "ReservedConcurrentExecutions" in function(name)
    }

    assert set(reserved) == set(PUBLIC_ROUTES.values())
    for name in reserved:
        assert "ReservedConcurrentExecutions" not in Deployed().properties(f"{logical_name(name)}Function")
        kept = Deployed({"ReservedConcurrency": 20}).properties(f"{logical_name(name)}Function")
        assert kept["ReservedConcurrentExecutions"] == "20"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_settings_that_it_uses(name: str) -> None:
    """They agree with its rights: no function has the name of a table or key that it may not use."""
    variables = function(name)["Environment"]["Variables"]

    assert set(variables) == {f"GATEHOUSE_{setting}" for setting in SETTINGS[name]}


def test_a_function_ends_before_the_api_gives_up() -> None:
    """An HTTP API waits 30 seconds: functions that talk to providers get 29, the rest 10. Nobody waits for a queue."""
    long = {"authorize", "callback", "token", "refresh", "revoke", "import_connection"}

    timeouts = {name: timeout(name) for name in FUNCTIONS}

    assert timeouts == {name: 29 if name in long else 10 for name in FUNCTIONS} | {
        "sweep": 240,
        "rescue": 180,
        "reseal": 60,
        "export": 60,
        "events": 60,
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_log_has_a_retention(name: str) -> None:
    """The log is created with its retention before the function writes to it. The role cannot create it."""
    group = template()["Resources"][f"{logical_name(name)}LogGroup"]

    assert function(name)["LoggingConfig"]["LogGroup"] == {"Ref": f"{logical_name(name)}LogGroup"}
    assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert min(template()["Parameters"]["LogRetentionDays"]["AllowedValues"]) * 86400 >= FORTNIGHT
    # A fixed name would be taken if the group still exists when the stack is created again.
    is_fixed = group["Properties"].get("LogGroupName") == {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}-{name}"}
    outlives = ("RetainExceptOnCreate", "Retain")
    assert (group["DeletionPolicy"], group["UpdateReplacePolicy"]) == (("Delete", "Delete") if is_fixed else outlives)
    assert is_fixed == (name not in LAST_COPY)


def test_no_policy_of_the_stack_lets_anybody_export() -> None:
    """Who may invoke `export` has all grants: an operator who needs it takes that right for a while."""
    kinds = ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::Lambda::Permission")
    allowing = {
        name for kind in kinds for name, each in resources(kind).items() if "ExportFunction" in json.dumps(each)
    }

    assert allowing == set()


def test_three_routes_are_public() -> None:
    """Browsers reach `authorize` and, with two methods, `callback`. All other requests are signed or have no route."""
    names = [name for name in FUNCTIONS if name not in {*PUBLIC_ROUTES.values(), *WITHOUT_ROUTE}]
    signed = {f"POST /v1/{narrowed}{name}" for name in names for narrowed in NARROWED}

    security = {key: operation["security"] for key, operation in routes()}

    assert {key for key, required in security.items() if required == []} == set(PUBLIC_ROUTES)
    assert {key for key, required in security.items() if required == [{"sigv4": []}]} == signed
    assert set(security) == signed | set(PUBLIC_ROUTES)


def test_signed_routes_require_aws_credentials() -> None:
    """They name the security scheme that makes the API check SigV4."""
    schemes = template()["Resources"]["Api"]["Properties"]["DefinitionBody"]["components"]["securitySchemes"]

    assert list(schemes) == ["sigv4"]
    assert schemes["sigv4"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert (schemes["sigv4"]["in"], schemes["sigv4"]["name"]) == ("header", "Authorization")


def test_a_route_leads_to_its_function() -> None:
    """Each route calls the function of its name with payload format 2.0, and the API has the permission for that."""
    for key, operation in routes():
        name = PUBLIC_ROUTES.get(key, key.rpartition("/")[2])
        integration = operation["x-amazon-apigateway-integration"]
        kind = "Post" if key.startswith("POST /callback/") else "Narrowed" if key.count("/") == 4 else ""
        permission = template()["Resources"][f"{logical_name(name)}{kind}Permission"]["Properties"]
        path = f"POST/v1/*/{name}" if kind == "Narrowed" else re.sub(r"{.*}", "*", key.replace(" ", ""))

        assert (integration["type"], integration["payloadFormatVersion"]) == ("aws_proxy", "2.0")
        assert integration["uri"]["Fn::Sub"].endswith(f":function:${{AWS::StackName}}-{name}:http/invocations")
        assert function(name)["FunctionName"] == {"Fn::Sub": f"${{AWS::StackName}}-{name}"}
        assert permission["FunctionName"] == alias_of_the_api(name)
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["SourceArn"]["Fn::Sub"].endswith(f":${{Api}}/*/{path}")


def test_the_access_log_holds_no_secret() -> None:
    """It is JSON with the fields above and no others. None of them can contain a ticket or a code."""
    settings = template()["Resources"]["Api"]["Properties"]["AccessLogSettings"]

    assert json.loads(settings["Format"]) == LOGGED
    assert settings["DestinationArn"] == {"Fn::GetAtt": ["AccessLogGroup", "Arn"]}
    group = template()["Resources"]["AccessLogGroup"]["Properties"]
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_the_api_throttles() -> None:
    """A flood is stopped before it costs anything."""
    settings = template()["Resources"]["Api"]["Properties"]["DefaultRouteSettings"]

    assert settings == {
        "ThrottlingRateLimit": {"Ref": "ThrottlingRateLimit"},
        "ThrottlingBurstLimit": {"Ref": "ThrottlingBurstLimit"},
    }


def test_data_that_cannot_be_recreated_outlives_the_stack() -> None:
    """Tables and key stay if the stack is deleted or replaces them. The key rotates, and the tables can be restored.

    A first deployment that fails leaves the tables, which are protected from deletion, but not the key.
    """
    tables, keys = resources("AWS::DynamoDB::Table"), resources("AWS::KMS::Key")

    assert set(tables) == {"ConnectionsTable", "AuthorizationsTable", "SharedTable"}
    assert set(keys) == {"TokensKey", "SecondTokensKey"}
    for table in (tables["ConnectionsTable"], tables["AuthorizationsTable"]):
        assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
        assert table["Properties"]["DeletionProtectionEnabled"] is True
        assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    first, second = keys["TokensKey"], keys["SecondTokensKey"]
    assert (first["DeletionPolicy"], first["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert (second["DeletionPolicy"], second["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert all(key["Properties"]["EnableKeyRotation"] is True for key in keys.values())


def test_the_two_keys_have_one_policy() -> None:
    """Whoever may use one of them, and who may not, is the same for the other."""
    keys = resources("AWS::KMS::Key")

    first, second = (keys[name]["Properties"]["KeyPolicy"] for name in ("TokensKey", "SecondTokensKey"))

    assert first == second


FIRST_ARN, SECOND_ARN = f"{KEY_ID}.Arn", f"{SECOND_KEY_ID}.Arn"
OTHER_ARN = f"arn:aws:kms:us-east-1:123456789012:key/{OTHER_KEY}"


@pytest.mark.parametrize(
    ("parameters", "seals", "opens"),
    [
        ({}, FIRST_ARN, None),
        ({"SecondTokensKeyId": "own"}, FIRST_ARN, SECOND_ARN),
        ({"SecondTokensKeyId": "own", "SealingKey": "second"}, SECOND_ARN, FIRST_ARN),
        ({"SecondTokensKeyId": OTHER_KEY}, FIRST_ARN, OTHER_ARN),
        ({"SecondTokensKeyId": OTHER_KEY, "SealingKey": "second"}, OTHER_ARN, FIRST_ARN),
        ({"TokensKeyId": OTHER_KEY, "SecondTokensKeyId": "own", "SealingKey": "second"}, SECOND_ARN, OTHER_ARN),
        ({"TokensKeyId": "none", "SecondTokensKeyId": "own", "SealingKey": "second"}, SECOND_ARN, None),
    ],
    ids=["one", "two", "changed", "a key of one's own", "changed to it", "from it", "the first is gone"],
)
def test_a_parameter_says_which_key_seals(parameters: dict[str, str], seals: str, opens: str | None) -> None:
    """Every function that seals or opens, the alias of the key and the outputs have it; and rights on both keys."""
    deployed = Deployed(parameters)
    outputs = deployed.resolve(translated()["Outputs"])
    both = {each for each in (seals, opens) if each}

    for name in FUNCTIONS:
        variables = deployed.properties(f"{logical_name(name)}Function")["Environment"]["Variables"]
        if "KEY_ID" in SETTINGS[name]:
            assert variables["GATEHOUSE_KEY_ID"] == seals
            assert variables.get("GATEHOUSE_OTHER_KEY_ID") == (opens if "OTHER_KEY_ID" in SETTINGS[name] else None)
            for statement in deployed.properties(f"{logical_name(name)}KeyRights")["PolicyDocument"]["Statement"]:
                assert set(statement["Resource"]) == both
    assert outputs["TokensKeyArn"]["Value"] == seals
    assert seals.endswith((f"{deployed.properties('TokensKeyAlias')['TargetKeyId']}.Arn", OTHER_KEY))
    if opens:
        assert outputs["OtherTokensKeyArn"]["Value"] == opens
    assert deployed.has("TokensKey") == (FIRST_ARN in both)
    assert deployed.has("SecondTokensKey") == (SECOND_ARN in both)


def test_there_is_always_a_key_that_seals() -> None:
    """CloudFormation refuses parameters that would leave none, before it changes anything."""
    rules = list(translated()["Rules"].values())

    assert [(rule["RuleCondition"], rule["Assertions"][0]["Assert"]) for rule in rules] == [
        ({"Fn::Equals": [{"Ref": "SealingKey"}, which]}, {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, "none"]}]})
        for which, parameter in (("first", "TokensKeyId"), ("second", "SecondTokensKeyId"))
    ]


def test_the_shared_table_is_deleted_with_the_stack() -> None:
    """What connections share is known again within minutes, so it needs no backup."""
    table = resources("AWS::DynamoDB::Table")["SharedTable"]

    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Delete")
    assert table["Properties"].keys() == {"BillingMode", "AttributeDefinitions", "KeySchema"}
    assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("queue", ["RescueQueue", "RescueDeadLetters"])
def test_queued_token_responses_outlive_the_stack(queue: str) -> None:
    """They are nowhere else. The queue has no fixed name, which would be taken when the stack is created again."""
    found = resources("AWS::SQS::Queue")[queue]

    assert (found["DeletionPolicy"], found["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert "QueueName" not in found["Properties"]


def test_every_queue_is_encrypted_and_keeps_messages_for_as_long_as_possible() -> None:
    """That covers all queues of the template."""
    queues = resources("AWS::SQS::Queue")

    assert set(queues) == {name for queue, (dead_letters, _) in QUEUES.items() for name in (queue, dead_letters)}
    for queue in queues.values():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
        assert queue["Properties"]["MessageRetentionPeriod"] == FORTNIGHT


@pytest.mark.parametrize(("queue", "dead_letters", "consumer"), [(queue, *rest) for queue, rest in QUEUES.items()])
def test_a_queue_hands_its_messages_to_its_function(queue: str, dead_letters: str, consumer: str) -> None:
    """A message comes alone, is hidden for six times the function's timeout, comes again, and becomes a dead letter.

    A rescue is hidden for little more than the timeout, because it has to come again at once. So is a refresh: for a
    minute or two, a server may repeat an answer that was lost with a process.
    """
    properties = resources("AWS::SQS::Queue")[queue]["Properties"]
    mapping = resources("AWS::Lambda::EventSourceMapping")[f"{logical_name(consumer)}Mapping"]["Properties"]

    assert mapping["EventSourceArn"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert mapping["FunctionName"] == alias(consumer)
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] == 1
    hidden_for = properties["VisibilityTimeout"] / timeout(consumer)
    assert hidden_for >= 6 if consumer in {"revoke", "events"} else 1 < hidden_for < 1.5
    assert properties["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": [dead_letters, "Arn"]}
    assert 3 <= properties["RedrivePolicy"]["maxReceiveCount"] <= 1000
    assert len(resources("AWS::Lambda::EventSourceMapping")) == len(QUEUES) + 1


def test_a_rescue_is_tried_until_long_after_the_alarm() -> None:
    """A token response survives an outage of two days in its queue, and the alarm fires within minutes."""
    queue = resources("AWS::SQS::Queue")["RescueQueue"]["Properties"]

    assert queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"] >= 2 * 86400


@pytest.mark.parametrize("in_all", template()["Parameters"]["BackgroundConcurrency"]["AllowedValues"])
def test_background_work_has_limited_concurrency(in_all: int) -> None:
    """The parameter is for refreshes and revocations together. Lambda requires at least two for a queue."""
    deployed = Deployed({"BackgroundConcurrency": in_all})

    at_once = {
        name: int(deployed.properties(f"{name}Mapping")["ScalingConfig"]["MaximumConcurrency"])
        for name in ("Refresh", "Revoke", "Rescue")
    }

    assert at_once["Refresh"] + at_once["Revoke"] == in_all
    assert at_once["Rescue"] == 2
    assert min(at_once.values()) >= 2


def test_a_small_account_has_concurrency_left_for_customers() -> None:
    """Background work takes five of the ten concurrent executions that a new account has."""
    assert template()["Parameters"]["BackgroundConcurrency"]["Default"] == 5


def test_a_rescue_is_tried_again_before_callers_stop_waiting_for_it() -> None:
    """If a rescuer dies, its message comes to another one before anybody sends the old refresh token again."""
    assert resources("AWS::SQS::Queue")["RescueQueue"]["Properties"]["VisibilityTimeout"] < RESCUED_WITHIN


def test_refreshes_of_one_slot_come_one_after_the_other() -> None:
    """The queue of refreshes is FIFO, and so are its dead letters. Message groups do not slow each other down."""
    queues = {name: queue["Properties"] for name, queue in resources("AWS::SQS::Queue").items()}

    assert {name for name, queue in queues.items() if queue.get("FifoQueue")} == {"RefreshQueue", "RefreshDeadLetters"}
    for name in ("RefreshQueue", "RefreshDeadLetters"):
        assert queues[name]["QueueName"]["Fn::Sub"].endswith(".fifo")
    assert queues["RefreshQueue"]["FifoThroughputLimit"] == "perMessageGroupId"
    assert queues["RefreshQueue"]["DeduplicationScope"] == "messageGroup"


def test_queues_are_reached_only_by_tls() -> None:
    """One policy denies everything else for all queues. The roles say who may use them."""
    (policy,) = resources("AWS::SQS::QueuePolicy").values()
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]

    assert {queue["Ref"] for queue in policy["Properties"]["Queues"]} == set(resources("AWS::SQS::Queue"))
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_schedule_calls_the_sweep() -> None:
    """One rule, at the rate that the parameter says, and no other rule may call it."""
    (rule,) = resources("AWS::Events::Rule").values()
    permission = template()["Resources"]["SweepPermission"]["Properties"]

    assert rule["Properties"]["ScheduleExpression"] == {"Ref": "SweepSchedule"}
    assert [target["Arn"] for target in rule["Properties"]["Targets"]] == [alias("sweep")]
    assert permission["FunctionName"] == alias("sweep")
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": ["SweepRule", "Arn"]}


def alarms() -> dict[str, Any]:
    """Return the properties of the alarms by their logical ids."""
    return {name: found["Properties"] for name, found in resources("AWS::CloudWatch::Alarm").items()}


def test_every_alarm_has_a_description_and_a_topic() -> None:
    """The topic is the one that the operator has named. tests/test_alarms.py has what each alarm fires for."""
    actions = [{"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}]

    for alarm in alarms().values():
        assert alarm["AlarmDescription"]
        assert [alarm["AlarmActions"]] == actions


@pytest.mark.parametrize(
    ("metric", "pattern", "watched"),
    [
        ("LastResort", '{ $.message = "rescue" && $.level = "CRITICAL" }', LAST_COPY),
        (
            "OperatorFaults",
            '{ $.outcome = "provider_misconfigured" || $.reason = "provider_misconfigured" }',
            {"start", "authorize", "callback", "token", "refresh", "revoke", "import_connection"},
        ),
        ("Defects", '{ $.level = "ERROR" }', set(FUNCTIONS)),
        ("Sweeps", '{ $.message = "sweep" && $.outcome = "ok" }', {"sweep"}),
        ("SweepsCutShort", '{ $.message = "sweep" && $.complete IS FALSE }', {"sweep"}),
        (
            "GrantsEnded",
            '{ $.status_before = "active" && $.status = "reauthorization_required" }',
            {"token", "refresh"},
        ),
        ("ApiErrors", '{ $.status = "5*" && $.errorType != "-" }', {"access"}),
    ],
)
def test_the_logs_are_watched(metric: str, pattern: str, watched: set[str]) -> None:
    """There is a metric filter on the log of each function that can write such a line."""
    namespace = {"Fn::Sub": "Gatehouse/${AWS::StackName}"}
    filters = [
        found["Properties"]
        for found in resources("AWS::Logs::MetricFilter").values()
        if found["Properties"]["MetricTransformations"][0]["MetricName"] == metric
    ]

    assert {found["LogGroupName"]["Ref"] for found in filters} == {f"{logical_name(name)}LogGroup" for name in watched}
    assert {found["FilterPattern"] for found in filters} == {pattern}
    for found in filters:
        (transformation,) = found["MetricTransformations"]
        assert (transformation["MetricNamespace"], transformation["MetricValue"]) == (namespace, "1")


def test_the_log_level_never_drops_token_responses_or_outcomes() -> None:
    """The log is the last place that takes a token response, and alarms read outcomes there."""
    assert template()["Parameters"]["LogLevel"]["AllowedValues"] == ["DEBUG", "INFO"]


def test_authorization_requests_are_cleaned_up() -> None:
    """Their table has a TTL. Connections have none."""
    tables = resources("AWS::DynamoDB::Table")

    assert tables["AuthorizationsTable"]["Properties"]["TimeToLiveSpecification"] == {
        "AttributeName": "ttl",
        "Enabled": True,
    }
    assert "TimeToLiveSpecification" not in tables["ConnectionsTable"]["Properties"]


def test_no_index_has_a_ciphertext() -> None:
    """Neither index projects token sets, nor would it project new attributes."""
    indexes = template()["Resources"]["ConnectionsTable"]["Properties"]["GlobalSecondaryIndexes"]

    assert [index["IndexName"] for index in indexes] == ["due", "listed"]
    for index in indexes:
        assert index["Projection"]["ProjectionType"] == "INCLUDE"
        assert "sets" not in index["Projection"]["NonKeyAttributes"]


def test_lists_never_need_another_index() -> None:
    """DynamoDB cannot change a projection. This one has a single map, and that can get more entries."""
    listed = template()["Resources"]["ConnectionsTable"]["Properties"]["GlobalSecondaryIndexes"][1]

    assert [key["AttributeName"] for key in listed["KeySchema"]] == ["listed_in", "listed_as"]
    assert listed["Projection"]["NonKeyAttributes"] == ["summary"]


def test_every_parameter_is_explained() -> None:
    """Each has a label, a group and a description, and says why it refuses a value."""
    interface = template()["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]

    assert sorted(grouped) == sorted(template()["Parameters"])
    assert set(interface["ParameterLabels"]) == set(template()["Parameters"])
    for parameter in template()["Parameters"].values():
        assert parameter["Description"]
        assert "Default" in parameter
        assert ("AllowedPattern" in parameter) == ("ConstraintDescription" in parameter)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "BaseUrl",
            ["", "https://connect.example.com", "http://localhost:8787", "http://127.0.0.1:8787", "http://localhost"],
            [
                "https://connect.example.com/",
                "https://example.com/auth",
                "http://example.com",
                "example.com",
                "https://",
            ],
        ),
        (
            "ReturnToOrigins",
            ["", "https://app.example.com", "https://a.example.com,http://localhost:3000"],
            ["https://app.example.com/", "*", "https://*.example.com", "https://a.example.com, https://b.example.com"],
        ),
        (
            "ApplicationUrl",
            ["", "https://app.example.com", "https://app.example.com:8443/a?b=c&d=%20", "http://localhost:3000/"],
            ["http://app.example.com", "https://a@b.example", "https://a.example/#x", "https://a.example/ x", "//a"],
        ),
        (
            "OriginVerifySha256",
            ["", DIGEST, f"{DIGEST},{DIGEST[::-1]}"],
            [
                *(DIGEST[1:], DIGEST.upper(), f"{DIGEST},", f"{DIGEST}, {DIGEST}", ",".join([DIGEST] * 3), "x" * 64),
                # Of nothing: everybody would bring it.
                sha256().hexdigest(),
                f"{DIGEST},{sha256().hexdigest()}",
            ],
        ),
        (
            "AlarmTopicArn",
            [
                "",
                "arn:aws:sns:eu-west-1:123456789012:alarms",
                "arn:aws-us-gov:sns:us-gov-west-1:123456789012:On-call_1",
            ],
            ["alarms", "arn:aws:sqs:eu-west-1:123456789012:alarms", "arn:aws:sns:eu-west-1:123456789012:*"],
        ),
        (
            "SweepSchedule",
            ["rate(1 minute)", "rate(5 minutes)", "rate(30 minutes)", "cron(0/5 * * * ? *)"],
            ["", "5 minutes", "rate(5 minutes) ; x", "rate(31 minutes)", "rate(1 hour)", "rate(0 minutes)"],
        ),
        (
            "EventBusName",
            ["default", "my-bus.1"],
            ["", "a b", "arn:aws:events:us-east-1:123456789012:event-bus/x", "*"],
        ),
        (
            "ConnectionsStreamArn",
            ["", "arn:aws:dynamodb:us-east-1:123456789012:table/restored/stream/2026-11-29T00:00:00.000"],
            ["restored", "arn:aws:dynamodb:us-east-1:123456789012:table/restored", "*"],
        ),
        ("Revision", ["1", "2026-11-28", "e754a17"], ["", "a b", "longer-than-12", "x;"]),
        ("ConnectionsTableName", ["", "gatehouse-restored"], ["a b", "ab", "arn:aws:dynamodb:x", "t" * 85]),
        (
            "TokensKeyId",
            ["", "none", KEY_ID],
            ["alias/gatehouse-tokens", f"arn:aws:kms:us-east-1:123456789012:key/{KEY_ID}", "1234"],
        ),
        ("SecondTokensKeyId", ["none", "own", KEY_ID], ["", "alias/gatehouse-tokens", "1234", "second"]),
        ("SecretPrefix", ["gatehouse/providers/", "staging/gatehouse/providers/"], ["", "/", "*", "gatehouse", "a//"]),
    ],
)
def test_a_parameter_refuses_values_that_cannot_work(name: str, good: list[str], bad: list[str]) -> None:
    """A value that would break the deployment, or widen its rights, is refused before anything is created."""
    pattern = template()["Parameters"][name]["AllowedPattern"]

    assert all(re.fullmatch(pattern, value) for value in good)
    assert not any(re.fullmatch(pattern, value) for value in bad)


def test_the_outputs_say_what_to_register() -> None:
    """They have the redirect URI, with and without a custom domain."""
    outputs = template()["Outputs"]

    for name, provider in (("CallbackUrl", "PROVIDER"), ("UltraCartCallbackUrl", "ultracart")):
        condition, custom, own = outputs[name]["Value"]["Fn::If"]
        assert condition == "HasBaseUrl"
        assert custom == {"Fn::Sub": f"${{BaseUrl}}/callback/{provider}"}
        assert own["Fn::Sub"].endswith(f".${{AWS::URLSuffix}}/callback/{provider}")

"""Who may use the key of the tokens, and for what: the functions' own rights, and what the key's policy denies."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import Loader

from functions.vault.grant.seal import PENDING, TOKENS
from tests.expressions import Deployed, translated
from tests.functions import FUNCTIONS, logical_name
from tests.test_template import ADDED, STREAM_RIGHTS, as_list, function, key_rights, role, statements
from tools import key_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN, SEAL = "kms:Decrypt", "kms:GenerateDataKey"

# What each function may do with the key: open or seal tokens in use, and tokens that wait. One that is not here may do
# nothing with it. What else a function may do is in tests/test_template.py.
ON_THE_KEY: dict[str, dict[str, set[str]]] = {
    # It faces the internet: it seals, and opens nothing.
    "callback": {TOKENS: {SEAL}, PENDING: {SEAL}},
    # It opens what waits and seals what is used, and neither the other way round.
    "confirm": {TOKENS: {SEAL}, PENDING: {OPEN}},
    "token": {TOKENS: {OPEN, SEAL}},
    # It goes on with tokens that wait until their account is known.
    "refresh": {TOKENS: {OPEN, SEAL}, PENDING: {OPEN}},
    # It seals if a server revokes only a live access token. Tokens that waited may not have been the connection's own.
    "revoke": {TOKENS: {OPEN, SEAL}, PENDING: {OPEN}},
    "import_connection": {TOKENS: {SEAL}},
    "rescue": {TOKENS: {OPEN, SEAL}, PENDING: {OPEN, SEAL}},
    # What waits it counts.
    "reseal": {TOKENS: {OPEN, SEAL}},
    # It encrypts to a key that is not in KMS.
    "export": {TOKENS: {OPEN}},
}

KEYS = ("TokensKey", "SecondTokensKey")
"""The key of the tokens, and the one that they are moved to, or from: the rights are the same on both."""

DOES_CRYPTOGRAPHY = {
    *("Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
    *("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "ReEncrypt", "CreateGrant"),
}
"""The operations of KMS that use a key like this one, or let somebody use it."""

OF_OTHER_KEYS = {
    *("Decapsulate", "DeriveSharedSecret", "Encapsulate"),
    *("GenerateMac", "GenerateRandom", "Sign", "Verify", "VerifyMac"),
}
"""Operations that a symmetric key for encryption does not have, and one that uses no key."""

ADMINISTRATION = (
    *("Cancel", "Connect", "CreateAlias", "CreateCustom", "CreateKey", "Delete", "Describe", "Disable", "Disconnect"),
    *("Enable", "Get", "Import", "List", "Put", "Replicate", "Retire", "Revoke", "Rotate", "Schedule", "Tag", "Untag"),
    *("Update",),
)
"""What the names of operations begin with that administer keys, read about them, or take a grant back."""

IN_THIS_ACCOUNT = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"

NO_ROLE_OF_OURS = (
    "arn:aws:iam::123456789012:root",
    "arn:aws:iam::123456789012:role/Administrator",
    "TokenRole.Arn2",
    "aTokenRole.Arn",
    None,
)
"""Who asks: with every right in IAM, with a name like one of ours, and a service, which comes without a role."""


def policy() -> list[Any]:
    """Return the statements of the key's policy, with the roles as the template refers to them."""
    found: list[Any] = Deployed().properties("TokensKey")["KeyPolicy"]["Statement"]
    return found


def denies(statement: Any, action: str, principal: str | None) -> bool:
    """Return whether a statement of the key's policy denies an action. `principal` is None where there is no role."""
    if statement["Effect"] != "Deny" or not any(fnmatchcase(action, each) for each in as_list(statement["Action"])):
        return False
    assert (statement["Principal"], statement["Resource"]) == ("*", "*")
    if "Condition" not in statement:
        return True
    ((operator, keys),) = statement["Condition"].items()
    ((key, named),) = keys.items()
    assert (operator, key) == ("ArnNotEquals", "aws:PrincipalArn")
    assert not any(wildcard in each for each in named for wildcard in "*?")
    return principal not in named


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_these_rights_on_the_key_and_no_others(name: str) -> None:
    """Each right is for one purpose, and for that function: somebody else's function gets nothing by its role.

    No function that vends tokens can open pending ones.
    """
    found: dict[str, set[str]] = {}
    for each in statements(key_rights(name)):
        conditions = each["Condition"]
        own = IN_THIS_ACCOUNT + function(name)["FunctionName"]["Fn::Sub"]

        assert each["Effect"] == "Allow"
        assert [own_key(resource) for resource in each["Resource"]] == [*KEYS]
        assert conditions.keys() == {"StringEquals", "ArnEqualsIfExists"}
        assert conditions["ArnEqualsIfExists"] == {"lambda:SourceFunctionArn": {"Fn::Sub": own}}
        assert conditions["StringEquals"].keys() == {"kms:EncryptionContext:purpose"}
        found[conditions["StringEquals"]["kms:EncryptionContext:purpose"]] = set(as_list(each["Action"]))

    assert found == ON_THE_KEY.get(name, {})
    for each in key_rights(name):
        assert each["Roles"] == [{"Ref": f"{logical_name(name)}Role"}]


def own_key(resource: Any) -> str:
    """Return which key of the stack's own a right is for, if it has that key."""
    condition, (then, otherwise) = resource["Fn::If"][0], resource["Fn::If"][1:]
    assert otherwise == {"Ref": "AWS::NoValue"}
    own, key, _ = then["Fn::If"]
    assert (condition, own) in {("HasFirstKey", "HasOwnKey"), ("HasSecondKey", "HasOwnSecondKey")}
    return str(key["Fn::GetAtt"][0])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_role_has_no_other_rights_on_keys_but_those_of_clients(name: str) -> None:
    """What is in the role itself names no key of tokens."""
    keys = {
        action for each in statements(role(name)["Policies"]) for action in as_list(each["Action"]) if "kms" in action
    }

    assert keys <= {"kms:Sign"}


def test_every_policy_of_its_own_is_a_functions_rights_on_the_key() -> None:
    """Or what a parameter adds to a function, or its rights on a stream. Nobody else gets rights by such a policy."""
    made = {name for name, each in translated()["Resources"].items() if each["Type"] == "AWS::IAM::Policy"}

    added = {logical_id for _, logical_id, _ in ADDED.values()}

    assert made == {f"{logical_name(name)}KeyRights" for name in ON_THE_KEY} | added | {STREAM_RIGHTS}


@pytest.mark.parametrize("principal", NO_ROLE_OF_OURS)
def test_the_key_denies_its_use_to_everybody_else(principal: str | None) -> None:
    """Whatever IAM allows them: decrypting, re-encrypting under another key, making data keys, passing it on."""
    operations = {each for each in DOES_CRYPTOGRAPHY if each != "ReEncrypt"} | {"ReEncryptFrom", "ReEncryptTo"}

    allowed = {each for each in operations if not any(denies(s, f"kms:{each}", principal) for s in policy())}

    assert allowed == set()


def test_every_operation_of_kms_has_been_thought_of() -> None:
    """What KMS can do by now is denied, cannot be done with this key, or is administration."""
    known = set(Loader().load_service_model("kms", "service-2")["operations"])
    rest = known - DOES_CRYPTOGRAPHY - OF_OTHER_KEYS

    assert known >= DOES_CRYPTOGRAPHY | OF_OTHER_KEYS
    assert {each for each in rest if not each.startswith(ADMINISTRATION)} == set()


@pytest.mark.parametrize("name", ON_THE_KEY)
def test_the_key_lets_a_function_do_what_it_has_rights_for_and_no_more(name: str) -> None:
    """`callback` could open nothing even if somebody gave its role every right."""
    own = set().union(*ON_THE_KEY[name].values())
    operations = {f"kms:{each}" for each in DOES_CRYPTOGRAPHY if each != "ReEncrypt"} | {"kms:ReEncryptFrom"}

    allowed = {a for a in operations if not any(denies(s, a, f"{logical_name(name)}Role.Arn") for s in policy())}

    assert allowed == own


@pytest.mark.parametrize(
    "action", ["PutKeyPolicy", "ScheduleKeyDeletion", "CancelKeyDeletion", "EnableKey", "DescribeKey"]
)
def test_the_account_administers_the_key(action: str) -> None:
    """Nothing of that is denied to anybody: IAM decides, and nobody is locked out."""
    allowing = [each for each in policy() if each["Effect"] == "Allow"]

    assert not any(denies(each, f"kms:{action}", who) for each in policy() for who in NO_ROLE_OF_OURS)
    assert [(each["Principal"], each["Action"]) for each in allowing] == [
        ({"AWS": "arn:aws:iam::123456789012:root"}, "kms:*")
    ]


def test_a_key_that_the_stack_does_not_own_gets_the_same_policy() -> None:
    """`make key-policy` prints what the template says for a key of its own, and nothing is then said to be wrong."""
    names = {f"{logical_name(name)}Role": f"gatehouse-{name}" for name in ON_THE_KEY}

    printed = key_policy.resolved(key_policy.of_the_template(), "aws", "123456789012", names)

    text = json.dumps(policy())
    for logical_id, name in names.items():
        text = text.replace(f"{logical_id}.Arn", f"arn:aws:iam::123456789012:role/{name}")
    assert printed["Statement"] == json.loads(text)
    assert [*key_policy.problems(printed, printed)] == []


def referred(part: Any) -> Iterator[str]:
    """Give the logical ids that a part of the template refers to."""
    if isinstance(part, list):
        for each in part:
            yield from referred(each)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "Ref":
                yield value
            elif name == "Fn::GetAtt":
                yield as_list(value)[0].partition(".")[0]
            elif name == "Fn::Sub":
                text, *variables = as_list(value)
                yield from (each.partition("}")[0].partition(".")[0] for each in text.split("${")[1:])
                yield from referred(variables)
            else:
                yield from referred(value)


def needs(logical_id: str) -> set[str]:
    """Return the resources that have to be there before this one."""
    resource = translated()["Resources"][logical_id]
    named = {*referred(resource.get("Properties", {})), *as_list(resource.get("DependsOn", []))}
    return {each for each in named if each in translated()["Resources"]}


def test_cloudformation_can_make_the_stack_in_some_order() -> None:
    """Nothing refers in a circle: the key names the roles, and the rights on it come after both."""
    in_order_of_making = [*TopologicalSorter({each: needs(each) for each in translated()["Resources"]}).static_order()]

    for name in ON_THE_KEY:
        named = [f"{logical_name(name)}{part}" for part in ("Role", "KeyRights", "Function")]
        for key in KEYS:
            made = [each for each in in_order_of_making if each in {*named, key}]
            assert made == [named[0], key, *named[1:]]


@pytest.mark.parametrize("name", ON_THE_KEY)
def test_no_version_of_a_function_runs_before_it_has_its_rights(name: str) -> None:
    """A deployment gives a function its rights before its code."""
    assert f"{logical_name(name)}KeyRights" in needs(f"{logical_name(name)}Function")


def test_registrations_are_read_only_where_a_provider_is_asked() -> None:
    """They hold client secrets. `start` checks them whole. The sweep, the lists and the rescue read none."""

    def reads(policies: list[Any]) -> bool:
        return any("secretsmanager:GetSecretValue" in as_list(each["Action"]) for each in statements(policies))

    assert {name for name in FUNCTIONS if reads(role(name)["Policies"])} == {
        *("start", "callback", "token", "refresh", "revoke", "import_connection")
    }

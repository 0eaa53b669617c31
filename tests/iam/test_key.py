"""The key of the tokens, by an evaluator of IAM that is not ours: closed to all but the functions that need it."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.grant.seal import PENDING, TOKENS
from tests.iam.account import ACCOUNT, REGION, Account
from tests.iam.evaluator import ALLOWED, EXPLICITLY_DENIED, Case, decide
from tests.test_rights import ON_THE_KEY, OPEN, SEAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.iam.account import Policy

pytestmark = pytest.mark.needs_iam_evaluator

USES = (
    *(OPEN, SEAL, "kms:Encrypt", "kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyPair"),
    *("kms:GenerateDataKeyPairWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:CreateGrant"),
)
ADMINISTRATION = (
    *("kms:DescribeKey", "kms:DisableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:PutKeyPolicy"),
    *("kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion", "kms:TagResource", "kms:RevokeGrant"),
)
USES_OF_FUNCTIONS = {
    name: {(action, purpose) for purpose, actions in purposes.items() for action in actions}
    for name, purposes in ON_THE_KEY.items()
}
PURPOSES = (TOKENS, PENDING, "gatehouse/others")
EVERYTHING: Policy = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


@pytest.fixture(scope="module")
def account() -> Account:
    """Give the stack as IAM sees it."""
    return Account()


def asked(  # noqa: PLR0913, PLR0917 - each is a part of the question, and the last two are seldom asked
    account: Account,
    principal: str,
    action: str,
    policies: list[Policy],
    purpose: str | None = None,
    function_arn: str | None = None,
    logical_id: str = "TokensKey",
) -> Case:
    """Return a use of the key by a role or a user with these policies of its own, in a function if that is known."""
    key = account.arn(logical_id)
    context: dict[str, Any] = {"aws:PrincipalArn": principal, "aws:PrincipalAccount": principal.split(":")[4]}
    if purpose is not None:
        context["kms:EncryptionContext:purpose"] = purpose
    if function_arn is not None:
        context["lambda:SourceFunctionArn"] = function_arn
    return Case(session_of(principal), action, key, policies, account.resource_policies[key], context)


def session_of(principal: str) -> str:
    """Return who signs: for a role, a session of it. Neither the role's path nor its function is in that."""
    head, _, name = principal.rpartition("/")
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/session" if ":role" in head else principal


def look_alikes(arn: str) -> Iterator[str]:
    """Yield the ARNs of roles that somebody might take, or hope to be taken, for the one with this ARN."""
    head, _, name = arn.rpartition("/")
    stem, _, suffix = name.rpartition("-")
    for other in (f"{name}x", f"x{name}", name[:-1], name[1:], stem, f"{stem}-", f"{stem}-{suffix[::-1]}", f"{stem}-*"):
        yield f"{head}/{other}"
    yield from (f"{head}/{name.lower()}", f"{head}/{name.upper()}", f"{head}/{name.swapcase()}")
    yield from (f"{head}/{name}/{name}", f"{head}/service-role/{name}", f"{head}/{stem}/{suffix}")
    yield arn.replace(":role/", ":user/")


def test_everything_allowed_opens_nothing(account: Account) -> None:
    """Root, an administrator's user and role, and a role named almost like one of ours: all with every right."""
    # given
    people = [f"arn:aws:iam::{ACCOUNT}:{name}" for name in ("root", "user/Administrator", "role/Administrator")]
    alike = [other for role in account.roles.values() for other in look_alikes(role.arn)]

    # when
    principals = [*people, *alike]
    tried = [*product(people, USES, PURPOSES), *product(alike, (OPEN, SEAL), (TOKENS,))]
    decisions = decide(asked(account, who, action, [EVERYTHING], purpose) for who, action, purpose in tried)

    # then
    assert len(set(principals)) == len(principals) > 100
    opened = [case for case, decision in zip(tried, decisions, strict=True) if decision != EXPLICITLY_DENIED]
    assert opened == []


def test_the_account_administers_the_key(account: Account) -> None:
    """An administrator can still look after the key, and nobody else gets that right by the key's policy."""
    # given
    administrator = f"arn:aws:iam::{ACCOUNT}:role/Administrator"

    # when
    decisions = decide(
        asked(account, administrator, action, policies) for policies in ([EVERYTHING], []) for action in ADMINISTRATION
    )

    # then
    by_an_administrator, by_others = decisions[: len(ADMINISTRATION)], decisions[len(ADMINISTRATION) :]
    assert set(by_an_administrator) == {ALLOWED}
    assert ALLOWED not in by_others


@pytest.mark.parametrize("key", ["TokensKey", "SecondTokensKey"])
def test_each_function_uses_the_key_for_its_own_purposes(key: str) -> None:
    """A function can do with a key what it is there for, and nothing else; most can do nothing."""
    # given
    account = Account({"SecondTokensKeyId": "own"})
    tried = [(role, action, purpose) for role in account.roles.values() for action in USES for purpose in PURPOSES]

    # when
    decisions = decide(
        asked(account, role.arn, action, list(role.policies), purpose, logical_id=key)
        for role, action, purpose in tried
    )

    # then
    found: dict[str, set[tuple[str, str | None]]] = {}
    for (role, action, purpose), decision in zip(tried, decisions, strict=True):
        if decision == ALLOWED:
            found.setdefault(role.handler.split(".")[1], set()).add((action, purpose))
    assert found == USES_OF_FUNCTIONS


def test_no_function_gets_more_of_the_key_by_more_rights(account: Account) -> None:
    """Even if somebody gave every right to the role of `callback`, which faces the internet, it would open nothing."""
    # given
    tried = [(role, action) for role in account.roles.values() for action in USES]

    # when
    decisions = decide(asked(account, role.arn, action, [EVERYTHING], TOKENS) for role, action in tried)

    # then
    allowed = {
        (role.handler.split(".")[1], action)
        for (role, action), decision in zip(tried, decisions, strict=True)
        if decision == ALLOWED
    }
    assert allowed == {(name, action) for name, uses in USES_OF_FUNCTIONS.items() for action, _ in uses}


def test_a_role_is_of_use_in_its_own_function_alone(account: Account) -> None:
    """Somebody who passes a role to a function of their own cannot use the key by it."""
    # given
    foreign = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:of-somebody-else"
    tried = [
        (role, arn, action)
        for role in account.roles.values()
        for arn in (role.function_arn, f"{role.function_arn}2", foreign)
        for action in (OPEN, SEAL)
    ]

    # when
    decisions = decide(
        asked(account, role.arn, action, list(role.policies), TOKENS, arn) for role, arn, action in tried
    )

    # then
    allowed = {
        (role.handler.split(".")[1], arn, action)
        for (role, arn, action), decision in zip(tried, decisions, strict=True)
        if decision == ALLOWED
    }
    assert allowed == {
        (name, account.roles[f"functions.{name}.handler"].function_arn, action)
        for name, uses in USES_OF_FUNCTIONS.items()
        for action, purpose in uses
        if purpose == TOKENS
    }

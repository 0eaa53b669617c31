"""The four policies of docs/permissions.md, by an evaluator of IAM that is not ours, against paths that try to escape.

Whatever IAM lets in by any reading of a path, the function refuses, or it acts on nothing but what the policy says.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import pytest

from functions.vault.base.errors import ConnectionNotFound
from functions.vault.base.narrowing import Narrowing
from functions.web.api_calls import narrowing_of
from tests.documents import page, programs, section
from tests.expressions import translated
from tests.iam.account import ACCOUNT, REGION, Account
from tests.iam.evaluator import ALLOWED, Case, decide
from tests.iam.paths import FUNCTIONS, NAMES, READINGS, SPELLINGS, merged, paths, plain, resolved, resolved_late

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.iam.account import Policy
    from tests.iam.paths import Reading

pytestmark = pytest.mark.needs_iam_evaluator

CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/application/session"
TOKENS = {"token", "refresh"}
EVERYTHING = Narrowing()

Act = tuple[str, Narrowing]
"""What a call does: by which function, and on what."""


@dataclass(frozen=True)
class Subject:
    """A policy of the page, what its holder may do by it, a name that it opens, and the holder's tags."""

    heading: str
    may: Callable[[Act], bool]
    own: str = "acme"
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def policy(self) -> Policy:
        """The policy as it stands on the page."""
        (text,) = programs(section(page("docs/permissions.md"), self.heading), "json")
        policy: Policy = json.loads(text)
        return policy


def _of_acme(act: Act) -> bool:
    return act[0] in TOKENS and act[1] == Narrowing(owner="acme")


def _of_shops(act: Act) -> bool:
    function, narrowing = act
    return function in TOKENS and narrowing.owner is None and (narrowing.connection_id or "").startswith("shop-")


BY_TAG = "The owner in the caller's tag"
SUBJECTS = (
    Subject("One owner", _of_acme),
    Subject("Ids with a prefix", _of_shops, own="shop-1"),
    Subject(BY_TAG, _of_acme, tags={"aws:PrincipalTag/owner": "acme"}),
    Subject("Reading without tokens", lambda act: act == ("connections", EVERYTHING)),
)


@cache
def routes() -> dict[str, str]:
    """Return the keys of the routes that callers sign for, and a pattern for each."""
    found = translated()["Resources"]["Api"]["Properties"]["Body"]["paths"]
    keys = [f"{method.upper()} {path}" for path, methods in found.items() for method in methods if "/v1/" in path]
    return {key: re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(key)) for key in keys}


@cache
def done_by(path: str) -> Act | None:
    """Return what the API's function does for a path, as the API hands it on; None if the answer is an error."""
    for key, pattern in routes().items():
        # It is not known whether an API merges slashes before it looks for a route.
        if found := re.fullmatch(pattern, f"POST {merged(path)}"):
            function = key.rpartition("/")[2]
            event = {
                "version": "2.0",
                "routeKey": key,
                "rawPath": path,
                "pathParameters": found.groupdict(),
                "requestContext": {"authorizer": {"iam": {"userArn": CALLER, "accountId": ACCOUNT}}},
            }
            try:
                return function, narrowing_of(event, function) or EVERYTHING
            except ConnectionNotFound:
                return None
    return None


def let_in(asked: Sequence[tuple[Policy, Mapping[str, str], str]]) -> list[bool]:
    """Tell for each path whether IAM lets a caller with a policy and with tags have it."""
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{Account().physical_id('Api')}/$default/POST"
    decisions = decide(
        Case(CALLER, "execute-api:Invoke", f"{arn}{path}", [policy], context=dict(tags)) for policy, tags, path in asked
    )
    return [decision == ALLOWED for decision in decisions]


def escapes(subject: Subject, readings: Sequence[tuple[Reading, Reading]]) -> dict[str, Act]:
    """Return what the holder of a policy gets done that the policy does not say: by which path, and what."""
    sent = set(paths(subject.own))
    compared = sorted({read(path) for path in sent for read, _ in readings} - {"/"})
    allowed = let_in([(subject.policy, subject.tags, path) for path in compared])
    is_let_in = dict(zip(compared, allowed, strict=True))
    done = {
        path: act
        for path in sent
        for by_iam, by_api in readings
        if is_let_in.get(by_iam(path)) and (act := done_by(by_api(path))) is not None
    }
    return {path: act for path, act in done.items() if not subject.may(act)}


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.heading)
def test_a_policy_opens_what_it_says(subject: Subject) -> None:
    """Of all plain paths, exactly those."""
    # given
    called: dict[str, Act] = {}
    for key in routes():
        for name in NAMES:
            path = re.sub(r"\{\w+\}", name, key.removeprefix("POST "))
            called[path] = key.rpartition("/")[2], EVERYTHING
            if named := re.search(r"\{(\w+)\}", key):
                called[path] = called[path][0], Narrowing(**{named[1]: name})

    # when
    allowed = let_in([(subject.policy, subject.tags, path) for path in called])

    # then
    opened = {path for path, is_allowed in zip(called, allowed, strict=True) if is_allowed}
    assert opened == {path for path, act in called.items() if subject.may(act)} != set()
    assert {path: done_by(path) for path in called} == called


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.heading)
def test_a_policy_opens_nothing_else(subject: Subject) -> None:
    """Not by dots, slashes, semicolons, case or percent signs, however IAM and the API read them."""
    assert escapes(subject, READINGS) == {}


def test_only_a_wildcard_depends_on_who_resolves_dots() -> None:
    """If IAM compared a path before its `..` is resolved, and the API routed it after, a policy with a `*` would leak.

    Nobody has reported that. docs/permissions.md says so, and docs/first-hour.md has it tried.
    """
    leaking = [subject.heading for subject in SUBJECTS if escapes(subject, [(plain, resolved), (plain, resolved_late)])]

    assert leaking == ["Ids with a prefix"]


TAGS = (
    *(None, "", " ", ".", "..", "/", "acme/token", "acme/../other", "../owners/acme", "acme/", "/acme", "acme//"),
    *("acme%2F..", "%61cme", "acme other", "acme:x", "acme=x", "acme+x", "acme@x", "acm\u00e9"),
    *("ACME", "acme", "a.b_c-1"),
)


def test_a_tag_opens_its_owner_and_nothing_else() -> None:
    """A tag may hold a slash, may be empty, and may be missing. `*` and `?` cannot be in a tag."""
    # given
    policy = next(subject.policy for subject in SUBJECTS if subject.heading == BY_TAG)
    plainly = [
        f"/v1{path}/{function}" for path in ("", "/owners", "/owners/", "/owners/acme") for function in FUNCTIONS
    ]
    asked = [(tag, path) for tag in TAGS for path in plainly]
    for tag, function in product(TAGS, FUNCTIONS):
        path = f"/v1/owners/{tag or ''}/{function}"
        asked += [(tag, read(path)) for read in (*SPELLINGS, resolved)]

    # when
    allowed = let_in([(policy, _tagged(tag), path) for tag, path in asked])

    # then
    done = {
        (tag, act[0], act[1].owner, act[1].connection_id)
        for (tag, path), is_allowed in zip(asked, allowed, strict=True)
        if is_allowed and (act := done_by(path))
    }
    assert done == {(owner, function, owner, None) for owner in ("ACME", "acme", "a.b_c-1") for function in TOKENS}


def _tagged(tag: str | None) -> dict[str, str]:
    return {} if tag is None else {"aws:PrincipalTag/owner": tag}

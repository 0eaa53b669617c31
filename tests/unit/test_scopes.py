"""Scopes as servers answer them: in other words than they were asked for."""

from __future__ import annotations

from typing import Any

import pytest

from functions.vault.grant.scopes import granted, missing, named_by_redirect

GOOGLE = {"email": ["https://acme.example/auth/userinfo.email"], "profile": ["https://acme.example/auth/profile"]}
CONTAINED = {"read_*": ["write_*"], "public": ["repo", "all"]}
SILENT: dict[str, list[str]] = {"offline_access": []}


@pytest.mark.parametrize(
    ("value", "separators", "words"),
    [
        ("read:org,repo", (",",), "read:org repo"),
        ("read:org, repo", (",",), "read:org repo"),
        ("read repo", (",",), "read repo"),
        ("a;b,c d", (",", ";"), "a b c d"),
        ("a,b", (" ",), "a,b"),
        ("a,b", (), "a,b"),
        (["a", "b,c"], (",",), "a b c"),
        (("a", "b"), (), "a b"),
        ("", (",",), None),
        (" , ", (",",), None),
        ([], (), None),
        (["a", 1], (), None),
        (7, (), None),
        (None, (), None),
    ],
)
def test_an_answers_scope_is_read_by_its_own_separators(value: Any, separators: Any, words: str | None) -> None:
    """Whatever separates scopes in requests; a space always does."""
    assert granted(value, separators) == words


@pytest.mark.parametrize(
    ("requested", "answered", "aliases", "lacks"),
    [
        ("read write", "read", {}, ("write",)),
        ("read", "read write", {}, ()),
        ("read write", "write read", {}, ()),
        ("write read admin", "read", {}, ("write", "admin")),
        (None, "read", {}, ()),
        ("read", None, {}, ()),
        (None, None, {}, ()),
        # Full names
        ("email profile", "openid https://acme.example/auth/userinfo.email", GOOGLE, ("profile",)),
        ("https://acme.example/auth/userinfo.email", "email", GOOGLE, ("https://acme.example/auth/userinfo.email",)),
        # What another scope contains
        ("read_orders read_items", "write_orders", CONTAINED, ("read_items",)),
        ("write_orders", "read_orders", CONTAINED, ("write_orders",)),
        ("public", "all", CONTAINED, ()),
        ("read_", "write_", CONTAINED, ()),
        ("xread_orders", "write_orders", CONTAINED, ("xread_orders",)),
        ("me:read", "me:write", {"*:read": ["*:write"]}, ()),
        ("ab", "b", {"ab*b": ["b"]}, ("ab",)),
        # What is never in an answer
        ("read offline_access", "read", SILENT, ()),
        ("read offline_access", "offline_access", SILENT, ("read",)),
        # Two entries for one scope: either is enough
        ("read_public", "all", {"read_*": ["write_*"], "read_public": ["all"]}, ()),
        # A star that is a scope's own
        ("everything", "*", {"everything": ["*"]}, ()),
        ("all", "x*", {"all": ["x*"]}, ()),
    ],
)
def test_what_is_missing_was_asked_for_and_not_granted(
    requested: str | None, answered: str | None, aliases: dict[str, list[str]], lacks: tuple[str, ...]
) -> None:
    """Under none of its names, in the order in which it was asked for. If one of the two is unknown, nothing is."""
    assert missing(requested, answered, aliases) == lacks


@pytest.mark.parametrize(
    ("value", "requested", "aliases", "words"),
    [
        ("read,write", "read write", {}, "read write"),
        ("read", "read write", {}, "read"),
        ("admin,read", "read write", {}, "read"),
        ("admin", "read", {}, ""),
        ("https://acme.example/auth/profile", "profile", GOOGLE, "https://acme.example/auth/profile"),
        ("read", None, {}, None),
        ("", "read", {}, None),
        (None, "read", {}, None),
    ],
)
def test_a_redirect_takes_away_from_what_was_asked_for(
    value: Any, requested: str | None, aliases: dict[str, list[str]], words: str | None
) -> None:
    """It is the visitor's word, and adds nothing."""
    assert named_by_redirect(value, (",",), requested, aliases) == words


@pytest.mark.parametrize(("refreshable", "lacking"), [(True, ()), (False, ("offline_access",))])
def test_a_refresh_token_is_what_offline_access_asks_for(*, refreshable: bool, lacking: tuple[str, ...]) -> None:
    """A server that sent one need not name the scope; without one, it is missing."""
    asked, answered = "read offline_access", "read"

    assert missing(asked, answered, {}, refreshable=refreshable) == lacking
    assert missing(asked, answered, {}) == ("offline_access",)


def test_a_scope_is_stored_up_to_8192_characters() -> None:
    """A server that sends more must not make a record too large."""
    assert granted("x" * 9000, ()) == "x" * 8192

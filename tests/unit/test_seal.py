"""To whom a token set was issued: what counts as the same client, and what as used alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.vault.grant.seal import Seal, Sealer, Whose
from functions.vault.grant.token_set import TokenSet

WHOSE = Whose(
    "acme",
    "client-1",
    {"shop": "1"},
    "https://acme.example",
    {"token": "https://acme.example", "account": "https://api.acme.example"},
)


@pytest.mark.parametrize(
    ("ours", "others", "is_same"),
    [
        ({}, {}, True),
        ({}, {"issuer": None, "origins": {}}, True),
        ({}, {"client_id": "client-2"}, False),
        ({}, {"provider": "other"}, False),
        ({}, {"parameters": {"shop": "2"}}, False),
        ({}, {"client_id": None}, True),
        ({"client_id": None}, {}, True),
        ({"client_id": None}, {"client_id": None}, True),
        ({"client_id": None}, {"parameters": {"shop": "2"}}, False),
        ({"client_id": None}, {"provider": "other"}, False),
    ],
)
def test_an_unknown_client_is_taken_for_the_same(
    ours: dict[str, Any], others: dict[str, Any], *, is_same: bool
) -> None:
    """Provider and tenant are always known, and have to be the same."""
    assert replace(WHOSE, **ours).is_of_the_same_client(replace(WHOSE, **others)) is is_same


@pytest.mark.parametrize(
    ("others", "is_alike"),
    [
        ({}, True),
        ({"origins": {"token": "https://acme.example"}}, True),
        ({"origins": {**WHOSE.origins, "account": "https://elsewhere.example"}}, True),
        ({"origins": {**WHOSE.origins, "token": "https://elsewhere.example"}}, False),
        ({"origins": {"account": "https://api.acme.example"}}, False),
        ({"client_id": "client-2"}, False),
        ({"client_id": None}, False),
        ({"provider": "other"}, False),
        ({"parameters": {}}, False),
        ({"issuer": None}, False),
    ],
)
def test_what_is_used_alike_is_refreshed_and_revoked_at_the_same_places(
    others: dict[str, Any], *, is_alike: bool
) -> None:
    """For the same client and tenant. Where its account is asked for does not matter."""
    assert WHOSE.is_used_like(replace(WHOSE, **others)) is is_alike
    assert replace(WHOSE, **others).is_used_like(WHOSE) is is_alike


def test_an_unknown_client_is_like_none() -> None:
    """Not even like another that is unknown: two may lie behind that."""
    unknown = replace(WHOSE, client_id=None)

    assert not unknown.is_used_like(unknown)


def test_what_a_seal_and_an_owner_do_not_say_is_unknown() -> None:
    """Format 1 named neither key nor client, and most servers have no tenants."""
    seal, whose = Seal(b"sealed", 1, 7), Whose("acme")

    assert (seal.ciphertext, seal.format, seal.version, seal.key) == (b"sealed", 1, 7, None)
    assert (whose.client_id, whose.parameters, whose.issuer, whose.origins) == (None, {}, None, {})


def test_a_sealer_shows_no_token() -> None:
    """Nor does what it has sealed."""
    sealer = Sealer("set-1", WHOSE, lambda tokens: Seal(tokens.to_bytes()[::-1], 2, 1))

    sealed = sealer.seal(TokenSet("AT-hidden", "RT-hidden"))

    assert "hidden" not in f"{sealer!r} {sealed!r}"

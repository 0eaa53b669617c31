"""What can be read from a connection's record."""

from dataclasses import replace

import pytest

from functions.vault.base.errors import (
    ConfirmationRequired,
    ConnectionRevoked,
    GatehouseError,
    ReauthorizationRequired,
)
from functions.vault.grant.life import Status
from tests.unit.samples import NOW, connection, token_response


@pytest.mark.parametrize(
    ("seconds", "valid_for"),
    [(0, 3600), (60, 3540), (3599, 1), (3600, 1800), (7200, 1800)],
)
def test_a_token_is_valid_until_its_end_less_what_is_asked_for(seconds: int, valid_for: int) -> None:
    """If a caller asks for more than the token's lifetime, the first half of that will do."""
    made = connection()

    assert made.is_valid_for(seconds, NOW + valid_for - 0.001)
    assert not made.is_valid_for(seconds, NOW + valid_for)


@pytest.mark.parametrize(
    ("age", "lifetime", "expected"), [(0, 3600, True), (9, 3600, True), (10, 3600, False), (4, 5, True), (5, 5, False)]
)
def test_a_valid_token_set_counts_as_just_obtained_for_ten_seconds(age: int, lifetime: int, *, expected: bool) -> None:
    """A refresh would bring no better one, unless it has expired by then."""
    made = connection(token_response(expires_at=NOW + lifetime))

    assert made.was_just_obtained(NOW + age) is expected


def test_a_token_without_known_expiry_is_valid() -> None:
    """Until a caller says otherwise with `refresh`."""
    assert connection(token_response(expires_at=None)).is_valid_for(10**9, NOW + 10**9)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (Status.ACTIVE, None),
        (Status.UNCONFIRMED, ConfirmationRequired),
        (Status.REAUTHORIZATION_REQUIRED, ReauthorizationRequired),
        (Status.REVOKING, ConnectionRevoked),
        (Status.REVOKED, ConnectionRevoked),
    ],
)
def test_each_status_vends_or_says_why_not(status: Status, error: type[GatehouseError] | None) -> None:
    """Only an active connection has a token to give; the others name the connection and the reason."""
    made = replace(connection(), status=status)

    if error is None:
        made.require_vendable()
        return
    with pytest.raises(error) as caught:
        made.require_vendable()
    assert caught.value.connection_id == "merchant-1"


@pytest.mark.parametrize(
    ("status", "provider", "owner", "belongs"),
    [
        (Status.ACTIVE, "acme", "owner-1", True),
        (Status.ACTIVE, "acme", "owner-2", False),
        (Status.ACTIVE, "acme", None, False),
        (Status.ACTIVE, "other", "owner-1", False),
        (Status.REAUTHORIZATION_REQUIRED, "acme", "owner-1", True),
        (Status.REAUTHORIZATION_REQUIRED, "other", "owner-1", False),
        (Status.REVOKING, "acme", "owner-1", True),
        (Status.REVOKING, "acme", "owner-2", False),
        (Status.REVOKED, "other", "owner-2", True),
        (Status.REVOKED, "acme", None, True),
    ],
)
def test_a_connection_belongs_to_one_party(status: Status, provider: str, owner: str | None, *, belongs: bool) -> None:
    """Its id is free for another owner or provider only when it is revoked."""
    assert replace(connection(), status=status).belongs_to(provider, owner) is belongs


def test_the_ciphertext_shows_in_no_representation() -> None:
    """Not a secret by itself, and still nothing for a log."""
    assert "sealed-1" not in repr(connection())

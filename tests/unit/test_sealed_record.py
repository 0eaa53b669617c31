"""A sealed record after any change: it does not open, nothing is vended, and nothing of it is lost."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.grant.seal import Seal, Whose
from functions.vault.grant.token_set import TokenSet
from functions.vault.storage import sealing
from functions.vault.storage.attributes import write_item
from functions.vault.storage.connection_item import connection_item, connection_of
from functions.vault.storage.sealing import SealBroken
from tests.unit.samples import with_current
from tests.unit.services import MemoryServices

if TYPE_CHECKING:
    from collections.abc import Iterator

    Path = tuple[str | int, ...]

OF_THE_RECORD: tuple[Path, ...] = (("connection_id",), ("provider",), ("version",))
OF_THE_SET: dict[int, tuple[Path, ...]] = {
    1: (("seal", "ciphertext"), ("seal", "format"), ("seal", "version"), ("whose", "provider")),
    2: (("seal",), ("whose",), ("id",)),
}
"""What each format is bound to, by where a record and its token set have it. Format 1 knew neither client nor key."""


@pytest.fixture
def services() -> MemoryServices:
    """Give services with a connection at version 1, whose token set is in memory."""
    made = MemoryServices()
    made.connect()
    assert made.token()["access_token"] == "AT-1"
    return made


def in_format_1(services: MemoryServices) -> None:
    """Have the record hold what was sealed in format 1, opened before."""
    earlier = with_current(services.stored(), seal=services.sealed_before(TokenSet("AT-1", "RT-1")))
    services.connections.records["merchant-1"] = earlier
    assert services.token()["access_token"] == "AT-1"


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Give each value of an item, by its path."""
    if isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, name))
    else:
        yield path, value


def others(value: Any) -> Iterator[Any]:
    """Give every value that differs from one in one octet, character or digit; and it cut, and with one more."""
    if value is None:
        yield "https://evil.example"
    elif isinstance(value, bytes):
        yield from (value[:at] + bytes([value[at] ^ (1 << at % 8)]) + value[at + 1 :] for at in range(len(value)))
        yield from (value[:-1], value + b"\0", b"")
    elif isinstance(value, str):
        yield from (value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :] for at in range(len(value)))
        yield from (value[:-1], value + "x")
    else:
        digits = str(value)
        changed_digits = {
            int(digits[:at] + digit + digits[at + 1 :]) for at in range(len(digits)) for digit in "0123456789"
        }
        yield from (changed_digits | {value * 10}) - {value}


def changed(item: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Return an item with another value at a path."""
    made = deepcopy(item)
    part: Any = made
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return made


def test_no_changed_octet_of_a_record_opens(services: MemoryServices) -> None:
    """Of ciphertext and context, in format 2. Everything that it is bound to is tried, one octet after the other."""
    assert tried(services, 2) > 280


def test_no_changed_octet_of_an_earlier_record_opens(services: MemoryServices) -> None:
    """The same in format 1, which still opens."""
    in_format_1(services)

    assert tried(services, 1) > 200


def tried(services: MemoryServices, made_as: int) -> int:
    """Change everything that the current token set is bound to, and return how many changes were tried."""
    whole = services.stored()
    item = connection_item(whole)
    bound = [*OF_THE_RECORD, *(("sets", 0, *path) for path in OF_THE_SET[made_as])]
    changes = [
        (path, other)
        for path, value in leaves(item)
        if any(path[: len(prefix)] == prefix for prefix in bound)
        for other in others(value)
    ]
    opened = []
    for path, value in changes:
        record = connection_of(write_item(changed(item, path, value)))
        services.connections.records = {record.connection_id: record}
        try:
            opened.append((path, value, services.vending.token(record.connection_id, 60, services.deadline())))
        except SealBroken:
            assert services.connections.records == {record.connection_id: record}
    assert opened == []
    assert services.server.requests == []
    services.connections.records = {"merchant-1": whole}
    assert services.token()["access_token"] == "AT-1"
    return len(changes)


def test_every_field_of_whose_it_is_is_sealed_with_it(services: MemoryServices) -> None:
    """One that it gets later has to be among what the token set is bound to; then it is tried here, too."""
    held = services.stored().sets[0]

    bound = sealing.whole_context_of({}, held.id, held.whose, "key-1")

    assert bound["whose"].keys() == {field.name for field in fields(Whose)}
    assert {field.name for field in fields(Seal)} == {"ciphertext", "format", "version", "key"}


def test_what_does_not_open_is_not_sent(services: MemoryServices) -> None:
    """A refresh and a revocation of a changed record send nothing. Once it is whole again, both work."""
    whole = services.stored()
    seal = whole.sets[0].seal
    broken = replace(seal, ciphertext=seal.ciphertext[:-1] + b"\0")
    services.connections.records["merchant-1"] = with_current(whole, seal=broken)
    services.pass_time(3600)()

    for call in (services.refresh, services.token):
        with pytest.raises(SealBroken):
            call()

    assert services.server.requests == []
    services.connections.records["merchant-1"] = with_current(services.stored(), seal=seal)
    assert services.token()["access_token"] == "AT-2"

"""The index `listed` of the table of connections: which list a connection is in, and under which key.

A connection that needs a person is in a list of such connections. Any other is in its owner's list if it has an owner,
and in no list if it has none. The lists of connections that need a person are divided into shards, by owner.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zlib import crc32

from functions.vault.grant.connection import NEEDS
from functions.vault.grant.life import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.grant.connection import Connection

_SHARDS = 16


def keys_of(connection: Connection) -> dict[str, str]:
    """Return the index's partition and sort key of a connection; neither if it is in no list."""
    owner, needs = connection.owner, connection.needs
    if needs is not None:
        listed_in = f"{needs} {_shard_of(owner or connection.connection_id)}"
    elif owner is not None:
        listed_in = f"owner {owner}"
    else:
        return {}
    return {"listed_in": listed_in, "listed_as": listed_as(owner, connection.connection_id)}


def listed_as(owner: str | None, connection_id: str) -> str:
    """Return the sort key of a connection. It has a digest of the owner, who may be longer than a sort key can be."""
    return (sha256(owner.encode()).hexdigest()[:32] if owner is not None else "-") + f" {connection_id}"


def lists_for(where: Mapping[str, Any]) -> list[str]:
    """Return the lists that together hold all matches of `where`; none if the table itself has to be read.

    Whatever is `reauthorization_required` needs a person.
    """
    needs = [where["needs"]] if "needs" in where else list(NEEDS)
    need_a_person = "needs" in where or where.get("status") == Status.REAUTHORIZATION_REQUIRED
    if "owner" in where:
        shard = _shard_of(where["owner"])
        return [*([] if need_a_person else [f"owner {where['owner']}"]), *(f"{each} {shard}" for each in needs)]
    return [f"{each} {shard}" for each in needs for shard in range(_SHARDS)] if need_a_person else []


def _shard_of(text: str) -> int:
    return crc32(text.encode()) % _SHARDS

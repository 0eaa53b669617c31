"""Documents for `rescue`: as Gatehouse writes them, and nearly."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.properties.deployment import prepared
from tests.properties.shapes import any_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import DrawFn

    from functions.vault.oauth.transport import Answer

_ABSENT = object()
_EARLIER = {
    "connection_id": "old",
    "provider": "acme",
    "version": 2,
    "holder": "holder-1",
    "origin": {"version": 1, "attempt": 1},
    "parameters": {},
    "tokens": {
        "sealed": "AQAA",
        "refreshable": True,
        "token_type": "Bearer",
        "obtained_at": 1_700_000_000,
        "expires_at": 1_700_003_600,
    },
}
"""A document as earlier releases wrote it, with a seal that opens nowhere."""


@cache
def written() -> tuple[str, ...]:
    """Return what Gatehouse writes if the table takes nothing: of a refresh, of two consents, of an earlier release."""
    return (_queued_by("refresh"), _queued_by("acme"), _queued_by("asked"), json.dumps(_EARLIER))


def _queued_by(what: str) -> str:
    deployment = prepared().copy()

    def issue(form: dict[str, str]) -> Answer:
        deployment.account.dynamo.throttles = True
        return deployment.server.issue(form)

    deployment.server.said = issue
    if what == "refresh":
        deployment.call("refresh", {"connection_id": "old"})
    else:
        deployment.come_back(deployment.visits[what], code="code-that-was-rescued")
    ((_, body),) = deployment.account.messages
    return body


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to each value in a document."""
    for name in value if isinstance(value, dict) else ():
        yield (*way, name)
        yield from _places(value[name], (*way, name))


@st.composite
def documents(draw: DrawFn) -> Any:
    """Give a document: as it was written, or with one value in place of another, or without one, or with one more."""
    document = json.loads(draw(st.sampled_from(written())))
    if draw(st.integers(0, 4)) == 0:
        return document
    for _ in range(draw(st.sampled_from((1, 1, 1, 2)))):
        *way, last = draw(st.sampled_from(list(_places(document))))
        holder = document
        for name in way:
            holder = holder.get(name) if isinstance(holder, dict) else None
        if not isinstance(holder, dict):
            continue
        value = draw(st.just(_ABSENT) | any_json)
        if value is _ABSENT:
            holder.pop(last, None)
        else:
            holder[draw(st.sampled_from((last, last, last, "unknown")))] = copy.deepcopy(value)
    return document

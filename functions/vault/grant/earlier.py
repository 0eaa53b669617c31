"""Records and messages of earlier releases, turned into today's form. Loaded only when one is met.

A record had one token set (`sealed`, with its times and its lease beside it) and `withdrawals`, which were yet to be
revoked at their server. It had no `changes`. A token set had no id, only a version. An answer that came from
one refers to it as `v` and that version, to this day.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from . import scopes
from .life import Place, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_THE_SET = (
    "token_type",
    "expires_at",
    "refresh_at",
    "refresh_expires_at",
    "refreshable",
    "client_secret_used",
    "attempts",
    "lease",
)
"""Attributes of the one token set that a record had."""

ONLY_EARLIER = ("sealed", *_OF_THE_SET, "origin", "withdrawals", "withdrawal_changes")
"""Attributes that go when a record is written in today's form."""


def record_in_todays_form(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of an earlier record in today's form; it has no `changes` until it is written."""
    later = {name: value for name, value in item.items() if name not in ONLY_EARLIER}
    sets = [_current(item)] if "sealed" in item else []
    sets += [_revoking(each) for each in item.get("withdrawals", ())]
    revoked = tuple(
        {"answers": _answers(each.get("said", {})), **{name: each[name] for name in each if name != "said"}}
        for each in item.get("revocation", ())
    )
    missing = scopes.missing(item.get("requested_scope"), item.get("scope"), {})
    return {**later, "scope_missing": missing, "sets": tuple(sets), "revocation": revoked}


def _current(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": _id_of(item["version"]),
        "place": Place.CURRENT,
        "seal": _seal(item["sealed"], item["version"]),
        "whose": {"provider": item["provider"], "parameters": item.get("parameters", {})},
        "request_id": item.get("authorized_by"),
        "refreshed_from": _refreshed_from(item.get("origin")),
        "was_refused": item["status"] == Status.REAUTHORIZATION_REQUIRED,
        **{name: item[name] for name in _OF_THE_SET if name in item},
    }


def _revoking(each: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": _id_by(each["sealed"]),
        "place": Place.REVOKING,
        "seal": _seal(each["sealed"], each["version"]),
        "whose": {"provider": each["provider"], "parameters": each.get("parameters", {})},
        "revocation": {
            "since": each["at"],
            "open_attempts": each.get("under_way", 0),
            "answers": _answers(each.get("said", {})),
            "failure": each.get("failure"),
        },
    }


def obtained_in_todays_form(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of an answer on its way, as earlier releases wrote it, in today's form."""
    later = {
        name: value for name, value in document.items() if name not in {"provider", "version", "origin", "parameters"}
    }
    tokens = dict(document["tokens"])
    sealed = tokens.pop("sealed")
    tokens |= {
        "id": _id_by(str(sealed).encode()),
        "seal": _seal(sealed, document["version"]),
        "whose": {"provider": document["provider"], "parameters": document.get("parameters", {})},
    }
    authorized = document.get("authorized")
    if authorized:
        tokens["scope_missing"] = scopes.missing(authorized.get("requested_scope"), tokens.get("scope"), {})
    return {
        **later,
        "tokens": tokens,
        "refreshed_from": _refreshed_from(document.get("origin")),
        "request_id": authorized["request_id"] if authorized else None,
    }


def _refreshed_from(origin: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {"set_id": _id_of(origin["version"]), "attempt": origin["attempt"]} if origin else None


def _answers(earlier: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: {"answer": entry["said"], "at": entry["at"]} for kind, entry in earlier.items()}


def _seal(ciphertext: Any, version: int) -> dict[str, Any]:
    return {"ciphertext": ciphertext, "format": 1, "version": version}


def _id_of(version: int) -> str:
    return f"v{version}"


def _id_by(sealed: bytes) -> str:
    """Return an id for what had none and shares its version with others."""
    return sha256(sealed).hexdigest()[:16]

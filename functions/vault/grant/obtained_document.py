"""An answer on its way into the record, written down: for the rescue queue and, as the last resort, the log."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .authorized import Authorized
from .obtained import Obtained
from .seal import PENDING, TOKENS, Seal, Whose
from .stored_set import RefreshedFrom
from .tokens import SealedTokens

if TYPE_CHECKING:
    from collections.abc import Mapping


def to_json(obtained: Obtained) -> str:
    """Return an answer as one line of JSON; the only tokens in it are sealed."""
    document = asdict(obtained)
    document["tokens"]["seal"]["ciphertext"] = b64encode(obtained.tokens.seal.ciphertext).decode()
    return json.dumps(document, separators=(",", ":"))


def from_document(document: Mapping[str, Any]) -> Obtained:
    """Return the answer of a JSON document made by `to_json`. Raises `ValueError` if it is not one."""
    try:
        if "sealed" in document["tokens"]:
            from .earlier import obtained_in_todays_form  # noqa: PLC0415 - none is written any more

            document = obtained_in_todays_form(document)
        tokens = dict(document["tokens"])
        ciphertext = b64decode(tokens["seal"]["ciphertext"], validate=True)
        tokens |= {"seal": Seal(**{**tokens["seal"], "ciphertext": ciphertext}), "whose": Whose(**tokens["whose"])}
        tokens["scope_missing"] = tuple(tokens.get("scope_missing", ()))
        source, authorized = document.get("refreshed_from"), document.get("authorized")
        if bool(source) is bool(authorized) or document.get("purpose", TOKENS) not in {TOKENS, PENDING}:
            # Without either it would belong to nothing, and be taken for foreign: lost without a trace.
            raise ValueError  # noqa: TRY301 - said in one place, for every way to be malformed
        obtained = Obtained(
            **{
                **document,
                "tokens": SealedTokens(**tokens),
                "refreshed_from": RefreshedFrom(**source) if source else None,
                "authorized": Authorized(**authorized) if authorized else None,
            }
        )
        if not _may_be_opened(obtained):
            raise ValueError  # noqa: TRY301 - as above
    except (KeyError, TypeError, ValueError):
        raise ValueError("not a token response as Gatehouse writes them to the rescue queue") from None
    return obtained


def _may_be_opened(obtained: Obtained) -> bool:
    """Return whether what the ciphertext is bound to has the types that it is sealed with."""
    tokens, seal = obtained.tokens, obtained.tokens.seal
    texts: tuple[Any, ...] = (obtained.connection_id, tokens.id, tokens.whose.provider)
    numbers: tuple[Any, ...] = (seal.version, seal.format)
    has_a_key = isinstance(seal.key, str | None)
    return has_a_key and all(isinstance(each, str) for each in texts) and all(map(_counts, numbers))


def _counts(value: Any) -> bool:
    return type(value) is int and value > 0

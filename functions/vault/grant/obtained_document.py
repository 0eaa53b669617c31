"""An answer on its way into the record, written down: for the rescue queue and, as the last resort, the log."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from functions.vault.base.fields import CONNECTION_ID, PROVIDER_NAME, matches
from functions.vault.base.read_record import read_record

from .authorized import Authorized
from .obtained import Obtained
from .seal import PENDING, TOKENS, Seal, Whose
from .stored_set import RefreshedFrom
from .tokens import SealedTokens

_NOT_ONE = "not a token response as Gatehouse writes them to the rescue queue"

_KMS_KEY = r"[A-Za-z0-9:/_.-]{1,2048}"
_LARGEST_FORMAT = 255
"""The number of a format is one octet of what is sealed."""


def to_json(obtained: Obtained) -> str:
    """Return an answer as one line of JSON; the only tokens in it are sealed."""
    document = asdict(obtained)
    document["tokens"]["seal"]["ciphertext"] = b64encode(obtained.tokens.seal.ciphertext).decode()
    return json.dumps(document, separators=(",", ":"))


def from_document(document: Mapping[str, Any]) -> Obtained:
    """Return the answer of a JSON document made by `to_json`. Raises `ValueError` if it is not one."""
    try:
        if not isinstance(document["tokens"], Mapping):
            raise ValueError("tokens: expected an object")  # noqa: TRY004, TRY301 - as all that is wrong
        if "sealed" in document["tokens"]:
            from .earlier import obtained_in_todays_form  # noqa: PLC0415 - none is written any more

            document = obtained_in_todays_form(document)
        tokens = dict(document["tokens"])
        ciphertext = _octets(tokens["seal"]["ciphertext"])
        tokens["seal"] = read_record(Seal, {**tokens["seal"], "ciphertext": ciphertext}, "tokens.seal")
        tokens["whose"] = read_record(Whose, tokens["whose"], "tokens.whose")
        tokens["scope_missing"] = tuple(tokens.get("scope_missing", ()))
        whole = {**document, "tokens": read_record(SealedTokens, tokens, "tokens")}
        for name, kind in (("refreshed_from", RefreshedFrom), ("authorized", Authorized)):
            whole[name] = read_record(kind, document[name], name) if document.get(name) else None
        obtained = read_record(Obtained, whole, "document")
    except (AttributeError, KeyError, TypeError, UnicodeError):
        raise ValueError(_NOT_ONE) from None
    except ValueError as error:
        raise ValueError(f"{_NOT_ONE}: {error}") from None
    _check_whole(obtained)
    return obtained


def _octets(text: Any) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise ValueError("tokens.seal.ciphertext: expected base64") from None


def _check_whole(obtained: Obtained) -> None:
    """Raise `ValueError` if an answer would belong to nothing: it would be taken for foreign, and lost."""
    if (obtained.refreshed_from is None) is (obtained.authorized is None):
        raise ValueError(f"{_NOT_ONE}: expected one of refreshed_from and authorized")
    if obtained.purpose not in {TOKENS, PENDING}:
        raise ValueError(f"{_NOT_ONE}: purpose: expected {TOKENS} or {PENDING}")
    seal = obtained.tokens.seal
    if not (seal.version and 0 < seal.format <= _LARGEST_FORMAT):
        raise ValueError(f"{_NOT_ONE}: expected version and format of the seal from 1 on")
    if seal.key is not None and not matches(seal.key, _KMS_KEY):
        raise ValueError(f"{_NOT_ONE}: tokens.seal.key: expected the name of a KMS key, or null")
    is_named = matches(obtained.connection_id, CONNECTION_ID) and matches(obtained.tokens.whose.provider, PROVIDER_NAME)
    if not is_named:
        raise ValueError(f"{_NOT_ONE}: expected a connection_id and a provider as start takes them")

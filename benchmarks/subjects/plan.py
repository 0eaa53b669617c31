"""The calls that a subject makes: the environment variable PLAN, read once, as a function has its code."""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode
from typing import Any

_PLAN: dict[str, Any] = json.loads(os.environ["PLAN"])


def _native(value: Any, key: str = "") -> Any:
    """Return a document as clients take it: what JSON spells in base64 is bytes."""
    if isinstance(value, dict):
        return {name: _native(entry, name) for name, entry in value.items()}
    if isinstance(value, list):
        return [_native(entry) for entry in value]
    return b64decode(value) if key in {"B", "CiphertextBlob"} and isinstance(value, str) else value


def _method(operation: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    (service, _method(operation), _native(document)) for service, operation, document in _PLAN["calls"]
]
SERVICES: list[str] = sorted({service for service, _, _ in CALLS})
PROVIDER: tuple[str, str] | None = tuple(_PLAN["provider"]) if _PLAN["provider"] else None
"""The URL of a token endpoint, and the form that is sent there."""

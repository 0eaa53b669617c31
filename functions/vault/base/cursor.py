"""Cursors: where a long answer goes on, as a text that its caller hands back. It is no secret, and may be changed."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any


def cursor_of(place: Any) -> str:
    """Return a JSON value as a cursor."""
    return urlsafe_b64encode(json.dumps(place, sort_keys=True).encode()).decode()


def unverified_place(cursor: str) -> Any:
    """Return the JSON value in a cursor, which a caller has sent; None if there is none. Its form is still to check."""
    try:
        return json.loads(urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError):
        return None

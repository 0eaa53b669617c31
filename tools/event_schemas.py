"""`python -m tools.event_schemas`: writes the JSON Schemas of the events, from the code that makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from functions.vault.grant.announced import FIELDS, GIVEN, KINDS, UNCONFIRMED

FOLDER = Path(__file__).parent.parent / "docs" / "events"


def schema(detail_type: str) -> dict[str, Any]:
    """Return the schema of the detail of one type of event, like `connection.revoked`."""
    kind = detail_type.removeprefix("connection.")
    fields = {**GIVEN, **{name: entry[:2] for name, entry in FIELDS.items()}}
    if kind == "authorized":
        fields["unconfirmed"] = UNCONFIRMED
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": detail_type,
        "description": KINDS[kind],
        "type": "object",
        "required": list(fields),
        "properties": {name: {"description": text, **demands} for name, (demands, text) in fields.items()},
    }


def documents() -> dict[str, str]:
    """Return the documents by their file names."""
    types = [f"connection.{kind}" for kind in KINDS]
    return {f"{name}.json": json.dumps(schema(name), indent=2, ensure_ascii=True) + "\n" for name in types}


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""`python -m tools.contract_schemas`: writes docs/contracts, the JSON Schemas of what functions take and answer.

What a function takes comes from the checks that read its requests. What it answers is written here, with values that
the code has (statuses, codes, what a grant can be), and the tests compare every answer that they see with it. A request
says everything: an unknown field is refused. An answer may get further fields at any time.
"""

from __future__ import annotations

import inspect
import json
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import BY_CODE
from functions.vault.base.fields import CONNECTION_ID, PROVIDER_NAME, Whole
from functions.vault.grant.connection import NEEDS
from functions.vault.grant.life import Status
from functions.vault.grant.revocation import ENDED_WITH_ALL, LEFT_AT_THE_SERVER
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.base.fields import Fields

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "contracts"
DRAFT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "integer", "minimum": 0, "description": "Unix seconds"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_NUMBERS: Schema = {"type": "object", "additionalProperties": _NUMBER}
_ID: Schema = {"type": "string", "pattern": CONNECTION_ID}
_PROVIDER: Schema = {"type": "string", "pattern": PROVIDER_NAME}
_STATUS: Schema = {"enum": [str(status) for status in Status]}


def _object(optional: Mapping[str, Schema] | None = None, /, **required: Schema) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "required": [*required], "properties": properties}


def _or_null(schema: Schema) -> Schema:
    """Return a schema that takes null as well."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]} if schema else {}


_SERVER_SAID = _object(error=_TEXT, error_description=_or_null(_TEXT), status=_or_null(_NUMBER))
_ATTEMPT = _object(
    {"error": _TEXT, "provider_error": _SERVER_SAID},
    request_id=_TEXT,
    at=_TIME,
    outcome={"enum": ["connected", "unconfirmed", "denied", "failed", "refused", "replaced", "unfinished"]},
)
_FAILURE = _object(
    code={"enum": [*BY_CODE]},
    description=_TEXT,
    count=_NUMBER,
    at=_TIME,
    retry_at=_TIME,
    provider_error=_or_null(_SERVER_SAID),
)
_LISTED: dict[str, Schema] = {
    "connection_id": _ID,
    "provider": _PROVIDER,
    "status": _STATUS,
    "needs": {"enum": [*NEEDS, None]},
    "refreshable": _FLAG,
    "version": _NUMBER,
    "scope": _or_null(_TEXT),
    "requested_scope": _or_null(_TEXT),
    "scope_missing": {"type": "array", "items": _TEXT},
    "token_type": _or_null(_TEXT),
    "expires_at": _or_null(_TIME),
    "refresh_expires_at": _or_null(_TIME),
    "subject": _or_null(_TEXT),
    "client_secret_used": {"enum": ["newest", "previous", None]},
    "owner": _or_null(_TEXT),
    "metadata": _TEXTS,
    "parameters": _TEXTS,
    "tags": _TEXTS,
    "created_at": _TIME,
    "updated_at": _TIME,
    "refreshed_at": _or_null(_TIME),
    "failure": _or_null(_FAILURE),
}
_TOKEN = _object(
    connection_id=_ID,
    provider=_PROVIDER,
    access_token={"type": "string", "minLength": 1, "description": "secret: keep it out of logs"},
    token_type={"type": "string", "description": "goes before the access token in the header Authorization"},
    expires_at={**_or_null(_TIME), "description": "Unix seconds; null if nobody knows"},
    scope=_or_null(_TEXT),
    version={"type": "integer", "minimum": 1, "description": "give it to refresh as if_version after a 401"},
    subject={**_or_null(_TEXT), "description": "the account at the provider"},
    metadata={**_TEXTS, "description": "what else a caller needs to use the token, like the host of the API"},
)
_WRITTEN = _object(connection_id=_ID, status=_STATUS, version=_NUMBER)

ANSWERS: dict[str, Schema] = {
    "start": _object(
        connection_id=_ID,
        request_id={"type": "string", "pattern": "[A-Za-z0-9_-]{22}"},
        authorize_url={
            "type": "string",
            "format": "uri",
            "description": "redirect the browser there at once",
        },
        expires_at={**_TIME, "description": "Unix seconds: when the link has expired"},
    ),
    "confirm": _WRITTEN,
    "token": _TOKEN,
    "refresh": _TOKEN,
    "revoke": _object(
        {"grant": {"enum": [LEFT_AT_THE_SERVER, ENDED_WITH_ALL]}},
        connection_id=_ID,
        status={"enum": [str(Status.REVOKED), str(Status.REVOKING)]},
    ),
    "connections": {
        "oneOf": [
            _object(
                connection=_object(
                    **_LISTED,
                    client_id=_or_null(_TEXT),
                    left_alone=_or_null(_object(asked_at=_TIME, next_at=_TIME)),
                    last_attempt=_or_null(_ATTEMPT),
                )
            ),
            _object(last_attempt=_or_null(_ATTEMPT)),
            _object({"cursor": _TEXT}, connections={"type": "array", "items": _object(**_LISTED)}),
        ]
    },
    "import_connection": _WRITTEN,
    "reseal": _object(
        {"cursor": _TEXT},
        key=_TEXT,
        connections=_NUMBER,
        resealed=_NUMBER,
        left=_NUMBER,
        unopened=_NUMBER,
        waiting=_object(pending=_NUMBER, revoking=_NUMBER),
        keys=_NUMBERS,
    ),
    "export": _object(
        {"jwe": {"type": "string", "description": "compact JWE (RFC 7516)"}, "cursor": _TEXT},
        exported=_NUMBER,
        left_out={"type": "array", "items": _object(connection_id=_ID, reason=_TEXT)},
        token_sets_left=_NUMBERS,
        key={"type": "string", "description": "thumbprint of the public key (RFC 7638)"},
    ),
    "sweep": _object(queued=_NUMBER, complete=_FLAG),
    "rescue": _WRITTEN,
    "events": _object(published={"type": "array", "items": _TEXT}),
}
"""What each function answers if nothing fails."""

_NOTES = {
    "request": "A field that is null counts as absent, an unknown one is refused. Whole numbers have no decimal point.",
    "answer": "What the function answers: its result, or else a failure. Further fields may come at any time.",
}
_SERVICES: Any = SimpleNamespace(settings=SimpleNamespace(return_to_origins=frozenset()))
"""What a function needs to say what it takes: with no address that return_to may have."""


def handlers() -> dict[str, InvokeHandler]:
    """Return the functions that take a JSON object, by their names."""
    names = sorted(path.stem for path in (ROOT / "functions").glob("*.py") if path.stem != "__init__")
    found = {name: import_module(f"functions.{name}").handler for name in names}
    return {name: handler for name, handler in found.items() if isinstance(handler, InvokeHandler)}


def fields_of(handler: InvokeHandler) -> Fields:
    """Return the checks that read the requests of a function."""
    fields = handler.fields(_SERVICES)
    return fields.named if isinstance(fields, Whole) else fields


def request_schema(name: str, handler: InvokeHandler) -> Schema:
    """Return the schema of the requests that a function takes."""
    fields, explained = fields_of(handler), _explained(name)
    what = (inspect.getdoc(import_module(f"functions.{name}")) or "").splitlines()[0]
    return {
        "$schema": DRAFT,
        "title": f"{name}: request",
        "description": f"{what} {_NOTES['request']}",
        "type": "object",
        "required": sorted(fields.required),
        "properties": {
            field: _described(check, explained.get(field), is_required=field in fields.required)
            for field, check in fields.checks.items()
        },
        "additionalProperties": False,
    }


def _described(check: Any, explanation: str | None, *, is_required: bool) -> Schema:
    accepted = anchored(getattr(check, "schema", {}))
    example = getattr(check, "example", None)
    return {
        **({"description": explanation} if explanation else {}),
        **(accepted if is_required else _or_null(accepted)),
        **({"examples": [example]} if example is not None else {}),
    }


def answer_schema(name: str, *, closed: bool = False) -> Schema:
    """Return the schema of what a function answers. A closed one takes no further field, as the tests have it."""
    result = ANSWERS[name]
    ways = [*result.get("oneOf", [result]), failure_schema()]
    schema = {"oneOf": anchored([_closed(way) for way in ways] if closed else ways)}
    return {"$schema": DRAFT, "title": f"{name}: answer", "description": _NOTES["answer"], **schema}


def failure_schema() -> Schema:
    """Return the schema of a failure, which every function may answer."""
    codes = {code: inspect.cleandoc(error.__doc__ or "").splitlines()[0] for code, error in BY_CODE.items()}
    retryable = [code for code, error in BY_CODE.items() if error.retryable]
    described = " ".join(f"{code}: {text}" for code, text in codes.items())
    fields = _object(
        {
            "retry_after": {**_NUMBER, "description": "seconds until it helps to ask again; without it: one"},
            "asked_at": {**_NUMBER, "description": "when the provider was asked last, in Unix seconds"},
            "connection_id": _ID,
            "provider_error": {**_SERVER_SAID, "description": "what the authorization server said"},
        },
        error={"enum": [*codes], "description": described},
        error_description={"type": "string", "description": "for a person; its words may change"},
        retryable={"type": "boolean", "description": "whether the same request may succeed later"},
    )
    is_retryable = {"required": ["error"], "properties": {"error": {"enum": retryable}}}
    then, otherwise = ({"properties": {"retryable": {"const": value}}} for value in (True, False))
    return {**fields, "if": is_retryable, "then": then, "else": otherwise}


def anchored(schema: Any) -> Any:
    """Return a schema whose patterns match the whole string: in some languages `$` also matches before a line break."""
    if isinstance(schema, list):
        return [anchored(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    pattern = schema.get("pattern")
    whole = {"pattern": f"^(?:{pattern})$(?!\\n)"} if isinstance(pattern, str) else {}
    return {key: anchored(each) for key, each in schema.items()} | whole


def _closed(schema: Schema) -> Schema:
    """Return a schema whose objects have no fields but those that it names."""
    closed = {key: _closed(each) if isinstance(each, dict) else each for key, each in schema.items()}
    is_condition = "then" not in closed and "type" not in closed
    return closed if "properties" not in closed or is_condition else {**closed, "additionalProperties": False}


def _explained(name: str) -> dict[str, str]:
    """Return the explanation of each field in docs/calling.md, without links."""
    page = (ROOT / "docs" / "calling.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|(.*)\|$", section[1] if section else "", re.MULTILINE)
    return {field: re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).strip() for field, _, text in rows}


def documents() -> dict[str, str]:
    """Return the documents by their file names."""
    found: dict[str, Schema] = {"failure.json": {"$schema": DRAFT, "title": "A failure", **anchored(failure_schema())}}
    for name, handler in handlers().items():
        found[f"{name}.request.json"] = request_schema(name, handler)
        found[f"{name}.answer.json"] = answer_schema(name)
    return {name: json.dumps(schema, indent=2, ensure_ascii=True) + "\n" for name, schema in found.items()}


def main() -> None:
    """Write them, and remove what no function has any more."""
    FOLDER.mkdir(exist_ok=True)
    written = documents()
    for path in FOLDER.glob("*.json"):
        if path.name not in written:
            path.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The schemas in docs/contracts are those of the code, and a request that fits one is not refused for its shape.

Every answer of the flows is compared with them, too: see `tests/contracts.py`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from functions.vault.base.cursor import unverified_place
from functions.vault.base.errors import InvalidRequest
from functions.vault.base.fields import FieldCheck
from tests.documents import page, programs, section
from tools import contract_schemas, event_schemas

if TYPE_CHECKING:
    from collections.abc import Callable

HANDLERS = contract_schemas.handlers()
CALLING = page("docs/calling.md")
READ_FIELD_BY_FIELD = sorted(HANDLERS.keys() - {"rescue"})
"""`rescue` takes a document of Gatehouse's own, which is read as a whole."""


def test_the_schemas_are_those_of_the_code() -> None:
    """`python -m tools.contract_schemas` writes them."""
    written = {path.name: path.read_text(encoding="utf-8") for path in contract_schemas.FOLDER.iterdir()}

    assert written == contract_schemas.documents()
    for text in written.values():
        Draft202012Validator.check_schema(json.loads(text))


def test_it_is_said_what_each_function_answers() -> None:
    """A new function is missing in `ANSWERS` of tools/contract_schemas.py until that says what it answers."""
    assert HANDLERS.keys() <= contract_schemas.ANSWERS.keys()


@pytest.mark.parametrize("function", sorted(HANDLERS.keys() - {"sweep", "rescue", "reseal", "export", "events"}))
def test_the_examples_of_the_documents_are_right_by_them(function: str) -> None:
    """What docs/calling.md shows as a request is one, and what it shows as an answer, too."""
    requests = Draft202012Validator(contract_schemas.request_schema(function, HANDLERS[function]))
    answers = Draft202012Validator(contract_schemas.answer_schema(function, closed=True))

    shown = [json.loads(text) for text in programs(section(CALLING, function), "json")]

    assert any(requests.is_valid(each) for each in shown)
    assert [each for each in shown if not requests.is_valid(each) and not answers.is_valid(each)] == []


WITHOUT_EXAMPLE = {("export", "public_key")}
"""What is described by the command that makes it."""


@pytest.mark.parametrize("function", sorted(HANDLERS.keys() - {"rescue"}))
def test_each_field_has_an_example_that_is_right(function: str) -> None:
    """A refusal shows it. A flag needs none, and one of a few names has those in its words."""
    checks = contract_schemas.fields_of(HANDLERS[function]).checks
    needed = {
        name: check.example
        for name, check in checks.items()
        if isinstance(check, FieldCheck) and check.schema.get("type", "boolean") != "boolean"
    }

    assert {name for name, example in needed.items() if example is None} == {
        name for of, name in WITHOUT_EXAMPLE if of == function
    }
    schema = contract_schemas.request_schema(function, HANDLERS[function])["properties"]
    for name, example in needed.items():
        assert example is None or Draft202012Validator(schema[name]).is_valid(example)
        assert name != "cursor" or unverified_place(example) is not None


def _drawn(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return the values that a schema takes, of those kinds of schema that checks have."""
    kinds = [schema.get("type")] if not isinstance(schema.get("type"), list) else schema["type"]
    ways = [_of_kind(kind, schema) for kind in kinds]
    excluded = schema.get("not", {}).get("enum", ())
    return st.one_of(ways).filter(lambda value: not isinstance(value, str) or value not in excluded)


def _of_kind(kind: str | None, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    ways: dict[str | None, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
        "null": lambda _: st.none(),
        "boolean": lambda _: st.booleans(),
        "integer": lambda of: st.integers(of["minimum"], of["maximum"]),
        "string": _texts,
        "array": lambda of: st.lists(_drawn(of["items"]), max_size=min(of["maxItems"], 5)),
        "object": _objects,
        None: lambda of: st.sampled_from(of["enum"]) if "enum" in of else _ANYTHING,
    }
    return ways[kind](schema)


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "propertyNames" not in schema:
        return st.fixed_dictionaries({name: _drawn(each) for name, each in schema["properties"].items()})
    names, values = _drawn(schema["propertyNames"]), _drawn(schema["additionalProperties"])
    most = min(schema["maxProperties"], 5)
    return st.dictionaries(names, values, min_size=schema.get("minProperties", 0), max_size=most)


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 10_000)
    texts = st.text()
    if "pattern" in schema:
        # Short ones say as much, and are drawn fast.
        short = re.sub(r"\{(\d+),\d+\}|\*(?=\))", r"{0\1,9}", schema["pattern"].removesuffix(r"(?!\n)"))
        texts = st.from_regex(short, fullmatch=True)
    if "maxLength" in schema:
        # Long texts are seldom drawn by themselves.
        texts |= st.sampled_from(("x" * least, "x" * most, "ü" * most))
    return texts.filter(lambda text: least <= len(text) <= most and not text.endswith("\n"))


_ANYTHING = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
_ODD = st.recursive(
    _ANYTHING | st.sampled_from((".", "..", "a b", "", "connected", "ultracart", "x" * 129, 0, 1, 60)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


def _valid(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return requests that a schema takes."""
    values = {name: _drawn(each) for name, each in schema["properties"].items()}
    required = {name: values.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(required, optional=values)


def _refusal(function: str, request: Any) -> str | None:
    try:
        contract_schemas.fields_of(HANDLERS[function]).read(request)
    except InvalidRequest as refused:
        return refused.description
    return None


@pytest.mark.parametrize("function", READ_FIELD_BY_FIELD)
def test_a_request_that_a_schema_takes_is_not_refused_for_its_shape(function: str) -> None:
    """By any validator a caller can know beforehand.

    Where return_to may lead, the deployment alone knows; what a key is worth shows when it is read.
    """
    schema = contract_schemas.request_schema(function, HANDLERS[function])
    validator = Draft202012Validator(schema)

    @settings(max_examples=25, deadline=None)
    @given(request=_valid(schema))
    def check(request: dict[str, Any]) -> None:
        validator.validate(request)
        refused = _refusal(function, request)
        assert refused is None or re.fullmatch(r"(?:return_to|public_key): [^;]*(?:; return_to: [^;]*)?", refused), (
            refused
        )

    check()


@pytest.mark.parametrize("function", READ_FIELD_BY_FIELD)
def test_a_request_that_is_taken_is_one_of_its_schema(function: str) -> None:
    """What a schema refuses, the function does."""
    schema = contract_schemas.request_schema(function, HANDLERS[function])
    validator, names = Draft202012Validator(schema), [*schema["properties"]]

    @settings(max_examples=25, deadline=None)
    @given(request=_valid(schema), name=st.sampled_from([*names, "unknown"]), value=_ODD, gone=st.sampled_from(names))
    def check(request: dict[str, Any], name: str, value: Any, gone: str) -> None:
        request[name] = value
        if name != gone:
            request.pop(gone, None)
        assert validator.is_valid(request) or _refusal(function, request) is not None

    check()


def test_the_schemas_of_the_events_are_there() -> None:
    """The overview in the page for agents names all of them."""
    named = page("docs/for-coding-agents.md")

    assert all(name.removesuffix(".json") in named for name in event_schemas.documents())

"""The JSON Schema of a registration accepts what Gatehouse accepts, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.oauth.transport import Answer
from functions.vault.provider import merging, vocabulary
from functions.vault.provider.vocabulary import CREDENTIALS, REGISTRATION
from functions.vault.storage.registrations import Registrations
from tests.breadth import EVERY_ONE
from tests.test_catalogue import FILES
from tests.unit.test_vocabulary import BAD, EACH_BAD, EACH_GOOD, GOOD
from tools import catalogue, registration_schema

PUBLISHED: dict[str, Any] = json.loads(registration_schema.DOCUMENT.read_text(encoding="utf-8"))
SCHEMA = Draft202012Validator(PUBLISHED)
VOCABULARY = vocabulary.checks(loopback_http=False) | REGISTRATION
CLIENT = {"client_id": "client-1"}

KNOWN = sorted(VOCABULARY)


def is_accepted(document: Any) -> bool:
    """Return whether Gatehouse accepts a registration by itself, whatever its provider file says."""
    try:
        own = vocabulary.validated(document, "The registration", VOCABULARY)
        merging.registration_of("acme", [], {key: own[key] for key in CREDENTIALS if key in own})
    except ProviderMisconfigured:
        return False
    return True


def test_the_schema_is_current() -> None:
    """`python -m tools.registration_schema` writes it from the code's patterns and the document's words."""
    assert registration_schema.DOCUMENT.read_text(encoding="utf-8") == registration_schema.text()
    Draft202012Validator.check_schema(PUBLISHED)


def test_the_schema_explains_every_key() -> None:
    """An author who writes a registration in an editor reads what a key is for."""
    assert PUBLISHED["properties"].keys() == VOCABULARY.keys()
    assert [key for key, demanded in PUBLISHED["properties"].items() if len(demanded["description"]) < 10] == []


@pytest.mark.parametrize(("key", "value"), EACH_GOOD)
def test_an_accepted_value_is_valid(key: str, value: Any) -> None:
    """Each valid value in the validator's own test."""
    assert SCHEMA.is_valid(CLIENT | {key: value})


def _is_json(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except ValueError:
        return False


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, value in EACH_BAD if _is_json(value)])
def test_a_refused_value_is_not_valid(key: str, value: Any) -> None:
    """Each invalid value, too."""
    assert not SCHEMA.is_valid(CLIENT | {key: value})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_provider_file_with_a_client_is_a_registration(path: Any) -> None:
    """Both have one vocabulary: a registration can say whatever a file says."""
    written = catalogue.written(path)

    assert list(SCHEMA.iter_errors(CLIENT | written)) == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "'client_id' is a required property"),
        ({**CLIENT, "tokenendpoint": "x"}, "Additional properties are not allowed ('tokenendpoint' was unexpected)"),
        ({**CLIENT, "pkce": "plain"}, "'plain' is not one of ['S256', 'none']"),
        ({**CLIENT, "request_timeout": 60}, "60 is greater than the maximum of 20"),
    ],
)
def test_a_mistake_is_named(document: dict[str, Any], said: str) -> None:
    """By any validator, before anything is deployed."""
    assert [error.message for error in SCHEMA.iter_errors(document)] == [said]


# A whole number that is written with a decimal point is one to JSON Schema, and none to Gatehouse: left out.
_NUMBERS = st.integers(-10, 10**10) | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x % 1 != 0)
_TEXTS = st.text(max_size=12) | st.from_regex(r"[a-zA-Z0-9{}\[\]:/.|,_@#?=& -]{0,24}", fullmatch=True)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=6,
)


def _changed(value: Any, draw: Any) -> Any:
    """Return a known value with one thing in it changed."""
    if isinstance(value, str):
        place = draw(st.integers(0, len(value)))
        kept = value[place + draw(st.integers(0, 2)) :]
        return value[:place] + draw(_TEXTS) + kept
    if isinstance(value, list) and value:
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _changed(value[place], draw), *value[place + 1 :]]
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value, key=str)))
        return {**value, key: _changed(value[key], draw)}
    return draw(_VALUES)


@st.composite
def _registrations(draw: Any) -> dict[str, Any]:
    """Draw a registration in which most keys are known, and most values nearly valid."""
    document: dict[str, Any] = dict(CLIENT) if draw(st.integers(0, 9)) else {}
    unknown = draw(st.lists(_TEXTS, max_size=1)) if draw(st.integers(0, 9)) == 0 else []
    for key in [*draw(st.lists(st.sampled_from(KNOWN), max_size=4)), *unknown]:
        good, bad = GOOD.get(key, ["x"]), BAD.get(key, [None])
        match draw(st.integers(0, 9)):
            case 0:
                document[key] = draw(_VALUES)
            case 1:
                document[key] = draw(st.sampled_from(bad))
            case 2 | 3 | 4:
                document[key] = _changed(draw(st.sampled_from(good)), draw)
            case _:
                document[key] = draw(st.sampled_from(good))
    return document


@settings(max_examples=1500 if EVERY_ONE else 300, deadline=None)
@given(document=_registrations().filter(_is_json))
def test_schema_and_validator_agree(document: dict[str, Any]) -> None:
    """Whatever somebody writes, both accept it or both refuse it."""
    assert SCHEMA.is_valid(document) == is_accepted(document)


class _Secret:
    """A Secrets Manager with one registration in it."""

    def __init__(self, document: Any) -> None:
        self._text = json.dumps(document)

    def get_secret_value(self, **_arguments: str) -> dict[str, str]:
        return {"SecretString": self._text}


class _Nowhere:
    """A web in which no issuer publishes anything."""

    def send(self, *_request: Any) -> Answer:
        return Answer(404, {}, b"")


def _marked(value: Any) -> Any:
    """Return a value in which each text begins with a word that can be found again."""
    if isinstance(value, str):
        return f"hush-{value}"
    if isinstance(value, list):
        return [_marked(each) for each in value]
    return {key: _marked(each) for key, each in value.items()} if isinstance(value, dict) else value


@settings(max_examples=80, deadline=None)
@given(document=_registrations().filter(_is_json), is_planted=st.booleans())
def test_whatever_is_written_gets_a_readable_message(document: dict[str, Any], *, is_planted: bool) -> None:
    """No registration makes a function fail in another way, and the message repeats none of its values."""
    secret = _Secret(_marked(document) if is_planted else document)
    registrations = Registrations(lambda _: secret, "", _Nowhere(), lambda: 0.0, loopback_http=False)

    said = ""
    try:
        registrations.whole("acme")
    except ProviderMisconfigured as error:
        said = error.description

    assert "hush-" not in said

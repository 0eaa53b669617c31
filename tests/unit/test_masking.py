"""A server's words as they may be repeated, with everything confidential masked, however it is encoded."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from functions.vault.provider.masking import masked

SECRET = 's3cr3t/+"t&k<n~is=long-enough ü'
KEY = "Api-Key 9f8E7d6c5B4a"


def _ascii(text: str) -> str:
    return json.dumps(text)[1:-1]


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent-encoded": lambda it: quote(it, safe=""),
    "percent-encoded but for slashes": quote,
    "percent-encoded in lower case": lambda it: quote(it, safe="").lower().replace("e7d6c5b4a", "E7d6c5B4a"),
    "form-encoded": quote_plus,
    "in JSON": _ascii,
    "in JSON with other letters as they are": lambda it: json.dumps(it, ensure_ascii=False)[1:-1],
    "in JSON with slashes escaped": lambda it: _ascii(it).replace("/", r"\/"),
    "in JSON within JSON": lambda it: _ascii(_ascii(it)),
    "in HTML": lambda it: it.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;"),
    "in base64": lambda it: b64encode(it.encode()).decode(),
    "in base64 behind a client id": lambda it: b64encode(b"client-1:" + it.encode()).decode(),
    "in base64 as Basic has it": lambda it: b64encode(b"client-1:" + quote(it, safe="").encode()).decode(),
    "in base64 before something": lambda it: b64encode(it.encode() + b":x").decode(),
    "in base64 for URLs": lambda it: urlsafe_b64encode(b"c:" + it.encode()).decode().rstrip("="),
    "in hexadecimal digits": lambda it: it.encode().hex(),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_masked_in_every_encoding(spelling: Callable[[str], str]) -> None:
    """The words around it stay readable."""
    said = masked(f"You sent: {spelling(SECRET)} !", [SECRET])

    assert said is not None
    assert said.startswith("You sent: ")
    assert "***" in said
    assert [part for part in ("s3cr3t", "long-en", spelling(SECRET)[4:16]) if part in said] == []


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_an_api_key_of_the_registration_is_masked_with_and_without_its_scheme(spelling: Callable[[str], str]) -> None:
    """A server that names the unknown key does not repeat the scheme before it in the header."""
    for value in (KEY, KEY.partition(" ")[2]):
        said = masked(f"Unknown key {spelling(value)} !", [], [KEY])

        assert said is not None
        assert said.startswith("Unknown key ")
        assert [part for part in ("9f8E7d6c", spelling(value)[4:]) if part in said] == []


@pytest.mark.parametrize(
    "words",
    [
        "Unknown key 9f8E7d6c 5B4a",
        "Unknown key 9f8E7d6c5B",
        "Unknown key " + "".join(f"%{ord(each):02x}" for each in "9f8E7d6c5B4a"),
        "Unknown key " + "".join(rf"\u{ord(each):04x}" for each in "9f8E7d6c5B4a"),
        "Unknown key " + b64encode(b64encode(b"9f8E7d6c5B4a")).decode()[:4] + b64encode(b"9f8E7d6c5B4a").decode(),
    ],
)
def test_what_no_replacement_finds_is_not_repeated_at_all(words: str) -> None:
    """A reader could put a cut, spaced or escaped key together again."""
    said = masked(words, [], [KEY])

    assert said is None or "***" in said


def test_credentials_in_base64_are_masked_when_decoded() -> None:
    """A gateway's own Basic header: the server may quote what is in it."""
    header = "Basic " + b64encode(b"gateway-user:gateway-Pass-7").decode()

    assert masked("No user gateway-user with gateway-Pass-7", [], [header]) == "No user *** with ***"


@pytest.mark.parametrize("header", ['key="9f8E7d6c5B4a", v=1', "key=9f8E7d6c5B4a;v=1", '{"key":"9f8E7d6c5B4a"}'])
def test_a_key_among_other_words_of_a_header_is_masked_by_itself(header: str) -> None:
    """A header may have its own syntax, and a server repeats the part that it has parsed."""
    assert masked("Unknown key 9f8E7d6c5B4a", [], [header]) == "Unknown key ***"


def test_ordinary_words_of_a_registration_do_not_silence_a_server() -> None:
    """An audience is a URL, a flag is a word: an operator needs what the server says beside them."""
    private = ["https://api.acme.example/v1", "management api"]

    said = masked("Not allowed for https://api.acme.example/v1: see https://docs.acme.example, offline.", [], private)

    assert said == "Not allowed for ***: see https://docs.acme.example, offline."


@pytest.mark.parametrize("text", [None, 7, [], "", " \n", "\u202e"])
def test_what_is_no_text_is_left_out(text: object) -> None:
    """Nothing is made up for it."""
    assert masked(text, [SECRET]) is None

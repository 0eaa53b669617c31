"""Files and functions stay short, and names and sentences plain: what makes a stranger at home at once."""

from __future__ import annotations

import pytest

from tools import layout

FUNCTIONS = layout.ROOT / "functions"


def test_no_file_of_the_functions_is_long() -> None:
    """Whoever opens one can read it at a stretch."""
    assert layout.long_files(FUNCTIONS) == {}


def test_no_function_is_long() -> None:
    """Whoever looks at one sees all of it."""
    assert layout.long_bodies(FUNCTIONS) == {}


def test_no_word_needs_a_key() -> None:
    """Code, tests and documents say what they mean in words that somebody understands who opens that file first."""
    left = {
        (str(path), word, layout.WORDS.get(word, layout.PHRASES.get(word)))
        for path, word in layout.words_left(layout.ROOT)
    }

    assert left == set()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def test_who_is_told(house):", ["told", "house"]),
        ("class BrowserDoor(Door): ...", ["door", "door"]),
        ("SWITCHBOARD = _unheard", ["switchboard", "unheard"]),
        ("Floors, furnished; withdrawals", ["floor", "furnish", "withdrawal"]),
        ("three, one of\nwhich is late", ["of which"]),
        ("gatehouse Gatehouse GATEHOUSE warehouse threshold outdoors", []),
    ],
)
def test_the_words_are_found_in_names_and_sentences(text: str, words: list[str]) -> None:
    """As a part of a name, in any case, in the plural, and over the end of a line; not inside another word."""
    assert list(layout.words_in(text)) == words

"""The languages of the pages: which one somebody gets, and that each says everything, in its own words."""

from __future__ import annotations

import re
from string import Template
from typing import Any

import pytest

from functions.vault.settings import Appearance
from functions.web import language, pages
from functions.web.languages import en
from tests.expressions import translated
from tests.unit.test_pages import EXAMPLES

LANGUAGES = language.known()
OTHERS = [each for each in LANGUAGES if each != "en"]
NAMES = sorted(name for name in vars(en) if name.isupper() and name != "SUBJECT_MISMATCH")

every_language = pytest.mark.parametrize("tag", LANGUAGES)
every_other_language = pytest.mark.parametrize("tag", OTHERS)


def texts_of(tag: str) -> dict[str, str]:
    """Return every text of a language, by a name that is the same in all languages."""
    found: dict[str, str] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, str):
            found[name] = value
        elif isinstance(value, tuple):
            found.update({f"{name}.{number}": each for number, each in enumerate(value)})
        else:
            for key, each in value.items():
                add(f"{name}.{key}", each)

    module = language.texts_in(tag)
    for name in NAMES:
        if name != "APPLICATION":
            add(name, getattr(module, name))
    return found


def values_in(tag: str, text: str) -> set[str]:
    """Return what is filled into a text. The forms of the application's name count as one."""
    forms = language.texts_in(tag).APPLICATION
    return {"application" if name in forms else name for name in Template(text).get_identifiers()}


def words_of(text: str) -> set[str]:
    """Return the words of a text, apart from what is filled in."""
    return set(re.findall(r"[a-zß-ÿ]+", re.sub(r"\$[a-z_]+", "", text.lower())))


def test_there_are_three_languages() -> None:
    """English is the one that the others are compared with."""
    assert LANGUAGES == ("de", "en", "es")


@every_language
def test_a_language_has_every_text(tag: str) -> None:
    """No page, reason or label is missing in it, and none is there that no page shows."""
    module = language.texts_in(tag)

    assert sorted(name for name in vars(module) if name.isupper() and name != "SUBJECT_MISMATCH") == NAMES
    assert module.PAGES.keys() == pages.NAMES
    assert texts_of(tag).keys() == texts_of("en").keys()
    assert all(text.strip() == text != "" for text in texts_of(tag).values())


@every_language
def test_a_text_is_filled_with_the_same_values_in_each_language(tag: str) -> None:
    """A placeholder that is missing or misspelled would be seen by customers alone."""
    english = texts_of("en")

    assert {name: values_in(tag, text) for name, text in texts_of(tag).items()} == {
        name: values_in("en", text) for name, text in english.items()
    }


@every_language
def test_the_application_has_a_name_in_each_form(tag: str) -> None:
    """If it is known it is in the sentence, and if not, other words are; both are whole."""
    for known, unknown in language.texts_in(tag).APPLICATION.values():
        assert Template(known).get_identifiers() == ["application"]
        assert Template(unknown).get_identifiers() == []
        assert unknown.endswith(("the application", "Anwendung", "aplicación")[("en", "de", "es").index(tag)])


@every_other_language
def test_no_english_is_left(tag: str) -> None:
    """No sentence is the English one, and none has one of English's most frequent words."""
    english = texts_of("en")
    frequent = {"the", "and", "you", "your", "was", "this", "that", "with", "from", "not", "it", "link", "account"}
    also_theirs = {"de": {"link", "was"}, "es": set()}

    for name, text in texts_of(tag).items():
        assert text != english[name], name
        assert words_of(text) & (frequent - also_theirs[tag]) == set(), name


@every_language
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_page_is_whole_in_each_language(tag: str, name: str) -> None:
    """It says which one, and nothing is left to be filled in, whether the application has a name or not."""
    for appearance in (Appearance(), Appearance("Acme", support="help@acme.example")):
        html = pages.render(name, EXAMPLES[name], reference="8d6c1f0e", language=tag, appearance=appearance)

        assert f'<html lang="{tag}">' in html
        assert "$" not in html


def test_the_template_offers_every_language() -> None:
    """A new file needs its tag among the parameter's values; a tag needs its file."""
    parameter = translated()["Parameters"]["DefaultLanguage"]

    assert (parameter["AllowedValues"], parameter["Default"]) == (["en", *OTHERS], "en")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH, de;q=0.9, en;q=0.8", "de"),
        ("DE-at", "de"),
        ("fr, es;q=0.5, de;q=0.4", "es"),
        ("en;q=0.4, de;q=0.5", "de"),
        ("es;q=0.123,de;q=0.124", "de"),
        ("de;q=1.000, es;q=1", "de"),
        ("es , de", "es"),
        ("de ; q=0.1 , es ;\tq=0.2", "es"),
        ("zh-Hant-TW, es-419;q=0.5", "es"),
        # Excluded, or anything
        ("de;q=0, es;q=0.1", "es"),
        ("de-DE, de;q=0, es;q=0.1", "es"),
        ("*", "en"),
        ("fr, *;q=0.1", "en"),
        ("*, de;q=0.1", "en"),
        ("*;q=0.1, de", "de"),
        ("en;q=0, *", "de"),
        ("en;q=0, *;q=0", "en"),
        # What is no range or no weight, and what fits nothing
        ("fr, zh;q=0.9", "en"),
        ("de;q=2, es", "es"),
        ("de;q=0.1234, es;q=0.1", "es"),
        ("de;q=, es;q=0.1", "es"),
        ("de;level=1, es;q=0.1", "es"),
        (",, ;q=1, es", "es"),
        ("../de, es", "es"),
        ("de_DE, es;q=0.1", "es"),
        ("deutsch", "en"),
        ("x" * 9000, "en"),
        ("fr," * 50 + "de", "en"),
        ("é, es", "es"),
        ("__init__", "en"),
    ],
)
def test_a_browser_gets_the_language_that_it_prefers(accepted: str, expected: str) -> None:
    """RFC 9110 section 12.5.4 and RFC 4647 section 3.4: by weight, then by order; a wider tag will do."""
    assert language.preferred(accepted, LANGUAGES, "en") == expected


@pytest.mark.parametrize(
    ("accepted", "expected"), [("", "es"), ("fr", "es"), ("*", "es"), ("de, *;q=0.1", "de"), ("es;q=0, *", "de")]
)
def test_the_deployment_says_which_language_is_the_default(accepted: str, expected: str) -> None:
    """For browsers that prefer none of ours."""
    assert language.preferred(accepted, LANGUAGES, "es") == expected

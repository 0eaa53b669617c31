"""How the pages look: what a deployment may say about that, and what becomes of a value that is wrong."""

from __future__ import annotations

import re

import pytest

from functions.vault.settings import Appearance, SettingMissing, Settings
from tests.expressions import translated

PARAMETERS = {
    "GATEHOUSE_APPLICATION_NAME": "ApplicationName",
    "GATEHOUSE_LOGO_URL": "LogoUrl",
    "GATEHOUSE_COLOR": "Color",
    "GATEHOUSE_SUPPORT": "Support",
}

GOOD = {
    "GATEHOUSE_APPLICATION_NAME": ["A", "Acme & Söhne", "<b>", "x" * 64, "Ünïcödé 東京"],
    "GATEHOUSE_LOGO_URL": [
        "https://static.acme.example/a/logo_1.svg",
        "https://acme.example:8443/%C3%A4.png",
        "http://localhost:3000/logo.png",
    ],
    "GATEHOUSE_COLOR": ["#0b5c4a", "#FFFFFF", "#000000"],
    "GATEHOUSE_SUPPORT": [
        "help@acme.example",
        "a.b+c@mail.acme.example",
        "https://acme.example/help?topic=connect&x=%20",
        "https://acme.example",
        "http://localhost:3000/help",
    ],
}
BAD = {
    "GATEHOUSE_APPLICATION_NAME": [" Acme", "Acme ", " ", "A\ncme", "A\tcme", "A\x00", "A\x7f", "x" * 65],
    "GATEHOUSE_LOGO_URL": [
        "http://acme.example/logo.svg",
        "//acme.example/logo.svg",
        "https://acme.example",
        "https://acme.example/",
        "https://acme.example/logo.svg?x=1",
        "https://acme.example/logo.svg#x",
        "https://acme.example/a; script-src *",
        "https://acme.example/a, b",
        "https://user@acme.example/logo.svg",
        "https://acme.example/logo.svg\n",
        'https://acme.example/"onerror=',
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "https://acme.example/" + "x" * 401,
    ],
    "GATEHOUSE_COLOR": ["red", "#fff", "#1a2b3", "#1a2b3c;", "#1a2b3c}", "1a2b3c", "#1a2b3g", " #1a2b3c", "#1a2b3c\n"],
    "GATEHOUSE_SUPPORT": [
        "acme.example",
        "help@acme",
        "help@acme.example\n",
        "help@acme.example?subject=x",
        "a@b.example,c@d.example",
        "mailto:help@acme.example",
        "javascript:alert(1)",
        "http://acme.example/help",
        "https://user@acme.example/",
        "https://acme.example/#top",
        'https://acme.example/"',
    ],
}


def cases(values: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return each variable with each of its values."""
    return [(name, value) for name in values for value in values[name]]


def template_takes(name: str, value: str) -> bool:
    """Return whether CloudFormation takes a value for a variable's parameter."""
    rules = translated()["Parameters"][PARAMETERS[name]]
    return bool(re.search(rules["AllowedPattern"], value)) and len(value) <= rules["MaxLength"]


@pytest.mark.parametrize(("name", "value"), cases(GOOD))
def test_a_good_value_is_taken(name: str, value: str) -> None:
    """By the template and by the functions, as it is."""
    appearance = Settings({name: value}).appearance

    assert getattr(appearance, name.removeprefix("GATEHOUSE_").lower()) == value
    assert template_takes(name, value)


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    """By the template, and by the functions, which say which variable it is and what it must be, never what it was."""
    with pytest.raises(SettingMissing, match=f"^{name} must be empty, or ") as caught:
        _ = Settings({name: value}).appearance

    assert value.strip() not in str(caught.value) or not value.strip()
    # In its patterns `$` also stands before the end of a last line; such a value comes no further than the function.
    assert value.endswith("\n") or not template_takes(name, value)


def test_whoever_says_nothing_gets_the_plain_look() -> None:
    """Every value is optional; the language is English."""
    empty = dict.fromkeys([*PARAMETERS, "GATEHOUSE_LANGUAGE"], "")

    assert Settings({}).appearance == Settings(empty).appearance == Appearance("", "", "", "", "en")
    assert all(template_takes(name, "") for name in PARAMETERS)


@pytest.mark.parametrize("value", ["EN", "../en", "e", "__init__", "de\n"])
def test_a_language_is_a_tag(value: str) -> None:
    """It becomes the name of a module, and nothing but a tag can."""
    with pytest.raises(SettingMissing, match="GATEHOUSE_LANGUAGE"):
        _ = Settings({"GATEHOUSE_LANGUAGE": value}).appearance

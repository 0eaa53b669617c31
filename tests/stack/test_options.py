"""The flags of `python -m local`: what is taken, and what is said of the rest."""

from __future__ import annotations

import re

import pytest

from local import options
from local.aws import cloudformation
from local.stack import TEMPLATE
from tests.documents import page, section
from tests.requirements import ROOT

PARAMETERS = {"--base-url": "BaseUrl", "--return-to-origin": "ReturnToOrigins"}
GOOD = (
    "https://abc.example-tunnel.dev",
    "https://abc.example-tunnel.dev:8443",
    "http://localhost:3000",
    "http://127.0.0.1",
)
BAD = (
    "abc.example-tunnel.dev",
    "http://abc.example-tunnel.dev",
    "https://abc.example-tunnel.dev/",
    "https://abc.example-tunnel.dev/app",
    "https://abc.example-tunnel.dev?x",
    "https://me@abc.example-tunnel.dev",
    "https://abc.example-tunnel.dev\n",
    " https://abc.example-tunnel.dev",
    "https://*.example-tunnel.dev",
    "HTTPS://abc.example-tunnel.dev",
    "http://localhost:3000/",
    "http://localhost.example-tunnel.dev",
    "https://abc.example-tunnel.dev https://other.example",
    "https://",
)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Give bad arguments, and return what is said; the exit code is 2."""
    with pytest.raises(SystemExit) as ended:
        options.parse(list(arguments))
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_without_flags_the_stack_is_its_own() -> None:
    """It listens on the usual port, and browsers come there."""
    chosen = options.parse([])

    assert (chosen.port, chosen.registrations, chosen.base_url, chosen.return_to_origin) == (8787, None, None, [])


@pytest.mark.parametrize("value", GOOD)
def test_an_origin_is_taken(value: str) -> None:
    """As base URL, and as many as are wanted to be sent back to."""
    chosen = options.parse(
        ["--base-url", value, "--return-to-origin", value, "--return-to-origin", "https://b.example"]
    )

    assert (chosen.base_url, chosen.return_to_origin) == (value, [value, "https://b.example"])


@pytest.mark.parametrize("flag", PARAMETERS)
@pytest.mark.parametrize(
    "value",
    [*BAD, "", "https://abc.example-tunnel.dev:99999", "https://abc.example-tunnel.dev:0"],
)
def test_what_is_none_is_refused_by_name(capsys: pytest.CaptureFixture[str], flag: str, value: str) -> None:
    """The message says which flag it was, what was expected and what that looks like."""
    said = refusal(capsys, f"{flag}={value}")

    assert f"argument {flag}: {value!r}: expected" in said
    assert "without" in said
    assert re.search(r"for example https?://\S+$", said.strip())


def test_a_base_url_is_no_longer_than_the_template_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The parameter has a length, too."""
    assert "expected" in refusal(capsys, f"--base-url=https://{'a' * 246}")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("ApplicationName=Acme & Söhne = 2", ("ApplicationName", "Acme & Söhne = 2")),
        ("LogoUrl=http://localhost:3000/logo.svg", ("LogoUrl", "http://localhost:3000/logo.svg")),
        ("Color=#0b5c4a", ("Color", "#0b5c4a")),
        ("Support=", ("Support", "")),
        ("DefaultLanguage=de", ("DefaultLanguage", "de")),
    ],
)
def test_a_parameter_of_the_template_is_taken(given: str, taken: tuple[str, str]) -> None:
    """By its name, with any value that can be deployed."""
    assert options.parse(["--parameter", given, "--parameter=Confirm=required"]).parameter == [
        taken,
        ("Confirm", "required"),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("MemorySize=1024", "expected NAME=VALUE with one of ApplicationName, "),
        ("Color", "expected NAME=VALUE with one of ApplicationName, "),
        ("Color=red", 'Color must be empty, or a color like "#0b5c4a"'),
        ("Support=nobody", "Support must be empty, an e-mail address, or an https URL"),
        ("DefaultLanguage=xx", "DefaultLanguage must be one of en, de, es"),
        (f"ApplicationName={'x' * 65}", "ApplicationName must be empty, or 1 to 64 characters"),
    ],
)
def test_a_parameter_that_could_not_be_deployed_is_refused(
    capsys: pytest.CaptureFixture[str], given: str, said: str
) -> None:
    """The message names it, and says what was expected."""
    assert f"argument --parameter: {given!r}: {said}" in refusal(capsys, f"--parameter={given}")


def test_the_documents_name_flags_that_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    """On the page that the README leads to, and in what `make help` says of `make run`."""
    trying = section(page("docs/providers.md"), "Try it on your machine").partition("Other options")[2]
    named = re.findall(r"--[a-z][a-z-]+", trying)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (shown,) = [line for line in makefile.splitlines() if line.startswith("\t@echo 'make run ")]

    with pytest.raises(SystemExit):
        options.parse(["--help"])

    said = capsys.readouterr().out
    assert set(PARAMETERS) <= set(named)
    assert [flag for flag in (*named, *re.findall(r"--[a-z][a-z-]+", shown)) if flag not in said] == []


@pytest.mark.parametrize(("flag", "parameter"), PARAMETERS.items())
def test_the_rule_is_the_templates(capsys: pytest.CaptureFixture[str], flag: str, parameter: str) -> None:
    """What works here can be deployed, and what could not be deployed does not work here."""
    rules = cloudformation.read(TEMPLATE)["Parameters"][parameter]

    assert [value for value in (*GOOD, *BAD) if re.fullmatch(rules["AllowedPattern"], value)] == list(GOOD)
    expected = rules["ConstraintDescription"].partition("must be empty, or ")[2].removesuffix(".")
    assert expected
    assert expected in refusal(capsys, f"{flag}=x")

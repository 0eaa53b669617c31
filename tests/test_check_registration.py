"""The command that checks registrations before they are stored: one file each, or one file for all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tools.check_registration import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WHOLE = {
    "authorization_endpoint": "https://acme.test/authorize",
    "token_endpoint": "https://acme.test/token",
    "client_id": "c-1",
    "client_secret": "hush-7f0b",
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Any], str]:
    """Return a function that writes a file and returns its path."""

    def write(document: Any) -> str:
        path = tmp_path / "registration.local.json"
        octets = document if isinstance(document, bytes) else json.dumps(document).encode()
        path.write_bytes(octets)
        return str(path)

    return write


def test_a_valid_registration_shows_what_to_register_at_the_provider(
    written: Callable[[Any], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """People often register a wrong redirect URI at the provider: it is shown in full."""
    code = main([written(WHOLE), "acme", "--base-url", "https://gate.test/"])

    assert code == 0
    assert capsys.readouterr().out == (
        "acme: right. Client authentication: client_secret_basic. "
        "Register https://gate.test/callback/acme at the provider.\n"
    )


def test_a_registration_is_based_on_the_file_of_its_name_or_on_the_one_that_it_names(
    written: Callable[[Any], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of several has a line for each; a single invalid one sets the exit code."""
    secret = {"client_id": "c-1", "client_secret": "hush-7f0b"}

    code = main([written({"box": secret, "box-eu": {**secret, "based_on": "box"}, "box-us": secret})])

    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert [line.partition(".")[0] for line in lines[:2]] == ["box: right", "box-eu: right"]
    assert lines[2].startswith("box-us: provider_misconfigured: The registration of provider 'box-us': authorization_")
    assert '"based_on": "box"' in lines[2]
    assert "hush" not in str(lines)


def test_a_redirect_uri_that_leads_elsewhere_is_pointed_out(
    written: Callable[[Any], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be intended, if something forwards customers from there; often it is a leftover."""
    codes = [
        main([written({**WHOLE, "redirect_uri": uri}), "acme"])
        for uri in ("https://app.test/oauth/return", "https://proxy.test/callback/acme", "ACME-Inc-PRD-1")
    ]

    redirected = ["leads elsewhere" in line for line in capsys.readouterr().out.splitlines()]
    assert (codes, redirected) == ([0, 0, 0], [True, False, False])


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({**WHOLE, "token_endpoint": "http://127.0.0.1:9/token"}, "token_endpoint: expected an absolute https URL"),
        (b'{"client_id": "c-1",', "does not hold a JSON document: line 1, column"),
        (b"[]", 'expected an object, like {"client_id":'),
    ],
)
def test_problems_in_one_file_are_reported_as_start_reports_them(
    written: Callable[[Any], str], capsys: pytest.CaptureFixture[str], document: Any, said: str
) -> None:
    """A provider on this machine is only for `make run`, and needs an option."""
    code = main([written(document), "acme"])

    out = capsys.readouterr().out
    assert code == 1
    assert out.startswith("acme: provider_misconfigured: ")
    assert said in out


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (json.dumps(WHOLE).encode("utf-16"), "is not UTF-8: save it in that encoding"),
        (b'{"acme": {"client_secret": "hush-7f0b",}}', "not JSON"),
        ([], 'expected {"NAME": {"client_id": "...", ...}, ...}'),
        ({"not a name": WHOLE}, 'expected {"NAME": {"client_id": "...", ...}, ...}'),
        (WHOLE, "it is one registration: name it, as the last argument"),
    ],
)
def test_a_file_that_is_no_document_is_reported_without_its_content(
    written: Callable[[Any], str], capsys: pytest.CaptureFixture[str], document: Any, said: str
) -> None:
    """On standard error, with the position of the mistake."""
    path = written(document)

    code = main([path])

    shown = capsys.readouterr()
    assert (code, shown.out) == (1, "")
    assert shown.err.startswith(f"{path}: ")
    assert said in shown.err
    assert "hush" not in shown.err


def test_a_missing_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its name."""
    assert main([str(tmp_path / "nothing.json"), "acme"]) == 1
    assert "nothing.json: No such file" in capsys.readouterr().err


def test_an_invalid_name_is_refused(written: Callable[[Any], str], capsys: pytest.CaptureFixture[str]) -> None:
    """It becomes the end of a redirect URI."""
    with pytest.raises(SystemExit):
        main([written(WHOLE), "not/a/name"])

    assert "expected 1 to 64 of A-Z a-z 0-9" in capsys.readouterr().err

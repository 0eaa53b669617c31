"""`gatehouse import`: a file is checked whole before anything is written, and can be imported again and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions import import_connection
from tests.clients.cli.many import mint

if TYPE_CHECKING:
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.clients.cli.conftest import Gatehouse

TOKEN = "a-token-that-nobody-may-see"


def grant(connection_id: str, **fields: Any) -> dict[str, Any]:
    """Return a row."""
    return {"provider": "ultracart", "connection_id": connection_id, "refresh_token": TOKEN, **fields}


def lines(path: Path, *rows: Any) -> str:
    """Write rows as JSON Lines, and return the path."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return str(path)


def test_the_fields_are_those_of_the_function() -> None:
    """The command checks a file by the checks that the function makes: the same names, each accepting the same."""
    from gatehouse.cli.grants import import_fields  # noqa: PLC0415 - see conftest.py

    theirs, ours = import_connection._FIELDS, import_fields()  # noqa: SLF001 - they are compared

    assert ours.required == theirs.required
    assert {name: check.schema for name, check in ours.checks.items()} == {
        name: getattr(check, "schema", None) for name, check in theirs.checks.items()
    }


def test_a_file_with_mistakes_is_not_imported(gatehouse: Gatehouse, tmp_path: Path) -> None:
    """Each is named with its line, and none with what it contains; nothing is written."""
    # given
    file = lines(
        tmp_path / "grants.jsonl",
        grant("cli-import-wrong"),
        grant("cli-import-wrong"),
        grant("cli import"),
        grant("cli-import-2", expires_at=1795972434000, access_token=TOKEN),
        grant("cli-import-3", scops="x"),
        {"provider": "ultracart", "connection_id": "cli-import-4"},
        "{" + TOKEN,
        grant("cli-import-5", provider="nobody"),
        grant("cli-import-wrong", provider="nobody", scops="x"),
        {"exported_at": 1, "connections": [grant("cli-import-6"), grant("cli-import-6")]},
        {"provider": "ultracart", "connection_id": "cli-import-7", "access_token": TOKEN, "expires_at": 1},
    )

    # when
    refused, in_words = gatehouse("import", file, "--json"), gatehouse("import", file)
    one = gatehouse("import", lines(tmp_path / "other.jsonl", grant("cli-import-5", provider="nobody")))

    # then
    problems = json.loads(refused.err)["problems"]
    assert (refused.code, refused.out, in_words.code, one.code) == (2, "", 2, 2)
    assert [each.partition(": ")[0] for each in problems] == [
        f"line {number}" for number in (2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 11)
    ]
    named = (
        "connection_id: the same as on line 1",
        "connection_id",
        "expires_at",
        "scops",
        "refresh_token",
        "JSON",
        "provider (2 rows): No provider 'nobody' is configured",
        "scops",
        "connection_id: the same as on line 1",
        "connection_id: the same as on line 10",
        "expires_at: expected a time in the future",
    )
    assert [word for word, each in zip(named, problems, strict=True) if word not in each] == []
    assert "has 11 mistakes" in in_words.err
    assert "has 1 mistake, " in one.err
    assert "line 1: provider: No provider 'nobody' is configured" in one.err
    assert "gatehouse register nobody --local" in one.err
    assert TOKEN not in refused.err + in_words.err
    assert gatehouse("check", "cli-import-wrong", "--json").code == 4


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"refreshtoken": TOKEN, "expires_at": 1}, ["refreshtoken: unknown", "expires_at: expected to be left out"]),
        ({"refreshtoken": TOKEN, "access_token": TOKEN, "expires_at": 1}, ["refreshtoken: unknown"]),
        ({"refresh_token": TOKEN, "accesstoken": TOKEN, "expires_at": 1}, ["accesstoken: unknown"]),
        ({"refresh_token": " ", "expires_at": 1}, ["refresh_token: expected", "expires_at: expected to be left out"]),
        ({"access_token": TOKEN, "expires_at": -1}, ["expires_at: expected an integer"]),
        ({"access_token": TOKEN, "expires_at": True}, ["expires_at: expected an integer"]),
        ({"access_token": TOKEN, "expires_at": 1}, ["expires_at: expected a time in the future"]),
        ({"expires_at": 1}, ["refresh_token: required"]),
        ({"note": "x"}, ["note: unknown", "refresh_token: required"]),
    ],
)
def test_of_a_row_nothing_is_said_that_follows_from_its_other_mistakes(
    fields: dict[str, Any], says: list[str], tmp_path: Path
) -> None:
    """Whoever spells a token's name right has not to look for the second mistake that there never was."""
    from gatehouse.cli import grants  # noqa: PLC0415 - see conftest.py
    from gatehouse.cli.grant_file import GrantFile  # noqa: PLC0415 - see conftest.py

    row = {"provider": "slack", "connection_id": "shop-1", **fields}

    found = grants.checked(GrantFile(Path(lines(tmp_path / "grants.jsonl", row))), None, 1000).problems

    assert [text for text, each in zip(says, found, strict=True) if not each.startswith(f"line 1: {text}")] == []


def test_an_export_that_was_not_opened_says_so(gatehouse: Gatehouse, tmp_path: Path) -> None:
    """It is not a thousand lines that are no JSON."""
    file = lines(tmp_path / "grants.jwe", "eyJhbGciOiJFQ0RILUVTIn0..c29tZQ.aW4.dGFn", "eyJhbGciOiJFQ0RILUVTIn0..a.b.c")

    refused = gatehouse("import", file)

    assert (refused.code, refused.out) == (2, "")
    assert "it has to be opened first" in refused.err
    assert "docs/export.md" in refused.err


def test_what_failed_says_whether_it_is_stored(gatehouse: Gatehouse, stack: Stack, tmp_path: Path) -> None:
    """What the provider refused is there, and can be given another token. What has tokens already was left as it is."""
    # given
    taken = mint(stack, 70002)
    gatehouse("import", lines(tmp_path / "first.jsonl", taken))
    file = lines(
        tmp_path / "grants.jsonl",
        grant("cli-import-refused"),
        grant(taken["connection_id"]),
    )

    # when
    in_json, in_words = gatehouse("import", file, "--json"), gatehouse("import", file)

    # then
    assert {each["connection_id"]: each["stored"] for each in in_json.json["failed"]} == {
        "cli-import-refused": "reauthorization_required",
        taken["connection_id"]: None,
    }
    assert "1 stored, but the provider refused the grant\n" in in_words.out
    assert "1 not stored\n" in in_words.out
    assert gatehouse("show", "cli-import-refused").code == 0


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_grants_are_imported_once_however_often(
    gatehouse: Gatehouse, stack: Stack, demo: DemoServer, tmp_path: Path, form: str
) -> None:
    """Each is proved by one refresh. The same file again sends nothing. What is refused is in the report."""
    # given
    good = mint(stack, 70001 if form == "csv" else 70000)
    demo.reset()
    file, report = tmp_path / f"grants.{form}", tmp_path / "failed.jsonl"
    rows = [good | {"tags": {"plan": "gold"}}, grant(f"cli-import-dead-{form}")]
    if form == "csv":
        cells = [f"{row['provider']},{row['connection_id']},{row['refresh_token']}" for row in rows]
        file.write_text(f"provider,connection_id,refresh_token,tags.plan\n{cells[0]},gold\n{cells[1]},\n", "utf-8")
    else:
        # As an export has them: many on a line.
        lines(file, {"exported_at": 1, "connections": rows})

    # when
    first = gatehouse("import", str(file), "--report", str(report), "--json")
    asked = len(demo.requests("token"))
    again = gatehouse("import", str(file))

    # then
    assert (first.code, again.code) == (1, 1)
    assert {name: first.json[name] for name in ("total", "imported", "unproved", "not_tried")} == {
        "total": 2,
        "imported": 1,
        "unproved": 0,
        "not_tried": 0,
    }
    failed = json.loads(report.read_text("utf-8"))
    assert (failed["connection_id"], failed["error"]) == (f"cli-import-dead-{form}", "reauthorization_required")
    assert (asked, len(demo.requests("token"))) == (2, 2)
    assert "1 imported and proved" in again.out
    shown = gatehouse("show", good["connection_id"], "--json").json["connection"]
    assert (shown["status"], shown["tags"]) == ("active", {"plan": "gold"})
    written = "".join(each.out + each.err for each in (first, again)) + report.read_text("utf-8")
    assert not any(secret in written for secret in (TOKEN, good["refresh_token"]))

"""`gatehouse import`: a file is checked whole before anything is written, and can be imported again and again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from functions import import_connection
from local.demo import Faults
from tests.clients.cli.many import mint

if TYPE_CHECKING:
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.clients.cli.conftest import Gatehouse

TOKEN = "a-token-that-nobody-may-see"


def grant(connection_id: str, **fields: Any) -> dict[str, Any]:
    """Return a row."""
    return {
        "provider": "ultracart",
        "connection_id": connection_id,
        "refresh_token": f"{TOKEN} of {connection_id}",
        **fields,
    }


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


@pytest.mark.parametrize(
    ("fault", "asked", "said"),
    [
        (
            {"status": 429, "retry_after": 3600},
            1,
            [
                "1 imported, to be proved in the background",
                "9 not tried",
                "ultracart: It has to be left alone for ",
                "Wait until then.",
            ],
        ),
        (
            {"error": "invalid_client"},
            1,
            [
                "1 stored, and not proved yet",
                "9 not tried",
                "ultracart: ",
                "Correct the registration (gatehouse doctor",
            ],
        ),
        (
            {"error": "invalid_grant"},
            3,
            [
                "3 stored, but the provider refused the grant",
                "7 not tried",
                "ultracart: It has taken none of the first 3 grants",
            ],
        ),
    ],
    ids=["wants to be left alone", "refuses the client", "refuses the grants"],
)
def test_a_provider_that_takes_nothing_stops_an_import(  # noqa: PLR0913, PLR0917 - a case, and where it is met
    gatehouse: Gatehouse, demo: DemoServer, tmp_path: Path, fault: dict[str, Any], asked: int, said: list[str]
) -> None:
    """What is left is not tried, and it says why and what to do. Nobody takes that for an import that has succeeded."""
    # given
    demo.put_faults(Faults(endpoint="token", **fault))
    name = "-".join(str(each) for each in fault.values())
    file = lines(tmp_path / "grants.jsonl", *(grant(f"cli-import-stops-{name}-{number}") for number in range(10)))

    # when
    in_words = gatehouse("import", file)
    sent = len(demo.requests("token"))
    demo.reset()

    # then
    assert (in_words.code, sent) == (1, asked)
    written = in_words.out + in_words.err
    assert [each for each in said if each not in written] == []
    assert "Then run the same command: it goes on with the rest." in in_words.err
    assert TOKEN not in written


def test_what_is_not_proved_is_not_called_so_and_has_its_exit_code(
    gatehouse: Gatehouse, demo: DemoServer, tmp_path: Path
) -> None:
    """A script that deletes the old system's copy goes by these. What is taken as it is was wanted so."""
    demo.put_faults(Faults(endpoint="token", status=503))

    unproved = gatehouse("import", lines(tmp_path / "one.jsonl", grant("cli-import-unproved")), "--json")
    as_is = lines(tmp_path / "other.jsonl", grant("cli-import-as-is"))
    in_words, in_json = gatehouse("import", as_is, "--no-prove"), gatehouse("import", as_is, "--no-prove", "--json")

    assert (unproved.code, unproved.json["unproved"]) == (1, 1)
    assert (in_words.code, in_json.code) == (0, 0)
    assert in_words.out == "0 imported and proved\n1 taken as they are, not proved\n"
    assert (in_json.json["imported"], in_json.json["taken_as_is"], in_json.json["stopped"]) == (0, 1, {})


@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [
        ("NotAllowed", 3, "An import also calls start"),
        ("NotDeployed", 3, "gatehouse doctor"),
        ("TemporarilyUnavailable", 6, "Try again"),
        ("ServerError", 7, "the log of the function"),
    ],
)
def test_what_keeps_it_from_looking_is_no_mistake_of_the_file(  # noqa: PLR0913, PLR0917 - a case, and where it is met
    gatehouse: Gatehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, code: int, says: str
) -> None:
    """No correction of the file helps: a script repeats it, or somebody gives the right. The doctor says it, too."""
    import gatehouse as client  # noqa: PLC0415 - see conftest.py

    def call(_function: str, _request: dict[str, Any]) -> Any:
        raise getattr(client, kind)("It cannot be looked at.")

    monkeypatch.setattr("gatehouse.cli.account.Account.gatehouse", SimpleNamespace(call=call))
    right, wrong = (
        lines(tmp_path / f"{name}.jsonl", grant("cli-import-1", **fields))
        for name, fields in (("right", {}), ("wrong", {"scops": "x"}))
    )

    failed, with_mistakes = gatehouse("import", right), gatehouse("import", wrong)
    looked = gatehouse("doctor", "ultracart", "--json")
    monkeypatch.undo()

    assert (failed.code, failed.out) == (code, "")
    assert "It cannot be looked at." in failed.err
    assert says in failed.err
    assert "Correct the file" not in failed.err
    about = [each for each in looked.json["findings"] if each["what"].startswith("ultracart: its registration")]
    assert [(each["state"], each["said"]) for each in about] == [
        ("unknown" if kind == "NotAllowed" else "problem", "It cannot be looked at.")
    ]
    assert (with_mistakes.code, "scops: " in with_mistakes.err) == (2, True)
    assert "its registration cannot be looked at: It cannot be looked at." in with_mistakes.err

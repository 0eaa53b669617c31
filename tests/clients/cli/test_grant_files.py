"""What can be imported from: the ways to write a table, pipes, and files that are not what they seem."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import NoCredentialsError

from gatehouse import NotAllowed
from tests.clients.cli.conftest import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gatehouse.cli.grant_file import GrantFile
    from gatehouse.cli.importing import Import
    from tests.clients.cli.conftest import Gatehouse

TOKEN = "a-token-that-nobody-may-see"
HEAD = "provider,connection_id,refresh_token,tags.plan,prove"
ROW = f"slack,shop-1,{TOKEN},gold,no"
GRANT = {
    "provider": "slack",
    "connection_id": "shop-1",
    "refresh_token": TOKEN,
    "tags": {"plan": "gold"},
    "prove": False,
}


def file_of(path: Path, content: bytes) -> GrantFile:
    """Write a file, and return it as the command reads it."""
    from gatehouse.cli.grant_file import GrantFile  # noqa: PLC0415 - see conftest.py

    path.write_bytes(content)
    return GrantFile(path)


def fields_of(file: GrantFile) -> list[dict[str, Any]]:
    """Return the fields of its rows."""
    from gatehouse.cli import grants  # noqa: PLC0415 - see conftest.py

    assert grants.checked(file, None, 1000).problems == []
    return [row.fields for row in grants.rows(file, None) if not isinstance(row, tuple)]


@pytest.mark.parametrize(
    "content",
    [
        f"{HEAD}\n{ROW}\n",
        f"\ufeff{HEAD}\r\n{ROW}\r\n",
        f"{HEAD}\n\n,,,,\n{ROW}\n,,,,\n",
        f"{HEAD},\n{ROW},\n",
        f" {HEAD.replace(',', ' , ')}\n{ROW}\n",
        f"{HEAD}\n{ROW}\n".replace(",", ";"),
        f"{HEAD}\n{ROW}\n".replace(",", "\t"),
        f'"{HEAD}"\n"{ROW}"\n'.replace(",", '";"'),
    ],
    ids=["plain", "BOM and CRLF", "empty rows", "an empty column", "blanks", "semicolons", "tabs", "quoted"],
)
def test_a_table_is_read_however_it_is_written(content: str, tmp_path: Path) -> None:
    """Each program that writes tables has its own way."""
    assert fields_of(file_of(tmp_path / "grants.csv", content.encode())) == [GRANT]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"{ROW}\n{ROW}\n", "line 1: expected names of fields in the first line"),
        (f"{HEAD},refresh_token\n{ROW},{TOKEN}\n", "line 1: refresh_token: the first line has it twice"),
        (f"{HEAD},tags\n{ROW},5\n", "line 1: tags: the first line has it twice"),
        (f"{HEAD}\n{ROW.removesuffix('no')}ture\n", "line 2: prove: expected true or false"),
        (f"{HEAD}\n{ROW},{TOKEN}\n", "line 2: expected as many cells"),
        (f"{HEAD},\n{ROW},{TOKEN}\n", "line 2: expected as many cells"),
        (f"{HEAD}\n{ROW.replace(TOKEN, chr(34) + TOKEN + chr(34) + 'x')}\n", "line 2: not CSV"),
        (f"{HEAD}\n", "the file has none"),
        ("", "line 1: expected names of fields"),
    ],
    ids=[
        "no names",
        "twice",
        "whole and by names",
        "a misspelt no",
        "more cells",
        "no name",
        "quotes",
        "rows",
        "empty",
    ],
)
def test_what_a_table_lacks_is_said_without_what_it_has(content: str, says: str, tmp_path: Path) -> None:
    """Where the first line is a row, its cells are no names, and one of them is a token."""
    (tmp_path / "grants.csv").write_text(content, "utf-8")

    refused = run("import", str(tmp_path / "grants.csv"), "--check")

    assert (refused.code, refused.out, says in refused.err) == (2, "", True), refused.err
    assert TOKEN not in refused.err


def test_a_pipe_is_read_once_and_imported_from(tmp_path: Path) -> None:
    """Then no grant has to lie in a file. Such a path has nothing for whoever opens it a second time."""
    from gatehouse.cli.grant_file import GrantFile  # noqa: PLC0415 - see conftest.py

    pipe = tmp_path / "grants.csv"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_text, args=(f"{HEAD}\n{ROW}\n",), daemon=True)
    writing.start()

    assert fields_of(GrantFile(pipe)) == [GRANT]


def test_standard_input_is_a_file_too(gatehouse: Gatehouse) -> None:
    """With a name that says nothing, an option says that it is CSV."""
    row = ROW.replace("slack", "ultracart")

    checked = gatehouse("import", "-", "--csv", "--check", "--json", typed=f"{HEAD}\n{row}\n")

    assert (checked.code, checked.json["providers"]) == (0, {"ultracart": 1})


def test_a_file_that_changes_after_its_check_is_not_imported(tmp_path: Path) -> None:
    """What has not been checked is not sent."""
    from gatehouse.cli.failures import Failure  # noqa: PLC0415 - see conftest.py

    file = file_of(tmp_path / "grants.csv", f"{HEAD}\n{ROW}\n".encode())
    fields_of(file)
    (tmp_path / "grants.csv").write_text(f"{HEAD}\n{ROW}\n{ROW}\n", "utf-8")

    with pytest.raises(Failure, match="has changed"):
        fields_of(file)


def test_a_report_never_takes_the_place_of_the_grants(tmp_path: Path) -> None:
    """They may be the only copy."""
    file = tmp_path / "grants.csv"
    file.write_text(f"{HEAD}\n{ROW}\n", "utf-8")
    (tmp_path / "report").symlink_to(file)

    refused = run("import", str(file), "--report", str(tmp_path / "report"))

    assert (refused.code, "--report" in refused.err) == (2, True)
    assert ROW in file.read_text("utf-8")


class Calls:
    """A client that answers each call as the test says, and the import that makes it."""

    def __init__(self, tmp_path: Path, rows: int, call: Callable[[Any, dict[str, Any]], Any]) -> None:
        from gatehouse.cli.importing import Import, Report  # noqa: PLC0415 - see conftest.py

        lines = [f'{{"provider": "slack", "connection_id": "{number}"}}\n' for number in range(rows)]
        self.file = file_of(tmp_path / "grants.jsonl", "".join(lines).encode())
        self._call = call
        self.timing: Any = None
        self.work: Import = Import(
            self._made,
            Report(rows),
            bears=lambda _: 2,
            per_second=None,
            proves=True,
            progress=lambda _: None,
        )

    def _made(self, timing: Any) -> Any:
        self.timing = timing
        return self

    def call(self, _function: str, fields: dict[str, Any]) -> Any:
        """Answer."""
        return self._call(self.timing, fields)

    def run(self) -> None:
        """Import."""
        self.work.run(self.file, None, ["slack"])


def test_what_no_call_can_do_without_ends_an_import(tmp_path: Path) -> None:
    """Credentials that run out in the middle: it says so, and waits for nobody to take the rows that are left."""

    def call(_timing: Any, fields: dict[str, Any]) -> Any:
        if int(fields["connection_id"]) < 10:
            return {"status": "active"}
        raise NoCredentialsError

    calls = Calls(tmp_path, 500, call)
    with pytest.raises(NoCredentialsError):
        calls.run()

    assert (calls.work.report.imported, calls.work.report.failed) == (10, [])


def test_an_import_ends_while_a_call_waits_to_be_repeated(tmp_path: Path) -> None:
    """A provider may want to be left alone for a minute: whoever presses Ctrl-C does not wait for that."""
    waits = threading.Event()

    def call(timing: Any, fields: dict[str, Any]) -> Any:
        if fields["connection_id"] == "0":
            waits.set()
            timing.sleep(3600)
        waits.wait(5)
        raise NotAllowed("No.")

    calls = Calls(tmp_path, 2, call)
    with pytest.raises(NotAllowed):
        calls.run()

    assert calls.work.report.as_json()["not_tried"] == 2

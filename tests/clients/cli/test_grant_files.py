"""What can be imported from: the ways to write a table, pipes, and files that are not what they seem."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import NoCredentialsError

from gatehouse import ConnectionNotFound, NotAllowed, ProviderMisconfigured, ReauthorizationRequired
from tests.clients.cli.conftest import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gatehouse.cli.grant_file import GrantFile
    from gatehouse.cli.import_report import Report
    from gatehouse.cli.importing import Import
    from tests.clients.cli.conftest import Gatehouse

TOKEN = "a-token-that-nobody-may-see"
NOW = 1_700_000_000
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
        (HEAD.replace("connection_id", "Conection ID"), "(column 2: did you mean connection_id?)"),
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
        "a misspelt name",
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
    """A client that answers each call as the test says, and the import that makes it; `connections` are those there."""

    def __init__(
        self,
        tmp_path: Path,
        rows: int,
        call: Callable[[Any, dict[str, Any]], Any],
        *,
        at_once: int = 2,
        progress: Callable[[Report], None] = lambda _: None,
    ) -> None:
        from gatehouse.cli.import_report import Report  # noqa: PLC0415 - see conftest.py
        from gatehouse.cli.importing import Import  # noqa: PLC0415 - see conftest.py

        each = {"provider": "slack", "refresh_token": TOKEN}
        lines = [json.dumps({**each, "connection_id": str(number)}) + "\n" for number in range(rows)]
        self.file = file_of(tmp_path / "grants.jsonl", "".join(lines).encode())
        self._call = call
        self.timing: Any = None
        self.connections: dict[str, dict[str, Any]] = {}
        self.said: list[str] = []
        self.sent: list[str] = []
        self.work: Import = Import(
            self._made,
            Report(rows),
            bears=lambda _: at_once,
            per_second=None,
            proves=True,
            progress=progress,
            note=self.said.append,
            now=lambda: float(NOW),
        )

    def _made(self, timing: Any) -> Any:
        self.timing = timing
        return self

    def call(self, _function: str, fields: dict[str, Any]) -> Any:
        """Answer."""
        self.sent.append(fields["connection_id"])
        return self._call(self.timing, fields)

    def connection(self, connection_id: str) -> Any:
        """Return what is known of one."""
        if connection_id not in self.connections:
            raise ConnectionNotFound("None.")
        return self.connections[connection_id]

    def run(self) -> Report:
        """Import, and return what came of it."""
        self.work.run(self.file, None, ["slack"])
        return self.work.report

    def unproved(self, fields: dict[str, Any], code: str, seconds: int, **failure: Any) -> dict[str, Any]:
        """Answer that the provider has failed just now, and is left alone for so long."""
        known = {"code": code, "description": "The server is busy.", "count": 1, **failure}
        alone = {"asked_at": NOW, "next_at": NOW + seconds}
        self.connections[fields["connection_id"]] = {
            "status": "unconfirmed",
            "version": 1,
            "token_type": "Bearer",
            "failure": known,
            "left_alone": alone if seconds else None,
        }
        return {"status": "unconfirmed"}

    def refused(self, fields: dict[str, Any], *, holds_tokens: bool = True) -> ReauthorizationRequired:
        """Return the error that a provider has refused a grant, or has named another account for it."""
        known = {"status": "reauthorization_required", "version": 1}
        self.connections[fields["connection_id"]] = known | ({"token_type": "Bearer"} if holds_tokens else {})
        return ReauthorizationRequired("No.", provider_error={"error": "invalid_grant"} if holds_tokens else None)


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
            return {"status": "active"}
        if fields["connection_id"] == "1":
            waits.set()
            timing.sleep(3600)
        waits.wait(5)
        raise NotAllowed("No.")

    calls = Calls(tmp_path, 3, call)
    with pytest.raises(NotAllowed):
        calls.run()

    assert calls.work.report.as_json()["not_tried"] == 2


def test_an_import_ends_if_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """Like a pipe to `head`: whoever notes a row meets that, and no other part may wait for it."""

    def unread(_report: Report) -> None:
        raise BrokenPipeError

    ended: list[BaseException] = []
    calls = Calls(tmp_path, 500, lambda *_: {"status": "active"}, progress=unread)

    def run() -> None:
        try:
            calls.run()
        except BaseException as error:  # noqa: BLE001 - it is looked at
            ended.append(error)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    running.join(10)

    assert [type(each) for each in ended] == [BrokenPipeError]
    assert len(calls.sent) <= 2


@pytest.mark.parametrize(("code", "seconds"), [("provider_throttled", 3600), ("provider_unavailable", 301)])
def test_a_provider_that_wants_to_be_left_alone_for_long_ends_its_rows(tmp_path: Path, code: str, seconds: int) -> None:
    """The first proof says so; nobody waits at a terminal for an hour."""
    calls = Calls(tmp_path, 20, lambda _, fields: calls.unproved(fields, code, seconds), at_once=1)

    report = calls.run()

    assert calls.sent == ["0"]
    assert (report.unproved, report.as_json()["not_tried"]) == (1, 19)
    assert report.stopped["slack"].error == code
    assert report.stopped["slack"].description.startswith("It has to be left alone for ")


def test_a_provider_is_left_alone_as_long_as_it_says(tmp_path: Path) -> None:
    """By all who are at work with it: the next call comes when that is over. What takes longer is said."""
    times: list[float] = []

    def call(_timing: Any, fields: dict[str, Any]) -> Any:
        times.append(time.monotonic())
        return calls.unproved(fields, "provider_throttled", 1) if len(times) == 1 else {"status": "active"}

    calls = Calls(tmp_path, 3, call, at_once=1)
    report = calls.run()

    assert times[1] - times[0] >= 1
    assert (report.unproved, report.imported, report.stopped, calls.said) == (1, 2, {}, [])


def test_a_long_pause_is_said(tmp_path: Path) -> None:
    """Whoever waits knows why, and until when."""
    calls = Calls(tmp_path, 1, lambda _, fields: calls.unproved(fields, "provider_throttled", 45), at_once=1)

    calls.run()

    assert calls.said == ["slack is left alone for 45 seconds: The server is busy."]


@pytest.mark.parametrize("remembered", [{"count": 2}, {"seconds": 0}], ids=["tried again", "time is over"])
def test_what_is_remembered_of_an_earlier_import_stops_nothing(tmp_path: Path, remembered: dict[str, int]) -> None:
    """Nothing was sent for it: the rows behind it are imported, however long its own grant is left alone."""
    seconds = remembered.pop("seconds", 3600)

    def call(_timing: Any, fields: dict[str, Any]) -> Any:
        number = int(fields["connection_id"])
        if number == 0:
            return calls.unproved(fields, "provider_unavailable", seconds, **remembered)
        if number == 1:
            calls.unproved(fields, "provider_misconfigured", seconds, **remembered)
            raise ProviderMisconfigured("No such client.")
        return {"status": "active"}

    calls = Calls(tmp_path, 5, call, at_once=1)
    report = calls.run()

    assert (report.imported, report.unproved, len(report.failed), report.stopped) == (3, 1, 1, {})


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_registration_that_is_refused_ends_its_rows(tmp_path: Path, *, is_stored: bool) -> None:
    """No other row can succeed, and each would be another attempt with a wrong secret."""

    def call(_timing: Any, fields: dict[str, Any]) -> Any:
        if is_stored:
            calls.unproved(fields, "provider_misconfigured", 5)
        raise ProviderMisconfigured("invalid_client")

    calls = Calls(tmp_path, 20, call, at_once=1)
    report = calls.run()

    assert calls.sent == ["0"]
    assert report.failed[0]["stored"] == ("unconfirmed" if is_stored else None)
    assert report.stopped["slack"].error == "provider_misconfigured"
    assert report.as_json()["not_tried"] == 19


@pytest.mark.parametrize(
    ("wrong", "sent"), [([2, 4, 5, 7], 10), ([2, 4, 5, 6, 8], 7)], ids=["closed shops", "a client that is ended"]
)
def test_once_one_is_proved_a_wrong_registration_is_that_of_single_grants(
    tmp_path: Path, wrong: list[int], sent: int
) -> None:
    """The server of a shop that is closed answers 404, and none of the other shops has to wait for that."""

    def call(_timing: Any, fields: dict[str, Any]) -> Any:
        if int(fields["connection_id"]) not in wrong:
            return {"status": "active"}
        calls.unproved(fields, "provider_misconfigured", 5)
        raise ProviderMisconfigured("The endpoint does not answer as one of OAuth.")

    calls = Calls(tmp_path, 10, call, at_once=1)
    report = calls.run()

    assert len(calls.sent) == sent
    assert list(report.stopped) == ([] if sent == 10 else ["slack"])


@pytest.mark.parametrize(
    ("holds_tokens", "stored"), [(True, "reauthorization_required"), (False, "of_another_account")]
)
def test_three_refusals_before_any_success_end_a_providers_rows(
    tmp_path: Path, stored: str, *, holds_tokens: bool
) -> None:
    """It is the registration, or a whole column, and each further row could cost a customer's grant.

    So until one is proved they are tried one at a time, however many the provider bears.
    """

    def call(_timing: Any, fields: dict[str, Any]) -> Any:
        raise calls.refused(fields, holds_tokens=holds_tokens)

    calls = Calls(tmp_path, 50, call, at_once=4)
    report = calls.run()

    assert calls.sent == ["0", "1", "2"]
    assert [each["stored"] for each in report.failed] == [stored] * 3
    assert report.stopped["slack"].error == "reauthorization_required"
    left = " ".join(report.by_what_is_stored())
    assert ("provider refused" in left) is holds_tokens
    assert ("another account" in left) is not holds_tokens


def test_the_same_command_goes_on_behind_what_was_refused(tmp_path: Path) -> None:
    """Refusals of an earlier import are answered by the record: they were not sent, and do not count."""

    def call(_timing: Any, fields: dict[str, Any]) -> Any:
        if int(fields["connection_id"]) < 5:
            raise calls.refused(fields)
        return {"status": "active"}

    calls = Calls(tmp_path, 10, call, at_once=1)
    first = calls.run().as_json()
    again = Calls(tmp_path, 10, call, at_once=1)
    again.connections = calls.connections
    second = again.run()

    assert (len(first["failed"]), first["not_tried"]) == (3, 7)
    assert (len(second.failed), second.imported, second.stopped) == (5, 5, {})


def test_refusals_under_a_corrected_registration_count(tmp_path: Path) -> None:
    """Under a corrected registration the same import is another one: it may be wrong still."""

    def call(_timing: Any, fields: dict[str, Any]) -> Any:
        number = fields["connection_id"]
        before = calls.connections[number]["version"]
        error = calls.refused(fields)
        calls.connections[number] = {**calls.connections[number], "version": before + 1}
        raise error

    calls = Calls(tmp_path, 9, call, at_once=1)
    for number in range(9):
        calls.refused({"connection_id": str(number)})
    report = calls.run()

    assert (calls.sent, report.stopped["slack"].error) == (["0", "1", "2"], "reauthorization_required")


def test_once_one_is_proved_refusals_are_those_of_single_grants(tmp_path: Path) -> None:
    """Old systems have many dead grants."""

    def call(_timing: Any, fields: dict[str, Any]) -> Any:
        if fields["connection_id"] == "2":
            return {"status": "active"}
        raise calls.refused(fields)

    calls = Calls(tmp_path, 9, call, at_once=1)
    report = calls.run()

    assert (report.imported, len(report.failed), report.stopped) == (1, 8, {})


@pytest.mark.parametrize(
    "fields", [{"refresh_token": TOKEN, "prove": False}, {"access_token": TOKEN}], ids=["as it is", "nothing to prove"]
)
def test_what_nothing_has_proved_is_not_called_proved(tmp_path: Path, fields: dict[str, Any]) -> None:
    """It is active, as it was taken. It says nothing of the provider either."""
    calls = Calls(tmp_path, 1, lambda *_: {"status": "active"})
    row = {"provider": "slack", "connection_id": "1", **fields}
    calls.file = file_of(tmp_path / "as_is.jsonl", json.dumps(row).encode())

    report = calls.run()

    assert (report.imported, report.taken_as_is, report.done) == (0, 1, 1)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"connection_id": "shop-1-old"}, ["line 2: refresh_token: the same as on line 1"]),
        ({"connection_id": "shop-1"}, ["line 2: connection_id: the same as on line 1"]),
        ({"connection_id": "shop-2", "provider": "asana"}, []),
        ({"connection_id": "shop-2", "refresh_token": "another"}, []),
    ],
    ids=["another id", "the whole row", "another provider", "another token"],
)
def test_a_refresh_token_is_imported_once(tmp_path: Path, second: dict[str, str], says: list[str]) -> None:
    """Under two ids it would be used twice, and many servers take that for a theft, and end the grant."""
    from gatehouse.cli import grants  # noqa: PLC0415 - see conftest.py

    first = {"provider": "slack", "connection_id": "shop-1", "refresh_token": TOKEN}
    content = f"{json.dumps(first)}\n{json.dumps({**first, **second})}\n"

    found = grants.checked(file_of(tmp_path / "grants.jsonl", content.encode()), None, 1000)

    assert [each.startswith(text) for each, text in zip(found.problems, says, strict=True)] == [True] * len(says)
    assert TOKEN not in "".join(found.problems)

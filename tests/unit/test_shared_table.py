"""The table of what connections share: notes are read as they were written, and a note never costs anybody a token."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.base.timing import CALL, NEVER, Deadline
from functions.vault.storage.aws import ClientOf
from functions.vault.storage.shared import NOTED_EVERY, Shared
from tests.unit.samples import NOW

ACME = ("acme", "client-1")


def test_a_refresh_of_any_connection_of_the_client_is_known(shared: Shared) -> None:
    """Whichever connection it was. Other clients and other providers have notes of their own."""
    assert shared.last_refreshed(*ACME) is None

    shared.note_refreshed(*ACME, NOW + 0.7, NEVER)

    assert shared.last_refreshed(*ACME) == NOW
    assert shared.last_refreshed("acme", "client-2") is None
    assert shared.last_refreshed("other", "client-1") is None


def test_a_process_notes_refreshes_every_ten_minutes_at_most(shared: Shared) -> None:
    """However many connections it refreshes, their shared item is not written for each of them."""
    for second in range(NOTED_EVERY):
        shared.note_refreshed(*ACME, NOW + second, NEVER)
    before = shared.last_refreshed(*ACME)
    shared.note_refreshed(*ACME, NOW + NOTED_EVERY, NEVER)

    assert (before, shared.last_refreshed(*ACME)) == (NOW, NOW + NOTED_EVERY)


def test_a_note_never_replaces_a_later_one(shared: Shared, engine: ClientOf, shared_table: str) -> None:
    """A process that is slow, or whose clock is, changes nothing that another has noted later."""
    another = Shared(engine, shared_table)
    shared.note_refreshed(*ACME, NOW, NEVER)

    another.note_refreshed(*ACME, NOW - 5, NEVER)

    assert shared.last_refreshed(*ACME) == NOW


def test_an_authorization_elsewhere_is_one_by_another_connection(shared: Shared) -> None:
    """For the same account and client. The connection's own do not count, whether they came before or after."""

    def elsewhere(connection_id: str, subject: str = "m-1") -> int | None:
        return shared.authorized_elsewhere(*ACME, subject, connection_id)

    def authorized(connection_id: str, at: int) -> None:
        shared.note_authorized(*ACME, "m-1", connection_id, at, NEVER)

    assert elsewhere("a") is None
    authorized("a", NOW)
    assert (elsewhere("a"), elsewhere("b")) == (None, NOW)
    authorized("b", NOW + 1)
    authorized("c", NOW + 2)
    authorized("a", NOW + 3)
    authorized("a", NOW + 4)
    assert (elsewhere("a"), elsewhere("b"), elsewhere("c")) == (NOW + 2, NOW + 4, NOW + 4)
    assert (elsewhere("a", "m-2"), shared.authorized_elsewhere("acme", "client-2", "m-1", "a")) == (None, None)


def test_no_item_shows_an_account(shared: Shared, engine: ClientOf, shared_table: str) -> None:
    """The key has a digest of the subject, and a client id can have any length."""
    shared.note_authorized("acme", "c" * 4000, "m-1@example.com", "a", NOW, NEVER)

    (item,) = engine("dynamodb").scan(TableName=shared_table)["Items"]

    assert "m-1" not in str(item)
    assert shared.authorized_elsewhere("acme", "c" * 4000, "m-1@example.com", "b") == NOW


class _Refusing:
    """A table that refuses every call."""

    def __init__(self, code: str, status: int) -> None:
        self.calls = 0
        self._error: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}

    def _refuse(self, **_arguments: Any) -> None:
        self.calls += 1
        raise ClientError(self._error, "UpdateItem")

    update_item = get_item = _refuse


@pytest.mark.parametrize(("code", "status"), [("AccessDeniedException", 400), ("InternalServerError", 500)])
def test_a_note_that_cannot_be_written_is_only_logged(code: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody goes without a token, nobody waits for it twice, and the log says that the note is missing."""
    table = _Refusing(code, status)
    shared = Shared(lambda _service: table, "shared")

    for second in range(3):
        shared.note_refreshed(*ACME, NOW + second, NEVER)
    shared.note_authorized(*ACME, "m-1", "a", NOW, NEVER)

    assert table.calls == 2
    assert [record.message for record in caplog.records] == ["note not written"] * 2


def test_an_outage_of_the_table_is_reported_to_readers() -> None:
    """Not knowing is not the same as knowing that there is no note."""
    shared = Shared(lambda _service: _Refusing("InternalServerError", 500), "shared")

    with pytest.raises(TemporarilyUnavailable):
        shared.authorized_elsewhere(*ACME, "m-1", "a")


def test_a_note_is_skipped_if_time_is_short() -> None:
    """With less time left than a call of AWS can take, it is not written."""
    table = _Refusing("InternalServerError", 500)
    shared = Shared(lambda _service: table, "shared")

    shared.note_authorized(*ACME, "m-1", "a", NOW, Deadline(lambda: CALL - 0.1))

    assert table.calls == 0

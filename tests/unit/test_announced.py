"""What is announced of a connection, and when: by the transitions of its record, without a table or a bus."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from functions.vault.base.errors import ProviderUnavailable, ReauthorizationRequired
from functions.vault.grant import consents, imports, refreshes, revocations
from functions.vault.grant.announced import KINDS, events_of
from functions.vault.grant.authorized import Authorized
from functions.vault.grant.connection import LONGEST_NOTICE
from functions.vault.grant.imports import Brought
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.transition import SAME_END
from functions.vault.storage import attributes
from functions.vault.storage.connection_item import connection_item, events_item, events_since
from functions.vault.storage.stream import announced_image, announced_item
from tests.requirements import ROOT
from tests.unit.samples import NOW, connection, sealed_tokens, token_response
from tools import event_schemas

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection

YEAR = 365 * 86400
SOURCE = RefreshedFrom("sealed-1", 1)


def image_of(now: Connection, changes: int = 0) -> dict[str, Any]:
    """Return the image of an item in the stream, as a write leaves it."""
    return attributes.write_item({**connection_item(now), **events_item(now, changes)})


def refreshed(was: Connection, now: int, ends_at: int | None) -> Connection:
    """Return the connection after a refresh that names the end of the refresh token."""
    leased = refreshes.leased(was, "me", now + 30, now)
    tokens = sealed_tokens(
        token_response(refresh_expires_at=ends_at, expires_at=now + 3600), f"at {now}".encode(), at=now
    )
    return refreshes.refreshed(leased, tokens, SOURCE, "me", now)


def kinds(now: Connection, was: Connection) -> tuple[str, ...]:
    """Return what a write from one record to the other announces."""
    return events_since(now, was.changes)


def test_nothing_but_what_is_listed_gets_into_an_event() -> None:
    """Whatever the record holds beside it: a later field is not published by accident."""
    made = connection(token_response(subject="acct", metadata={"host": "h.example"}))
    image = image_of(made) | {"later": {"S": "planted"}}
    image["summary"]["M"]["later"] = {"S": "planted"}

    ((_, detail),) = events_of(announced_item(image), "gatehouse")

    assert "planted" not in str(detail)
    assert not {"sets", "subject", "metadata", "seal", "later"} & detail.keys()
    assert "sets" not in announced_image(image)
    assert "sealed-1" not in str(detail)


def test_an_event_has_the_same_id_whenever_its_write_is_read() -> None:
    """And another one if a restored table counts to the same number again."""
    made = connection()
    later = replace(made, updated_at=made.updated_at + 1)

    ids = [
        detail["id"] for each in (made, made, later) for _, detail in events_of(announced_item(image_of(each)), "stack")
    ]

    assert ids[0] == ids[1] != ids[2]


def test_the_numbers_of_one_write_rise_too() -> None:
    """A reader who leaves out what is not above the last number misses nothing, nor does one who goes by the ids."""
    made = replace(connection(), events=((1, "authorized"), (1, "scope_missing")))

    found = list(events_of(announced_item(image_of(made)), "stack"))

    assert [detail["number"] for _, detail in found] == [10, 11]
    assert [kind for kind, _ in found] == ["connection.authorized", "connection.scope_missing"]
    assert len({detail["id"] for _, detail in found}) == 2
    assert ["unconfirmed" in detail for _, detail in found] == [True, False]


def test_an_event_has_all_that_the_record_says() -> None:
    """Each field of the list has its value, from the item as it is stored."""
    made = replace(connection(token_response(refresh_expires_at=NOW + YEAR)), scope_missing=("write",))
    leased = refreshes.leased(made, "me", NOW + 30, NOW)
    failed = refreshes.refresh_failed(leased, ProviderUnavailable("The server is out."), NOW + 5, 0.5)

    ((kind, detail),) = events_of(announced_item(image_of(failed, made.changes)), "stack")

    assert kind == "connection.degraded"
    assert {name: detail[name] for name in ("at", "status", "needs", "version", "request_id", "scope")} == {
        "at": NOW + 5,
        "status": "active",
        "needs": None,
        "version": 1,
        "request_id": made.authorized_by,
        "scope": "read",
    }
    assert (detail["scope_missing"], detail["ends_at"]) == (["write"], NOW + YEAR)
    assert failed.failure is not None
    assert detail["failure"] == {
        "code": "provider_unavailable",
        "count": 1,
        "at": NOW + 5,
        "retry_at": failed.failure.retry_at,
    }


def test_a_write_announces_what_it_brings_and_not_what_came_before() -> None:
    """A lease is nothing, and neither is an event of the write before."""
    made = connection()
    leased = refreshes.leased(made, "me", NOW + 30, NOW)

    assert kinds(made, replace(made, changes=0)) == ("authorized",)
    assert kinds(leased, made) == ()
    assert events_item(leased, made.changes) == {}


def test_what_waits_for_the_application_says_so() -> None:
    """Then it is confirmed, which is another event."""
    tokens = sealed_tokens()
    pending = Authorized("request-1", confirmation="hash").waiting_with(tokens, 0, NOW, grants_are_apart=False)
    waiting = consents.first_has_to_wait("merchant-1", tokens, pending, "request-1", NOW)
    confirmed = connection(before=waiting, confirmed_by="hash")

    (event,) = events_of(announced_item(image_of(waiting)), "stack")

    assert (event[0], event[1]["unconfirmed"], event[1]["needs"]) == ("connection.authorized", True, "confirmation")
    assert kinds(confirmed, waiting) == ("confirmed",)


def test_an_import_is_announced_once_it_is_proved() -> None:
    """Before that nobody can use it. One that is taken as it is is announced at once; a refused one needs a person."""
    brought = Brought("digest", "owner-1", {"shop": "1"}, {"tier": "gold"})
    about = ("merchant-1", sealed_tokens(), brought)
    came = imports.has_to_be_proved(*about, "me", NOW + 30, NOW, before=None)
    failed = refreshes.refresh_failed(came, ProviderUnavailable("Down."), NOW, 0.5)
    again = refreshes.leased(failed, "you", NOW + 60, NOW + 40)
    proved = refreshes.refreshed(again, sealed_tokens(sealed=b"new", version=2), SOURCE, "you", NOW + 41)
    refused = refreshes.refused(again, ReauthorizationRequired("Dead."), NOW + 41)
    as_it_is = imports.imported(*about, NOW, before=None)

    assert [kinds(came, replace(came, changes=0)), kinds(failed, came), kinds(again, failed)] == [(), (), ()]
    assert kinds(proved, again) == kinds(as_it_is, replace(as_it_is, changes=0)) == ("authorized",)
    assert kinds(refused, again) == ("reauthorization_required",)
    ((_, detail),) = events_of(announced_item(image_of(proved, again.changes)), "gatehouse")
    assert (detail["request_id"], detail["unconfirmed"], detail["status"]) == (None, False, "active")
    assert detail["start"] == {
        "provider": "acme",
        "connection_id": "merchant-1",
        "owner": "owner-1",
        "parameters": {"shop": "1"},
        "tags": {"tier": "gold"},
    }


def test_what_still_waits_is_announced_once() -> None:
    """What happens to the tokens that are in use meanwhile is no consent."""
    made = connection()
    pending = Authorized("request-2", confirmation="hash").waiting_with(sealed_tokens(), 1, NOW, grants_are_apart=False)
    waiting = consents.has_to_wait(made, sealed_tokens(sealed=b"sealed-2"), pending, "request-2", NOW)

    assert kinds(waiting, made) == ("authorized_unconfirmed",)
    assert kinds(refreshes.leased(waiting, "me", NOW + 30, NOW), waiting) == ()


def test_what_was_not_granted_is_announced_when_that_changes() -> None:
    """Not with every refresh that brings the same again."""
    made = replace(connection(), scope_missing=("write",))
    same = refreshed(made, NOW + 10, None)
    less = connection(token_response(scope_missing=("read", "write")), before=same)

    assert kinds(same, made) == ("refreshed",)
    assert kinds(less, same) == ("authorized", "scope_missing")


def test_failures_are_announced_once_and_so_is_their_end() -> None:
    """However often a refresh is tried in between."""
    made = connection()
    outage = ProviderUnavailable("The server is out.")
    failed = refreshes.refresh_failed(refreshes.leased(made, "a", NOW + 30, NOW), outage, NOW, 0.5)
    again = refreshes.refresh_failed(refreshes.leased(failed, "b", NOW + 60, NOW + 31), outage, NOW + 32, 0.5)
    works = refreshed(again, NOW + 100, None)

    assert [kinds(failed, made), kinds(again, failed), kinds(works, again)] == [
        ("degraded",),
        (),
        ("recovered", "refreshed"),
    ]


def test_a_dead_grant_is_announced_once_and_its_recovery_too() -> None:
    """Each look at it that ends in another refusal is no news."""
    made = connection()
    refusal = ReauthorizationRequired("It is gone.")
    dead = refreshes.refused(refreshes.leased(made, "a", NOW + 30, NOW), refusal, NOW)
    still = refreshes.refused(refreshes.leased(dead, "b", NOW + 600, NOW + 500), refusal, NOW + 500)
    alive = refreshed(still, NOW + 1000, None)

    assert [kinds(dead, made), kinds(still, dead), kinds(alive, still)] == [
        ("reauthorization_required",),
        (),
        ("recovered", "refreshed"),
    ]


def test_what_is_ended_on_purpose_needs_nobody() -> None:
    """Revoking says that, and no more."""
    assert kinds(revocations.revoked(connection(), NOW), connection()) == ("revoking",)


@pytest.mark.parametrize(
    ("life", "notice"), [(YEAR, LONGEST_NOTICE), (4000, 1000)], ids=["a week", "a quarter of its life"]
)
def test_the_end_of_a_refresh_token_is_announced_once(life: int, notice: int) -> None:
    """It is due then, and no write before or after says it again."""
    ends_at = NOW + life
    made = refreshed(connection(), NOW, ends_at)
    early = refreshes.ends_soon(made, ends_at - notice - 1)
    near = refreshes.ends_soon(made, ends_at - notice)
    later = refreshes.ends_soon(near, ends_at - 1)

    assert made.notice_at == ends_at - notice
    assert made.due_at is not None
    assert made.due_at <= ends_at - notice
    assert [kinds(early, made), kinds(near, made), kinds(later, near)] == [(), ("expiring",), ()]
    assert later.notice_at is None


@pytest.mark.parametrize("off_by", [-SAME_END, 0, SAME_END])
def test_an_end_that_does_not_move_is_one_end(off_by: int) -> None:
    """A server may say in other seconds each time when the same refresh token ends."""
    ends_at = NOW + 3 * 86400
    near = refreshes.ends_soon(refreshed(connection(), NOW, ends_at), ends_at - 1000)
    again = refreshed(near, ends_at - 900, ends_at + off_by)

    assert kinds(near, connection()) != ()
    assert "expiring" not in kinds(again, near)
    assert again.notice_at is None


def test_an_end_that_moves_on_is_announced_when_it_comes_near() -> None:
    """A refresh token that is used often never comes near its end."""
    first = refreshed(connection(), NOW, NOW + 86400)
    second = refreshed(first, NOW + 43200, NOW + 43200 + 86400)

    assert kinds(second, first) == ("refreshed",)
    assert second.notice_at == NOW + 43200 + 86400 - 21600


def test_every_kind_is_described_and_the_schemas_are_current() -> None:
    """`python -m tools.event_schemas` writes them."""
    folder = ROOT / "docs" / "events"
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")

    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == event_schemas.documents()
    for kind in KINDS:
        Draft202012Validator.check_schema(event_schemas.schema(f"connection.{kind}"))
        assert f"| `connection.{kind}` |" in page


def test_an_event_fits_its_schema() -> None:
    """Field by field, for what a consent brings."""
    made = connection(token_response(scope="read"), requested_scope="read write")

    for detail_type, detail in events_of(announced_item(image_of(made)), "stack"):
        Draft202012Validator(event_schemas.schema(detail_type)).validate(detail)
        assert detail["start"] == {
            "provider": "acme",
            "connection_id": "merchant-1",
            "owner": "owner-1",
            "scopes": ["read", "write"],
            "parameters": {"shop": "1"},
            "tags": {"tier": "gold"},
        }

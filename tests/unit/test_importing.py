"""Imports whose proof is cut short, has to wait, or is overtaken: nothing is lost, and nothing is sent twice."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from functions.vault.base.errors import GatehouseError, ProviderTimedOut
from functions.vault.base.narrowing import Narrowing
from functions.vault.base.timing import SLOT_WAIT
from functions.vault.grant.life import Place, Status
from functions.vault.grant.token_set import TokenSet
from functions.vault.storage.table import Conflict
from tests.unit.samples import NOW, answer, registration
from tests.unit.services import MemoryServices, down

REFUSED = answer('{"error": "invalid_grant"}', 400)


class Killed(BaseException):
    """The end of a process."""


@pytest.fixture
def services() -> MemoryServices:
    """Give services without connections."""
    return MemoryServices()


def brought(**fields: Any) -> dict[str, Any]:
    """Return an import."""
    return {"provider": "acme", "connection_id": "merchant-1", "refresh_token": "RT-1", **fields}


def take(
    services: MemoryServices, seconds: float = 29.0, narrowing: Narrowing | None = None, **fields: Any
) -> dict[str, Any]:
    """Import, and return the result or the error."""
    try:
        return services.importing.take(brought(**fields), services.deadline(seconds), narrowing)
    except GatehouseError as error:
        return error.as_result()


def state(services: MemoryServices) -> tuple[str, int]:
    """Return the status and the version of what is stored."""
    stored = services.stored()
    return str(stored.status), stored.version


def background(services: MemoryServices) -> None:
    """Do what is due."""
    stored = services.stored()
    assert stored.due_at is not None
    services.now = max(services.now, float(stored.due_at))
    services.background_work.refresh_due("merchant-1", stored.version, "acme", services.deadline())


def kill(_form: dict[str, str]) -> Any:
    """End the process while the server is at work."""
    raise Killed


def test_a_killed_proof_is_an_interrupted_attempt_that_the_background_goes_on_with(services: MemoryServices) -> None:
    """Sealed and leased before anything was sent: when the lease has lapsed the token is tried once more."""
    # given
    services.server.answers = [kill]
    with pytest.raises(Killed):
        take(services)
    killed, sent = services.stored(), len(services.server.requests)

    # when
    repeated = take(services)
    background(services)

    # then
    assert (killed.status, killed.needs) == (Status.UNCONFIRMED, None)
    assert killed.due_at == NOW + 32
    assert repeated == {"connection_id": "merchant-1", "status": "unconfirmed", "version": 1}
    assert sent == 1
    assert services.server.refresh_tokens == ["RT-1", "RT-1"]
    assert state(services) == ("active", 2)


def test_a_killed_proof_that_is_refused_then_says_that_it_was_interrupted(services: MemoryServices) -> None:
    """The server may have replaced the refresh token: nobody looks at it again, and other tokens may be imported."""
    services.server.answers = [kill, REFUSED]
    with pytest.raises(Killed):
        take(services)

    background(services)
    refused = take(services)
    other = take(services, refresh_token="RT-1b")

    assert refused["error"] == "reauthorization_required"
    assert "interrupted" in refused["error_description"]
    assert other["status"] == "active"
    assert [each.place for each in services.stored().sets] == [Place.CURRENT]


def corrected(services: MemoryServices, **changed: Any) -> None:
    """Let the operator correct the registration: its client, or what is `changed`."""
    known = registration(**changed)
    services.registrations.known["acme"] = known if changed else replace(known, client_id="client-2")


SANDBOX = "https://sandbox.example/token"


@pytest.mark.parametrize("changed", [{}, {"token_endpoint": SANDBOX}], ids=["client", "endpoint"])
def test_what_was_refused_under_another_registration_is_imported_by_the_same_call(
    services: MemoryServices, changed: dict[str, Any]
) -> None:
    """The refusal was of the registration. Once that is corrected the same tokens are sent once more, and once only."""
    # given
    services.server.answers = [REFUSED]
    refused, again = take(services), take(services)
    corrected(services, **changed)

    # when
    answered = take(services)
    repeated = take(services)

    # then
    assert refused["error"] == again["error"] == "reauthorization_required"
    assert answered == repeated == {"connection_id": "merchant-1", "status": "active", "version": 3}
    assert services.server.refresh_tokens == ["RT-1", "RT-1"]
    assert [each.place for each in services.stored().sets] == [Place.CURRENT]


def test_what_waits_for_its_proof_under_another_registration_is_imported_by_the_same_call(
    services: MemoryServices,
) -> None:
    """The wrong client was refused, and nothing under the right one would ever try the tokens in the background."""
    # given
    services.server.answers = [answer('{"error": "invalid_client"}', 401)]
    take(services, tags={"plan": "gold"})
    services.pass_time(400)()
    unchanged = take(services, tags={"plan": "gold"})
    corrected(services)

    # when
    answered = take(services, tags={"plan": "gold"})
    other = take(services, tags={})

    # then
    assert unchanged["error"] == "provider_misconfigured"
    assert answered == {"connection_id": "merchant-1", "status": "active", "version": 3}
    assert other["error"] == "invalid_request"
    assert services.server.refresh_tokens == ["RT-1", "RT-1"]
    assert [(each.place, each.whose.client_id) for each in services.stored().sets] == [(Place.CURRENT, "client-2")]


@pytest.mark.parametrize(
    "first",
    [answer('{"error": "slow_down"}', 429), answer('{"error": "invalid_client"}', 401)],
    ids=["limit", "client"],
)
def test_what_waits_for_its_proof_under_a_previous_client_is_left_to_the_background(
    services: MemoryServices, first: Any
) -> None:
    """The application was rotated, and its tokens are still those of the old client: to the new one they are dead."""
    # given
    known = registration()
    previous = {"client_id": known.client_id, "client_secret": "old-secret"}
    services.server.answers = [first]
    take(services)
    before = services.stored()
    services.registrations.known["acme"] = replace(known, client_id="client-2", previous_clients=(previous,))
    services.pass_time(400)()

    # when
    take(services)

    # then
    assert (services.stored(), services.server.refresh_tokens) == (before, ["RT-1"])
    background(services)
    assert services.stored().status is Status.ACTIVE
    assert services.stored().require_current().whose.client_id == known.client_id


def test_what_a_previous_client_was_refused_is_imported_by_the_same_call(services: MemoryServices) -> None:
    """Both clients are the application's, and the first one was not that of these tokens."""
    known = registration()
    services.server.answers = [REFUSED]
    take(services)
    previous = {"client_id": known.client_id, "client_secret": "old-secret"}
    services.registrations.known["acme"] = replace(known, client_id="client-2", previous_clients=(previous,))

    answered = take(services)

    assert answered["status"] == "active"
    assert services.stored().require_current().whose.client_id == "client-2"


@pytest.mark.parametrize(
    ("answered", "seconds", "error"),
    [
        (kill, 1, "temporarily_unavailable"),
        (kill, 400, None),
        (ProviderTimedOut("No answer."), 400, None),
        (answer("", 503), 400, None),
    ],
    ids=["under way", "interrupted", "timed out", "answer unknown"],
)
def test_what_may_be_used_up_under_another_registration_is_not_sent_again(
    services: MemoryServices, answered: Any, seconds: int, error: str | None
) -> None:
    """Nobody knows what became of it: the record says that, and a new token set would have forgotten it."""
    services.server.answers = [answered]
    with suppress(Killed):
        take(services)
    before = services.stored()
    corrected(services)
    services.pass_time(seconds)()

    again = take(services)

    assert (again.get("error"), again.get("status")) == (error, None if error else "unconfirmed")
    assert (services.stored(), services.server.refresh_tokens) == (before, ["RT-1"])


def test_what_is_refused_under_the_corrected_registration_too_is_known_again(services: MemoryServices) -> None:
    """Each registration is asked once. One that differs only in where accounts are asked for is the same."""
    services.server.answers = [REFUSED] * 2
    take(services)
    corrected(services)
    take(services)
    asks = registration(account_endpoint="https://elsewhere.example/me", subject="sub")
    services.registrations.known["acme"] = replace(asks, client_id="client-2")

    again = take(services)

    assert again["error"] == "reauthorization_required"
    assert len(services.server.refresh_tokens) == 2
    assert state(services) == ("reauthorization_required", 2)


@pytest.mark.parametrize("first", ["another import of the same", "a consent"])
def test_who_writes_first_decides_about_an_import_under_a_corrected_registration(
    services: MemoryServices, first: str
) -> None:
    """The record has changed since it was read: nothing of it is sent, or written over what is there."""
    # given
    services.server.answers = [REFUSED]
    take(services)
    corrected(services)
    others: dict[str, Any] = {"another import of the same": lambda: take(services), "a consent": services.connect}
    services.events.before["change"] = [others[first]]

    # when
    answered = take(services)

    # then
    if first == "a consent":
        assert (answered["error"], services.server.refresh_tokens) == ("invalid_request", ["RT-1"])
        assert services.stored().authorized_by == "request-1"
    else:
        assert answered["status"] == "active"
        assert services.server.refresh_tokens == ["RT-1", "RT-1"]


def test_tokens_that_are_being_tried_under_the_earlier_registration_are_not_sent_beside_that(
    services: MemoryServices,
) -> None:
    """At most one request with a refresh token is under way. Whoever comes again when that has ended is served."""
    # given
    services.server.answers = [REFUSED]
    take(services)
    services.now += 400
    answers: list[dict[str, Any]] = []

    def asked_meanwhile(_form: dict[str, str]) -> Any:
        corrected(services)
        answers.append(take(services))
        return REFUSED

    services.server.answers = [asked_meanwhile]

    # when
    background(services)
    after = take(services)

    # then
    assert (answers[0]["error"], answers[0]["retryable"], answers[0]["retry_after"] > 0) == (
        "temporarily_unavailable",
        True,
        True,
    )
    assert after["status"] == "active"
    assert len(services.server.refresh_tokens) == 3


def test_what_is_of_another_account_is_not_said_to_be_there(services: MemoryServices) -> None:
    """The grant may be lost by it, and the answer says so, now and when it is repeated. Nothing can take its place."""
    services.registrations.known["acme"] = registration(subject="sub")
    services.server.answers = [answer('{"access_token": "AT-9", "refresh_token": "RT-9", "sub": "account-2"}')] * 2

    answered = [take(services, subject="account-1") for _ in range(2)]

    assert [each["error"] for each in answered] == ["reauthorization_required"] * 2
    assert all("not kept" in each["error_description"] for each in answered)
    assert not any("take the place of these" in each["error_description"] for each in answered)
    assert len(services.server.refresh_tokens) == 1


def test_a_caller_waits_for_the_proof_that_is_under_way(services: MemoryServices) -> None:
    """`token` gets what the proof brings; nobody sends a second request, and nothing imported is vended."""
    vended: list[dict[str, Any]] = []

    def asked_meanwhile(form: dict[str, str]) -> Any:
        vended.append(services.token(seconds=3.0, min_ttl=0))
        return services.server.issue(form)

    services.server.answers = [asked_meanwhile]

    answered = take(services, access_token="AT-1")

    assert answered["status"] == "active"
    assert vended[0]["error"] == "temporarily_unavailable"
    assert services.token()["access_token"] == "AT-2"
    assert services.server.refresh_tokens == ["RT-1"]


def test_without_a_slot_it_is_stored_and_left_to_the_background(services: MemoryServices) -> None:
    """A provider that takes one request at a time is at work: that was no attempt, and is tried in its turn."""
    # given
    one_at_a_time = registration(max_concurrency=1)
    services.registrations.known["acme"] = one_at_a_time
    with services.client.in_slot(one_at_a_time, services.deadline(), services.now + 1):
        # when
        answered = take(services)

    # then
    held = services.stored().require_current()
    assert answered["status"] == "unconfirmed"
    assert (held.attempts, held.lease) == (0, None)
    assert sum(services.slept) == pytest.approx(SLOT_WAIT, abs=1)
    assert services.server.requests == []
    background(services)
    assert state(services) == ("active", 2)


def test_a_proof_that_times_out_is_not_tried_while_the_server_may_be_at_work(services: MemoryServices) -> None:
    """The lease goes on; then the background tries again."""
    services.server.answers = [ProviderTimedOut("No answer.")]

    answered = take(services)
    waiting = services.token(seconds=2.0)
    background(services)

    assert answered["status"] == "unconfirmed"
    assert waiting["retryable"] is True
    assert len(services.server.refresh_tokens) == 2
    assert state(services) == ("active", 2)


@pytest.mark.parametrize("write", ["create", "change"])
def test_an_outage_of_the_table_is_said_or_made_good(services: MemoryServices, write: str) -> None:
    """Before the import is stored nothing is sent; after the answer it goes to the queue, and is rescued."""
    services.events.before[write] = [down()] * 40

    answered = take(services)

    if write == "create":
        assert (answered["error"], services.server.requests) == ("temporarily_unavailable", [])
        assert services.connections.records == {}
    else:
        assert answered["status"] == "unconfirmed"
        assert len(services.rescue_queue.messages) == 1
    services.events.before.clear()
    assert take(services)["status"] == ("active" if write == "create" else "unconfirmed")


def test_with_too_little_time_nothing_is_begun(services: MemoryServices) -> None:
    """No request would end in time, so nothing is stored either."""
    answered = take(services, seconds=14.0)

    assert (answered["error"], answered["retryable"]) == ("temporarily_unavailable", True)
    assert (services.connections.records, services.server.requests) == ({}, [])


def test_whoever_is_first_is_imported(services: MemoryServices) -> None:
    """Another import, or a consent, was written meanwhile: the second is refused, and has sent nothing."""
    services.events.before["create"] = [services.connect]

    answered = take(services)

    assert answered["error"] == "invalid_request"
    assert services.server.requests == []
    assert services.stored().authorized_by == "request-1"


@pytest.mark.parametrize(
    ("prove", "words", "named"),
    [(False, "Others keep changing this connection", "merchant-1"), (True, "Too little of this call's time", None)],
)
def test_an_id_that_changes_all_the_time_is_given_up_in_time(
    services: MemoryServices, words: str, named: str | None, *, prove: bool
) -> None:
    """Others write to a connection without tokens again and again."""
    services.server.answers = [REFUSED]
    take(services)
    before = services.stored()

    def slow_conflict() -> None:
        services.now += 9.0
        raise Conflict

    services.events.before["change"] = [slow_conflict] * 3

    answered = take(services, refresh_token="RT-2", prove=prove)

    assert (answered["error"], answered["retry_after"]) == ("temporarily_unavailable", 1)
    assert answered["error_description"].startswith(words)
    assert answered.get("connection_id") == named
    assert services.stored() == before


@pytest.mark.parametrize("prove", [True, False])
def test_a_revoked_connection_takes_another_import(services: MemoryServices, *, prove: bool) -> None:
    """It is free, for another owner too; its counts go on."""
    services.connect()
    services.revoke()
    revoked = services.stored()

    answered = take(services, refresh_token="RT-9", owner="owner-9", prove=prove)

    stored = services.stored()
    assert revoked.status is Status.REVOKED
    assert answered == {"connection_id": "merchant-1", "status": "active", "version": 3 if prove else 2}
    assert (stored.owner, stored.revocations) == ("owner-9", revoked.revocations)
    assert stored.changes > revoked.changes


def test_a_connection_that_is_being_revoked_takes_none(services: MemoryServices) -> None:
    """Its tokens may be of the same grant."""
    services.connect()
    services.server.answers = [answer("", 503)] * 9
    assert services.revoke() == "revoking"

    answered = take(services, refresh_token="RT-9")

    assert answered["error"] == "invalid_request"
    assert "wait until its status is revoked" in answered["error_description"]


def test_the_account_is_asked_for_once_it_is_proved(services: MemoryServices) -> None:
    """The import names none, and the provider has an endpoint for it; if it names one nobody is asked."""
    asks = registration(account_endpoint="https://acme.example/me", subject="sub")
    services.registrations.known["acme"] = asks

    take(services)
    before = services.stored()
    services.server.answers = [answer('{"sub": "account-1"}')]
    background(services)
    take(services, connection_id="merchant-2", subject="account-2")

    assert (before.subject, before.status) == (None, Status.ACTIVE)
    assert services.stored().subject == "account-1"
    named = services.stored("merchant-2")
    assert (named.subject, named.require_current().account_at) == ("account-2", None)


def test_the_lease_of_a_proof_begins_when_everything_is_prepared(services: MemoryServices) -> None:
    """However long KMS takes: what is left of the call, and the margin that every lease has."""
    services.events.before["data_key"] = [services.pass_time(3), services.pass_time(4)]
    services.server.answers = [kill]

    with pytest.raises(Killed):
        take(services)

    lease = services.stored().require_current().lease
    assert lease is not None
    assert lease.holder
    assert (lease.until, lease.attempt, lease.waiting) == (NOW + 32, 1, False)


def test_an_import_is_stored_before_it_is_proved(services: MemoryServices) -> None:
    """Each token set under a key of its own, and both are prepared before anything is sent: none is sealed twice."""
    take(services)

    assert services.events.calls == ["get", "registration", "data_key", "data_key", "create", "http", "change", "note"]


def test_an_import_is_known_again_by_later_releases(services: MemoryServices) -> None:
    """Its digest is in the record, so its form stays: in whatever order the fields came."""
    take(services, tags={"plan": "gold"}, owner="owner-1")
    services.events.calls.clear()

    again = take(services, owner="owner-1", tags={"plan": "gold"})

    assert again == {"connection_id": "merchant-1", "status": "active", "version": 2}
    assert services.events.calls == ["get"]
    assert services.stored().import_digest == "30df7ddb902ba8817bc44a24364bd31d4407f4db190d1a97fc5fb76a9a6d0b3b"


@pytest.mark.parametrize("owner", ["owner-1", "owner-2"])
def test_a_narrowed_call_takes_no_id_that_another_owner_has(services: MemoryServices, owner: str) -> None:
    """Even if the connection was revoked: whose it is the caller does not learn."""
    services.connect()
    services.revoke()

    answered = take(services, narrowing=Narrowing(owner=owner), owner=owner)

    if owner == "owner-1":
        assert answered["status"] == "active"
    else:
        assert (answered["error"], answered["connection_id"]) == ("invalid_request", "merchant-1")
        assert answered["error_description"].startswith("connection_id: expected an id that no other owner has")
        assert services.server.refresh_tokens == []


def test_a_narrowed_call_makes_a_connection(services: MemoryServices) -> None:
    """Nobody has the id yet."""
    assert take(services, narrowing=Narrowing(owner="owner-1"), owner="owner-1")["status"] == "active"


def test_what_an_import_does_not_say_stays_as_it_was(services: MemoryServices) -> None:
    """The first one was refused; the tokens that come in its place belong to the same owner and tenant."""
    shop = registration(
        authorization_endpoint="https://{shop}.example/authorize",
        token_endpoint="https://{shop}.example/token",
        revocation_endpoint=None,
        parameters={"shop": "[a-z]+"},
    )
    services.registrations.known["acme"] = shop
    about: dict[str, Any] = {"owner": "owner-1", "parameters": {"shop": "north"}, "tags": {"plan": "gold"}}
    services.server.answers = [REFUSED] * 2
    take(services, **about)

    take(services, refresh_token="RT-1b")
    kept = services.stored()
    take(services, refresh_token="RT-1c", parameters={"shop": "south"}, tags={})
    changed = services.stored()

    assert (kept.owner, kept.parameters, kept.tags) == ("owner-1", {"shop": "north"}, {"plan": "gold"})
    assert (changed.owner, changed.parameters, changed.tags) == ("owner-1", {"shop": "south"}, {})
    assert [url for url, _ in services.server.requests] == [
        "https://north.example/token",
        "https://north.example/token",
        "https://south.example/token",
    ]
    assert changed.require_current().whose.parameters == {"shop": "south"}


@pytest.mark.parametrize(
    ("fields", "expires_at", "asked_at"),
    [
        ({"access_token": "AT-1"}, None, NOW + 120),
        ({"access_token": "AT-1", "expires_at": NOW + 1}, NOW + 1, NOW + 120),
        ({"access_token": "AT-1", "expires_at": NOW}, NOW, None),
        ({}, NOW, None),
        ({"access_token": "AT-1", "subject": "account-1"}, None, None),
    ],
    ids=["expiry unknown", "alive", "just expired", "none", "its account is named"],
)
def test_an_access_token_is_asked_for_its_account_while_it_lives(
    services: MemoryServices, fields: dict[str, Any], expires_at: int | None, asked_at: int | None
) -> None:
    """If the import names none, and the provider can be asked. Where there is none it counts as just expired."""
    asks = registration(account_endpoint="https://acme.example/me", subject="sub")
    services.registrations.known["acme"] = asks

    answered = take(services, prove=False, **fields)

    held = services.stored().require_current()
    assert answered == {"connection_id": "merchant-1", "status": "active", "version": 1}
    assert (held.expires_at, held.account_at) == (expires_at, asked_at)
    assert services.tokens() == TokenSet(fields.get("access_token", ""), "RT-1")
    assert services.server.requests == []


def test_without_an_account_endpoint_nobody_is_asked(services: MemoryServices) -> None:
    """Neither of what is taken as it is, nor of what is proved."""
    take(services, prove=False, access_token="AT-1")
    take(services, connection_id="merchant-2")

    accounts = [services.stored(each).require_current().account_at for each in ("merchant-1", "merchant-2")]
    assert accounts == [None, None]


def test_what_is_beside_the_tokens_is_stored_as_it_came(services: MemoryServices) -> None:
    """Its due time is spread as after a consent: many are imported in one hour."""
    about: dict[str, Any] = {"scope": "read", "subject": "account-1", "metadata": {"region": "eu"}}

    take(services, prove=False, access_token="AT-1", **about)
    take(services, prove=False, connection_id="merchant-2")

    whole, bare = services.stored(), services.stored("merchant-2")
    assert {name: getattr(whole, name) for name in about} == about
    assert {name: getattr(bare, name) for name in about} == {"scope": None, "subject": None, "metadata": {}}
    assert whole.upkeep_at == bare.upkeep_at == NOW + 332_640


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1])
def test_an_access_token_that_is_of_no_use_is_refused(services: MemoryServices, expires_at: int) -> None:
    """It has expired, and nothing brings another."""
    fields = {"provider": "acme", "connection_id": "merchant-1", "access_token": "AT-1", "expires_at": expires_at}

    with pytest.raises(GatehouseError, match="expires_at: expected a time in the future") as refused:
        services.importing.take(fields, services.deadline())

    assert (refused.value.code, refused.value.connection_id) == ("invalid_request", "merchant-1")
    assert services.connections.records == {}


def test_an_access_token_alone_is_taken_as_it_is(services: MemoryServices) -> None:
    """Nothing can prove it."""
    fields = {"provider": "acme", "connection_id": "merchant-1", "access_token": "AT-1", "expires_at": NOW + 1}

    answered = services.importing.take(fields, services.deadline())

    assert answered["status"] == "active"
    assert services.tokens() == TokenSet("AT-1")
    assert services.server.requests == []


def test_a_proof_that_fails_is_remembered_as_one_that_was_needed(services: MemoryServices) -> None:
    """There are no tokens to vend meanwhile, so whoever wants them waits no longer than that."""
    services.server.answers = [answer("", 503)]

    answered = take(services)
    failure = services.stored().failure

    assert answered == take(services) == {"connection_id": "merchant-1", "status": "unconfirmed", "version": 1}
    assert failure is not None
    assert (failure.code, failure.needed_since) == ("provider_unavailable", NOW)


def test_an_import_is_no_newer_version_while_it_is_not_proved(services: MemoryServices) -> None:
    """Whoever asks for another than an earlier version gets it once it is proved."""
    services.server.answers = [answer("", 503)]
    take(services, access_token="AT-1")

    before = services.refresh(if_version=9)
    services.pass_time(60)()
    proved = services.refresh(if_version=9)

    assert before["error"] == "provider_unavailable"
    assert (proved["access_token"], proved["version"]) == ("AT-2", 2)


def test_what_became_of_an_import_is_said_of_its_connection(services: MemoryServices) -> None:
    """Refused, waiting for the operator, or revoked since: each time the same call asks."""
    services.server.answers = [REFUSED]
    take(services)
    refused = take(services)
    services.server.answers = [answer('{"error": "invalid_client"}', 401)]
    take(services, connection_id="merchant-2")
    services.pass_time(3)()
    waiting = take(services, connection_id="merchant-2")
    take(services, connection_id="merchant-3")
    services.revoking.revoke("merchant-3", services.deadline())
    revoked = take(services, connection_id="merchant-3")

    assert (refused["error"], refused["connection_id"]) == ("reauthorization_required", "merchant-1")
    assert refused["provider_error"]["error"] == "invalid_grant"
    assert "no longer accepts this grant" in refused["error_description"]
    assert "import those: they take the place of these" in refused["error_description"]
    assert (waiting["error"], waiting["connection_id"]) == ("provider_misconfigured", "merchant-2")
    assert waiting["asked_at"] == NOW
    assert (revoked["error"], revoked["connection_id"]) == ("connection_revoked", "merchant-3")
    assert "was revoked after this import" in revoked["error_description"]
    assert len(services.server.refresh_tokens) == 3


def test_what_cannot_take_an_import_says_which_it_is(services: MemoryServices) -> None:
    """The connection, and what to do."""
    services.connect()

    answered = take(services)

    assert (answered["error"], answered["connection_id"]) == ("invalid_request", "merchant-1")
    assert "choose another connection_id" in answered["error_description"]

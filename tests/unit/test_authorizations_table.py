"""The table of authorization requests: a request is consumed once, and only by a response that matches it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from functions.vault.base.errors import (
    ProviderError,
)
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.oauth.authorization import MOST_EXCHANGES, MOST_PUSHES, BrowserBinding, Phase, ticket_hash
from functions.vault.storage.authorizations import KEEP_REQUESTS, Authorizations
from functions.vault.storage.aws import ClientOf
from functions.vault.storage.table import Conflict
from tests.unit.conftest import client_of, new_tables
from tests.unit.samples import (
    BROWSER,
    FAILED,
    NOW,
    authorization_request,
    validated_response,
)

DENIED = LastAttempt(BROWSER.request_id, NOW, "denied", "access_denied", ProviderError("no", "The user said no", None))


class TestAuthorizations:
    """The table of authorization requests."""

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {
                "issuer": "https://acme.example",
                "iss_required": True,
                "scope": "read write",
                "return_to": "https://app.example/?x=1",
                "owner": "owner-1",
                "parameters": {"shop": ""},
                "tags": {"tier": "gold"},
                "pkce": False,
                "connection_version": 7,
            },
        ],
    )
    def test_a_request_is_read_as_it_was_written(self, authorizations: Authorizations, fields: dict[str, Any]) -> None:
        """In every field."""
        request = authorization_request(**fields)

        authorizations.create(request)

        assert authorizations.get(request.request_id) == request
        assert authorizations.get("x" * 22) is None

    def test_a_request_is_stored_with_its_ttl(self, authorizations: Authorizations, engine: ClientOf) -> None:
        """TTL removes it a day after it expires. It holds neither the ticket nor what the browser has."""
        authorizations.create(authorization_request())

        (item,) = engine("dynamodb").scan(TableName=authorizations._name)["Items"]  # noqa: SLF001 - its own table

        assert item["ttl"] == {"N": str(NOW + 600 + KEEP_REQUESTS)}
        for secret in (BROWSER.ticket_secret, BROWSER.nonce, BROWSER.state, BROWSER.code_verifier):
            assert secret not in str(item)

    def test_a_request_can_be_written_twice(self, authorizations: Authorizations) -> None:
        """If the first answer was lost, the AWS SDK sends it again: `start` goes on, and the request is the same."""
        authorizations.create(authorization_request())

        authorizations.create(authorization_request())

        assert authorizations.get(BROWSER.request_id) == authorization_request()

    def test_a_request_is_consumed_once(self, authorizations: Authorizations) -> None:
        """The first response gets the request as it was stored. A second one is a conflict, whoever brings it."""
        authorizations.create(authorization_request())
        response = validated_response()

        taken = authorizations.consume(response, "holder-1", NOW + 1)

        assert taken == authorization_request(
            phase=Phase.CONSUMED,
            consumed_by="holder-1",
            consumed_at=NOW + 1,
            used_states=frozenset({response.state_hash}),
            exchanges=1,
        )
        with pytest.raises(Conflict):
            authorizations.consume(response, "holder-2", NOW + 1)
        assert authorizations.get(BROWSER.request_id) == taken

    def test_only_the_hash_of_a_state_is_stored(self, authorizations: Authorizations, engine: ClientOf) -> None:
        """Nobody can repeat a response with what is stored of it."""
        authorizations.create(authorization_request())
        authorizations.consume(validated_response(iss="https://acme.example"), "holder-1", NOW)

        item = str(engine("dynamodb").scan(TableName=authorizations._name)["Items"])  # noqa: SLF001 - its own table

        assert validated_response().state_hash in item
        for secret in (BROWSER.state, BROWSER.state[23:], BROWSER.ticket_secret, BROWSER.nonce, "CODE-1"):
            assert secret not in item

    @pytest.mark.parametrize(
        ("stored", "brought", "now"),
        [
            ({}, {}, NOW + 2400),
            ({}, {}, NOW + 10_000),
            ({"ticket_hash": ticket_hash("T" * 43)}, {}, NOW),
            ({"provider": "other"}, {}, NOW),
            ({"phase": Phase.CONSUMED}, {}, NOW),
            ({"used_states": frozenset({validated_response().state_hash}), "phase": Phase.FAILED}, {}, NOW),
            ({"exchanges": MOST_EXCHANGES, "phase": Phase.FAILED}, {}, NOW),
            ({"issuer": "https://acme.example"}, {"iss": "https://evil.example"}, NOW),
            ({"issuer": "https://acme.example"}, {"iss": "https://acme.example/"}, NOW),
            ({"issuer": "https://acme.example", "iss_required": True}, {}, NOW),
            ({"issuer": "https://acme.example", "iss_required": True}, {"iss": "https://evil.example"}, NOW),
        ],
        ids=[
            "expired",
            "long expired",
            "another ticket",
            "another provider",
            "consumed",
            "state used before",
            "five codes exchanged",
            "another issuer",
            "almost the issuer",
            "issuer missing",
            "issuer required and another",
        ],
    )
    def test_a_response_that_does_not_match_consumes_nothing(
        self, authorizations: Authorizations, stored: dict[str, Any], brought: dict[str, Any], now: float
    ) -> None:
        """The user's own response can still be exchanged."""
        request = authorization_request(**stored)
        authorizations.create(request)

        with pytest.raises(Conflict):
            authorizations.consume(validated_response(**brought), "holder-1", now)

        assert authorizations.get(BROWSER.request_id) == request

    @pytest.mark.parametrize(
        ("stored", "brought"),
        [
            ({}, {"iss": "https://acme.example"}),
            ({"issuer": "https://acme.example"}, {}),
            ({"issuer": "https://acme.example"}, {"iss": "https://acme.example"}),
            ({"issuer": "https://acme.example", "iss_required": True}, {"iss": "https://acme.example"}),
        ],
        ids=["issuer not configured", "issuer not sent", "issuer matches", "required issuer matches"],
    )
    def test_a_matching_issuer_is_accepted(
        self, authorizations: Authorizations, stored: dict[str, Any], brought: dict[str, Any]
    ) -> None:
        """RFC 9207 section 2.4."""
        authorizations.create(authorization_request(**stored))

        taken = authorizations.consume(validated_response(**brought), "holder-1", NOW + 2399.9)

        assert taken.phase is Phase.CONSUMED

    def test_a_request_that_does_not_exist_is_not_consumed(self, authorizations: Authorizations) -> None:
        """The attempt does not create it."""
        with pytest.raises(Conflict):
            authorizations.consume(validated_response(), "holder-1", NOW)

        assert authorizations.get(BROWSER.request_id) is None

    def test_a_failed_request_accepts_only_another_state(self, authorizations: Authorizations) -> None:
        """The user may try again with a new nonce. The response that failed stays used."""
        authorizations.create(authorization_request())
        first, again = validated_response(), validated_response(BrowserBinding(BROWSER.request_id, "t" * 43, "N" * 43))
        taken = authorizations.consume(first, "holder-1", NOW)

        authorizations.reopen(taken, FAILED)

        reopened = authorizations.get(BROWSER.request_id)
        assert reopened == replace(taken, phase=Phase.FAILED, outcome=FAILED.error, last_attempt=FAILED)
        with pytest.raises(Conflict):
            authorizations.consume(first, "holder-2", NOW)
        second = authorizations.consume(again, "holder-3", NOW)
        states = frozenset({first.state_hash, again.state_hash})
        assert second == replace(
            reopened, phase=Phase.CONSUMED, consumed_by="holder-3", used_states=states, exchanges=2, outcome=None
        )

    @pytest.mark.parametrize("exchanges", [0, MOST_EXCHANGES])
    def test_an_error_response_does_not_use_up_the_state(self, authorizations: Authorizations, exchanges: int) -> None:
        """A user who declined can go back and consent: a code may still come with the same state."""
        authorizations.create(authorization_request(exchanges=exchanges))

        response = validated_response(code=None, error="access_denied")
        declined = [authorizations.fail(response, DENIED, NOW) for _ in range(2)]

        stored = authorization_request(
            exchanges=exchanges, phase=Phase.FAILED, outcome="access_denied", last_attempt=DENIED
        )
        assert [*declined, authorizations.get(BROWSER.request_id)] == [stored] * 3
        if exchanges < MOST_EXCHANGES:
            assert authorizations.consume(validated_response(), "holder-1", NOW).exchanges == 1

    def test_an_error_response_does_not_undo_what_a_code_did(self, authorizations: Authorizations) -> None:
        """Neither while the code is exchanged, nor later with the same state."""
        authorizations.create(authorization_request())
        taken = authorizations.consume(validated_response(), "holder-1", NOW)

        with pytest.raises(Conflict):
            authorizations.fail(validated_response(code=None), DENIED, NOW)
        assert authorizations.get(BROWSER.request_id) == taken
        reopened = authorizations.reopen(taken, FAILED)
        with pytest.raises(Conflict):
            authorizations.fail(validated_response(code=None), DENIED, NOW)
        assert authorizations.get(BROWSER.request_id) == reopened

    def test_a_request_is_pushed_a_limited_number_of_times(self, authorizations: Authorizations) -> None:
        """Each push is counted before it is sent. Nothing else changes."""
        authorizations.create(authorization_request())

        for _ in range(MOST_PUSHES):
            authorizations.count_push(authorization_request())

        with pytest.raises(Conflict):
            authorizations.count_push(authorization_request())
        assert authorizations.get(BROWSER.request_id) == authorization_request(pushes=MOST_PUSHES)

    @pytest.mark.needs_node
    def test_of_all_who_open_a_link_at_once_five_push_it(
        self, dynalite: str, table_definitions: dict[str, Any]
    ) -> None:
        """On an engine that is atomic, with a client of its own for each: the condition and the count are one write."""
        engine = client_of(dynalite)
        (name,) = new_tables(engine, table_definitions, "AuthorizationsTable")
        Authorizations(engine, name).create(authorization_request())

        def pushes(_number: int) -> bool:
            try:
                Authorizations(client_of(dynalite), name).count_push(authorization_request())
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(12) as pool:
            pushed = list(pool.map(pushes, range(24)))

        assert sum(pushed) == MOST_PUSHES
        assert Authorizations(engine, name).get(BROWSER.request_id) == authorization_request(pushes=MOST_PUSHES)

    def test_a_request_that_came_to_nothing_stays_consumed(self, authorizations: Authorizations) -> None:
        """What came of it can be read, and nothing is exchanged for it any more. Only who consumed it says so."""
        authorizations.create(authorization_request())
        taken = authorizations.consume(validated_response(), "holder-1", NOW)

        with pytest.raises(Conflict):
            authorizations.close(replace(taken, consumed_by="holder-2"), FAILED)
        authorizations.close(taken, FAILED)

        assert authorizations.get(BROWSER.request_id) == replace(taken, outcome=FAILED.error, last_attempt=FAILED)
        with pytest.raises(Conflict):
            authorizations.consume(validated_response(), "holder-3", NOW)

    def test_a_refused_response_is_noted_and_changes_nothing_else(self, authorizations: Authorizations) -> None:
        """Operators can see what it said. The real response can still come."""
        authorizations.create(authorization_request())

        authorizations.note_attempt(authorization_request(), DENIED)

        assert authorizations.get(BROWSER.request_id) == authorization_request(last_attempt=DENIED)
        with pytest.raises(Conflict):
            authorizations.note_attempt(authorization_request(ticket_hash=ticket_hash("T" * 43)), FAILED)

    def test_a_request_without_a_count_of_exchanges_has_none(
        self, authorizations: Authorizations, engine: ClientOf
    ) -> None:
        """It was stored by an earlier version, which did not count them."""
        authorizations.create(authorization_request())
        engine("dynamodb").update_item(
            TableName=authorizations._name,  # noqa: SLF001 - its own table
            Key={"request_id": {"S": BROWSER.request_id}},
            UpdateExpression="REMOVE exchanges",
        )

        assert authorizations.consume(validated_response(), "holder-1", NOW).exchanges == 1

    def test_only_the_call_that_consumed_a_request_can_reopen_it(self, authorizations: Authorizations) -> None:
        """A late call does not undo what another is doing."""
        authorizations.create(authorization_request())
        taken = authorizations.consume(validated_response(), "holder-1", NOW)

        with pytest.raises(Conflict):
            authorizations.reopen(replace(taken, consumed_by="holder-2"), FAILED)

        assert authorizations.get(BROWSER.request_id) == taken

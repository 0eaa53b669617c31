"""A request is repeated with another secret if the server refuses the client, and for no other reason."""

import json
import re
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import GatehouseError, ProviderMisconfigured, ProviderUnavailable
from functions.vault.oauth.client import Client
from functions.vault.oauth.transport import Answer
from functions.vault.provider.merging import registration_of
from functions.vault.provider.registration import Registration
from tests.unit.recording_server import (
    REDIRECT_URI,
    REFUSED,
    TOKEN_ANSWER,
    TWO,
    Server,
    par,
    two_secrets,
)
from tests.unit.samples import NOW, answer, registration, validated_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.grant.tokens import TokenResponse


UNAUTHORIZED = answer('{"error":"unauthorized_client"}', 401)
FORBIDDEN = answer('{"error":"unauthorized_client"}', 403)


@pytest.mark.parametrize(
    ("answers", "shown", "label"),
    [
        ([TOKEN_ANSWER], ["new"], "newest"),
        ([REFUSED, TOKEN_ANSWER], ["new", "old"], "previous"),
        ([UNAUTHORIZED, TOKEN_ANSWER], ["new", "old"], "previous"),
        ([answer("", 401), TOKEN_ANSWER], ["new", "old"], "previous"),
        ([answer("<html>", 401), TOKEN_ANSWER], ["new", "old"], "previous"),
        ([answer('{"error":"deleted_client"}', 401), TOKEN_ANSWER], ["new", "old"], "previous"),
    ],
)
@pytest.mark.parametrize("act", ["exchange", "refresh"])
def test_the_newest_secret_is_tried_first(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    server: Server, client: Client, answers: list[Answer], shown: list[str], label: str, act: str
) -> None:
    """The other one follows if the server refuses it. The response says which was accepted, but never the secret."""
    server.answers = list(answers)
    acts: dict[str, Callable[[], TokenResponse]] = {
        "exchange": lambda: client.exchange(two_secrets(), validated_response(), REDIRECT_URI, 9),
        "refresh": lambda: client.refresh(two_secrets(), "RT-1", 9),
    }

    response = acts[act]()

    assert [form["client_secret"] for form in server.forms] == shown
    assert response.client_secret_used == label


@pytest.mark.parametrize("refusal", [UNAUTHORIZED, FORBIDDEN])
@pytest.mark.parametrize("act", ["refresh", "revoke", "push"])
def test_a_client_that_is_not_authorized_may_have_another_secret(
    server: Server, client: Client, act: str, refusal: Answer
) -> None:
    """Some servers mean by this that a secret is wrong. A request that may be repeated is sent with the other one."""
    server.answers = [refusal, TOKEN_ANSWER if act == "refresh" else answer('{"request_uri":"urn:x:1"}')]
    known = replace(par(token_endpoint_auth_method="client_secret_post"), **TWO)
    acts: dict[str, Callable[[], object]] = {
        "refresh": lambda: client.refresh(known, "RT-1", 9),
        "revoke": lambda: client.revoke(known, "refresh_token", "RT-1", 9),
        "push": lambda: client.push(known, [("client_id", "client-1"), ("state", "x")], 9),
    }

    acts[act]()

    assert [form["client_secret"] for form in server.forms] == ["new", "old"]


@pytest.mark.parametrize("refusal", [REFUSED, UNAUTHORIZED, FORBIDDEN, answer("", 401)])
@pytest.mark.parametrize("act", ["exchange", "refresh"])
def test_a_refused_client_gets_advice_about_special_characters(
    server: Server, client: Client, act: str, refusal: Answer
) -> None:
    """Whatever the server calls it: a secret that it decodes differently is refused like a wrong one."""
    server.answers = [refusal]
    known = registration("s 1+", token_endpoint_auth_method="client_secret_basic")

    acts: dict[str, Callable[[], TokenResponse]] = {
        "exchange": lambda: client.exchange(known, validated_response(), REDIRECT_URI, 9),
        "refresh": lambda: client.refresh(known, "RT-1", 9),
    }

    with pytest.raises(ProviderMisconfigured) as caught:
        acts[act]()

    assert caught.value.description.count("basic_credentials_encoding none") == 1


@pytest.mark.parametrize(
    "refusal",
    [
        answer('{"error":"invalid_grant"}', 401),
        answer('{"error":"unauthorized_client"}', 400),
        answer('{"error":"invalid_scope"}', 403),
        answer('{"error":"slow_down"}', 401),
        answer('{"error":"temporarily_unavailable"}', 401),
        answer('{"error":"E-1","error_description":"Refresh token expired"}', 401),
    ],
)
def test_no_other_refusal_of_a_refresh_is_about_the_secret(server: Server, client: Client, refusal: Answer) -> None:
    """A client that is refused for another reason asks once: the server did know it."""
    server.answers = [refusal, TOKEN_ANSWER]
    rules = ({"words": ["token expired"], "means": "invalid_grant"},)

    with pytest.raises(GatehouseError):
        client.refresh(replace(registration(refusals=rules), **TWO), "RT-1", 9)

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ('{"error":"incorrect_client_credentials"}', {}),
        ('{"ok":false,"error":"bad_client_secret"}', {}),
        ('{"error":"E-1"}', {"E-1": "invalid_client"}),
    ],
)
def test_a_server_may_say_in_its_own_words_that_it_does_not_know_the_client(
    server: Server, client: Client, body: str, codes: dict[str, str]
) -> None:
    """Codes of GitHub and Slack on a 200, and rules in the data, mean the same as `invalid_client`."""
    server.answers = [answer(body), TOKEN_ANSWER]
    known = two_secrets()
    known = replace(known, provider=replace(known.provider, error_codes=codes))

    assert client.refresh(known, "RT-1", 9).client_secret_used == "previous"


def test_a_registration_that_is_read_again_is_for_the_same_tenant(server: Server) -> None:
    """The whole registration is read, but only the connection's own server is asked."""
    tenants: dict[str, Any] = {
        "token_endpoint": "https://{shop}.acme.example/token",
        "parameters": {"shop": "[a-z]{1,9}"},
        "token_endpoint_auth_method": "client_secret_post",
    }
    whole, fresh = registration("old", **tenants), registration("fresh", **tenants)
    asked: list[Registration] = []

    def reread(refused: Registration) -> Registration:
        asked.append(refused)
        return fresh

    server.answers = [REFUSED, TOKEN_ANSWER]

    Client(server, lambda: NOW, reread=reread).refresh(whole.for_tenant({"shop": "one"}), "RT-1", 9)

    assert asked == [whole]
    assert [url for _, url, *_ in server.requests] == ["https://one.acme.example/token"] * 2
    assert [form["client_secret"] for form in server.forms] == ["old", "fresh"]


def test_a_secret_in_a_header_of_the_providers_own_is_not_quoted(server: Server, client: Client) -> None:
    """Square's revocation sends the secret although the client does not authenticate with it."""
    server.answers = [answer('{"error":"nope","error_description":"Client s3cret-of-square is unknown"}', 400)]
    known = registration(
        "s3cret-of-square",
        revocation_endpoint_auth_method="none",
        revocation_headers={"Authorization": "Client {client_secret}"},
    )

    with pytest.raises(ProviderMisconfigured) as caught:
        client.revoke(known, "access_token", "AT-1", 9)

    assert server.requests[0][2]["Authorization"] == "Client s3cret-of-square"
    assert "s3cret" not in str(caught.value.as_result())


@pytest.mark.parametrize("act", ["exchange", "refresh", "revoke", "push"])
def test_no_confidential_value_of_a_registration_is_quoted(server: Server, client: Client, act: str) -> None:
    """Keys in headers, parameters and queries, and every secret: a server may repeat anything that it knows."""
    values = {
        "token_headers": {"X-Api-Key": "Key h34der-k3y"},
        "token_params": {"api_key": "c0de-par4m-1"},
        "refresh_params": {"api_key": "r3fresh-par4m"},
        "first_refresh": {"refresh_params": {"api_key": "f1rst-par4m-k"}},
        "revocation_params": {"api_key": "r3voke-par4m"},
        "revocation_headers": {"X-Api-Key": "r3voke-h34der"},
        "token_endpoint": "https://acme.example/token?key=qu3ry-token-k",
        "revocation_endpoint": "https://acme.example/revoke?key=qu3ry-revoke",
        "authorization_endpoint": "https://acme.example/authorize",
        "pushed_authorization_request_endpoint": "https://acme.example/par?key=qu3ry-par-k3y",
    }
    credentials = {
        "client_id": "client-1",
        "client_secrets": ["n3west-s3cret", "pr3vious-s3cret"],
        "previous_clients": [{"client_id": "old", "client_secrets": ["0ld-s3cret-1", "0ld-s3cret-2"]}],
    }
    secrets = re.findall(r"(?<=[' =])[a-z0-9-]*\d[a-z0-9-]*(?=')", f"{values} {credentials}")
    said = " ".join(secret for secret in secrets if secret not in {"client-1", "old"})
    server.answers = [answer(json.dumps({"error": "nope", "error_description": said}), 400)]
    known = registration_of("acme", [values], credentials)
    acts: dict[str, Callable[[], object]] = {
        "exchange": lambda: client.exchange(known, validated_response(), REDIRECT_URI, 9),
        "refresh": lambda: client.refresh(known, "RT-1", 9),
        "revoke": lambda: client.revoke(known, "refresh_token", "RT-1", 9),
        "push": lambda: client.push(known, [("client_id", "client-1")], 9),
    }

    with pytest.raises(GatehouseError) as caught:
        acts[act]()

    assert len(said.split()) == 13
    assert caught.value.provider_error is not None
    assert caught.value.provider_error.error_description == " ".join(["***"] * 13)


def test_values_from_the_catalogue_are_no_secrets(server: Server, client: Client) -> None:
    """Everybody sends the same version: the operator may read which one the server refuses."""
    said = "Version 2017-03-01 is gone, h34der-k3y, k-7, offline, p-9, select_account"
    server.answers = [answer(json.dumps({"error": "nope", "error_description": said}), 400)]
    file = {"token_headers": {"X-Version": "2017-03-01"}, "token_endpoint": "https://acme.example/token"}
    headers = {"X-Version": "2017-03-01", "X-Partner": "h34der-k3y", "X-Api-Key": "k-7", "X-Mode": "offline"}
    own = {"token_headers": headers, "authorization_params": {"partner_secret": "p-9", "prompt": "select_account"}}

    with pytest.raises(GatehouseError) as caught:
        client.refresh(registration_of("acme", [file, own], {"client_id": "c"}), "RT-1", 9)

    assert caught.value.provider_error is not None
    assert caught.value.provider_error.error_description == (
        "Version 2017-03-01 is gone, ***, ***, offline, ***, select_account"
    )


def test_a_revocation_tries_both_secrets_too(server: Server, client: Client) -> None:
    """With Basic as well."""
    server.answers = [REFUSED, answer("")]

    client.revoke(two_secrets("client_secret_basic"), "refresh_token", "RT-1", 9)

    sent = [headers["Authorization"].removeprefix("Basic ") for _, _, headers, *_ in server.requests]
    assert sent == [b64encode(f"client-1:{secret}".encode()).decode() for secret in ("new", "old")]


@pytest.mark.parametrize(
    "said",
    [
        answer('{"error":"invalid_grant"}', 400),
        answer('{"error":"invalid_grant"}', 401),
        answer('{"error":"unauthorized_client"}', 400),
        answer('{"error":"unauthorized_client"}', 403),
        answer('{"error":"invalid_request"}', 400),
        answer("", 400),
        answer("", 403),
        answer("<html>", 403),
        answer("", 500),
        answer("", 429),
        answer('{"error":"invalid_client","access_token":"AT-1"}', 500),
    ],
)
def test_nothing_else_lets_a_code_be_sent_again(server: Server, client: Client, said: Answer) -> None:
    """Only a server that says it does not know the client has surely not looked at the code."""
    server.answers = [said, TOKEN_ANSWER]

    with pytest.raises(GatehouseError):
        client.exchange(two_secrets(), validated_response(), REDIRECT_URI, 9)

    assert len(server.requests) == 1


def test_a_lost_answer_lets_nothing_be_sent_again() -> None:
    """Nobody knows whether the server got the code."""

    class Silent(Server):
        def send(self, *request: Any) -> Answer:
            super().send(*request)
            raise ProviderUnavailable("No answer.", outcome_unknown=True)

    silent = Silent()

    with pytest.raises(ProviderUnavailable):
        Client(silent, lambda: NOW).exchange(two_secrets(), validated_response(), REDIRECT_URI, 9)

    assert len(silent.requests) == 1


def test_if_every_secret_is_refused_the_registration_is_read_again(server: Server) -> None:
    """A new secret in it is tried; if there is none, the refusal is the result."""
    server.answers = [REFUSED, REFUSED, TOKEN_ANSWER]
    fresh = [registration("fresh", token_endpoint_auth_method="client_secret_post")]
    client = Client(server, lambda: NOW, reread=lambda _refused: fresh.pop() if fresh else None)

    response = client.refresh(two_secrets(), "RT-1", 9)

    assert [form["client_secret"] for form in server.forms] == ["new", "old", "fresh"]
    assert response.client_secret_used == "newest"
    server.answers = [REFUSED]
    with pytest.raises(ProviderMisconfigured) as caught:
        client.refresh(two_secrets(), "RT-1", 9)
    assert caught.value.provider_error is not None
    assert caught.value.provider_error.error == "invalid_client"


def test_a_request_without_time_to_read_the_registration_again_does_without(server: Server) -> None:
    """A lease and a caller wait for it: everything has to end within the given time."""
    server.answers = [REFUSED]
    asked: list[Registration] = []
    client = Client(server, lambda: NOW, reread=asked.append)

    with pytest.raises(ProviderMisconfigured):
        client.refresh(registration("s-1"), "RT-1", 7)

    assert (asked, len(server.requests)) == ([], 1)


def test_a_second_secret_needs_time_for_a_request(server: Server) -> None:
    """The second request gets what is left of the timeout; if that is too little, the first refusal is the result."""
    server.answers = [REFUSED, TOKEN_ANSWER]
    client = Client(server, lambda: NOW)

    with pytest.raises(ProviderMisconfigured):
        client.refresh(two_secrets(), "RT-1", 0.5)

    assert len(server.requests) == 1

"""Requests as a provider's data wants them."""

import json
from typing import Any

import pytest

from functions.vault.oauth import provider_requests
from functions.vault.oauth.provider_requests import Request
from functions.vault.provider.registration import Registration
from tests.unit.samples import registration

FORM = "application/x-www-form-urlencoded"
CODE = [("grant_type", "authorization_code"), ("code", "C&1")]
REFRESH = [("grant_type", "refresh_token"), ("refresh_token", "R&1")]
PROOF = {"client_id": "client-1", "client_secret": "hunter2"}


def asked(kind: str, known: Registration, fields: list[tuple[str, str]] | None = None, **headers: str) -> Request:
    """Return the request of this kind."""
    return provider_requests.request(kind, known, fields or CODE, PROOF, headers)


def test_parameters_go_by_the_providers_names() -> None:
    """Ours are renamed or left out, the provider's own are added, and none of them replaces one of ours."""
    known = registration(
        token_param_names={"client_id": "client_key", "grant_type": ""},
        token_params={"audience": "api", "client_key": "not mine"},
    )

    assert asked("token", known).body == "code=C%261&client_key=client-1&client_secret=hunter2&audience=api"


def test_each_kind_of_request_has_its_own_names() -> None:
    """The exchange may name a field otherwise than the refresh."""
    known = registration(token_param_names={"client_id": "a"}, refresh_param_names={"client_id": "b"})

    assert "&b=client-1" in (asked("refresh", known).body or "")


def test_a_refresh_may_have_an_endpoint_of_its_own() -> None:
    """Another than the one where codes are exchanged."""
    known = registration(refresh_endpoint="https://acme.example/refresh")

    assert asked("refresh", known).url == "https://acme.example/refresh"
    assert asked("token", known).url == "https://acme.example/token"


def test_a_refresh_may_be_a_get() -> None:
    """Then its fields are in the query, and nowhere else."""
    known = registration(refresh_method="GET", refresh_param_names={"refresh_token": "access_token", "grant_type": ""})

    made = asked("refresh", known, REFRESH)

    assert (made.method, made.body) == ("GET", None)
    assert made.url == "https://acme.example/token?access_token=R%261&client_id=client-1&client_secret=hunter2"
    assert asked("token", known).method == "POST"


def test_the_first_refresh_may_be_another_request() -> None:
    """What its data does not name is as in later ones."""
    known = registration(
        refresh_endpoint="https://acme.example/later",
        refresh_params={"later": "1"},
        first_refresh={"refresh_endpoint": "https://acme.example/first", "refresh_param_names": {"client_id": "app"}},
    )

    first, later = asked("first_refresh", known), asked("refresh", known)

    assert (first.url, later.url) == ("https://acme.example/first", "https://acme.example/later")
    assert ("app=client-1" in (first.body or ""), "app=client-1" in (later.body or "")) == (True, False)
    assert "later=1" in (first.body or "")


def test_a_body_may_be_json() -> None:
    """With the same names and values, and its content type."""
    made = asked("token", registration(body_format="json", token_headers={"X-Version": "1"}), Authorization="Basic x")

    assert json.loads(made.body or "") == dict(CODE) | PROOF
    assert made.headers == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "gatehouse",
        "X-Version": "1",
        "Authorization": "Basic x",
    }


REVOCATIONS: list[tuple[dict[str, Any], Request]] = [
    (
        {
            "revocation_method": "DELETE",
            "revocation_body_format": "none",
            "revocation_endpoint": "https://a.example/{token}",
        },
        Request("DELETE", "https://a.example/A%2FT%201", {}, None),
    ),
    (
        {
            "revocation_method": "DELETE",
            "revocation_body_format": "json",
            "revocation_endpoint": "https://a.example/{client_id}/grant",
            "revocation_param_names": {"token": "access_token", "client_id": "", "client_secret": ""},
        },
        Request(
            "DELETE",
            "https://a.example/client-1/grant",
            {"Content-Type": "application/json"},
            '{"access_token":"A/T 1"}',
        ),
    ),
    (
        {"revocation_body_format": "none", "revocation_headers": {"Authorization": "Bearer {token}"}},
        Request("POST", "https://acme.example/revoke", {"Authorization": "Bearer A/T 1"}, None),
    ),
    (
        {
            "revocation_headers": {"Authorization": "Client {client_secret}"},
            "revocation_param_names": {"client_secret": ""},
        },
        Request(
            "POST",
            "https://acme.example/revoke",
            {"Content-Type": FORM, "Authorization": "Client hunter2"},
            "token=A%2FT+1&client_id=client-1",
        ),
    ),
    (
        {"revocation_method": "GET", "revocation_params": {"all": "1"}},
        Request(
            "GET",
            "https://acme.example/revoke?token=A%2FT+1&client_id=client-1&client_secret=hunter2&all=1",
            {},
            None,
        ),
    ),
]


@pytest.mark.parametrize(("quirks", "expected"), REVOCATIONS)
def test_a_revocation_has_the_form_that_the_provider_wants(quirks: dict[str, Any], expected: Request) -> None:
    """Its method, body and headers, or the token in the path: escaped, so that it stays there."""
    known = Registration(registration(**quirks).provider, "client-1", "hunter2")

    made = asked("revocation", known, [("token", "A/T 1")])

    expected.headers.update({"Accept": "application/json", "User-Agent": "gatehouse"})
    assert made == expected


def test_the_representation_of_a_request_shows_nothing() -> None:
    """Even its URL can contain a token."""
    quirks: dict[str, Any] = {
        "revocation_endpoint": "https://a.example/{token}",
        "revocation_headers": {"X": "{client_secret}"},
    }
    known = Registration(registration(**quirks).provider, "client-1", "hunter2")

    shown = repr(asked("revocation", known, [("token", "AT-1")]))

    assert not [secret for secret in ("AT-1", "hunter2", "client-1") if secret in shown]


@pytest.mark.parametrize(
    ("secret", "configured", "method"),
    [
        ("s", None, "client_secret_basic"),
        ("s", "client_secret_post", "client_secret_post"),
        ("s", "none", "none"),
        (None, "client_secret_basic", "none"),
    ],
)
def test_a_revocation_may_authenticate_otherwise(secret: str | None, configured: str | None, method: str) -> None:
    """RFC 8414's `revocation_endpoint_auth_methods_supported`; a public client has nothing to authenticate with."""
    known = registration(secret, revocation_endpoint_auth_method=configured)

    assert known.for_revocation().auth_method == method


def test_an_authorization_request_has_the_providers_names() -> None:
    """Ours take precedence over any other parameter."""
    known = registration(
        authorization_param_names={"client_id": "app_id", "scope": "user_scope", "response_type": ""},
        authorization_params={"prompt": "consent", "app_id": "not mine"},
        scope_separator=",",
    )

    made = provider_requests.authorization_params(known, "https://gate.example/cb", "a b", {"prompt": "none", "x": "1"})

    assert made == {
        "prompt": "none",
        "app_id": "client-1",
        "x": "1",
        "redirect_uri": "https://gate.example/cb",
        "user_scope": "a,b",
    }

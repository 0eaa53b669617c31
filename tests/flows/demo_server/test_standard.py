"""OAuth by its RFCs, at an issuer that is discovered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from local.demo import Faults
from tests.flows.demo_server.applications import STATE, TIMEOUT, VERIFIER, document_of

if TYPE_CHECKING:
    from local.demo import DemoServer
    from tests.flows.demo_server.applications import Standard


def test_each_issuer_publishes_its_own_kind_of_metadata(server: DemoServer, standard: Standard) -> None:
    """The issuer in the document is the URL that the application knows; the other well-known address is empty."""
    assert standard.metadata["issuer"] == standard.issuer
    assert standard.metadata["code_challenge_methods_supported"] == ["S256"]
    assert standard.metadata["authorization_response_iss_parameter_supported"] is True
    for missing in (
        "/.well-known/oauth-authorization-server/openid",
        "/standard/.well-known/openid-configuration",
    ):
        assert requests.get(f"{server.url}{missing}", timeout=TIMEOUT).status_code == 404


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_grant_from_code_to_revocation(server: DemoServer, standard: Standard, method: str) -> None:
    """Code with iss, exchange with PKCE, rotation, RFC 7009; the client's id and secret need their encoding."""
    response = standard.authorize()
    issued = document_of(standard.exchange(response["code"], method=method))
    refreshed = document_of(
        standard.post(
            "token_endpoint", method=method, grant_type="refresh_token", refresh_token=issued["refresh_token"]
        )
    )
    revoked = standard.post("revocation_endpoint", method=method, token=refreshed["refresh_token"])
    unknown = standard.post("revocation_endpoint", method=method, token="never-issued")
    dead = standard.post(
        "token_endpoint", method=method, grant_type="refresh_token", refresh_token=refreshed["refresh_token"]
    )

    assert (response["iss"], response["state"]) == (standard.issuer, STATE)
    assert (issued["token_type"], issued["expires_in"], issued["scope"]) == ("Bearer", 3600, "orders:read")
    assert refreshed["refresh_token"] != issued["refresh_token"]
    assert (revoked.status_code, revoked.content) == (200, b"")
    assert (unknown.status_code, unknown.content) == (200, b"")
    assert dead.json()["error"] == "invalid_grant"
    assert {seen["client_auth"] for seen in server.requests("token")} == {method}


def test_an_unauthenticated_client_is_challenged(standard: Standard) -> None:
    """401, invalid_client, WWW-Authenticate (RFC 6749 section 5.2)."""
    answer = standard.exchange(standard.authorize()["code"], method="none")

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_wrong_verifier_spends_the_code(standard: Standard) -> None:
    """A stolen code cannot be tried against many verifiers."""
    code = standard.authorize()["code"]

    wrong = standard.exchange(code, verifier=f"not-{VERIFIER}")
    right = standard.exchange(code)

    assert wrong.json()["error"] == "invalid_grant"
    assert right.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "orders:read everything"}, "invalid_scope"),
    ],
)
def test_a_poor_request_goes_back_with_an_error(standard: Standard, changes: dict[str, str], error: str) -> None:
    """PKCE with S256 is required, and scopes are known."""
    assert standard.authorize(changes) == {"error": error, "state": STATE, "iss": standard.issuer}


def test_the_server_can_claim_to_be_another(server: DemoServer, standard: Standard) -> None:
    """For the mix-up attack that `iss` is there to stop (RFC 9207)."""
    server.put_faults(Faults(issuer="https://attacker.example"))

    response = standard.authorize()

    assert response["iss"] == "https://attacker.example"


def test_a_revoked_access_token_is_refused(standard: Standard) -> None:
    """RFC 6750 section 3.1."""
    access_token = document_of(standard.exchange(standard.authorize()["code"]))["access_token"]
    bearer = {"Authorization": f"Bearer {access_token}"}

    before = requests.get(f"{standard.issuer}/me", headers=bearer, timeout=TIMEOUT)
    standard.post("revocation_endpoint", token=access_token)
    after = requests.get(f"{standard.issuer}/me", headers=bearer, timeout=TIMEOUT)

    assert before.json()["merchant_id"] == "DEMO"
    assert after.status_code == 401
    assert after.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'

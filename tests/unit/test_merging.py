"""The layers of a registration become one, and contradictions between them are named."""

from typing import Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.provider.merging import registration_of
from functions.vault.provider.provider import Provider
from functions.vault.provider.registration import Registration


def test_later_layers_take_precedence() -> None:
    """File, then metadata, then the registration; credentials are kept apart and are not shown."""
    layers: list[dict[str, Any]] = [
        {"pkce": "none", "scopes": ("read",)},
        {"token_endpoint": "https://a.example"},
        {"scopes": ("write",)},
    ]

    made = registration_of("acme", layers, {"client_id": "client-1", "client_secret": "hunter2"})

    provider = Provider("acme", pkce="none", scopes=("write",), token_endpoint="https://a.example")
    assert made == Registration(provider, "client-1", "hunter2")
    assert "hunter2" not in repr(made)


def test_a_registration_without_client_id_is_refused() -> None:
    """There is no client without its id."""
    with pytest.raises(ProviderMisconfigured, match="registration of provider 'acme': client_id: needed"):
        registration_of("acme", [], {"client_secret": "hunter2"})


def test_rules_about_refusals_add_up() -> None:
    """The registration's rules come before the file's and replace none of them; `error_codes` become rules by code."""
    file = {
        "refusals": (
            {"words": ["dead"], "means": "invalid_grant"},
            {"code": "E-1", "status": 400, "means": "slow_down"},
        ),
        "error_codes": {"E-1": "invalid_grant", "E-2": "invalid_scope"},
    }
    own = {"refusals": ({"code": "E-3", "means": "busy"},), "error_codes": {"E-1": "invalid_client"}}

    whole = registration_of("acme", [file, own], {"client_id": "client-1"}).provider.rules
    alone = registration_of("acme", [file, {}], {"client_id": "client-1"}).provider.rules

    assert whole == (
        {"code": "E-3", "means": "busy"},
        {"code": "E-1", "means": "invalid_client"},
        {"words": ["dead"], "means": "invalid_grant"},
        {"code": "E-1", "status": 400, "means": "slow_down"},
        {"code": "E-1", "means": "invalid_grant"},
        {"code": "E-2", "means": "invalid_scope"},
    )
    assert alone == whole[2:]


def test_a_known_endpoint_can_be_turned_off() -> None:
    """By an empty text in the registration: metadata may name one that does not serve this client."""
    layers: list[dict[str, Any]] = [{"revocation_endpoint": "https://acme.example/revoke"}, {"revocation_endpoint": ""}]

    made = registration_of("acme", layers, {"client_id": "client-1"})

    assert (made.provider.revocation_endpoint, made.revocable_tokens) == (None, ())


@pytest.mark.parametrize("subject", [{}, {"subject": "id_token.sub", "issuer": "https://i.example"}])
def test_an_account_endpoint_needs_the_path_of_the_account(subject: dict[str, Any]) -> None:
    """The ID token is not such a path: it needs no endpoint. An empty endpoint needs nothing."""
    layers = [{"account_endpoint": "https://acme.example/me", "jwks_uri": "https://i.example/keys", **subject}]

    with pytest.raises(ProviderMisconfigured, match=r"account_endpoint: needs subject, .* like sub"):
        registration_of("acme", layers, {"client_id": "client-1"})

    left_out = registration_of("acme", [*layers, {"account_endpoint": ""}], {"client_id": "client-1"})
    assert left_out.provider.account_endpoint is None


def test_an_account_endpoint_is_in_its_tenants_region() -> None:
    """Like every other endpoint; its origin is stored with what is issued."""
    layers: list[dict[str, Any]] = [
        {
            "account_endpoint": "https://{shop}.acme.example/me",
            "subject": "id",
            "parameters": {"shop": "[a-z]{1,9}"},
            "regions": {"eu": {"account_endpoint": "https://{shop}.acme.eu/me"}, "us": {}},
        }
    ]
    made = registration_of("acme", layers, {"client_id": "client-1"})

    there = made.for_tenant({"shop": "north", "region": "eu"})

    assert there.provider.account_endpoint == "https://north.acme.eu/me"
    assert there.whose({}).origins["account"] == "https://north.acme.eu"
    assert (
        made.for_tenant({"shop": "north", "region": "us"}).provider.account_endpoint == "https://north.acme.example/me"
    )

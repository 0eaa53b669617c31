"""A registration: how its client authenticates at each endpoint, and what it says if something is missing."""

from dataclasses import replace
from typing import Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured
from tests.unit.samples import registration


def test_a_missing_endpoint_is_named_when_it_is_needed() -> None:
    """A provider without a revocation endpoint is fine until somebody needs it."""
    with pytest.raises(ProviderMisconfigured, match="Provider 'acme' has no revocation_endpoint"):
        registration(revocation_endpoint=None).provider.endpoint("revocation_endpoint")


POST, BASIC, JWT = "client_secret_post", "client_secret_basic", "private_key_jwt"


@pytest.mark.parametrize(
    ("client", "supported", "configured", "method", "is_named"),
    [
        ("public", None, None, "none", True),
        ("public", ["none", BASIC], None, "none", True),
        ("public", [BASIC], None, "none", False),
        ("public", [], None, "none", False),
        ("public", [BASIC], BASIC, "none", True),
        ("secret", None, None, BASIC, True),
        ("secret", [POST, BASIC], None, BASIC, True),
        ("secret", [POST], None, POST, True),
        ("secret", [JWT, "tls_client_auth"], None, BASIC, False),
        ("secret", [POST], "none", "none", True),
        ("key", [POST, JWT], None, JWT, True),
        ("key", [POST], None, JWT, False),
    ],
)
def test_a_client_revokes_by_a_method_that_the_server_accepts(
    client: str, supported: list[str] | None, configured: str | None, method: str, *, is_named: bool
) -> None:
    """RFC 8414 section 2. If the metadata names none of its methods, the client tries its usual one nevertheless."""
    fields: dict[str, Any] = {
        "revocation_endpoint_auth_methods_supported": supported,
        "revocation_endpoint_auth_method": configured,
    }
    of_secret, of_key = registration("secret", **fields), registration(**fields)
    made = {"public": of_key, "secret": of_secret, "key": replace(of_key, client_signing_key="alias/k")}[client]

    assert made.revocable_tokens == ("refresh_token", "access_token")
    assert made.for_revocation().auth_method == method
    assert made.has_no_method_for_revocation is not is_named


@pytest.mark.parametrize(
    ("secret", "configured", "supported", "method"),
    [
        (None, None, None, "none"),
        (None, None, ["client_secret_basic"], "none"),
        (None, "none", None, "none"),
        ("s", None, None, "client_secret_basic"),
        ("s", None, ["client_secret_post", "client_secret_basic"], "client_secret_basic"),
        ("s", None, ["private_key_jwt", "client_secret_post"], "client_secret_post"),
        ("s", None, ["none", "client_secret_post"], "client_secret_post"),
        ("s", "client_secret_post", ["client_secret_basic"], "client_secret_post"),
        ("s", "client_secret_basic", ["client_secret_post"], "client_secret_basic"),
        ("s", "none", None, "none"),
        ("s", None, ["client_secret_jwt"], "client_secret_jwt"),
        ("s", "client_secret_jwt", None, "client_secret_jwt"),
    ],
)
def test_how_a_client_authenticates(
    secret: str | None, configured: str | None, supported: list[str] | None, method: str
) -> None:
    """As configured, or else by what the server supports; silence means basic (RFC 8414 section 2)."""
    fields = {
        "token_endpoint_auth_method": configured,
        "token_endpoint_auth_methods_supported": tuple(supported) if supported else None,
    }

    assert registration(secret, **fields).auth_method == method


def test_a_method_that_needs_a_secret_says_so_if_there_is_none() -> None:
    """An empty one is not sent."""
    with pytest.raises(ProviderMisconfigured, match="'acme' authenticates with client_secret_post, but"):
        _ = registration(token_endpoint_auth_method="client_secret_post").auth_method


def test_a_server_that_supports_no_method_of_ours_is_named() -> None:
    """The operator learns which methods there are."""
    with pytest.raises(ProviderMisconfigured, match="supports none of the client authentication methods"):
        _ = registration("s", token_endpoint_auth_methods_supported=("private_key_jwt",)).auth_method

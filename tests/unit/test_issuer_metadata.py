"""What Gatehouse takes from an issuer's metadata, and which metadata it refuses."""

from typing import Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.provider import issuer_metadata

METADATA = {
    "issuer": "https://acme.example",
    "authorization_endpoint": "https://acme.example/authorize",
    "token_endpoint": "https://acme.example/token",
    "token_endpoint_auth_methods_supported": ["client_secret_post"],
    "userinfo_endpoint": "https://acme.example/me",
    "scopes_supported": ["openid"],
    "revocation_endpoint": None,
}


def test_metadata_is_reduced_to_what_gatehouse_uses() -> None:
    """RFC 8414 section 3.2: other keys are ignored, and so is null."""
    assert issuer_metadata.from_metadata(METADATA, "https://acme.example", loopback_http=False) == {
        "issuer": "https://acme.example",
        "authorization_endpoint": "https://acme.example/authorize",
        "token_endpoint": "https://acme.example/token",
        "token_endpoint_auth_methods_supported": ("client_secret_post",),
    }


@pytest.mark.parametrize(
    "issuer",
    [
        "https://acme.example/",
        "https://ACME.example",
        "https://acme.example:443",
        "https://evil.example",
        "",
        None,
        1,
        ["https://acme.example"],
    ],
)
def test_metadata_of_another_issuer_is_refused(issuer: Any) -> None:
    """RFC 8414 section 3.3: unless it is exactly the same string, the metadata must not be used."""
    with pytest.raises(ProviderMisconfigured, match="issuer is not the configured one"):
        issuer_metadata.from_metadata(METADATA | {"issuer": issuer}, "https://acme.example", loopback_http=False)


@pytest.mark.parametrize(
    ("issuer", "found", "said"),
    [
        ("https://acme.example", "https://acme.example/", "it is https://acme.example/; write it just so"),
        ("https://acme.example/t/", "https://acme.example/t", "it is https://acme.example/t; write it just so"),
        (
            "https://acme.example/common/v2.0",
            "https://acme.example/{tenantid}/v2.0",
            "it is https://acme.example/{tenantid}/v2.0; put your tenant in place of what is in braces",
        ),
    ],
)
def test_an_issuer_that_is_written_differently_is_named(issuer: str, found: str, said: str) -> None:
    """A slash at the end, or the tenant: the operator learns what to write."""
    with pytest.raises(ProviderMisconfigured) as caught:
        issuer_metadata.from_metadata(METADATA | {"issuer": found}, issuer, loopback_http=False)

    assert said in caught.value.description


@pytest.mark.parametrize("found", ["https://evil.example/", "https://acme.example.evil.example", "http://acme.example"])
def test_an_issuer_of_another_host_is_not_named(found: str) -> None:
    """An operator who copied it would let one server speak for another."""
    with pytest.raises(ProviderMisconfigured) as caught:
        issuer_metadata.from_metadata(METADATA | {"issuer": found}, "https://acme.example", loopback_http=False)

    assert caught.value.description.endswith("is not the configured one (RFC 8414 section 3.3).")


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_metadata_is_an_object(document: Any) -> None:
    """An HTML page that was served with a 200 is not."""
    with pytest.raises(ProviderMisconfigured):
        issuer_metadata.from_metadata(document, "https://acme.example", loopback_http=False)


def test_metadata_with_a_bad_endpoint_names_the_key() -> None:
    """An http endpoint in it would send codes and secrets in clear text."""
    bad = METADATA | {"token_endpoint": "http://acme.example/token"}

    with pytest.raises(ProviderMisconfigured, match="metadata of the configured issuer: token_endpoint: expected"):
        issuer_metadata.from_metadata(bad, "https://acme.example", loopback_http=False)

"""Endpoints of one tenant each: no tenant's name decides whose host gets codes and secrets."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.vault.base.errors import InvalidRequest, ProviderMisconfigured
from functions.vault.base.fields import Mismatch
from functions.vault.provider import merging, tenants
from functions.vault.provider.provider import Provider
from tests.unit.samples import registration

SHOP = "[a-z0-9][a-z0-9-]{0,62}"
TEMPLATE = "https://{shop}.myshopify.com/admin/oauth/authorize?for={shop}"

HOSTILE = [
    "",
    ".",
    "..",
    "evil.example/",
    "evil.example#",
    "evil.example?",
    "evil.example\\",
    "evil.example:443",
    "evil.example/.",
    "user@evil.example",
    "user:password@evil.example",
    "evil.example%2f",
    "evil.example%23",
    "%00",
    "acme.",
    ".acme",
    "a..b",
    "-acme",
    "acme-",
    "ACME",
    "acme\n",
    "acme\r\nHost: evil.example",
    " acme",
    "acme ",
    "a_b",
    "a" * 64,
    "\uff41\uff43\uff4d\uff45",
    "\u0430cme",
    "acme\u3002evil",
    "acme\uff0fevil",
    "ß",
    "١٢٣",
    "{shop}",
    "[::1]",
    "127.0.0.1:80",
    "\ud800",
    "acme\x00",
]


def provider(pattern: str = SHOP, template: str = TEMPLATE, **fields: Any) -> Provider:
    """Return a provider whose endpoints have one template, with one parameter."""
    return registration(
        authorization_endpoint=template,
        token_endpoint="https://{shop}.myshopify.com/token",
        parameters={"shop": pattern},
        **fields,
    ).provider


@pytest.mark.parametrize("value", HOSTILE)
def test_an_invalid_name_is_refused_before_anything_is_stored(value: str) -> None:
    """The caller of `start` learns which parameter it is and what is expected; the value is not repeated."""
    with pytest.raises(InvalidRequest) as caught:
        provider().chosen_parameters({"shop": value}, {})

    assert caught.value.description.startswith("parameters.shop: expected ")
    assert value.strip(". ") == "" or value not in caught.value.description


@pytest.mark.parametrize("value", HOSTILE)
def test_a_loose_pattern_lets_no_name_out_of_its_place(value: str) -> None:
    """Whatever a provider's pattern admits: if the value is no label of a host, nothing is sent."""
    with pytest.raises(Mismatch):
        tenants.expanded(TEMPLATE, {"shop": value})


def test_names_that_make_no_host_together_are_refused_before_anything_is_stored() -> None:
    """The caller can do something about it."""
    known = registration(
        token_endpoint="https://{a}.{b}.{c}.{d}.acme.example/token", parameters=dict.fromkeys("abcd", "[a-z]{1,63}")
    ).provider

    with pytest.raises(InvalidRequest, match=r"^parameters: expected values that leave the URL https://"):
        known.chosen_parameters(dict.fromkeys("abcd", "x" * 63), {})


def test_a_missing_parameter_is_named() -> None:
    """Nothing is guessed that decides which server is asked."""
    with pytest.raises(InvalidRequest, match=r'^parameters.shop: required: 1 of a-z 0-9, then .*like "acme"\.$'):
        provider().chosen_parameters({"other": "acme"}, {})


def test_a_default_replaces_a_parameter_that_the_caller_omits() -> None:
    """It is stored with the connection, which keeps its tenant if the default changes."""
    known = provider(parameter_defaults={"shop": "acme"})

    assert known.chosen_parameters({}, {}) == {"shop": "acme"}
    assert known.chosen_parameters({"shop": "other", "note": "7"}, {}) == {"shop": "other", "note": "7"}


@pytest.mark.parametrize("name", ["Shop", "shops", "shoop"])
def test_a_misspelt_parameter_is_not_replaced_by_a_default(name: str) -> None:
    """Else the customer would be sent to somebody else's server. The stored ones of a connection are as they are."""
    known = provider(parameter_defaults={"shop": "acme"})

    with pytest.raises(InvalidRequest, match=rf"^parameters.{name}: unknown \(did you mean shop\?\)\.$"):
        known.chosen_parameters({name: "other"}, {})
    assert known.chosen_parameters({name: "1", "shop": "other"}, {}) == {name: "1", "shop": "other"}
    assert known.chosen_parameters(None, {name: "1"}) == {"shop": "acme", name: "1"}


def test_a_misspelt_region_is_not_replaced_by_the_usual_one() -> None:
    """It says where a code and a refresh token are sent."""
    regions = {"eu": {"token_endpoint": "https://eu.acme.example/token"}}
    known = registration(token_endpoint="https://acme.example/token", regions=regions).provider

    with pytest.raises(InvalidRequest, match=r"^parameters.reigon: unknown \(did you mean region\?\)\.$"):
        known.chosen_parameters({"reigon": "eu"}, {})


def test_every_template_is_filled_in() -> None:
    """Endpoints and parameters; braces that are no placeholder stay."""
    known = provider(
        revocation_endpoint="https://{shop}.myshopify.com/{client_id}/{token}",
        authorization_params={"context": "stores/{shop}", "claims": '{"a":{"b":null}}', "x": "{unknown}"},
        token_params={"context": "stores/{shop}"},
    )

    made = known.for_tenant({"shop": "acme", "note": "7"})

    assert made.authorization_endpoint == "https://acme.myshopify.com/admin/oauth/authorize?for=acme"
    assert made.token_endpoint == "https://acme.myshopify.com/token"
    assert made.revocation_endpoint == "https://acme.myshopify.com/{client_id}/{token}"
    assert made.authorization_params == {"context": "stores/acme", "claims": '{"a":{"b":null}}', "x": "{unknown}"}
    assert made.token_params == {"context": "stores/acme"}


def test_a_provider_without_parameters_stays_as_it_is() -> None:
    """Whatever parameters an application stores with its connections."""
    known = registration()

    assert known.for_tenant({"shop": "../evil"}) is known


def test_stored_parameters_that_no_longer_fit_are_for_the_operator() -> None:
    """A pattern may have become stricter: nothing is sent elsewhere, and the connection is not taken for dead."""
    with pytest.raises(ProviderMisconfigured, match=r"parameters do not fit provider 'acme': parameters\.shop"):
        provider().for_tenant({"shop": "evil.example/"})


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("https://acme.example/{name}/token", "a/b"),
        ("https://acme.example/{name}/token", ".."),
        ("https://acme.example/{name}/token", "."),
        ("https://acme.example/{name}/token", "a%2fb"),
        ("https://acme.example/{name}/token", "a?b"),
        ("https://acme.example/{name}/token", "a#b"),
        ("https://acme.example/{name}/token", "é"),
        ("https://acme.example/{name}/token", ""),
    ],
)
def test_a_path_segment_stays_one(template: str, value: str) -> None:
    """A tenant in a path cannot leave it, end it or begin a query."""
    with pytest.raises(Mismatch):
        tenants.expanded(template, {"name": value})


def test_a_value_in_a_query_is_escaped() -> None:
    """Any value is allowed there, and cannot change the URL otherwise."""
    assert (
        tenants.expanded("https://acme.example/a?t={name}&x=1", {"name": "a&b=c#d/é"})
        == "https://acme.example/a?t=a%26b%3Dc%23d%2F%C3%A9&x=1"
    )


@pytest.mark.parametrize(
    ("pattern", "value", "host"),
    [
        ("login|test|[a-z0-9][a-z0-9-]{0,62}\\.my", "login", "login.salesforce.com"),
        ("login|test|[a-z0-9][a-z0-9-]{0,62}\\.my", "acme--uat.my", "acme--uat.my.salesforce.com"),
    ],
)
def test_a_pattern_may_admit_more_than_one_label(pattern: str, value: str, host: str) -> None:
    """Below the domain that the provider's data names."""
    made = registration(
        token_endpoint="https://{domain}.salesforce.com/token", parameters={"domain": pattern}
    ).provider.for_tenant({"domain": value})

    assert urlsplit(made.endpoint("token_endpoint")).hostname == host


def test_a_host_that_is_too_long_is_refused() -> None:
    """Each label is valid, but all of them together are too long (RFC 1035 section 2.3.4)."""
    with pytest.raises(Mismatch, match="leave the URL"):
        tenants.expanded("https://{a}.{b}.{c}.{d}.acme.example/", dict.fromkeys("abcd", "x" * 63))


@settings(max_examples=500, deadline=None)
@given(value=st.text(max_size=80) | st.from_regex(r"[a-z0-9.@:/%\\-]{1,40}", fullmatch=True))
def test_whatever_is_sent_the_host_is_the_providers(value: str) -> None:
    """The property behind all of the above: a value is refused, or the host ends as the data says."""
    for template in (TEMPLATE, "https://a-{shop}.b.example.com:8443/x/{shop}/y?z={shop}"):
        try:
            made = urlsplit(tenants.expanded(template, {"shop": value}))
        except Mismatch:
            continue
        given_parts = urlsplit(template.replace("{shop}", "x"))
        assert (made.hostname or "").endswith((".myshopify.com", ".b.example.com"))
        assert (made.scheme, made.port, made.username) == ("https", given_parts.port, None)
        assert made.path.count("/") == given_parts.path.count("/")


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (
            {
                "token_endpoint": "https://acme.example/token",
                "first_refresh": {"refresh_endpoint": "https://other.example/first"},
            },
            "first_refresh: expected its refresh_endpoint at the origin of the one of later refreshes",
        ),
        ({"token_endpoint": "https://{shop}.acme.example"}, "token_endpoint: {shop} is not among parameters"),
        ({"token_endpoint": "https://acme.example/{token}"}, "token_endpoint: {token} is not among parameters"),
        ({"parameter_defaults": {"shop": "x"}}, "parameter_defaults: shop is not among parameters"),
        (
            {"parameters": {"shop": "[a-z]{2}"}, "parameter_defaults": {"shops": "ab"}},
            "parameter_defaults: shops is not among parameters (did you mean shop?)",
        ),
        (
            {"parameters": {"shop": "[a-z]{2}"}, "token_endpoint": "https://{shop}.acme.example/{shops}"},
            "token_endpoint: {shops} is not among parameters (did you mean shop?)",
        ),
        (
            {"parameters": {"shop": "[a-z]{2}"}, "callback_parameters": {"shops": "store"}},
            "callback_parameters: shops is not among parameters (did you mean shop?)",
        ),
        (
            {"parameters": {"shop": "[a-z]{2}"}, "parameter_defaults": {"shop": "x"}},
            'parameter_defaults: shop: expected 2 of a-z, like "ac"',
        ),
        (
            {"authorization_param_names": {"client_id": "x", "scope": "x"}},
            "authorization_param_names: expected names that differ from one another",
        ),
        ({"required": ("redirect_uri",)}, "redirect_uri: needed, as the provider file says"),
    ],
)
def test_keys_that_do_not_fit_together_are_named(layer: dict[str, object], said: str) -> None:
    """Each is valid by itself: only all layers together show it."""
    with pytest.raises(ProviderMisconfigured, match=r"^The registration of provider 'acme': ") as caught:
        merging.registration_of("acme", [layer], {"client_id": "client-1"})

    assert caught.value.description == f"The registration of provider 'acme': {said}."

"""What the author of an invalid registration may have meant: similar keys, and an example of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.base.fields import Mismatch
from functions.vault.base.refused_fields import shown
from functions.vault.provider import hints, vocabulary
from functions.vault.provider.hints import EXAMPLES
from functions.vault.provider.names import UNKNOWN
from functions.vault.provider.vocabulary import REGISTRATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from functions.vault.provider.names import Problem

VOCABULARY = vocabulary.checks(loopback_http=False) | REGISTRATION
FILES = ["box", "github", "google", "slack"]


def message(document: dict[str, Any], *problems: tuple[str, str], name: str = "acme", parameters: str = "") -> str:
    """Return the message about a registration with these problems, or else with those of its keys."""
    found: Sequence[tuple[str, Problem]] = problems or tuple(vocabulary.checked(document, VOCABULARY)[1].items())
    refused = hints.refused(name, document, found, checks=VOCABULARY, parameters=parameters.split(), files=FILES)
    assert isinstance(refused, ProviderMisconfigured)
    return refused.description


@pytest.mark.parametrize("key", VOCABULARY)
def test_each_key_is_named_in_a_message(key: str) -> None:
    """None of ours is taken for what could be a secret."""
    assert shown(key) == key


@pytest.mark.parametrize("key", ["GOCSPX-abcde123XYZ", "s3cr3t-7f0b2c9d"])
def test_a_key_that_could_be_a_secret_is_not_repeated(key: str) -> None:
    """The form of AWS's console has a field for the key and one for the value: a secret may be typed into either."""
    said = message({"client_id": "a", key: ""})

    assert said.startswith("The registration of provider 'acme': (a field with an unusual name): unknown key")
    assert key not in said


@pytest.mark.parametrize("key", EXAMPLES)
def test_each_example_is_valid(key: str) -> None:
    """An author who copies one has a value of the right kind."""
    VOCABULARY[key](EXAMPLES[key])


@pytest.mark.parametrize("key", sorted(VOCABULARY.keys() - EXAMPLES.keys()))
def test_a_key_without_an_example_names_all_its_values(key: str) -> None:
    """A few names, or a range of numbers."""
    with pytest.raises(Mismatch, match=r"one of |true or false|an integer from|a provider's name: 1 to 64 of"):
        VOCABULARY[key](object())


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("clientId", "client_id"),
        ("client-secret", "client_secret"),
        ("CLIENT_SECRET", "client_secret"),
        ("consumer_key", "client_id"),
        ("app_secret", "client_secret"),
        ("tokenEndpoint", "token_endpoint"),
        ("access_token_url", "token_endpoint"),
        ("authorize_url", "authorization_endpoint"),
        ("authorizationEndpoint", "authorization_endpoint"),
        ("revoke_url", "revocation_endpoint"),
        ("scope", "scopes"),
        ("authority", "issuer"),
        ("token_endpoint_authmethod", "token_endpoint_auth_method"),
        ("auth_style", "token_endpoint_auth_method"),
        ("refersh_margin", "refresh_margin"),
        ("extends", "based_on"),
        ("code_challenge_method", "pkce"),
        ("audience", "authorization_params"),
    ],
)
def test_a_similar_key_is_suggested(key: str, meant: str) -> None:
    """By its letters, by what other programs call it, or as a typing error."""
    assert message({key: "x"}) == f"The registration of provider 'acme': {key}: unknown key (did you mean {meant}?)."


@pytest.mark.parametrize("key", ["zzz", "x", "hunter2"])
def test_nothing_is_suggested_for_a_key_that_resembles_none(key: str) -> None:
    """A wrong suggestion is worse than none."""
    assert (
        message({key: "y"})
        == f"The registration of provider 'acme': {key}: unknown key; the keys are in docs/providers.md."
    )


def test_a_misspelt_key_is_not_called_missing_as_well() -> None:
    """One mistake makes one message; other missing keys are still named."""
    said = message(
        {"clientid": "c-1"}, ("clientid", UNKNOWN), ("client_id", "needed: the id"), ("token_endpoint", "needed")
    )

    assert said.startswith(
        "The registration of provider 'acme': clientid: unknown key (did you mean client_id?); token_endpoint: needed"
    )


def test_a_parameter_of_the_provider_is_sent_to_its_place() -> None:
    """A tenant is an argument of `start`, or has a default."""
    said = message({"tenant": "acme"}, parameters="tenant")

    assert "tenant: unknown key (a parameter of this provider: give it to start in parameters, or write" in said


def test_a_registration_with_its_name_around_it_is_recognized() -> None:
    """The local stack's file has names; a secret holds one registration."""
    said = message({"google": {"client_id": "hunter2"}})

    assert "google: unknown key (what it holds is a registration: store that alone" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("name", "meant"), [("slack-eu", "slack"), ("my.github", "github"), ("googel", "google"), ("acme", None)]
)
def test_a_file_that_may_be_meant_is_named(name: str, meant: str | None) -> None:
    """By the registration's own name, if its endpoints are missing."""
    said = message({}, ("token_endpoint", "needed"), name=name)

    assert (f'If this is an application at {meant}: "based_on": "{meant}".' in said) is (meant is not None)


@pytest.mark.parametrize(
    ("name", "said"), [("slak", "did you mean slack?"), ("Google", "did you mean google?"), ("zzz", "like box")]
)
def test_the_most_similar_file_is_named(name: str, said: str) -> None:
    """If a registration is based on a file that does not exist."""
    assert said in hints.nearest_file(name, FILES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it holds no text"),
        ("file://acme.json", "it holds the name of a file"),
        ('{"a": 1,}', "line 1, column"),
        ("{\n'a': 'hunter2'}", "line 2, column 1: Expecting property name enclosed in double quotes"),
        ('{"a": "hunter2\n"}', "line 1, column 15: Invalid control character"),
        (r'{"a": "hunter2\q"}', "line 1, column 15: Invalid \\escape"),
    ],
)
def test_what_is_not_json_is_named_by_its_position(text: str, said: str) -> None:
    """And by the likely cause, without a word of the text."""
    with pytest.raises(ValueError, match=r".") as caught:
        json.loads(text)

    assert hints.not_json(text, caught.value).startswith(said)
    assert "hunter" not in hints.not_json(text, caught.value)


@pytest.mark.parametrize(("document", "is_quoted"), [([], False), ("x", False), ('{"client_id": "hunter2"}', True)])
def test_a_document_that_is_no_object_is_explained(document: Any, *, is_quoted: bool) -> None:
    """It may have been encoded twice, by a tool that encodes it itself."""
    assert ("encode it once" in hints.no_object(document)) is is_quoted
    assert "hunter2" not in hints.no_object(document)


PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "an entry of a list": (
        {"scopes": ["a", "hunter2 2"]},
        'like ["orders:read", "orders:write"] (entry 2 is a string with 9 characters, a blank in it).',
    ),
    "an entry that is one of a few": (
        {"revocation_tokens": ["refresh_tokn"]},
        "(entry 1: did you mean refresh_token?).",
    ),
    "a header": ({"token_headers": {"X-Version": 7}}, "(X-Version is a number)."),
    "a parameter": ({"token_params": {"audience": ["hunter2"]}}, "(audience is a list with 1 entry)."),
    "an unknown key of an object": (
        {"error_fields": {"eror": "hunter2"}},
        ": eror is not one of the keys (did you mean error?).",
    ),
    "an unknown key that resembles none": ({"error_fields": {"zzz": "x"}}, ": zzz is not one of the keys."),
    "a key that could be a secret": (
        {"error_fields": {"hunter2-7f0b2c9d4e": "x"}},
        ": (a field with an unusual name) is not one of the keys.",
    ),
    "another name for a parameter": (
        {"token_param_names": {"clientid": "x"}},
        ": clientid is not one of the keys (did you mean client_id?).",
    ),
    "a field of the answer": (
        {"response_fields": {"acces_token": "x"}},
        ": acces_token is not one of the keys (did you mean access_token?).",
    ),
    "a field's names": ({"response_fields": {"scope": ["a b"]}}, "(scope is a list with 1 entry)."),
    "what a code means": ({"error_codes": {"E-1": "invalid_grnt"}}, "(E-1: did you mean invalid_grant?)."),
    "an algorithm": ({"id_token_signed_response_alg": ["RS265"]}, "(entry 1: did you mean RS256?)."),
    "a first refresh": (
        {"first_refresh": {"refresh_endpont": "x"}},
        ": refresh_endpont is not one of the keys (did you mean refresh_endpoint?).",
    ),
    "a part of a first refresh": (
        {"first_refresh": {"refresh_param_names": {"clientid": "x"}}},
        ": clientid is not one of the keys (did you mean client_id?).",
    ),
    "what a refresh token needs": ({"refresh_token_needs": {"scope": []}}, "(scope is a list with 0 entries)."),
    "the name of a parameter": (
        {"parameters": {"Shop": "[a-z]"}},
        "(a name in it is a string with 4 characters).",
    ),
    "the pattern of a parameter": ({"parameters": {"shop": "[a-z]+"}}, "(shop is a string with 6 characters)."),
    "an endpoint of a region": (
        {"regions": {"eu": {"token_endpont": "x"}}},
        ": token_endpont is not one of the keys (did you mean token_endpoint?).",
    ),
    "an URL of a region": (
        {"regions": {"eu": {"token_endpoint": 7}}},
        "(token_endpoint is a number).",
    ),
    "a previous client": (
        {"previous_clients": [{"client_id": "a"}, {"client_id": "b", "secret": "hunter2"}]},
        "and entry 2 to have no other key",
    ),
    "a key of a previous client": (
        {"previous_clients": [{"client_id": "a", "secret": "hunter2"}]},
        ": secret is not one of the keys (did you mean client_secret?).",
    ),
    "a previous client without an id": (
        {"previous_clients": [{"client_id": "a"}, {"client_secret": "hunter2"}]},
        "(entry 2 is an object with 1 field).",
    ),
    "the secret of a previous client": (
        {"previous_clients": [{"client_id": "a", "client_secret": ""}]},
        "and entry 1's client_secret to be a string of 1 to 4096 characters",
    ),
}
"""What is wrong in a part of a value, and how its description names that part."""


@pytest.mark.parametrize("part", PARTS)
def test_the_part_that_is_wrong_is_named(part: str) -> None:
    """By its name or number, with the nearest name if it had to be one of a few; no value is repeated."""
    document, expected = PARTS[part]

    said = message(document)

    assert expected in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("name", "meant"), [("shopfy", " (did you mean shopify?)"), ("slack-eu", " (did you mean slack?)"), ("acme", "")]
)
def test_a_provider_that_may_be_meant_is_named(name: str, meant: str) -> None:
    """If nothing is registered under a name. Whoever has spelled it right registers it."""
    said = hints.unknown_provider(name, f"gatehouse/providers/{name}", [*FILES, "shopify"]).description

    assert said.startswith(f"No provider {name!r} is configured{meant}: ")
    assert said.endswith(f"create the secret gatehouse/providers/{name} with its registration.")


def test_what_does_not_fit_together_gets_no_example_of_another_thing() -> None:
    """An example is of the value that was expected."""
    said = message({"parameter_defaults": {"shop": "x"}}, ("parameter_defaults", "shop is not among parameters"))

    assert said.endswith("parameter_defaults: shop is not among parameters.")

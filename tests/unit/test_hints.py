"""What the author of an invalid registration may have meant: similar keys, and an example of each."""

import json
from typing import Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.base.fields import Mismatch
from functions.vault.provider import hints, vocabulary
from functions.vault.provider.hints import EXAMPLES
from functions.vault.provider.names import UNKNOWN
from functions.vault.provider.vocabulary import REGISTRATION

VOCABULARY = vocabulary.checks(loopback_http=False) | REGISTRATION
FILES = ["box", "github", "google", "slack"]


def message(document: dict[str, Any], *problems: tuple[str, str], name: str = "acme", parameters: str = "") -> str:
    """Return the message about a registration with these problems, or else with those of its keys."""
    found = problems or tuple(vocabulary.checked(document, VOCABULARY)[1].items())
    refused = hints.refused(name, document, found, checks=VOCABULARY, parameters=parameters.split(), files=FILES)
    assert isinstance(refused, ProviderMisconfigured)
    return refused.description


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
    assert message({key: "y"}) == f"The registration of provider 'acme': {key}: unknown key."


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

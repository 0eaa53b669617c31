"""What people get wrong in a registration: `start` names it before a customer consents, and so does the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.flows.application import fresh
from tests.flows.scripted import TOKENS, connect
from tests.requirements import ROOT
from tools import check_registration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

LONGER_THAN_A_REGISTRATION_IS_KEPT = 301
HUSH = "hush-Hush-7f0b2c9d"
OAUTH = "/.well-known/oauth-authorization-server"


def _with_issuer(scripted: Scripted, path: str, said: str) -> dict[str, Any]:
    """Return a registration by an issuer at `path`, which says that it is at another."""
    scripted.answers[OAUTH + path.rstrip("/")] = {**scripted.endpoints, "issuer": scripted.url + said}
    return {"client_id": "c-1", "client_secret": HUSH, "issuer": scripted.url + path}


def _registration(scripted: Scripted, **changed: Any) -> dict[str, Any]:
    whole = {**scripted.registration, "client_secret": HUSH, **changed}
    return {key: value for key, value in whole.items() if value is not None}


MISTAKES: dict[str, Callable[[Scripted], Any]] = {
    "a space after a secret": lambda it: _registration(it, client_secret=HUSH + " "),
    "a line break after a secret": lambda it: _registration(it, client_secret=HUSH + "\n"),
    "a placeholder that nobody filled in": lambda it: _registration(it, client_secret="[Copy the client secret here]"),
    "no secret": lambda _it: {"client_id": "c-1", "based_on": "box"},
    "no secret for the chosen method": lambda it: _registration(
        it, client_secret=None, token_endpoint_auth_method="client_secret_post"
    ),
    "names that other programs use": lambda it: {
        "clientId": "c-1",
        "clientSecret": HUSH,
        "auth_url": f"{it.url}/authorize",
        "token_url": f"{it.url}/token",
    },
    "scopes as one string": lambda it: _registration(it, scopes=f"{HUSH} write"),
    "an http URL": lambda it: _registration(it, token_endpoint="http://acme.test/token"),
    "a second application at a provider of the catalogue": lambda _it: {"client_id": "c-1", "client_secret": HUSH},
    "no token endpoint": lambda it: _registration(it, token_endpoint=None),
    "the metadata's URL as issuer": lambda it: (
        _with_issuer(it, "/t/.well-known/openid-configuration", "/t/.well-known/openid-configuration/x")
        | {"issuer": f"{it.url}/u/.well-known/openid-configuration"}
    ),
    "an issuer without its trailing slash": lambda it: _with_issuer(it, "/t", "/t/"),
    "an issuer for all tenants": lambda it: _with_issuer(it, "/common/v2.0", "/{tenantid}/v2.0"),
    "a comma after the last entry": lambda _it: f'{{"client_id": "c-1", "client_secret": "{HUSH}",}}',
    "entered as key/value in the AWS console": lambda it: _registration(it, scopes='["read"]', scopes_fixed="true"),
    "a redirect URI": lambda it: _registration(it, callback_url="https://acme.test/callback"),
}


def _name_of(mistake: str) -> str:
    """Return what the provider is called: a second one at the catalogue's is called after it."""
    return fresh("box-eu" if "second application" in mistake else "provider")


def _table() -> dict[str, list[str]]:
    """Return the messages that docs/providers.md shows for each mistake."""
    text = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8").partition("## Common mistakes")[2]
    lines = [line.strip("| ").split(" | ") for line in text.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return {mistake: [each for each in said.split("`") if ": " in each] for mistake, _, said in lines[1:]}


@pytest.fixture
def register() -> Iterator[Callable[[str, Any], str]]:
    """Give what stores a registration under a name, and deletes it in the end."""
    secrets, names = boto3.client("secretsmanager"), []

    def stored(name: str, document: Any) -> str:
        text = document if isinstance(document, str) else json.dumps(document)
        names.append(f"gatehouse/providers/{name}")
        secrets.create_secret(Name=names[-1], SecretString=text)
        return text

    yield stored
    for each in names:
        secrets.delete_secret(SecretId=each, ForceDeleteWithoutRecovery=True)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_by_start_and_by_the_command(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    scripted: Scripted,
    register: Callable[[str, Any], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mistake: str,
) -> None:
    """Both say the same, as the documents have it, and repeat nothing of what is written there."""
    # given
    name = _name_of(mistake)
    file = tmp_path / "registration.json"
    file.write_text(register(name, MISTAKES[mistake](scripted)), encoding="utf-8")

    # when
    started = application.call("start", provider=name)
    capsys.readouterr()
    code = check_registration.main([str(file), name, "--local"])

    # then
    said = started["error_description"]
    assert (started["error"], started["retryable"], code) == ("provider_misconfigured", False, 1)
    assert capsys.readouterr().out == f"{name}: provider_misconfigured: {said}\n"
    assert [each for each in _table()[mistake] if each not in said] == []
    assert [value for value in (HUSH, "Copy", "acme.test") if value in said] == []
    assert "/token" not in scripted.paths()


def test_the_documents_show_each_mistake() -> None:
    """The table that a person reads has all that are tried here, and each says something."""
    assert _table().keys() == MISTAKES.keys()
    assert all(_table().values())


def test_every_mistake_is_named_at_once(application: Application, scripted: Scripted) -> None:
    """What is wrong in a key, what is missing, and what does not fit together: whoever corrects it does so once."""
    # given
    provider = application.register(
        {
            "client_id": "YOUR CLIENT ID",
            "clientsecret": HUSH,
            "token_endpoint_auth_method": "client_secret_jwt",
            "authorization_endpoint": f"{scripted.url}/authorize?client_id=c-1&response_type=code",
            "pkce": "plain",
            "parameter_defaults": {"shop": "acme"},
            "request_timeout": "10",
        }
    )

    # when
    said = application.call("start", provider=provider)["error_description"]

    # then
    assert [
        key
        for key in (
            "authorization_endpoint: expected no parameters in it that Gatehouse adds itself (client_id, response_type",
            "client_id: expected what the provider gave you instead of a placeholder",
            "clientsecret: unknown key (did you mean client_secret?)",
            "parameter_defaults: shop is not among parameters",
            "pkce: expected one of S256, none",
            "request_timeout: expected an integer from 1 to 20 (it is written as a text",
            'token_endpoint: needed before anybody can be connected, or the issuer that publishes it, like "https://',
        )
        if key not in said
    ] == []
    assert "client_secret: needed" not in said


def test_the_part_of_a_value_that_is_wrong_is_named(application: Application, scripted: Scripted) -> None:
    """`start` names the entry, the member or the unknown name in it, and the nearest known one; never a value."""
    # given
    provider = application.register(
        _registration(
            scripted,
            scopes=["read", f"{HUSH} write"],
            token_headers={"X-Version": [HUSH]},
            error_fields={"eror": HUSH},
            previous_clients=[{"client_id": "c-0"}, {"client_id": "c-1", "secret": HUSH}],
            parameters={"shop": "[a-z]{2}"},
            parameter_defaults={"shop": HUSH},
            zzz=HUSH,
        )
    )

    # when
    said = application.call("start", provider=provider)["error_description"]

    # then
    assert [
        part
        for part in (
            "(entry 2 is a string with 24 characters, a blank in it)",
            "(X-Version is a list with 1 entry)",
            ": eror is not one of the keys (did you mean error?)",
            "and entry 2 to have no other key, like [",
            ": secret is not one of the keys (did you mean client_secret?)",
            'parameter_defaults: shop: expected 2 of a-z, like "ac"',
            "zzz: unknown key; the keys are in docs/providers.md.",
        )
        if part not in said
    ] == []
    assert HUSH not in said


def test_a_byte_order_mark_is_read_over(
    application: Application, browser: Browser, scripted: Scripted, tmp_path: Path
) -> None:
    """Some editors begin a file with one, and it goes into the secret with the rest."""
    # given
    scripted.answers["/token"] = TOKENS
    text = "\ufeff" + json.dumps(scripted.registration)
    file = tmp_path / "registration.json"
    file.write_text(text, encoding="utf-8")

    # when
    _, page = connect(application, browser, application.register(text))

    # then
    assert page.status_code == 200
    assert check_registration.main([str(file), "acme", "--local"]) == 0


def test_what_is_connected_is_not_held_against_a_new_check(
    application: Application, browser: Browser, scripted: Scripted, stack: Stack
) -> None:
    """Nobody can be connected by a registration that is not whole; who is connected goes on by what is right in it."""
    # given
    scripted.answers["/token"] = TOKENS
    provider = application.register(scripted.registration)
    started, _ = connect(application, browser, provider)
    application.register_again(provider, _registration(scripted, authorization_endpoint=None, client_secret=None))
    stack.clock.advance(LONGER_THAN_A_REGISTRATION_IS_KEPT)

    # when
    refreshed = application.refresh_later(started["connection_id"])

    # then
    assert refreshed["version"] == 2
    assert application.call("start", provider=provider)["error"] == "provider_misconfigured"

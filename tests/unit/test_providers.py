"""Providers are data: a closed vocabulary in which every mistake is named."""

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import functions
from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.base.fields import Mismatch
from functions.vault.provider import auth_methods, issuer_metadata, merging, names, url_checks, vocabulary
from functions.vault.provider.provider import Provider
from functions.vault.provider.registration import Registration
from functions.vault.provider.vocabulary import REGISTRATION
from tests.unit.samples import registration

VOCABULARY = vocabulary.checks(loopback_http=False)
FILES = sorted((Path(functions.__file__).parent / "providers").glob("*.toml"))

GOOD: dict[str, list[Any]] = {
    "issuer": ["https://acme.example", "https://acme.example/tenant/1", "https://acme.example/?x=1"],
    "authorization_endpoint": ["https://acme.example/authorize?tenant=1"],
    "token_endpoint": ["https://acme.example:8443/token", "https://acme/token", "https://10.0.0.1/token"],
    "refresh_endpoint": ["https://acme.example/refresh"],
    "account_endpoint": ["", "https://acme.example/me", "https://{shop}.acme.example/userinfo?v=1"],
    "revocation_endpoint": ["", "https://acme.example/revoke", "https://acme.example/{client_id}/{token}"],
    "authorization_response_iss_parameter_supported": [True, False],
    "token_endpoint_auth_method": [*auth_methods.AUTH_METHODS],
    "token_endpoint_auth_methods_supported": [[], ["none", "private_key_jwt"]],
    "pkce": ["S256", "none"],
    "nonce": [True, False],
    "scopes": [[], ["read", "https://acme.example/write"]],
    "scopes_fixed": [True],
    "scope_separator": [" ", ",", "+", ";"],
    "response_scope_separators": [[], [","], [" ", ",", "+", ";"]],
    "scope_parameter": ["scope", "granted[scopes]"],
    "scope_in_refresh": [True, False],
    "refresh_token_needs": [{}, {"scope": ["offline_access", "refresh_token"], "access_type": ["offline"]}],
    "scope_aliases": [{}, {"email": ["https://acme.example/email"]}, {"read_*": ["write_*", "*:rw"], "offline": []}],
    "redirect_uri": ["ACME-Inc-PRD-1"],
    "parameters": [
        {},
        {"shop": "[a-z0-9][a-z0-9-]{0,62}"},
        {"a": "login|test|[a-z0-9-]{1,40}\\.my", "b_2": "[0-9]{4}"},
    ],
    "parameter_defaults": [{}, {"shop": "acme"}],
    "required": [[], ["redirect_uri"]],
    "authorization_params": [{}, {"prompt": "consent", "access_type": "offline"}],
    "authorization_param_names": [{}, {"client_id": "app_id", "scope": "user_scope"}, {"response_type": ""}],
    "code_parameter": ["auth_code"],
    "callback_metadata": [
        {},
        {"realmId": "[0-9]{1,20}", "accounts-server": ["https://a.example", "https://b.example"]},
    ],
    "callback_parameters": [{}, {"region": "location", "shop": "shop[name]"}],
    "regions": [{}, {"us": {}, "eu-1": {"token_endpoint": "https://acme.eu/{shop}/token"}}],
    "body_format": ["form", "json"],
    "token_params": [{"audience": "api"}],
    "token_param_names": [{}, {"client_id": "client_key", "client_secret": "secret"}, {"grant_type": ""}],
    "refresh_params": [{"audience": "api"}],
    "refresh_param_names": [{}, {"client_id": "client_key", "refresh_token": "token"}],
    "revocation_params": [{"audience": "api"}],
    "token_headers": [{}, {"X-Api-Version": "2017-03-01"}],
    "response_paths": [[], [".", "authed_user"], ["data.tokens"]],
    "response_fields": [{}, {"access_token": "accessToken", "token_type": ""}, {"scope": ["a.b", "scope"]}],
    "response_success": ["ok"],
    "error_fields": [{}, {"error": "errcode", "error_description": "errmsg"}],
    "error_codes": [{}, {"bad_refresh_token": "invalid_grant", "40110": "slow_down", "user_denied": "access_denied"}],
    "refusals": [
        [],
        [{"endpoint": "authorization", "code": "user_denied", "means": "access_denied"}],
        [{"code": "http_400", "means": "invalid_grant"}],
        [{"endpoint": "refresh", "status": 403, "code": "E-1", "words": ["token is dead"], "means": "busy"}],
        [{"contains": {"errors": {"resource": "Token", "codes": {"a": True}}, "n": 7}, "means": "invalid_client"}] * 50,
    ],
    "revocation_method": ["POST", "DELETE", "GET"],
    "refresh_method": ["POST", "GET"],
    "refresh_grant_type": ["refresh_token", "fb_exchange_token", "urn:ietf:params:oauth:grant-type:token-exchange"],
    "first_refresh": [
        {},
        {"refresh_grant_type": "ig_exchange_token"},
        {
            "refresh_endpoint": "https://acme.example/first",
            "refresh_params": {"a": "b"},
            "refresh_param_names": {"refresh_token": "access_token", "client_id": ""},
        },
    ],
    "revocation_body_format": ["form", "json", "none"],
    "revocation_endpoint_auth_method": ["none", "client_secret_post", "client_secret_basic"],
    "revocation_endpoint_auth_methods_supported": [[], ["none"], ["client_secret_post", "tls_client_auth"]],
    "revocation_headers": [{}, {"Authorization": "Bearer {token}", "X-Key": "{client_secret}"}],
    "revocation_param_names": [{}, {"token": "access_token"}, {"client_id": ""}],
    "revocation_tokens": [[], ["access_token"], ["refresh_token", "access_token"]],
    "revocation_token_type_hint": [False],
    "revocation_success": ["successful", "data.revoked"],
    "revocation_ends_authorization": [True],
    "subject": ["merchant_id", "team.id"],
    "metadata": [[], ["merchant_id", "incoming_webhook.url"]],
    "account_scope": ["scopes", "data.permissions"],
    "expires_in_unit": ["seconds", "milliseconds"],
    "default_expires_in": [1, 3600],
    "max_expires_in": [1, 3600],
    "default_refresh_token_expires_in": [60, 7776000],
    "refresh_token_rotation": [True, False],
    "refresh_margin": [0, 86400],
    "background_refresh": ["keep_alive", "keep_fresh", "never"],
    "refresh_token_idle_seconds": [60, 1209600],
    "refresh_token_replay_seconds": [0, 120],
    "max_concurrency": [0, 1, 100],
    "request_timeout": [1, 20],
    "jwks_uri": ["https://acme.example/jwks"],
    "pushed_authorization_request_endpoint": ["https://acme.example/par"],
    "require_pushed_authorization_requests": [True, False],
    "resource": [[], ["https://api.example/v1?a=b", "urn:example:api"]],
    "response_mode": ["query", "form_post"],
    "token_endpoint_auth_signing_alg": ["HS512", "ES256", "PS256", "RS256"],
    "token_endpoint_auth_signing_alg_values_supported": [[], ["ES256", "EdDSA"]],
    "client_assertion_audience": ["issuer", "token_endpoint", "endpoint"],
    "client_id_in_body": [True, False],
    "basic_credentials_encoding": ["form", "none"],
    "endpoints_moved_from": [[], ["https://old.acme.example", "https://{shop}.acme.example:8443"]],
    "reauthorize_previous": [True, False],
}

NOT_TEXT: list[Any] = [None, "", 1, True, [], {}, ["x"], {"x": "y"}]
NOT_FLAG: list[Any] = [None, "true", 1, 0, [], {}]
NOT_URL: list[Any] = [
    *NOT_TEXT,
    "acme.example",
    "//acme.example",
    "http://acme.example/token",
    "http://127.0.0.1/token",
    "http://localhost/token",
    "ftp://acme.example",
    "https://",
    "https:///token",
    "https://user@acme.example",
    "https://user:pw@acme.example",
    "https://@acme.example",
    "https://acme.example#fragment",
    "https://acme.example/a b",
    "https://acme.example\\token",
    "https://acme.example/\r\nX: y",
    "https://acme.example/\x00",
    "https://acme.example:99999",
    "https://acme.example:x",
    "https://[::1",
    "https://[2001:db8::1]/token",
    "https://acme.example:0/",
    "https://acme..example/",
    "https://-acme.example/",
    "https://acme.example/{",
    "https://acme.example/{Shop}",
    "https://acme.example/" + "x" * 2048,
    "https://äcme.example",
    "javascript:alert(1)",
]
NOT_PARAMS: list[Any] = [None, "a=b", 1, [], {"a b": "x"}, {"": "x"}, {"a": 1}, {"a": None}, {"a": ["x"]}, {"a": "x\n"}]
# No value may decide whose host it is that codes and secrets go to.
NOT_TEMPLATE: list[Any] = [
    *NOT_URL,
    "https://{host}/token",
    "https://{name}.com/token",
    "https://acme.{tld}/token",
    "https://{name}acme.com/token",
    "https://{name}-acme.com/token",
    "https://login.acme{name}.com/token",
    "https://{name}.co.uk/token",
    "https://{name}.com.au/token",
    "https://{name}.co.jp:8443",
    "https://{name}.0.1/token",
    "https://{name}.example.com:{port}/token",
    "https://{name}@acme.example/token",
    "{scheme}://acme.example/token",
    "https://{name}.acme.com.{tld}/token",
]
NOT_NAMES: list[Any] = [None, "a", [], {"x": "y"}, {"client_id": 1}, {"client_id": "a b"}, {"client_id": "client_id"}]
OWN_TOKEN_PARAMS = [{name: "x"} for name in sorted(names.OWN_TOKEN_PARAMS)]
NOT_TOKEN_PARAMS = NOT_PARAMS + OWN_TOKEN_PARAMS

BAD: dict[str, list[Any]] = {
    "issuer": [*NOT_URL, "https://{shop}.acme.example"],
    "authorization_endpoint": NOT_TEMPLATE,
    "token_endpoint": NOT_TEMPLATE,
    "refresh_endpoint": NOT_TEMPLATE,
    "revocation_endpoint": [value for value in NOT_TEMPLATE if value != ""],
    "account_endpoint": [value for value in NOT_TEMPLATE if value != ""],
    "authorization_response_iss_parameter_supported": NOT_FLAG,
    "token_endpoint_auth_method": [*NOT_TEXT, "tls_client_auth", "NONE"],
    "token_endpoint_auth_methods_supported": [None, "none", 1, [1], [""], {}, ["x"] * 21],
    "pkce": [*NOT_TEXT, "plain", "s256"],
    "nonce": [None, "true", 1, "n-0S6_WzA2Mj", []],
    "scopes": [None, "read", [1], ["read write"], [""], {}, ["x"] * 101],
    "scopes_fixed": NOT_FLAG,
    "scope_separator": [*NOT_TEXT, "|", "  ", "&"],
    "scope_parameter": [*NOT_TEXT, "a b"],
    "scope_in_refresh": NOT_FLAG,
    "refresh_token_needs": [
        *(
            None,
            "scope",
            [],
            {"scope": "a"},
            {"scope": []},
            {"scope": [""]},
            {"scope": [1]},
            {"a b": ["x"]},
            {"": ["x"]},
        ),
        *({"scope": ["x"] * 11}, {"scope": None}, {f"p{number}": ["x"] for number in range(11)}),
    ],
    "response_scope_separators": [None, ",", {}, [1], [""], ["|"], [",", "  "], [","] * 5],
    "scope_aliases": [
        *(None, "a", [], {"a": "b"}, {"a": None}, {"": []}, {"a b": []}, {"a": ["b c"]}, {"a": [""]}, {"a": [1]}),
        *({"*a*": []}, {"a": ["*b*"]}, {"é": []}, {"a": ["b"] * 11}, {f"s{number}": [] for number in range(101)}),
    ],
    "authorization_params": NOT_PARAMS + [{name: "x"} for name in sorted(names.OWN_AUTHORIZATION_PARAMS)],
    "redirect_uri": [*NOT_TEXT, "a\nb"],
    "parameters": [
        *[None, "shop", [], {"shop": 1}, {"Shop": "[a-z]"}, {"": "[a-z]"}, {"token": "[a-z]"}, {"client_id": "[a-z]"}],
        *(
            {"a": pattern}
            for pattern in ("", ".*", ".+", "[a-z]+", "[^/]{1,9}", "(a|b)", "[a-z", "[z-a]", "[a-z]{2,1}")
        ),
        *({"a": pattern} for pattern in ("a||b", "|a", "a|", "[a-z]{0}", "\\d", "\\w{1,9}", "^a$", "a" * 201, "[é]")),
        {f"p{number}": "[a-z]" for number in range(11)},
    ],
    "parameter_defaults": [None, "shop", [], {"shop": 1}, {"Shop": "x"}, {"a": "x\n"}],
    "required": [None, "redirect_uri", [1], [""], ["a b"], {}, ["x"] * 11],
    "authorization_param_names": [
        *NOT_NAMES,
        *({name: "x"} for name in ("state", "code_challenge", "code")),
        {"client_id": "scope"},
    ],
    "code_parameter": [*NOT_TEXT, "a b"],
    "callback_metadata": [
        *(None, "realmId", [], ["realmId"], {"a": ""}, {"a": ".*"}, {"a": None}, {"a": [1]}, {"a": [""]}, {"a": {}}),
        *({"a b": "[a-z]"}, {"": "[a-z]"}, {"a": ["x"] * 51}, {f"p{number}": "[a-z]" for number in range(21)}),
    ],
    "callback_parameters": [
        *(None, "region", [], {"Region": "x"}, {"": "x"}, {"region": ""}, {"region": "a b"}, {"region": 1}),
        {f"p{number}": "x" for number in range(11)},
    ],
    "regions": [
        *(None, "eu", [], {"EU": {}}, {"": {}}, {"e u": {}}, {"eu": []}, {"eu": {"issuer": "https://acme.example"}}),
        *({"eu": {"token_endpoint": url}} for url in NOT_TEMPLATE),
        {f"r{number}": {} for number in range(21)},
    ],
    "body_format": [*NOT_TEXT, "none", "JSON", "multipart"],
    "token_params": NOT_TOKEN_PARAMS,
    "token_param_names": [*NOT_NAMES, {"refresh_token": "x"}, {"client_id": "code"}],
    "refresh_params": NOT_TOKEN_PARAMS,
    "refresh_param_names": [*NOT_NAMES, {"code": "x"}, {"client_id": "grant_type"}],
    "response_paths": [None, ".", [1], [""], ["a b"], ["$.a"], {}, ["a"] * 6],
    "response_fields": [
        None,
        "a",
        [],
        {"id_token": "x"},
        {"scope": 1},
        {"scope": "a b"},
        {"scope": None},
        {"scope": [""]},
        {"scope": ["a"] * 6},
    ],
    "response_success": [*NOT_TEXT, "a b"],
    "error_fields": [None, "a", [], {"error_uri": "x"}, {"error": 1}, {"error": ""}, {"error": "a b"}],
    "error_codes": [None, "a", [], {"x": "dead"}, {"x": 1}, {"": "invalid_grant"}, {"<b>": "invalid_grant"}],
    "refusals": [
        *(None, "a", {}, ["a"], [{}], [[]], [{"code": "E-1"}], [{"means": "busy"}], [{"code": "E-1", "means": 1}]),
        [{"code": "E-1", "means": "busy"}] * 51,
        [{"endpoint": "refresh", "means": "busy"}],
        [{"code": "E-1", "means": "access_denied"}],
        [{"endpoint": "token", "code": "E-1", "means": "access_denied"}],
        [{"code": "E-1", "means": "busy", "error": "x"}],
        *(
            [{"code": "E-1", "means": "busy", key: value}]
            for key, values in {
                "endpoint": [*NOT_TEXT, "push"],
                "status": [None, "400", 99, 199, 600, 400.5, True, [400]],
                "code": [*NOT_TEXT, "<b>", "x" * 65],
                "words": [None, "a", [], [""], [" "], ["a "], [" a"], ["a\nb"], [1], {}, ["x" * 201], ["x"] * 11],
                "contains": [
                    *(None, "a", [], {}, {"a": None}, {"a": ""}, {"a": 1.5}, {"a": ["b"]}, {"a": {}}, {"": "b"}),
                    *({"a": "b\n"}, {"a": "x" * 201}, {"x" * 65: "b"}, {"a": 10**16}),
                    {"a": {"a": {"a": {"a": {"a": "too deep"}}}}},
                    {str(number): "x" for number in range(11)},
                ],
                "means": [*NOT_TEXT, "dead", "Busy"],
            }.items()
            for value in values
        ),
    ],
    "revocation_method": [*NOT_TEXT, "PUT", "post"],
    "refresh_method": [*NOT_TEXT, "PUT", "get"],
    "refresh_grant_type": [*NOT_TEXT, "", "a b", "x" * 129],
    "first_refresh": [
        *(value for value in NOT_TEXT if value != {}),
        {"refresh_method": "GET"},
        {"refresh_endpoint": "http://acme.example/first"},
        {"refresh_endpoint": "https://{shop}.acme.example/first"},
        {"refresh_grant_type": ""},
        {"refresh_params": {"grant_type": "x"}},
        {"refresh_param_names": {"client_id": "grant_type"}},
    ],
    "revocation_body_format": [*NOT_TEXT, "xml"],
    "revocation_endpoint_auth_method": [*NOT_TEXT, "bearer"],
    "revocation_endpoint_auth_methods_supported": [None, "none", 1, [1], [""], {}, ["x"] * 21],
    "revocation_headers": [None, "X: y", [], {"X Y": "z"}, {"Host": "x"}, {"X": "a\r\nY: b"}, {"Content-Length": "1"}],
    "revocation_param_names": [*NOT_NAMES, {"code": "x"}, {"token": "token_type_hint"}],
    "expires_in_unit": [*NOT_TEXT, "minutes", "ms"],
    "max_expires_in": [None, "3600", 0, -1, 1.5, True, 10**12],
    "default_refresh_token_expires_in": [None, "3600", 59, -1, 60.5, True, 10**12],
    "refresh_token_rotation": NOT_FLAG,
    "revocation_params": NOT_TOKEN_PARAMS,
    "token_headers": [None, "X: y", [], {"X Y": "z"}, {"X": 1}, {"X": "a\r\nY: b"}, {"X:": "y"}, {"": "y"}],
    "revocation_tokens": [None, "access_token", ["id_token"], [1], {}, ["access_token"] * 3],
    "revocation_token_type_hint": NOT_FLAG,
    "revocation_success": [*NOT_TEXT, "a b", "x" * 65],
    "revocation_ends_authorization": NOT_FLAG,
    "subject": [*NOT_TEXT, "a b", "$.account"],
    "metadata": [None, "merchant_id", [1], [""], ["a b"], {}, ["x"] * 21],
    "account_scope": [*NOT_TEXT, "a b", "$.scopes"],
    "default_expires_in": [None, "3600", 0, -1, 1.5, True, 10**12, float("nan")],
    "refresh_margin": [None, "300", -1, 86401, 0.5, True],
    "background_refresh": [*NOT_TEXT, False, "always", "keep-alive", "Never"],
    "refresh_token_idle_seconds": [None, "1209600", 0, 59, -60, 60.5, True, 10**12],
    "refresh_token_replay_seconds": [None, "30", -1, 86401, 0.5, True],
    "max_concurrency": [None, "1", -1, 101, 1.5, True],
    "request_timeout": [None, "10", 0, 21, True],
    "jwks_uri": NOT_URL,
    "pushed_authorization_request_endpoint": NOT_URL,
    "require_pushed_authorization_requests": NOT_FLAG,
    "resource": [
        None,
        "https://api.example",
        1,
        {},
        [""],
        [1],
        ["api"],
        ["https://a.example/#b"],
        ["a:b c"],
        ["a:b"] * 11,
    ],
    "response_mode": [*NOT_TEXT, "fragment", "form-post"],
    "token_endpoint_auth_signing_alg": [*NOT_TEXT, "none", "es256", "EdDSA"],
    "token_endpoint_auth_signing_alg_values_supported": [None, "ES256", [1], [""], {}, ["x"] * 51],
    "client_assertion_audience": [*NOT_TEXT, "https://acme.example"],
    "basic_credentials_encoding": [*NOT_TEXT, "raw"],
    "endpoints_moved_from": [
        *(None, "https://acme.example", [1], {}, ["acme.example"], ["https://acme.example/"], ["http://acme.example"]),
        *(["https://acme.example?x"], ["https://acme.example"] * 11),
    ],
    "reauthorize_previous": NOT_FLAG,
    "client_id_in_body": NOT_FLAG,
    "based_on": [*NOT_TEXT, "a/b", "../acme", ".acme", "x" * 65],
    "previous_clients": [
        *(None, {}, "old", ["old"], [{}], [{"client_secret": "s"}], [{"client_id": "old", "scopes": []}]),
        *([{"client_id": 1}], [{"client_id": "old", "client_secret": ""}], [{"client_id": "old"}] * 6),
    ],
    "client_secrets": [None, "s-1", [1], [""], ["a\x00b"], {}, ["x"] * 3],
    "client_signing_key": [*NOT_TEXT, "key-1", "alias/", "arn:aws:s3:::keys", "alias/a b"],
    "client_signing_kid": [*NOT_TEXT, "a\nb", "x" * 257],
    "client_id": [*NOT_TEXT, "a\nb", "x" * 1025],
    "client_secret": [*NOT_TEXT, "a\x00b", "x" * 4097],
}
BAD["client_id"] = [value for value in BAD["client_id"] if value is not None]

EACH_GOOD = [(key, value) for key, values in GOOD.items() for value in values]
EACH_BAD = [(key, value) for key, values in BAD.items() for value in values]


def problem(document: Any, source: str = "providers/acme.toml") -> str:
    """Return the message about an invalid document."""
    with pytest.raises(ProviderMisconfigured) as caught:
        vocabulary.validated(document, source, VOCABULARY | REGISTRATION)
    return caught.value.description


def test_every_key_is_tested() -> None:
    """The tables below cover the vocabulary, and a `Provider` has exactly its keys."""
    assert GOOD.keys() == VOCABULARY.keys()
    assert BAD.keys() == VOCABULARY.keys() | REGISTRATION.keys()
    assert VOCABULARY.keys() == {field.name for field in fields(Provider)} - {"name", "private"}


@pytest.mark.parametrize(("key", "value"), EACH_GOOD)
def test_a_valid_value_is_accepted(key: str, value: Any) -> None:
    """It stays as it is, except that lists become tuples."""
    taken = vocabulary.validated({key: value}, "providers/acme.toml", VOCABULARY)

    assert taken == {key: tuple(value) if isinstance(value, list) else value}


@pytest.mark.parametrize(("key", "value"), EACH_BAD)
def test_a_bad_value_names_the_file_and_the_key(key: str, value: Any) -> None:
    """The operator learns where to look. The value, which may be a misplaced secret, is not repeated."""
    said = problem({key: value})

    assert said.startswith(f"providers/acme.toml: {key}: expected ")


def test_all_mistakes_are_named_at_once() -> None:
    """Including unknown keys: a misspelt quirk must not silently have no effect."""
    said = problem({"tokenendpoint": "x", "pkce": "plain", "<b>": 1}, "The registration of provider 'acme'")

    assert said == (
        "The registration of provider 'acme': (a field with an unusual name): unknown key; "
        "pkce: expected one of S256, none; tokenendpoint: unknown key."
    )


@pytest.mark.parametrize("document", [None, [], "x", 1, True])
def test_a_document_is_an_object(document: Any) -> None:
    """Anything else is refused as a whole."""
    assert problem(document) == "providers/acme.toml: expected an object."


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    """Neither as a value nor as a name."""
    said = problem({"client_id": ["hunter2"], "scopes": "hunter2", "hunter2 hunter2": 1})

    assert "hunter2" not in said


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_files_that_come_with_gatehouse_are_valid(path: Path) -> None:
    """They contain no credentials, which belong to the owner."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))

    assert vocabulary.validated(document, path.name, VOCABULARY)
    assert not document.keys() & REGISTRATION.keys()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_loopback_may_be_plain_http_if_gatehouse_is_on_it_too(host: str) -> None:
    """On one machine only: https anywhere, http on the loopback interface."""
    url = f"http://{host}:8080/token"

    assert url_checks.endpoint_url(loopback_http=True)(url) == url
    with pytest.raises(Mismatch):
        url_checks.endpoint_url(loopback_http=False)(url)


@pytest.mark.parametrize(
    "host", ["acme.example", "localhost.acme.example", "127.0.0.2", "127.1", "0.0.0.1", "2130706433"]
)
def test_nothing_else_may_be_plain_http(host: str) -> None:
    """A name that only looks like loopback is not."""
    with pytest.raises(Mismatch):
        url_checks.endpoint_url(loopback_http=True)(f"http://{host}/token")


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


def test_later_layers_take_precedence() -> None:
    """File, then metadata, then the registration; credentials are kept apart and are not shown."""
    layers: list[dict[str, Any]] = [
        {"pkce": "none", "scopes": ("read",)},
        {"token_endpoint": "https://a.example"},
        {"scopes": ("write",)},
    ]

    made = merging.registration_of("acme", layers, {"client_id": "client-1", "client_secret": "hunter2"})

    provider = Provider("acme", pkce="none", scopes=("write",), token_endpoint="https://a.example")
    assert made == Registration(provider, "client-1", "hunter2")
    assert "hunter2" not in repr(made)


def test_a_registration_without_client_id_is_refused() -> None:
    """There is no client without its id."""
    with pytest.raises(ProviderMisconfigured, match="registration of provider 'acme': client_id: needed"):
        merging.registration_of("acme", [], {"client_secret": "hunter2"})


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

    whole = merging.registration_of("acme", [file, own], {"client_id": "client-1"}).provider.rules
    alone = merging.registration_of("acme", [file, {}], {"client_id": "client-1"}).provider.rules

    assert whole == (
        {"code": "E-3", "means": "busy"},
        {"code": "E-1", "means": "invalid_client"},
        {"words": ["dead"], "means": "invalid_grant"},
        {"code": "E-1", "status": 400, "means": "slow_down"},
        {"code": "E-1", "means": "invalid_grant"},
        {"code": "E-2", "means": "invalid_scope"},
    )
    assert alone == whole[2:]


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


def test_a_known_endpoint_can_be_turned_off() -> None:
    """By an empty text in the registration: metadata may name one that does not serve this client."""
    layers: list[dict[str, Any]] = [{"revocation_endpoint": "https://acme.example/revoke"}, {"revocation_endpoint": ""}]

    made = merging.registration_of("acme", layers, {"client_id": "client-1"})

    assert (made.provider.revocation_endpoint, made.revocable_tokens) == (None, ())


@pytest.mark.parametrize("subject", [{}, {"subject": "id_token.sub", "issuer": "https://i.example"}])
def test_an_account_endpoint_needs_the_path_of_the_account(subject: dict[str, Any]) -> None:
    """The ID token is not such a path: it needs no endpoint. An empty endpoint needs nothing."""
    layers = [{"account_endpoint": "https://acme.example/me", "jwks_uri": "https://i.example/keys", **subject}]

    with pytest.raises(ProviderMisconfigured, match=r"account_endpoint: needs subject, .* like sub"):
        merging.registration_of("acme", layers, {"client_id": "client-1"})

    left_out = merging.registration_of("acme", [*layers, {"account_endpoint": ""}], {"client_id": "client-1"})
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
    made = merging.registration_of("acme", layers, {"client_id": "client-1"})

    there = made.for_tenant({"shop": "north", "region": "eu"})

    assert there.provider.account_endpoint == "https://north.acme.eu/me"
    assert there.whose({}).origins["account"] == "https://north.acme.eu"
    assert (
        made.for_tenant({"shop": "north", "region": "us"}).provider.account_endpoint == "https://north.acme.example/me"
    )


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

"""The vocabulary of provider files: what each key may hold, and that every mistake is named."""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import functions
from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.base.fields import Mismatch
from functions.vault.provider import auth_methods, names, url_checks, vocabulary
from functions.vault.provider.provider import Provider
from functions.vault.provider.vocabulary import REGISTRATION

VOCABULARY = vocabulary.checks(loopback_http=False)
FILES = sorted((Path(functions.__file__).parent / "providers").glob("*.toml"))

GOOD: dict[str, list[Any]] = {
    "display_name": ["Acme", "Ácme & Söhne GmbH", "x" * 64],
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
    "account_name": [[], ["team.name", "team.id"]],
    "account_scope": ["scopes", "data.permissions"],
    "id_token_signed_response_alg": ["RS256", ["PS256", "ES256", "EdDSA"], ["Ed25519"]],
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
    "display_name": [*NOT_TEXT, "Acme\nInc", "x" * 65],
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
    "account_name": [None, "name", [1], [""], ["a b"], {}, ["x"] * 6],
    "account_scope": [*NOT_TEXT, "a b", "$.scopes"],
    "id_token_signed_response_alg": [
        *(None, "", "none", "HS256", "es256", 1, [], ["none"], ["HS256"], ["ES256", "RS1"], [1], {}, ["ES256"] * 12),
    ],
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
        "pkce: expected one of S256, none (it is a string with 5 characters); "
        "tokenendpoint: unknown key (did you mean token_endpoint?); the keys are in docs/providers.md."
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

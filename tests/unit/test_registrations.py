"""The owner's registrations: read from Secrets Manager, completed by discovery, cached for minutes, and checked."""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.vault.base.errors import (
    ProviderMisconfigured,
    ProviderUnavailable,
    TemporarilyUnavailable,
    UnknownProvider,
)
from functions.vault.base.timing import Deadline
from functions.vault.oauth.discovery import TIMEOUT
from functions.vault.oauth.transport import Answer
from functions.vault.storage.aws import ClientOf
from functions.vault.storage.registrations import KEPT, KEPT_FAILURE, LONGEST_REREAD_PAUSE, Registrations
from tests.unit.samples import NOW, answer

ENDPOINTS = {
    "authorization_endpoint": "https://acme.example/authorize",
    "token_endpoint": "https://acme.example/token",
}
ISSUER = "https://id.example"
OAUTH = "https://id.example/.well-known/oauth-authorization-server"
OPENID = "https://id.example/.well-known/openid-configuration"


class Web:
    """Pages by URL. Requests are recorded, and every other URL is a 404."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer | Exception | Callable[[float], Answer]] = {}
        self.requests: list[str] = []

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the page."""
        assert (method, dict(headers), body) == ("GET", {"Accept": "application/json"}, None)
        assert 0 < timeout <= 10
        self.requests.append(url)
        page = self.pages.get(url, answer("<html>", 404))
        if isinstance(page, Exception):
            raise page
        return page(timeout) if callable(page) else page


class Owner:
    """An owner of registrations, with a clock and web pages."""

    def __init__(self, aws: ClientOf) -> None:
        self.secrets = aws("secretsmanager")
        self.prefix = f"{uuid.uuid4().hex}/providers/"
        self.now = float(NOW)
        self.web = Web()
        self.registrations = self.new_function()
        self._aws = aws

    def new_function(self, *, loopback_http: bool = False) -> Registrations:
        """Return the registrations as a newly started function has them."""
        return Registrations(self._client_of, self.prefix, self.web, lambda: self.now, loopback_http=loopback_http)

    def _client_of(self, service: str) -> Any:
        return self._aws(service)

    def registers(self, name: str, document: Any) -> None:
        """Create or replace a registration in Secrets Manager."""
        text = document if isinstance(document, str) else json.dumps(document)
        known = self.secrets.list_secrets(Filters=[{"Key": "name", "Values": [self.prefix + name]}])["SecretList"]
        if known:
            self.secrets.put_secret_value(SecretId=self.prefix + name, SecretString=text)
        else:
            self.secrets.create_secret(Name=self.prefix + name, SecretString=text)


@pytest.fixture
def owner(aws: ClientOf) -> Owner:
    """Return an owner without registrations."""
    return Owner(aws)


def metadata(**fields: Any) -> Answer:
    """Return the metadata of `ISSUER`."""
    document = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "revocation_endpoint": f"{ISSUER}/revoke",
        "authorization_response_iss_parameter_supported": True,
        "response_types_supported": ["code"],
    }
    return answer(json.dumps(document | fields))


def test_a_registration_may_be_a_whole_provider(owner: Owner) -> None:
    """Endpoints, quirks and credentials in one document, without a file and without a request."""
    owner.registers(
        "acme", {"client_id": "c-1", "client_secret": "s-1", "scopes": ["read"], "pkce": "none", **ENDPOINTS}
    )

    registration = owner.registrations.get("acme")

    assert (registration.client_id, registration.client_secret) == ("c-1", "s-1")
    assert registration.provider.name == "acme"
    assert registration.provider.endpoint("token_endpoint") == "https://acme.example/token"
    assert (registration.provider.scopes, registration.provider.pkce) == (("read",), "none")
    assert owner.web.requests == []


def test_a_registration_completes_a_file(owner: Owner) -> None:
    """UltraCart needs only a client id. A key of the registration overrides the file's."""
    owner.registers("ultracart", {"client_id": "c-1", "pkce": "S256"})

    registration = owner.registrations.get("ultracart")

    provider = registration.provider
    assert provider.endpoint("token_endpoint") == "https://secure.ultracart.com/rest/v2/oauth/token"
    assert provider.token_headers == {"X-UltraCart-Api-Version": "2017-03-01"}
    assert (provider.pkce, registration.auth_method) == ("S256", "none")


@pytest.mark.parametrize(("token_host", "is_left_out"), [("github.corp.example", True), ("github.com", False)])
def test_an_installation_of_ones_own_does_not_revoke_at_the_files_host(
    owner: Owner, token_host: str, *, is_left_out: bool
) -> None:
    """Naming two endpoints and forgetting the third does not mean that tokens may go to another host."""
    owner.registers(
        "github",
        {
            "client_id": "c-1",
            "client_secret": "s-1",
            "authorization_endpoint": f"https://{token_host}/login/oauth/authorize",
            "token_endpoint": f"https://{token_host}/login/oauth/access_token",
        },
    )

    provider = owner.registrations.get("github").provider

    assert (provider.revocation_endpoint is None) is is_left_out
    assert provider.revocation_method == "DELETE", "the rest of the file stays"


def test_an_installation_of_ones_own_does_not_refresh_at_the_files_host(owner: Owner) -> None:
    """Not even for the first refresh, which may be another kind of request at another address."""
    owner.registers(
        "instagram",
        {"client_id": "c-1", "client_secret": "s-1", "token_endpoint": "https://instagram.corp.example/access_token"},
    )

    provider = owner.registrations.get("instagram").provider

    assert (provider.refresh_endpoint, provider.first_refresh) == (None, {})


def test_a_secret_is_sent_as_the_provider_file_says(owner: Owner) -> None:
    """A confidential client of UltraCart sends its secret in the form."""
    owner.registers("ultracart", {"client_id": "c-1", "client_secret": "s-1"})

    assert owner.registrations.get("ultracart").auth_method == "client_secret_post"


def test_an_unknown_provider_is_named_with_what_to_do(owner: Owner) -> None:
    """A provider with a file but no registration is not configured: there is no client."""
    for name in ("nobody", "ultracart"):
        with pytest.raises(UnknownProvider) as caught:
            owner.registrations.get(name)
        assert f"create the secret {owner.prefix}{name}" in caught.value.description


def test_a_registration_that_was_deleted_is_unknown(owner: Owner) -> None:
    """Secrets Manager keeps a deleted secret for days, and answers with another error."""
    owner.registers("acme", {"client_id": "c-1", **ENDPOINTS})
    owner.secrets.delete_secret(SecretId=owner.prefix + "acme", RecoveryWindowInDays=7)

    with pytest.raises(UnknownProvider):
        owner.registrations.get("acme")


@pytest.mark.parametrize("text", ["x", "{", "client_id=c-1", "{'client_id': 'hunter2'}", "[" * 100_000])
def test_a_secret_that_is_not_json_is_reported(owner: Owner, text: str) -> None:
    """With the name of the secret, and nothing of its content."""
    owner.registers("acme", text)

    with pytest.raises(ProviderMisconfigured) as caught:
        owner.registrations.get("acme")

    assert caught.value.description.startswith(f"The secret {owner.prefix}acme does not hold a JSON document: ")
    assert "hunter2" not in caught.value.description
    assert caught.value.__cause__ is None


def test_a_binary_secret_is_reported(owner: Owner) -> None:
    """It has no text."""
    owner.secrets.create_secret(Name=owner.prefix + "acme", SecretBinary=b"{}")

    with pytest.raises(ProviderMisconfigured, match="does not hold a JSON document"):
        owner.registrations.get("acme")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "expected an object"),
        (None, "expected an object"),
        ("hunter2", "does not hold a JSON document"),
        ({}, "client_id: needed"),
        ({"client_id": "c-1", "clientsecret": "hunter2"}, "clientsecret: unknown key"),
        ({"client_id": "c-1", "client_secret": 7}, "client_secret: expected"),
        ({"client_id": "c-1", "name": "other"}, "name: unknown key"),
        (
            {"client_id": "c-1", "token_endpoint": "http://acme.example"},
            "token_endpoint: expected an absolute https URL",
        ),
    ],
)
def test_a_mistake_in_a_registration_is_reported(owner: Owner, document: Any, said: str) -> None:
    """With the name of the provider, and without its secrets."""
    owner.registers("acme", document)

    with pytest.raises(ProviderMisconfigured, match=said) as caught:
        owner.registrations.get("acme")

    assert "acme" in caught.value.description
    assert "hunter2" not in caught.value.description


def test_a_byte_order_mark_is_ignored(owner: Owner) -> None:
    """Some editors write one at the beginning of a file, from where it gets into the secret."""
    owner.registers("acme", "\ufeff" + json.dumps({"client_id": "c-1", **ENDPOINTS}))

    assert owner.registrations.get("acme").client_id == "c-1"


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        ('{"client_id": "c-1", "client_secret": "hunter2", "client_secret": "hunter3"}', False),
        ('{"client_id": "c-1", "token_params": {"a": "hunter2", "a": "hunter3"}}', False),
        ('{"client_id": "c-1", "client_id": "c-1"}', True),
    ],
)
def test_a_key_with_two_values_is_reported(owner: Owner, text: str, *, is_taken: bool) -> None:
    """Either could be meant."""
    owner.registers("acme", text)

    if is_taken:
        assert owner.registrations.get("acme").client_id == "c-1"
        return
    with pytest.raises(
        ProviderMisconfigured, match=r"(client_secret|a) is there twice, with different values"
    ) as caught:
        owner.registrations.get("acme")
    assert "hunter" not in caught.value.description


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_have_is_reported_as_such(owner: Owner, word: str) -> None:
    """NaN equals nothing: a key with it was reported as one with two values."""
    owner.registers("acme", f'{{"client_id": "c-1", "request_timeout": {word}}}')

    with pytest.raises(ProviderMisconfigured, match=f"JSON document: {word} is no JSON: a number is written in digits"):
        owner.registrations.get("acme")


def test_a_registration_may_be_based_on_a_file_of_another_name(owner: Owner) -> None:
    """This is for a second application at the same provider, with its own name and limits."""
    owner.registers("ultracart-eu", {"based_on": "ultracart", "client_id": "c-2", "pkce": "S256"})

    registration = owner.registrations.get("ultracart-eu")

    assert (registration.provider.name, registration.client_id) == ("ultracart-eu", "c-2")
    assert registration.provider.endpoint("token_endpoint") == "https://secure.ultracart.com/rest/v2/oauth/token"
    assert (registration.provider.pkce, registration.provider.max_concurrency) == ("S256", 1)
    assert registration.whose({}).provider == "ultracart-eu"
    assert owner.new_function().has_slots("ultracart-eu")


def test_a_registration_based_on_an_unknown_file_is_reported(owner: Owner) -> None:
    """With the file that may have been meant."""
    owner.registers("acme", {"based_on": "ultra-cart", "client_id": "c-2", **ENDPOINTS})

    with pytest.raises(ProviderMisconfigured, match=r"based_on: expected the name of a provider file .*ultracart\?"):
        owner.registrations.get("acme")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"client_id": "c-1\u200b"}, "client_id: expected no blank at either end, and no invisible character"),
        ({"client_secrets": ["s-2", " s-1"]}, "client_secrets: expected no blank at either end"),
        ({"client_id": "<client id>"}, "client_id: expected what the provider gave you instead of a placeholder"),
        ({"client_secret": "${SECRET}"}, "client_secret: expected what the provider gave you"),
        ({"client_secret": "abcd****"}, "client_secret: expected what the provider gave you"),
        ({"previous_clients": [{"client_id": "YOUR OLD ID"}]}, "previous_clients: expected what the provider gave you"),
        ({"token_endpoint": "https://login.example.com/token"}, "token_endpoint: expected the provider's own host"),
        ({"issuer": f"{ISSUER}/.well-known/openid-configuration"}, "issuer: expected the issuer itself, without"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "client_signing_key: needed for"),
        ({"client_signing_key": "alias/k"}, "token_endpoint_auth_signing_alg: expected one of ES256"),
        (
            {"client_signing_key": "alias/k", "token_endpoint_auth_signing_alg": "HS256"},
            "token_endpoint_auth_signing_alg: expected one of ES256",
        ),
        (
            {"revocation_endpoint_auth_method": "private_key_jwt", "client_secret": "s-1"},
            "client_signing_key: needed for revocation_endpoint_auth_method private_key_jwt",
        ),
        (
            {"client_secret": "s-1", "token_endpoint_auth_methods_supported": ["tls_client_auth"]},
            "token_endpoint_auth_method: Provider 'acme' supports none of the client authentication methods",
        ),
        ({"require_pushed_authorization_requests": True}, "pushed_authorization_request_endpoint: needed before"),
    ],
)
def test_a_registration_that_cannot_connect_anybody_is_reported_at_the_start(
    owner: Owner, changed: dict[str, Any], said: str
) -> None:
    """Each key by itself is right, and `get` returns it for connections that exist."""
    owner.registers("acme", {"client_id": "c-1", **ENDPOINTS, **changed})
    owner.registrations.get("acme")

    with pytest.raises(ProviderMisconfigured) as caught:
        owner.registrations.whole("acme")

    assert said in caught.value.description
    assert [value for value in ("c-1", "s-1", "YOUR", "SECRET", "abcd") if value in caught.value.description] == []


@pytest.mark.parametrize(
    "secret",
    [
        "s 1+",
        "ü€😀",
        "$2b$10$abcdefghijklmnopqrstuv",
        "$abc1",
        "my-secret",
        "new-secret",
        "x",
        "{a}b",
        "test",
        "secret",
    ],
)
def test_unusual_credentials_are_accepted(owner: Owner, secret: str) -> None:
    """A secret may have any characters. Only what cannot be one is refused."""
    owner.registers("acme", {"client_id": "my-app", "client_secret": secret, **ENDPOINTS})

    assert owner.registrations.whole("acme").client_secret == secret


def test_a_public_client_is_accepted_even_if_metadata_does_not_list_it(owner: Owner) -> None:
    """Servers accept more than they publish. A provider file that leaves them out means it, and can be overridden."""
    owner.web.pages[OAUTH] = metadata(token_endpoint_auth_methods_supported=["client_secret_basic"])
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})
    owner.registers("box", {"client_id": "c-1", "token_endpoint_auth_method": "none"})

    assert owner.registrations.whole("acme").auth_method == "none"
    assert owner.registrations.whole("box").auth_method == "none"


@pytest.mark.parametrize("name", ["airtable", "etsy", "ultracart", "zendesk"])
def test_a_provider_file_can_allow_public_clients(owner: Owner, name: str) -> None:
    """If the provider's documentation has applications without a secret, none is required."""
    owner.registers(name, {"client_id": "c-1"})

    assert owner.registrations.whole(name).auth_method == "none"


def test_a_missing_endpoint_in_metadata_is_reported(owner: Owner) -> None:
    """If an issuer publishes no token endpoint, the registration has to name it."""
    owner.web.pages[OAUTH] = metadata(token_endpoint=None)
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})

    with pytest.raises(ProviderMisconfigured, match=r"token_endpoint: needed .* the issuer's metadata names none"):
        owner.registrations.whole("acme")


def test_a_wrong_registration_does_not_ask_its_issuer(owner: Owner) -> None:
    """What the issuer might know is not reported as missing."""
    owner.registers("acme", {"clientid": "c-1", "issuer": ISSUER})

    with pytest.raises(ProviderMisconfigured) as caught:
        owner.registrations.get("acme")

    assert caught.value.description == (
        "The registration of provider 'acme': clientid: unknown key (did you mean client_id?)."
    )
    assert owner.web.requests == []


def test_a_corrected_registration_works_at_once(owner: Owner) -> None:
    """Only correct registrations are cached, so the operator need not wait."""
    owner.registers("acme", {"client_id": "c-1", "pkce": "plain", **ENDPOINTS})
    with pytest.raises(ProviderMisconfigured):
        owner.registrations.get("acme")

    owner.registers("acme", {"client_id": "c-1", **ENDPOINTS})

    assert owner.registrations.get("acme").client_id == "c-1"


def test_a_registration_is_cached_for_minutes(owner: Owner) -> None:
    """A change is seen after that time, and so is changed metadata. Until then nothing is read again."""
    owner.web.pages[OAUTH] = metadata()
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})
    first = owner.registrations.get("acme")
    owner.registers("acme", {"client_id": "c-2", "issuer": ISSUER})

    owner.now += KEPT - 0.001
    assert owner.registrations.get("acme") is first
    assert owner.web.requests == [OAUTH]

    owner.now += 0.001
    assert owner.registrations.get("acme").client_id == "c-2"
    assert owner.web.requests == [OAUTH, OAUTH]


def test_a_provider_is_discovered_from_its_issuer(owner: Owner) -> None:
    """RFC 8414 section 3: from the document at the issuer's well-known path. OpenID's is not needed then."""
    owner.web.pages[OAUTH] = metadata()
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER, "scopes": ["read"]})

    provider = owner.registrations.get("acme").provider

    assert provider.endpoint("authorization_endpoint") == f"{ISSUER}/authorize"
    assert provider.endpoint("revocation_endpoint") == f"{ISSUER}/revoke"
    assert (provider.issuer, provider.authorization_response_iss_parameter_supported) == (ISSUER, True)
    assert provider.scopes == ("read",)
    assert owner.web.requests == [OAUTH]


def test_openid_discovery_comes_second(owner: Owner) -> None:
    """It is read if there is nothing at the first place."""
    owner.web.pages[OPENID] = metadata()
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})

    assert owner.registrations.get("acme").provider.endpoint("token_endpoint") == f"{ISSUER}/token"
    assert owner.web.requests == [OAUTH, OPENID]


@pytest.mark.parametrize("issuer", [f"{ISSUER}/tenant/1", f"{ISSUER}/tenant/1/"])
def test_an_issuer_may_have_a_path(owner: Owner, issuer: str) -> None:
    """RFC 8414 puts the well-known part before it (section 3.1), and OpenID puts it after it."""
    after = f"{ISSUER}/tenant/1/.well-known/openid-configuration"
    owner.web.pages[after] = metadata(issuer=issuer)
    owner.registers("acme", {"client_id": "c-1", "issuer": issuer})

    assert owner.registrations.get("acme").provider.issuer == issuer
    assert owner.web.requests == [f"{ISSUER}/.well-known/oauth-authorization-server/tenant/1", after]


@pytest.mark.parametrize("url", [OAUTH, OPENID])
def test_another_issuers_metadata_is_refused(owner: Owner, url: str) -> None:
    """RFC 8414 section 3.3: otherwise one server could pose as another (a mix-up attack)."""
    owner.web.pages[url] = metadata(issuer="https://evil.example")
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})

    with pytest.raises(ProviderMisconfigured, match="issuer is not the configured one"):
        owner.registrations.get("acme")


def test_an_issuer_without_metadata_is_reported(owner: Owner) -> None:
    """The error says what else the operator can do."""
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})
    owner.web.pages[OPENID] = answer("<html>hunter2", content_type="text/html")

    with pytest.raises(ProviderMisconfigured, match=r"publishes no metadata .* or give the endpoints") as caught:
        owner.registrations.get("acme")

    said = caught.value.description
    assert said.startswith(
        "The registration of provider 'acme': issuer: Reading the issuer's metadata at id.example: the "
    )
    assert said.endswith(
        "Asked were /.well-known/oauth-authorization-server (404), "
        "/.well-known/openid-configuration (200, text/html of 13 octets)."
    )


OUTAGES = [answer("", 500), answer("", 503), answer("", 429), ProviderUnavailable("It cannot be reached.")]


@pytest.mark.parametrize("failure", OUTAGES)
def test_an_issuer_that_is_down_is_an_outage(owner: Owner, failure: Answer | Exception) -> None:
    """It is not asked again for seconds, not for minutes. Having no metadata at the second place is no mistake."""
    owner.web.pages |= {OAUTH: failure, OPENID: answer("<html>", 404)}
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})
    for _ in range(10):
        with pytest.raises(ProviderUnavailable) as caught:
            owner.registrations.get("acme")
        assert caught.value.retry_after == KEPT_FAILURE
        assert caught.value.description.startswith("Reading the issuer's metadata at ")
    assert owner.web.requests.count(OAUTH) == 1

    owner.web.pages[OAUTH] = metadata()
    owner.now += KEPT_FAILURE - 0.001
    with pytest.raises(ProviderUnavailable):
        owner.registrations.get("acme")
    owner.now += 0.001

    assert owner.registrations.get("acme").provider.issuer == ISSUER


@pytest.mark.parametrize("failure", OUTAGES)
def test_a_known_registration_serves_through_an_outage_of_its_issuer(owner: Owner, failure: Answer | Exception) -> None:
    """Its token endpoint may well work. The issuer is asked again every few seconds, until it answers."""
    owner.web.pages[OAUTH] = metadata()
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})
    known = owner.registrations.get("acme")
    owner.registers("acme", {"client_id": "c-2", "issuer": ISSUER})
    owner.web.pages[OAUTH] = failure

    owner.now += KEPT
    assert [owner.registrations.get("acme") for _ in range(10)] == [known] * 10
    assert owner.web.requests.count(OAUTH) == 2
    owner.now += KEPT_FAILURE
    assert owner.registrations.get("acme") is known
    assert owner.web.requests.count(OAUTH) == 3

    owner.web.pages[OAUTH] = metadata()
    owner.now += KEPT_FAILURE
    assert owner.registrations.get("acme").client_id == "c-2"


class Throttled:
    """A Secrets Manager that fails for as long as a test wants, and counts its calls."""

    def __init__(self, secrets: Any, code: str = "ThrottlingException", text: str = "") -> None:
        self.throttled = True
        self._said = {"Code": code, "Message": text}
        self.asked = 0
        self._secrets = secrets

    def get_secret_value(self, **arguments: Any) -> Any:
        """Return a secret, or fail."""
        self.asked += 1
        if self.throttled:
            error: Any = {"Error": self._said, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(error, "GetSecretValue")
        return self._secrets.get_secret_value(**arguments)


def test_an_outage_of_secrets_manager_is_temporary(owner: Owner) -> None:
    """If a registration is not cached, callers have to try again. If it is cached, it is used."""
    owner.registers("acme", {"client_id": "c-1", **ENDPOINTS})
    secrets = Throttled(owner.secrets)
    registrations = Registrations(
        lambda _service: secrets, owner.prefix, owner.web, lambda: owner.now, loopback_http=False
    )
    for _ in range(3):
        with pytest.raises(TemporarilyUnavailable) as caught:
            registrations.get("acme")
        assert caught.value.retry_after == KEPT_FAILURE
    assert secrets.asked == 1

    owner.now += KEPT_FAILURE
    secrets.throttled = False
    known = registrations.get("acme")
    owner.now += KEPT
    secrets.throttled = True

    assert [registrations.get("acme") for _ in range(3)] == [known] * 3
    assert secrets.asked == 3


ACCESS = "User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: secretsmanager:GetSecretValue"


@pytest.mark.parametrize(
    ("code", "text", "named"),
    [
        ("AccessDeniedException", ACCESS, "lacks secretsmanager:GetSecretValue on it"),
        ("AccessDeniedException", "Access to KMS is not allowed", "lacks kms:Decrypt on the key"),
        ("DecryptionFailure", "", "lacks kms:Decrypt on the key"),
        ("ValidationException", "hunter2", "aws secretsmanager get-secret-value"),
    ],
)
def test_a_secret_that_cannot_be_read_is_reported_with_the_missing_permission(
    owner: Owner, code: str, text: str, named: str
) -> None:
    """It is not a defect, and AWS's text is not repeated. The secret is read again after a few seconds."""
    owner.registers("acme", {"client_id": "c-1", **ENDPOINTS})
    secrets = Throttled(owner.secrets, code, text)
    registrations = Registrations(
        lambda _service: secrets, owner.prefix, owner.web, lambda: owner.now, loopback_http=False
    )

    for _ in range(3):
        with pytest.raises(ProviderMisconfigured, match=named) as caught:
            registrations.get("acme")
        assert caught.value.description.startswith(f"The secret {owner.prefix}acme ")
        assert caught.value.retry_after is None
        assert "arn:" not in caught.value.description
        assert "hunter2" not in caught.value.description

    assert secrets.asked == 1
    secrets.throttled = False
    owner.now += KEPT_FAILURE
    assert registrations.get("acme").client_id == "c-1"


def test_an_issuer_is_not_asked_whether_there_are_slots(owner: Owner) -> None:
    """The registration says it, or the file, or nobody. A cached registration is not read again."""
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER, "max_concurrency": 7})
    owner.registers("plain", {"client_id": "c-1", "issuer": ISSUER})
    owner.registers("ultracart", {"client_id": "c-1"})

    found = [owner.registrations.has_slots(name) for name in ("acme", "plain", "ultracart", "unknown")]

    assert (found, owner.web.requests) == ([True, False, True, False], [])
    owner.registrations.get("ultracart")
    owner.registers("ultracart", {"client_id": "c-1", "max_concurrency": 0})
    assert owner.registrations.has_slots("ultracart")
    owner.now += KEPT
    assert not owner.registrations.has_slots("ultracart")


def test_a_deleted_registration_is_not_used_after_its_time_in_the_cache(owner: Owner) -> None:
    """A wrong or deleted document is not an outage: the owner has decided."""
    owner.registers("acme", {"client_id": "c-1", **ENDPOINTS})
    owner.registrations.get("acme")
    owner.registers("acme", {"client_id": "c-1", "pkce": "plain", **ENDPOINTS})

    owner.now += KEPT

    with pytest.raises(ProviderMisconfigured):
        owner.registrations.get("acme")


def test_a_promise_of_iss_without_an_issuer_is_reported(owner: Owner) -> None:
    """RFC 9207: there is nothing to compare it with, so every `iss` would pass."""
    promise = {"authorization_response_iss_parameter_supported": True}
    owner.registers("acme", {"client_id": "c-1", **promise, **ENDPOINTS})

    with pytest.raises(ProviderMisconfigured, match=r"issuer: needed, to compare iss .*RFC 9207"):
        owner.registrations.get("acme")

    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER, **promise, **ENDPOINTS})
    assert owner.registrations.get("acme").provider.issuer == ISSUER


def test_the_registration_overrides_discovered_metadata(owner: Owner) -> None:
    """Key by key."""
    owner.web.pages[OAUTH] = metadata()
    own = {"revocation_endpoint": "https://acme.example/revoke", "token_endpoint_auth_method": "client_secret_post"}
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-1", "issuer": ISSUER, **own})

    registration = owner.registrations.get("acme")

    assert registration.provider.endpoint("revocation_endpoint") == "https://acme.example/revoke"
    assert registration.auth_method == "client_secret_post"


def test_an_issuer_beside_endpoints_is_not_asked(owner: Owner) -> None:
    """The registration has everything, and the issuer is only for comparing `iss`."""
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER, **ENDPOINTS})

    assert owner.registrations.get("acme").provider.issuer == ISSUER
    assert owner.web.requests == []


def test_loopback_endpoints_are_for_a_loopback_deployment(owner: Owner) -> None:
    """If browsers reach Gatehouse by https, a provider on plain http is refused, wherever it is."""
    owner.registers("acme", {"client_id": "c-1", **ENDPOINTS, "token_endpoint": "http://127.0.0.1:1/token"})

    assert owner.new_function(loopback_http=True).get("acme").provider.token_endpoint == "http://127.0.0.1:1/token"
    with pytest.raises(ProviderMisconfigured, match="token_endpoint: expected an absolute https URL"):
        owner.registrations.get("acme")


# An issuer that is slow or silent


def takes(owner: Owner, seconds: float, said: Answer | None = None) -> Callable[[float], Answer]:
    """Return a page that takes some seconds, for a caller that waits that long."""

    def answered(timeout: float) -> Answer:
        owner.now += min(seconds, timeout)
        if seconds >= timeout or said is None:
            raise ProviderUnavailable("The authorization server did not answer in time.", outcome_unknown=True)
        return said

    return answered


def within(owner: Owner, seconds: float) -> Deadline:
    """Return the deadline of a call that begins now."""
    ends_at = owner.now + seconds
    return Deadline(lambda: ends_at - owner.now)


SLOW_ANSWERS = [(60.0, None), (4.5, answer("<html>", 404)), (4.5, answer("", 503))]


@pytest.mark.parametrize(("seconds", "said"), SLOW_ANSWERS)
def test_a_silent_issuer_takes_a_tenth_of_the_time_at_most(owner: Owner, seconds: float, said: Answer | None) -> None:
    """Its failure is remembered for ten times as long as it took, so 200 calls wait for it once."""
    owner.web.pages |= {OAUTH: takes(owner, seconds, said), OPENID: takes(owner, seconds, said)}
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})
    began = owner.now

    for number in range(200):
        with pytest.raises(ProviderUnavailable) as caught:
            owner.registrations.get("acme", within(owner, 29))
        assert number or caught.value.retry_after == 50
        owner.now += 0.2

    assert owner.web.requests.count(OAUTH) == 1
    assert owner.now - began == pytest.approx(TIMEOUT + 200 * 0.2)
    owner.web.pages[OAUTH] = metadata()
    owner.now += 10.1
    assert owner.registrations.get("acme").provider.issuer == ISSUER


def test_an_issuer_without_metadata_is_remembered_too(owner: Owner) -> None:
    """Another issuer in the registration is asked at once, so the operator need not wait."""
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})
    for _ in range(10):
        with pytest.raises(ProviderMisconfigured, match="publishes no metadata") as caught:
            owner.registrations.get("acme")
        assert caught.value.retry_after is None
    assert owner.web.requests == [OAUTH, OPENID]

    other = "https://right.example"
    owner.web.pages[f"{other}/.well-known/openid-configuration"] = metadata(issuer=other)
    owner.registers("acme", {"client_id": "c-1", "issuer": other})

    assert owner.registrations.get("acme").provider.issuer == other


def test_an_issuer_is_asked_within_the_callers_time(owner: Owner) -> None:
    """Two seconds remain for the answer. A caller with little time does not decide for others."""
    owner.web.pages[OAUTH] = takes(owner, 4.5, metadata())
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})

    for seconds, asked in ((2.9, 0), (5.0, 1)):
        deadline = within(owner, seconds)
        with pytest.raises(TemporarilyUnavailable, match="Too little of this call's time"):
            owner.registrations.get("acme", deadline)
        assert (deadline.remaining() >= 1.9, owner.web.requests.count(OAUTH)) == (True, asked)

    assert owner.registrations.get("acme", within(owner, 10)).provider.issuer == ISSUER


def test_a_cached_registration_is_used_if_time_is_short(owner: Owner) -> None:
    """A caller with more time reads it again."""
    owner.web.pages[OAUTH] = metadata()
    owner.registers("acme", {"client_id": "c-1", "issuer": ISSUER})
    known = owner.registrations.get("acme")
    owner.web.pages[OAUTH] = takes(owner, 60)
    owner.now += KEPT

    assert owner.registrations.get("acme", within(owner, 2.5)) is known

    assert owner.web.requests == [OAUTH]


def test_a_refused_request_does_not_wait_for_an_issuer(owner: Owner) -> None:
    """It finds a new secret in the registration, with the metadata that is cached."""
    owner.web.pages[OAUTH] = metadata()
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-1", "issuer": ISSUER})
    refused = owner.registrations.get("acme")
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-2", "issuer": ISSUER})
    owner.web.pages[OAUTH] = takes(owner, 60)
    owner.now += 2 * KEPT

    fresh = owner.registrations.reread(refused)

    assert fresh is not None
    assert (fresh.client_secret, owner.web.requests) == ("s-2", [OAUTH])


# The keys of an issuer


JWKS = f"{ISSUER}/jwks"


@pytest.mark.parametrize("missing", ["issuer", "jwks_uri"])
def test_an_account_in_an_id_token_needs_keys_to_verify_it(owner: Owner, missing: str) -> None:
    """The operator learns that before any customer fails."""
    document = {"client_id": "c-1", "issuer": ISSUER, "jwks_uri": JWKS, "subject": "id_token.sub", **ENDPOINTS}
    owner.registers("acme", {name: value for name, value in document.items() if name != missing})

    with pytest.raises(ProviderMisconfigured, match="needs an issuer and a jwks_uri"):
        owner.registrations.get("acme")


# Two live secrets, and what is read again


@pytest.mark.parametrize(
    ("given", "newest", "previous"),
    [
        ({"client_secret": "s-1"}, "s-1", None),
        ({"client_secrets": ["s-2"]}, "s-2", None),
        ({"client_secrets": ["s-2", "s-1"]}, "s-2", "s-1"),
    ],
)
def test_a_registration_may_hold_two_live_secrets(
    owner: Owner, given: dict[str, Any], newest: str, previous: str | None
) -> None:
    """The newest comes first. Neither is shown."""
    owner.registers("acme", {"client_id": "c-1", **given, **ENDPOINTS})

    registration = owner.registrations.get("acme")

    assert (registration.client_secret, registration.previous_client_secret) == (newest, previous)
    assert "s-1" not in repr(registration)
    assert "s-2" not in repr(registration)


@pytest.mark.parametrize("given", [{"client_secrets": []}, {"client_secret": "s-1", "client_secrets": ["s-2"]}])
def test_contradicting_or_missing_secrets_are_reported(owner: Owner, given: dict[str, Any]) -> None:
    """Which of them is the newest is not guessed."""
    owner.registers("acme", {"client_id": "c-1", **given, **ENDPOINTS})

    with pytest.raises(
        ProviderMisconfigured, match=r"client_secrets: expected client_secret .* or client_secrets"
    ) as caught:
        owner.registrations.get("acme")

    assert "s-1" not in caught.value.description


@pytest.mark.parametrize(
    "key",
    [
        "alias/gatehouse-client-acme",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "mrk-1234abcd12ab34cd56ef1234567890ab",
        "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/gatehouse-client-acme",
    ],
)
def test_a_kms_key_can_be_named_by_arn_or_alias(owner: Owner, key: str) -> None:
    """It determines how the client authenticates."""
    owner.registers("acme", {"client_id": "c-1", "client_signing_key": key, "client_signing_kid": "k-1", **ENDPOINTS})

    registration = owner.registrations.get("acme")

    assert (registration.client_signing_key, registration.auth_method) == (key, "private_key_jwt")


def test_a_refused_registration_is_read_again_at_once(owner: Owner) -> None:
    """A new secret in it is used for this request and all that follow. The metadata is not read again."""
    owner.web.pages[OAUTH] = metadata()
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-1", "issuer": ISSUER})
    refused = owner.registrations.get("acme")
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-2", "issuer": ISSUER})

    fresh = owner.registrations.reread(refused)

    assert fresh is not None
    assert fresh.client_secret == "s-2"
    assert owner.registrations.get("acme") is fresh
    assert owner.web.requests == [OAUTH]


def test_a_registration_that_was_just_reread_is_not_read_again(owner: Owner) -> None:
    """Of many requests that are refused at one time, one reads it."""
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-1", **ENDPOINTS})
    refused = owner.registrations.get("acme")
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-2", **ENDPOINTS})
    fresh = owner.registrations.reread(refused)
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-3", **ENDPOINTS})

    assert owner.registrations.reread(refused) is fresh


def test_a_correction_in_the_next_second_is_read_at_once(owner: Owner) -> None:
    """The first reading found nothing new. An operator who corrects the registration then need not wait."""
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-1", **ENDPOINTS})
    refused = owner.registrations.get("acme")
    assert owner.registrations.reread(refused) is None
    kept = owner.registrations.get("acme")
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-2", **ENDPOINTS})

    fresh = owner.registrations.reread(kept)

    assert fresh is not None
    assert fresh.client_secret == "s-2"


def test_a_lasting_refusal_does_not_cause_endless_readings(owner: Owner) -> None:
    """Each reading in vain is followed by a longer pause, up to a minute. Other changes are not new credentials."""
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-1", **ENDPOINTS})
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-1", "scopes": ["read"], **ENDPOINTS})
    readings = []
    for _ in range(600):
        before = owner.registrations.get("acme")
        assert owner.registrations.reread(before) is None
        readings += [owner.now - NOW] if owner.registrations.get("acme") is not before else []
        owner.now += 0.5

    assert readings == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 63.5, 123.5, 183.5, 243.5]
    assert readings[-1] - readings[-2] == LONGEST_REREAD_PAUSE


@pytest.mark.parametrize("document", ["{", {"client_id": "c-1", "pkce": "plain"}])
def test_a_registration_that_cannot_be_read_again_changes_nothing(owner: Owner, document: Any) -> None:
    """The refusal is reported. That the document is wrong is reported when the cached one expires."""
    owner.registers("acme", {"client_id": "c-1", "client_secret": "s-1", **ENDPOINTS})
    refused = owner.registrations.get("acme")
    owner.registers("acme", document)

    assert owner.registrations.reread(refused) is None
    assert owner.registrations.get("acme") is refused

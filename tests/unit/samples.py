"""Made-up values that the unit tests share: whole and valid, so that a test states only what it is about."""

from dataclasses import replace
from typing import Any

from functions.vault.grant import consents, refreshes
from functions.vault.grant.connection import Connection
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.grant.seal import Seal, Sealer, Whose
from functions.vault.grant.stored_set import StoredSet
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import SealedTokens, TokenResponse
from functions.vault.grant.upkeep import Upkeep
from functions.vault.oauth.authorization import AuthorizationRequest, BrowserBinding, ticket_hash
from functions.vault.oauth.authorization_response import ValidatedResponse
from functions.vault.oauth.cookies import RequestCookie
from functions.vault.oauth.transport import Answer
from functions.vault.provider.provider import Provider
from functions.vault.provider.registration import Registration

NOW = 1_700_000_000
TOKENS = TokenSet("AT-1", "RT-1")
WHOSE = Whose("acme", "client-1", {"shop": "1"}, None, {"token": "https://acme.example"})
BROWSER = BrowserBinding("r" * 22, "t" * 43, "n" * 43)
COOKIE = RequestCookie(BROWSER.request_id, False, BROWSER.ticket_secret, (BROWSER.nonce,))  # noqa: FBT003 - not posted
FAILED = LastAttempt(BROWSER.request_id, NOW, "failed", "provider_unavailable")
"""An attempt to answer that browser's request that has come to nothing."""


def answer(body: str | bytes = b"", status: int = 200, **headers: str) -> Answer:
    """Return an HTTP answer; header names are written with underscores, and the content type is JSON if not given."""
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, body.encode() if isinstance(body, str) else body)


def token_response(**fields: Any) -> TokenResponse:
    """Return a token response of an access token for an hour and a refresh token."""
    return TokenResponse(**{"tokens": TOKENS, "expires_at": NOW + 3600, "scope": "read", **fields})


def sealed_tokens(  # noqa: PLR0913 - whatever a test wants to say about a token set, and nothing else
    response: TokenResponse | None = None,
    sealed: bytes | Sealer = b"sealed-1",
    *,
    version: int = 1,
    at: int = NOW,
    margin: int = 300,
    background: str = "keep_alive",
    jitter: float = 0.5,
) -> SealedTokens:
    """Return a token response as it is stored: obtained at `at`, under an upkeep with this margin and policy.

    What is not sealed by a `Sealer` has its ciphertext for an id.
    """
    sealer = sealed if isinstance(sealed, Sealer) else sealer_of(sealed, version)
    return (response or token_response()).sealed_with(sealer, Upkeep(margin, background), at, jitter, first=False)


def sealer_of(ciphertext: bytes, version: int = 1, whose: Whose = WHOSE) -> Sealer:
    """Return what seals everything as `ciphertext`, under an id that shows it."""
    return Sealer(ciphertext[:32].decode("latin-1"), whose, lambda _tokens: Seal(ciphertext, 1, version))


def for_version(tokens: SealedTokens, version: int) -> SealedTokens:
    """Return a token response as it is sealed for another version."""
    return replace(tokens, seal=replace(tokens.seal, version=version))


def with_current(made: Connection, **fields: Any) -> Connection:
    """Return a connection whose current token set has other values."""
    changed = current(made)
    return replace(made, sets=tuple(replace(each, **fields) if each is changed else each for each in made.sets))


def connection(response: TokenResponse | None = None, tokens: SealedTokens | None = None, **fields: Any) -> Connection:
    """Return an active connection, authorized at `NOW`, whose tokens come into their margin 300 s before they end."""
    given: dict[str, Any] = {
        "connection_id": "merchant-1",
        "provider": "acme",
        "now": NOW,
        "before": None,
        "authorized_by": "request-1",
        "owner": "owner-1",
        "parameters": {"shop": "1"},
        "tags": {"tier": "gold"},
    }
    version = fields.pop("version", None)
    given |= fields
    made = tokens or sealed_tokens(response)
    made = made if version is None else for_version(made, version)
    whose = replace(made.whose, provider=given["provider"], parameters=given["parameters"])
    return consents.consented(tokens=replace(made, whose=whose), **given)


def current(of: Connection) -> StoredSet:
    """Return the current token set of a connection that has one."""
    assert of.current is not None
    return of.current


def leased(was: Connection | None = None, holder: str = "holder-1") -> Connection:
    """Return a connection with a lease from `NOW + 10` to `NOW + 40`."""
    return refreshes.leased(was or connection(), holder, NOW + 39.5, NOW + 10.9)


def registration(client_secret: str | None = None, **fields: Any) -> Registration:
    """Return the registration of a client at a provider with all endpoints."""
    given = {
        "name": "acme",
        "authorization_endpoint": "https://acme.example/authorize",
        "token_endpoint": "https://acme.example/token",
        "revocation_endpoint": "https://acme.example/revoke",
    }
    return Registration(Provider(**(given | fields)), "client-1", client_secret)


def authorization_request(**fields: Any) -> AuthorizationRequest:
    """Return an open request, made at `NOW`, whose ticket `BROWSER` holds."""
    given: dict[str, Any] = {
        "request_id": BROWSER.request_id,
        "ticket_hash": ticket_hash(BROWSER.ticket_secret),
        "provider": "acme",
        "connection_id": "merchant-1",
        "created_at": NOW,
        "expires_at": NOW + 600,
        "authorization_url": "https://acme.example/authorize?response_type=code&client_id=client-1",
        "redirect_uri": "https://gate.example/callback/acme",
        "pkce": True,
        "connection_version": 0,
        "connection_revocations": 0,
    }
    return AuthorizationRequest(**(given | fields))


def validated_response(browser: BrowserBinding = BROWSER, **fields: Any) -> ValidatedResponse:
    """Return a response with a code. Only tests may make one without `validate`."""
    return ValidatedResponse(**{"provider": "acme", "browser": browser, "iss": None, "code": "CODE-1", **fields})

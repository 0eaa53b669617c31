"""What a client asks of a provider: tokens, revocations, accounts, and to push an authorization request.

RFC 6749 sections 4.1.3 and 6, RFC 7009 section 2.1, RFC 9126 section 2, RFC 8707 section 2.2.
"""

from __future__ import annotations

import copy
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.base.timing import SHORTEST_REQUEST, Deadline
from functions.vault.grant.tokens import Account
from functions.vault.provider.provider import ID_TOKEN_SUBJECT

from . import id_token, provider_requests
from .authenticated_requests import AuthenticatedRequests
from .id_token import Expected
from .responses import account_in, is_revoked, pushed_request_uri, token_response, unverified_id_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from functions.vault.grant.token_set import TokenSet
    from functions.vault.grant.tokens import TokenResponse
    from functions.vault.provider.provider import Provider
    from functions.vault.provider.registration import Registration

    from .authenticated_requests import Form, Reread
    from .authentication import Identity, Sign
    from .authorization_response import ValidatedResponse
    from .transport import Answer, Transport

T = TypeVar("T")


class IssuerKeys(Protocol):
    """What has the keys of issuers: `issuer_keys.IssuerKeys`."""

    def of(self, provider: Provider) -> Sequence[id_token.Jwk]:
        """Return the keys that a provider signs its ID tokens with."""

    def newest(self, provider: Provider, timeout: float) -> Sequence[id_token.Jwk]:
        """Return them as they are now."""


class Slots(Protocol):
    """What limits the requests to a provider at a time: `storage.slots.Slots`."""

    def take(self, provider: Provider, transport: Transport, deadline: Deadline, until: float) -> Transport:
        """Return a slot, which carries one request at a time; raise `SlotsTaken` if none comes free."""

    def give_back(self, slot: Any, deadline: Deadline) -> None:
        """Give back the slot that `take` returned."""


def _no_key(_key: str, _algorithm: str, _octets: bytes) -> bytes:
    raise ProviderMisconfigured("client_signing_key: this process has no KMS to sign with; use it in a stack.")


class Client:
    """Makes the requests of a registered client. `authenticated_requests` says which of them are repeated."""

    def __init__(  # noqa: PLR0913 - everything that a client uses
        self,
        transport: Transport,
        clock: Callable[[], float],
        sign: Sign = _no_key,
        reread: Reread = lambda _registration: None,
        *,
        issuer_keys: IssuerKeys | None = None,
        slots: Slots | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is the clock of the records. For `sign`, `reread`, `wall_clock` see `AuthenticatedRequests`.

        `issuer_keys` verify ID tokens, if one is to be read. `slots` are asked for providers that have them.
        """
        self._clock = clock
        self._issuer_keys = issuer_keys
        self._slots = slots
        self._has_slot = False
        self._wall_clock = wall_clock
        self._requests = AuthenticatedRequests(transport, clock, sign, reread, wall_clock)

    @contextmanager
    def in_slot(self, registration: Registration, deadline: Deadline, until: float) -> Iterator[Client]:
        """Yield the client that may send a request now: one that has a slot, if the provider has slots.

        It looks for one until `until` (Unix seconds). Raises `SlotsTaken` if none came free, and
        `TemporarilyUnavailable` if too little of the call's time is left. Store what the server answered before the end
        of the block: the slot is given back then. If the process dies in the block, the slot lapses.
        """
        if not registration.provider.has_slots:
            yield self
            return
        assert self._slots is not None  # noqa: S101 - whoever asks providers that have slots has them
        slot = self._slots.take(registration.provider, self._requests.transport, deadline, until)
        try:
            yield self._with(slot)
        except Exception:
            self._slots.give_back(slot, deadline)
            raise
        self._slots.give_back(slot, deadline)

    def _with(self, slot: Transport) -> Self:
        """Return this client with a slot, which carries its requests."""
        client = copy.copy(self)
        client._requests, client._has_slot = self._requests.over(slot), True  # noqa: SLF001 - its own class
        return client

    def exchange(
        self,
        registration: Registration,
        response: ValidatedResponse,
        redirect_uri: str,
        timeout: float,
        *,
        nonce: bool = False,
    ) -> TokenResponse:
        """Exchange the code of a validated response for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

        `nonce` means that the authorization request had one: an ID token has to contain it.
        """
        provider, keys = registration.provider, None
        if provider.subject == ID_TOKEN_SUBJECT:
            # Read before the code is sent: an issuer that is out of reach costs no code.
            deadline, keys = Deadline.after(timeout), self._keys().of(provider)
            timeout = max(deadline.remaining(), SHORTEST_REQUEST)
        form = {"grant_type": "authorization_code", "code": response.code or "", "redirect_uri": redirect_uri}
        if provider.pkce == "S256":
            form["code_verifier"] = response.browser.code_verifier
        secrets = (form["code"], response.browser.code_verifier)
        asked_at = self._wall_clock()
        answered = self._tokens("token", registration, form, secrets, timeout)
        if keys is None:
            return answered if provider.account_endpoint is None else answered.asking_endpoint()
        sent = response.browser.openid_nonce if nonce else None
        known = provider.id_token_algorithms
        ours = Expected(provider.issuer, registration.client_id, self._wall_clock(), asked_at, sent, known)
        return self._with_account(answered, keys, ours)

    @staticmethod
    def _with_account(answered: TokenResponse, keys: Sequence[id_token.Jwk], ours: Expected) -> TokenResponse:
        """Return the response with the account of its ID token, or with the reason why that cannot be believed.

        If a key signed it that is not known yet, the ID token stays in the response, to be verified later. It has to be
        valid at the time when it was requested: it does not expire because verification comes late.
        """
        try:
            return answered.of_account(id_token.verified_subject(answered.tokens.unverified_id_token, keys, ours))
        except id_token.KeyUnknown:
            return answered
        except id_token.NotVerified as error:
            return replace(answered.of_account(None), not_verified=not_verified(error))

    def account_of(self, provider: Provider, client_id: str, tokens: TokenSet, timeout: float) -> Account:
        """Return the account that tokens are for, from their ID token or else from the account endpoint.

        An ID token is still here if its key was not known when it came: it is verified with the newest keys. Its times
        and its nonce were checked when it came. Raises `NotVerified`, `KeyUnknown`, or the failure to read keys or
        account.
        """
        if tokens.unverified_id_token is not None:
            keys = self._keys().newest(provider, timeout)
            expected = Expected(provider.issuer, client_id, algorithms=provider.id_token_algorithms)
            return Account(id_token.verified_subject(tokens.unverified_id_token, keys, expected))
        self._require_slot(provider)
        asked = provider_requests.account_request(provider, tokens.access_token)
        with provider_requests.requesting("account", asked.url):
            answer = self._requests.transport.send(asked.method, asked.url, asked.headers, asked.body, timeout)
            return account_in(answer, provider, secrets=(tokens.access_token,))

    def _require_slot(self, provider: Provider) -> None:
        assert self._has_slot or not provider.has_slots, "a request to a provider that has slots is sent in one"  # noqa: S101

    def _keys(self) -> IssuerKeys:
        if self._issuer_keys is None:
            raise ProviderMisconfigured(
                "subject: this process has no keys to verify ID tokens with; use id_token.sub in a stack."
            )
        return self._issuer_keys

    def refresh(
        self,
        registration: Registration,
        refresh_token: str,
        timeout: float,
        scope: str | None = None,
        *,
        first: bool = False,
    ) -> TokenResponse:
        """Exchange a refresh token for new tokens (RFC 6749 section 6); it is kept if the answer has no new one.

        `scope` is requested once more, for servers that want that. `first` means that a consent has brought the refresh
        token, and not a refresh.
        """
        provider = registration.provider.at_first_refresh if first else registration.provider
        form = {"grant_type": provider.refresh_grant_type, "refresh_token": refresh_token}
        if scope is not None:
            form["scope"] = provider_requests.scope_text(registration.provider, scope)
        kind = "first_refresh" if first else "refresh"
        answered = self._tokens(kind, registration, form, (refresh_token,), timeout)
        return answered.keeping(refresh_token)

    def revoke(self, registration: Registration, kind: str, token: str, timeout: float) -> bool:
        """Revoke one token (RFC 7009 section 2.1); `kind` is `access_token` or `refresh_token`.

        Returns false if the server says that it does not know the token. Raises the failure.
        """
        provider = registration.provider
        form = {"token": token, **({"token_type_hint": kind} if provider.revocation_token_type_hint else {})}

        def read(answer: Answer, identity: Identity, secrets: tuple[str, ...]) -> bool:
            return is_revoked(answer, identity.registration.provider, secrets=secrets)

        return self._send("revocation", registration, [*form.items()], (token,), read, timeout)

    def push(self, registration: Registration, request: Form, timeout: float) -> str:
        """Push an authorization request, and return the `request_uri` that refers to it (RFC 9126 section 2)."""
        confidential = tuple(value for name, value in request if name in {"state", "code_challenge", "nonce"})

        def read(answer: Answer, identity: Identity, secrets: tuple[str, ...]) -> str:
            return pushed_request_uri(answer, identity.registration.provider, secrets=secrets)

        return self._send("push", registration, request, confidential, read, timeout)

    def _tokens(
        self,
        kind: str,
        registration: Registration,
        form: Mapping[str, str],
        secrets: tuple[str, ...],
        timeout: float,
    ) -> TokenResponse:
        def read(answer: Answer, identity: Identity, secrets: tuple[str, ...]) -> TokenResponse:
            provider = identity.registration.provider
            endpoint, used = "token" if kind == "token" else "refresh", form.get("refresh_token")
            response = token_response(answer, provider, endpoint, now=self._clock(), secrets=secrets, used=used)
            response = replace(response, client_secret_used=identity.label)
            if registration.provider.subject != ID_TOKEN_SUBJECT:
                return response
            # No other field of the answer can replace the ID token; and that of a refresh is not read.
            unverified = unverified_id_token(answer) if kind == "token" else None
            return replace(response, subject=None, tokens=replace(response.tokens, unverified_id_token=unverified))

        pairs = [*form.items(), *(("resource", uri) for uri in registration.provider.resource)]
        return self._send(kind, registration, pairs, secrets, read, timeout)

    def _send(  # noqa: PLR0913, PLR0917 - as `AuthenticatedRequests.send`
        self,
        kind: str,
        registration: Registration,
        form: Form,
        secrets: tuple[str, ...],
        read: Callable[[Answer, Identity, tuple[str, ...]], T],
        timeout: float,
    ) -> T:
        if kind != "push":
            self._require_slot(registration.provider)
        return self._requests.send(kind, registration, form, secrets, read, timeout)


def not_verified(error: id_token.NotVerified) -> ProviderMisconfigured:
    """Return the failure of an ID token that cannot be verified, so that nobody knows whose the tokens are."""
    return ProviderMisconfigured(f"The ID token cannot be verified: {error}.")

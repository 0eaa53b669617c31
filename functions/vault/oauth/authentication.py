"""Client authentication: what a request contains to prove who sends it (RFC 6749 section 2.3, RFC 7523 section 2.2)."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import quote

from functions.vault.base.record import record
from functions.vault.provider.auth_methods import AUDIENCES, HMAC_ALGORITHMS, KEY_ALGORITHMS

from .assertion import ASSERTION_TYPE, client_assertion, hmac_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from functions.vault.provider.registration import Registration

    # Key, algorithm and octets -> signature.
    Sign = Callable[[str, str, bytes], bytes]


@record
class Identity:
    """One way for a client to authenticate. `secret` is a live client secret, `label` its name in the record."""

    registration: Registration
    secret: str | None = None
    label: str | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """Return what distinguishes it from every other identity of any client; it is kept only in memory."""
        return f"{self.registration.provider.name} {self.registration.client_id}", self.secret

    @property
    def is_signed_elsewhere(self) -> bool:
        """Return whether proving it takes a call to KMS, which takes time."""
        return self.registration.auth_method == "private_key_jwt"


def advice(identity: Identity) -> str:
    """Return what an operator can try if the server refuses correct credentials; an empty text if nothing."""
    registration, advices = identity.registration, []
    method, provider = registration.auth_method, registration.provider
    halves = (registration.client_id, identity.secret or "")
    if method == "client_secret_basic" and any(quote(half, safe="") != half for half in halves):
        advices.append(
            "they hold special characters, which this server may not decode in a Basic header"
            " (RFC 6749 section 2.3.1); try basic_credentials_encoding none, or client_secret_post"
        )
    elif method == "client_secret_basic":
        advices.append("this server may want them in the body; try token_endpoint_auth_method client_secret_post")
    if method == "client_secret_basic" and not provider.client_id_in_body:
        advices.append("it may want client_id there as well; try client_id_in_body true")
    if method == "client_secret_post":
        advices.append("this server may want them in a header; try token_endpoint_auth_method client_secret_basic")
    if method == "none":
        return " The registration has no client_secret: this server may have given your client one."
    if method in {"client_secret_jwt", "private_key_jwt"}:
        others = " or ".join(each for each in AUDIENCES if each != provider.client_assertion_audience)
        advices.append(
            f"this server may expect another audience of the assertion; try client_assertion_audience {others}"
        )
    return f" If they are right: {'; or '.join(advices)}." if advices else ""


@record
class Proof:
    """What authenticates a request: form fields and headers. `confidential` is what must not be repeated."""

    fields: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)
    confidential: tuple[str, ...] = ()


def identities(registration: Registration) -> Iterator[Identity]:
    """Yield a client's identities: one for each secret, the newest first, or a single one if it uses no secret.

    Raises `ProviderMisconfigured` if the registration lacks what its method needs.
    """
    if registration.auth_method in {"none", "private_key_jwt"}:
        yield Identity(registration)
        return
    yield Identity(registration, registration.client_secret, "newest")
    if registration.previous_client_secret is not None:
        yield Identity(registration, registration.previous_client_secret, "previous")


def proof_of(identity: Identity, sign: Sign, now: float, endpoint: str) -> Proof:
    """Return what authenticates one request to `endpoint`; `sign` signs with a key in KMS."""
    registration, secret = identity.registration, identity.secret or ""
    client_id, basic = registration.client_id, _basic_credentials(identity)
    match registration.auth_method:
        case "client_secret_basic":
            # Some servers look the client up by a field of the body before they read the header.
            beside = {"client_id": client_id} if registration.provider.client_id_in_body else {}
            return Proof(beside, {"Authorization": f"Basic {basic}"}, (secret, basic))
        case "client_secret_post":
            return Proof({"client_id": client_id, "client_secret": secret}, {}, (secret, basic))
        case "client_secret_jwt":
            algorithm = registration.signing_algorithm(tuple(HMAC_ALGORITHMS), "HS256")
            return _asserted(identity, algorithm, hmac_signature(secret, algorithm), now, endpoint)
        case "private_key_jwt":
            algorithm, key = registration.signing_algorithm(KEY_ALGORITHMS, None), registration.client_signing_key or ""
            return _asserted(identity, algorithm, lambda octets: sign(key, algorithm, octets), now, endpoint)
        case _:
            return Proof({"client_id": client_id})


def _asserted(identity: Identity, algorithm: str, sign: Callable[[bytes], bytes], now: float, endpoint: str) -> Proof:
    registration = identity.registration
    client_id, kid = registration.client_id, registration.client_signing_kid
    audience = _audience(registration, endpoint)
    assertion = client_assertion(client_id, audience, algorithm, sign, now=now, kid=kid)
    fields = {"client_id": client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return Proof(fields, {}, (identity.secret or "", assertion))


def _audience(registration: Registration, endpoint: str) -> str:
    """Return the audience of an assertion: the issuer, which a mix-up of endpoints cannot forge.

    It is the token endpoint if no issuer is known or the server insists on it (RFC 7523 section 3), and the endpoint to
    which the assertion is sent for servers whose endpoints each accept only their own URL.
    """
    provider = registration.provider
    if provider.client_assertion_audience == "endpoint":
        return endpoint
    if provider.issuer is not None and provider.client_assertion_audience == "issuer":
        return provider.issuer
    return provider.endpoint("token_endpoint")


def _basic_credentials(identity: Identity) -> str:
    """Return client id and secret for a Basic header, form-encoded: a colon or an umlaut in either would break it.

    A space becomes `%20`, which every server decodes. Forms also have `+` for it, but some servers read that as a plus
    sign here. Other servers decode nothing: for those both are joined as they are.
    """
    halves = [identity.registration.client_id, identity.secret or ""]
    if identity.registration.provider.basic_credentials_encoding == "form":
        halves = [quote(half, safe="") for half in halves]
    return b64encode(":".join(halves).encode()).decode()

"""What a server says: answers, scopes, times, ID tokens, keys, metadata and addresses are parsed, whatever they are."""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.vault.base.errors import GatehouseError, ProviderMisconfigured, ProviderUnavailable, ServerError
from functions.vault.base.fields import LONGEST_LIFETIME
from functions.vault.grant import scopes
from functions.vault.oauth.addresses import is_allowed
from functions.vault.oauth.answer_document import at_path, document_of
from functions.vault.oauth.answer_times import LONGEST_RETRY_AFTER, moment_of, retry_after, seconds_of
from functions.vault.oauth.id_token import Expected, NotVerified, verified_subject
from functions.vault.oauth.issuer_keys import IssuerKeys
from functions.vault.oauth.responses import account_in, is_revoked, pushed_request_uri, token_response
from functions.vault.oauth.transport import Answer
from functions.vault.provider import issuer_metadata
from functions.vault.provider.masking import LONGEST, masked
from functions.vault.provider.provider import Provider
from functions.vault.provider.refusal_rules import of_codes
from tests.properties.answers import of_a_server
from tests.properties.effort import examples
from tests.properties.shapes import MARK, any_json, any_text, changed, fields_of, near, odd_text
from tests.unit.samples import NOW
from tests.unit.test_id_token import CLAIMS, ISSUER, encoded, public, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hypothesis.strategies import DrawFn

SECRETS = ("RT-of-the-grant-5c02", "hunter2-of-the-client")
PROVIDERS = (
    Provider("acme"),
    Provider(
        "acme",
        response_paths=(".", "data", "data.tokens"),
        response_fields={"access_token": ["accessToken", "access_token"]},
        response_success="ok",
        subject="account",
        metadata=("account", "region", "a.b", "a.0"),
        expires_in_unit="milliseconds",
        revocation_success="ok",
        error_fields={"error": "code"},
        refusals=tuple(of_codes({"nonsense": "invalid_grant"})),
        response_scope_separators=(",",),
        account_scope="scope",
    ),
)
READINGS: tuple[Callable[[Answer, Provider], Any], ...] = (
    lambda answer, provider: token_response(answer, provider, "token", now=NOW, secrets=SECRETS),
    lambda answer, provider: token_response(answer, provider, "refresh", now=NOW, secrets=SECRETS, used=SECRETS[0]),
    lambda answer, provider: is_revoked(answer, provider, secrets=SECRETS),
    lambda answer, provider: account_in(answer, provider, secrets=SECRETS),
    lambda answer, provider: pushed_request_uri(answer, provider, secrets=SECRETS),
)


@examples(40)
@given(of_a_server(), st.sampled_from(PROVIDERS))
def test_an_answer_is_a_result_or_a_failure(answer: Answer, provider: Provider) -> None:
    """At each endpoint; what it brings can be stored, and what it says can be repeated."""
    for reading in READINGS:
        try:
            brought = reading(answer, provider)
        except GatehouseError as failure:
            _check_failure(failure)
        else:
            _check_brought(brought)


def _check_failure(failure: GatehouseError) -> None:
    assert not isinstance(failure, ServerError)
    result = failure.as_result()
    assert MARK not in result["error_description"]
    assert result.get("retry_after") is None or 0 <= result["retry_after"] <= LONGEST_RETRY_AFTER
    words = [text for text in (result.get("provider_error") or {}).values() if isinstance(text, str)]
    assert all(len(word) <= LONGEST and word.isascii() and word.isprintable() for word in words)


def _check_brought(brought: Any) -> None:
    tokens = getattr(brought, "tokens", None)
    if tokens is None:
        return
    assert tokens.access_token
    assert tokens.access_token.isascii()
    assert brought.expires_at is None or NOW <= brought.expires_at <= NOW + LONGEST_LIFETIME + 1
    assert brought.refresh_expires_at is None or NOW <= brought.refresh_expires_at <= NOW + LONGEST_LIFETIME + 1
    for text in (brought.scope, brought.subject, brought.token_type, *brought.metadata.values()):
        assert text is None or text.encode()


@examples(20)
@given(of_a_server(), near("a", "data.tokens", ".", "a.0", "error.code"))
def test_a_document_is_an_object_or_none(answer: Answer, path: str) -> None:
    """What stands at a path of it is there, or is None."""
    document = document_of(answer)

    assert document is None or isinstance(document, dict)
    at_path(document, path)


# Times and scopes

_times = any_json | st.sampled_from(("3600", "1e3", "2030-01-01T00:00:00Z", "9" * 400, "0x10", "1_0", "\u0663", "inf"))


@examples(30)
@given(_times, st.sampled_from(("seconds", "milliseconds")))
def test_a_lifetime_is_a_number_of_seconds_or_none(value: Any, unit: str) -> None:
    """Whatever stands there; so is a moment, and it is in the future."""
    seconds, moment = seconds_of(value, unit), moment_of(value, NOW)

    assert seconds is None or (type(seconds) is int and 1 <= seconds <= LONGEST_LIFETIME)
    assert moment is None or (type(moment) is int and NOW < moment <= NOW + LONGEST_LIFETIME)


_dates = near("Wed, 21 Oct 2026 07:28:00 GMT", "Thu, 01 Jan 0001 00:00:00 +9959", "120", "Sun Nov  6 08:49:37 1994")


@examples(20)
@given(_dates, _dates, any_json)
def test_a_retry_after_is_at_most_a_day_or_none(value: str, date: str, in_body: Any) -> None:
    """In seconds or as a date, in the header or in the body."""
    for headers in ({"retry-after": value, "date": date}, {"retry-after": value}, {}):
        wait = retry_after(Answer(503, headers, b""), {"retry_after": in_body}, now=datetime(2026, 10, 21, tzinfo=UTC))

        assert wait is None or (type(wait) is int and 0 <= wait <= LONGEST_RETRY_AFTER)


_scopes = near("read write", "read,write", "https://acme.example/read read") | any_json
_names = st.lists(near("write_*", "read", "*:rw"), max_size=2)
_aliases = st.dictionaries(near("read_*", "*", "read"), _names, max_size=2)


@examples(20)
@given(_scopes, st.lists(st.sampled_from((",", "+", ";", " ")), max_size=2), near("read write"), _aliases)
def test_scopes_are_compared_whatever_they_are(value: Any, separators: list[str], asked: str, aliases: Any) -> None:
    """What is granted has no blanks but those between; what is missing was asked for; a redirect adds nothing."""
    granted = scopes.granted(value, separators)
    missing = scopes.missing(asked, granted, aliases, refreshable=True)
    named = scopes.named_by_redirect(value, separators, asked, aliases)

    assert granted is None or granted == " ".join(granted.split()) != ""
    assert set(missing) <= set(asked.split())
    assert named is None or set(named.split()) <= set((granted or "").split())


# ID tokens, keys and metadata

US = Expected(ISSUER, "client-1", NOW, NOW, "nonce-1")


@cache
def _valid() -> tuple[str, ...]:
    claims = CLAIMS | {"nonce": "nonce-1"}
    return tuple(signed(claims, algorithm) for algorithm in ("ES256", "EdDSA", "RS256"))


@cache
def _keys() -> tuple[dict[str, Any], ...]:
    return tuple(public(algorithm) for algorithm in ("ES256", "EdDSA", "RS256"))


@st.composite
def id_tokens(draw: DrawFn) -> Any:
    """Give an ID token: a valid one, one with something changed, or one of other members under a valid signature."""
    valid = draw(st.sampled_from(_valid()))
    match draw(st.sampled_from(("valid", "changed", "members", "any"))):
        case "valid":
            return valid
        case "changed":
            return draw(changed(valid))
        case "members":
            head = {"alg": st.sampled_from(("ES256", "none", "HS256", "RS256")), "kid": near("k-1"), "crit": any_json}
            claims = {name: st.just(value) | any_json for name, value in (CLAIMS | {"nonce": "nonce-1"}).items()}
            parts = [draw(fields_of(head)), draw(fields_of(claims | {"azp": near("client-1")}))]
            octets = [json.dumps(part).encode() for part in parts]
            return ".".join([*map(encoded, octets), valid.rpartition(".")[2]])
        case _:
            return draw(any_json)


@st.composite
def key_sets(draw: DrawFn) -> list[dict[str, Any]]:
    """Give keys of an issuer: the right ones, some with a member changed, others, and what is none."""
    keys = [dict(key) for key in _keys()]
    for key in keys:
        if draw(st.integers(0, 3)) == 0:
            name = draw(st.sampled_from(sorted(key)))
            key[name] = draw(any_json | near(str(key[name])))
    return keys + draw(st.lists(st.dictionaries(any_text, any_json, max_size=3), max_size=2))


@examples(24)
@given(id_tokens(), key_sets())
def test_an_id_token_is_verified_or_not(token: Any, keys: list[dict[str, Any]]) -> None:
    """Nobody is believed to be another account, whatever is in token and keys."""
    try:
        subject = verified_subject(token, keys, US)
    except NotVerified as why:
        # It names the issuer that the token claims, as far as a log can show it.
        assert MARK not in re.sub(r"another issuer \([!-~]{1,300}, ", "", str(why))
        return

    assert subject == CLAIMS["sub"]
    assert token in _valid()


class _Says:
    """A server that gives everybody the same answer."""

    def __init__(self, said: Answer) -> None:
        self._said = said

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the answer."""
        del method, url, headers, body, timeout
        return self._said


@examples(12)
@given(of_a_server() | any_json.map(lambda value: Answer(200, {}, json.dumps({"keys": value}).encode())))
def test_keys_are_read_or_not(answer: Answer) -> None:
    """What is read are objects, and an issuer that has none is unavailable."""
    try:
        keys = IssuerKeys(_Says(answer), lambda: NOW).of(Provider("acme", jwks_uri="https://id.example/keys"))
    except ProviderUnavailable:
        return

    assert all(isinstance(key, dict) for key in keys)


_metadata = {
    "issuer": near(ISSUER, ISSUER + "/"),
    "authorization_endpoint": near("https://id.example/authorize"),
    "token_endpoint": near("https://id.example/token"),
    "revocation_endpoint": near("https://id.example/revoke"),
    "jwks_uri": near("https://id.example/keys"),
    "token_endpoint_auth_methods_supported": st.lists(near("client_secret_basic", "none"), max_size=3),
    "authorization_response_iss_parameter_supported": st.booleans(),
    "require_pushed_authorization_requests": st.booleans(),
    "pushed_authorization_request_endpoint": near("https://id.example/par"),
    "something_else": any_json,
}


@examples(24)
@given(fields_of(_metadata) | any_json)
def test_metadata_is_taken_or_names_what_is_wrong(document: Any) -> None:
    """What is taken is of the configured issuer, and its endpoints are https."""
    try:
        taken = issuer_metadata.from_metadata(document, ISSUER, loopback_http=False)
    except ProviderMisconfigured as failure:
        assert failure.description
        return

    assert taken["issuer"] == ISSUER
    assert all(url.startswith("https://") for name, url in taken.items() if name.endswith(("_endpoint", "_uri")))


# Words and addresses


@examples(20)
@given(any_json | st.lists(near(*SECRETS, "a b"), max_size=4).map(" ".join), st.lists(odd_text, max_size=2))
def test_words_are_masked_or_not_repeated(words: Any, private: list[str]) -> None:
    """No secret is left in them, in whatever spelling, and nothing that a terminal or a page would act on."""
    text = masked(words, SECRETS, private)

    assert text is None or (len(text) <= LONGEST and text.isascii() and text.isprintable())
    assert [secret for secret in SECRETS if secret in (text or "")] == []


_ADDRESSES = st.ip_addresses().map(str) | near("127.0.0.1", "::1", "fe80::1%eth0", "169.254.169.254", "8.8.8.8")


@examples(30)
@given(_ADDRESSES, st.booleans())
def test_only_public_addresses_are_connected_to(address: str, loopback: bool) -> None:  # noqa: FBT001 - as generated
    """And those of this machine where that is allowed; anything else is refused, also what is no address."""
    if is_allowed(address, loopback=loopback):
        found = ipaddress.ip_address(address)
        assert (found.is_global and not found.is_multicast) or (loopback and found.is_loopback)


def test_the_valid_id_tokens_are_valid() -> None:
    """Without it the property would hold of nothing."""
    assert {verified_subject(token, _keys(), US) for token in _valid()} == {CLAIMS["sub"]}
    with pytest.raises(NotVerified):
        verified_subject(_valid()[0] + "A", _keys(), US)

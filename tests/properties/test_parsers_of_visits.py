"""What a visitor brings: tickets, cookies, responses and return addresses are parsed, whatever they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from functions.vault.base.fields import Mismatch
from functions.vault.oauth import cookies
from functions.vault.oauth.authorization import REQUEST_ID, SECRET, Ticket, return_to, with_query
from functions.vault.oauth.authorization_response import (
    RESPONSE_ERRORS,
    Refused,
    redirect_error,
    refusal_of,
    validate,
)
from functions.vault.oauth.cookies import MOST_COOKIES, RequestCookie
from functions.vault.provider.refusal_rules import of_codes
from tests.properties.effort import examples
from tests.properties.shapes import MARK, form_of, near, odd_text
from tests.unit.samples import BROWSER, COOKIE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from functions.vault.oauth.authorization_response import (
        ValidatedResponse,
    )

REASONS = {
    "browser_unknown",
    "code_or_error_expected",
    "code_without_state",
    "form_expected",
    "parameter_duplicated",
    "query_malformed",
    "query_too_long",
    "state_malformed",
    "state_mismatch",
    "state_missing",
}
NAMES = [cookies.name_of(BROWSER.request_id, secure=True, form_post=kind) for kind in (False, True)]
OURS = [f"{name}={COOKIE.value}" for name in NAMES]
OTHERS = [f"__Host-gatehouse-{number:022}={COOKIE.value}" for number in range(10)]
ORIGINS = frozenset({"https://app.example", "http://localhost:3000"})

some_cookies = st.lists(near(*OURS, *OTHERS, " " + OURS[0]), max_size=12)


@examples(20)
@given(near(f"{'r' * 22}.{'t' * 43}", "r" * 22, f"{'r' * 22}."))
def test_a_ticket_has_its_form_or_is_none(text: str) -> None:
    """What is taken for a ticket is, letter by letter, what came."""
    ticket = Ticket.parse(text)

    assert ticket is None or re.fullmatch(REQUEST_ID, ticket.request_id)
    assert ticket is None or (ticket.request_id if ticket.secret is None else str(ticket)) == text
    assert (ticket is not None) == bool(re.fullmatch(rf"{REQUEST_ID}(\.{SECRET})?", text))


@examples(20)
@given(some_cookies)
def test_cookies_are_ours_or_left_alone(given_cookies: list[str]) -> None:
    """A cookie that is found is one that was sent, and what is set or removed has the form of a header."""
    for kind in (None, False, True):
        found = cookies.find(BROWSER.request_id, given_cookies, secure=True, form_post=kind)
        sent = [each.strip(" \t") for each in given_cookies]
        assert found is None or f"{NAMES[found.form_post]}={found.value}" in sent

    removed = cookies.without_the_oldest(given_cookies, COOKIE, secure=True)
    assert [each for each in removed if not _is_removal(each)] == []
    left = set(cookies.requests_of(given_cookies, secure=True))
    assert len(left) - len(removed) < MOST_COOKIES or len(left) <= MOST_COOKIES


def _is_removal(header: str) -> bool:
    return bool(re.fullmatch(rf"__Host-gatehouse-(post-)?{REQUEST_ID}=; Max-Age=0; Path=/; Secure", header))


@examples(20)
@given(near(COOKIE.value, ".".join(["t" * 43, *["n" * 43] * 3])))
def test_a_cookie_is_read_as_it_was_written(value: str) -> None:
    """Or it is not read at all."""
    parsed = RequestCookie.parse(BROWSER.request_id, value, form_post=False)

    assert parsed is None or parsed.value == value


@examples(30)
@given(
    form_of(
        {
            "state": near(BROWSER.state, BROWSER.state, f"{'r' * 22}.{'s' * 43}"),
            "code": near("CODE-1"),
            "error": near(*sorted(RESPONSE_ERRORS)),
            "error_description": odd_text,
            "iss": near("https://id.example"),
            "other": odd_text,
        }
    ),
    some_cookies | st.just([OURS[0]]),
    st.booleans(),
    st.booleans(),
)
def test_a_response_is_refused_or_is_this_browsers(
    query: str,
    given_cookies: list[str],
    secure: bool,  # noqa: FBT001 - as generated
    form_post: bool,  # noqa: FBT001 - as above
) -> None:
    """It is validated only with a cookie and a state of one visit, and says what stands in the query, once."""
    try:
        response = validate("acme", query, given_cookies, secure=secure, form_post=form_post)
    except Refused as refused:
        assert refused.reason in REASONS
        assert refused.request_id is None or re.fullmatch(REQUEST_ID, refused.request_id)
        return

    assert response.browser == BROWSER
    assert any(each.strip(" \t") in OURS for each in given_cookies)
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    assert [value for name, value in pairs if name == "state"] == [BROWSER.state]
    assert response.code in {None, *(value for name, value in pairs if name == "code")}
    _check_meaning(response)


def _check_meaning(response: ValidatedResponse) -> None:
    """Check what a response means, and what is kept of its words."""
    for rules in ((), of_codes({"nope": "access_denied", MARK: "invalid_grant"})):
        meaning = refusal_of(response, rules)
        assert meaning is None or meaning in RESPONSE_ERRORS
        assert (meaning is not None) or not response.is_refusal
    secrets = (BROWSER.state, BROWSER.ticket_secret, BROWSER.nonce)
    said = redirect_error(response.error, response.error_description, secrets)
    words = [] if said is None else [said.error, said.error_description or ""]
    assert all(len(word) <= 200 and re.fullmatch(r"[\x20-\x7e]*", word) for word in words)
    assert [secret for secret in secrets for word in words if secret in word] == []


@examples(30)
@given(near("https://app.example/x?a=b", "HTTPS://APP.example", "http://localhost:3000/", "https://app.example:443/"))
def test_a_return_address_is_one_that_the_deployment_allows(value: str) -> None:
    """What is accepted leads a browser to an allowed origin, also with the answer added to it."""
    try:
        accepted = return_to(ORIGINS)(value)
    except Mismatch as mismatch:
        assert MARK not in str(mismatch)
        return

    whole = with_query(accepted, {"connection_id": "c", "status": "connected"})
    assert accepted == value
    assert _origin_of(whole) in ORIGINS
    assert re.fullmatch(r"[!-~]+", whole)
    assert [value for name, value in parse_qsl(urlsplit(whole).query) if name == "status"] == ["connected"]


def _origin_of(url: str) -> str:
    """Return the origin that a browser finds in a URL (WHATWG URL: a backslash is a slash)."""
    found = re.match(r"(https?):[/\\]{2}([^/\\?#]*)", url, re.IGNORECASE)
    return f"{found[1]}://{found[2]}".lower() if found else ""


@examples(12)
@given(near("https://acme.example/a?b=c", "https://acme.example"), st.dictionaries(odd_text, odd_text, max_size=3))
def test_parameters_are_added_to_a_query_as_they_are(url: str, parameters: dict[str, str]) -> None:
    """What was there stays, and what is added is read back."""
    if not re.fullmatch(r"https://acme\.example(/[a-z]*)?(\?[a-z=]*)?", url):
        return
    whole = with_query(url, parameters)

    assert whole.startswith(url)
    assert re.fullmatch(r"[!-~]+", whole)
    added = whole[len(url) :].lstrip("?&")
    assert parse_qsl(added, keep_blank_values=True) == list(_written(parameters)) or added == urlencode(parameters)


def _written(parameters: dict[str, str]) -> Iterable[tuple[str, str]]:
    return parameters.items()


def test_the_reasons_are_those_that_there_are() -> None:
    """A response that is as it should be is validated: without it the properties would hold of nothing."""
    response: Any = validate("acme", urlencode({"state": BROWSER.state, "code": "C"}), [OURS[0]], secure=True)

    assert response.code == "C"

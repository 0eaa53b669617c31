"""A browser has a cookie for each request, with its latest visits in it, and only a few cookies."""

from __future__ import annotations

import pytest

from functions.vault.oauth import cookies
from functions.vault.oauth.authorization import BrowserBinding
from functions.vault.oauth.cookies import RequestCookie, find, name_of, requests_of, without_the_oldest
from tests.unit.samples import BROWSER, COOKIE

VISITS = tuple(BrowserBinding(BROWSER.request_id, BROWSER.ticket_secret, letter * 43) for letter in "cba")
THREE = RequestCookie(BROWSER.request_id, False, BROWSER.ticket_secret, tuple(visit.nonce for visit in VISITS))  # noqa: FBT003 - not posted


def request_id(number: int) -> str:
    """Return the id of one of many requests."""
    return f"{number:022}"


def cookie_of(number: int, *, secure: bool = True, form_post: bool = False) -> str:
    """Return the cookie of one of many requests, as a browser sends it."""
    return f"{name_of(request_id(number), secure=secure, form_post=form_post)}={COOKIE.value}"


@pytest.mark.parametrize("visit", VISITS)
def test_each_of_the_latest_visits_knows_its_own_state(visit: BrowserBinding) -> None:
    """Two tabs of one link have a state each, and either may bring the answer."""
    assert THREE.binding_of(visit.state) == visit
    assert THREE.binding_of(BROWSER.state) is None


def test_a_cookie_comes_back_as_it_was_set() -> None:
    """For answers by redirect and for posted ones."""
    for form_post in (False, True):
        cookie = RequestCookie(BROWSER.request_id, form_post, BROWSER.ticket_secret, THREE.nonces)
        sent = cookie.set_cookie(secure=True).partition(";")[0]

        assert find(BROWSER.request_id, [sent], secure=True) == cookie
        assert find(BROWSER.request_id, [sent], secure=True, form_post=not form_post) is None


@pytest.mark.parametrize("nonces", [(), ("n" * 43,) * 4, ("n" * 42,), ("n" * 43, "")])
def test_a_malformed_cookie_is_none(nonces: tuple[str, ...]) -> None:
    """It has a secret and one to three nonces, no more and no less."""
    value = ".".join((BROWSER.ticket_secret, *nonces))

    assert RequestCookie.parse(BROWSER.request_id, value, form_post=False) is None


def test_a_new_cookie_replaces_the_oldest() -> None:
    """Of eighty connections made in an hour, the browser keeps what easily fits into a header."""
    header = [cookie_of(number, form_post=number % 2 == 1) for number in range(80)]

    dropped = without_the_oldest(header, COOKIE, secure=True)

    gone = [each.partition("=")[0] for each in dropped]
    assert gone == [each.partition("=")[0] for each in header[:73]]
    assert {each.partition("=")[2] for each in dropped} == {"; Max-Age=0; Path=/; Secure"}


def test_a_browser_with_few_cookies_keeps_them() -> None:
    """Seven beside the new one; the same request's old cookie does not count, nor do those of other sites."""
    header = [cookie_of(number) for number in range(7)]
    own = f"{name_of(COOKIE.request_id, secure=True, form_post=False)}={COOKIE.value}"
    strangers = [
        "theme=dark",
        "gatehouse-x=1",
        "__Host-gatehouse-=1",
        f"\u2003{cookie_of(9)}",
        cookie_of(9, secure=False),
    ]

    assert without_the_oldest([own, *strangers, *header], COOKIE, secure=True) == []
    assert requests_of([*strangers, *header], secure=True) == [request_id(number) for number in range(7)]


def test_on_plain_http_cookies_are_removed_as_they_were_set() -> None:
    """Without `__Host-` and Secure."""
    header = [cookie_of(number, secure=False) for number in range(8)]

    (dropped,) = without_the_oldest(header, COOKIE, secure=False)

    assert dropped == f"gatehouse-{request_id(0)}=; Max-Age=0; Path=/"


def test_eight_cookies_of_three_visits_are_a_quarter_of_a_header() -> None:
    """API Gateway takes 10,240 octets for the request line and all headers together."""
    longest = f"{name_of(COOKIE.request_id, secure=True, form_post=True)}={THREE.value}; "

    assert len(longest) * cookies.MOST_COOKIES < 10_240 / 4

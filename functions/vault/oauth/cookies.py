"""Cookies that bind authorization requests to a browser: one for each request, and only a few (RFC 6265).

A cookie has the ticket's secret and the nonces of this browser's latest visits of the link, newest first: each tab in
which the link was opened has its own `state`, and any of them may bring the answer.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

from functions.vault.base.record import record

from .authorization import REQUEST_ID, SECRET, BrowserBinding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LIFETIME = 3600
"""Seconds that a browser keeps a cookie: longer than its request, so that a late visitor learns that it is late."""

LIFETIME_AFTER_THE_END = 600
"""Seconds that it keeps the cookie of a request that has ended, in case the visitor reloads the last page."""

MOST_NONCES = 3

MOST_COOKIES = 8
"""Requests that a browser has cookies for. API Gateway takes 10,240 octets of all headers together."""

_BLANKS = " \t"
"""What RFC 6265 allows around a cookie. `str.strip` removes more, so that another name would pass for ours."""


@record
class RequestCookie:
    """The cookie of one request. `form_post` if the request's answer is to be posted."""

    request_id: str
    form_post: bool
    ticket_secret: str
    nonces: tuple[str, ...]

    @classmethod
    def parse(cls, request_id: str, unverified_value: str, *, form_post: bool) -> RequestCookie | None:
        """Return the cookie that has this value, or None if the value does not have its form."""
        ticket_secret, *nonces = unverified_value.split(".")
        are_secrets = all(re.fullmatch(SECRET, each) for each in (ticket_secret, *nonces))
        if not are_secrets or not 0 < len(nonces) <= MOST_NONCES:
            return None
        return cls(request_id, form_post, ticket_secret, tuple(nonces))

    @property
    def value(self) -> str:
        """Return the cookie's value."""
        return ".".join((self.ticket_secret, *self.nonces))

    @property
    def newest(self) -> BrowserBinding:
        """Return the binding of the latest visit."""
        return BrowserBinding(self.request_id, self.ticket_secret, self.nonces[0])

    def binding_of(self, state: str) -> BrowserBinding | None:
        """Return the binding of the visit that sent this state, compared in constant time; None if none did."""
        return self._binding(lambda binding: binding.state, state)

    def binding_of_result(self, result: str) -> BrowserBinding | None:
        """Return the binding of the visit that the address of a result names, as `binding_of` does."""
        return self._binding(lambda binding: binding.result, result)

    def _binding(self, value_of: Callable[[BrowserBinding], str], value: str) -> BrowserBinding | None:
        bindings = [BrowserBinding(self.request_id, self.ticket_secret, nonce) for nonce in self.nonces]
        fitting = [binding for binding in bindings if hmac.compare_digest(value_of(binding), value)]
        return fitting[0] if fitting else None

    def set_cookie(self, *, secure: bool, lifetime: int = LIFETIME) -> str:
        """Return the Set-Cookie value that gives it to a browser for `lifetime` seconds.

        A `SameSite=Lax` cookie comes along when a link or redirect leads back here, and not with a form of another
        site. For an answer that is posted (OAuth 2.0 Form Post Response Mode) it has to be `None`, which browsers
        accept only with `Secure`; it also comes along with the GET to which that answer is redirected. On plain http,
        which means this machine, neither is set: a page of the same host is the same site there.
        """
        name = name_of(self.request_id, secure=secure, form_post=self.form_post)
        same_site = "; SameSite=Lax" if not self.form_post else "; SameSite=None" if secure else ""
        attributes = f"Max-Age={lifetime}; Path=/; HttpOnly{'; Secure' if secure else ''}{same_site}"
        return f"{name}={self.value}; {attributes}"


def name_of(request_id: str, *, secure: bool, form_post: bool) -> str:
    """Return the name of the cookie that binds a request to a browser, with `__Host-` if the browser honours it.

    Requests whose answer is to be posted have different names. Their cookies come along with a form that another site
    sends, and such a form must not answer a request that did not ask for one.
    """
    return f"{'__Host-' if secure else ''}gatehouse-{'post-' if form_post else ''}{request_id}"


def find(
    request_id: str, unverified_cookies: Iterable[str], *, secure: bool, form_post: bool | None = None
) -> RequestCookie | None:
    """Return the cookie that this browser has for a request; None if it has none or two.

    Each of `unverified_cookies` is a `name=value`. Without `form_post` the cookie may be of either kind: only the
    stored request says which.
    """
    kinds = (False, True) if form_post is None else (form_post,)
    names = {name_of(request_id, secure=secure, form_post=kind): kind for kind in kinds}
    found = [(names[name], value) for name, value in _pairs(unverified_cookies) if name in names]
    if len(found) != 1:
        return None
    ((kind, value),) = found
    return RequestCookie.parse(request_id, value, form_post=kind)


def requests_of(unverified_cookies: Iterable[str], *, secure: bool) -> list[str]:
    """Return the ids of the requests that a browser has cookies for, in their order."""
    return [request_id for _, request_id in _ours(unverified_cookies, secure=secure)]


def without_the_oldest(unverified_cookies: Iterable[str], new: RequestCookie, *, secure: bool) -> list[str]:
    """Return the Set-Cookie values that remove all of a browser's cookies except the `new` one and the newest others.

    Browsers send the oldest cookie first (RFC 6265 section 5.4).
    """
    kept = name_of(new.request_id, secure=secure, form_post=new.form_post)
    others = [name for name, _ in _ours(unverified_cookies, secure=secure) if name != kept]
    too_many = others[: max(0, len(others) - (MOST_COOKIES - 1))]
    return [f"{name}=; Max-Age=0; Path=/{'; Secure' if secure else ''}" for name in dict.fromkeys(too_many)]


def _ours(unverified_cookies: Iterable[str], *, secure: bool) -> Iterator[tuple[str, str]]:
    """Yield the name of each cookie of ours, and the request's id in it."""
    name_of_ours = f"{'__Host-' if secure else ''}gatehouse-(?:post-)?({REQUEST_ID})"
    for name, _ in _pairs(unverified_cookies):
        if (ours := re.fullmatch(name_of_ours, name)) is not None:
            yield name, ours[1]


def _pairs(unverified_cookies: Iterable[str]) -> Iterator[tuple[str, str]]:
    for cookie in unverified_cookies:
        name, _, value = cookie.strip(_BLANKS).partition("=")
        yield name, value

"""Keeps web pages of other origins away from the stack.

The stack has no IAM: whoever reaches its port may invoke its functions. The port is on the loopback interface, but the
browser of the person at this machine reaches that too, on behalf of any page it has open. A browser says so: with
``Origin`` and ``Sec-Fetch-Site`` (which pages cannot forge), and with a ``Host`` that is not a loopback name where a
page plays with DNS (rebinding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
# "none" is the person's own doing: the address bar, a bookmark.
# What is public when deployed, too, and sent by the page of an authorization server (form_post). It checks for itself
# whose browser it is.
_PUBLIC = "/callback/"
_OWN_SITES = frozenset({"same-origin", "none"})


def refusal(environ: WSGIEnvironment) -> str | None:
    """Say why this request (WSGI) is refused, or ``None`` where it may go on.

    Reading by GET is open to links from anywhere, as the authorization flow needs; without CORS headers another
    origin's page cannot read the answer.
    """
    host = environ.get("HTTP_HOST", "")
    if not _is_loopback(host):
        return "The local stack answers to localhost and 127.0.0.1 only."
    may_come_from_anywhere = environ["REQUEST_METHOD"] in _SAFE_METHODS or environ["PATH_INFO"].startswith(_PUBLIC)
    if not may_come_from_anywhere and not _is_own(environ, host):
        return "The local stack takes no requests from web pages of other origins."
    return None


def _is_loopback(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _LOOPBACK_HOSTS
    except ValueError:
        return False


def _is_own(environ: WSGIEnvironment, host: str) -> bool:
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site in _OWN_SITES
    origin = environ.get("HTTP_ORIGIN")
    return origin is None or origin == f"http://{host}"

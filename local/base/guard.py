"""Keeps web pages of other origins, and visitors of a tunnel, away from the stack.

The stack has no IAM: whoever reaches its port may invoke its functions. The port is on the loopback interface, but the
browser of the person at this machine reaches that too, on behalf of any page it has open. A browser says so: with
``Origin`` and ``Sec-Fetch-Site`` (which pages cannot forge), and with a ``Host`` that is not a loopback name where a
page plays with DNS (rebinding).

A tunnel brings the whole internet to the port, under a name of its own. By that name the stack answers what is public
when it is deployed, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
# "none" is the person's own doing: the address bar, a bookmark.
_OWN_SITES = frozenset({"same-origin", "none"})
# What a tunnel adds. One that puts a loopback name into ``Host`` is known by it.
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def _nothing(_method: str, _raw_path: str) -> bool:
    return False


class Guard:
    """Decides which requests may go on."""

    def __init__(self, is_public: Callable[[str, str], bool] = _nothing, base_url: str = "http://localhost") -> None:
        """``is_public`` returns whether anybody may call a method and a raw path when deployed.

        ``base_url`` is where browsers come. Anywhere but on this machine that is a tunnel.
        """
        self._is_public = is_public
        parts = urlsplit(base_url)
        # Plain http is this machine's own.
        self._tunnel = _address(parts.netloc, "https") if parts.scheme == "https" else None

    def refusal(self, environ: WSGIEnvironment) -> str | None:
        """Say why this request (WSGI) is refused, or ``None`` where it may go on.

        Reading by GET is open to links from anywhere, as the authorization flow needs; without CORS headers another
        origin's page cannot read the answer. So is what is public when deployed, for the page of an authorization
        server sends it (form_post), and checks for itself whose browser it is.
        """
        host = environ.get("HTTP_HOST", "")
        method, raw_path = environ["REQUEST_METHOD"], environ["REQUEST_URI"].partition("?")[0]
        if self._is_by_tunnel(environ, host):
            if self._is_public(method, raw_path):
                return None
            return "By its tunnel the local stack answers what is public when deployed; open the rest by localhost."
        if not _is_loopback(host):
            return "The local stack answers to localhost and 127.0.0.1 only, and to the host of --base-url."
        if method in _SAFE_METHODS or _is_own(environ, host) or self._is_public(method, raw_path):
            return None
        return "The local stack takes no requests from web pages of other origins."

    def _is_by_tunnel(self, environ: WSGIEnvironment, host: str) -> bool:
        if self._tunnel is None:
            return False
        return _address(host, "https") == self._tunnel or any(
            name in environ and _is_loopback(host) for name in _FORWARDED
        )


def _address(netloc: str, scheme: str) -> tuple[str, int] | None:
    """Return host and port of what stands in ``Host``, or in a URL of this scheme; ``None`` where it is neither."""
    try:
        parts = urlsplit(f"//{netloc}")
        return (parts.hostname or "", parts.port or _DEFAULT_PORTS[scheme])
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host, "http")
    return address is not None and address[0] in _LOOPBACK_HOSTS


def _is_own(environ: WSGIEnvironment, host: str) -> bool:
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site in _OWN_SITES
    origin = environ.get("HTTP_ORIGIN")
    return origin is None or origin == f"http://{host}"

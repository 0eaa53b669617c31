"""A customer's browser as far as HTTP goes: it keeps cookies and follows redirects, and consents where it is asked."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import requests

from tools.deploy_check.report import Wrong

_TIMEOUT = 60
_LONGEST_CHAIN = 10
_CONSENT = re.compile(r'name="request" value="([^"]+)"')


class Browser:
    """One person's browser; two of them share nothing."""

    def __init__(self) -> None:
        """Begin without cookies."""
        self._session = requests.Session()
        # A proxy or a .netrc of this machine has no part in it.
        self._session.trust_env = False

    def is_redirected(self, url: str) -> bool:
        """Open a URL and return whether it leads elsewhere; follow nothing."""
        return "Location" in self._session.get(url, allow_redirects=False, timeout=_TIMEOUT).headers

    def visit(self, url: str) -> requests.Response:
        """Open a URL and follow the redirects; on the demo server's consent page, press Allow. Return the last page."""
        response = self._session.get(url, allow_redirects=False, timeout=_TIMEOUT)
        for _ in range(_LONGEST_CHAIN):
            if "Location" in response.headers:
                url = urljoin(url, response.headers["Location"])
                if urlsplit(url).hostname not in {"localhost", "127.0.0.1"}:
                    return response
                response = self._session.get(url, allow_redirects=False, timeout=_TIMEOUT)
            elif consent := _CONSENT.search(response.text):
                form = {"request": consent[1], "decision": "allow"}
                response = self._session.post(url.partition("?")[0], form, allow_redirects=False, timeout=_TIMEOUT)
            else:
                return response
        raise Wrong(f"More than {_LONGEST_CHAIN} redirects from one link.")

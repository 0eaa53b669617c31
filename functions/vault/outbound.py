"""HTTP to authorization servers: TLS verified, no redirects, one deadline over the whole answer, a cap on its body."""

from __future__ import annotations

import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from .errors import ProviderUnavailable
from .responses import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import requests

LARGEST_BODY = 256 * 1024
"""Bytes of an answer's body, after decompression."""

_CONNECT_TIMEOUT = 5.0


class Outbound:
    """One session of kept-alive connections. Nothing is sent twice: who knows what was asked may ask again."""

    def __init__(self) -> None:
        self._session: requests.Session | None = None

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the whole answer, or raise `ProviderUnavailable` within `timeout` seconds.

        The work is done in a thread of its own, because no timeout of a socket bounds a name lookup or an answer that
        comes drop by drop. `outcome_unknown` of the failure says whether the server may have got the request.
        """
        result: list[Answer | Exception] = []

        def work() -> None:
            try:
                result.append(self._send(method, url, headers, body, timeout))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller's thread is where it is dealt with
                result.append(error)

        worker = threading.Thread(target=work, name="outbound", daemon=True)
        worker.start()
        worker.join(timeout)
        if not result:
            raise ProviderUnavailable("The authorization server did not answer in time.", outcome_unknown=True)
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        import requests  # noqa: PLC0415 - a fifth of a cold start, and most calls of `token` never leave AWS

        ends_at = time.monotonic() + timeout
        if self._session is None:
            self._session = _new_session()
        try:
            with self._session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                timeout=(min(timeout, _CONNECT_TIMEOUT), timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = b"".join(_capped(response.iter_content(16384), ends_at))
                return Answer(
                    response.status_code, {name.lower(): value for name, value in response.headers.items()}, content
                )
        except requests.RequestException as error:
            # The text of these exceptions holds addresses and sometimes bytes of the answer: it is not passed on.
            sent = not _was_never_sent(error)
            raise ProviderUnavailable("The authorization server cannot be reached.", outcome_unknown=sent) from None
        except (OSError, ValueError):
            raise ProviderUnavailable("The authorization server's answer is not HTTP.", outcome_unknown=True) from None


def _new_session() -> requests.Session:
    from http.cookiejar import DefaultCookiePolicy  # noqa: PLC0415 - as above

    import requests  # noqa: PLC0415 - as above

    session = requests.Session()
    session.trust_env = False  # a .netrc or proxy variable must not add to or divert a token request
    # No cookie is kept: one merchant's request must not carry what came with another's.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return session


def _capped(chunks: Iterator[Any], ends_at: float) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > LARGEST_BODY:
            raise ProviderUnavailable("The authorization server's answer is too large.", outcome_unknown=True)
        if time.monotonic() > ends_at:
            raise ProviderUnavailable("The authorization server did not answer in time.", outcome_unknown=True)
        yield chunk


def _was_never_sent(error: BaseException) -> bool:
    """Tell whether a request surely did not reach the server: no address, no connection, or no trusted certificate."""
    from requests.exceptions import ConnectTimeout, InvalidURL  # noqa: PLC0415 - as above
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, SSLError  # noqa: PLC0415

    if isinstance(error, ConnectTimeout | InvalidURL):
        return True
    cause: Any = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, SSLError):
        return any(isinstance(argument, ssl.SSLCertVerificationError) for argument in reason.args)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)

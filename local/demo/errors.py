"""What the demo server can refuse, before a dialect gives it a shape."""

from __future__ import annotations


class OAuthError(Exception):
    """An error of RFC 6749 section 5.2 (or 4.1.2.1 at the authorization endpoint).

    The description is one of the server's own fixed sentences: no value of a request is ever in it.
    """

    def __init__(self, code: str, description: str = "", *, status: int = 400) -> None:
        """Keep the error `code`, what it means here, and the HTTP status it is answered with."""
        super().__init__(code)
        self.code = code
        self.description = description
        self.status = status


class RestError(Exception):
    """A failure outside OAuth's vocabulary: a missing header, a bad bearer token, a broken server."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the HTTP `status` and a message for people."""
        super().__init__(message)
        self.status = status
        self.message = message


class UntrustedRequestError(Exception):
    """An authorization request that must not be answered by a redirect (RFC 6749 section 4.1.2.1)."""


class AnswerDroppedError(Exception):
    """The connection is to be closed without an answer."""

"""How a call reaches Gatehouse: what all ways have in common, and what their answers mean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from .errors import NoAnswer, NotAllowed, NotDeployed, ServerError, from_answer

if TYPE_CHECKING:
    from botocore.exceptions import SSLError

    from .errors import GatehouseError

CONNECT_SECONDS = 5
USER_AGENT = "gatehouse-client"


class Transport(Protocol):
    """Sends one call, once. What it raises says whether Gatehouse may have got it."""

    longest: float
    """Seconds after which `send` ends by itself."""

    def connect(self) -> object:
        """Make what a call needs, before the first one."""

    def send(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer. Raises `GatehouseError`: `NoAnswer` if none came."""


def answer_of(payload: bytes | str) -> dict[str, Any]:
    """Return a successful answer, or raise the failure that it is."""
    answer = parsed(payload)
    if answer is None:
        raise ServerError("The answer is not a JSON object.")
    if "error" in answer:
        raise from_answer(answer)
    return answer


def parsed(payload: bytes | str) -> dict[str, Any] | None:
    """Return a JSON object, or None if it is none."""
    try:
        answer = json.loads(payload)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def refused(status: int, text: str, looked_for: str) -> GatehouseError:
    """Return the error for a 4xx of AWS's own, or for a redirect, which is not followed. Of its text one line is kept.

    API Gateway may go on with the request as it should have been signed, and that has the session token in it.
    """
    said = text.partition("\n")[0].partition(" The Canonical String")[0][:300]
    if status < 400:  # noqa: PLR2004 - HTTP
        return NotDeployed(f"{looked_for} answers with a redirect ({status}): is that the stack's output ApiUrl?")
    if status == 404:  # noqa: PLR2004 - HTTP
        return NotDeployed(f"{looked_for} does not exist: {said}")
    return NotAllowed(f"AWS refused the call of {looked_for} ({status}): {said}")


def without_tls(error: SSLError, looked_for: str) -> NoAnswer:
    """Return the error for a connection that is not secure. It will not be the next time either.

    A certificate is looked at before anything is sent.
    """
    from ssl import SSLCertVerificationError  # noqa: PLC0415 - see invoke.py

    causes = getattr(error.kwargs.get("error"), "args", ())
    is_certificate = any(isinstance(each, SSLCertVerificationError) for each in causes)
    lasting = NoAnswer(f"No secure connection to {looked_for}: {error}", may_have_run=not is_certificate)
    lasting.retryable = False
    return lasting

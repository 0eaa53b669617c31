"""An application around Gatehouse, as yours is: it has sessions, and confirms that who came back is who was sent.

Whoever opens a link connects their own account, and a link can be passed on. So the application has every consent
confirmed: it starts with the owner of the session that asks (`confirm`, `return_to`), and when a browser comes back, it
confirms with the owner of the session that has come. If that is somebody else, nothing is connected.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from werkzeug.wrappers import Request, Response

    Invoke = Callable[[str, dict[str, Any]], dict[str, Any] | None]

WAY_BACK = "/_local/back"
"""Where a customer comes back to. It is in the stack's ReturnToOrigins."""

_SESSION = "gatehouse_demo_session"


class DemoApplication:
    """Sends customers to consent, and confirms them when they come back."""

    def __init__(self, invoke: Invoke, base_url: str) -> None:
        self._invoke = invoke
        self._return_to = base_url + WAY_BACK

    def start(self, owner: str, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """Start an authorization for the owner of a session; return what `start` answers."""
        return self._invoke("start", {**fields, "owner": owner, "confirm": True, "return_to": self._return_to})

    def came_back(self, owner: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        """Confirm that the owner of this session has come back; return what `confirm` answers, or the query's error.

        The owner is the session's own. Anybody can write a query, so nothing in it says who has come.
        """
        if "confirmation" not in query:
            return {"error": query.get("error", "nothing to confirm"), "error_description": "The customer came back."}
        about = {"connection_id": query.get("connection_id", ""), "confirmation": query["confirmation"]}
        return self._invoke("confirm", {**about, "owner": owner})


def owner_of(request: Request) -> str:
    """Return the owner of a browser's session. One that has none yet gets one: this application has no passwords."""
    return request.cookies.get(_SESSION) or f"customer-{secrets.token_hex(4)}"


def remember(owner: str, response: Response) -> Response:
    """Keep a session in its browser."""
    response.set_cookie(_SESSION, owner, httponly=True, samesite="Lax", path="/_local")
    return response

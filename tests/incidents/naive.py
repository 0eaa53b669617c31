"""The naive keeper: exchange, store, refresh when expired, revoke once. Most code that keeps tokens is like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from tests.flows.scripted import CODE
from tests.incidents.keepers import CLIENT_ID, CONNECT_AGAIN, REVOKED, TRY_AGAIN

if TYPE_CHECKING:
    from tests.incidents.keepers import Clock

MARGIN = 60
TIMEOUT = 1.0
NEXT_ROUND = 60.0


class NaiveKeeper:
    """Keeps one connection. A refusal is the end of it, and what a server answers to a revocation is not looked at."""

    def __init__(self, url: str, clock: Clock, revokes: str) -> None:
        self._url = url
        self._clock = clock
        self._revokes = revokes
        self._client_id = CLIENT_ID
        self.comes_back_after = NEXT_ROUND
        self._kept: dict[str, Any] | None = None

    def registered_as(self, client_id: str) -> None:
        """Be another client from now on."""
        self._client_id = client_id

    def connect(self) -> None:
        """Exchange the code, and store what came."""
        answer = self._post("token", grant_type="authorization_code", code=CODE)
        if answer is not None and answer.ok:
            self._store(answer.json())

    def token(self) -> str:
        """Return a token, refreshed if it is about to run out."""
        if self._kept is None:
            return CONNECT_AGAIN
        if self._clock.now() < self._kept["expires_at"] - MARGIN:
            return str(self._kept["access_token"])
        return self.refused()

    def refused(self) -> str:
        """An API said 401: refresh."""
        kept = self._kept or {}
        answer = self._post("token", grant_type="refresh_token", refresh_token=kept.get("refresh_token") or "")
        if answer is None or answer.status_code >= 500:
            return TRY_AGAIN
        if not answer.ok or "access_token" not in answer.text:
            self._kept = None
            return CONNECT_AGAIN
        self._store(kept | answer.json())
        return str(answer.json()["access_token"])

    def disconnect(self) -> str:
        """Revoke, and forget."""
        token = (self._kept or {}).get(self._revokes) or ""
        self._kept = None
        self._post("revoke", token=token)
        return REVOKED

    def _store(self, answer: dict[str, Any]) -> None:
        self._kept = answer | {"expires_at": self._clock.now() + answer["expires_in"]}

    def _post(self, path: str, **form: str) -> requests.Response | None:
        try:
            return requests.post(f"{self._url}/{path}", form | {"client_id": self._client_id}, timeout=TIMEOUT)
        except requests.RequestException:
            return None

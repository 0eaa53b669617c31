"""Authlib's client, on requests, with the same answers, judged as generously as possible.

Authlib raises any exception, and keeps whatever came. What its caller can distinguish by that, without reading texts,
counts as distinguished. It has time limits, and follows no redirects, like Gatehouse.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from tests.corpus.verdict import Result

if TYPE_CHECKING:
    from tests.corpus.case import Case, Verdict

_CODES: dict[str, Verdict] = {
    "invalid_grant": "dead",
    "slow_down": "throttled",
    "server_error": "unavailable",
    "temporarily_unavailable": "unavailable",
}
_OPTIONS: dict[str, Any] = {"allow_redirects": False, "timeout": 30}
COMPARED = ("access_token", "refresh_token", "token_type", "expires_in", "scope")
"""The fields that Authlib has a name for; what else came it keeps as it came, and that is not held against it."""


def ask(case: Case, url: str, now: int) -> Result:
    """Return what Authlib makes of the answer of the token endpoint at `url`."""
    with OAuth2Session("client-1", scope=None) as session:
        session.trust_env = False
        try:
            if case.refresh:
                token = session.refresh_token(url, refresh_token="RT-0", **_OPTIONS)
            else:
                token = session.fetch_token(url, code="CODE-1", redirect_uri="https://gate.example/cb", **_OPTIONS)
        except OAuthError as error:
            code = error.error if isinstance(error.error, str) else ""
            return Result(_CODES.get(code, "operator"), code=code, how="OAuthError")
        except requests.HTTPError as error:
            return Result(_by_status(error.response.status_code), how="HTTPError")
        except requests.RequestException as error:
            return Result("unavailable", how=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - whatever else it is, its documents announce none of them
            known = isinstance(error, ValueError) and "is not a JSON object" in str(error)
            return Result("unavailable" if known else None, how=type(error).__name__)
    if not isinstance(token.get("access_token"), str) or not token["access_token"]:
        return Result(None, how="a token without an access token")
    return Result("accept", _kept(token, now), how="token", took=int(time.time()) - now)


def _by_status(status: int) -> Verdict:
    if status == requests.codes.too_many_requests:
        return "throttled"
    return "operator" if status in {401, 404, 405, 410} else "unavailable"


def _kept(token: dict[str, Any], now: int) -> dict[str, Any]:
    """Return the fields that can be compared, in the corpus's form."""
    expires_at = token.get("expires_at")
    token_type = token.get("token_type") or "Bearer"
    fields = {
        "access_token": token["access_token"],
        "refresh_token": token.get("refresh_token") or None,
        "token_type": token_type if str(token_type).lower() != "bearer" else None,
        "expires_in": expires_at - now if isinstance(expires_at, int) else expires_at or None,
        "scope": token.get("scope") or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def agrees(result: Result, case: Case) -> bool:
    """Return whether all compared fields are as they should be; the time that it took is not its fault."""
    expected = {name: value for name, value in case.stored.items() if name in COMPARED}
    kept = dict(result.stored)
    if isinstance(kept.get("expires_in"), int) and "expires_in" in expected:
        late = kept["expires_in"] - expected["expires_in"]
        kept["expires_in"] -= late if 0 <= late <= result.took else 0
    return kept == expected

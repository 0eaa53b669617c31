"""The token endpoint (RFC 6749 section 3.2) and the revocation endpoint (RFC 7009), for both dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.demo.errors import OAuthError
from local.demo.grants import RefreshPolicy

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from local.demo.call import Call
    from local.demo.clients import Client
    from local.demo.grants import Grants, TokenSet
    from local.demo.observation import Ledger

_FORM = "application/x-www-form-urlencoded"


class BackChannel:
    """What applications call without a browser."""

    def __init__(self, grants: Grants, ledger: Ledger) -> None:
        """Serve from `grants` and write into `ledger`."""
        self._grants = grants
        self._ledger = ledger

    def note(self, call: Call) -> None:
        """Write down who is asking for what, before anything is believed."""
        form, seen = call.request.form, call.seen
        seen.grant_type = form.get("grant_type")
        self._ledger.received("code_verifier", form.get("code_verifier"))
        self._ledger.received("code", form.get("code"))
        self._ledger.received("refresh_token", form.get("refresh_token"))
        self._ledger.received("token", form.get("token"))
        credential = form.get("refresh_token") or form.get("code") or form.get("token") or ""
        seen.grant_id = self._grants.grant_id_of(credential)
        try:
            presented = call.dialect.presented(call.request)
        except OAuthError:
            return
        seen.client_id = presented.unverified_client_id
        seen.client_auth = presented.method
        self._ledger.received("client_secret", presented.unverified_secret)

    def token(self, call: Call) -> Response:
        """Answer a token request; raises OAuthError or RestError."""
        client = _client(call)
        grant_type = _required(call, "grant_type")
        if grant_type == "authorization_code":
            tokens = self._exchange(client, call)
        elif grant_type == "refresh_token":
            tokens = self._refresh(client, call)
        else:
            raise OAuthError("unsupported_grant_type")
        call.seen.grant_id = tokens.grant_id
        self._ledger.issued("access_token", tokens.access_token)
        self._ledger.issued("refresh_token", tokens.refresh_token)
        return call.dialect.token_answer(tokens, call.faults)

    def revoke(self, call: Call) -> Response:
        """Answer a revocation request; raises OAuthError or RestError."""
        client = _client(call)
        token = _required(call, "token")
        answer, call.seen.outcome = call.dialect.revoke(self._grants, client, token, call.faults)
        return answer

    def _exchange(self, client: Client, call: Call) -> TokenSet:
        code, redirect_uri = _required(call, "code"), _required(call, "redirect_uri")
        code_verifier = call.request.form.get("code_verifier")
        tokens = self._grants.exchange(client, code, redirect_uri, code_verifier, call.faults.lifetime_seconds)
        call.seen.outcome = "issued"
        return tokens

    def _refresh(self, client: Client, call: Call) -> TokenSet:
        faults = call.faults
        policy = RefreshPolicy(
            rotate=call.dialect.rotates if faults.rotate is None else faults.rotate,
            reuse_detection=faults.reuse_detection,
            replay_window_seconds=faults.replay_window_seconds,
            lifetime_seconds=faults.lifetime_seconds,
        )
        tokens, is_replay = self._grants.refresh(client, _required(call, "refresh_token"), policy)
        call.seen.outcome = "replayed" if is_replay else "refreshed"
        return tokens


def _client(call: Call) -> Client:
    """Return the client of a well-formed request."""
    dialect, request = call.dialect, call.request
    dialect.check_headers(request)
    if request.mimetype != _FORM:
        raise OAuthError("invalid_request", f"The body is not {_FORM}.")
    if any(len(values) > 1 for _, values in request.form.lists()):
        raise OAuthError("invalid_request", "A parameter is repeated.")
    return dialect.authenticate(dialect.presented(request))


def _required(call: Call, name: str) -> str:
    value = call.request.form.get(name)
    if not value:
        raise OAuthError("invalid_request", f"The parameter {name} is missing.")
    return value

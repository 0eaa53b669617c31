"""No token, refresh token, confirmation or link gets into a repr, an error or a log: not even into botocore's."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import requests

from gatehouse import GatehouseError
from tests.clients.services import HANGS_UP, SECRETS, Api, failure, token

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatehouse import Gatehouse
    from tests.clients.services import LambdaService

URL = "https://connect.example.com/authorize/r.a-ticket-secret-of-the-tests"
LINK = {"connection_id": "shop-1", "request_id": "r", "authorize_url": URL, "expires_at": 1}
_, REFRESH_TOKEN, CONFIRMATION = SECRETS


ACTIVE = {"connection_id": "shop-1", "status": "active", "version": 1}


def calls_of(client: Gatehouse) -> list[tuple[Callable[[], Any], dict[str, Any]]]:
    """Return calls that bring a secret, or get one, with their answers."""
    return [
        (lambda: client.token("shop-1"), token(1)),
        (lambda: client.refresh("shop-1", if_version=1), token(2)),
        (lambda: client.start("ultracart", connection_id="shop-1"), LINK),
        (lambda: client.confirm("shop-1", CONFIRMATION), ACTIVE),
        (lambda: client.import_connection("ultracart", "shop-1", refresh_token=REFRESH_TOKEN), ACTIVE),
    ]


@pytest.mark.parametrize("way", ["invoke", "http"])
def test_no_secret_is_in_a_repr_an_error_or_a_log(
    way: str,
    service: LambdaService,
    client_of: Callable[..., Gatehouse],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether the call succeeds, fails or gets no answer."""
    caplog.set_level(logging.DEBUG)
    # The functions have a logger of this name, too: other tests of this process may have set it up.
    caplog.set_level(logging.DEBUG, logger="gatehouse")
    monkeypatch.setattr(logging.getLogger("gatehouse"), "propagate", True)
    client = client_of(keep=0, timeout=5, **({"url": service.url} if way == "http" else {}))
    shown = [repr(client), repr(client.auth_for("shop-1"))]

    for call, answer in calls_of(client):
        service.answers = [answer]
        shown.append(repr(call()))
        for no_success in (failure("provider_misconfigured", retryable=False), HANGS_UP):
            service.answers = [no_success]
            with pytest.raises(GatehouseError) as error:
                call()
            shown += [repr(error.value), *traceback.format_exception(error.value), str(vars(error.value))]

    logged = "\n".join(record.getMessage() + str(record.exc_text) for record in caplog.records)
    assert "token of shop-1: ok" in logged
    assert [secret for secret in (*SECRETS, URL) if secret in logged + "\n".join(shown)] == []


def test_no_secret_is_in_the_log_of_a_request_with_auth(
    service: LambdaService, client_of: Callable[..., Gatehouse], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the token that was refused, nor the other one."""
    caplog.set_level(logging.DEBUG)
    service.answers = [token(1), token(2)]

    with Api(takes=2) as api:
        response = requests.get(f"{api.url}/data", auth=client_of().auth_for("shop-1"), timeout=10)

    assert response.status_code == 200
    assert SECRETS[0] not in caplog.text

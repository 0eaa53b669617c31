"""`auth_for` puts a token on each request of requests and httpx, and after a 401 another one, once, in no loop."""

from __future__ import annotations

import asyncio
import io
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest
import requests

from gatehouse import AsyncGatehouse, ReauthorizationRequired
from gatehouse.auth import Auth
from tests.clients.services import SECRETS, Api, failure, token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gatehouse import Gatehouse
    from tests.clients.services import LambdaService, Time

    Send = Callable[..., int]

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""One for all clients: httpx makes one for each otherwise, and reads all certificates of this machine for it."""
OLD, NEW = (f"Bearer {SECRETS[0]}-{version}" for version in (1, 2))


def with_requests(client: Gatehouse, method: str, url: str, body: Any = None) -> int:
    """Send a request by requests, in a session that follows redirects."""
    with requests.Session() as session:
        return session.request(method, url, data=body, auth=client.auth_for("shop-1"), timeout=10).status_code


def with_httpx(client: Gatehouse, method: str, url: str, body: Any = None) -> int:
    """Send it by httpx."""
    with httpx.Client(verify=CONTEXT, auth=client.auth_for("shop-1"), follow_redirects=True) as sender:
        return sender.request(method, url, content=body).status_code


def with_httpx2(client: Gatehouse, method: str, url: str, body: Any = None) -> int:
    """Send it by httpx2."""
    with httpx2.Client(verify=CONTEXT, auth=client.auth_for("shop-1"), follow_redirects=True) as sender:
        return sender.request(method, url, content=body).status_code


def with_async_httpx(client: Any, method: str, url: str, body: Any = None) -> int:
    """Send it by httpx for asyncio: the client may be of either kind."""

    async def send() -> int:
        async with httpx.AsyncClient(verify=CONTEXT, auth=client.auth_for("shop-1"), follow_redirects=True) as sender:
            return (await sender.request(method, url, content=body)).status_code

    return asyncio.run(send())


def with_async_client(client: Gatehouse, method: str, url: str, body: Any = None) -> int:
    """Send it by httpx for asyncio, with the client for asyncio."""
    return with_async_httpx(AsyncGatehouse.like(client), method, url, body)


every_way = pytest.mark.parametrize("send", [with_requests, with_httpx, with_async_httpx, with_async_client])
synchronous = pytest.mark.parametrize("send", [with_requests, with_httpx, with_httpx2])


@pytest.fixture(scope="module")
def running_apis() -> Iterator[tuple[Api, Api]]:
    """Run two APIs, of two hosts."""
    with Api() as one, Api() as other:
        yield one, other


@pytest.fixture
def api(running_apis: tuple[Api, Api]) -> Api:
    """Give the API that the requests go to. It takes the second token."""
    for each in running_apis:
        each.takes, each.refuses, each.seen = 2, 0, []
    return running_apis[0]


@pytest.fixture
def other(running_apis: tuple[Api, Api]) -> Api:
    """Give an API of somebody else."""
    return running_apis[1]


@every_way
def test_a_token_goes_on_the_request(
    send: Send, api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """One call of `token` serves many requests."""
    api.takes, service.answers = 1, [token(1)]
    client = client_of()

    assert [send(client, "GET", f"{api.url}/data") for _ in range(3)] == [200] * 3

    assert api.authorizations == [OLD] * 3
    assert service.functions == ["token"]


@every_way
def test_after_a_401_the_request_goes_out_once_more(
    send: Send, api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """With the token that a refresh of that version has brought, and with its body."""
    service.answers = [token(1), token(2)]
    client = client_of()

    assert send(client, "POST", f"{api.url}/data", b"an order") == 200

    assert [(seen.authorization, seen.body) for seen in api.seen] == [(OLD, b"an order"), (NEW, b"an order")]
    assert service.calls[1] == ("refresh", {"connection_id": "shop-1", "if_version": 1})
    assert client.token("shop-1").version == 2


@every_way
def test_a_server_that_answers_401_to_everything_causes_one_refresh(
    send: Send, api: Api, service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """Its second 401 is the caller's. Later requests go out once, with the new token, and cause nothing for a while."""
    api.takes, service.answers = None, [token(1), token(2)]
    client = client_of()

    statuses = [send(client, "GET", f"{api.url}/data") for _ in range(5)]

    assert statuses == [401] * 5
    assert api.authorizations == [OLD, *[NEW] * 5]
    assert service.functions == ["token", "refresh"]
    time.passed += 300
    service.answers = [token(2), token(3)]
    assert send(client, "GET", f"{api.url}/data") == 401
    assert service.functions[2:] == ["token", "refresh"]


def test_a_new_token_that_a_second_thread_finds_refused_causes_no_refresh(
    api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """It may find that out before the thread that asked for it does. Its own request goes out twice, as any."""
    api.takes, service.answers = None, [token(1), token(2)]
    client = client_of()
    refused = client.token("shop-1")

    replacement = client.another(refused)
    assert replacement is not None
    # The thread that has it has not sent its request yet.
    statuses = [with_requests(client, "GET", f"{api.url}/data") for _ in range(2)]

    assert statuses == [401, 401]
    assert api.authorizations == [NEW, NEW, NEW]
    assert service.functions == ["token", "refresh"]


@every_way
def test_a_token_that_an_api_has_taken_is_replaced_whenever_it_is_refused(
    send: Send, api: Api, service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """However soon that is: its 401 is about the token, not about something that no token helps against."""
    service.answers = [token(version) for version in (1, 2, 3, 4)]
    client = client_of()

    for version in (2, 3, 4):
        api.takes = version
        assert [send(client, "GET", f"{api.url}/data") for _ in range(2)] == [200, 200]
        time.passed += 2

    assert service.functions == ["token", "refresh", "refresh", "refresh"]


@every_way
def test_a_new_token_that_was_refused_and_is_taken_later_is_replaced_too(
    send: Send, api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """The API had not learnt of it yet. From then on its 401 is about the token."""
    api.takes, service.answers = None, [token(1), token(2), token(3)]
    client = client_of()
    statuses = [send(client, "GET", f"{api.url}/data")]

    for takes in (2, 3):
        api.takes = takes
        statuses.append(send(client, "GET", f"{api.url}/data"))

    assert statuses == [401, 200, 200]
    assert service.functions == ["token", "refresh", "refresh"]


@every_way
def test_an_api_that_refuses_one_call_and_takes_another_causes_two_refreshes_in_five_minutes(
    send: Send, api: Api, service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """A permission is missing, and no token has it. Without an end, each such call would cause a refresh."""
    service.answers = [token(version) for version in range(1, 30)]
    client = client_of()
    statuses = []
    for _ in range(10):
        time.passed += 20
        api.takes = None
        statuses.append(send(client, "GET", f"{api.url}/data"))
        api.takes = client.token("shop-1").version
        statuses.append(send(client, "GET", f"{api.url}/data"))

    assert statuses == [401, 200] * 10
    assert service.functions == ["token", "refresh", "refresh"]


@every_way
def test_a_token_that_has_just_been_obtained_goes_out_once_more(
    send: Send, api: Api, service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """Gatehouse returns a token set younger than ten seconds as it is. The API may have learnt of it by the repeat."""
    service.answers = [token(1)]
    client = client_of()

    statuses = [send(client, "GET", f"{api.url}/data") for _ in range(3)]

    assert statuses == [401, 401, 401]
    # The first request twice, and the others once, as its repeat has not helped.
    assert api.authorizations == [OLD] * 4
    assert service.functions == ["token", "refresh"]
    # Ten seconds later a refresh is one.
    time.passed += 10
    service.answers = [token(2)]
    assert send(client, "GET", f"{api.url}/data") == 200


@every_way
def test_an_api_that_learns_of_a_token_late_takes_the_repeat(
    send: Send, api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """The caller sees no 401."""
    service.answers = [token(2)]
    api.refuses = 1

    assert send(client_of(), "POST", f"{api.url}/data", b"an order") == 200

    assert [(seen.authorization, seen.body) for seen in api.seen] == [(NEW, b"an order")] * 2
    assert service.functions == ["token", "refresh"]


@synchronous
def test_a_new_token_that_is_refused_for_a_body_that_can_be_read_once_causes_no_refresh(
    send: Send, api: Api, service: LambdaService, client_of: Callable[..., Gatehouse], time: Time
) -> None:
    """There is no repeat from which that could be seen."""
    api.takes, service.answers = None, [token(1), token(2)]
    client = client_of()

    for _ in range(4):
        assert send(client, "POST", f"{api.url}/data", chunks()) == 401
        time.passed += 9

    assert service.functions == ["token", "refresh"]


@every_way
def test_what_gatehouse_says_to_the_refresh_reaches_the_caller(
    send: Send, api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """If the grant is dead, that says more than the 401."""
    service.answers = [token(1), failure("reauthorization_required", retryable=False)]

    with pytest.raises(ReauthorizationRequired):
        send(client_of(), "GET", f"{api.url}/data")

    assert len(api.seen) == 1


def test_a_request_may_be_of_a_class_of_ones_own(
    api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """Some have subclasses of what httpx has."""

    class Ours(httpx.Request):
        pass

    service.answers = [token(1), token(2)]
    with httpx.Client(verify=CONTEXT, auth=client_of().auth_for("shop-1")) as sender:
        response = sender.send(Ours("POST", f"{api.url}/data", content=b"an order"))

    assert response.status_code == 200


def chunks() -> Iterator[bytes]:
    """Give a body that can be read once."""
    yield b"an "
    yield b"order"


@synchronous
def test_a_body_that_can_be_read_once_is_sent_once(
    send: Send, api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """The caller gets the 401. The refresh is made even so: its next try has the new token."""
    service.answers = [token(1), token(2)]
    client = client_of()

    assert send(client, "POST", f"{api.url}/data", chunks()) == 401
    assert send(client, "POST", f"{api.url}/data", chunks()) == 200

    assert [(seen.authorization, seen.body) for seen in api.seen] == [(OLD, b"an order"), (NEW, b"an order")]


def test_a_file_is_sent_from_where_it_began(
    api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """That place is known to requests. Not to httpx, which would send an empty body: there it is sent once."""
    file = io.BytesIO(b"not this, an order")
    file.seek(10)
    service.answers = [token(1), token(2)]
    assert with_requests(client_of(), "PUT", f"{api.url}/data", file) == 200
    service.answers = [token(1), token(2)]
    assert with_httpx(client_of(), "PUT", f"{api.url}/data", io.BytesIO(b"an order")) == 401

    assert [seen.body for seen in api.seen] == [b"an order"] * 3


@every_way
def test_a_host_that_a_redirect_leads_to_gets_no_token(
    send: Send, api: Api, other: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """Not even if it asks for one by a 401, and that 401 says nothing of our token."""
    service.answers = [token(1)]

    assert send(client_of(), "GET", f"{api.url}/to?{other.url}/data") == 401

    assert api.authorizations == [OLD]
    assert other.authorizations == [None]
    assert service.functions == ["token"]


@every_way
def test_after_a_redirect_only_the_last_request_is_repeated(
    send: Send, api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """The POST that led there has been carried out, and is not sent twice."""
    service.answers = [token(1), token(2)]

    assert send(client_of(), "POST", f"{api.url}/to?{api.url}/data", b"an order") == 200

    assert [(seen.method, seen.path.partition("?")[0]) for seen in api.seen] == [
        ("POST", "/to"),
        ("GET", "/data"),
        ("GET", "/data"),
    ]


@synchronous
def test_threads_whose_requests_are_refused_at_once_cause_one_refresh(
    send: Send, api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """Each of them repeats its own request, with the same new token."""
    callers = 16
    service.answers = [token(1), token(2)]
    client, together = client_of(), threading.Barrier(callers)
    client.token("shop-1")

    def ask() -> int:
        together.wait()
        return send(client, "GET", f"{api.url}/data")

    with ThreadPoolExecutor(callers) as threads:
        asked = [threads.submit(ask) for _ in range(callers)]
        statuses = [each.result() for each in asked]

    assert statuses == [200] * callers
    assert service.functions == ["token", "refresh"]


def test_another_scheme_than_bearer_can_be_named(
    api: Api, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """A few providers have one of their own."""
    service.answers = [token(1), token(1)]

    requests.get(f"{api.url}/data", auth=client_of().auth_for("shop-1", scheme="Zoho-oauthtoken"), timeout=10)

    assert set(api.authorizations) == {f"Zoho-oauthtoken {SECRETS[0]}-1"}


def test_an_auth_without_httpx_says_so_if_httpx_gets_it(client_of: Callable[..., Gatehouse]) -> None:
    """It would take it for a function, and never see to a 401."""
    auth = Auth(client_of(), "shop-1", "Bearer")

    with pytest.raises(TypeError, match="import httpx"):
        httpx.get("http://127.0.0.1:1/", auth=auth)

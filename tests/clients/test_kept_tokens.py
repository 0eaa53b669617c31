"""A token is asked for once: it is kept for a while, and threads and coroutines that ask at once share a call."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from gatehouse import (
    AsyncGatehouse,
    Gatehouse,
    GatehouseError,
    NoAnswer,
    ReauthorizationRequired,
    TemporarilyUnavailable,
)
from gatehouse.timing import Timing
from tests.clients.conftest import KEYS
from tests.clients.services import failure, token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clients.services import LambdaService, Time

CALLERS = 64


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Give as many threads as there are callers."""
    with ThreadPoolExecutor(CALLERS) as pool:
        yield pool


def test_a_token_is_kept_for_five_minutes(
    service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """Then it is asked for again: Gatehouse may have refreshed it, or the connection may be revoked."""
    service.answers = [token(1), token(2)]
    client = client_of()

    versions = [client.token("shop-1").version]
    time.passed = 299
    versions.append(client.token("shop-1").version)
    time.passed = 300
    versions.append(client.token("shop-1").version)

    assert versions == [1, 1, 2]


def test_how_long_is_a_choice(service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]) -> None:
    """With 0 each call asks."""
    service.answers = [token(1)]
    never, shortly = client_of(keep=0), client_of(keep=10)

    for client in (never, never, shortly, shortly):
        client.token("shop-1")
    time.passed = 10
    shortly.token("shop-1")

    assert len(service.calls) == 4


def test_a_kept_token_is_valid_for_as_long_as_the_caller_needs(
    service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """Without `min_ttl` that is a minute, as at Gatehouse. A token whose end nobody knows is kept, too."""
    service.answers = [token(1, expires_at=time.timing.now() + 200), token(2, expires_at=None)]
    client = client_of()

    versions = [client.token("shop-1").version, client.token("shop-1", min_ttl=200).version]
    versions.append(client.token("shop-1", min_ttl=201).version)
    versions.append(client.token("shop-1", min_ttl=86400).version)

    assert versions == [1, 1, 2, 2]
    time.passed = 0
    service.answers = [token(3, connection_id="shop-2", expires_at=time.timing.now() + 200), token(4)]
    client.token("shop-2")
    time.passed = 141
    assert client.token("shop-2").version == 4


def test_what_stands_still_or_is_set_back_does_not_prolong_it(
    service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """A frozen Lambda function may find one clock as it was, and somebody may set the other."""
    service.answers = [token(1)]
    wall = {"now": 1000.0}
    client = client_of(timing=type(time.timing)(lambda: wall["now"], lambda: 0.0, time.sleep))

    client.token("shop-1")
    wall["now"] += 300
    client.token("shop-1")
    wall["now"] -= 100
    client.token("shop-1")

    assert len(service.calls) == 3


@pytest.mark.parametrize(
    "end",
    [
        lambda client: client.revoke("shop-1"),
        lambda client: client.confirm("shop-1", "c"),
        lambda client: client.import_connection("ultracart", "shop-1", access_token="a"),
    ],
    ids=["revoke", "confirm", "import"],
)
def test_what_ends_or_replaces_a_token_makes_it_forgotten(
    end: Callable[[Gatehouse], Any], service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """Whatever comes of it: a call without an answer may have happened."""
    client = client_of()
    service.answers = [token(1)]
    client.token("shop-1")
    service.answers = [failure("server_error", retryable=False)]

    with pytest.raises(GatehouseError):
        end(client)
    with pytest.raises(GatehouseError):
        client.token("shop-1")


def test_a_token_that_was_under_way_when_its_connection_was_revoked_is_not_kept(
    service: LambdaService, client_of: Callable[..., Gatehouse], threads: ThreadPoolExecutor
) -> None:
    """Its answer comes after the revocation, and is a token that was alive before it."""
    service.answers = [token(1), {"connection_id": "shop-1", "status": "revoked"}]
    service.released.clear()
    client = client_of()

    late = threads.submit(client.token, "shop-1")
    service.wait_for_calls(1)
    revoked = threads.submit(client.revoke, "shop-1")
    service.wait_for_calls(2)
    service.released.set()
    revoked.result()
    late.result()
    # Whichever of the two answers came first: if it was the token's, revoke has made it forgotten.
    service.answers = [failure("connection_revoked", retryable=False)]

    with pytest.raises(GatehouseError):
        client.token("shop-1")


@pytest.mark.parametrize("function", ["token", "refresh"])
def test_threads_that_ask_at_once_make_one_call(
    function: str, service: LambdaService, client_of: Callable[..., Gatehouse], threads: ThreadPoolExecutor
) -> None:
    """All of them get its outcome."""
    service.answers = [token(2)]
    service.released.clear()
    client, together = client_of(), threading.Barrier(CALLERS)

    def ask() -> int:
        together.wait()
        asked = client.token("shop-1") if function == "token" else client.refresh("shop-1", if_version=1)
        return asked.version

    asked = [threads.submit(ask) for _ in range(CALLERS)]
    service.wait_for_calls(1)
    service.released.set()

    assert [each.result() for each in asked] == [2] * CALLERS
    assert service.functions == [function]


@pytest.mark.parametrize("function", ["confirm", "import_connection", "refresh", "revoke", "of_tomorrow"])
def test_what_call_may_end_or_replace_is_forgotten_too(
    function: str, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """`call` takes any function, and nobody knows what one of tomorrow does. What changes no token forgets none."""
    service.answers = [token(1)]
    client = client_of()
    client.token("shop-1")

    client.call("connections", {"connection_id": "shop-1"})
    client.token("shop-1")
    client.call(function, {"connection_id": "shop-1"})
    client.token("shop-1")

    assert service.functions == ["token", "connections", function, "token"]


def test_a_client_without_an_end_to_its_time_shares_calls_too(
    service: LambdaService, client_of: Callable[..., Gatehouse], threads: ThreadPoolExecutor
) -> None:
    """Nothing that waits for a thread takes infinity."""
    service.answers = [token(1)]
    service.released.clear()
    client = client_of(timeout=float("inf"))

    asked = [threads.submit(client.token, "shop-1") for _ in range(2)]
    service.wait_for_calls(1)
    service.released.set()

    assert [each.result().version for each in asked] == [1, 1]


def test_threads_share_a_failure_too(
    service: LambdaService, time: Time, client_of: Callable[..., Gatehouse], threads: ThreadPoolExecutor
) -> None:
    """One of them repeats what is retryable: the others do not queue up to do the same one after the other."""
    service.answers = [failure("temporarily_unavailable", retry_after=40)]
    service.released.clear()
    client, together = client_of(), threading.Barrier(CALLERS)

    def ask() -> GatehouseError:
        together.wait()
        with pytest.raises(TemporarilyUnavailable) as error:
            client.token("shop-1")
        return error.value

    asked = [threads.submit(ask) for _ in range(CALLERS)]
    service.wait_for_calls(1)
    service.released.set()
    errors = [each.result() for each in asked]

    assert len({id(error) for error in errors}) == CALLERS, "each thread has its own, with its own traceback"
    assert {error.retry_after for error in errors} == {40}
    # Those who came when the first call was over make at most another one.
    assert len(service.calls) <= 4
    assert len(time.pauses) <= 2


def test_a_caller_with_more_time_goes_on_where_another_had_too_little(
    service: LambdaService, time: Time, client_of: Callable[..., Gatehouse], threads: ThreadPoolExecutor
) -> None:
    """The first one gives up after its own second; the second one waits as long as Gatehouse says, and gets a token."""
    service.answers = [failure("temporarily_unavailable", retry_after=5), token(1)]
    service.released.clear()
    asked_for_the_time: Counter[int] = Counter()
    waits = threading.Event()

    def monotonic() -> float:
        asked_for_the_time[threading.get_ident()] += 1
        # A call asks once for its deadline. The second one asks again when it has found the first one's call.
        if len(asked_for_the_time) > 1 and asked_for_the_time[threading.get_ident()] > 1:
            waits.set()
        return time.passed

    client = client_of(timing=type(time.timing)(time.timing.now, monotonic, time.sleep))
    hurried = threads.submit(client.within(1).token, "shop-1")
    service.wait_for_calls(1)
    asked_for_the_time.clear()
    asked_for_the_time[0] = 1
    patient = threads.submit(client.token, "shop-1")
    assert waits.wait(10)
    service.released.set()

    with pytest.raises(TemporarilyUnavailable):
        hurried.result()
    assert patient.result().version == 1
    assert [5 <= pause <= 6 for pause in time.pauses] == [True]


def test_coroutines_that_ask_at_once_make_one_call_in_one_thread(
    service: LambdaService, client_of: Callable[..., AsyncGatehouse]
) -> None:
    """One that is cancelled takes nothing from the others."""
    service.answers = [token(3)]
    service.released.clear()
    client = client_of(AsyncGatehouse)

    async def ask() -> tuple[list[int], int]:
        before = threading.active_count()
        asked = [asyncio.create_task(client.token("shop-1")) for _ in range(CALLERS)]
        await asyncio.to_thread(service.wait_for_calls, 1)
        threads = threading.active_count() - before
        asked[0].cancel()
        service.released.set()
        with suppress(asyncio.CancelledError):
            await asked[0]
        return [(await each).version for each in asked[1:]], threads

    versions, threads = asyncio.run(ask())

    assert versions == [3] * (CALLERS - 1)
    assert service.functions == ["token"]
    # The call's, the one in which this test waits, and the service's own.
    assert threads <= 4


def test_calls_that_wait_leave_the_event_loops_own_threads_alone(
    service: LambdaService, client_of: Callable[..., AsyncGatehouse], threads: ThreadPoolExecutor
) -> None:
    """There are five of them on a small machine, and the names of hosts are looked up in them."""
    service.answers = [token(1)]
    service.released.clear()
    client = client_of(AsyncGatehouse)

    async def ask() -> str:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        asked = [asyncio.ensure_future(client.token(f"shop-{number}")) for number in range(8)]
        await loop.run_in_executor(threads, service.wait_for_calls, 1)
        looked_up = await asyncio.wait_for(asyncio.to_thread(lambda: "an address"), 2)
        service.released.set()
        await asyncio.gather(*asked)
        return looked_up

    assert asyncio.run(ask()) == "an address"


def test_what_finds_no_thread_in_its_time_is_not_sent_later(
    service: LambdaService, client_of: Callable[..., AsyncGatehouse]
) -> None:
    """In an outage all threads may wait for tokens. A late `revoke` would end what the customer has connected since."""
    # given
    service.answers = [*[token(1)] * 50, {"connection": {}}]
    service.released.clear()
    client = client_of(AsyncGatehouse, timing=Timing())

    async def ask() -> tuple[list[NoAnswer], float]:
        waiting = [asyncio.ensure_future(client.token(f"shop-{number}")) for number in range(50)]
        await asyncio.to_thread(service.wait_for_calls, 50)
        hurried, cancelled = client.within(0.2), asyncio.ensure_future(client.confirm("shop-1", "c"))
        begun = time.monotonic()
        # when
        late = [
            hurried.revoke("shop-1"),
            hurried.call("revoke", {"connection_id": "shop-1"}),
            hurried.refresh("shop-1"),
            anext(hurried.connections()),
        ]
        raised = await asyncio.wait_for(asyncio.gather(*late, return_exceptions=True), 5)
        passed = time.monotonic() - begun
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        service.released.set()
        await asyncio.gather(*waiting)
        await client.connection("shop-1")
        return [each for each in raised if isinstance(each, NoAnswer)], passed

    raised, passed = asyncio.run(ask())

    # then
    assert [each.may_have_run for each in raised] == [False, False, True, False]
    assert [each.retryable for each in raised] == [True, True, False, True]
    assert [each.connection_id for each in raised] == ["shop-1", "shop-1", "shop-1", None]
    assert passed < 3
    assert service.functions == ["token"] * 50 + ["connections"]


def test_the_functions_are_there_for_coroutines_too(
    service: LambdaService, client_of: Callable[..., AsyncGatehouse]
) -> None:
    """They take and answer the same."""
    pages: list[Any] = [
        {"connections": [{"connection_id": "a"}], "cursor": "c"},
        {"connections": [{"connection_id": "b"}]},
    ]
    service.answers = [*pages, {"connection_id": "shop-1", "status": "revoked"}]
    client = client_of(AsyncGatehouse)

    async def calls() -> tuple[list[str], str]:
        found = [each["connection_id"] async for each in client.connections(owner="acme")]
        return found, (await client.within(30).revoke("shop-1"))["status"]

    assert asyncio.run(calls()) == (["a", "b"], "revoked")
    assert service.calls[1] == ("connections", {"owner": "acme", "cursor": "c"})


def test_clients_that_are_made_alike_share_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """So whoever makes one in each call of a function asks no more often. Other settings share nothing."""
    monkeypatch.delenv("GATEHOUSE_API_URL", raising=False)
    first = Gatehouse("one")

    assert Gatehouse("one").core is first.core
    assert AsyncGatehouse("one", timeout=5).core is first.core
    others = [Gatehouse("two"), Gatehouse("one", keep=0), Gatehouse("one", url="http://x", owner="acme")]
    monkeypatch.setenv("GATEHOUSE_STACK", "")
    assert Gatehouse().core is Gatehouse("gatehouse").core
    monkeypatch.setenv("AWS_PROFILE", "somebody-else")
    others += [Gatehouse("one"), Gatehouse("one", client=object()), Gatehouse("one", client=object())]
    assert len({id(client.core) for client in [first, *others]}) == 7


def test_a_client_of_lambda_counts_more_than_the_variable_for_http(
    monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., Gatehouse]
) -> None:
    """The variable may be in the shell for another program. Who passes both has to choose one."""
    monkeypatch.setenv("GATEHOUSE_API_URL", "https://api.example.com")

    invokes, by_http = client_of(), client_of(session=KEYS, client=None)

    assert repr(invokes) == "Gatehouse(stack='gatehouse')"
    assert repr(client_of(session=KEYS, client=None, url="")) == repr(invokes)
    assert repr(by_http) == "Gatehouse(url='https://api.example.com')"
    with pytest.raises(ValueError, match="pass one of them"):
        Gatehouse(client=object(), url="https://api.example.com")


def test_clients_of_many_owners_do_not_add_up() -> None:
    """Each has connections of its own. Who makes one for each owner does not keep those of all."""
    first = Gatehouse(url="https://x", owner="owner-0").core

    cores = [Gatehouse(url="https://x", owner=f"owner-{number}").core for number in range(1, 102)]

    assert Gatehouse(url="https://x", owner="owner-101").core is cores[-1]
    assert Gatehouse(url="https://x", owner="owner-0").core is not first


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeout": None}, "timeout=None"),
        ({"timeout": "20"}, "timeout='20'"),
        ({"keep": True}, "keep=True"),
        ({"url": "a1b2c3.execute-api.us-east-1.amazonaws.com"}, "is no URL"),
        ({"stack": ""}, "stack=''"),
    ],
)
def test_what_a_client_cannot_be_made_with_is_said_when_it_is_made(options: dict[str, Any], says: str) -> None:
    """Not at its first call, by an error of whoever got it, or after a minute of repeats."""
    with pytest.raises((TypeError, ValueError), match=says):
        Gatehouse(**{"stack": "one", **options})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_uses_no_socket_and_no_lock_of_its_parent(
    service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """A server that forks workers after loading the application has made the client in the parent."""
    service.answers = [token(1)]
    client = client_of()
    client.token("shop-1")
    with client.core.kept._lock:  # noqa: SLF001 - held by a thread of the parent at that moment
        child = os.fork()
        if not child:
            os._exit(0 if client.token("shop-1").version == 1 else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.token("shop-2")
    of_the_parent, of_the_child, of_the_parent_later = service.connections
    assert of_the_child != of_the_parent == of_the_parent_later


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_forked_process_all_that_is_made_of_a_client_shares_what_is_kept(
    service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """Each request may make its own by `within` or `auth_for`: it asks no more often there."""
    service.answers = [token(1)]
    client = client_of()
    child = os.fork()
    if not child:
        versions = {client.within(30).token("shop-1").version for _ in range(3)}
        core = AsyncGatehouse.like(client.within(5)).core
        os._exit(0 if versions == {1} and client.core is core else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(service.calls) == 1


def test_an_error_can_be_sent_to_another_process() -> None:
    """Whoever works with processes gets it whole."""
    error = ReauthorizationRequired("The grant is dead.", connection_id="shop-1", provider_error={"status": 400})

    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert type(copied) is ReauthorizationRequired
    assert vars(copied) == vars(error)
    assert str(copied) == str(error)

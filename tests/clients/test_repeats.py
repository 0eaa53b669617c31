"""What the client sends again, when, and how often: whatever may help and cannot harm, within the caller's time."""

from __future__ import annotations

import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import SSLError
from urllib3.exceptions import SSLError as SSLErrorOfUrllib3

from functions.vault.base.errors import BY_CODE as CODES_OF_GATEHOUSE
from gatehouse import (
    ConfirmationRequired,
    GatehouseError,
    InvalidRequest,
    NoAnswer,
    NotAllowed,
    NotDeployed,
    ProviderThrottled,
    ProviderUnavailable,
    ServerError,
    TemporarilyUnavailable,
    calls,
)
from gatehouse import errors as errors_of_the_client
from gatehouse.timing import Deadline, Timing
from gatehouse.transport import without_tls
from tests.clients.services import FAILS, HANGS_UP, SECRETS, THROTTLES, Lambda, failure, token

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatehouse import Gatehouse
    from tests.clients.services import LambdaService, Time

LINK = {"connection_id": "shop-1", "request_id": "r", "authorize_url": "https://x/authorize/r.s", "expires_at": 1}
ACTIVE = {"connection_id": "shop-1", "status": "active", "version": 1}
NOT_READY = Lambda(409, {"message": "An update is in progress for resource."})
CALLS: dict[str, tuple[Callable[[Gatehouse], Any], dict[str, Any], bool]] = {
    "token": (lambda client: client.token("shop-1"), token(), True),
    "refresh": (lambda client: client.refresh("shop-1", if_version=1), token(2), True),
    "refresh without a version": (lambda client: client.refresh("shop-1"), token(2), False),
    "call of refresh with null": (
        lambda client: client.call("refresh", {"connection_id": "shop-1", "if_version": None}),
        token(2),
        False,
    ),
    "connections": (lambda client: client.connection("shop-1"), {"connection": {}}, True),
    "attempt": (lambda client: client.attempt("r"), {"last_attempt": None}, True),
    "list": (lambda client: list(client.connections(owner="acme")), {"connections": []}, True),
    "confirm": (lambda client: client.confirm("shop-1", "c"), ACTIVE, True),
    "import": (lambda client: client.import_connection("ultracart", "shop-1", refresh_token="r"), ACTIVE, True),
    "start": (lambda client: client.start("ultracart"), LINK, False),
    "revoke": (lambda client: client.revoke("shop-1"), {"connection_id": "shop-1", "status": "revoked"}, False),
    "anything else": (lambda client: client.call("export", {"owner": "acme"}), {}, False),
}
"""The calls, what answers each, and whether it may be sent again although the first may have run."""

every_call = pytest.mark.parametrize("name", CALLS)


@every_call
@pytest.mark.parametrize("without_an_answer", [HANGS_UP, FAILS], ids=["hangs up", "fails"])
def test_what_may_have_run_is_sent_again_only_if_it_can_run_twice(
    name: str, without_an_answer: Lambda, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """A connection that breaks says nothing of what Gatehouse did: `start` and `revoke` are left to the caller."""
    call, answer, twice = CALLS[name]
    service.answers = [without_an_answer, answer]

    if twice:
        call(client_of())
    else:
        with pytest.raises(NoAnswer) as error:
            call(client_of())
        assert error.value.may_have_run

    assert len(service.calls) == (2 if twice else 1)


@every_call
@pytest.mark.parametrize(
    "answered",
    [THROTTLES, NOT_READY, failure("temporarily_unavailable")],
    ids=["throttled", "being changed", "retryable"],
)
def test_what_did_not_happen_is_sent_again(
    name: str, answered: Any, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """If Lambda throttles, nothing has run; and of a retryable failure Gatehouse says that it may be repeated."""
    call, answer, _ = CALLS[name]
    service.answers = [answered, answer]

    call(client_of())

    assert len(service.calls) == 2
    assert service.calls[0] == service.calls[1]


@every_call
@pytest.mark.parametrize("is_got", [True, False], ids=["may have run", "has not run"])
def test_what_the_client_must_not_send_twice_is_not_retryable(
    name: str, service: LambdaService, client_of: Callable[..., Gatehouse], *, is_got: bool
) -> None:
    """Else a loop around it, which repeats what is retryable, would do what the client refuses to do."""
    call, _, twice = CALLS[name]
    service.answers = [FAILS if is_got else THROTTLES]

    with pytest.raises(NoAnswer) as error:
        call(client_of(timeout=2))

    assert error.value.may_have_run is is_got
    assert error.value.retryable is (twice or not is_got)


@pytest.mark.parametrize(("version", "is_retryable"), [(1, True), (None, False)])
def test_a_thread_that_waits_for_anothers_call_learns_the_same(
    version: int | None, service: LambdaService, client_of: Callable[..., Gatehouse], *, is_retryable: bool
) -> None:
    """The other one's refresh may still come to its end."""
    service.answers = [token(2)]
    service.released.clear()
    client = client_of()

    with ThreadPoolExecutor(1) as other:
        first = other.submit(client.refresh, "shop-1", if_version=version)
        service.wait_for_calls(1)
        with pytest.raises(NoAnswer, match="Another thread") as error:
            client.within(0.1).refresh("shop-1", if_version=version)
        service.released.set()

    assert first.result().version == 2
    assert (error.value.retryable, error.value.may_have_run) == (is_retryable, True)
    assert error.value.connection_id == "shop-1"


@every_call
def test_a_failure_that_is_not_retryable_is_raised_at_once(
    name: str, service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """It would be the same the next time."""
    service.answers = [failure("invalid_request", retryable=False)]

    with pytest.raises(InvalidRequest):
        CALLS[name][0](client_of())

    assert len(service.calls) == 1
    assert time.pauses == []


def test_it_waits_as_long_as_gatehouse_says(
    service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """`retry_after` is a minimum. Without one the pauses grow from about a second."""
    service.answers = [
        failure("provider_throttled", retry_after=7),
        failure("temporarily_unavailable"),
        failure("temporarily_unavailable"),
        token(),
    ]

    client_of().token("shop-1")

    first, second, third = time.pauses
    assert 7 <= first <= 8
    assert 1.5 <= second <= 2.5
    assert 3 <= third <= 5


@pytest.mark.parametrize("odd", [0, -5, float("nan"), float("inf"), "7", True, [1]], ids=repr)
def test_a_time_that_nobody_can_wait_for_is_none(
    odd: Any, service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """It neither ends the call with an error of Python's own nor makes it ask without a pause."""
    service.answers = [failure("temporarily_unavailable", retry_after=odd), token()]

    assert client_of().token("shop-1").version == 1

    assert [0.75 <= pause <= 1.25 for pause in time.pauses] == [True]


@pytest.mark.parametrize(("seconds", "attempts"), [(6, 1), (9, 2), (62, 8)])
def test_it_gives_up_when_the_callers_time_does_not_suffice(
    seconds: float, attempts: int, service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """No pause begins that would outlast the time: the caller gets the last failure, with when to ask again."""
    service.answers = [failure("provider_unavailable", retry_after=8)]

    with pytest.raises(ProviderUnavailable) as error:
        client_of(timeout=seconds).token("shop-1")

    assert error.value.retry_after == 8
    assert len(service.calls) == attempts
    assert time.passed < seconds


def test_a_lambda_functions_own_time_counts(
    service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """It is asked for at each call, and a second of it is left for the function's own answer."""

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return int(10_000 - time.passed * 1000)

    service.answers = [failure("temporarily_unavailable", retry_after=4)]
    client = client_of().within(Context())

    for _ in range(2):
        with pytest.raises(TemporarilyUnavailable):
            client.token("shop-1")

    assert [len(service.calls), len(time.pauses)] == [4, 2]
    assert time.passed < 9


def test_a_handler_that_runs_without_lambda_has_the_clients_own_time(
    service: LambdaService, time: Time, client_of: Callable[..., Gatehouse]
) -> None:
    """Its context is None. A time that was set before still counts."""
    service.answers = [failure("temporarily_unavailable", retry_after=4)]

    with pytest.raises(TemporarilyUnavailable):
        client_of().within(3).within(None).token("shop-1")
    waited_within_three_seconds = time.passed
    with pytest.raises(TemporarilyUnavailable):
        client_of(timeout=20).within(None).token("shop-1")

    assert waited_within_three_seconds < 3
    assert 4 <= time.passed - waited_within_three_seconds < 20


def test_a_call_is_over_when_the_time_is(service: LambdaService, client_of: Callable[..., Gatehouse]) -> None:
    """Although the SDK would wait for forty seconds: the caller gets its turn, and nothing is sent a second time."""
    service.answers = [LINK]
    service.released.clear()

    with pytest.raises(NoAnswer) as error:
        client_of().within(0.2).start("ultracart")

    service.wait_for_calls(1)
    service.released.set()
    assert error.value.may_have_run
    assert service.functions == ["start"]


def test_what_was_not_sent_in_time_is_not_sent_later() -> None:
    """The first call of a process makes boto3's client, and that may take longer than the caller waits."""

    class Slow:
        longest, made, sent = 45.0, threading.Event(), 0

        def connect(self) -> None:
            self.made.wait(10)

        def send(self, *_: Any) -> dict[str, Any]:
            self.connect()
            self.sent += 1
            return {}

    slow, before = Slow(), set(threading.enumerate())

    with pytest.raises(NoAnswer):
        calls.call(slow, Timing(), "revoke", {"connection_id": "shop-1"}, Deadline(0.05, Timing()))
    slow.made.set()
    for each in set(threading.enumerate()) - before:
        each.join(10)

    assert slow.sent == 0


def test_no_confirmation_is_waited_for(service: LambdaService, client_of: Callable[..., Gatehouse]) -> None:
    """It is retryable, but a person brings it."""
    service.answers = [failure("confirmation_required")]

    with pytest.raises(ConfirmationRequired) as error:
        client_of().token("shop-1")

    assert error.value.retryable
    assert len(service.calls) == 1


def test_every_code_of_gatehouse_has_an_exception_of_its_own(
    service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """With the facts of the answer; and a code of tomorrow is a failure, too."""
    assert errors_of_the_client.BY_CODE.keys() == CODES_OF_GATEHOUSE.keys()
    assert len(set(errors_of_the_client.BY_CODE.values())) == len(CODES_OF_GATEHOUSE)
    said = {"error": "invalid_grant", "error_description": None, "status": 400}
    for code, error in CODES_OF_GATEHOUSE.items():
        facts = {"retry_after": 99, "connection_id": "shop-1", "provider_error": said, "asked_at": 1767225600}
        service.answers = [failure(code, retryable=error.retryable, **facts)]

        with pytest.raises(errors_of_the_client.BY_CODE[code]) as raised:
            client_of(keep=0).token("shop-1")

        assert (raised.value.error, raised.value.description) == (code, f"It is {code}.")
        assert raised.value.retryable == error.retryable == errors_of_the_client.BY_CODE[code].retryable
        assert {name: getattr(raised.value, name) for name in facts} == facts

    service.answers = [failure("code_of_tomorrow", retryable=False)]
    with pytest.raises(GatehouseError, match="code_of_tomorrow: It is code_of_tomorrow"):
        client_of().token("shop-1")


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (
            Lambda(403, {"Message": "User: x is not authorized to perform: lambda:InvokeFunction"}),
            NotAllowed,
            "User: x",
        ),
        (Lambda(404, {"Message": "Function not found: arn:x"}), NotDeployed, "gatehouse-token:live"),
        (Lambda(413, {"message": "too large"}), InvalidRequest, "too large"),
        (Lambda(200, {"errorType": "KeyError", "errorMessage": SECRETS[0]}, "Unhandled"), ServerError, "KeyError"),
        (
            Lambda(
                200,
                {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 29.00 seconds"},
                "Unhandled",
            ),
            ServerError,
            "timed out after 29",
        ),
        (
            Lambda(200, {"errorType": "ServerError", "errorMessage": "A defect; see request abc."}, "Unhandled"),
            ServerError,
            "see request abc",
        ),
        (Lambda(200, {"connection_id": "shop-1"}), ServerError, "lacks provider, access_token"),
    ],
    ids=["not allowed", "not deployed", "too large", "broken", "timed out", "defect", "not Gatehouse"],
)
def test_what_is_no_answer_of_gatehouse_says_what_it_is(
    answer: Lambda, kind: type[GatehouseError], says: str, service: LambdaService, client_of: Callable[..., Gatehouse]
) -> None:
    """It is not repeated. The text of an exception is not passed on: nobody knows what is in it."""
    service.answers = [answer]

    with pytest.raises(kind, match=says) as error:
        client_of().token("shop-1")

    assert SECRETS[0] not in str(error.value)
    assert len(service.calls) == 1


@pytest.mark.parametrize(
    ("answers", "raised", "calls"),
    [
        ([HANGS_UP, token()], None, 2),
        ([Lambda(429, {"message": "Too Many Requests"}), token()], None, 2),
        ([Lambda(503, {"message": "Service Unavailable"}), token()], None, 2),
        ([failure("provider_throttled", retry_after=2), token()], None, 2),
        ([failure("invalid_request", retryable=False)], InvalidRequest, 1),
        ([Lambda(404, {"message": "Not Found"})], NotDeployed, 1),
        ([Lambda(413, {"message": "Request Too Long"})], InvalidRequest, 1),
        ([Lambda(301, {})], NotDeployed, 1),
        ([Lambda(403, {"message": "Forbidden\nThe Canonical String: x-amz-security-token:abc"})], NotAllowed, 1),
        ([failure("provider_throttled", retry_after=99)], ProviderThrottled, 1),
    ],
    ids=[
        "hangs up",
        "throttled",
        "late",
        "retryable",
        "invalid",
        "wrong URL",
        "too large",
        "redirect",
        "forbidden",
        "much later",
    ],
)
def test_by_http_it_is_the_same(
    answers: list[Any],
    raised: type[GatehouseError] | None,
    calls: int,
    service: LambdaService,
    client_of: Callable[..., Gatehouse],
) -> None:
    """API Gateway's own answers have a `message`. What follows the first line of it is kept out: it has the session."""
    service.answers = answers
    client = client_of(url=service.url, owner="acme")

    if raised is None:
        assert client.token("shop-1").version == 1
    else:
        with pytest.raises(raised) as error:
            client.token("shop-1")
        assert "security-token" not in str(error.value)

    assert len(service.calls) == calls


def test_a_service_that_is_not_there_has_not_got_the_call(time: Time, client_of: Callable[..., Gatehouse]) -> None:
    """So even `start` is sent again, until the time is over; then the error says that nothing has happened."""
    with pytest.raises(NoAnswer) as error:
        client_of(url="http://127.0.0.1:1", timeout=10).start("ultracart")

    assert not error.value.may_have_run
    assert len(time.pauses) >= 2


@pytest.mark.parametrize(
    ("cause", "may_have_run"),
    [(ssl.SSLCertVerificationError(1, "self-signed certificate"), False), (ssl.SSLError(1, "bad record mac"), True)],
)
def test_a_certificate_that_is_not_trusted_has_kept_the_call_here(cause: Exception, *, may_have_run: bool) -> None:
    """It is looked at before anything is sent. The next time it would be the same."""
    error = without_tls(SSLError(endpoint_url="https://x", error=SSLErrorOfUrllib3(cause)), "Lambda")

    assert (error.retryable, error.may_have_run) == (False, may_have_run)

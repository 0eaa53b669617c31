"""Built functions under AWS's own runtime client: how they start, what they log, and what SnapStart requires."""

from __future__ import annotations

import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.services import Services
from tests.built import LAMBDA_ENVIRONMENT
from tests.functions import FUNCTIONS
from tests.runtime_api import RunningFunction, runtime_client
from tools.build import package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.needs_runtime_client

TOKEN = {"connection_id": "shop-1"}
ROLE = {
    "AccessKeyId": "AKIDFRESH",
    "SecretAccessKey": "secret",
    "Token": "session",
    "Expiration": "2999-01-01T00:00:00Z",
}


class Aws:
    """A minimal AWS: an endpoint for the credentials of the role, and an empty table."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.connections = 0
        aws = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                aws.connections += 1
                super().setup()

            def do_GET(self) -> None:
                aws.seen.append(("credentials", self.headers.get("Authorization", "")))
                self._answer(json.dumps(ROLE).encode())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                aws.seen.append((self.headers["X-Amz-Target"].split(".")[-1], self.headers["Authorization"]))
                self._answer(b"{}")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def aws() -> Iterator[Aws]:
    """Give an AWS that records its requests."""
    made = Aws()
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with only the runtime client."""
    return runtime_client(tmp_path_factory.mktemp("client"))


def running(name: str, client: Path, env: Mapping[str, str], *, snap_start: bool = False) -> RunningFunction:
    """Return a built function that is ready to be started."""
    handler = f"functions.{name}.handler"
    return RunningFunction(handler, env, package(for_lambda=False), client, snap_start=snap_start)


def with_role(aws: Aws) -> dict[str, str]:
    """Return the environment from which a restored function gets its role's credentials."""
    env = {name: value for name, value in LAMBDA_ENVIRONMENT.items() if not name.startswith("AWS_ACCESS_KEY")}
    del env["AWS_SECRET_ACCESS_KEY"]
    return env | {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{aws.url}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "of-this-environment",
    }


def sockets_of(pid: int) -> int:
    """Return how many sockets a process has open."""
    return sum(str(link.readlink()).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_starts_and_answers(name: str, client: Path) -> None:
    """Lambda starts it from its folder, by the handler that the template names."""
    with running(name, client, LAMBDA_ENVIRONMENT) as function:
        function.initialized()
        answer = function.invoke(["nonsense"])

    assert not answer.failed
    assert answer.document["error"] == "invalid_request"


def test_every_line_is_logged_once(client: Path) -> None:
    """The runtime client's own log handler would write every line a second time."""
    with running("token", client, LAMBDA_ENVIRONMENT) as function:
        function.initialized()
        function.invoke({})
        lines = [json.loads(line) for line in function.log.splitlines()]

    assert [(line["level"], line["message"], line["outcome"]) for line in lines] == [
        ("INFO", "token", "invalid_request")
    ]


def test_a_function_that_lacks_a_setting_says_so_when_it_is_called(client: Path) -> None:
    """Ending the process at its start would say nothing. The call logs the name of the setting."""
    env = {name: value for name, value in LAMBDA_ENVIRONMENT.items() if name != "GATEHOUSE_CONNECTIONS_TABLE"}

    with running("token", client, env) as function:
        function.initialized()
        answer = function.invoke(TOKEN)
        line = json.loads(function.log.splitlines()[0])

    assert answer.failed
    assert answer.document["errorType"] == "ServerError"
    assert line["setting"] == "The environment variable GATEHOUSE_CONNECTIONS_TABLE is not set."


def test_missing_credentials_fail_the_call_and_not_the_start(client: Path, aws: Aws) -> None:
    """Credentials are looked up for the first signature. If there are none, the log says so."""
    env = {name: value for name, value in with_role(aws).items() if "CONTAINER" not in name}

    with running("token", client, env) as function:
        function.initialized()
        answer = function.invoke(TOKEN)
        line = json.loads(function.log.splitlines()[0])

    assert answer.failed
    assert line["type"] == "NoCredentialsError"


def test_a_warm_function_keeps_its_connection(client: Path, aws: Aws) -> None:
    """An environment makes one handshake with AWS, and each call is one read."""
    with running("token", client, LAMBDA_ENVIRONMENT | {"AWS_ENDPOINT_URL": aws.url}) as function:
        function.initialized()
        for _ in range(3):
            function.invoke(TOKEN)

    assert [what for what, _ in aws.seen] == ["GetItem"] * 3
    assert aws.connections == 1


@pytest.mark.parametrize("name", ["start", "authorize", "callback", "token", "refresh"])
def test_a_snapshot_holds_no_credentials_and_no_connection(name: str, client: Path, aws: Aws) -> None:
    """Before the snapshot, the function has asked for no credentials and no secret, and opened no connection."""
    with running(name, client, with_role(aws), snap_start=True) as function:
        function.api.received("restore/next")

        assert aws.seen == []
        assert sockets_of(function.pid) == 1, "the one on which the runtime client waits"


def test_a_restored_function_signs_with_the_credentials_of_its_own_environment(client: Path, aws: Aws) -> None:
    """It gets them once after the restoration, and signs every call with them."""
    with running("token", client, with_role(aws), snap_start=True) as function:
        function.api.received("restore/next")
        function.api.restore()
        function.api.received("invocation/next")
        answers = [function.invoke(TOKEN) for _ in range(2)]

    assert [answer.document["error"] for answer in answers] == ["connection_not_found"] * 2
    assert [what for what, _ in aws.seen] == ["credentials", "GetItem", "GetItem"]
    assert aws.seen[0] == ("credentials", "of-this-environment")
    assert all("Credential=AKIDFRESH/" in authorization for _, authorization in aws.seen[1:])


def test_two_processes_from_one_snapshot_do_not_pause_alike() -> None:
    """The source of jitter is in the snapshot. After the restoration each process has one of its own."""
    services = Services.from_environ(LAMBDA_ENVIRONMENT)
    random.seed(1)
    in_the_snapshot = random.getstate()
    drawn = []

    for _ in range(2):
        random.setstate(in_the_snapshot)
        services.after_restore()
        drawn.append(services.timing.jitter())

    random.setstate(in_the_snapshot)
    assert len({*drawn, services.timing.jitter()}) == 3

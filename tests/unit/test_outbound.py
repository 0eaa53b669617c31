"""HTTP to servers that behave as on the internet: real sockets, one deadline, one cap, nothing sent twice."""

import contextlib
import gzip
import itertools
import logging
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from requests import RequestException

import functions.web.log  # noqa: F401 - it holds the libraries back, in a function as here
from functions.vault.base.errors import ProviderMisconfigured, ProviderTimedOut, ProviderUnavailable
from functions.vault.oauth import wire
from functions.vault.oauth.outbound import LARGEST_BODY, Outbound
from tests.requirements import ROOT
from tools.build import package

Behaviour = Callable[[socket.socket], None]

LONG = 20.0
"""Seconds that no test here needs: who waits for them has lost its deadline."""

CREDENTIALS, BODY = "Basic c2VjcmV0", "code=CODE-1"

SHORT = 0.4
"""A deadline that is meant to pass."""

IF_IT_LASTS = "if that lasts, check host and port of the endpoint in the registration."
UNKNOWN = "its host name cannot be looked up; check the endpoint in the registration."
UNTRUSTED = (
    "its certificate is not trusted, because it has expired, is for another host or comes from no known authority; "
    "check the endpoint in the registration."
)


class Server:
    """A port on the loopback interface: each request is read whole and recorded; then the server behaves as given."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self._behaviour = behaviour
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._listen)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Return the URL at which it listens."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/token"

    def close(self) -> None:
        """End all connections, and wait until nothing is under way."""
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            _hang_up(connection)
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                with connection:
                    while request := _request(connection):
                        self.requests.append(request)
                        self._behaviour(connection)
            except OSError:
                return


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _request(connection: socket.socket) -> bytes:
    """Return the next whole request, empty at the end of the connection."""
    request = b""
    while b"\r\n\r\n" not in request:
        more = connection.recv(65536)
        if not more:
            return b""
        request += more
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def says(*parts: bytes) -> Behaviour:
    """Answer with these octets, and end the connection."""

    def behave(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        _hang_up(connection)

    return behave


def answers(body: bytes, *headers: str, status: str = "200 OK") -> Behaviour:
    """Answer properly, and keep the connection."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return lambda connection: connection.sendall(head.encode() + b"\r\n\r\n" + body)


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """Return a function that starts servers with a given behaviour."""
    running: list[Server] = []

    def start(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Server:
        running.append(Server(behaviour, tls))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture
def outbound() -> Iterator[Outbound]:
    """Yield an `Outbound`, then check that no request of it has outlived its deadline."""
    yield Outbound(loopback=True)
    at_work = workers()
    for worker in at_work:
        worker.join(LONG)
    assert [worker for worker in at_work if worker.is_alive()] == []


def workers() -> list[threading.Thread]:
    """Return the threads of requests under way."""
    return [thread for thread in threading.enumerate() if thread.name == "outbound"]


def failure(outbound: Outbound, url: str, timeout: float = LONG) -> ProviderUnavailable:
    """Send a token request and return its failure, whose text must reveal nothing."""
    with pytest.raises(ProviderUnavailable) as caught:
        outbound.send("POST", url, {"Authorization": CREDENTIALS}, BODY, timeout)
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.as_result())
    assert [word for word in (CREDENTIALS, BODY, "127.0.0.1", "urllib3", "answered-with") if word in shown] == []
    return caught.value


def test_a_request_arrives_as_it_was_given(server: Any, outbound: Outbound) -> None:
    """Method, path, headers and body; the answer comes back whole, with header names in lower case."""
    there = server(answers(b'{"a":1}', "Content-Type: application/json", "Retry-After: 3", status="429 Slow"))

    answer = outbound.send("POST", there.url + "?t=1", {"X-Api": "1", "User-Agent": "gatehouse"}, "a=b&c=%20", LONG)

    assert (answer.status, answer.body) == (429, b'{"a":1}')
    assert answer.headers == {"content-length": "7", "content-type": "application/json", "retry-after": "3"}
    head, _, body = there.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /token?t=1 HTTP/1.1\r\n")
    assert b"\r\nX-Api: 1" in head
    assert b"\r\nUser-Agent: gatehouse" in head
    assert body == b"a=b&c=%20"


def headers_of(request: bytes) -> dict[str, str]:
    """Return the headers of a request by their names in lower case; each may occur only once."""
    lines = [line.partition(": ") for line in request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]]
    assert len({name.lower() for name, _, _ in lines}) == len(lines)
    return {name.lower(): value for name, _, value in lines}


@pytest.mark.parametrize(
    ("method", "body", "length"), [("GET", None, None), ("DELETE", None, None), ("POST", None, "0"), ("POST", "", "0")]
)
def test_a_request_contains_little_that_was_not_given(
    server: Any, outbound: Outbound, method: str, body: str | None, length: str | None
) -> None:
    """Libraries would add more: their own defaults, and a length where the method has no body."""
    there = server(answers(b"{}"))

    outbound.send(method, there.url, {"User-Agent": "gatehouse"}, body, LONG)

    added = {"accept-encoding": "gzip, deflate", "connection": "close"} | ({"content-length": length} if length else {})
    host = there.url.split("/")[2]
    assert headers_of(there.requests[0]) == {"host": host, "user-agent": "gatehouse"} | added


def test_a_header_in_upper_and_lower_case_is_sent_once(server: Any, outbound: Outbound) -> None:
    """The later one counts: a registration's replaces ours. A blank at its beginning is not part of it."""
    there = server(answers(b"{}"))

    outbound.send("GET", there.url, {"User-Agent": "gatehouse", "user-agent": " theirs"}, None, LONG)

    assert headers_of(there.requests[0])["user-agent"] == "theirs"


def test_a_user_name_in_a_url_is_not_sent(server: Any, outbound: Outbound) -> None:
    """Only the given headers authenticate, and nothing that a library finds."""
    there = server(answers(b"{}"))

    outbound.send("GET", there.url.replace("//", "//user:secret@"), {"Authorization": CREDENTIALS}, None, LONG)

    assert headers_of(there.requests[0])["authorization"] == CREDENTIALS


ASK_IN_THIS_ENVIRONMENT = """
import sys
sys.path.insert(0, sys.argv[1])
from functions.vault.base.errors import ProviderUnavailable
from functions.vault.oauth.outbound import Outbound
for url in sys.argv[2:]:
    try:
        print(Outbound(loopback=True).send("GET", url, {"User-Agent": "gatehouse"}, None, 20.0).status)
    except ProviderUnavailable as error:
        print(error.description, error.outcome_unknown)
"""


@pytest.mark.parametrize("is_built", [False, True])
def test_the_environment_does_not_influence_a_request(
    server: Any, untrusted: ssl.SSLContext, certificate: Path, tmp_path: Path, *, is_built: bool
) -> None:
    """No proxy gets it, no `.netrc` adds to it, no variable names trusted authorities: deployed as well as here.

    A host that is not ASCII is refused, whether or not the package that would encode it is installed.
    """
    plain, secure, proxy = server(answers(b"{}")), server(answers(b"{}"), untrusted), server(answers(b"{}"))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret\n", "utf-8")
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy.url)
    trusted = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), str(certificate))
    env = {"HOME": str(tmp_path), "NETRC": str(tmp_path / ".netrc"), **proxies, **trusted}
    folder, options = (package(for_lambda=False), ["-I", "-S", "-B"]) if is_built else (ROOT, [])
    code = [*options, "-c", ASK_IN_THIS_ENVIRONMENT, str(folder)]
    urls = [plain.url, secure.url, "http://b\u00fccher.invalid/token"]

    said = subprocess.check_output([sys.executable, *code, *urls], cwd=ROOT, env=env, text=True)

    untrusted_one, unknown = (
        f"The authorization server cannot be reached: {why} False" for why in (UNTRUSTED, UNKNOWN)
    )
    assert said.splitlines() == ["200", untrusted_one, unknown]
    assert (proxy.connections, len(secure.requests)) == (0, 0)
    assert "authorization" not in headers_of(plain.requests[0])


@pytest.mark.parametrize("held_back", [True, False])
def test_a_token_in_a_url_is_not_logged(
    server: Any, outbound: Outbound, caplog: pytest.LogCaptureFixture, *, held_back: bool
) -> None:
    """Some servers revoke by DELETE of a token's own URL, and a library quotes it in warnings about odd headers."""
    there = server(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n odd\r\n: header\r\n\r\n"))
    library = logging.getLogger("urllib3.connection")
    held_at = library.level
    library.setLevel(held_at if held_back else logging.WARNING)

    try:
        outbound.send("DELETE", f"{there.url}/tokens/AT-secret", {}, None, LONG)
    finally:
        library.setLevel(held_at)

    assert ("AT-secret" in caplog.text) is not held_back


def test_each_request_has_a_connection_of_its_own(server: Any, outbound: Outbound) -> None:
    """And announces that: a kept connection may have died while the function was frozen."""
    there = server(answers(b"{}", "Connection: keep-alive"))

    for _ in range(3):
        outbound.send("POST", there.url, {"connection": "keep-alive"}, "a=b", LONG)

    assert (len(there.requests), there.connections) == (3, 3)
    assert all(b"\r\nconnection: close\r\n" in request.lower() for request in there.requests)


def test_a_connection_that_the_server_has_dropped_costs_nothing(server: Any, outbound: Outbound) -> None:
    """The server had promised to keep it. On a kept one the next request would have an unknown outcome."""
    there = server(says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}"))

    statuses = [outbound.send("POST", there.url, {}, "a=b", LONG).status for _ in range(3)]

    assert statuses == [200, 200, 200]


def test_a_servers_cookies_are_not_kept(server: Any, outbound: Outbound) -> None:
    """A merchant's token request must not carry what came with another's."""
    there = server(answers(b"{}", "Set-Cookie: session=merchant-1; Path=/"))

    for _ in range(2):
        outbound.send("POST", there.url, {}, "a=b", LONG)

    assert [request for request in there.requests if b"cookie" in request.lower()] == []


@pytest.mark.parametrize("cookie", [";a" * 32_000, "; max-age=" + "9" * 5_000, "; expires=1-Jan-" + "9" * 5_000])
def test_a_servers_cookies_are_not_read(server: Any, outbound: Outbound, cookie: str) -> None:
    """Python would take seconds for some, or write a warning that quotes them, which fails a test."""
    there = server(answers(b"{}", *[f"Set-Cookie: session=merchant-1{cookie}"] * 50, "Retry-After: 3"))

    answer = outbound.send("POST", there.url, {}, "a=b", LONG)

    assert answer.headers == {"content-length": "2", "retry-after": "3"}


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(server: Any, outbound: Outbound, status: str) -> None:
    """Codes and tokens go to the configured endpoints, never to where an answer points."""
    elsewhere = server(answers(b"{}"))
    there = server(answers(b"", f"Location: {elsewhere.url}", status=status))

    answer = outbound.send("POST", there.url, {}, "code=secret", LONG)

    assert answer.status == int(status[:3])
    assert (len(there.requests), elsewhere.connections) == (1, 0)


@pytest.mark.parametrize("elsewhere", ["/elsewhere", "http://[", "\xe9", ""])
def test_the_target_of_a_redirect_is_not_parsed(server: Any, outbound: Outbound, elsewhere: str) -> None:
    """It may be no URL at all."""
    there = server(
        says(f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 2\r\n\r\n{{}}".encode("latin-1"))
    )

    answer = outbound.send("POST", there.url, {}, "code=secret", LONG)

    assert (answer.status, answer.body, answer.headers["location"]) == (302, b"{}", elsewhere)


def test_a_refused_connection_is_a_known_outcome(outbound: Outbound) -> None:
    """Nothing was sent: the code or refresh token is still good."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    failed = failure(outbound, f"http://127.0.0.1:{port}/token")

    assert not failed.outcome_unknown
    assert (
        failed.description
        == f"The authorization server cannot be reached: its host refuses the connection; {IF_IT_LASTS}"
    )


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"answered-with nonsense\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nnot zip",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(500)) + b"\r\n",
    ],
    ids=itertools.count(),
)
def test_an_answer_that_breaks_off_or_is_no_http_is_an_unknown_outcome(
    server: Any, outbound: Outbound, octets: bytes
) -> None:
    """The server had the request and may have acted on it. It was sent only once."""
    there = server(says(octets))

    failed = failure(outbound, there.url)

    assert failed.outcome_unknown
    assert "cannot be reached" not in failed.description
    assert failed.description.endswith(("the connection ended, or what came is not HTTP.", "answer is not HTTP."))

    assert len(there.requests) == 1


def _drip(server: list[Server], octets: Iterator[bytes]) -> Behaviour:
    """Send a little now and then, until the test is over."""

    def behave(connection: socket.socket) -> None:
        for octet in octets:
            if server[0].over.wait(0.02):
                return
            connection.sendall(octet)

    return behave


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n",
    ],
    ids=["status line", "header", "body", "chunks", "endless body", "a redirect's body"],
)
def test_an_answer_that_comes_drop_by_drop_meets_the_deadline(server: Any, outbound: Outbound, first: bytes) -> None:
    """Every drop meets a socket's own timeout; the answer as a whole does not."""
    drop = b"1\r\nx\r\n" if b"chunked" in first else b"x"
    slow: list[Server] = []
    slow.append(server(_drip(slow, itertools.chain([first], itertools.repeat(drop)))))

    assert_is_a_time_out(failure(outbound, slow[0].url, SHORT))
    assert_all_quiet()


def test_a_silent_server_meets_the_deadline(server: Any, outbound: Outbound) -> None:
    """It has received the request, and does not answer."""
    slow: list[Server] = []
    slow.append(server(lambda _connection: slow[0].over.wait()))

    assert_is_a_time_out(failure(outbound, slow[0].url, SHORT))
    assert_all_quiet()


def assert_is_a_time_out(failed: ProviderUnavailable) -> None:
    """The server may still be working on the request, unlike one whose connection broke."""
    assert isinstance(failed, ProviderTimedOut)
    assert failed.outcome_unknown


def assert_all_quiet() -> None:
    """Check that thread and socket of a request are gone, although the server would go on for ever.

    Otherwise a warm function would collect one of each with every slow answer.
    """
    for worker in workers():
        worker.join(LONG)
    assert workers() == []


def test_a_slow_server_does_not_delay_the_next_request(server: Any, outbound: Outbound) -> None:
    """What still waits in the background blocks nothing."""
    slow: list[Server] = []
    slow.append(server(lambda _connection: slow[0].over.wait()))
    failure(outbound, slow[0].url, SHORT)
    there = server(answers(b"{}"))

    assert outbound.send("GET", there.url, {}, None, LONG).status == 200


def test_the_largest_body_is_accepted(server: Any, outbound: Outbound) -> None:
    """Up to the last octet of the cap."""
    there = server(answers(b"x" * LARGEST_BODY))

    assert len(outbound.send("GET", there.url, {}, None, LONG).body) == LARGEST_BODY


def _chunked(body: Iterator[bytes]) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for part in body:
        yield b"%x\r\n%b\r\n" % (len(part), part)


@pytest.mark.parametrize(
    "behaviour",
    [
        answers(b"x" * (LARGEST_BODY + 1)),
        lambda connection: [connection.sendall(part) for part in _chunked(itertools.repeat(b"x" * 60_000))],
        answers(gzip.compress(bytes(100_000_000), 1), "Content-Encoding: gzip"),
        answers(gzip.compress(gzip.compress(bytes(100_000_000), 1)), "Content-Encoding: gzip, gzip"),
        answers(b"x" * (LARGEST_BODY + 1), "Location: /elsewhere", status="302 Found"),
    ],
    ids=["one too many", "endless", "gzip bomb", "gzip bomb in gzip", "a redirect's"],
)
def test_a_body_that_is_too_large_is_not_read(server: Any, outbound: Outbound, behaviour: Behaviour) -> None:
    """Measured after decompression; the outcome is unknown."""
    there = server(behaviour)

    error = failure(outbound, there.url)

    assert (error.outcome_unknown, error.description) == (True, "The authorization server's answer is too large.")


def test_the_body_of_a_redirect_is_not_read_beyond_the_cap(server: Any, outbound: Outbound) -> None:
    """Nobody reads it to discard it: the server is still sending when the connection ends."""
    sent: list[int] = []

    def behave(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"%x\r\n%b\r\n" % (LARGEST_BODY, bytes(LARGEST_BODY)))
            sent.append(LARGEST_BODY)

    there = server(behave)

    assert failure(outbound, there.url).description == "The authorization server's answer is too large."

    assert len(sent) < 100


def test_if_a_header_comes_twice_the_last_counts(server: Any, outbound: Outbound) -> None:
    """And not both joined: no header that is read here may have two values."""
    there = server(answers(b"{}", "Content-Type: text/html", "Content-Type: application/json"))

    answer = outbound.send("GET", there.url, {}, None, LONG)

    assert answer.headers["content-type"] == "application/json"


def test_a_compressed_body_is_read(server: Any, outbound: Outbound) -> None:
    """Servers may compress what they send."""
    there = server(answers(gzip.compress(b'{"access_token":"AT-1"}'), "Content-Encoding: gzip"))

    assert outbound.send("GET", there.url, {}, None, LONG).body == b'{"access_token":"AT-1"}'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the key and the self-signed certificate of a server at 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(today)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = builder.not_valid_after(today + timedelta(days=1)).add_extension(address, critical=False)
    signed = builder.sign(key, SHA256())
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(plain + signed.public_bytes(Encoding.PEM))
    return folder / "server.pem"


@pytest.fixture(scope="module")
def untrusted(certificate: Path) -> ssl.SSLContext:
    """Return the TLS context of a server whose certificate nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_an_untrusted_certificate_is_refused(server: Any, outbound: Outbound, untrusted: ssl.SSLContext) -> None:
    """Nothing of the request goes over that connection, so the outcome is known."""
    there = server(answers(b"{}"), untrusted)

    failed = failure(outbound, there.url)

    assert not failed.outcome_unknown
    assert failed.description == f"The authorization server cannot be reached: {UNTRUSTED}"
    assert there.requests == []


def test_a_deadline_ends_a_request_over_tls(server: Any, untrusted: ssl.SSLContext, certificate: Path) -> None:
    """TLS takes the socket over; the deadline's own handle still shuts it down, and wakes the reading thread."""
    slow: list[Server] = []
    asked = threading.Event()

    def behave(_connection: socket.socket) -> None:
        asked.set()
        slow[0].over.wait()

    slow.append(server(behave, untrusted))
    connected: list[socket.socket] = []

    def ask() -> None:
        connector = wire.Connector(connected.append, loopback=True)
        trust = ssl.create_default_context(cafile=certificate)
        with wire.Session(connector, trust) as session, contextlib.suppress(RequestException):
            session.get(slow[0].url, timeout=LONG * 3)

    worker = threading.Thread(target=ask, daemon=True)
    worker.start()
    assert asked.wait(LONG)

    connected[0].shutdown(socket.SHUT_RDWR)

    worker.join(LONG)
    connected[0].close()
    assert not worker.is_alive()


def test_a_server_without_tls_gets_no_request_in_clear_text(server: Any, outbound: Outbound) -> None:
    """An https URL whose server speaks http gets a handshake, and no request."""
    there = server(answers(b"{}"))

    failure(outbound, there.url.replace("http:", "https:"), SHORT)

    assert there.requests == []


def test_a_server_that_no_tls_can_be_made_with_is_named_as_such(server: Any, outbound: Outbound) -> None:
    """It ends the handshake: it has no certificate."""
    there = server(answers(b"{}"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    failed = failure(outbound, there.url)

    assert (
        failed.description
        == f"The authorization server cannot be reached: no TLS connection can be made; {IF_IT_LASTS}"
    )
    assert there.requests == []


@pytest.mark.parametrize("url", ["http://", "https://[::1", "http://127.0.0.1:99999/", "nonsense", "ftp://127.0.0.1/"])
def test_an_invalid_url_is_an_outage_and_not_a_defect(outbound: Outbound, url: str) -> None:
    """Configuration is checked long before; whatever slips through still fails in order."""
    with pytest.raises(ProviderUnavailable):
        outbound.send("GET", url, {}, None, LONG)


# Addresses


NOT_PUBLIC = ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::]"]


@pytest.mark.parametrize("host", [*NOT_PUBLIC, "[::ffff:127.0.0.1]"])
def test_a_host_that_is_this_machine_is_not_connected_to(server: Any, host: str) -> None:
    """However it is written: its addresses are checked, and nothing is sent."""
    there = server(answers(b"{}"))

    with pytest.raises(ProviderMisconfigured, match="no address on the public internet"):
        Outbound().send("POST", there.url.replace("127.0.0.1", host), {}, BODY, LONG)

    assert there.connections == 0


PRIVATE = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "[fd00:ec2::254]"]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_host_on_a_private_network_is_not_connected_to(host: str) -> None:
    """Not by the local stack either, which adds only loopback."""
    for outbound in (Outbound(), Outbound(loopback=True)):
        with pytest.raises(ProviderMisconfigured, match="no address on the public internet"):
            outbound.send("GET", f"http://{host}/latest/meta-data", {}, None, LONG)


class Names:
    """A name service that gives these addresses for every name, one list after the other, and records the names."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    def resolve(self, host: str, port: int, **_options: Any) -> list[tuple[Any, ...]]:
        """Answer as `getaddrinfo` does."""
        self.asked.append(host)
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def ask(names: Names, url: str, *, loopback: bool = True) -> bytes:
    """Send a request to a server whose name these names resolve."""
    connected: list[socket.socket] = []
    connector = wire.Connector(connected.append, names.resolve, loopback=loopback)
    with wire.Session(connector) as session, contextlib.ExitStack() as closing:
        body = session.get(url, timeout=LONG).content
        for handle in connected:
            closing.callback(handle.close)
        return body


def test_it_connects_to_the_address_that_was_checked(server: Any) -> None:
    """A name whose second lookup gives another address (DNS rebinding) is looked up only once."""
    there = server(answers(b"{}"))
    names = Names(["127.0.0.1"], ["169.254.169.254"])

    assert ask(names, there.url.replace("127.0.0.1", "rebind.example")) == b"{}"

    assert names.asked == ["rebind.example"]
    assert b"\r\nHost: rebind.example:" in there.requests[0]


def test_an_address_that_is_not_allowed_is_skipped(server: Any) -> None:
    """The other addresses of the name are still used."""
    there = server(answers(b"{}"))
    names = Names(["10.0.0.1", "127.0.0.1"])

    assert ask(names, there.url.replace("127.0.0.1", "mixed.example")) == b"{}"


def test_an_address_that_does_not_answer_is_followed_by_the_next(server: Any) -> None:
    """Nothing was sent to it."""
    there = server(answers(b"{}"))
    names = Names(["127.0.0.9", "127.0.0.1"])

    assert ask(names, there.url.replace("127.0.0.1", "two.example")) == b"{}"


def test_an_unknown_name_is_a_known_outcome(outbound: Outbound) -> None:
    """Nothing was sent."""
    for host in ("nobody.invalid", f"{'x' * 64}.example"):
        failed = failure(outbound, f"http://{host}/token")

        assert not failed.outcome_unknown
        assert failed.description == f"The authorization server cannot be reached: {UNKNOWN}"

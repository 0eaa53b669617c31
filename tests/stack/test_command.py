"""`python -m local` as a person starts and stops it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pytest
import requests

from local.base.serving import LoopbackServer
from local.demo import DECISION_HEADER
from tests.breadth import EVERY_ONE
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Start the command, and give the process and its output."""
    command = [sys.executable, "-m", "local", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def test_serves_and_does_its_background_work_until_interrupted() -> None:
    """It says where to go, and serves there. Nobody calls for two weeks of the clock, and yet tokens are refreshed.

    Ctrl-C ends it with exit code 0 and no traceback.
    """
    # given
    with running("--port", "0") as (process, output):
        url = next(found[1] for found in (re.search(r"Open +(\S+)", line) for line in output) if found)
        page = requests.get(url, timeout=30)
        started = requests.post(f"{url}v1/start", json={"provider": "ultracart"}, timeout=30).json()
        connected = requests.get(started["authorize_url"], headers={DECISION_HEADER: "allow"}, timeout=30)

        # when
        requests.post(f"{url}_local/clock", json={"advance_seconds": 14 * 86400}, timeout=30)
        version = version_after_the_first(url, started["connection_id"])
        process.send_signal(signal.SIGINT)
        rest = output.read()

        # then
        assert (page.status_code, connected.status_code, version) == (200, 200, 2)
        assert process.wait(30) == 0
        assert "Traceback" not in rest
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=30)


def version_after_the_first(url: str, connection_id: str) -> int:
    """Return the version of a connection's tokens as soon as it is another, or 1 if it stays that."""
    give_up = time.monotonic() + 60
    version = 1
    while version == 1 and time.monotonic() < give_up:
        time.sleep(0.1)
        answer = requests.post(f"{url}v1/connections", json={"connection_id": connection_id}, timeout=30).json()
        version = answer["connection"]["version"]
    return version


# The other one is sent above, and while it starts.
@pytest.mark.parametrize("number", [signal.SIGTERM, *([signal.SIGINT] if EVERY_ONE else [])])
def test_signal_at_the_first_moment_is_not_missed(number: signal.Signals) -> None:
    """It stops even if the signal comes while it writes the banner."""
    # given
    with running("--port", "0") as (process, output):
        next(line for line in output if "Open " in line)

        # when
        process.send_signal(number)
        rest = output.read()

        # then
        assert process.wait(30) == 0
        assert "Gatehouse is stopping." in rest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_can_be_stopped_while_it_starts(number: signal.Signals) -> None:
    """A signal during the start ends it at once, with exit code 0 and no traceback."""
    # given
    with running("--port", "0") as (process, output):
        first = output.readline()

        # when
        process.send_signal(number)
        rest = output.read()

        # then
        assert first.startswith("Gatehouse is starting: ")
        assert process.wait(30) == 0
        assert "Traceback" not in rest


def test_taken_port_is_a_clear_message() -> None:
    """It names the port, says what to do, and exits with 1."""
    # given
    with LoopbackServer() as other, running("--port", str(other.port)) as (process, output):
        # when
        text = output.read()

        # then
        assert process.wait(30) == 1
        assert f"Port {other.port} is taken" in text
        assert 'make run ARGS="--port ' in text
        assert "Traceback" not in text


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_bad_port_is_a_clear_message(port: str) -> None:
    """What is no port is named, with exit code 2."""
    # given
    with running(f"--port={port}") as (process, output):
        # when
        text = output.read()

        # then
        assert process.wait(30) == 2
        assert "is not a port" in text


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", "line 1, column 1"),
        ('{"a": {"client_id": "x",}}', "line 1, column 25"),
        ("[]", "must be an object"),
        ('{"no such name": {"client_id": "x"}}', '"no such name"'),
        ('{"acme": "secret-value"}', "acme: expected an object"),
        ('{"acme": {"client_id": 5}}', "client_id: expected a string"),
        ('{"acme": {"clientid": "secret-value"}}', "clientid: unknown key (did you mean client_id?)"),
        (
            '{"slak": {"client_id": "secret-value", "pkce": "s-256"}, "box": {"client_id": "id-1", "scope": ["a"]}}',
            '"based_on": "slack".\n  box: client_secret: needed',
        ),
    ],
)
def test_bad_registrations_file_is_a_clear_message(tmp_path: Path, content: str, place: str) -> None:
    """The message names the file and the place, never a value of the file, and the exit code is 2."""
    # given
    file = tmp_path / "registrations.json"
    file.write_text(content)

    # when
    with running("--port", "0", "--registrations", str(file)) as (process, output):
        text = output.read()

        # then
        assert process.wait(30) == 2
        assert str(file) in text
        assert place in text
        assert "secret-value" not in text
        assert "Traceback" not in text


def test_missing_registrations_file_is_a_clear_message(tmp_path: Path) -> None:
    """A file that is not there is named."""
    # given
    with running("--registrations", str(tmp_path / "none.json")) as (process, output):
        # when
        text = output.read()

        # then
        assert process.wait(30) == 2
        assert "none.json: No such file or directory" in text

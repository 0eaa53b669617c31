"""The command as it is installed, in a terminal and without one: colors, questions, and what it needs."""

from __future__ import annotations

import os
import pty
import subprocess
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import TYPE_CHECKING

import pytest

from tests.built import RETURN_PORT
from tests.clients import installed

if TYPE_CHECKING:
    from pathlib import Path

    from local.stack import Stack
    from tests.browser import Browser
    from tests.clients.cli.conftest import Gatehouse

ESCAPE = "\x1b["
CONFIRM = ("--confirm", "--return-port", str(RETURN_PORT), "--owner", "cli-waits")


def in_terminal(*arguments: str, typed: str = "", **environment: str) -> tuple[int, str]:
    """Run the command in a terminal, type, and return its exit code and what is on the screen."""
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "CI", "TERM"}}
    command = [str(installed.environment() / "bin" / "gatehouse"), *arguments]
    running = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environ, "TERM": "xterm", **environment}
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    screen = b""
    # Linux ends a terminal that nobody writes to any more with an error.
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        screen += part
    os.close(ours)
    return running.wait(timeout=60), screen.decode()


def test_a_terminal_gets_colors_and_questions(stack: Stack, browser: Browser) -> None:
    """A table has a head there. With NO_COLOR nothing is colored. A token is printed only after a yes."""
    connection_id = browser.connect(connection_id="cli-terminal", owner="cli-terminal")
    vended = stack.invoke("token", {"connection_id": connection_id})
    assert vended is not None
    port = ("--port", stack.local_url.rpartition(":")[2])

    table = in_terminal("connections", "--owner", "cli-terminal", *port)
    plain = in_terminal("check", connection_id, *port, NO_COLOR="1")
    refused = in_terminal("token", connection_id, *port, typed="n\n")

    assert (table[0], "CONNECTION" in table[1], ESCAPE in table[1]) == (0, True, True)
    assert (plain[0], "It has a valid token." in plain[1], ESCAPE in plain[1]) == (0, True, False)
    assert (refused[0], f"Print an access token of {connection_id} here?" in refused[1]) == (1, True)
    assert vended["access_token"] not in refused[1]


@pytest.mark.parametrize(
    ("decision", "options", "code", "says"),
    [
        ("allow", (), 0, "Connected: cli-waits-for-allow"),
        ("deny", (), 4, "there is no connection cli-waits-for-deny: the customer declined"),
        ("allow", CONFIRM, 0, "Connected: cli-waits-for-allow--confirm"),
    ],
    ids=["allowed", "denied", "confirmed"],
)
def test_connect_opens_the_browser_and_waits_for_it(  # noqa: PLR0913 - what is chosen, and the fixtures
    decision: str,
    options: tuple[str, ...],
    code: int,
    says: str,
    *,
    stack: Stack,
    browser: Browser,
    tmp_path: Path,
    gatehouse: Gatehouse,
) -> None:
    """It says what came of it. With --confirm the browser comes back to it, and what that brings is shown nowhere."""
    # given
    program, link = tmp_path / "browser", tmp_path / "link"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/new && mv {tmp_path}/new {link}\n', "utf-8")
    program.chmod(0o700)
    connection_id = f"cli-waits-for-{decision}{''.join(options[:1])}"
    command = ("connect", "ultracart", "--id", connection_id, *options, "--port", stack.local_url.rpartition(":")[2])

    # when
    with ThreadPoolExecutor(1) as threads:
        connecting = threads.submit(in_terminal, *command, BROWSER=str(program), NO_COLOR="1")
        while not link.exists() and not connecting.done():
            sleep(0.02)
        page = browser.visit(link.read_text("utf-8"), decision)
        ended, screen = connecting.result(60)

    # then
    assert (ended, says in screen) == (code, True), screen
    assert ("You can close this page" in page.text) == bool(options)
    assert "confirmation=" not in screen
    if code == 0:
        assert gatehouse("token", connection_id, "--yes").code == 0


def test_a_refused_consent_says_what_there_is_and_what_to_do(stack: Stack, browser: Browser) -> None:
    """Of a new id nothing is left to be shown; a connection that was there is as it was."""
    # given
    browser.connect(connection_id="cli-kept")
    port = ("--port", stack.local_url.rpartition(":")[2])
    connect = [str(installed.environment() / "bin" / "gatehouse"), "connect", "ultracart", "--no-browser", *port]
    ids = ("cli-denied", "cli-kept")
    running = [subprocess.Popen([*connect, "--id", each], stderr=subprocess.PIPE, text=True) for each in ids]

    # when
    for call in running:
        assert call.stderr is not None
        link = next(line for line in call.stderr if "/authorize/" in line)
        browser.visit(link.strip(), decision="deny")
    said = [call.communicate(timeout=60)[1] for call in running]

    # then
    assert [call.returncode for call in running] == [4, 4]
    declined = "the customer declined (access_denied)"
    assert f"Nothing was connected, and there is no connection cli-denied: {declined}." in said[0]
    assert f"This attempt has connected nothing: {declined}. cli-kept is as it was: active." in said[1]
    for each, text in zip(ids, said, strict=True):
        assert f"gatehouse connect ultracart --id {each} --local --port {port[1]}" in text
        assert "gatehouse show" not in text


def test_without_the_extra_the_command_says_what_to_install() -> None:
    """The client alone has the command, too."""
    program = "import sys; sys.modules['rich'] = None; from gatehouse.cli import main; sys.exit(main())"

    ran = subprocess.run([str(installed.python()), "-c", program], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stdout) == (3, "")
    assert "rich" in ran.stderr
    assert "pip install './clients/python[cli]'" in ran.stderr

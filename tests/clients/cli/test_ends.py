"""How a command ends: by a mistake in its call, at a question, by a pipe that nobody reads, a signal, an outage."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import SSLError

from gatehouse import NoAnswer
from gatehouse.calls import say_of
from gatehouse.transport import without_tls
from tests.clients import installed
from tests.clients.cli.conftest import Keyboard, run
from tests.clients.services import FAILS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser import Browser
    from tests.clients.cli.conftest import Gatehouse
    from tests.clients.services import LambdaService

SECRET = "a-secret-that-nobody-may-see"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("connections", "--limit", "0"), "--limit"),
        (("connections", "--port", "0"), "--port"),
        (("connect", "slack", "--return-port", "99999"), "--return-port"),
        (("connections", "--colour"), "--colour"),
        (("show",), "ID"),
        (("conections",), "Did you mean connections?"),
    ],
)
def test_a_wrong_call_is_answered_in_json_too(arguments: tuple[str, ...], says: str) -> None:
    """Whoever asks for JSON gets a failure that a program can read, even if no command has begun."""
    in_words, in_json = run(*arguments), run(*arguments, "--json")

    assert (in_words.code, in_json.code, in_json.out) == (2, 2, "")
    assert says in in_words.err
    failure = json.loads(in_json.err)
    assert (failure["error"], says in failure["error_description"]) == ("usage", True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "cli-ends"),
        ("revoke", "cli-ends"),
        ("register", "asana"),
        ("register", "asana", "--client-id", "1", "--secret-stdin"),
        ("register", "cli-nowhere"),
    ],
)
def test_ctrl_c_at_a_question_is_an_interruption(
    browser: Browser, gatehouse: Gatehouse, arguments: tuple[str, ...]
) -> None:
    """It has the exit code of one. The end of input is a no. Neither does anything."""
    if "cli-ends" in arguments:
        browser.connect(connection_id="cli-ends")

    interrupted = gatehouse(*arguments, typed=Keyboard())
    ended = gatehouse(*arguments, typed=Keyboard(interrupts=False))

    assert (interrupted.code, interrupted.err.splitlines()[-1]) == (130, "Interrupted.")
    assert (ended.code, ended.err.splitlines()[-1]) == (1, "Nothing was done.")
    names = {each["Name"] for each in boto3.client("secretsmanager").list_secrets()["SecretList"]}
    assert not names & {"gatehouse/providers/asana", "gatehouse/providers/cli-nowhere"}
    if "cli-ends" in arguments:
        assert gatehouse("show", "cli-ends", "--json").json["connection"]["status"] == "active"


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "grants.jwe", "--owner", "", "--key", "key.pem", "--yes"),
        ("connections", "--owner", ""),
        ("connect", "slack", "--scope", "a", "--scope", ""),
        ("revoke", "", "--yes"),
        ("export", "", "--key", "key.pem", "--yes"),
        ("--stack", "", "revoke", "shop-1", "--yes"),
    ],
)
def test_a_variable_that_is_not_set_is_no_choice(arguments: tuple[str, ...]) -> None:
    """`--owner "$TENANT"` of an unset one would mean all owners, and `--stack ""` another stack."""
    ran = run(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert "expected a value, and it is empty" in ran.err


def test_a_defect_has_its_exit_code_and_shows_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of an exception that nobody expected could have anything in it. JSON stays JSON."""

    def fail() -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr("gatehouse.cli.repository.provider_files", fail)

    in_words, in_json = run("providers"), run("providers", "--json")

    assert (in_words.code, in_json.code, in_json.out) == (7, 7, "")
    assert "defect: KeyError in test_ends.py, line " in in_words.err
    assert json.loads(in_json.err)["error"] == "defect"
    assert SECRET not in in_words.err + in_json.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_names(shell: str) -> None:
    """The commands, the names of providers, options, and for a registration the files that are there."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - see conftest.py

    from gatehouse.cli.app import app  # noqa: PLC0415 - see conftest.py

    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(app, {}, "gatehouse", "_GATEHOUSE_COMPLETE")

    def completed(*before: str, begun: str) -> list[str]:
        return [each.value for each in completion.get_completions([*before], begun)]

    assert "_GATEHOUSE_COMPLETE" in run("completion", shell).out
    assert completed(begun="con") == ["connect", "connections"]
    assert completed("connect", begun="ultra") == ["ultracart"]
    assert "--owner" in completed("connections", begun="--ow")
    assert [each.type for each in completion.get_completions(["check"], "./re")] == ["file"]


def test_a_pipe_that_nobody_reads_ends_it_quietly() -> None:
    """As `head` leaves one. The exit code is that of other programs then, and none of what was looked at."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [str(installed.environment() / "bin" / "gatehouse"), "completion", "bash"]

    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)

    assert (ran.returncode, ran.stderr) == (141, b"")


def test_what_ends_a_command_lets_it_clean_up() -> None:
    """A terminal that is closed, or `kill`, ends it by an exception, so that it takes away what it has made."""
    from gatehouse.cli import clean_up_when_ended  # noqa: PLC0415 - see conftest.py

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        clean_up_when_ended()

        with pytest.raises(SystemExit) as ended:
            os.kill(os.getpid(), signal.SIGTERM)
        assert ended.value.code == 143
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, "as nohup has it"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    "answers", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.0 200 OK\r\n\r\n{}", b"HTTP/1.0 200 OK\r\n\r\n[", b""]
)
@pytest.mark.parametrize("command", [("connections",), ("events", "--follow")])
def test_what_is_no_local_stack_is_called_so(answers: bytes, command: tuple[str, ...]) -> None:
    """Whatever listens at a port that was mistyped, and whatever it answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answers)

        threading.Thread(target=answer, daemon=True).start()
        ran = run(*command, "--port", str(server.getsockname()[1]), "--json")

    assert (ran.code, ran.out, json.loads(ran.err.splitlines()[-1])["error"]) == (3, "", "no_local_stack")


def test_a_pass_over_all_connections_gives_up_when_nothing_answers() -> None:
    """It waits out an outage of minutes, and none of hours: a script could not see that it waits for ever."""
    from gatehouse.cli.account import whole_pass  # noqa: PLC0415 - see conftest.py

    passed, asked = [0.0], list[dict[str, Any]]()

    def call(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        if len(asked) in {2, 3}:
            return {"cursor": f"page-{len(asked)}"}
        error = NoAnswer("The network is off.", retry_after=60)
        # As the client leaves it, which does not know that a page can be worked on twice.
        error.retryable = False
        raise error

    def sleep(seconds: float) -> None:
        passed[0] += seconds

    answers = whole_pass(call, {"owner": "acme"}, lambda: passed[0], sleep)
    assert [next(answers)["cursor"], next(answers)["cursor"]] == ["page-2", "page-3"]
    with pytest.raises(NoAnswer) as raised:
        next(answers)

    assert raised.value.retryable, "somebody may begin it again"
    assert asked[-1] == {"owner": "acme", "cursor": "page-3"}
    assert passed == [660]


def test_what_may_run_twice_is_not_begun_again_without_a_secure_connection() -> None:
    """A proxy that speaks no TLS still speaks none in ten minutes, for which `export` and `reseal` would wait."""
    from gatehouse.cli.account import repeatable  # noqa: PLC0415 - see conftest.py
    from gatehouse.cli.failures import failure_of  # noqa: PLC0415 - as above

    cause = SSLError(endpoint_url="https://x", error=ssl.SSLError(1, "wrong version number"))

    def call() -> dict[str, Any]:
        error = without_tls(cause, "Lambda")
        say_of(error, "export", {})
        raise error from cause

    with pytest.raises(NoAnswer) as raised:
        repeatable(call)

    failure = failure_of(raised.value, "")
    assert not raised.value.retryable
    assert failure is not None
    assert failure.code == 3


@pytest.mark.parametrize(("function", "code"), [("token", 3), ("connections", 3), ("revoke", 8), ("start", 8)])
def test_only_what_could_do_harm_is_said_to_have_happened_without_a_secure_connection(function: str, code: int) -> None:
    """To look at the connection first is no advice for whoever looks at connections."""
    from gatehouse.cli.failures import failure_of  # noqa: PLC0415 - see conftest.py

    error = without_tls(SSLError(endpoint_url="https://x", error=ssl.SSLError(1, "wrong version number")), "Lambda")
    say_of(error, function, {})

    failure = failure_of(error, "")

    assert failure is not None
    assert (failure.code, "may have happened" in failure.advice) == (code, code == 8)


@pytest.mark.parametrize("may_have_run", [True, False])
def test_what_may_run_twice_can_be_begun_again_without_an_answer(*, may_have_run: bool) -> None:
    """The client knows it of its own calls alone. Without a secure connection it helps nobody to begin again."""
    from gatehouse.cli.account import repeatable  # noqa: PLC0415 - see conftest.py

    def call() -> dict[str, Any]:
        error = NoAnswer("The network is off.", may_have_run=may_have_run)
        error.retryable = False
        raise error

    with pytest.raises(NoAnswer) as raised:
        repeatable(call)

    assert raised.value.retryable is may_have_run


def test_a_revocation_without_an_answer_is_not_to_be_repeated_unseen(
    service: LambdaService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that comes again after 6 would end what the customer has connected since."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", service.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    service.answers = [{"connection": {"provider": "ultracart", "status": "revoked"}}, FAILS]

    ran = run("revoke", "shop 1", "--stack", "gatehouse", "--yes", "--json")

    failure = json.loads(ran.err.splitlines()[-1])
    assert (ran.code, ran.out) == (8, "")
    assert (failure["error"], failure["retryable"], failure["may_have_run"]) == ("no_answer", False, True)
    assert failure["advice"].endswith("gatehouse show 'shop 1' --stack gatehouse")
    assert service.functions == ["connections", "revoke"]


@pytest.mark.parametrize(("retryable", "may_have_run", "code"), [(True, True, 6), (True, False, 6), (False, False, 3)])
def test_what_has_not_happened_or_may_happen_twice_has_other_codes(
    code: int, *, retryable: bool, may_have_run: bool
) -> None:
    """It can be called again; or, without a secure connection, this machine is to be looked at first."""
    from gatehouse.cli.failures import failure_of  # noqa: PLC0415 - see conftest.py

    error = NoAnswer("The network is off.", may_have_run=may_have_run)
    error.retryable = retryable

    failure = failure_of(error, "")

    assert failure is not None
    assert failure.code == code
    assert "may have happened" not in failure.advice


def test_an_export_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """An empty one, or a part, would stand in the way of the next, and could be taken for all."""
    from gatehouse.cli.commands.export import _new_or_none  # noqa: PLC0415 - see conftest.py

    def export() -> None:
        with _new_or_none(tmp_path / "grants.jwe") as file:
            file.write("a part\n")
            raise NoAnswer("The network is off.")

    with pytest.raises(NoAnswer):
        export()

    assert list(tmp_path.iterdir()) == []


def test_json_has_escapes_where_a_terminal_cannot_spell(tmp_path: Path) -> None:
    """A character that its encoding lacks, or half a character, as JSON can spell it."""
    from gatehouse.cli.output import _json  # noqa: PLC0415 - see conftest.py

    document = {"name": "K\u00f6ln \ud83d"}
    for encoding in ("ascii", "utf-8"):
        with (tmp_path / encoding).open("w", encoding=encoding) as stream:
            stream.write(_json(document, stream))
        assert json.loads((tmp_path / encoding).read_text(encoding)) == document


def test_a_secret_of_another_form_is_not_written_over(gatehouse: Gatehouse) -> None:
    """One that was stored as binary has no text. With --rotate, options that it would ignore are refused."""
    client, name = boto3.client("secretsmanager"), "gatehouse/providers/asana"
    client.create_secret(Name=name, SecretBinary=b"\xff\x00")

    register = ("register", "asana", "--secret-stdin")
    unreadable = gatehouse(*register, "--client-id", "1", typed=SECRET)
    ignored = gatehouse(*register, "--rotate", "--client-id", "2", "--replace", typed=SECRET)
    client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)

    assert (unreadable.code, "holds no JSON object" in unreadable.err) == (5, True)
    assert (ignored.code, "--client-id, --replace" in ignored.err) == (2, True)


def test_a_registration_can_come_through_a_pipe(gatehouse: Gatehouse, tmp_path: Path) -> None:
    """Like that of `<(...)`, which has nothing for a second reader."""
    pipe = tmp_path / "slack.json"
    os.mkfifo(pipe)
    document = {"slack": {"client_id": "1.2", "client_secret": SECRET, "scopes": ["chat:write"]}}
    threading.Thread(target=pipe.write_text, args=(json.dumps(document),), daemon=True).start()

    checked = gatehouse("check", str(pipe), "--json")

    assert (checked.code, checked.json["valid"]) == (0, True)

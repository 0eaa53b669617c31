"""The commands, against the local stack: what they answer, in words and in JSON, and their exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.clients.cli.conftest import run
from tests.requirements import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.clients.cli.conftest import Gatehouse

OPTIONS = ("--json", "--local", "--port", "--stack", "--region", "--profile")
SECRET = "a-secret-that-nobody-may-see"


def test_every_command_has_help_and_takes_json() -> None:
    """The list names each with a sentence, and loads none of them; each has the options that all have."""
    from gatehouse.cli.app import COMMANDS  # noqa: PLC0415 - see conftest.py

    listed = run("--help")

    assert listed.code == 0
    for name in COMMANDS:
        own = run(name, "--help")
        assert (own.code, f"  {name} " in listed.out) == (0, True)
        assert [line for line in own.out.splitlines() if not line.isprintable() or "\\" in line] == []
        assert [
            option for option in ("--json", "--local", "--stack", "--region", "--profile") if option not in own.out
        ] == []


def test_an_example_in_the_help_stays_on_lines_of_its_own() -> None:
    """It is there to be read by itself, or copied."""
    lines = {each.strip() for name in ("check", "import") for each in run(name, "--help").out.splitlines()}

    assert '{"provider": "slack", "connection_id": "shop-1", "refresh_token": "..."}' in lines
    assert "gatehouse check shop-1            a connection: anything else" in lines


def test_what_all_commands_take_may_stand_before_the_command(stack: Stack) -> None:
    """As `aws --region` does. What stands after the command's name counts more."""
    port = stack.local_url.rpartition(":")[2]

    before = run("--json", "--local", "--port", port, "connections", "--owner", "cli-nobody")
    both = run("--port", "1", "connections", "--owner", "cli-nobody", "--port", port, "--json")

    assert before.json == both.json == {"connections": [], "more": False}
    assert "--local" in run("--help").out


def test_the_variable_for_calls_by_http_is_not_for_the_command(
    gatehouse: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It invokes, as its page says, also where an application's variables are in the shell."""
    monkeypatch.setenv("GATEHOUSE_API_URL", "https://api.example.com")

    assert gatehouse("connections", "--owner", "cli-nobody", "--json").json == {"connections": [], "more": False}


def test_advice_names_what_is_known(gatehouse: Gatehouse, browser: Browser) -> None:
    """It can be copied as it is: the provider's name and the connection's id are in it."""
    connection_id = browser.connect(connection_id="cli-advice")
    gatehouse("revoke", connection_id, "--yes")

    unknown, ended = gatehouse("connect", "nobody"), gatehouse("token", connection_id, "--yes")

    assert "gatehouse register nobody --local --port" in unknown.err
    assert f"gatehouse connect ultracart --id {connection_id} --local --port" in ended.err


def test_numbers_and_nouns_agree() -> None:
    """One is one."""
    from gatehouse.cli.words import counted  # noqa: PLC0415 - see conftest.py

    assert [counted(number, "grant") for number in (0, 1, 2)] == ["0 grants", "1 grant", "2 grants"]


def test_a_machine_without_a_network_is_suspected_first() -> None:
    """A name that cannot be resolved says nothing against the registration; a refused connection does not say that."""
    from gatehouse.cli.looks.parts import fetched, this_machine  # noqa: PLC0415 - see conftest.py

    with pytest.raises(OSError, match=r"nobody|Name|resol|Tunnel") as lost:
        fetched("https://nobody.invalid/")
    with pytest.raises(OSError, match="refused") as refused:
        fetched("http://localhost:1/")

    assert ["network" in step for step in this_machine(lost.value)] == [True]
    assert [*this_machine(refused.value)] == []


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    """Of a command, and of a provider."""
    command, provider = run("conections"), run("provider", "shopfy", "--port", "1")

    assert (command.code, "Did you mean connections?" in command.err) == (2, True)
    assert (provider.code, "Did you mean shopify?" in provider.err) == (5, True)


def test_a_connection_is_shown_checked_vended_and_ended(gatehouse: Gatehouse, browser: Browser) -> None:
    """The life of a connection, by the command."""
    # given
    connection_id = browser.connect(connection_id="cli-life", owner="cli-acme")

    # when
    listed = gatehouse("connections", "--owner", "cli-acme", "--json")
    shown, in_words = gatehouse("show", connection_id, "--json"), gatehouse("show", connection_id)
    checked = gatehouse("check", connection_id, "--json")
    token, in_json = gatehouse("token", connection_id, "--yes"), gatehouse("token", connection_id, "--yes", "--json")
    ended = gatehouse("revoke", connection_id, "--yes", "--json")
    after, vended = gatehouse("check", connection_id, "--json"), gatehouse("token", connection_id, "--yes", "--json")

    # then
    assert [each["connection_id"] for each in listed.json["connections"]] == [connection_id]
    assert (listed.json["more"], shown.json["connection"]["status"]) == (False, "active")
    assert "owner\tcli-acme\n" in in_words.out
    assert (checked.code, checked.json["vends"], checked.json["refreshes_first"]) == (0, True, False)
    assert token.out.strip() == in_json.json["access_token"]
    assert token.out.strip() not in "".join(each.out + each.err for each in (shown, in_words, checked, ended, after))
    assert ended.json["status"] in {"revoked", "revoking"}
    # What `check` foresees is what a call gets.
    assert (
        (after.code, after.json["error"]) == (vended.code, json.loads(vended.err)["error"]) == (4, "connection_revoked")
    )
    assert vended.out == ""


def test_check_says_why_nothing_would_be_vended(
    gatehouse: Gatehouse, browser: Browser, stack: Stack, demo: DemoServer
) -> None:
    """It foresees what `token` answers: a refresh first, an outage that lasts, the end of a grant. It asks nobody."""
    # given
    connection_id = browser.connect(connection_id="cli-check")
    stack.clock.advance(3700)
    demo.reset()

    # when
    expired = gatehouse("check", connection_id, "--json")
    asked_by_check = len(demo.requests("token"))
    demo.withdraw()
    vended = gatehouse("token", connection_id, "--yes", "--json")
    dead = gatehouse("check", connection_id, "--json")

    # then
    assert (expired.code, expired.json["vends"], expired.json["refreshes_first"], asked_by_check) == (0, True, True, 0)
    assert (dead.code, dead.json["error"]) == (vended.code, json.loads(vended.err)["error"])
    assert (dead.code, dead.json["error"]) == (4, "reauthorization_required")
    assert f"gatehouse connect ultracart --id {connection_id}" in dead.json["advice"]


@pytest.mark.parametrize(
    ("connection", "error", "code"),
    [
        ({"status": "active", "expires_at": None}, None, 0),
        ({"status": "active", "expires_at": 1061}, None, 0),
        ({"status": "active", "expires_at": 1060, "refreshable": True}, None, 0),
        ({"status": "active", "expires_at": 1060, "refreshable": False}, "reauthorization_required", 4),
        ({"status": "unconfirmed", "needs": "confirmation"}, "confirmation_required", 4),
        ({"status": "unconfirmed", "needs": None}, "temporarily_unavailable", 6),
        ({"status": "reauthorization_required"}, "reauthorization_required", 4),
        ({"status": "revoking"}, "connection_revoked", 4),
        ({"status": "revoked"}, "connection_revoked", 4),
        (
            {
                "status": "active",
                "expires_at": 900,
                "refreshable": True,
                "failure": {
                    "code": "provider_misconfigured",
                    "description": "The server refuses it.",
                    "retry_at": 2000,
                },
            },
            "provider_misconfigured",
            5,
        ),
        (
            {"status": "active", "expires_at": 900, "refreshable": True, "left_alone": {"next_at": 1200}},
            "provider_unavailable",
            6,
        ),
    ],
)
def test_what_check_concludes(connection: dict[str, Any], error: str | None, code: int) -> None:
    """From what is known of a connection, at the time 1000, follows what a call of `token` would get."""
    from gatehouse.cli import exits, vending  # noqa: PLC0415 - see conftest.py

    verdict = vending.verdict({"provider": "ultracart", "connection_id": "shop-1", **connection}, 1000, "")

    assert (verdict.error, verdict.vends) == (error, error is None)
    assert (exits.code_of(verdict.error) if verdict.error else 0) == code
    assert verdict.reason
    assert verdict.vends or verdict.advice


def test_nothing_is_printed_or_ended_without_a_question(gatehouse: Gatehouse, browser: Browser) -> None:
    """Where nobody can answer it, `--yes` has to be there."""
    connection_id = browser.connect(connection_id="cli-question")

    refused = [gatehouse(command, connection_id) for command in ("token", "revoke")]
    in_json = gatehouse("token", connection_id, "--json")

    assert [(each.code, each.out) for each in (*refused, in_json)] == [(2, "")] * 3
    assert all("--yes" in each.err for each in refused)
    assert json.loads(in_json.err)["error"] == "usage"
    assert gatehouse("check", connection_id).code == 0


def test_a_secret_is_read_from_standard_input_and_shown_nowhere(
    gatehouse: Gatehouse, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no argument, no output and no file; what is stored is what `start` takes; a second secret is added."""
    # given
    monkeypatch.chdir(tmp_path)
    name = "gatehouse/providers/slack"

    # when
    first = gatehouse(
        "register", "slack", "--client-id", "1.2", "--secret-stdin", "--scope", "chat:write", typed=SECRET
    )
    again = gatehouse("register", "slack", "--client-id", "1.2", "--secret-stdin", typed="other")
    rotated = gatehouse("register", "slack", "--rotate", "--secret-stdin", "--json", typed=f"{SECRET}-2")
    in_an_argument = gatehouse("register", "asana", "--set", f"client_secret={SECRET}")
    link = gatehouse("connect", "slack", "--no-wait", "--json")

    # then
    stored = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
    boto3.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    assert stored == {"client_id": "1.2", "scopes": ["chat:write"], "client_secrets": [f"{SECRET}-2", SECRET]}
    assert [first.code, again.code, rotated.code, in_an_argument.code, link.code] == [0, 2, 0, 2, 0]
    assert f"{stack.base_url}/callback/slack" in first.out
    assert rotated.json["redirect_uri"] == f"{stack.base_url}/callback/slack"
    assert SECRET not in "".join(each.out + each.err for each in (first, again, rotated, in_an_argument))
    assert list(tmp_path.iterdir()) == []


def test_a_key_in_a_header_is_no_argument_either(gatehouse: Gatehouse) -> None:
    """Gatehouse treats it as a secret, and so does the command: it is asked for, or comes after the client secret."""
    # given
    name, header = "gatehouse/providers/slack", json.dumps({"X-Api-Key": SECRET})
    register = ("register", "slack", "--client-id", "1.2", "--scope", "chat:write", "--secret-stdin")

    # when
    refused = gatehouse(*register, "--set", f"token_headers={header}", typed="another-secret")
    stored = gatehouse(
        *register, "--ask", "token_headers", "--set", "request_timeout=5", typed=f"another-secret\n{header}\n"
    )
    text = boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    boto3.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)

    # then
    assert (refused.code, stored.code) == (2, 0)
    assert "--ask token_headers" in refused.err
    assert SECRET not in refused.err + stored.out + stored.err
    assert json.loads(text)["token_headers"] == {"X-Api-Key": SECRET}
    assert json.loads(text)["request_timeout"] == 5


def test_what_start_would_refuse_is_not_stored(gatehouse: Gatehouse) -> None:
    """It says what is wrong, and leaves nothing behind."""
    refused = gatehouse("register", "slack", "--client-id", "YOUR-CLIENT-ID", "--secret-stdin", typed=SECRET)

    assert (refused.code, refused.out) == (1, "")
    assert "client_id: expected what the provider gave you instead of a placeholder" in refused.err
    assert "gatehouse/providers/slack" not in {
        each["Name"] for each in boto3.client("secretsmanager").list_secrets()["SecretList"]
    }


def test_a_file_is_checked_as_start_would(gatehouse: Gatehouse, tmp_path: Path) -> None:
    """One registration by the file's own name, several by theirs; and from standard input."""
    # given
    right = {"client_id": "1.2", "client_secret": SECRET, "scopes": ["chat:write"]}
    one, several = tmp_path / "slack.json", tmp_path / "several.json"
    one.write_text(json.dumps(right), "utf-8")
    several.write_text(json.dumps({"slack": right, "asana": {"client_id": "1", "scope": "x"}}), "utf-8")

    # when
    valid, invalid = gatehouse("check", str(one), "--json"), gatehouse("check", str(several), "--json")
    typed = gatehouse("check", "-", "slack", typed=json.dumps(right))
    missing, broken = gatehouse("check", "./none.json"), gatehouse("check", "-", "slack", typed="{")

    # then
    assert (valid.code, valid.json["valid"]) == (0, True)
    assert [each["valid"] for each in invalid.json["registrations"]] == [True, False]
    assert (invalid.code, "scope: " in invalid.json["registrations"][1]["report"]) == (1, True)
    assert (typed.code, missing.code, broken.code) == (0, 2, 1)
    assert SECRET not in "".join(each.out + each.err for each in (valid, invalid, typed, broken))


def test_a_link_connects_an_account(gatehouse: Gatehouse, browser: Browser) -> None:
    """Whoever opens it connects one. Confirming here needs a way back that the stack allows."""
    link = gatehouse("connect", "ultracart", "--id", "cli-connect", "--no-wait", "--json").json
    browser.visit(link["authorize_url"])

    shown = gatehouse("show", "cli-connect", "--json").json["connection"]
    refused = gatehouse("connect", "ultracart", "--confirm", "--no-browser")

    assert (shown["status"], shown["last_attempt"]["outcome"]) == ("active", "connected")
    assert refused.code == 2
    assert 'make run ARGS="--return-to-origin http://localhost:8976 --port ' in refused.err
    assert "It begins empty." in refused.err


def test_the_document_has_the_exit_codes() -> None:
    """Its table is that of the code."""
    from gatehouse.cli.exits import MEANINGS  # noqa: PLC0415 - see conftest.py

    text = (ROOT / "clients" / "python" / "docs" / "command.md").read_text(encoding="utf-8")

    assert [f"| {code} | {meaning} |" for code, meaning in MEANINGS.items()] == [
        line for line in text.splitlines() if line.startswith("| ") and line.split()[1].isdigit()
    ]


def test_a_misspelt_provider_has_the_nearest_name(gatehouse: Gatehouse) -> None:
    """Wherever a name is given, and not only where the catalogue is asked."""
    listed, connect = gatehouse("connections", "--provider", "shopfy"), gatehouse("connect", "shopfy", "--no-wait")

    assert (listed.code, "Did you mean shopify?" in listed.err) == (0, True)
    assert (connect.code, "did you mean shopify?" in connect.err) == (5, True)


def test_providers_are_listed_from_the_files(gatehouse: Gatehouse) -> None:
    """All of the catalogue, and what to enter at a provider's console."""
    files = {path.stem for path in (ROOT / "functions" / "providers").glob("*.toml")}

    listed, ultracart = gatehouse("providers", "--json"), gatehouse("provider", "ultracart", "--json")

    assert {each["name"] for each in listed.json["providers"]} == files
    assert ultracart.json["redirect_uri_to_enter"].endswith("/callback/ultracart")
    assert ultracart.json["known_from"]
    assert "scopes\tchoose them there" in gatehouse("provider", "ultracart").out


def test_text_of_a_stranger_moves_no_cursor() -> None:
    """What a provider or a customer wrote could have escape sequences in it."""
    from gatehouse.cli.output import clean  # noqa: PLC0415 - see conftest.py

    assert clean("a\x1b[2Jb\r\nc\u202ed") == "a\ufffd[2Jb\ufffd\ufffdc\ufffdd"


def test_without_a_stack_the_failure_says_how_to_start_one() -> None:
    """In words, and in JSON on standard error."""
    words, in_json = run("connections", "--port", "1"), run("connections", "--port", "1", "--json")

    assert (words.code, words.out, "make run" in words.err) == (3, "", True)
    assert (in_json.code, in_json.out, json.loads(in_json.err)["error"]) == (3, "", "no_local_stack")

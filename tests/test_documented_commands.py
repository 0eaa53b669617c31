"""Every shell command of the documents is run here as it stands, or named below with the reason why it is not."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import boto3
import pytest

from local.stack import Stack
from tests.commands import blocks
from tests.commands.account import CONNECTION, Account
from tests.commands.aws_cli import UsageError, parse
from tests.commands.terminal import Terminal
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = [
    path
    for kind in ("*.md", "docs/*.md", "examples/*/*.md", "local/*/*.md", "clients/*/*.md", "clients/*/docs/*.md")
    for path in sorted(ROOT.glob(kind))
]
BLOCKS = {path.relative_to(ROOT).as_posix(): blocks.of(path) for path in FILES}

DEPLOYS = "needs SAM CLI and an account: `make deploy-check` deploys by the documented commands, to an emulator"
BUILDS = "tests/test_build.py runs `sam build`"
PART = "this is a part of it"
KEYS = "invokes a function, which the account does not run for a tool: tests/test_keys.py runs it against answers"
OPENSSL = "not every machine has openssl; tests/unit/test_jwe.py has keys of these kinds"
STARTS = "tests/stack/test_command.py starts the stack with its options"
INSTALLS = "installs; tests/clients/installed.py builds and installs the package"
PERSON = "asks a person; tests/clients/cli/test_commands.py answers"
HOSTS = "reaches the provider's hosts; tests/clients/cli/test_doctor.py has some of its own"
EXPORTS = "needs a key of the reader's, and asks; tests/clients/cli/test_export.py makes one"
NOT_RUN_HERE = {
    "make run": STARTS,
    'make run ARGS="--registrations providers.local.json"': STARTS,
    'make keys ARGS="reseal"': KEYS,
    "make test": PART,
    'make test PYTEST_ARGS="-k lease"': PART,
    "make lint": "`make test` begins with it",
    "make format": "writes into the checkout; `make lint` holds that there is nothing to write",
    ".venv/bin/python -m tests.golden": "writes into the checkout; tests/golden/test_golden.py holds what it writes",
    ".venv/bin/python -m tools.catalogue": "writes into the checkout; tests/test_catalogue.py holds what it writes",
    "sam build": BUILDS,
    "GATEHOUSE_LAMBDA_PYTHON=/path/to/python3.13 sam build": f"names an interpreter of the reader's; {BUILDS}",
    "GATEHOUSE_BYTECODE=none sam build": f"{BUILDS}, and tries the option",
    "sam build && sam deploy": DEPLOYS,
    "sam deploy": DEPLOYS,
    "sam deploy --config-env staging": DEPLOYS,
    "sam deploy --config-env production": DEPLOYS,
    "make check-deployment STACK=gatehouse-staging": "one stack is deployed here; with its name the command is run",
    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out export-key.pem": OPENSSL,
    "openssl pkey -in export-key.pem -pubout -out export-key.pub.pem": OPENSSL,
    "git checkout COMMIT": "changes the checkout that the tests run in",
    "python3 -m venv .venv-client && . .venv-client/bin/activate && pip install ./clients/python": INSTALLS,
    "python3 -m venv ~/.gatehouse && ~/.gatehouse/bin/pip install './clients/python[cli]'": INSTALLS,
    "~/.gatehouse/bin/gatehouse register ultracart": PERSON,
    "~/.gatehouse/bin/gatehouse connect ultracart --id shop-1": PERSON,
    "pip install './clients/python[requests]'": INSTALLS,
    "pip install './clients/python[cli]'": INSTALLS,
    "gatehouse register slack": PERSON,
    "gatehouse connect slack --id shop-1": PERSON,
    "gatehouse doctor": HOSTS,
    "gatehouse doctor slack": HOSTS,
    "gatehouse token shop-1": PERSON,
    "gatehouse revoke shop-1": PERSON,
    "gatehouse events --follow": "waits until Ctrl-C; tests/clients/cli/test_events.py ends it",
    "gatehouse import grants.jsonl --report failed.jsonl": "asks Slack; tests/clients/cli/test_import.py imports",
    "gatehouse export grants.jwe --key export-key.pub.pem --owner acme": EXPORTS,
    "gatehouse export export.jwe --key export-key.pub.pem": EXPORTS,
    "gatehouse completion fish > ~/.config/fish/completions/gatehouse.fish": "writes into the reader's home",
    "python3 -m venv /tmp/orders && /tmp/orders/bin/pip install ./clients/python -r examples/orders/requirements.txt": (
        "installs"
    ),
    "/tmp/orders/bin/python examples/orders/app.py shop-1": (  # noqa: S108 - a command of the page
        "needs what that installs; tests/flows/test_example_orders.py runs it"
    ),
}
"""Commands that are not run here, each with the reason."""

PLACEHOLDERS = {"NAME": "acme"}
"""What a reader puts something of their own for, beside what the account has."""

LOOKS = {"make check-deployment"}
"""Commands that change nothing: of each, a page has to show one run."""

DEAD_LETTER, LEFT_MESSAGE = '{"moved": "back"}', '{"left": "by an old stack"}'
ERASED = "a-customer-who-is-erased"

PRINTED = {
    ("README.md", "gatehouse-token:live"): r'"access_token": "',
    ("README.md", "gatehouse-start:live"): r'"authorize_url": "http',
    ("README.md", "create-secret"): r'"Name": "gatehouse/providers/ultracart"',
    (
        "docs/does-not-connect.md",
        "THE_REQUEST_ID",
    ): r'"outcome": "?connected|"message":"callback".*"outcome":"connected"',
    ("docs/does-not-connect.md", '"shop-1"'): r'"status": "active".*"last_attempt": \{',
    ("docs/cloudfront.md", "secrets"): r"OriginVerify: [0-9a-f]{64}\nOriginVerifySha256: [0-9a-f]{64}$",
    (
        "docs/first-hour.md",
        "get-routes",
    ): r"\A(?:GET /\S+\tNONE\n){2}(?:POST /callback/\S+\tNONE\n)(?:POST /v1/\S+\tAWS_IAM\n){21}\Z",
    ("docs/first-hour.md", "test-metric-filter"): r"^1\n0$",
    ("docs/operations.md", "gatehouse-sweep:live"): r'\{"queued": \d+, "complete": true\}',
    ("docs/operations.md", "sns subscribe"): r'AlarmTopicArn = "arn:aws:sns:[^"]+:gatehouse-alarms"',
    ("docs/operations.md", "gatehouse-rescue:live"): r'"status": "active", "version": 2\}',
    ("docs/providers.md", "get-public-key"): r'"kty": "EC"',
    # Without the five mappings of the queues and the stream: here, no mapping polls them.
    ("docs/runbooks.md", "make check-deployment"): r"All 24 are as they should be\.",
    ("docs/runbooks.md", "THE_TABLE"): r"^arn:aws:dynamodb:\S+:table/gatehouse-ConnectionsTable\S*/stream/",
    ("docs/runbooks.md", "gatehouse-revoke:live"): r'"status": "revoked"',
    # The rescue queue has what the old stack has left.
    ("docs/runbooks.md", "RescueDeadLetters"): r"\A1\t0\n0\t0\n\Z",
    ("docs/runbooks.md", 'make versions ARGS="back"'): r"gatehouse-token: live goes from 2 back to 1",
    ("docs/runbooks.md", "gatehouse-reseal:live"): r'"left": 0, .*"keys": \{"arn:aws:kms:',
    ("docs/runbooks.md", "make take-over"): r"\d+ taken over; \d+ left, because the new table has something newer\.",
    ("local/demo/README.md", '"status": 429'): '"retry_after": 7',
    ("local/demo/README.md", "order/orders"): '"order_id": "DEMO-',
    ("docs/runbooks.md", "cat left.txt"): r"AWS::KMS::Key\s+TokensKey\s+\S+",
    ("clients/python/docs/command.md", "gatehouse provider slack"): r"(?s)/callback/slack$.*^yes",
    ("clients/python/docs/command.md", "op read"): r"^Stored in Secrets Manager as gatehouse/providers/slack\.",
    ("clients/python/docs/command.md", "gatehouse show shop-1"): r"^status\s+active",
    ("clients/python/docs/command.md", "gatehouse import"): r"^1 grant, none with a mistake\.",
}
"""What must be found in what a block prints, by its page and by something that stands in it."""


ARRIVED = {"docs/operations.md": [DEAD_LETTER], "docs/runbooks.md": [LEFT_MESSAGE]}
"""What the commands of a page have moved into the queue that `rescue` works off."""

GRANT = {"provider": "slack", "connection_id": "shop-2", "refresh_token": "a-refresh-token"}

REGISTRATION = {
    "authorization_endpoint": "https://login.acme.test/authorize",
    "token_endpoint": "https://login.acme.test/token",
    "client_id": "a-client",
    "client_secret": "a-secret-of-its-own",
}


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """Give an account with a deployed stack, of this module alone: the commands delete and switch off."""
    with Stack() as stack:
        yield Account(stack)


@pytest.fixture
def terminal(account: Account, tmp_path: Path) -> Iterator[Terminal]:
    """Open a terminal in the folder in which a reader works, with the files that the pages have them write."""
    account.as_deployed()
    written = {"ultracart": account.stack.registrations["ultracart"], "acme": REGISTRATION}
    written["dropbox"] = {name: value for name, value in REGISTRATION.items() if name.startswith("client_")}
    written["providers"] = {"acme": REGISTRATION}
    for name, document in written.items():
        (tmp_path / f"{name}.local.json").write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "grants.jsonl").write_text(json.dumps(GRANT), encoding="utf-8")
    with Terminal(tmp_path, account.answer, account.stack.local_url.rpartition(":")[2]) as opened:
        yield opened


@pytest.mark.parametrize("page", [page for page, found in BLOCKS.items() if found])
def test_the_commands_of_a_page_do_what_it_says(page: str, account: Account, terminal: Terminal) -> None:
    """Its blocks, one after the other in one shell, succeed, and print what the page says."""
    # given
    queue = prepared(page, account)
    made = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    here = account.stack.local_url.removeprefix("http://")
    values = {
        "localhost:8787": here,
        "KEY_ID": made["KeyId"],
        "THE_CONNECTION_ID": ERASED,
        "THE_REQUEST_ID": account.request_id,
        "THE_TABLE": account.names["ConnectionsTable"],
        "URL_OF_THE_OLD_RESCUE_QUEUE": queue,
    }
    scripts = list(runnable(page))

    # when
    filled_in = [(line, filled(script, values)) for line, script in scripts]
    ran = terminal.run(filled_in, then="1970-01-01T00:00:00Z", DEMO=account.stack.demo.url)

    # then
    assert ran.failed is None, f"{page}:{ran.failed} ended with {ran.code}: {ran.complaints}"
    assert [
        f"{page}:{line}: {wanted}\n{ran.printed[line]}" for line, wanted in unprinted(page, scripts, ran.printed)
    ] == []
    assert account.bodies(account.names["RescueQueue"]) == ARRIVED.get(page, [])
    assert account.still_left() == []
    assert not account.is_there(ERASED)


def prepared(page: str, account: Account) -> str:
    """Have the account be as the page finds it, and return the URL of the queue that an old stack has left."""
    if page == "README.md":
        # While the registration is there: the page asks for a token before it registers anything itself.
        account.stack.invoke("token", {"connection_id": CONNECTION})
    commands = "\n".join(command for block in BLOCKS[page] for command in block.commands)
    created = set(re.findall(r"create-secret --name (\S+)", commands))
    for name in created | set(re.findall(r"put-secret-value --secret-id (\S+)", commands)):
        account.have_secret(filled(name, {}), there=name not in created)
    if page == "docs/operations.md":
        account.lose_a_commit()
        account.wait_in("RescueDeadLetters", DEAD_LETTER)
    if page != "docs/runbooks.md":
        return ""
    account.connect(ERASED)
    return account.leave(LEFT_MESSAGE)


def filled(command: str, values: dict[str, str]) -> str:
    """Return a command with a value for each placeholder that there is a value for."""
    for placeholder, value in (PLACEHOLDERS | values).items():
        command = re.sub(rf"\b{placeholder}\b", value, command)
    return command


def runnable(page: str) -> Iterator[tuple[int, str]]:
    """Give the commands of each block of a page that are run, by its line."""
    seen: set[str] = set()
    for block in BLOCKS[page]:
        commands = [each for each in block.commands if each not in NOT_RUN_HERE and each not in LOOKS & seen]
        seen.update(commands)
        if commands:
            yield block.line, "\n".join(commands)


def unprinted(page: str, scripts: list[tuple[int, str]], printed: dict[int, str]) -> Iterator[tuple[int, str]]:
    """Give the lines of the blocks of a page that lack what they should print."""
    for line, script in scripts:
        for (of_page, part), wanted in PRINTED.items():
            if of_page == page and part in script and not re.search(wanted, printed[line], re.MULTILINE):
                yield line, wanted


def test_what_is_named_as_not_run_here_is_in_a_document() -> None:
    """An entry of the table goes with the command that it is about."""
    documented = {command for found in BLOCKS.values() for block in found for command in block.commands}

    assert [command for command in NOT_RUN_HERE if command not in documented] == []
    assert [key for key in PRINTED if not any(key[1] in "\n".join(block.commands) for block in BLOCKS[key[0]])] == []


def test_the_tests_that_the_reasons_name_are_there() -> None:
    """Where a command is run elsewhere, the reason says by what."""
    named = {name for reason in NOT_RUN_HERE.values() for name in re.findall(r"tests/[\w/]+\.py", reason)}

    assert named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_command_in_a_sentence_is_one_that_both_versions_take(path: Path) -> None:
    """What stands between two words of a page is copied, too: `aws kms enable-key --key-id KEY`."""
    for command in blocks.spans(path):
        parse(command.split()[1:], lambda _: b"{}")


@pytest.mark.parametrize(
    ("command", "because"),
    [
        ("lambda invoke --function-name f --cli-binary-format raw-in-base64-out --payload {} o", "--cli-binary-format"),
        ("lambda invoke --function-name f --payload {} out", "fileb://"),
        ("lambda invoke --function-name f", "a file for the answer"),
        ("logs tail group", "aws logs tail"),
        ("configure export-credentials --format env", "configure"),
        ("kms enable-key", "KeyId"),
        ("events enable-rule --nam x", "--nam"),
        ("dynamodb wait table-exits --table-name t", "table-exits"),
        ("kms create-key --key-usage SIGN", "SIGN_VERIFY"),
        (
            "dynamodb update-continuous-backups --table-name t --point-in-time-recovery-specification Enabled=true",
            "Enabled",
        ),
    ],
)
def test_what_one_version_does_not_take_is_an_error(command: str, because: str) -> None:
    """If somebody writes such a command into a document, the test says what is wrong with it."""
    with pytest.raises(UsageError, match=because):
        parse(command.split(), lambda _: b"{}")

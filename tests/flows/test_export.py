"""An operator takes grants along: what is handed out, to whom it opens, what stays behind, and what the log says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from werkzeug.wrappers import Response

from functions.export import handler as export
from functions.web.log import NOT_NAMED
from tests.built import running_stack
from tests.documents import page, programs, rows, section
from tests.flows.application import Context, fresh, with_services, writes
from tests.flows.scripted import TOKENS, connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.aws.call import AwsCall
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

DOCUMENT = page("docs/export.md")
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
VENDED = ("access_token", "expires_at", "scope", "subject", "metadata")
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a stack of this module's own: an export of everything is to be what these tests have made."""
    with running_stack() as running:
        yield running


@pytest.fixture
def acme(application: Application, scripted: Scripted) -> str:
    """Register a server that says whose account its tokens are for."""
    scripted.answers["/revoke"] = {}
    return application.register({**scripted.registration, "subject": "account", "background_refresh": "never"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the folder in which an operator has made a key."""
    (tmp_path / "key.pem").write_text(PRIVATE, encoding="ascii")
    (tmp_path / "key.pub.pem").write_text(PUBLIC, encoding="ascii")
    return tmp_path


def granted(number: int, *, refreshable: bool = True, **more: Any) -> dict[str, Any]:
    """Return a token response."""
    tokens = {**TOKENS, "access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "account": "mine"}
    return {name: value for name, value in {**tokens, **more}.items() if refreshable or name != "refresh_token"}


def run(program: str, folder: Path, *files: str, **environ: str) -> str:
    """Run a program of the page in a process of its own, as somebody does who has copied it."""
    whole = {**os.environ, "AWS_REGION": "us-east-1", **environ}
    command = [sys.executable, "-c", program, *files]
    done = subprocess.run(command, cwd=folder, env=whole, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def opened(folder: Path, *sealed: str) -> list[dict[str, Any]]:
    """Open exports with the program of the page, which has nothing of ours."""
    _, program = programs(DOCUMENT, "python")
    (folder / "export.jwe").write_text("".join(f"{each}\n" for each in sealed), encoding="ascii")
    run(program, folder, "key.pem", "export.jwe", "opened.jsonl")
    return [json.loads(line) for line in (folder / "opened.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_programs_of_the_page_export_everything_and_open_it(
    stack: Stack, application: Application, browser: Browser, folder: Path
) -> None:
    """As `import_connection` takes it. The connections stay as they are, and go on."""
    # given
    shops = [browser.connect(connection_id=fresh(), owner="acme", tags={"plan": "gold"}) for _ in range(3)]
    vended = {each: application.call("token", connection_id=each) for each in shops}
    before = [application.connection_item(each) for each in shops]
    exports, _ = programs(DOCUMENT, "python")

    # when
    printed = run(exports, folder, "key.pub.pem", "export.jwe", AWS_ENDPOINT_URL_LAMBDA=stack.base_url)
    found = opened(folder, *(folder / "export.jwe").read_text(encoding="ascii").splitlines())

    # then
    mine = {each["connection_id"]: each for each in found}
    assert f"{len(found)} exported" in printed
    assert [application.connection_item(each) for each in shops] == before
    for each in shops:
        expected = {name: vended[each][name] for name in VENDED if vended[each][name]}
        about = {"provider": "ultracart", "connection_id": each, "owner": "acme", "tags": {"plan": "gold"}}
        assert mine[each] | {"refresh_token": "..."} == {**about, **expected, "refresh_token": "..."}
    assert len({mine[each]["refresh_token"] for each in shops}) == len(shops)
    assert mine[shops[0]].keys() <= json.loads(programs(DOCUMENT, "json")[0]).keys()


def test_what_was_exported_can_be_imported(application: Application, browser: Browser, folder: Path) -> None:
    """As it stands, but for its id: this deployment has it already. The grant is then proved, and vended."""
    # given
    owner = fresh("owner")
    shop = browser.connect(connection_id=fresh(), owner=owner, tags={"plan": "gold"})
    (exported,) = opened(folder, application.call("export", public_key=PUBLIC, owner=owner, per_second=100)["jwe"])

    # when
    imported = application.call("import_connection", **{**exported, "connection_id": fresh()})

    # then
    assert imported["status"] == "active"
    before, after = (
        application.call("connections", connection_id=each)["connection"] for each in (shop, imported["connection_id"])
    )
    named = ("provider", "owner", "scope", "subject", "tags", "parameters", "metadata")
    assert {name: after[name] for name in named} == {name: before[name] for name in named}


def test_what_is_not_in_use_stays_and_is_named(  # noqa: PLR0913, PLR0917 - fixtures
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, acme: str, folder: Path
) -> None:
    """Each with its reason, which the page explains; of one owner, and of nobody else."""
    # given
    ids = {name: fresh() for name in ("active", "kept", "expired", "revoked", "dead", "waits", "refreshing", "others")}

    def connected(name: str, number: int, owner: str = acme, **more: Any) -> None:
        started = {name: more.pop(name) for name in ("confirm", "return_to") if name in more}
        scripted.answers["/token"] = granted(number, **more)
        connect(application, browser, acme, connection_id=ids[name], owner=owner, **started)

    connected("expired", 1, refreshable=False, expires_in=60)
    stack.clock.advance(120)
    connected("active", 2)
    connected("active", 3)
    connected("kept", 4)
    connected("kept", 5, refreshable=False)
    connected("revoked", 6)
    application.call("revoke", connection_id=ids["revoked"])
    connected("dead", 7)
    scripted.answers["/token"] = Response(json.dumps({"error": "invalid_grant"}), 400, content_type="application/json")
    application.refresh_later(ids["dead"])
    connected("waits", 8, confirm=True, return_to=f"{stack.base_url}/app")
    connected("others", 9, owner=f"{acme}-2")
    connected("refreshing", 10)
    answers: list[dict[str, Any]] = []

    def meanwhile(_: Any) -> dict[str, Any]:
        answers.append(application.call("export", public_key=PUBLIC, owner=acme, per_second=100))
        return granted(11)

    # when
    scripted.answers["/token"] = meanwhile
    application.refresh_later(ids["refreshing"])

    # then
    (answer,) = answers
    reasons = {each["connection_id"]: each["reason"] for each in answer["left_out"]}
    assert reasons == {
        ids["expired"]: "expired",
        ids["revoked"]: application.call("connections", connection_id=ids["revoked"])["connection"]["status"],
        ids["dead"]: "reauthorization_required",
        ids["waits"]: "unconfirmed",
        ids["refreshing"]: "unsettled",
    }
    assert "cursor" not in answer
    assert answer["exported"] == 2
    found = opened(folder, answer["jwe"])
    tokens = {each["connection_id"]: (each["access_token"], each["refresh_token"]) for each in found}
    assert tokens == {ids["active"]: ("access-3", "refresh-3"), ids["kept"]: ("access-5", "refresh-4")}
    assert answer["token_sets_left"]["pending"] == 1
    assert answer["token_sets_left"]["superseded"] == 1
    explained = {each.strip("`") for row in rows(section(DOCUMENT, "Export")) for each in row[0].split("`, `")}
    assert set(reasons.values()) <= explained


def test_a_call_that_runs_out_of_time_says_where_the_next_one_goes_on(
    stack: Stack, application: Application, browser: Browser, folder: Path
) -> None:
    """Each connection is exported once, in whatever many calls."""
    # given
    owner = fresh("owner")
    shops = {browser.connect(connection_id=fresh(), owner=owner) for _ in range(4)}
    request: dict[str, Any] = {"public_key": PUBLIC, "owner": owner, "per_second": 100}
    functions = with_services(stack, export)

    # when
    answers = [functions(request, Context(19, a_look_takes=1))]
    while "cursor" in answers[-1]:
        answers.append(functions({**request, "cursor": answers[-1]["cursor"]}, Context(19, a_look_takes=1)))

    # then
    found = [each["connection_id"] for each in opened(folder, *(each["jwe"] for each in answers if "jwe" in each))]
    assert len(answers) > 1
    assert (set(found), len(found)) == (shops, 4)
    assert sum(each["exported"] for each in answers) == 4
    late = functions(request, Context(3))
    assert (late["error"], late["retryable"]) == ("temporarily_unavailable", True)
    assert application.call("export", public_key=PUBLIC, owner=fresh("owner"))["exported"] == 0


def test_each_exported_connection_leaves_a_line(
    stack: Stack, browser: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the thumbprint of the key, and the request id by which CloudTrail says who has called. No token is in it."""
    # given
    owner = fresh("owner")
    shops = {browser.connect(connection_id=fresh(), owner=owner) for _ in range(2)}
    capsys.readouterr()

    # when
    answer = with_services(stack, export)({"public_key": PUBLIC, "owner": owner}, Context(60))

    # then
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    each = [line for line in lines if line["message"] == "exported"]
    assert {line["connection_id"] for line in each} == shops
    facts = {(line["provider"], line["key"], line["request_id"], line["principal"]) for line in each}
    assert facts == {("ultracart", answer["key"], Context.aws_request_id, NOT_NAMED)}
    (last,) = [line for line in lines if line["message"] == "export"]
    assert (last["outcome"], last["exported"], last["key"]) == ("ok", 2, answer["key"])
    assert answer["jwe"] not in printed
    assert PUBLIC.splitlines()[1] not in printed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("public_key", None),
        ("public_key", PRIVATE),
        ("public_key", "ssh-ed25519 AAAA"),
        ("owner", ".."),
        ("per_second", 0),
        ("per_second", 101),
        ("cursor", "Li4v"),
        ("cursor", "\u00e4"),
        ("connection_id", "some"),
    ],
)
def test_bad_field_is_named(
    application: Application,
    aws_calls: list[AwsCall],
    capsys: pytest.CaptureFixture[str],
    field: str,
    value: object,
) -> None:
    """Nothing is read, and nothing of what came is repeated, in the answer or in the log."""
    # when
    answer = application.call("export", **{"public_key": PUBLIC, field: value})

    # then
    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith(f"{field}: ")
    assert aws_calls == []
    assert PRIVATE.splitlines()[1] not in json.dumps(answer) + capsys.readouterr().out


def test_no_route_leads_to_it(application: Application, browser: Browser, aws_calls: list[AwsCall]) -> None:
    """Only who may invoke the function gets anything; and it writes nothing."""
    # given
    browser.connect(connection_id=fresh())
    aws_calls.clear()

    # when
    by_api = application.post("export", {"public_key": PUBLIC})
    application.call("export", public_key=PUBLIC, per_second=100)

    # then
    assert by_api.status_code == 404
    assert writes(aws_calls) == []
    assert {each.operation for each in aws_calls} == {"Scan", "Decrypt"}

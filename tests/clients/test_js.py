"""The client for Node.js: its own tests, its signature beside botocore's, its types, and tokens of the stack."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from functions.vault.base.errors import BY_CODE
from tests.documents import page, programs
from tests.requirements import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from local.stack import Stack
    from tests.browser import Browser

NODE = shutil.which("node") or "node"
CLIENT = ROOT / "clients" / "js" / "gatehouse.mjs"

pytestmark = pytest.mark.needs_aws_sdk_for_javascript


def run(program: str, **environment: str) -> Any:
    """Run a module that imports the client, and return the JSON that it prints."""
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", program],
        cwd=ROOT,
        env={**os.environ, "AWS_REGION": "us-east-1", **environment},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_its_own_tests_pass() -> None:
    """They run against services with prepared answers, and know all codes of Gatehouse."""
    done = subprocess.run(
        [NODE, "--test", "tests/clients/js/"],
        cwd=ROOT,
        env={**os.environ, "CODES": json.dumps(list(BY_CODE))},
        capture_output=True,
        check=False,
        text=True,
    )

    assert done.returncode == 0, done.stdout
    passed = re.search(r"pass (\d+)", done.stdout)
    assert passed
    assert int(passed[1]) >= 30


def test_it_gets_tokens_from_the_stack_by_invoke_and_by_http(stack: Stack, browser: Browser) -> None:
    """Unchanged, with the variables that lead boto3 to the stack, too."""
    connection_id = browser.connect(connection_id="client-js", owner="client-acme")
    vended = stack.invoke("token", {"connection_id": connection_id})
    assert vended is not None
    program = f"""
        import {{ Gatehouse }} from {json.dumps(str(CLIENT))};
        const url = {json.dumps(stack.base_url)};
        const options = [{{}}, {{ url }}, {{ url, owner: "client-acme" }}, {{ url, connection: true }}];
        const tokens = options.map((each) => new Gatehouse(each).token({json.dumps(connection_id)}));
        const listed = [];
        const ours = new Gatehouse().connections({{ owner: "client-acme" }});
        for await (const each of ours) listed.push(each.connection_id);
        console.log(JSON.stringify({{ tokens: (await Promise.all(tokens)).map((each) => each.accessToken), listed }}));
    """

    answer = run(program, AWS_ENDPOINT_URL_LAMBDA=stack.local_url)

    assert answer["tokens"] == [vended["access_token"]] * 4
    assert connection_id in answer["listed"]


def test_it_signs_as_botocore_does() -> None:
    """The signature is the same, letter by letter, with and without a session token."""
    url = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1/owners/acme_1.x-y/token"
    body = json.dumps({"connection_id": "shop-1"})
    wanted, calls = [], []
    for session_token in (None, "a-session-token"):
        request = AWSRequest("POST", url, headers={"content-type": "application/json"}, data=body.encode())
        SigV4Auth(Credentials("AKIDEXAMPLE", "secret", session_token), "execute-api", "eu-west-1").add_auth(request)
        wanted.append([request.headers["Authorization"], session_token])
        at = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        keys = {"accessKeyId": "AKIDEXAMPLE", "secretAccessKey": "secret", "sessionToken": session_token}
        arguments = ", ".join(map(json.dumps, (url, body, {"credentials": keys, "region": "eu-west-1"})))
        calls.append(f"signed({arguments}, new Date({json.dumps(at.isoformat())}))")

    headers = run(
        f"import {{ signed }} from {json.dumps(str(CLIENT))}; console.log(JSON.stringify([{', '.join(calls)}]));"
    )

    assert [[each["authorization"], each.get("x-amz-security-token")] for each in headers] == wanted


def test_the_programs_of_the_documents_run(stack: Stack, browser: Browser, tmp_path: Path) -> None:
    """With the file beside them, as somebody has it who copied it."""
    browser.connect(connection_id="shop-1")
    vended = stack.invoke("token", {"connection_id": "shop-1"})
    assert vended is not None
    shutil.copy(CLIENT, tmp_path)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    (tmp_path / "handler.mjs").write_text(programs(page("clients/js/README.md"), "js")[0], encoding="utf-8")
    (calling,) = programs(page("docs/calling.md"), "js")
    (tmp_path / "all.mjs").write_text(
        calling.replace("console.log", "void ")
        + """
        import { handler } from "./handler.mjs";
        const context = { getRemainingTimeInMillis: () => 30_000 };
        console.log(JSON.stringify([token.accessToken, await handler({ connectionId: "js-nobody" }, context)]));
        """,
        encoding="utf-8",
    )

    token, answer = run(
        f"await import({json.dumps(str(tmp_path / 'all.mjs'))});", AWS_ENDPOINT_URL_LAMBDA=stack.local_url
    )

    assert token == vended["access_token"]
    assert answer["connect"].startswith(f"{stack.base_url}/authorize/")


def test_the_types_name_what_the_module_has() -> None:
    """Every export, and every method of the client."""
    exported = run(
        f"import * as all from {json.dumps(str(CLIENT))};"
        "const methods = Object.getOwnPropertyNames(all.Gatehouse.prototype);"
        "console.log(JSON.stringify({ all: Object.keys(all), methods }));"
    )
    types = CLIENT.with_name("gatehouse.d.mts").read_text(encoding="utf-8")

    assert set(re.findall(r"^export (?:class|const|function) (\w+)", types, re.MULTILINE)) == set(exported["all"])
    methods = re.search(r"^export class Gatehouse \{\n(.*?)^\}", types, re.MULTILINE | re.DOTALL)
    assert methods
    assert set(re.findall(r"^  (\w+)\(", methods[1], re.MULTILINE)) == set(exported["methods"])

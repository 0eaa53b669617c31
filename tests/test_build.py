"""The build is complete: each function works with its own folder alone, without this checkout."""

from __future__ import annotations

import ast
import importlib.util
import json
import marshal
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.aws.cloudformation import STACK_NAME
from tests.built import NO_AWS
from tests.functions import FUNCTIONS, logical_name
from tests.requirements import ROOT
from tools import build, interpreters, trim
from tools.describe import description

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.stack import Stack

LOCKS = ("requirements.txt", "requirements-local.txt", "requirements-dev.txt")
EM_AARCH64 = 183
UNCHECKED_HASH = 0b01

# Loads a handler the way Lambda does, with only the built folder and the standard library on the path.
AS_LAMBDA = """
import importlib, json, sys
from types import SimpleNamespace
folder, handler = sys.argv[1:]
sys.path.insert(0, folder)
module, _, name = handler.rpartition(".")
event = json.load(sys.stdin)
alias = "http" if "requestContext" in event else "live"
context = SimpleNamespace(
    aws_request_id="1",
    function_name=name,
    invoked_function_arn=f"arn:aws:lambda:us-east-1:000000000000:function:here:{alias}",
    get_remaining_time_in_millis=lambda: 10_000,
)
answer = getattr(importlib.import_module(module), name)(event, context)
strangers = {
    m.__file__ for m in list(sys.modules.values())
    if "site-packages" in (getattr(m, "__file__", None) or "")
}
print(json.dumps({"answer": answer, "strangers": sorted(strangers)}))
"""


def run_isolated(
    code: str, *arguments: str, stdin: str = "", env: Mapping[str, str], cwd: Path, python: str = sys.executable
) -> str:
    """Run Python code as `isolated` does, and return the last line that it printed."""
    return isolated(code, *arguments, stdin=stdin, env=env, cwd=cwd, python=python)[-1]


def isolated(
    code: str, *arguments: str, stdin: str = "", env: Mapping[str, str], cwd: Path, python: str = sys.executable
) -> list[str]:
    """Run Python code without installed packages (-I, -S), and return the lines that it printed."""
    command = [python, "-I", "-S", "-B", "-c", code, *arguments]
    done = subprocess.run(command, input=stdin, env=dict(env), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def magic_number(python: str) -> int:
    """Return the magic number of an interpreter's bytecode."""
    asked = "import importlib.util; print(int.from_bytes(importlib.util.MAGIC_NUMBER[:2], 'little'))"
    return int(subprocess.run([python, "-I", "-c", asked], capture_output=True, text=True, check=True).stdout)


def invoke(folder: Path, name: str, event: Any, cwd: Path, env: Mapping[str, str] = NO_AWS, **how: str) -> Any:
    """Return a built function's answer to an event."""
    handler = f"functions.{name}.handler"
    said = json.loads(run_isolated(AS_LAMBDA, str(folder), handler, stdin=json.dumps(event), env=env, cwd=cwd, **how))
    assert said["strangers"] == [], "it took modules from outside its folder"
    return said["answer"]


@cache
def lambdas_python() -> str | None:
    """Return a Python that compiles for Lambda; None if this machine has no Python 3.13."""
    try:
        return build.compiler(os.environ)
    except build.Refused:
        return None


def http_event(route: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the HTTP API's event for a browser's request without cookies."""
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": "/",
        "rawQueryString": "result=refused",
        "headers": {},
        "pathParameters": dict(parameters),
        "requestContext": {"http": {"method": "GET", "path": "/"}, "stage": "$default"},
        "isBase64Encoded": False,
    }


def sam_build(folder: Path, env: Mapping[str, str], *names: str) -> subprocess.CompletedProcess[str]:
    """Run `sam build` into a folder, for all functions or some. Return the process, with its output in one text."""
    sam = ROOT / ".venv-sam" / "bin" / "sam"
    found = str(sam) if sam.exists() else shutil.which("sam")
    assert found, "SAM CLI is not here: `make .venv-sam/stamp` installs it"
    env = {**env, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1", "PYTHON": sys.executable}
    command = [found, "build", *names, "--build-dir", str(folder)]
    return subprocess.run(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


@pytest.fixture(scope="session")
def for_lambda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder with the functions that SAM built from the template, with bytecode if there is a Python 3.13."""
    folder = tmp_path_factory.mktemp("sam")
    # The variables of the person who runs the tests must not change what is tested.
    env = {name: value for name, value in os.environ.items() if name not in {"GATEHOUSE_BUILD", "GATEHOUSE_BYTECODE"}}
    done = sam_build(folder, env if lambdas_python() else env | {"GATEHOUSE_BYTECODE": "none"})
    assert done.returncode == 0, done.stdout
    return folder


@dataclass(frozen=True)
class Attempt:
    """A `sam build` into a folder: its exit code and its output on the terminal."""

    folder: Path
    returncode: int
    terminal: str


@pytest.fixture(scope="session")
def without_lambdas_python(tmp_path_factory: pytest.TempPathFactory) -> tuple[Attempt, Attempt]:
    """Run SAM without a Python that compiles for Lambda: by default, and with GATEHOUSE_BYTECODE=none."""
    home = tmp_path_factory.mktemp("home")
    for name in ("make", "sh"):
        (home / name).symlink_to(shutil.which(name) or name)
    env = {"PATH": str(home), "HOME": str(home)}
    # If the tests run on Python 3.13, build for a runtime whose bytecode that does not make.
    if magic_number(sys.executable) == build.LAMBDA_MAGIC_NUMBER:
        env["GATEHOUSE_BUILD_ARGS"] = "--magic-number 1"
    build.package(for_lambda=True, python=None)  # now, because pip may need the real HOME

    def attempt(names: tuple[str, ...], more: dict[str, str]) -> Attempt:
        folder = tmp_path_factory.mktemp("sam") / "built"
        done = sam_build(folder, env | more, *names)
        return Attempt(folder, done.returncode, done.stdout)

    with ThreadPoolExecutor() as together:
        all_of_them = together.submit(attempt, (), {})
        one_without_bytecode = together.submit(attempt, ("TokenFunction",), {"GATEHOUSE_BYTECODE": "none"})
        return all_of_them.result(), one_without_bytecode.result()


@pytest.fixture(scope="session")
def for_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build for the interpreter that runs the tests."""
    folder = tmp_path_factory.mktemp("host")
    command = [sys.executable, "-m", "tools.build", str(folder)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "GATEHOUSE_BUILD": "host"}, capture_output=True, check=True)
    return folder


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_deployed_function_needs_only_its_own_folder(name: str, for_lambda: Path, tmp_path: Path) -> None:
    """SAM's build has everything that a function imports, with modules compiled for Lambda's processor."""
    folder = for_lambda / f"{logical_name(name)}Function"

    answer = invoke(folder, name, ["nonsense"], tmp_path, python=lambdas_python() or sys.executable)

    assert answer["error"] == "invalid_request"
    assert answer["retryable"] is False


@pytest.mark.parametrize(
    ("name", "route", "parameters"),
    [
        ("authorize", "GET /authorize/{ticket}", {"ticket": "nonsense"}),
        ("callback", "GET /callback/{provider}", {"provider": "-"}),
    ],
)
def test_a_deployed_function_has_its_pages(
    name: str, route: str, parameters: dict[str, str], for_lambda: Path, tmp_path: Path
) -> None:
    """A browser without a cookie gets a whole page: the templates are in the build."""
    folder = for_lambda / f"{logical_name(name)}Function"

    answer = invoke(folder, name, http_event(route, parameters), tmp_path, python=lambdas_python() or sys.executable)

    assert 400 <= answer["statusCode"] < 500
    assert answer["body"].startswith("<!doctype html>")


def test_the_built_functions_answer_on_this_machine(for_host: Path, tmp_path: Path) -> None:
    """The same build for this interpreter answers the same; each by itself, as above, would show no more."""
    code = f"""
import io, sys
folder, *handlers = sys.argv[1:]
for handler in handlers:
    sys.argv[1:], sys.stdin = [folder, handler], io.StringIO('["nonsense"]')
    exec({AS_LAMBDA!r})
"""
    handlers = [f"functions.{name}.handler" for name in FUNCTIONS]

    printed = isolated(code, str(for_host), *handlers, env=NO_AWS, cwd=tmp_path)

    said = [json.loads(line) for line in printed if line.startswith('{"answer"')]
    assert [each["answer"]["error"] for each in said] == ["invalid_request"] * len(FUNCTIONS)
    assert said[-1]["strangers"] == []


def test_a_built_function_works(for_host: Path, stack: Stack, tmp_path: Path) -> None:
    """With the environment of a deployment it does its work, and needs nothing that the build has left out."""
    # given
    client = boto3.client("lambda", endpoint_url=stack.aws_endpoint)
    deployed = client.get_function_configuration(FunctionName=f"{STACK_NAME}-start")["Environment"]["Variables"]
    env = NO_AWS | deployed | {"AWS_ENDPOINT_URL": stack.aws_endpoint}

    # when
    answer = invoke(for_host, "start", {"provider": "ultracart"}, tmp_path, env)

    # then
    assert answer["authorize_url"].startswith(f"{stack.base_url}/authorize/")


def test_a_built_function_can_seal(for_host: Path, tmp_path: Path) -> None:
    """Its compiled modules load, and seal a token set."""
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
key = AESGCM(AESGCM.generate_key(256))
print(key.decrypt(b"0" * 12, key.encrypt(b"0" * 12, b"sealed", b"context"), b"context").decode())
"""

    assert run_isolated(code, str(for_host), env=NO_AWS, cwd=tmp_path) == "sealed"


def test_all_compiled_modules_are_for_lambda(for_lambda: Path) -> None:
    """With a module for the machine that built it, Lambda would fail at the first import."""
    compiled = list(for_lambda.rglob("*.so"))

    assert any("cryptography" in found.parts for found in compiled)
    for found in compiled:
        header = found.read_bytes()[:20]
        assert header.startswith(b"\x7fELF"), found
        assert int.from_bytes(header[18:20], "little") == EM_AARCH64, found


def test_a_built_function_holds_nothing_else(for_lambda: Path) -> None:
    """It holds the package, its data and its pinned dependencies: no tests, no tools, no stray files."""
    folder = for_lambda / "TokenFunction"
    metadata = folder.glob("*.dist-info/METADATA")
    names = {re.findall(r"^Name: (.+)$", found.read_text("utf-8"), re.MULTILINE)[0].lower() for found in metadata}
    pinned = {name.lower() for name in pins("requirements.txt")}

    assert {name.replace("_", "-") for name in names} == pinned
    assert list((folder / "functions" / "providers").glob("*.toml"))
    assert list((folder / "functions" / "web" / "templates").glob("*.html"))
    for stranger in ("local", "tests", "tools", "examples", "moto", ".venv", ".git", "bin", "template.yaml"):
        assert not (folder / stranger).exists()
    assert sum(found.stat().st_size for found in folder.rglob("*") if found.is_file()) < 30 * 1024 * 1024


def test_what_a_function_is_made_of_lies_beside_it(for_lambda: Path) -> None:
    """There is one file for all functions, about the wheels for Lambda, and no function has it in its package."""
    bill = json.loads((for_lambda / "gatehouse.cdx.json").read_text("utf-8"))
    shipped = {each["name"]: each for each in bill["components"]}

    assert shipped.keys() == pins("requirements.txt").keys() | {"AWS Lambda runtime python"}
    assert any("aarch64" in part["value"] for part in shipped["charset-normalizer"]["properties"])
    assert not list(for_lambda.glob("*Function/*.json"))


def test_lambda_gets_bytecode_that_its_python_reads(for_lambda: Path) -> None:
    """It would ignore another version's. There is none if the tests ask for a build without bytecode."""
    folder = for_lambda / "TokenFunction"
    python = lambdas_python()
    compiled = {found.read_bytes()[:4] for found in folder.rglob("*.pyc")}

    assert compiled == ({(3571).to_bytes(2, "little") + b"\r\n"} if python else set())
    assert (folder / "botocore" / "session.py").exists() == (python is None)


def test_the_magic_number_is_that_of_lambdas_python() -> None:
    """Every Python 3.13 on this machine has the number that the build expects, and no other version has it."""
    paths = [sys.executable, *interpreters.installed(build.LAMBDA_PYTHON, os.environ)]
    here = [found for path in paths if (found := interpreters.ask(path))]

    assert here
    for each in here:
        if re.fullmatch(r"CPython 3\.13\.\d+\+?", each.name):
            assert each.magic_number == build.LAMBDA_MAGIC_NUMBER, each
        elif not each.name.startswith("CPython 3.13."):
            assert each.magic_number != build.LAMBDA_MAGIC_NUMBER, each


def test_a_built_module_is_loaded_without_checking_its_source(for_host: Path) -> None:
    """Our modules have their bytecode beside them, to be loaded unchecked. Of the others there is only the bytecode.

    It names the folder to which Lambda unpacks the package, so that the log of a defect has the right paths.
    """
    sources = list(for_host.rglob("*.py"))
    ours = {Path(importlib.util.cache_from_source(str(module))): module for module in sources}
    others = {module: module.with_suffix(".py") for module in for_host.rglob("*.pyc") if module not in ours}

    assert {module.relative_to(for_host).parts[0] for module in sources} == {"functions"}
    assert len(ours) > 30
    assert len(others) > 200
    for bytecode, module in (ours | others).items():
        compiled = bytecode.read_bytes()
        assert compiled[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(compiled[4:8], "little") == UNCHECKED_HASH, module
        assert marshal.loads(compiled[16:]).co_filename == f"/var/task/{module.relative_to(for_host)}"  # noqa: S302 - ours


def test_sam_says_how_to_go_on_without_lambdas_python(without_lambdas_python: tuple[Attempt, Attempt]) -> None:
    """The build fails, and the terminal shows once what is missing and what to do.

    A warning would not do: SAM shows none if a build succeeds.
    """
    done, _ = without_lambdas_python

    slower = f"{build.SLOWER_WITHOUT_BYTECODE} times as long"
    assert done.returncode == 1
    assert "Build Failed" in done.terminal
    assert done.terminal.count("Python 3.13 was not found.") == 1
    assert f"Tried: {sys.executable} (" in done.terminal
    assert done.terminal.count("\n- Install Python 3.13, ") == 1
    assert done.terminal.count(": export GATEHOUSE_LAMBDA_PYTHON=/path/to/python3.13\n") == 1
    assert done.terminal.count(f"takes {slower}: export GATEHOUSE_BYTECODE=none\n") == 1
    assert "Traceback" not in done.terminal
    assert not list(done.folder.rglob("*.py"))


def test_sam_builds_without_bytecode_on_request(without_lambdas_python: tuple[Attempt, Attempt]) -> None:
    """After the step that the failed build suggested, the function has only its sources."""
    _, done = without_lambdas_python

    function = done.folder / "TokenFunction"
    assert done.returncode == 0, done.terminal
    assert not list(function.rglob("*.pyc"))
    assert (function / "functions" / "token.py").exists()
    assert (function / "botocore" / "session.py").exists()


def test_the_cost_of_a_build_without_bytecode_was_measured() -> None:
    """The build prints the figure of docs/performance.md. After new measurements, tools/build.py has to change, too."""
    performance = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    measured = re.search(r"^\| without bytecode \| \*\*([\d.]+)\*\*", performance, re.MULTILINE)

    assert measured
    assert float(measured[1]) == build.SLOWER_WITHOUT_BYTECODE


def test_the_documents_say_what_a_build_needs() -> None:
    """The README names Lambda's Python and make, and its page on building says what to do without them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Deploy it")[2]
    deploying = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")

    assert f"make and Python {build.LAMBDA_PYTHON}: " in " ".join(readme.partition("**1. Deploy.**")[0].split())
    assert "GATEHOUSE_LAMBDA_PYTHON=/path/to/python3.13 sam build" in deploying
    assert "GATEHOUSE_BYTECODE=none sam build" in deploying


@pytest.mark.parametrize("named", ["unfit", "absent", "shim"])
def test_an_unsuitable_python_that_was_named_is_refused(named: str, tmp_path: Path) -> None:
    """The error says what it is and what is needed. No other is used instead."""
    # given
    shim = tmp_path / "shim"
    shim.write_text("#!/bin/sh\necho 'python3.13: command not found' >&2\nexit 127\n", "utf-8")
    shim.chmod(0o755)
    own = magic_number(sys.executable)
    path = {"unfit": sys.executable, "absent": str(tmp_path / "absent"), "shim": str(shim)}[named]
    wanted = own + 1 if named == "unfit" else own
    command = [sys.executable, "-m", "tools.build", "--magic-number", str(wanted), str(tmp_path / "built")]

    # when
    env = {**os.environ, "GATEHOUSE_LAMBDA_PYTHON": path}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    # then
    itself = f"{platform.python_implementation()} {platform.python_version()}, magic number {own}"
    what = f"{path} ({itself if named == 'unfit' else 'does not run as Python'})"
    assert done.returncode == 2
    assert f"GATEHOUSE_LAMBDA_PYTHON names {what}." in done.stderr
    assert f"Lambda reads the bytecode of Python 3.13 alone (magic number {wanted})." in done.stderr
    assert "export GATEHOUSE_BYTECODE=none" in done.stderr
    assert not (tmp_path / "built").exists()


def test_a_named_python_takes_precedence(tmp_path: Path) -> None:
    """The variable has a path, or a command on the PATH. Without it, the Python that builds is used if it fits."""
    # given
    named = tmp_path / "mine"
    named.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    named.chmod(0o755)
    nothing_else = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
    own = magic_number(sys.executable)

    # when
    by_path = build.compiler(nothing_else | {"GATEHOUSE_LAMBDA_PYTHON": str(named)}, own)
    by_name = build.compiler(nothing_else | {"GATEHOUSE_LAMBDA_PYTHON": "mine"}, own)
    unnamed = build.compiler(nothing_else, own)

    # then
    assert (by_path, by_name, unnamed) == (str(named), str(named), sys.executable)


def test_the_build_ends_with_a_summary(for_lambda: Path) -> None:
    """`make build` prints what SAM does not: how large a function is, whether it has bytecode, what it is made of."""
    # given
    command = [
        "make",
        "--no-print-directory",
        "--old-file",
        ".venv-sam/stamp",
        "build",
        "SAM=true",
        f"BUILT={for_lambda}",
    ]
    files = [found for found in (for_lambda / "TokenFunction").rglob("*") if found.is_file()]

    # when
    done = subprocess.run([*command, f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, text=True, check=True)

    # then
    size = f"{sum(found.stat().st_size for found in files) / 1e6:.1f} MB"
    with_bytecode = f"Each function is {size}, with bytecode for Lambda's Python 3.13 (magic number 3571)."
    without = (
        f"Each function is {size}, without bytecode: a cold start takes {build.SLOWER_WITHOUT_BYTECODE} times as long."
    )
    described, materials, allowed, following = done.stdout.splitlines()[-4:]
    assert described == (with_bytecode if lambdas_python() else without)
    lists = r"lists 16 packages, 11 of them modified, and \d\d parts of them\."
    assert re.fullmatch(rf"Bill of materials: {for_lambda}/gatehouse\.cdx\.json \(CycloneDX 1\.6\) {lists}", materials)
    assert allowed == "Licences: all of them are allowed, certifi (MPL-2.0) by exception."
    # SAM's own last word is `sam deploy --guided`, and its command may not be on the PATH.
    assert following.startswith("Next: .venv-sam/bin/sam deploy, without --guided.")


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((), f"without bytecode: a cold start takes {build.SLOWER_WITHOUT_BYTECODE} times as long."),
        ((3571, 3571), "with bytecode for Lambda's Python 3.13 (magic number 3571)."),
        ((3571, 3495), "with bytecode that Lambda's Python 3.13 does not read (magic number 3495)."),
    ],
)
def test_the_summary_says_which_python_reads_the_bytecode(numbers: tuple[int, ...], said: str, tmp_path: Path) -> None:
    """A build for another Python by mistake is not called a function for Lambda."""
    (tmp_path / "token.py").write_bytes(b"#" * 1_200_000)
    for index, number in enumerate(numbers):
        (tmp_path / f"{index}.pyc").write_bytes(number.to_bytes(2, "little") + b"\r\n")

    assert description(tmp_path) == f"Each function is 1.2 MB, {said}"


@pytest.mark.parametrize(
    ("variable", "word", "said"),
    [
        ("GATEHOUSE_BUILD", "x86", "it has to be lambda (the default) or host"),
        ("GATEHOUSE_BYTECODE", "no", "it has to be none, for a build without bytecode, or unset"),
    ],
)
def test_an_unknown_kind_of_build_is_refused(variable: str, word: str, said: str, tmp_path: Path) -> None:
    """The error names the variable, and nothing is built."""
    command = [sys.executable, "-m", "tools.build", str(tmp_path / "built")]

    env = {**os.environ, variable: word}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert f"{variable} is '{word}'; {said}" in done.stderr
    assert not (tmp_path / "built").exists()


def test_all_functions_are_uploaded_as_one_archive(for_lambda: Path) -> None:
    """All folders have the same content, and `sam deploy` uploads each content once."""
    contents = [
        {(str(f.relative_to(folder)), f.stat().st_size) for f in folder.rglob("*") if f.is_file()}
        for folder in (for_lambda / f"{logical_name(name)}Function" for name in FUNCTIONS)
    ]

    assert all(content == contents[0] for content in contents)


def test_the_built_botocore_knows_every_service_in_use() -> None:
    """The build keeps each service that the code has a client for, and no other."""
    nodes = [
        node for path in (ROOT / "functions").rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))
    ]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    asked = [call.args[0] for call in calls if call.args and ast.unparse(call.func).endswith(("client_of", "clients"))]
    made = [word.value for call in calls for word in call.keywords if word.arg == "clients"]
    named = [*asked, *(entry for each in made if isinstance(each, ast.Tuple) for entry in each.elts)]
    services = {name.value for name in named if isinstance(name, ast.Constant)}

    assert services == set(trim.OPERATIONS)


def pins(name: str) -> dict[str, str]:
    """Return the pinned versions of a requirements file by package."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line) for line in lines]
    return {match[1]: match[2] for match in found if match}


def test_the_tests_run_with_the_deployed_versions() -> None:
    """The tested version of each package is the version that is shipped."""
    runtime, local, dev = map(pins, LOCKS)

    assert runtime.items() <= local.items() <= dev.items()


@pytest.mark.parametrize(
    "name", [*LOCKS, *(f"requirements-{name}.txt" for name in ("sam", "bench", "checkov", "deploy", "mutation"))]
)
def test_every_pin_has_its_hash(name: str) -> None:
    """A package that was changed after it was pinned is not installed. No pin says where to get the package."""
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text)

    pinned = [entry for entry in entries if "==" in entry]

    assert len(pinned) == len(re.findall(r"^[^\s#]", text, re.MULTILINE))
    assert all("--hash=sha256:" in entry for entry in pinned)
    assert "://" not in text


def test_a_python_that_is_too_old_is_reported() -> None:
    """The error says what is needed and how to name another Python, without a traceback."""
    command = ["make", "--no-print-directory", "require-python"]

    none = subprocess.run([*command, "PYTHON="], cwd=ROOT, capture_output=True, text=True, check=False)
    unfit = subprocess.run([*command, "PYTHON=false"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "Gatehouse needs Python 3.11 or newer" in none.stderr
    assert "PYTHON=/path/to/python3" in none.stderr
    assert "Gatehouse needs Python 3.11 or newer, and false is not." in unfit.stderr
    assert none.returncode == unfit.returncode == 2

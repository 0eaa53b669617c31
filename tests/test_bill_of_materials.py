"""The bill of materials says what is really in the package, and a licence that is not allowed ends the build."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import ROOT
from tools import bill_of_materials, build, licences, trim

UNCHANGED = {"certifi", "cryptography", "python-dateutil", "six", "typing-extensions"}


@cache
def bill() -> dict[str, Any]:
    """Return the bill of materials of the package that the tests run."""
    document: dict[str, Any] = json.loads(
        (build.installed(for_lambda=False) / bill_of_materials.NAME).read_text("utf-8")
    )
    return document


def packages() -> dict[str, dict[str, Any]]:
    """Return the components that are packages, by name."""
    return {each["name"]: each for each in bill()["components"] if each["type"] == "library"}


def files(component: dict[str, Any], kind: str) -> set[str]:
    """Return the files that a component names as changed in one way."""
    return {each["value"] for each in component.get("properties", ()) if each["name"] == f"gatehouse:{kind}"}


def test_it_is_what_cyclonedx_reads() -> None:
    """CycloneDX's own schema accepts it, in the strict form that takes no unknown key."""
    version = importlib.import_module("cyclonedx.schema").SchemaVersion.V1_6
    validator = importlib.import_module("cyclonedx.validation.json").JsonStrictValidator(version)

    error = validator.validate_str(json.dumps(bill()))

    assert error is None, error


def test_it_names_each_pinned_package_and_its_wheel() -> None:
    """Version and hash are those that requirements.txt has pinned; a scanner finds the package by its purl."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.txt").read_text("utf-8"))
    pinned = {found[1]: (found[2], entry) for entry in entries if (found := re.match(r"([\w.-]+)==([^ ;\\]+)", entry))}

    assert packages().keys() == pinned.keys()
    for name, component in packages().items():
        version, entry = pinned[name]
        wheel = component if name in UNCHANGED else component["pedigree"]["ancestors"][0]
        assert component["version"] == wheel["version"] == version
        assert component["purl"] == wheel["purl"] == f"pkg:pypi/{name}@{version}"
        assert [each["alg"] for each in wheel["hashes"]] == ["SHA-256"]
        assert f"--hash=sha256:{wheel['hashes'][0]['content']}" in entry


def test_what_is_trimmed_is_named_as_modified() -> None:
    """Each module that is left hollow and each that is left out is named, with the package that it was before."""
    every = packages()
    emptied = {path for component in every.values() for path in files(component, "emptied")}
    left_out = {path.rstrip("/") for component in every.values() for path in files(component, "left-out")}
    hollow = {
        f"{package}/{module}.py"
        for package, left in trim.HOLLOW.items()
        for module, text in left.items()
        if text is not None
    }

    assert {name for name, component in every.items() if "pedigree" not in component} == UNCHANGED
    # A module that was empty before differs by the line that says that it is.
    assert emptied == hollow | trim.HOLLOW_MODULES.keys()
    assert left_out >= set(trim.UNUSED)
    assert "botocore/data/ec2" in left_out
    assert "botocore/data/kms" not in left_out
    assert "botocore/data/endpoints.json" in files(every["botocore"], "reduced")
    assert not [name for name, component in every.items() if "pedigree" in component and "hashes" in component]


def test_what_is_not_named_as_modified_is_as_it_was() -> None:
    """This environment has the same packages, in the same versions and whole: their files are compared one by one."""
    shipped = build.installed(for_lambda=False) / "packages"
    for name, component in packages().items():
        distribution = importlib.metadata.distribution(name)
        changed = {kind: files(component, kind) for kind in ("left-out", "emptied", "reduced", "written")}
        gone = changed["left-out"]
        folders = tuple(each for each in gone if each.endswith("/"))
        assert distribution.files
        for file in distribution.files:
            path = file.as_posix().removeprefix("../../../")
            if ".dist-info/" in path or "__pycache__" in path:
                continue
            lies_at = shipped / path
            assert lies_at.exists() != (path in gone or path.startswith(folders)), path
            if lies_at.exists():
                is_the_same = lies_at.read_bytes() == Path(str(file.locate())).read_bytes()
                assert is_the_same != (path in changed["emptied"] | changed["reduced"]), path


def test_it_holds_what_is_within_packages() -> None:
    """A flaw in OpenSSL is one in cryptography's wheel. What boto3 knows of AWS is data, each file with its hash."""
    shipped = build.installed(for_lambda=False) / "packages"
    within = {part["name"]: part for each in packages().values() for part in each.get("components", ())}
    data = {name for name, part in within.items() if part["type"] == "data"}

    assert re.fullmatch(r"pkg:generic/openssl@\d+\.\d+\.\d+", within["openssl"]["purl"])
    assert within["pyo3"]["purl"].startswith("pkg:cargo/pyo3@")
    assert "libffi" in within
    for service in trim.OPERATIONS:
        assert [name for name in data if re.fullmatch(rf"botocore/data/{service}/[\d-]+/service-2\.json", name)]
    assert {"botocore/data/endpoints.json", "certifi/cacert.pem"} <= data
    for name in data:
        assert within[name]["hashes"][0]["content"] == hashlib.sha256((shipped / name).read_bytes()).hexdigest()


def test_it_says_what_needs_what() -> None:
    """From a package with a flaw, one can follow who brings it in, up to what the functions import."""
    needs = {each["ref"]: each["dependsOn"] for each in bill()["dependencies"]}
    refs = {name: component["bom-ref"] for name, component in packages().items()}
    reached, waiting = set(), ["gatehouse"]
    while waiting:
        ref = waiting.pop()
        reached.add(ref)
        waiting += [other for other in needs.get(ref, ()) if other not in reached]

    assert reached == {"gatehouse", "runtime", *refs.values()}
    assert refs["s3transfer"] in needs[refs["boto3"]]


def test_the_runtime_is_among_it() -> None:
    """It runs the functions though it is not in their package, and what was built for Lambda says which it is."""
    described = build.runtime(for_lambda=True)
    here = next(each for each in bill()["components"] if each["bom-ref"] == "runtime")

    assert (described["name"], described["version"]) == ("AWS Lambda runtime python", build.LAMBDA_PYTHON)
    assert here["type"] == "platform"
    assert here["version"] == sys.version.split()[0]


def test_the_same_build_has_the_same_bill() -> None:
    """It holds no time and no chance, and nothing of the machine that built it."""
    folder = build.installed(for_lambda=False)
    written = (folder / bill_of_materials.NAME).read_text("utf-8")
    components = bill_of_materials.installed(folder / "packages", folder / "report.json")

    again = bill_of_materials.document(
        components, folder / "packages", build.imported(), build.runtime(for_lambda=False)
    )

    assert again == written
    assert str(ROOT) not in written
    assert "file:" not in written


def test_it_lies_beside_the_package(tmp_path: Path) -> None:
    """In the package it would cost every cold start something."""
    build.build(tmp_path / "TokenFunction", for_lambda=False, python=sys.executable)

    assert json.loads((tmp_path / bill_of_materials.NAME).read_text("utf-8")) == bill()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["TokenFunction", bill_of_materials.NAME]
    assert not list((tmp_path / "TokenFunction").glob("*.json"))


@pytest.mark.parametrize(
    "said",
    [
        "MIT",
        "Apache-2.0 OR GPL-2.0-only",
        "GPL-2.0-only OR (MIT AND BSD-3-Clause)",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "GPL-3.0-only AND MIT OR ISC",
    ],
)
def test_what_leaves_an_allowed_choice_may_be_shipped(said: str) -> None:
    """Of licences joined by OR one has to be allowed, of those joined by AND each: AND binds more closely."""
    licences.check([{"name": "a-package", "version": "1.0", "licenses": [{"expression": said}]}])


@pytest.mark.parametrize(
    "said",
    [
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "GPL-3.0-only OR AGPL-3.0-only",
        "MIT AND (GPL-3.0-only OR LGPL-3.0-only)",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "MPL-2.0",
        "no licence",
        "Dual License",
        "MIT OR",
        "(MIT",
        "MIT MIT",
        "",
    ],
)
def test_what_leaves_none_is_refused_by_name(said: str) -> None:
    """So is what is no expression of SPDX. The error names the package, and says what to do."""
    bad = [{"name": name, "version": "1.0", "licenses": [{"expression": said}]} for name in ("one", "another")]

    with pytest.raises(licences.NotAllowed) as error:
        licences.check(bad)

    assert f"- one 1.0: {said}\n- another 1.0: {said}\nDo one of these" in str(error.value)
    assert "tools/licences.py, with the reason" in str(error.value)


def test_an_exception_is_for_one_package_and_one_licence() -> None:
    """If it changes its licence, somebody looks again. Each exception that is left is in use."""
    changed = {"name": "certifi", "version": "1.0", "licenses": [{"expression": "GPL-3.0-only"}]}
    named = {part["name"] for part in bill_of_materials.with_parts(packages().values())}

    with pytest.raises(licences.NotAllowed):
        licences.check([changed])

    assert named >= licences.EXCEPTIONS.keys() | licences.NOT_NAMED.keys()


def test_a_build_ends_at_a_licence_that_is_not_allowed(tmp_path: Path) -> None:
    """Nothing is built, and the terminal says which package it is and how to go on."""
    # given
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "functions").mkdir()
    wheel = tmp_path / "strict-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("strict.py", "")
        information = "strict-1.0.dist-info"
        archive.writestr(
            f"{information}/METADATA",
            "Metadata-Version: 2.4\nName: strict\nVersion: 1.0\nLicense-Expression: AGPL-3.0-only\n",
        )
        archive.writestr(
            f"{information}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{information}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tmp_path / "requirements.txt").write_text(f"strict @ {wheel.as_uri()} --hash=sha256:{digest}\n", "utf-8")
    (tmp_path / "tools" / "requirements" / "runtime.in").write_text("strict\n", "utf-8")

    # when
    command = [sys.executable, "-m", "tools.build", "built"]
    env = {**os.environ, "GATEHOUSE_BUILD": "host"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    # then
    assert done.returncode == 2, done.stderr
    assert "- strict 1.0: AGPL-3.0-only\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "built").exists()

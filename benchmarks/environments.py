"""Execution environments: a function or a subject, the packages that it runs with, and a scene that answers it."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.runtime_api import RunningFunction, runtime_client
from tools import trim
from tools.build import compile_all, package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.scenes import Playing, Scene

ROOT = Path(__file__).parent.parent
SUBJECTS = Path(__file__).parent / "subjects"
PACKAGES = ROOT / ".venv-bench" / "packages"
"""What others run with, installed as `sam build` installs it: without bytecode, and never written to."""

GRANT = ROOT / ".venv-bench" / "grant"

_AWS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Subject:
    """What is started: a handler, the folders that it may import from, and its environment."""

    handler: str
    folders: tuple[Path, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] | None = None

    @contextmanager
    def running(self, playing: Playing, *, snap_start: bool = False) -> Iterator[RunningFunction]:
        """Start it, with AWS where the scene is played."""
        env = {name: value.replace("{here}", playing.url) for name, value in self.env.items()}
        env |= {**_AWS, "AWS_ENDPOINT_URL": playing.url}
        with RunningFunction(self.handler, env, *self.folders, command=self.command, snap_start=snap_start) as function:
            yield function

    def cold(self, playing: Playing, event: Any) -> tuple[float, float]:
        """Start it, invoke it once and end it; return the seconds until it asked for work, and until it answered."""
        with self.running(playing) as function:
            initialized = function.initialized()
            answer = function.invoke(event)
            _check(answer.document, failed=answer.failed, log=function.log)
            return initialized, initialized + answer.seconds


def _check(document: Any, *, failed: bool, log: str) -> None:
    """Raise ``AssertionError`` where an answer is not a success: a failure is soon had."""
    status = document.get("statusCode", 200) if isinstance(document, dict) else 200
    refused = isinstance(document, dict) and "error" in document
    assert not failed, f"{document}\n{log}"
    assert not refused, f"{document}\n{log}"
    assert status < 500, f"{document}\n{log}"


class Workshop:
    """Makes subjects; its folder holds the variants of packages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.built = package(for_lambda=False)
        self._client = runtime_client(_made(folder / "client"))
        self._subjects = folder / "subjects"
        shutil.copytree(SUBJECTS, self._subjects, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        self._compiled_subjects = folder / "compiled-subjects"
        shutil.copytree(self._subjects, self._compiled_subjects)
        compile_all(self._compiled_subjects, str(self._compiled_subjects), sys.executable)

    def function(self, scene: Scene, folder: Path | None = None) -> Subject:
        """Return a function as it is built, or as it is in another folder."""
        return Subject(f"functions.{scene.function}.handler", (folder or self.built, self._client), scene.env)

    def empty(self) -> Subject:
        """Return a handler that does nothing."""
        return Subject("empty.handler", (self._compiled_subjects, self._client))

    def minimum(self, scene: Scene) -> Subject:
        """Return what makes the scene's requests with the package's own libraries, and nothing else."""
        folders = (self._compiled_subjects, self.built, self._client)
        return Subject("minimum.handler", folders, {"PLAN": _plan(scene)})

    def ordinary(self, scene: Scene) -> Subject:
        """Return what makes the scene's requests as such functions are usually written, and as `sam build` ships it."""
        return Subject("ordinary.handler", (self._subjects, PACKAGES, self._client), {"PLAN": _plan(scene)})

    def ordinary_compiled(self, scene: Scene) -> Subject:
        """Return the same with its bytecode."""
        folders = (self._compiled_subjects, self._compiled_packages(), self._client)
        return Subject("ordinary.handler", folders, {"PLAN": _plan(scene)})

    def slack(self, *, compiled: bool = False) -> Subject:
        """Return slack-bolt's handler."""
        packages = self._compiled_packages() if compiled else PACKAGES
        subjects = self._compiled_subjects if compiled else self._subjects
        env = {
            "SLACK_API": "{here}/api/",
            "SLACK_STATE_S3_BUCKET_NAME": "states",
            "SLACK_INSTALLATION_S3_BUCKET_NAME": "installations",
        }
        return Subject("slack.handler", (subjects, packages, self._client), env)

    def authlib(self, scene: Scene, *, compiled: bool = False) -> Subject:
        """Return a refresh with Authlib, between a read and a write of the scene's table."""
        packages = self._compiled_packages() if compiled else PACKAGES
        subjects = self._compiled_subjects if compiled else self._subjects
        return Subject("authlib_refresh.handler", (subjects, packages, self._client), {"PLAN": _plan(scene)})

    def grant(self, handler: str = "index.cjs") -> Subject:
        """Return grant's handler, or another of its folder, under a runtime client of its own."""
        node = shutil.which("node") or "node"
        command = [node, str(GRANT / "runtime.mjs"), str(GRANT / handler)]
        return Subject(handler, (GRANT,), {"PROVIDER": "{here}"}, command)

    def without_bytecode(self) -> Path:
        """Return the package as it is built without bytecode."""
        return package(for_lambda=False, python=None)

    def with_sources(self) -> Path:
        """Return the built package with the sources of its dependencies beside their bytecode."""

        def put_back(folder: Path) -> None:
            shutil.rmtree(folder)
            shutil.copytree(self.without_bytecode(), folder)
            compile_all(folder, str(folder), sys.executable)

        return self._variant("with-sources", put_back)

    def with_nothing_hollow(self) -> Path:
        """Return the built package with all that its dependencies load."""

        def put_back(folder: Path) -> None:
            for name in trim.HOLLOW:
                shutil.rmtree(folder / name)
                shutil.copytree(PACKAGES / name, folder / name)
                compile_all(folder / name, str(folder / name), sys.executable, instead=True)
            for name in trim.HOLLOW_MODULES:
                shutil.copy2(PACKAGES / name, folder / name)
                package = (folder / name).parent
                compile_all(package, str(package), sys.executable, instead=True)

        return self._variant("nothing-hollow", put_back)

    def with_frozen_records(self) -> Path:
        """Return the built package with records that are what they are by Python's word, not the type checker's."""

        def put_back(folder: Path) -> None:
            record = folder / "functions" / "vault" / "base" / "record.py"
            record.write_text(record.read_text("utf-8").replace("slots=True, repr=False", "slots=True, frozen=True"))
            compile_all(folder / "functions", str(folder / "functions"), sys.executable)

        return self._variant("frozen-records", put_back)

    def with_collection(self) -> Path:
        """Return the built package with garbage collected while it is loaded."""

        def put_back(folder: Path) -> None:
            package = folder / "functions" / "__init__.py"
            package.write_text(package.read_text("utf-8").replace("gc.disable()", "pass"), "utf-8")
            compile_all(folder / "functions", str(folder / "functions"), sys.executable)

        return self._variant("with-collection", put_back)

    def with_all_of_botocore(self) -> Path:
        """Return the built package with the whole of botocore's data."""

        def put_back(folder: Path) -> None:
            shutil.rmtree(folder / "botocore" / "data")
            shutil.copytree(PACKAGES / "botocore" / "data", folder / "botocore" / "data")

        return self._variant("all-of-botocore", put_back)

    def _variant(self, name: str, change: Any) -> Path:
        made = self._folder / name
        if not made.exists():
            shutil.copytree(self.built, made)
            change(made)
        return made

    def _compiled_packages(self) -> Path:
        made = self._folder / "compiled-packages"
        if not made.exists():
            shutil.copytree(PACKAGES, made)
            compile_all(made, str(made), sys.executable)
        return made


def _plan(scene: Scene) -> str:
    calls = [(x.service, x.operation, x.document) for x in scene.exchanges]
    form = "grant_type=refresh_token&refresh_token=rt&client_id=client"
    provider = ["{here}/rest/v2/oauth/token", form] if scene.asks_the_provider else None
    return json.dumps({"calls": calls, "provider": provider})


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder

"""Runs tests on a changed module, in a process of its own that has everything loaded but Gatehouse.

A process is forked for each change. So pytest, boto3 and the like are loaded once, and no change outlives its tests.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path
    from types import CodeType, FrameType, ModuleType

# What tests load besides Gatehouse. It is loaded before the first fork.
_PRELOADED = ("boto3", "botocore.session", "cryptography.hazmat.primitives.ciphers.aead", "hypothesis", "jsonschema")
_NEEDS_A_SERVER = frozenset({"aws", "engine", "tables", "shared", "stack", "dynalite", "client_of"})

_MANY = 300
"""Tests that are named one by one; of more, their files are named."""

PATIENCE = 45
"""Seconds after which tests of a change that do not end count as failed: a loop has lost its end."""


class _Changed(importlib.machinery.SourceFileLoader):
    """Loads one module from a text in place of its file."""

    def __init__(self, name: str, path: Path, code: str) -> None:
        super().__init__(name, str(path))
        self._text = code

    def find_spec(self, fullname: str, _path: Any, _target: ModuleType | None = None) -> Any:
        """Return how to load the module, if it is the one: this is a finder as well."""
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        """Compile the text."""
        del fullname
        return compile(self._text, self.path, "exec", dont_inherit=True)


class _Only:
    """A plugin that leaves out tests that need a server, and notes the first one that fails."""

    def __init__(self) -> None:
        self.failed: str | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what is slow."""
        items[:] = [item for item in items if not _NEEDS_A_SERVER & set(getattr(item, "fixturenames", ()))]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that cannot be loaded."""
        if report.failed and self.failed is None:
            self.failed = f"{report.nodeid} cannot be loaded"


class _Lines(_Only):
    """A plugin that notes which lines of a package's modules each test runs, and how long the test takes."""

    def __init__(self, package: Path) -> None:
        super().__init__()
        self._package = f"{package}/"
        self.of: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        self.seconds: dict[str, float] = {}
        self._running = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch a test, with its fixtures."""
        self._running, began = item.nodeid, time.monotonic()
        sys.settrace(self._called)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.seconds[item.nodeid] = time.monotonic() - began

    def _called(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(self._package):
            return None
        lines = self.of[name][self._running]

        def at_line(inner: FrameType, _event: str, _argument: Any) -> Any:
            lines.add(inner.f_lineno)
            return at_line

        return at_line


@dataclass
class Tests:
    """The tests that run some of a module's lines: which lines each of them runs, and how long it takes."""

    lines: dict[str, set[int]]
    seconds: dict[str, float]

    def of_lines(self, first: int, last: int) -> list[str]:
        """Return the tests that run one of these lines, the quickest first; all of the module, if none does.

        Of very many, the first and then the files of all.
        """
        running = [name for name, lines in self.lines.items() if any(first <= line <= last for line in lines)]
        quickest = sorted(running or self.lines, key=lambda name: self.seconds.get(name, 0.0))
        if len(quickest) <= _MANY:
            return quickest
        return [*quickest[:_MANY], *dict.fromkeys(name.partition("::")[0] for name in quickest[_MANY:])]


def preload() -> None:
    """Load what the tests need besides Gatehouse."""
    for name in _PRELOADED:
        importlib.import_module(name)
    os.environ.setdefault("GATEHOUSE_FUNCTIONS", "source")


def watched(package: Path, files: Sequence[str]) -> Callable[[Path], Tests]:
    """Run tests, and return what says for a module which of them run which of its lines.

    Raises `RuntimeError` if one fails. What was found is kept until a file changes.
    """
    kept = ROOT / ".cache" / "mutation.json"
    digest = _digest_of([*package.rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    if found.get("digest") != digest:
        found = {"digest": digest} | _watch(package, files)
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(found), encoding="utf-8")

    def of(path: Path) -> Tests:
        return Tests({name: set(lines) for name, lines in found["lines"].get(str(path), {}).items()}, found["seconds"])

    return of


def _digest_of(files: Sequence[Path]) -> str:
    whole = sha256()
    for file in sorted(files):
        whole.update(file.read_bytes())
    return whole.hexdigest()


def _watch(package: Path, files: Sequence[str]) -> dict[str, Any]:
    def watch(write: Callable[[Any], None]) -> int:
        plugin = _Lines(package)
        code = _pytest(files, plugin)
        lines = {path: {name: sorted(each) for name, each in tests.items()} for path, tests in plugin.of.items()}
        write({"failed": plugin.failed, "lines": lines, "seconds": plugin.seconds})
        return code

    code, said = _forked(watch, 1800)
    if code != 0 or said is None:
        raise RuntimeError(f"the tests fail without a change: {said and said['failed']}")
    return dict(said)


def killer_of(module: str, path: Path, code: str, tests: Sequence[str], patience: int = PATIENCE) -> str | None:
    """Return the test that fails with a changed module; None if none does."""

    def run(write: Callable[[Any], None]) -> int:
        finder: Any = _Changed(module, path, code)
        sys.meta_path.insert(0, finder)
        plugin = _Only()
        status = _pytest(["-x", *tests], plugin)
        write(plugin.failed or f"pytest ended with {status}")
        return status

    status, said = _forked(run, patience)
    if status == 0:
        return None
    return str(said) if said is not None else "the tests did not end, or the process died"


def _pytest(arguments: Sequence[str], plugin: object) -> int:
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no", "--rootdir", str(ROOT)]
    quiet += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what is loaded already
    return int(pytest.main([*quiet, *arguments], plugins=[plugin]))


def _forked(work: Callable[[Callable[[Any], None]], int], patience: int) -> tuple[int, Any]:
    """Do something in a process of its own; return how it ended and what it wrote, None if nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_quiet()
        signal.alarm(patience)
        with os.fdopen(writing, "w", encoding="utf-8") as output:
            try:
                status = work(lambda said: json.dump(said, output))
            except BaseException:  # noqa: BLE001 - whatever it was, the change has made itself felt
                status = 3
            output.flush()
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as input_:
        text = input_.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), json.loads(text) if text else None


def _be_quiet() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1, 2):
        os.dup2(nothing, each)


def spans(source: str) -> Iterator[tuple[int, int]]:
    """Give the first and last line of each function."""
    import ast  # noqa: PLC0415 - of this alone

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            yield node.body[0].lineno, node.end_lineno

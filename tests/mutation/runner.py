"""Runs tests on a changed module, in a process of its own for each change: no change outlives its tests.

There are two ways. The fast one (`are_noticed_in_place`) forks a process that has loaded all code and collected the
tests, exchanges the code of functions in it, and runs the tests that call them. What tests make of Gatehouse while they
are loaded is then as it was. So it can miss a change, and it cannot make one outside of functions. What it does not
notice is for the other way (`killer_of`): it forks a process that has loaded only what does not load the module, and
loads the changed one there.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib.machinery
import importlib.util
import inspect
import json
import math
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import pytest

from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType, ModuleType

_OURS = frozenset({"functions", "local", "tests", "tools", "benchmarks", "gatehouse", "conftest", "__main__"})
_NEEDS_A_SERVER = frozenset({"aws", "engine", "tables", "shared", "stack", "dynalite"})

PATIENCE = 45
"""Seconds of computing after which tests of a change that do not end count as failed: a loop has lost its end.

On a busy machine they may take far longer. If they wait and compute nothing they are given twenty times as long.
"""


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


def preload(module: str, files: Sequence[str]) -> None:
    """Load what these tests load and the module is no part of, so that no process has to do it again."""
    os.environ.setdefault("GATEHOUSE_FUNCTIONS", "source")
    os.environ.setdefault("GATEHOUSE_CLIENT", "source")
    # Nobody else's bytecode is touched, and what is loaded again and again is compiled once.
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(ROOT / ".cache" / "mutation")

    def run(write: Callable[[Any], None]) -> int:
        status = _pytest(["--collect-only", *files], _Only())
        write({name: getattr(loaded, "__file__", None) for name, loaded in sys.modules.items()})
        return status

    status, said = _forked(run, 600)
    if status != 0 or said is None:
        raise RuntimeError("the tests cannot be loaded")
    for name in said.keys() - _those_that_load(module, said):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _those_that_load(module: str, files: dict[str, str | None]) -> set[str]:
    """Return the module, and all of ours among `files` that load it, directly or through others."""
    ours = {name: path for name, path in files.items() if path is not None and name.partition(".")[0] in _OURS}
    loads = {name: _loaded_by(name, Path(path)) for name, path in ours.items()}
    found, before = {module}, set[str]()
    while found != before:
        before = found
        found = found | {name for name, names in loads.items() if names & found}
    return found


def _loaded_by(name: str, path: Path) -> set[str]:
    """Return what a module imports, wherever in it; a name that it imports from a package may be a module too."""
    found = set[str]()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            found |= {base} | {f"{base}.{each.name}" for each in node.names}
    return found


class _InPlace(_Only):
    """A plugin that runs the collected tests for each change of a module, each time in a process of its own."""

    def __init__(self, module: str, path: Path, codes: Sequence[str], patience: int) -> None:
        super().__init__()
        self.are_noticed: list[bool] = []
        self._module, self._path, self._codes, self._patience = module, path, codes, patience
        self._longest: dict[str, int] = {}
        self._noticed_by: Counter[str] = Counter()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do that in place of running them; without a change all must pass."""
        calls = self._calls_of_each(session)
        gc.unfreeze()
        functions = [each for each in gc.get_objects() if type(each) is FunctionType]
        ours = [each for each in functions if each.__code__.co_filename == str(self._path)]
        gc.freeze()
        before = _compiled(self._path, self._path.read_text(encoding="utf-8"))
        for code in self._codes:
            changed = _changed_functions(before, _compiled(self._path, code))
            names = {new.co_qualname for new in changed or ()}
            items = [item for item, called in zip(session.items, calls, strict=True) if not names.isdisjoint(called)]
            # Whatever has noticed many changes will notice the next one too, as a rule.
            items.sort(key=lambda item: -self._noticed_by[item.nodeid])
            self.are_noticed.append(changed is not None and self._is_noticed(items, ours, changed, code))
        return True

    def _calls_of_each(self, session: pytest.Session) -> list[list[str]]:
        """Return the functions of the module that each test calls."""

        def run(write: Callable[[Any], None]) -> int:
            calls, seconds = [], []
            for item in session.items:
                began = time.monotonic()
                calls.append(sorted(_called_by(lambda: _run([item]), str(self._path))))  # noqa: B023 - it is over by then
                seconds.append(time.monotonic() - began)
            write((self.failed, calls, time.process_time(), seconds))
            return 0

        status, said = _forked(run, 10 * self._patience)
        if status != 0 or said[0] is not None:
            raise RuntimeError(f"the tests fail without a change: {said and said[0]}")
        # What takes far longer with a change does not end: it is not waited for as long as for the tests of everything.
        self._patience = min(self._patience, 5 + 3 * math.ceil(said[2]))
        # Nor is a test that waits, and computes nothing: what a client waits for may never come.
        self._longest = {
            item.nodeid: 20 + 5 * math.ceil(took) for item, took in zip(session.items, said[3], strict=True)
        }
        return list(said[1])

    def _is_noticed(
        self, items: Sequence[pytest.Item], ours: Sequence[FunctionType], changed: Sequence[CodeType], code: str
    ) -> bool:
        def run(write: Callable[[Any], None]) -> int:
            finder: Any = _Changed(self._module, self._path, code)  # if it is not loaded yet
            sys.meta_path.insert(0, finder)
            for new in changed:
                for function in ours:
                    if function.__code__.co_qualname == new.co_qualname:
                        function.__code__ = new
            _run(items, lambda: self.failed is not None, self._longest)
            write(self.failed)
            return int(self.failed is not None)

        status, noticed_by = _forked(run, self._patience) if items else (0, None)
        self._noticed_by.update([noticed_by] if noticed_by else [])
        return status != 0


def _run(
    items: Sequence[pytest.Item], is_over: Callable[[], bool] = lambda: False, longest: Mapping[str, int] | None = None
) -> None:
    """Run tests until it is over. `longest` is how many seconds each may take: then the process ends."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        if longest is not None:
            signal.alarm(longest[item.nodeid])
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if is_over():
            return


def _called_by(work: Callable[[], None], filename: str) -> set[str]:
    """Return the functions of a file that are called while something is done, also by threads that it starts."""
    found: set[str] = set()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename == filename:
            found.add(frame.f_code.co_qualname.partition(".<locals>")[0])

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return found


def are_noticed_in_place(
    module: str, path: Path, codes: Sequence[str], tests: Sequence[str], patience: int = PATIENCE
) -> list[bool]:
    """Return for each changed form of a module whether a test fails when its functions have that code."""

    def run(write: Callable[[Any], None]) -> int:
        plugin = _InPlace(module, path, codes, patience)
        status = _pytest(tests, plugin)
        write(plugin.are_noticed)
        return status

    _, said = _forked(run, 0)
    if said is None or len(said) != len(codes):
        raise RuntimeError("the tests fail without a change")
    return list(said)


def _compiled(path: Path, text: str) -> CodeType:
    return compile(text, str(path), "exec", dont_inherit=True)


def _changed_functions(before: CodeType, after: CodeType) -> list[CodeType] | None:
    """Return the functions that differ in two forms of a module or class; None if anything else does."""
    old, new = _inner(before), _inner(after)
    if _own(before) != _own(after) or len(old) != len(new):
        return None
    found: list[CodeType] = []
    for one, other in zip(old, new, strict=True):
        if one.co_flags & inspect.CO_OPTIMIZED:
            found += [] if _is_same(one, other) else [other]
            continue
        within = _changed_functions(one, other)
        if within is None:
            return None
        found += within
    return found


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _own(code: CodeType) -> tuple[Any, ...]:
    values = [(type(each), repr(each)) for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_name, code.co_code, code.co_names, code.co_varnames, code.co_freevars, values


def _is_same(one: CodeType, other: CodeType) -> bool:
    old, new = _inner(one), _inner(other)
    return _own(one) == _own(other) and len(old) == len(new) and all(map(_is_same, old, new))


def killer_of(module: str, path: Path, code: str, tests: Sequence[str], patience: int = PATIENCE) -> str | None:
    """Return the test that fails with a changed module; None if none does."""

    def run(write: Callable[[Any], None]) -> int:
        finder: Any = _Changed(module, path, code)
        sys.meta_path.insert(0, finder)
        plugin = _Only()
        # Most changes are noticed by the tests of the module's own name: the others need not be loaded for that.
        parts = [part for part in (tests[:1], tests[1:5], tests[5:]) if part]
        status = next((status for part in parts if (status := _pytest(["-x", *part], plugin))), 0)
        write(plugin.failed or f"pytest ended with {status}")
        return status

    status, said = _forked(run, patience)
    if status == 0:
        return None
    return str(said) if said is not None else "the tests did not end, or the process died"


def _pytest(arguments: Sequence[str], plugin: object) -> int:
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no", "--rootdir", str(ROOT)]
    quiet += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what is loaded already
    status = int(pytest.main([*quiet, *arguments], plugins=[plugin]))
    # All tests of a file may need a server.
    return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else status


def _forked(work: Callable[[Callable[[Any], None]], int], patience: int) -> tuple[int, Any]:
    """Do something in a process of its own; return how it ended and what it wrote, None if nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_quiet()
        if patience:
            resource.setrlimit(resource.RLIMIT_CPU, (patience, patience))
            signal.alarm(patience * 20)
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

"""`python -m tests.mutation MODULE ...`: changes each module in every small way, and says which change no test notices.

A module is named as `grant/belief` or `storage/sealing`; `grant` is all of a package. Each change that no test notices
is printed; those in `survivors.toml` have their reason there. Returns 1 if any has none, or if fewer than nine in ten
changes of a module are noticed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.mutation import runner
from tests.requirements import ROOT

if TYPE_CHECKING:
    from tests.mutation.runner import Tests

VAULT = ROOT / "functions" / "vault"
SURVIVORS = Path(__file__).parent / "survivors.toml"
ENVIRONMENT = ROOT / ".venv-mutation" / "bin" / "python"
FEWEST = 0.9


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if nearly all changes are noticed, and all others explained."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="+", help="like grant/belief, or grant for all of the package")
    parser.add_argument("--lines", help="only changes of these lines, like 10-40")
    options = parser.parse_args(arguments)
    runner.preload()
    explained = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    tests = runner.watched(VAULT, _files())
    results = [_of_module(path, tests(path), explained, options.lines) for path in _paths(options.modules)]
    return int(not all(results))


def _paths(names: list[str]) -> list[Path]:
    found = []
    for name in names:
        path = VAULT / name
        found += sorted(path.glob("[!_]*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return found


def _of_module(path: Path, tests: Tests, explained: dict[str, Any], lines: str | None) -> bool:
    name = path.relative_to(VAULT).with_suffix("").as_posix()
    module, source = f"functions.vault.{name.replace('/', '.')}", path.read_text(encoding="utf-8")
    began, reasons = time.monotonic(), explained.get(name, {})
    mutants = [each for each in _mutants(path) if _is_among(each["line"], lines)]
    spans = list(runner.spans(source))
    survivors = []
    for mutant in mutants:
        first, last = _around(mutant["line"], spans)
        killer = runner.killer_of(module, path, mutant["code"], tests.of_lines(first, last))
        if killer is None:
            survivors.append(mutant)
    unexplained = [each for each in survivors if _reason(each, reasons) is None]
    killed = len(mutants) - len(survivors)
    share = killed / len(mutants) if mutants else 1.0
    print(
        f"{name}: {len(mutants)} changes, {killed} noticed ({share:.1%}), {len(survivors)} not, "
        f"{len(unexplained)} of them without a reason; {time.monotonic() - began:.0f} s"
    )
    for each in survivors:
        print(f"  line {each['line']} ({each['operator']}): {_reason(each, reasons) or 'NO REASON'}")
        for line in each["diff"]:
            print(f"    {line}")
    sys.stdout.flush()
    return not unexplained and share >= FEWEST


def _files() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests" / "unit").glob("test_*.py"))]


def _mutants(path: Path) -> list[dict[str, Any]]:
    command = [str(ENVIRONMENT), str(Path(__file__).parent / "mutants.py"), str(path)]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in written.splitlines()]


def _is_among(line: int, lines: str | None) -> bool:
    if lines is None:
        return True
    first, _, last = lines.partition("-")
    return int(first) <= line <= int(last or first)


def _around(line: int, spans: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the innermost function that a line is in; nothing that any test runs, if it is in none."""
    inside = [span for span in spans if span[0] <= line <= span[1]]
    return min(inside, key=lambda span: span[1] - span[0], default=(0, 0))


def _reason(mutant: dict[str, Any], reasons: dict[str, str]) -> str | None:
    """Return why nobody need notice a change: by the line that it makes, whatever its number is by now."""
    made = " ".join(line[2:] for line in mutant["diff"] if line.startswith("+ "))
    return next((reason for text, reason in reasons.items() if text == made), None)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.mutation MODULE ...`: changes each module in every small way, and says which change no test notices.

A module is named as `grant/belief` or `storage/sealing`; `grant` is all of a package. `client/kept` is one of the
client for Python, which its own tests try as it is in the checkout. Each change that no test notices
is printed; those in `survivors.toml` have their reason there. Returns 1 if any has none, or if fewer than nine in ten
changes of a module are noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
import tomllib
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.mutation import runner
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

VAULT = ROOT / "functions" / "vault"
CLIENT = ROOT / "clients" / "python" / "gatehouse"
SURVIVORS = Path(__file__).parent / "survivors.toml"
ENVIRONMENT = ROOT / ".venv-mutation" / "bin" / "python"
FEWEST = 0.9

ALSO = {
    "grant/announced": ("publishing",),
    "grant/belief": ("refreshes", "second_look"),
    "grant/failure": ("refreshes", "connection"),
    "grant/lease": ("refreshes", "connection", "vending"),
    "grant/upkeep": ("tokens",),
    "grant/stored_set": ("consents", "refreshes", "revocations", "connection"),
    "grant/revocation_attempt": ("revocations", "revoking"),
    "grant/revoked": ("revoking",),
    "grant/after_waiting": ("confirming",),
    "grant/authorized": ("confirming", "account_lookup"),
    "grant/late_answers": ("obtained", "kept"),
    "grant/imports": ("importing",),
    "grant/unproved": ("importing", "consents", "refreshes", "obtained"),
    "grant/transition": ("consents", "refreshes", "revocations", "confirming", "revoking", "life"),
    "grant/connection": ("refreshes", "completing", "confirming"),
    "grant/consents": ("kept", "account_lookup", "confirming", "revoking"),
    "grant/obtained": ("confirming", "completing", "rescuing", "revoking"),
    "oauth/answer_document": ("responses", "token_fields", "refused_answer", "corpus/test_corpus"),
    "oauth/answer_errors": ("responses", "refused_answer", "corpus/test_corpus"),
    "oauth/authorization": ("completing", "confirming"),
    "oauth/authorization_response": ("completing", "handlers"),
    "oauth/responses": ("token_fields", "refused_answer", "client", "account_endpoint", "corpus/test_corpus"),
    "client/auth": ("clients/test_auth", "clients/test_secrets"),
    "client/calls": ("clients/test_repeats", "clients/test_kept_tokens"),
    "client/kept": ("clients/test_kept", "clients/test_kept_tokens", "clients/test_auth"),
    "client/refusals": ("clients/test_kept", "clients/test_auth"),
    "client/timing": ("clients/test_repeats", "clients/test_kept_tokens"),
    "usecases/committing": ("vending", "completing", "rescuing"),
    "usecases/completing": ("slots", "confirming", "account_lookup"),
    "usecases/revoking": ("confirming", "slots", "background_work"),
    "usecases/vending": (
        "second_look",
        "account_lookup",
        "account_endpoint",
        "kept",
        "background_work",
        "slots",
        "importing",
    ),
}
"""Tests that a module is tried by although they do not name it: those of the modules through which it is used.

Each is one of `tests/unit`, or a path below `tests`.
"""

SLOW = frozenset({"test_life", "test_corpus"})
"""Tests that come last: they take longer than all others together."""


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if nearly all changes are noticed, and all others explained."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="+", help="like grant/belief, or grant for all of the package")
    parser.add_argument("--lines", help="only changes of these lines, like 10-40")
    options = parser.parse_args(arguments)
    explained = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    results = [_apart(lambda: _of_module(path, explained, options.lines)) for path in _paths(options.modules)]  # noqa: B023 - it is over by then
    return int(not all(results))


def _apart(work: Callable[[], bool]) -> bool:
    """Do something in a process of its own: what is loaded for one module hides the changes of the next."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            status = int(not work())
        except Exception:  # noqa: BLE001 - it is shown, and the other modules are tried
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _paths(names: list[str]) -> list[Path]:
    found = []
    for name in names:
        package, _, rest = name.partition("/")
        path = CLIENT / rest if package == "client" else VAULT / name
        found += sorted(path.glob("[!_]*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return found


def _of_module(path: Path, explained: dict[str, Any], lines: str | None) -> bool:
    name, module = _named(path)
    began, reasons = time.monotonic(), explained.get(name, {})
    mutants = [each for each in _mutants(path) if _is_among(each["line"], lines)]
    tests = _tests_of(name)
    runner.preload(module, tests)
    noticed = runner.are_noticed_in_place(module, path, [each["code"] for each in mutants], tests)
    left = [each for each, is_noticed in zip(mutants, noticed, strict=True) if not is_noticed]
    # What has its reason is not tried the long way as well: it counts as not noticed, even if that would notice it.
    survivors = [
        each for each in left if _reason(each, reasons) or runner.killer_of(module, path, each["code"], tests) is None
    ]
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


def _named(path: Path) -> tuple[str, str]:
    """Return how a module is named here, and how it is imported."""
    if path.is_relative_to(CLIENT):
        return f"client/{path.stem}", f"gatehouse.{path.stem}"
    name = path.relative_to(VAULT).with_suffix("").as_posix()
    return name, f"functions.vault.{name.replace('/', '.')}"


def _tests_of(name: str) -> list[str]:
    """Return the unit tests of a module: those of its name, then the others that import it, the shortest first."""
    package, _, stem = name.partition("/")
    imports = re.compile(rf"vault\.{package}(?:\.{stem}\b| import [^\n]*\b{stem}\b)")
    folder = ROOT / "tests" / ("clients" if package == "client" else "unit")
    files = sorted(folder.glob("test_*.py"), key=lambda path: path.stat().st_size)
    found = [path for path in files if path.stem == f"test_{stem}" or imports.search(path.read_text(encoding="utf-8"))]
    also = [ROOT / "tests" / f"{each if '/' in each else f'unit/test_{each}'}.py" for each in ALSO.get(name, ())]
    if not found and not also:
        # Without a name pytest would take all tests there are.
        raise RuntimeError(f"no unit test imports {name}: name those that use it in ALSO")
    ordered = sorted(dict.fromkeys([*found, *also]), key=lambda path: (path.stem != f"test_{stem}", path.stem in SLOW))
    return [str(path.relative_to(ROOT)) for path in ordered]


def _mutants(path: Path) -> list[dict[str, Any]]:
    command = [str(ENVIRONMENT), str(Path(__file__).parent / "mutants.py"), str(path)]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in written.splitlines()]


def _is_among(line: int, lines: str | None) -> bool:
    if lines is None:
        return True
    first, _, last = lines.partition("-")
    return int(first) <= line <= int(last or first)


def _reason(mutant: dict[str, Any], reasons: dict[str, str]) -> str | None:
    """Return why nobody need notice a change: by the line that it makes, whatever its number is by now."""
    made = " ".join(line[2:] for line in mutant["diff"] if line.startswith("+ "))
    return next((reason for text, reason in reasons.items() if text == made), None)


if __name__ == "__main__":
    sys.exit(main())

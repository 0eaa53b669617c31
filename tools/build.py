"""Builds what a Lambda function is made of: the package `functions` and the pinned dependencies, side by side.

`python -m tools.build FOLDER` fills FOLDER; `sam build` calls it once for each function through the Makefile. There is
one build for all of them, kept in a cache, from which each gets links. Beside FOLDER it writes the bill of materials
(tools/bill_of_materials.py). A package whose licence is not allowed (tools/licences.py) ends the build. Variables of
the environment, which `sam build` passes on, say what is to be built:

- `GATEHOUSE_LAMBDA_PYTHON=/path/to/python3.13` names the Python that compiles for Lambda, where none is found.
- `GATEHOUSE_BYTECODE=none` builds without bytecode.
- `GATEHOUSE_BUILD=host` builds for the interpreter that runs this instead of for Lambda, so that tests can run a built
  function whole.

Standard library and pip only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from tools import bill_of_materials, interpreters, licences, trim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements.txt"
IMPORTED = ROOT / "tools" / "requirements" / "runtime.in"
PACKAGE = ROOT / "functions"
CACHE = ROOT / ".build"

# The runtime and architecture of template.yaml; a test holds the two together. Lambda's python3.13 is Amazon Linux 2023
# with glibc 2.34. pip takes each name of a platform literally, so the older ones have to be listed too.
LAMBDA_PYTHON = "3.13"
LAMBDA_PLATFORMS = ("manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64")

# The magic number of the bytecode that this runtime reads: CPython's from the first beta of 3.13 on, and no release
# changes it. Bytecode with another number would not be taken, and of the dependencies there is nothing else.
LAMBDA_MAGIC_NUMBER = 3571

# How many times as long a cold start takes without bytecode: as docs/performance.md has it, from `make bench`.
SLOWER_WITHOUT_BYTECODE = 2.33

# Where Lambda puts the package. Tracebacks in the log name their files there.
TASK_ROOT = "/var/task"


class Refused(Exception):
    """What is asked for cannot be built; says why, and how to go on."""


def main(arguments: list[str]) -> int:
    """Build into the folder that ``arguments`` name and return the exit code."""
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the built function goes; made when it does not exist")
    number = "the magic number of the bytecode that the runtime reads (default: %(default)s)"
    parser.add_argument("--magic-number", type=int, default=LAMBDA_MAGIC_NUMBER, help=number)
    given = parser.parse_args(arguments)
    try:
        _build_as_asked(given.folder, os.environ, given.magic_number)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        program = "pip" if "pip" in error.cmd else "compileall"
        print(f"{program} ended with exit code {error.returncode}: see above", file=sys.stderr)
        return 1
    return 0


def _build_as_asked(folder: Path, environ: Mapping[str, str], magic_number: int) -> None:
    """Build what the environment says. Raises ``Refused`` before anything is built."""
    target = environ.get("GATEHOUSE_BUILD") or "lambda"
    if target not in {"lambda", "host"}:
        raise Refused(f"GATEHOUSE_BUILD is {target!r}; it has to be lambda (the default) or host")
    bytecode = environ.get("GATEHOUSE_BYTECODE", "")
    if bytecode not in {"", "none"}:
        raise Refused(f"GATEHOUSE_BYTECODE is {bytecode!r}; it has to be none, for a build without bytecode, or unset")
    python = None
    if bytecode != "none":
        python = compiler(environ, magic_number) if target == "lambda" else sys.executable
    build(folder, for_lambda=target == "lambda", python=python)


def compiler(environ: Mapping[str, str], magic_number: int = LAMBDA_MAGIC_NUMBER) -> str:
    """Return the Python that compiles for Lambda: the one that is named, or one that is found. Raises ``Refused``."""
    named = environ.get("GATEHOUSE_LAMBDA_PYTHON")
    paths = [sys.executable, *interpreters.installed(LAMBDA_PYTHON, environ)]
    if named:
        paths = [shutil.which(named, path=environ.get("PATH")) or named]
    try:
        return interpreters.find(paths, magic_number).path
    except interpreters.NoneFits as tried:
        problem = f"GATEHOUSE_LAMBDA_PYTHON names {tried}." if named else f"Python {LAMBDA_PYTHON} was not found."
        wanted = f"Lambda reads the bytecode of Python {LAMBDA_PYTHON} alone (magic number {magic_number})."
        looked_at = "" if named else f" Tried: {tried}."
        raise Refused(f"{problem} {wanted}{looked_at}\n{_HOW_TO_GO_ON}") from None


_HOW_TO_GO_ON = f"""\
Do one of these, and build again:
- Install Python {LAMBDA_PYTHON}, with pyenv, with uv or as a package of your system.
- Name one that is installed: export GATEHOUSE_LAMBDA_PYTHON=/path/to/python{LAMBDA_PYTHON}
- Do without; a cold start then takes {SLOWER_WITHOUT_BYTECODE} times as long: export GATEHOUSE_BYTECODE=none"""


def build(folder: Path, *, for_lambda: bool, python: str | None) -> None:
    """Fill ``folder`` with the package and its dependencies, and put their bill of materials beside it.

    Raises ``Refused`` where a licence is not allowed, and ``CalledProcessError`` where pip fails.
    """
    made = package(for_lambda=for_lambda, python=python)
    shutil.copytree(made, folder, copy_function=_link, dirs_exist_ok=True, symlinks=True)
    # Beside it and not in it: no function reads it, and every cold start would fetch it. `sam build` runs this for all
    # functions at the same time, so each puts a whole file in the place of the one before.
    bill = folder.resolve().parent / bill_of_materials.NAME
    fresh = bill.with_suffix(f".{os.getpid()}")
    shutil.copyfile(installed(for_lambda=for_lambda) / bill.name, fresh)
    fresh.replace(bill)


def package(*, for_lambda: bool, python: str | None = sys.executable) -> Path:
    """Return the cached folder with all that a function is made of, made at first need and after any change.

    ``python`` compiles it, and has to be like the one that will run it; without one there is no bytecode.
    """
    needed = dependencies(for_lambda=for_lambda, python=python)

    def fill(fresh: Path) -> None:
        shutil.copytree(needed, fresh, copy_function=_link, symlinks=True)
        # Copied, not linked: these are the files that somebody is editing.
        shutil.copytree(PACKAGE, fresh / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        if python is not None:
            compile_all(fresh / PACKAGE.name, f"{TASK_ROOT}/{PACKAGE.name}", python)

    sources = sorted(path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    contents = [part for path in sources for part in (str(path.relative_to(ROOT)), path.read_bytes())]
    return _cached("package", (str(needed.relative_to(CACHE)), *contents), fill)


def dependencies(*, for_lambda: bool, python: str | None = sys.executable) -> Path:
    """Return a folder with the pinned dependencies, installed at first need and again after any change of the pins.

    Where there is bytecode, their sources stay behind: there is less to ask after, and less for Lambda to fetch.
    """
    whole = installed(for_lambda=for_lambda)
    sources = whole / "packages"
    if python is None:
        return sources

    def compiled(fresh: Path) -> None:
        shutil.copytree(sources, fresh, copy_function=_link, symlinks=True)
        compile_all(fresh, TASK_ROOT, python, instead=True)

    return _cached("compiled", (whole.name, _version(python)), compiled)


def installed(*, for_lambda: bool) -> Path:
    """Return a folder of the cache: in it are the trimmed dependencies as the folder `packages`, and what they are."""
    options = _lambda_options() if for_lambda else []

    def install(fresh: Path) -> None:
        packages, report = fresh / "packages", fresh / "report.json"
        fresh.mkdir()
        _install(packages, [*options, "--report", str(report)])
        components = bill_of_materials.installed(packages, report)
        try:
            licences.check(bill_of_materials.with_parts(components))
        except licences.NotAllowed as error:
            raise Refused(str(error)) from None
        trim.trim(packages)
        bill = bill_of_materials.document(components, packages, imported(), runtime(for_lambda=for_lambda))
        (fresh / bill_of_materials.NAME).write_text(bill, "utf-8")

    machine = () if for_lambda else (platform.machine(), sysconfig.get_platform(), sys.version)
    programs = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    depends_on = (REQUIREMENTS.read_bytes(), IMPORTED.read_bytes(), *programs, *options, *machine)
    return _cached("dependencies", depends_on, install)


def imported() -> list[str]:
    """Return the names of the packages that the functions import themselves."""
    return [line for line in IMPORTED.read_text("utf-8").splitlines() if line and not line.startswith("#")]


def runtime(*, for_lambda: bool) -> dict[str, str]:
    """Return what the bill of materials says of what runs the functions."""
    if not for_lambda:
        return {"name": platform.python_implementation(), "version": platform.python_version()}
    described = "Amazon Linux 2023, arm64. AWS keeps it up to date; it is not in the package."
    return {"name": "AWS Lambda runtime python", "version": LAMBDA_PYTHON, "description": described}


def _cached(kind: str, depends_on: tuple[str | bytes, ...], fill: Callable[[Path], None]) -> Path:
    """Return the folder of the cache that ``fill`` has filled from just this; another one where it has changed."""
    digest = hashlib.sha256(b"\0".join(part.encode() if isinstance(part, str) else part for part in depends_on))
    made = CACHE / f"{kind}-{digest.hexdigest()[:16]}"
    CACHE.mkdir(exist_ok=True)
    # `sam build` runs one process for each function at the same time; the first fills it, the others wait for it here.
    with (CACHE / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
                fresh = Path(scratch) / kind
                fill(fresh)
                # Renamed when it is complete: an interrupted build leaves nothing that looks like one.
                fresh.rename(made)
    return made


def compile_all(folder: Path, lies_at: str, python: str, *, instead: bool = False) -> None:
    """Compile the modules in ``folder`` for the place where they will lie; `instead` removes the sources.

    A deployed function cannot write bytecode, and would compile everything that it imports at each cold start: about
    half of it. The bytecode is marked as to be taken without a look at the source: what is deployed does not change,
    and an archive does not keep the times of its files reliably.
    """
    options = ["-q", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", lies_at]
    # -I: neither this folder nor the environment of whoever builds has a say in it.
    options += ["-b"] if instead else []  # beside its source, where it is found without one
    subprocess.run([python, "-I", "-m", "compileall", *options, str(folder)], check=True)  # noqa: S603 -- as below
    for module in folder.rglob("*.py") if instead else ():
        module.unlink()


def _version(python: str) -> str:
    """Return what tells one interpreter's bytecode from another's."""
    asked = interpreters.ask(python)
    return f"{asked.magic_number} {asked.build}" if asked else ""


def _lambda_options() -> list[str]:
    """Return pip's options that choose wheels for Lambda, whatever machine this is."""
    platforms = [f"--platform={name}" for name in LAMBDA_PLATFORMS]
    return [*platforms, f"--python-version={LAMBDA_PYTHON}", "--implementation=cp"]


def _install(folder: Path, options: list[str]) -> None:
    """Install the closure as it is pinned: nothing is resolved, nothing is compiled, every hash is checked."""
    command = [_python_with_pip(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += [
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--no-compile",
        "--requirement",
        str(REQUIREMENTS),
    ]
    subprocess.run([*command, "--target", str(folder), *options], check=True)  # noqa: S603 -- every argument is written here


def _python_with_pip() -> str:
    """Return this interpreter, or a virtual environment of it where the system ships it without pip (Debian)."""
    if importlib.util.find_spec("pip") is not None:
        return sys.executable
    environment = CACHE / "pip"
    venv.create(environment, clear=True, with_pip=True)
    return str(environment / "bin" / "python")


def _link(source: str, destination: str) -> None:
    """Link a file of the cache, or copy it where that is not possible (another file system)."""
    Path(destination).unlink(missing_ok=True)
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

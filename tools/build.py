"""Builds what a Lambda function is made of: the package `functions` and the pinned dependencies, side by side.

`python tools/build.py FOLDER` fills FOLDER; `sam build` calls it once for each function through the Makefile. The
dependencies are installed once into a cache and hard-linked from there. `GATEHOUSE_BUILD=host` builds for the
interpreter that runs this script instead of for Lambda, so that tests can run a built function whole.

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

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements.txt"
PACKAGE = ROOT / "functions"
CACHE = ROOT / ".build"

# The runtime and architecture of template.yaml; a test holds the two together. Lambda's python3.13 is Amazon Linux 2023
# with glibc 2.34. pip takes each name of a platform literally, so the older ones have to be listed too.
LAMBDA_PYTHON = "3.13"
LAMBDA_PLATFORMS = ("manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64")

# botocore describes some 400 services in over 25 MB, which is most of an archive that every cold start unpacks. These
# are the services that functions call; a test finds any that is missing here.
SERVICES = ("dynamodb", "kms", "secretsmanager", "sqs")


def main(arguments: list[str]) -> int:
    """Build into the folder that ``arguments`` name and return the exit code."""
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the built function goes; made when it does not exist")
    folder: Path = parser.parse_args(arguments).folder
    target = os.environ.get("GATEHOUSE_BUILD", "lambda")
    if target not in {"lambda", "host"}:
        print(f"GATEHOUSE_BUILD is {target!r}; it has to be lambda (the default) or host", file=sys.stderr)
        return 2
    try:
        build(folder, for_lambda=target == "lambda")
    except subprocess.CalledProcessError as error:
        print(f"pip ended with exit code {error.returncode}: see above", file=sys.stderr)
        return 1
    return 0


def build(folder: Path, *, for_lambda: bool = True) -> None:
    """Fill ``folder`` with the package and its dependencies. Raises ``CalledProcessError`` where pip fails."""
    shutil.copytree(dependencies(for_lambda=for_lambda), folder, copy_function=_link, dirs_exist_ok=True, symlinks=True)
    # Copied, not linked: these are the files that somebody is editing.
    shutil.copytree(
        PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True
    )


def dependencies(*, for_lambda: bool) -> Path:
    """Return a folder with the pinned dependencies, installed at first need and again after any change of the pins."""
    options = _lambda_options() if for_lambda else []
    made = CACHE / _key(options)
    CACHE.mkdir(exist_ok=True)
    # `sam build` runs one process for each function at the same time; the first installs, the others wait for it here.
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
                fresh = Path(scratch) / "dependencies"
                _install(fresh, options)
                _trim(fresh)
                # Renamed when it is complete: an interrupted build leaves nothing that looks like one.
                fresh.rename(made)
    return made


def _lambda_options() -> list[str]:
    """Return pip's options that choose wheels for Lambda, whatever machine this is."""
    platforms = [f"--platform={name}" for name in LAMBDA_PLATFORMS]
    return [*platforms, f"--python-version={LAMBDA_PYTHON}", "--implementation=cp"]


def _key(options: list[str]) -> str:
    """Name what the installed dependencies depend on."""
    machine = () if options else (sys.version, platform.machine(), sysconfig.get_platform())
    parts = (REQUIREMENTS.read_text(), Path(__file__).read_text(), *options, *machine)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{'lambda' if options else 'host'}-{digest[:16]}"


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


def _trim(folder: Path) -> None:
    """Remove what no function uses: commands, and botocore's descriptions of other services."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for data in (folder / "botocore" / "data", folder / "boto3" / "data"):
        for service in data.iterdir():
            if service.is_dir() and service.name not in SERVICES:
                shutil.rmtree(service)


def _link(source: str, destination: str) -> None:
    """Link a file of the cache, or copy it where that is not possible (another file system)."""
    Path(destination).unlink(missing_ok=True)
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m tools.client_size`: what the Python client costs whoever uses it, in bytes and in milliseconds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

SOURCE = Path(__file__).parent.parent / "clients" / "python"
_BUILD = "import sys; sys.path.insert(0, '.'); import build_backend; print(build_backend.build_wheel(sys.argv[1]))"
_MEASURED = {
    "import gatehouse": ("", "import gatehouse"),
    "import gatehouse, after boto3": ("import boto3", "import gatehouse"),
    "import boto3, for comparison": ("", "import boto3"),
}
_CLOCK = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"


def main(times: int = 9) -> None:
    """Build the wheel, install nothing, and print the figures. A time is the median of so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / _run(_BUILD, folder).splitlines()[-1]
        with ZipFile(wheel) as files:
            files.extractall(f"{folder}/unpacked")
            unpacked = {each.filename: each.file_size for each in files.infolist()}
        library = [size for name, size in unpacked.items() if "/cli/" not in name]
        print(f"{'wheel':32}{wheel.stat().st_size:>10,} bytes")
        print(f"{'unpacked':32}{sum(unpacked.values()):>10,} bytes")
        print(f"{'of it, without the command':32}{sum(library):>10,} bytes")
        # Compiles what it imports, as pip does when it installs.
        _run(f"import sys; sys.path.insert(0, '{folder}/unpacked'); import gatehouse, boto3")
        for name, (before, statement) in _MEASURED.items():
            took = _milliseconds(before, statement, f"{folder}/unpacked", times)
            print(f"{name:32}{took:>10.1f} ms")


def _milliseconds(before: str, statement: str, unpacked: str, times: int) -> float:
    """Return the median of how long a statement takes in a new process, in milliseconds."""
    program = f"import sys; sys.path.insert(0, {unpacked!r})\n{before}\n{_CLOCK.format(statement)}"
    return 1000 * statistics.median(float(_run(program)) for _ in range(times))


def _run(program: str, *arguments: str) -> str:
    # Compiled, as an installed package is.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(  # noqa: S603 - every argument is written here
        [sys.executable, "-c", program, *arguments],
        cwd=SOURCE,
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return done.stdout


if __name__ == "__main__":
    main()

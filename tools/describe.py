"""Says in a few lines what was built: `python -m tools.describe FOLDER`, as `make build` does at its end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools import bill_of_materials, licences
from tools.build import LAMBDA_MAGIC_NUMBER, LAMBDA_PYTHON, SLOWER_WITHOUT_BYTECODE


def description(folder: Path) -> str:
    """Return one line about a built function: its size in MB (10**6 bytes), and who reads its bytecode.

    Raises ``SystemExit`` where nothing is.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    if not files:
        raise SystemExit(f"No built function is in {folder}")
    size = sum(path.stat().st_size for path in files) / 1e6
    numbers = {_magic_number(path) for path in files if path.suffix == ".pyc"}
    return f"Each function is {size:.1f} MB, {_bytecode(numbers)}."


def materials(file: Path) -> list[str]:
    """Return a line about what a bill of materials lists, and one about the licences."""
    bill = json.loads(file.read_text("utf-8"))
    packages = [each for each in bill["components"] if each["type"] == "library"]
    inside = [part for part in bill_of_materials.with_parts(packages) if part["type"] == "library"]
    modified = sum("pedigree" in package for package in packages)
    lists = f"{len(packages)} packages, {modified} of them modified, and {len(inside) - len(packages)} parts of them"
    by_exception = [
        f"{part['name']} ({part['licenses'][0]['expression']})"
        for part in inside
        if part["name"] in licences.EXCEPTIONS
    ]
    return [
        f"Bill of materials: {file} (CycloneDX {bill['specVersion']}) lists {lists}.",
        f"Licences: all of them are allowed, {', '.join(by_exception) or 'none'} by exception.",
    ]


def _bytecode(numbers: set[int]) -> str:
    """Return what is to be said of bytecode with these magic numbers."""
    if not numbers:
        return f"without bytecode: a cold start takes {SLOWER_WITHOUT_BYTECODE} times as long"
    if numbers == {LAMBDA_MAGIC_NUMBER}:
        return f"with bytecode for Lambda's Python {LAMBDA_PYTHON} (magic number {LAMBDA_MAGIC_NUMBER})"
    others = ", ".join(str(number) for number in sorted(numbers - {LAMBDA_MAGIC_NUMBER}))
    return f"with bytecode that Lambda's Python {LAMBDA_PYTHON} does not read (magic number {others})"


def _magic_number(bytecode: Path) -> int:
    with bytecode.open("rb") as file:
        return int.from_bytes(file.read(2), "little")


if __name__ == "__main__":
    built = Path(sys.argv[1])
    print(description(built), *materials(built.parent / bill_of_materials.NAME), sep="\n")

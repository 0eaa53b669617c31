"""Writes what the built package is made of, as CycloneDX 1.6, for scanners of flaws and for whoever has to know.

It names each package that is shipped, with the wheel that was installed, its licence, and what of it tools/trim.py left
out. Below a package stand its data files, and what its wheel holds of others: in cryptography's there are OpenSSL and
Rust packages. The same build writes the same file: it holds no time, and its serial number is a digest.

The format is plain JSON, and tests check it with CycloneDX's own schema. So the build needs no package for it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import uuid
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from tools import licences, trim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from email.message import Message
    from pathlib import Path

NAME = "gatehouse.cdx.json"

# What wheels hold of others without a list of it, with the licence. The wheels do not say which version it is.
_WITHIN = {
    "aws-lambda-powertools": {"swagger-ui": "Apache-2.0"},
    "cffi": {"libffi": "MIT"},
}

_CODE = (".py", ".pyi", ".so", ".typed")


@dataclass(frozen=True)
class Changes:
    """How the files of a package differ from those of its wheel: their paths, those of whole folders with a slash."""

    left_out: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    """Modules that are left hollow: in their place are the few names that others import from them."""
    reduced: list[str] = field(default_factory=list)
    """Data that was cut down."""
    written: list[str] = field(default_factory=list)
    """Files that the wheel does not have: data that it holds compressed."""


def installed(packages: Path, report: Path) -> list[dict[str, Any]]:
    """Return the components for the packages that pip has installed in a folder, as its report has them."""
    wheels = {_normal(each["metadata"]["name"]): each for each in json.loads(report.read_text("utf-8"))["install"]}
    return [_component(folder, wheels) for folder in _metadata_folders(packages)]


def with_parts(components: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield components, and what is within them."""
    for component in components:
        yield component
        yield from with_parts(component.get("components", ()))


def document(
    components: Sequence[dict[str, Any]], packages: Path, imported: Iterable[str], runtime: Mapping[str, str]
) -> str:
    """Return the bill of materials of a build whose dependencies lie, trimmed, in a folder.

    ``components`` are those that were ``installed`` there, ``imported`` names those that the functions import, and
    ``runtime`` has the name, the version and a description of what runs them.
    """
    records = {_name(folder): _record(folder) for folder in _metadata_folders(packages)}
    refs = {component["name"]: component["bom-ref"] for component in components}
    needed = {refs[_name(folder)]: _needed(folder, refs) for folder in _metadata_folders(packages)}
    application = {
        "type": "application",
        "bom-ref": "gatehouse",
        "name": "gatehouse",
        "description": "OAuth redirect target and token keeper: the package that each of its functions is made from",
        "licenses": [{"expression": "MIT"}],
    }
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "tools/build.py"}]},
            "component": application,
        },
        "components": [
            *(_as_shipped(component, packages, records[component["name"]]) for component in components),
            {"type": "platform", "bom-ref": "runtime", **runtime},
        ],
        "dependencies": [
            {"ref": "gatehouse", "dependsOn": sorted([*(refs[name] for name in imported), "runtime"])},
            *({"ref": ref, "dependsOn": on} for ref, on in needed.items()),
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True))
    return json.dumps({**bill, "serialNumber": f"urn:uuid:{serial}"}, indent=1, sort_keys=True) + "\n"


# -- what was installed ------------------------------------------------------------------------------------------


def _component(folder: Path, wheels: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the component for a package, from its folder with metadata."""
    metadata, name = _metadata(folder), _name(folder)
    version = metadata["Version"]
    purl = f"pkg:pypi/{name}@{version}"
    archive = wheels[name]["download_info"]["archive_info"]
    # pip 22 has the one hash as a text.
    sha256 = archive.get("hashes", {}).get("sha256") or archive["hash"].removeprefix("sha256=")
    component = _library(name, metadata["License-Expression"] or metadata["License"], purl, version)
    within = [
        *(part for file in sorted(folder.glob("sboms/*.json")) for part in _listed_parts(file)),
        *(_library(part, said, f"{purl}#{part}") for part, said in _WITHIN.get(name, {}).items()),
    ]
    return {**component, "hashes": _hashes(sha256), "components": within}


def _library(name: str, said: str | None, ref: str, version: str | None = None) -> dict[str, Any]:
    licence = licences.expression(name, said)
    versioned = {"version": version, "purl": ref} if version else {}
    return {"type": "library", "bom-ref": ref, "name": name, **versioned, "licenses": [{"expression": licence}]}


def _listed_parts(file: Path) -> Iterator[dict[str, Any]]:
    """Yield what a wheel's own bill of materials (PEP 770) says that it contains."""
    for part in json.loads(file.read_text("utf-8"))["components"]:
        said = [each.get("expression") or each["license"].get("id", "") for each in part.get("licenses", ())]
        # Without qualifiers: some name folders of the machine that built the wheel.
        yield _library(part["name"], " AND ".join(said), part["purl"].partition("?")[0], part["version"])


# -- what is shipped of it ---------------------------------------------------------------------------------------


def _as_shipped(component: dict[str, Any], packages: Path, record: Mapping[str, str]) -> dict[str, Any]:
    """Return a component with its data files and, if it differs from its wheel, with how it does."""
    files = sorted(_files(packages, record))
    changes = _changes(packages, record, files)
    data = [_data(packages, path, component["purl"]) for path in files if PurePosixPath(path).suffix not in _CODE]
    shipped = {**component, "components": [*component["components"], *data]}
    if not shipped["components"]:
        del shipped["components"]
    if not any(vars(changes).values()):
        return shipped
    # The hash is that of the wheel, which this is no longer.
    original = {key: component[key] for key in ("type", "name", "version", "purl", "licenses", "hashes")}
    del shipped["hashes"]
    shipped["pedigree"] = {
        "ancestors": [original],
        "notes": "Modified by Gatehouse's tools/trim.py, which leaves out what no function uses: see the properties.",
    }
    shipped["properties"] = [
        {"name": f"gatehouse:{kind.replace('_', '-')}", "value": path}
        for kind, paths in vars(changes).items()
        for path in paths
    ]
    return shipped


def _data(packages: Path, path: str, purl: str) -> dict[str, Any]:
    sha256 = hashlib.sha256((packages / path).read_bytes()).hexdigest()
    return {"type": "data", "bom-ref": f"{purl}#{path}", "name": path, "hashes": _hashes(sha256)}


def _changes(packages: Path, record: Mapping[str, str], files: Sequence[str]) -> Changes:
    """Compare the files of a package with the record of its wheel."""
    changes = Changes(written=[path for path in files if path not in record])
    for path, digest in record.items():
        lies_at = packages / path
        if not lies_at.exists():
            folders = reversed(PurePosixPath(path).parents)
            gone = next((f"{folder}/" for folder in folders if not (packages / folder).exists()), path)
            if gone not in changes.left_out:
                changes.left_out.append(gone)
        elif digest and digest != _recorded(lies_at):
            hollow = lies_at.read_bytes().startswith(trim.HOLLOW_MARK.encode())
            (changes.emptied if hollow else changes.reduced).append(path)
    return changes


def _files(packages: Path, record: Mapping[str, str]) -> Iterator[str]:
    """Yield the files that lie where a package has its own, its metadata aside."""
    for top in {PurePosixPath(path).parts[0] for path in record}:
        if not top.endswith(".dist-info") and top != "bin":
            inside = (packages / top).rglob("*") if (packages / top).is_dir() else [packages / top]
            yield from (path.relative_to(packages).as_posix() for path in inside if path.is_file())


# -- what lies in a folder of installed packages ----------------------------------------------------------------------


def _metadata_folders(packages: Path) -> list[Path]:
    return sorted(packages.glob("*.dist-info"))


def _metadata(folder: Path) -> Message:
    return HeaderParser().parsestr((folder / "METADATA").read_text("utf-8"))


def _name(folder: Path) -> str:
    return _normal(_metadata(folder)["Name"])


def _normal(name: str) -> str:
    """Return the name of a package as a purl has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(folder: Path, refs: Mapping[str, str]) -> list[str]:
    """Return what a package requires, as far as it is here. Extras are left out; other conditions are taken as met."""
    lines = [line for line in _metadata(folder).get_all("Requires-Dist", ()) if "extra ==" not in line]
    names = {_normal(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in lines}
    return sorted(refs[name] for name in names if name in refs)


def _record(folder: Path) -> dict[str, str]:
    """Return the files of a wheel with their digests. Commands are recorded as outside; pip puts them into `bin`."""
    with (folder / "RECORD").open(encoding="utf-8", newline="") as file:
        return {path.removeprefix("../../"): digest for path, digest, _size in csv.reader(file)}


def _recorded(file: Path) -> str:
    """Return a file's digest as a wheel's record has it."""
    digest = hashlib.sha256(file.read_bytes()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]

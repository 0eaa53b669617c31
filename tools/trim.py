"""Leaves out of the installed dependencies what no function uses, and keeps right what is left.

botocore describes some 400 services in 25 MB: the operations in use stay, described in full but for the prose, where
botocore's own loader looks for them. Its list of endpoints keeps every partition and region. Packages that
dependencies load and no function calls are hollow.
"""

from __future__ import annotations

import gzip
import json
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# What functions call. Tests hold this together with the roles of template.yaml, which allow nothing else.
OPERATIONS = {
    "dynamodb": ("GetItem", "PutItem", "Query", "Scan", "UpdateItem"),
    "kms": ("Decrypt", "GenerateDataKey", "Sign"),
    "secretsmanager": ("GetSecretValue",),
    "sqs": ("GetQueueAttributes", "SendMessage"),
}

# Commands; what cryptography needs while it is compiled (of cffi only the module beside it is loaded); and the way to a
# library that is not here, which botocore tries first.
_UNUSED = ("bin", "cffi", "pycparser", "urllib3/contrib/pyopenssl.py")

# Packages that are loaded with what is used, at a fifteenth of a cold start, for nothing. Their modules as they are
# left: as they were (None), or with the names that others import from them. The rest of the package is removed.
_DOCSTRINGS = (
    "def _unwritten(**_facts): pass\n\nClientMethodDocstring = PaginatorDocstring = WaiterDocstring = _unwritten"
)
HOLLOW: dict[str, dict[str, str | None]] = {
    # Writes what `help` says of clients, with a parser of HTML.
    "botocore/docs": {"__init__": "", "docstring": _DOCSTRINGS, "utils": None},
    # Reads the versions of installed packages, in case that somebody opts for HTTP/2.
    "urllib3/http2": {"__init__": "", "probe": None},
    # Of Powertools it is the Logger that is used, and that only to write.
    "aws_lambda_powertools/metrics": {"__init__": "Metrics = single_metric = None"},
    "aws_lambda_powertools/tracing": {"__init__": "Tracer = None"},
    "aws_lambda_powertools/utilities/jmespath_utils": {"__init__": ""},
}

# What botocore reads to make a client and to find its endpoint. The rest of a service's files pages through lists,
# waits for states and explains.
DESCRIPTIONS = ("service-2", "endpoint-rule-set-1", "service-2.sdk-extras")


def trim(folder: Path) -> None:
    """Remove from `folder`, where the dependencies are installed, what no function uses."""
    for name in _UNUSED:
        unused = folder / name
        unused.unlink() if unused.is_file() else shutil.rmtree(unused, ignore_errors=True)
    for package, modules in HOLLOW.items():
        _hollow(folder / package, modules)
    data = folder / "botocore" / "data"
    for service in data.iterdir():
        if service.is_dir():
            _trim_service(service)
    endpoints = data / "endpoints.json"
    _write(endpoints, _with_services_in_use(json.loads(endpoints.read_text("utf-8"))))


def _hollow(package: Path, modules: Mapping[str, str | None]) -> None:
    """Leave these modules of a package, and nothing else. Raises ``FileNotFoundError`` where it never had one."""
    kept = {name: (package / f"{name}.py").read_text("utf-8") for name in modules}
    shutil.rmtree(package)
    package.mkdir()
    for name, text in modules.items():
        said = kept[name] if text is None else f'"""Left hollow by tools/trim.py: no function uses it."""\n\n{text}\n'
        (package / f"{name}.py").write_text(said, "utf-8")


def _trim_service(service: Path) -> None:
    if service.name not in OPERATIONS:
        shutil.rmtree(service)
        return
    *outdated, latest = sorted(service.iterdir())  # named by their dates; botocore takes the latest
    for version in outdated:
        shutil.rmtree(version)
    for file in latest.iterdir():
        name = file.name.removesuffix(".gz").removesuffix(".json")
        if name in DESCRIPTIONS:
            text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            description = _without_prose(json.loads(text))
            _write(file.with_name(f"{name}.json"), _with_operations_in_use(description, OPERATIONS[service.name]))
        if name not in DESCRIPTIONS or file.suffix == ".gz":
            file.unlink()


def _with_operations_in_use(description: dict[str, Any], operations: tuple[str, ...]) -> dict[str, Any]:
    """Return a service's description with these operations, and the shapes that they need, errors included."""
    if "operations" not in description:
        return description
    used = {name: description["operations"][name] for name in operations}
    needed: set[str] = set()
    waiting = set(_shapes_in(used))
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting |= set(_shapes_in(description["shapes"][name])) - needed
    shapes = {name: shape for name, shape in description["shapes"].items() if name in needed}
    return description | {"operations": used, "shapes": shapes}


def _shapes_in(part: Any) -> Iterator[str]:
    """Give the names of the shapes to which a part of a description refers."""
    entries = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    if isinstance(part, dict) and isinstance(part.get("shape"), str):
        yield part["shape"]
    for entry in entries:
        yield from _shapes_in(entry)


def _without_prose(description: Any) -> Any:
    """Return a description without its documentation, which is most of it. A member may be named like that, too."""
    if isinstance(description, dict):
        return {
            key: _without_prose(value)
            for key, value in description.items()
            if not (key == "documentation" and isinstance(value, str))
        }
    if isinstance(description, list):
        return [_without_prose(entry) for entry in description]
    return description


def _with_services_in_use(endpoints: dict[str, Any]) -> dict[str, Any]:
    """Return the endpoints of the services in use, in all partitions."""
    partitions = [
        partition | {"services": {name: of for name, of in partition["services"].items() if name in OPERATIONS}}
        for partition in endpoints["partitions"]
    ]
    return endpoints | {"partitions": partitions}


def _write(path: Path, document: Any) -> None:
    """Write JSON without a blank: every cold start parses it."""
    path.write_text(json.dumps(document, separators=(",", ":")), "utf-8")

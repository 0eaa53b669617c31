"""Leaves out of the installed dependencies what no function uses, and keeps right what is left.

botocore describes some 400 services in 25 MB: the operations in use stay, described in full but for the prose, where
botocore's own loader looks for them. Its list of endpoints keeps every partition and region. Packages and
modules that dependencies load and no function calls are hollow: of boto3 its resources, of requests its guess at a
text's alphabet, and the like.
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
    "events": ("PutEvents",),
    "kms": ("Decrypt", "GenerateDataKey", "Sign"),
    "secretsmanager": ("GetSecretValue",),
    "sqs": ("GetQueueAttributes", "SendMessage"),
}

# Commands; what cryptography needs while it is compiled (of cffi only the module beside it is loaded); the way to a
# library that is not here, which botocore tries first; and what boto3 has for its resources, and for S3.
UNUSED = (
    "bin",
    "cffi",
    "pycparser",
    "urllib3/contrib/pyopenssl.py",
    *("boto3/crt.py", "boto3/data", "boto3/dynamodb", "boto3/ec2", "boto3/examples", "boto3/s3"),
)

# Packages that are loaded with what is used, at a fifteenth of a cold start, for nothing. Their modules as they are
# left: as they were (None), or with the names that others import from them. The rest of the package is removed.
_DOCSTRINGS = (
    "def _unwritten(**_facts): pass\n\nClientMethodDocstring = PaginatorDocstring = WaiterDocstring = _unwritten"
)
_RESOURCES = "class ResourceFactory:\n    def __init__(self, _emitter): pass"
_NO_NAMES_BUT_ASCII = "class IDNAError(UnicodeError): pass\n\ndef encode(*_name, **_how): raise IDNAError"
HOLLOW: dict[str, dict[str, str | None]] = {
    # boto3's clients are used, and its resources are not.
    "boto3/docs": {},
    "boto3/resources": {"__init__": "", "factory": _RESOURCES},
    # Up- and downloads for S3.
    "s3transfer": {"__init__": "", "manager": "TransferConfig = None"},
    # Writes what `help` says of clients, with a parser of HTML.
    "botocore/docs": {"__init__": "", "docstring": _DOCSTRINGS, "utils": None},
    # Finds values by expressions, which paging and waiting do, and the endpoints of operations that are not in use.
    "jmespath": {"__init__": ""},
    # Reads the versions of installed packages, in case that somebody opts for HTTP/2.
    "urllib3/http2": {"__init__": "", "probe": None},
    # Guesses the alphabet of a text that does not say it. requests looks at the version alone.
    "charset_normalizer": {"__init__": "from .version import __version__", "version": None},
    # Spells a host that is not ASCII, which no endpoint has: it is refused, as where this package is not.
    "idna": {"__init__": _NO_NAMES_BUT_ASCII},
    # Of Powertools it is the Logger that is used, and that only to write.
    "aws_lambda_powertools/metrics": {"__init__": "Metrics = single_metric = None"},
    "aws_lambda_powertools/tracing": {"__init__": "Tracer = None"},
    "aws_lambda_powertools/utilities/jmespath_utils": {"__init__": ""},
}

# The same for single modules of packages that are used: this is left of them.
_NO_COOKIES = """\
class RequestsCookieJar: pass

def cookiejar_from_dict(*_, **__): return RequestsCookieJar()
def extract_cookies_to_jar(*_): pass
def merge_cookies(jar, _cookies): return jar
def get_cookie_header(*_): return None
_copy_cookie_jar = None"""
_NAMES_OF_PYTHON_3 = """\
import json
from collections.abc import Mapping, MutableMapping
from json import JSONDecodeError
from urllib.parse import quote, unquote, urlencode, urljoin, urlparse, urlsplit, urlunparse
from urllib.request import (
    getproxies, getproxies_environment, parse_http_list, proxy_bypass, proxy_bypass_environment
)

class cookielib:
    class CookieJar: pass

is_urllib3_1 = False
chardet = Morsel = None
str, bytes, builtin_str = str, bytes, str
basestring, integer_types = (str, bytes), (int,)"""
HOLLOW_MODULES = {
    # Paging through lists, and waiting for states.
    "botocore/paginate.py": "Paginator = None",
    "botocore/waiter.py": "",
    # Names for Python 2, which botocore keeps for those who import them from it.
    "botocore/vendored/six.py": "",
    # Where requests has its certificate authorities from, which takes time when it is loaded. It is given ours.
    "requests/certs.py": 'def where(): return ""',
    # Cookies, which are never read or kept. Python's own module for them takes a sixtieth of a cold start to load.
    "requests/cookies.py": _NO_COOKIES,
    "requests/compat.py": _NAMES_OF_PYTHON_3,
    # The names that other packages had when requests brought them along.
    "requests/packages.py": "",
}

# The first line of every module that is left hollow.
HOLLOW_MARK = '"""Left hollow by tools/trim.py: no function uses it."""'

# What botocore reads to make a client and to find its endpoint. The rest of a service's files pages through lists,
# waits for states and explains.
DESCRIPTIONS = ("service-2", "endpoint-rule-set-1", "service-2.sdk-extras")


def trim(folder: Path) -> None:
    """Remove from `folder`, where the dependencies are installed, what no function uses."""
    for name in UNUSED:
        unused = folder / name
        unused.unlink() if unused.is_file() else shutil.rmtree(unused, ignore_errors=True)
    for package, modules in HOLLOW.items():
        _hollow(folder / package, modules)
    for module, text in HOLLOW_MODULES.items():
        _replace(folder / module, text)
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
        module = package / f"{name}.py"
        module.write_text(kept[name], "utf-8")
        if text is not None:
            _replace(module, text)


def _replace(module: Path, text: str) -> None:
    """Put a text in the place of a module. Raises ``FileNotFoundError`` where there never was one."""
    with module.open("r+", encoding="utf-8") as file:
        file.truncate()
        file.write(f"{HOLLOW_MARK}\n\n{text}\n")


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

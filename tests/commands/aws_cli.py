"""The arguments of `aws`, read by the rules that version 1 and version 2 share, from botocore's own service models.

The tests cannot install the AWS CLI beside the functions' packages: version 1 pins botocore, and version 2 is in no
registry. `make deploy-check` runs commands with version 1 itself. A command that one version takes and the other does
not, or takes for something else, is an error here:

- an option or an operation that no model has: `--cli-binary-format`, `logs tail` and `configure export-credentials` are
  version 2's alone,
- a blob that is no `fileb://`: version 2 reads any other as base64, version 1 as it stands,
- an answer that is written over: `terminal` sees to that, where it is written.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
import jmespath  # type: ignore[import-untyped]  # it comes with botocore, and has no types
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Read = Callable[[str], bytes]

_OF_ALL = ("cli-connect-timeout", "cli-read-timeout", "output", "query", "region")
# What the AWS CLI calls otherwise than the model does, because a global option has the name.
_RENAMED = {("sns", "Subscribe"): {"endpoint": "notification-endpoint"}}
_OUTPUTS = ("json", "table", "text")
_SCALARS = {"integer": int, "long": int, "float": float, "double": float, "string": str, "timestamp": str}


class UsageError(Exception):
    """A command that the AWS CLI, in one of its versions, does not take or reads otherwise."""


@dataclass(frozen=True)
class Call:
    """One call, by the names that botocore has for it. `waiter` is what `aws SERVICE wait NAME` waits for.

    `outfile` is the path that an answer is written to which is a stream.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    waiter: str | None = None
    outfile: str | None = None
    query: str | None = None
    output: str = "json"


@dataclass
class _Given:
    """What stands behind the operation: the values of each option, and what belongs to none."""

    options: dict[str, list[str]] = field(default_factory=dict)
    positional: list[str] = field(default_factory=list)


@cache
def _session() -> Any:
    return botocore.session.Session()


@cache
def _model(service: str) -> Any:
    try:
        return _session().get_service_model(service)
    except UnknownServiceError:
        raise UsageError(f"no version of the AWS CLI has the service {service!r} from a model") from None


def parse(arguments: Sequence[str], read: Read) -> Call:
    """Return the call that a command makes; `read` gives a file that it names. Raises ``UsageError``."""
    service, operation, *rest = [*arguments, "", ""][: max(2, len(arguments))]
    model, waiter = _model(service), None
    if operation == "wait":
        waiter, *rest = rest
        waiters = _session().get_waiter_model(service)
        named = {xform_name(name, "-"): name for name in waiters.waiter_names}
        if waiter not in named:
            raise UsageError(f"{service} has nothing to wait for that is called {waiter!r}")
        shape = model.operation_model(waiters.get_waiter(named[waiter]).operation)
    else:
        named = {xform_name(name, "-"): name for name in model.operation_names}
        if operation not in named:
            raise UsageError(f"version 1 and 2 do not both have the command `aws {service} {operation}`")
        shape = model.operation_model(named[operation])
    return _call(service, shape, rest, read, waiter)


def _call(service: str, operation: Any, arguments: Sequence[str], read: Read, waiter: str | None) -> Call:
    members = dict(operation.input_shape.members) if operation.input_shape else {}
    renamed = _RENAMED.get((service, operation.name), {})
    options = {renamed.get(option, option): name for name in members for option in [xform_name(name, "-")]}
    given = _given(arguments, options, members)
    parameters = {}
    for option, values in given.options.items():
        if option in _OF_ALL and option not in options:
            continue
        negated = option.startswith("no-") and option not in options
        name = options[option.removeprefix("no-") if negated else option]
        parameters[name] = not negated if members[name].type_name == "boolean" else _value(members[name], values, read)
    missing = set(operation.input_shape.required_members if members else ()) - parameters.keys()
    if missing:
        raise UsageError(f"required: {', '.join(sorted(missing))}")
    output = given.options.get("output", ["json"])[0]
    query = given.options.get("query", [None])[0] if "query" not in options else None
    if output not in _OUTPUTS:
        raise UsageError(f"--output {output}")
    if query is not None:
        jmespath.compile(query)
    outfile = _outfile(given.positional, is_stream=operation.has_streaming_output and waiter is None)
    return Call(service, operation.name, parameters, waiter, outfile, query, output)


def _given(arguments: Sequence[str], options: Mapping[str, str], members: Mapping[str, Any]) -> _Given:
    given, rest = _Given(), list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            given.positional.append(word)
            continue
        option = word.removeprefix("--")
        is_flag = _is_flag(option, options, members)
        values = given.options.setdefault(option, [])
        takes_more = option in options and members[options[option]].type_name == "list"
        while rest and not is_flag and not rest[0].startswith("--") and (takes_more or not values):
            values.append(rest.pop(0))
        if not is_flag and not values:
            raise UsageError(f"--{option} needs a value")
    return given


def _is_flag(option: str, options: Mapping[str, str], members: Mapping[str, Any]) -> bool:
    plain = option.removeprefix("no-")
    for name in (option, plain):
        if name in options and members[options[name]].type_name == "boolean":
            return True
    if option in options or option in _OF_ALL:
        return False
    raise UsageError(f"version 1 and 2 do not both have the option --{option} here")


def _outfile(positional: Sequence[str], *, is_stream: bool) -> str | None:
    if len(positional) != int(is_stream):
        raise UsageError(
            f"a file for the answer, and nothing else, belongs here: {positional}" if is_stream else "too much"
        )
    return positional[0] if is_stream else None


def _value(shape: Any, values: Sequence[str], read: Read) -> Any:
    """Return a parameter of what stands behind its option: text, a file, JSON or the short form `name=value,...`."""
    kind = shape.type_name
    if kind == "list":
        is_json = len(values) == 1 and values[0].startswith("[")
        return json.loads(values[0]) if is_json else [_value(shape.member, [each], read) for each in values]
    (value,) = values
    if kind == "blob":
        if not value.startswith("fileb://"):
            raise UsageError(f"version 1 reads this as it stands, version 2 as base64; both take fileb://: {value}")
        return read(value.removeprefix("fileb://"))
    if value.startswith("file://"):
        value = read(value.removeprefix("file://")).decode()
    if kind in {"structure", "map"}:
        return json.loads(value) if value.startswith("{") else _short_form(shape, value, read)
    if kind == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        raise UsageError(f"{value!r} is none of {', '.join(shape.enum)}")
    return _SCALARS[kind](value)


def _short_form(shape: Any, value: str, read: Read) -> dict[str, Any]:
    found = {}
    for pair in value.split(","):
        name, _, text = pair.partition("=")
        if shape.type_name == "structure" and name not in shape.members:
            raise UsageError(f"{name} is none of {', '.join(shape.members)}")
        member = shape.members[name] if shape.type_name == "structure" else shape.value
        found[name] = text == "true" if member.type_name == "boolean" else _value(member, [text], read)
    return found


def printed(page: Any, call: Call) -> str:
    """Return what a call prints of an answer, or of a page of it."""
    document = jmespath.search(call.query, page) if call.query is not None else page
    if call.query is None and not document:
        return ""
    if call.output == "json":
        return json.dumps(document, indent=4, default=_as_text) + "\n"
    return "".join(f"{line}\n" for line in _lines(document))


def _as_text(value: Any) -> str:
    """Return a value that JSON has no form for: a time, or octets."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _lines(document: Any) -> list[str]:
    """Return the lines of the output `text`: what is no list or object stands on one line, with tabs between."""
    if isinstance(document, dict):
        document = [document[name] for name in sorted(document)]
    if not isinstance(document, list):
        return [str(document)]
    plain = [_as_text(each) for each in document if not isinstance(each, dict | list)]
    deeper = [line for each in document if isinstance(each, dict | list) for line in _lines(each)]
    return [*(["\t".join(plain)] if plain else []), *deeper]

"""The flags of ``python -m local``. A bad one ends the program with exit code 2 and a sentence that names it."""

from __future__ import annotations

import argparse
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PORT = 8787

PARAMETERS = ("ApplicationName", "LogoUrl", "Color", "Support", "DefaultLanguage", "ApplicationUrl", "Confirm")
"""Parameters of the template that change what somebody sees or does on this machine, too."""


class Options(argparse.Namespace):
    """What the person at the terminal has chosen."""

    port: int
    registrations: Path | None
    base_url: str | None
    return_to_origin: list[str]
    parameter: list[tuple[str, str]]


def parse(arguments: list[str]) -> Options:
    """Return the options; exits where they are not understood."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Run Gatehouse on this machine.")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"where to listen (default {DEFAULT_PORT})")
    parser.add_argument(
        "--registrations",
        type=Path,
        metavar="FILE",
        help='further providers: JSON {"NAME": {"client_id": "...", ...}}, as in Secrets Manager',
    )
    parser.add_argument(
        "--base-url",
        type=_as_parameter("BaseUrl", "https://abc.example-tunnel.dev"),
        metavar="URL",
        help="where browsers reach the stack, if by a tunnel to it, like https://abc.example-tunnel.dev",
    )
    parser.add_argument(
        "--return-to-origin",
        type=_as_parameter("ReturnToOrigins", "http://localhost:3000"),
        action="append",
        default=[],
        metavar="URL",
        help="where else than to the stack a customer may be sent back to, like http://localhost:3000; repeatable",
    )
    parser.add_argument(
        "--parameter",
        type=_parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"another parameter of the template: {', '.join(PARAMETERS)}; repeatable",
    )
    return parser.parse_args(arguments, Options())


def _port(text: str) -> int:
    """Return a port number; argparse names the argument in its message."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 1 to 65535 (0: any free one)")
    return int(text)


def _parameter(text: str) -> tuple[str, str]:
    """Return the name of a parameter and its value, if the template takes it."""
    name, equals, value = text.partition("=")
    if name not in PARAMETERS or not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE with one of {', '.join(PARAMETERS)}")
    rules = _parameters()[name]
    fits = value in rules["AllowedValues"] if "AllowedValues" in rules else _fits(value, rules)
    if not fits:
        expected = rules.get("ConstraintDescription") or f"must be one of {', '.join(rules['AllowedValues'])}"
        raise argparse.ArgumentTypeError(f"{text!r}: {name} {expected.removesuffix('.')}")
    return name, value


def _fits(value: str, rules: dict[str, Any]) -> bool:
    return bool(re.fullmatch(rules["AllowedPattern"], value)) and len(value) <= rules.get("MaxLength", len(value))


def _as_parameter(name: str, example: str) -> Callable[[str], str]:
    """Return a check by the rules of the template's parameter ``name``: what is refused there is refused here."""

    def check(text: str) -> str:
        rules = _parameters()[name]
        if not text or not _fits(text, rules) or not _have_ports(text):
            # Empty is the parameter's default; whoever gives the flag means something.
            expected = rules["ConstraintDescription"].removeprefix("must be empty, or ").removesuffix(".")
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}, for example {example}")
        return text

    return check


@cache
def _parameters() -> dict[str, Any]:
    """Return the template's parameters. Few starts need them, and reading takes a moment."""
    from local.aws import cloudformation  # noqa: PLC0415
    from local.stack import TEMPLATE  # noqa: PLC0415

    return dict(cloudformation.read(TEMPLATE)["Parameters"])


def _have_ports(origins: str) -> bool:
    """Return whether all ports are possible ones, which the pattern leaves open."""
    try:
        return all(urlsplit(origin).port != 0 for origin in origins.split(","))
    except ValueError:
        return False

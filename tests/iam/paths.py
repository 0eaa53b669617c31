"""Paths that try to escape from a policy, and how IAM and the API might read them.

AWS documents neither which spelling of a path IAM compares nor what of it the API decodes, so there is a reading for
everything that anybody has reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

Reading = Callable[[str], str]

FUNCTIONS = ("start", "token", "refresh", "revoke", "connections", "confirm", "import_connection", "sweep")
NAMES = ("acme", "acme-2", "xacme", "other", "ACME", "Acme", "shop-1", "shop-2", "shop", "shop1", "SHOP-1", "xshop-1")
_ENDS = ("/", "//", "%2F", ";", ";x", "%3B", ";/../other", "?", "%3F", "?x=1", "%3Fx", "#", "%23", "%00", ".")
_NEIGHBOURS = (" ", "%20", "+", "%09", ",", ",other", "%2A", "%", "%2", "%zz", "%c0%af", "%C3%A9", "~", "@", ":x", "$")


def spellings(own: str, other: str = "other") -> Iterator[str]:
    """Yield names for a path that somebody might try who may have ``own`` and wants ``other``."""
    for dots in ("..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "...", "."):
        for slash in ("/", "%2F", "%2f", "%252F", "\\", "%5C", "//"):
            yield f"{own}{slash}{dots}{slash}{other}"
            yield f"{other}{slash}{dots}{slash}{own}"
    for end in _ENDS:
        yield from (f"{own}{end}", f"{other}{end}{own}")
    for beside in _NEIGHBOURS:
        yield from (f"{own}{beside}", f"{beside}{own}")
    first = f"%{ord(own[0]):02x}"
    yield from (f"{first}{own[1:]}", f"{first.replace('%', '%25')}{own[1:]}", f"/{own}", f"//{own}", "/", "..", ".")
    yield from (f"{own}/token", f"{own}/token/..", f"{own}/../..", f"{other}/token/../../{own}", f"${{{own}}}", "%2A")


def paths(own: str) -> Iterator[str]:
    """Yield the paths that are tried: plain ones of each route, and those that are spelled to escape."""
    for function, name in product(FUNCTIONS, NAMES):
        yield from (f"/v1/{function}", f"/v1/owners/{name}/{function}", f"/v1/connections/{name}/{function}")
    for name in spellings(own):
        yield from (f"/v1/{folder}/{name}/token" for folder in ("owners", "connections"))
    for folder, slash in product(("owners", "connections"), ("/", "//", "%2F")):
        path = f"/v1/{folder}/{own}/token"
        for function in FUNCTIONS:
            yield from (f"{path}{between}{function}" for between in ("/../", f"/..{slash}", ";/", slash))
            yield f"/v1/{folder}/{own}/..{slash}..{slash}{function}"
            yield f"/v1/{folder}/{own}/%2e%2e{slash}%2E%2E{slash}{function}"
        yield from (f"/{path}", "/" + path[1:].replace("/", slash), path.upper(), path.title())
        yield from (f"{path}{slash}", f"{path}x", f"{path};x", f"/x/..{path}", f"/v1{slash}..{path}")
        yield from (f"/v1/{folder}{slash}{slash}token", f"/v1/{folder}/token", f"/$default{path}")
        yield from (f"/v1/../POST{path}", f"/v1/connections/../{folder}/{own}/token")


def twice(path: str) -> str:
    """Decode a path two times."""
    return unquote(unquote(path))


def merged(path: str) -> str:
    """Take slashes side by side for one."""
    return re.sub("/{2,}", "/", path)


def resolved(path: str) -> str:
    """Take the segments `.` and `..` away, as RFC 3986 section 5.2.4 does."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


def resolved_late(path: str) -> str:
    """Decode a path, then take its dots away."""
    return resolved(unquote(path))


def merged_late(path: str) -> str:
    """Decode a path, then take its slashes side by side for one."""
    return merged(unquote(path))


def plain(path: str) -> str:
    """Leave a path as it is."""
    return path


SPELLINGS: tuple[Reading, ...] = (plain, unquote, twice, merged, merged_late)
# What IAM compares, and what the API routes and hands on. If dots are resolved, then before both.
READINGS: tuple[tuple[Reading, Reading], ...] = (
    *product(SPELLINGS, SPELLINGS),
    (resolved, resolved),
    (resolved_late, resolved_late),
)

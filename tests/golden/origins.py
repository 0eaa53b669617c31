"""`python -m tests.golden.origins`: write down, at a release, where each provider's endpoints are.

A connection is used only at the origins at which it was made. A release that moves a provider's host has to say where
that was before, in the file's `endpoints_moved_from`.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import functions

FILES = sorted((Path(functions.__file__).parent / "providers").glob("*.toml"))
RELEASED = Path(__file__).parent / "origins.json"
USES = ("token", "refresh", "revocation", "account")


def written(path: Path) -> dict[str, Any]:
    """Return what a provider file says."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def origins_of(document: dict[str, Any]) -> dict[str, str]:
    """Return the origins of the endpoints that tokens are sent to, in each region."""
    urls = {use: document.get(f"{use}_endpoint") for use in USES}
    for region, there in document.get("regions", {}).items():
        urls |= {f"{region} {use}": there.get(f"{use}_endpoint") for use in USES}
    return {use: "{0.scheme}://{0.netloc}".format(urlsplit(url)) for use, url in urls.items() if url}


def main() -> None:
    """Write it."""
    found = {path.stem: origins_of(written(path)) for path in FILES}
    RELEASED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

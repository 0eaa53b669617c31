"""What the command shares with Gatehouse itself: the checks of registrations and deployments, and the provider files.

They are written once, in Gatehouse's repository. `build_backend.py` copies them into the wheel. In a checkout of the
repository they are used where they are.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_COPIES = Path(__file__).parent / "shared"


@cache
def _root() -> tuple[Path, str]:
    """Return the folder that has `functions` and `tools`, and what their names begin with."""
    if _COPIES.is_dir():
        return _COPIES, f"{__package__}.shared."
    checkout = Path(__file__).resolve().parents[4]
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))
    return checkout, ""


def module(name: str) -> Any:
    """Return a shared module, by its name in the repository, like `tools.check_registration`."""
    return import_module(_root()[1] + name)


def provider_files() -> Path:
    """Return the folder of the provider files."""
    return _root()[0] / "functions" / "providers"


def provider_names() -> list[str]:
    """Return the names of the catalogue, sorted. This reads no file."""
    return sorted(path.stem for path in provider_files().glob("*.toml"))

"""The `aws` of the documents, pointed at the emulator: version 1, the one that pip can install.

Stands as `aws` on the path while the check runs. The documents use what both versions have. Version 1 does not heed
AWS_ENDPOINT_URL for SQS, so every call gets the endpoint as an option.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def with_endpoint(arguments: list[str], endpoint: str | None) -> list[str]:
    """Return the arguments of a call to this endpoint; as they are without one."""
    return ["--endpoint-url", endpoint, *arguments] if endpoint else arguments


if __name__ == "__main__":
    program = Path(sys.executable).parent / "aws"
    arguments = with_endpoint(sys.argv[1:], os.environ.get("AWS_ENDPOINT_URL"))
    os.execv(program, [str(program), *arguments])  # noqa: S606 -- this is what it is for

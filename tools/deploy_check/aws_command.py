"""The `aws` of the documents, which is version 2, by version 1, the one that pip can install.

Stands as `aws` on the path while the check runs. Version 1 reads a payload as `--cli-binary-format raw-in-base64-out`
says, and does not know the option. It does not heed AWS_ENDPOINT_URL for SQS.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_ONLY_IN_VERSION_2 = "--cli-binary-format"


def as_version_1(arguments: list[str], endpoint: str | None) -> list[str]:
    """Return the arguments as version 1 understands them."""
    if _ONLY_IN_VERSION_2 in arguments:
        at = arguments.index(_ONLY_IN_VERSION_2)
        arguments = arguments[:at] + arguments[at + 2 :]
    return ["--endpoint-url", endpoint, *arguments] if endpoint else arguments


if __name__ == "__main__":
    program = Path(sys.executable).parent / "aws"
    arguments = as_version_1(sys.argv[1:], os.environ.get("AWS_ENDPOINT_URL"))
    os.execv(program, [str(program), *arguments])  # noqa: S606 -- this is what it is for

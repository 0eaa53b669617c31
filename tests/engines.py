"""DynamoDB engines for tests: dynalite is atomic by itself, as the real one is."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_DYNALITE = """
const server = require('dynalite')({createTableMs: 0, deleteTableMs: 0, updateTableMs: 0});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


@contextmanager
def running_dynalite() -> Iterator[str]:
    """Run dynalite on a free port of 127.0.0.1 and give its URL."""
    with subprocess.Popen(
        [shutil.which("node") or "node", "-e", _DYNALITE], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "dynalite did not start"
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()

"""MiniStack, the emulator of AWS: on a free port of 127.0.0.1, with IAM evaluated, and ended with all that it began."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import requests

from tools.deploy_check.report import Wrong

if TYPE_CHECKING:
    from types import TracebackType

ACCOUNT = "123456789012"
REGION = "us-east-1"
SECRET_KEY = "test"  # noqa: S105 -- what the emulator knows its root user by

_READY_WITHIN = 60.0
_ENDED_WITHIN = 10.0


class Emulator:
    """A context manager. The functions run as processes of its own, by the Python that it runs by."""

    def __init__(self, python: Path, folder: Path) -> None:
        """``python`` is the interpreter of its environment; it may write into ``folder``, and logs there."""
        self._python = python
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.endpoint = f"https://localhost:{self.port}"
        # It makes itself one, where TMPDIR says. There is TLS because our queues refuse requests without.
        self.certificate = folder / "tmp" / "ministack-tls" / "server.crt"
        self.log = folder / "emulator.log"

    def __enter__(self) -> Self:
        """Start it, and wait until it answers. Raises ``Wrong``."""
        (self._folder / "tmp").mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- every argument is written here
                [str(self._python), "-P", str(Path(__file__).with_name("emulator_process.py"))],
                cwd=self._folder,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and the functions' processes."""
        self._end()

    def _environment(self) -> dict[str, str]:
        """Return all of its environment: what this machine's says of proxies and certificates would reach functions."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder / "tmp"),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "AUTH": "true",
            "USE_SSL": "1",
            # Servers for other services, which would listen on ports of their own.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                url = f"{self.endpoint}/_ministack/health"
                if requests.get(url, verify=str(self.certificate), timeout=2).ok:
                    return
            time.sleep(0.1)
        log = self.log.read_text(errors="replace").strip().splitlines()[-5:]
        raise Wrong("The emulator did not start:\n    " + "\n    ".join(log))

    def _end(self) -> None:
        if self._process is None:
            return
        for each in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, each)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDED_WITHIN)
        self._process = None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

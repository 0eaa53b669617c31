"""A person's terminal: bash in a folder of its own, with the programs that the documents may use and no others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.commands.aws_cli import Read

TARGETS = ("check-deployment", "check-registration", "key-policy", "take-over", "versions")
"""The targets of the Makefile that look at an account, or change something in it, and are done."""

_ORDINARY = ("cat", "date", "grep", "rm", "sort")
_MARK = "@@ block "
_WITHIN = 120
"""Seconds for the commands of a page, however busy the machine is; they take a few."""

# Python without its packages starts in a fraction of the time that botocore takes to load: that is loaded here, once.
# As the AWS CLI does, it writes a stream to its file first, and then prints. What is a file already is written over so.
_AWS = """#!{python} -IS
import json, os, socket, stat, sys
arguments = sys.argv[1:]
given = sys.stdin.read() if any("/dev/stdin" in each for each in arguments) else ""
with socket.create_connection(("127.0.0.1", {port})) as connection, connection.makefile("rw") as file:
    file.write(json.dumps([arguments, os.getcwd(), given]) + "\\n")
    file.flush()
    answer = json.loads(file.readline())
if answer["outfile"] in ("/dev/stdout", "/dev/fd/1") and stat.S_ISREG(os.fstat(1).st_mode):
    sys.exit("aws: the answer would be written over, where this is sent to a file: " + " ".join(arguments))
if answer["outfile"]:
    with open(answer["outfile"], "w") as file:
        file.write(answer["stream"])
sys.stdout.write(answer["output"])
sys.stderr.write(answer["error"])
sys.exit(answer["code"])
"""

# What these say is installed stays as it is; the folder is not the checkout, and the tools are the checkout's.
_MAKE = """#!/bin/sh
[ "$1" = -s ] && shift
case " {targets} " in *" $1 "*) ;; *) echo "make $1 is not run here: name it, with the reason" >&2; exit 97 ;; esac
PATH={path} PYTHONPATH={root} exec make --no-print-directory -f {root}/Makefile BIN={bin} \\
    -o .venv/run.stamp -o .venv/test.stamp -o requirements-local.txt "$@"
"""
_PYTHON = """#!/bin/sh
PYTHONPATH={root} exec {python} "$@"
"""
# Where these are not installed: a path is all that the documents ask jq for, and curl for one request.
_JQ = """#!{python}
import json, sys
options, path = sys.argv[1], sys.argv[2].lstrip(".")
decoder, text = json.JSONDecoder(), sys.stdin.read().strip()
while text:
    last, end = decoder.raw_decode(text)
    text = text[end:].strip()
    for name in path.replace("[", ".[").split("."):
        try:
            last = last[int(name[1:-1]) if name.startswith("[") else name]
        except (IndexError, KeyError, TypeError):
            last = None
    as_text = isinstance(last, str) and ("r" in options or "j" in options)
    sys.stdout.write((last if as_text else json.dumps(last)) + ("" if "j" in options else "\\n"))
"""


_CURL = """#!{python}
import sys, urllib.request
method, url, data, words = None, "", None, sys.argv[1:]
while words:
    word = words.pop(0)
    if word == "-X":
        method = words.pop(0)
    elif word == "-d":
        data = words.pop(0).encode()
    elif word != "-s":
        url = word if "://" in word else "http://" + word
with urllib.request.urlopen(urllib.request.Request(url, data, method=method)) as answer:
    sys.stdout.write(answer.read().decode())
"""

_IN_PLACE_OF = {"curl": _CURL, "jq": _JQ}

# The command of the checkout, with the stack of the test: the pages have it installed, and a stack in an account.
_GATEHOUSE = """#!/bin/sh
PYTHONPATH={root}/clients/python:{root} exec {python} -m gatehouse.cli "$@" --port {stack}
"""
# The keeper of secrets that a reader has.
_OP = """#!/bin/sh
echo a-secret-of-its-own
"""


@dataclass(frozen=True)
class Answer:
    """What a command of `aws` does: `stream` goes to `outfile`, if there is one, and `output` to the terminal."""

    code: int = 0
    output: str = ""
    error: str = ""
    outfile: str | None = None
    stream: str = ""


@dataclass(frozen=True)
class Ran:
    """What the blocks of a page printed, each by its line; `failed` is the block that ended it, and `code` how."""

    printed: dict[int, str]
    complaints: str
    code: int
    failed: int | None


class Terminal:
    """A context manager; `answer` does what `aws` is asked for, and `folder` is where everything happens."""

    def __init__(self, folder: Path, answer: Callable[[Sequence[str], Read], Answer], stack: str = "8787") -> None:
        """`stack` is the port of the local stack that the command `gatehouse` works with."""
        self.folder = folder
        self._stack = stack
        self._bin = folder / "bin"
        self._server = _server(answer)

    def __enter__(self) -> Self:
        """Put the programs where bash finds them, and answer `aws`."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self._bin.mkdir()
        (self.folder / ".venv" / "bin").mkdir(parents=True)
        values = {
            "python": sys.executable,
            "targets": " ".join(TARGETS),
            "port": str(self._server.server_address[1]),
            "root": str(ROOT),
            "bin": str(Path(sys.executable).parent),
            "path": os.environ.get("PATH", os.defpath),
            "stack": self._stack,
        }
        for name, text in {"aws": _AWS, "make": _MAKE, "gatehouse": _GATEHOUSE, "op": _OP}.items():
            self._program(name, text, values)
        # What is found as `python3` may be a script that needs more than is here.
        for python in ("python3", "../.venv/bin/python"):
            self._program(python, _PYTHON, values)
        for name in _ORDINARY:
            self._link(name)
        for name, text in _IN_PLACE_OF.items():
            if not self._link(name):
                self._program(name, text, values)
        return self

    def __exit__(self, *_: object) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def run(self, blocks: Sequence[tuple[int, str]], **variables: str) -> Ran:
        """Run the blocks of a page, by their lines, in one shell: what one of them sets, the next ones read."""
        script = "\n".join(f"printf '\\n{_MARK}{line}\\n'\n{text}" for line, text in blocks)
        # Into a file, where it shows if a command writes over what another has printed.
        with (self.folder / "printed").open("w+", encoding="utf-8") as output:
            shell = subprocess.Popen(
                [str(shutil.which("bash")), "-euo", "pipefail", "-c", script],
                cwd=self.folder,
                env={**os.environ, "PATH": str(self._bin), **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            try:
                _, complaints = shell.communicate(timeout=_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(shell.pid, signal.SIGKILL)
                _, complaints = shell.communicate()
            output.seek(0)
            stdout = output.read()
        _, *parts = stdout.split(f"\n{_MARK}")
        printed = {int(part.partition("\n")[0]): part.partition("\n")[2] for part in parts}
        failed = max(printed) if shell.returncode else None
        return Ran(printed, complaints, shell.returncode, failed)

    def _program(self, name: str, text: str, values: dict[str, str]) -> None:
        for key, value in values.items():
            text = text.replace(f"{{{key}}}", value)
        path = self._bin / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def _link(self, name: str) -> bool:
        found = shutil.which(name)
        if found:
            (self._bin / name).symlink_to(found)
        return found is not None


def _server(answer: Callable[[Sequence[str], Read], Answer]) -> socketserver.ThreadingTCPServer:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            arguments, folder, given = json.loads(self.rfile.readline())

            def read(path: str) -> bytes:
                return str(given).encode() if path == "/dev/stdin" else (Path(folder) / path).read_bytes()

            self.wfile.write(json.dumps(asdict(answer(arguments, read))).encode() + b"\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server

"""Many grants, imported by `gatehouse import`, which is interrupted once and killed once on the way.

    python -m tests.clients.cli.many [NUMBER]      1,000, if no other number is named

Prints what came of it, with time and memory, and returns 1 if a grant is missing, or was asked for more often than the
interruptions explain.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import requests
from botocore.config import Config

from local.demo import DECISION_HEADER, MERCHANT_HEADER
from local.stack import Stack
from tests.requirements import ROOT
from tests.unlimited import lift_the_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Say = Callable[[str], Any]

NUMBER = 1000
_AT_ONCE = 4
_SECONDS = 900


def mint(stack: Stack, number: int) -> dict[str, Any]:
    """Obtain a grant of one merchant, as an earlier system did, and return it as a row of the file."""
    registration = stack.registrations["ultracart"]
    redirect_uri = f"{stack.base_url}/callback/ultracart"
    merchant = f"M{number:05}"
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            registration["authorization_endpoint"],
            params={
                "response_type": "code",
                "client_id": registration["client_id"],
                "redirect_uri": redirect_uri,
                "scope": "order_read",
                "state": "earlier-system",
            },
            headers={DECISION_HEADER: "allow", MERCHANT_HEADER: merchant},
            allow_redirects=False,
            timeout=30,
        )
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        tokens = session.post(
            registration["token_endpoint"],
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "client_id": registration["client_id"],
            },
            headers={"X-UltraCart-Api-Version": "2017-03-01"},
            timeout=30,
        ).json()
    return {"provider": "ultracart", "connection_id": f"shop-{number}", "refresh_token": tokens["refresh_token"]}


def command(*arguments: str) -> subprocess.Popen[str]:
    """Start the command as somebody does in a shell."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python")}
    return subprocess.Popen(
        [sys.executable, "-m", "gatehouse.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def interrupted(stack: Stack, arguments: tuple[str, ...], at: int, sent: signal.Signals) -> tuple[int, int]:
    """Run the import until so many grants are proved, and send a signal; return its exit code and how many then are."""
    running = command(*arguments)
    until = time.monotonic() + _SECONDS
    while proved(stack) < at and running.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    running.send_signal(sent)
    running.communicate(timeout=60)
    return running.returncode, proved(stack)


def most_memory(running: subprocess.Popen[str]) -> float:
    """Wait for a process to write its answer, and return the most memory that it had, in MB (on Linux)."""
    most = 0
    while running.poll() is None:
        try:
            status = Path(f"/proc/{running.pid}/status").read_text("utf-8")
        except OSError:
            break
        most = max([most, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        time.sleep(0.05)
    return most / 1024


def proved(stack: Stack) -> int:
    """Return how many grants the authorization server has refreshed."""
    return sum(grant["refreshes"] > 0 for grant in stack.demo.grants())


def statuses(stack: Stack) -> Counter[str]:
    """Return how many connections have each status, as the table has it: moto reads slowly."""
    client = boto3.client("dynamodb", config=Config(read_timeout=300))
    pages = client.get_paginator("scan").paginate(TableName=stack.deployment.tables["ConnectionsTable"])
    return Counter(item["summary"]["M"]["status"]["S"] for page in pages for item in page["Items"])


@contextmanager
def without_the_log() -> Iterator[Say]:
    """Give what prints a text, while what the functions log is not shown: that would be thousands of lines."""
    shown = sys.stdout
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield shown.write


def main(arguments: list[str]) -> int:
    """Import them; return 1 if one is missing, or was sent too often."""
    number = int(arguments[0]) if arguments else NUMBER
    with tempfile.TemporaryDirectory() as folder, without_the_log() as say, Stack(background=True) as stack:
        return _imported(stack, number, Path(folder) / "grants.jsonl", say)


def _imported(stack: Stack, number: int, file: Path, say: Say) -> int:
    lift_the_limit(stack)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rows = list(pool.map(lambda each: mint(stack, each), range(number)))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    stack.demo.reset()
    port = stack.local_url.rpartition(":")[2]
    importing = ("import", str(file), "--json", "--port", port)
    say(f"{number} grants in {file.stat().st_size:,} bytes\n")
    began = time.monotonic()
    code, done = interrupted(stack, importing, number * 3 // 10, signal.SIGINT)
    say(f"Ctrl-C: exit code {code}, {done} proved\n")
    code, done = interrupted(stack, importing, number * 6 // 10, signal.SIGKILL)
    say(f"killed: exit code {code}, {done} proved\n")
    last = time.monotonic()
    running = command(*importing)
    megabytes = most_memory(running)
    out, err = running.communicate()
    seconds, of_last = time.monotonic() - began, time.monotonic() - last
    report = json.loads(out) if out else {"failed": err}
    _finished(stack, number)
    say(f"{seconds:.0f} s in all, {of_last:.0f} s for the last run; {megabytes:.0f} MB at the most\n")
    say(f"tokens in what it wrote: {sum(row['refresh_token'] in out + err for row in rows)}\n")
    say(f"then: {report.get('imported')} imported, {report.get('unproved')} unproved, {len(report['failed'])} failed\n")
    return _judged(stack, number, say)


def _finished(stack: Stack, number: int) -> None:
    """Let the background prove what is left: its leases lapse by the stack's clock."""
    for _ in range(5):
        if proved(stack) == number:
            return
        stack.clock.advance(120)
        stack.background.run_schedules()
        time.sleep(2)


def _judged(stack: Stack, number: int, say: Any) -> int:
    by_status = statuses(stack)
    refreshes = Counter(grant["refreshes"] for grant in stack.demo.grants())
    say(f"connections by status: {dict(by_status)}\n")
    say(f"grants by how often they were refreshed: {dict(sorted(refreshes.items()))}\n")
    # A function that is killed between request and answer leaves an attempt whose outcome nobody knows: it is made
    # once more. Here the command is killed, and the functions go on.
    is_well = by_status == {"active": number} and refreshes == {1: number}
    say("well\n" if is_well else "NOT WELL\n")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

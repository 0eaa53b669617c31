"""Many grants move from one stack to another: `gatehouse export`, the program of docs/export.md, `gatehouse import`.

    python -m tests.clients.cli.moving [NUMBER]      1,000, if no other number is named

Both stacks are registered at one authorization server, as two deployments of one application are. Prints what came of
it, and returns 1 if the second stack does not vend a working token for each grant, to the owner that it had.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from local.stack import Stack
from tests.clients.cli.many import command, mint, without_the_log
from tests.documents import page, programs, section
from tests.unlimited import lift_the_limit

if TYPE_CHECKING:
    from tests.clients.cli.many import Say

NUMBER = 1000
_AT_ONCE = 4


class Moving:
    """A folder with what is moved, and what the commands have written on the way."""

    def __init__(self, folder: Path) -> None:
        self.grants, self.sealed, self.opened = (folder / name for name in ("had.jsonl", "export.jwe", "opened.jsonl"))
        self._private, self._public, self._open = (folder / name for name in ("key.pem", "key.pub.pem", "open.py"))
        self.written = ""
        key = rsa.generate_private_key(65537, 3072)
        self._private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self._open.write_text(programs(section(page("docs/export.md"), "Open it"), "python")[0], "utf-8")

    def imported(self, stack: Stack, file: Path) -> dict[str, Any]:
        """Import a file into a stack, and return the report."""
        return self._answer(stack, "import", str(file))

    def export(self, stack: Stack) -> dict[str, Any]:
        """Export everything to the public key, and return the report."""
        return self._answer(
            stack, "export", str(self.sealed), "--key", str(self._public), "--yes", "--per-second", "100"
        )

    def open(self) -> list[dict[str, Any]]:
        """Open the export with the program of the document."""
        arguments = [str(self._open), str(self._private), str(self.sealed), str(self.opened)]
        subprocess.run([sys.executable, *arguments], check=True)
        return [json.loads(line) for line in self.opened.read_text("utf-8").splitlines()]

    def _answer(self, stack: Stack, *arguments: str) -> dict[str, Any]:
        port = stack.local_url.rpartition(":")[2]
        out, err = command(*arguments, "--json", "--port", port).communicate()
        self.written += out + err
        answer: dict[str, Any] = json.loads(out or err)
        return answer


def main(arguments: list[str]) -> int:
    """Move them; return 1 if one is not there, or does not work."""
    number = int(arguments[0]) if arguments else NUMBER
    with tempfile.TemporaryDirectory() as folder, without_the_log() as say:
        return _moved(number, Moving(Path(folder)), say)


def _moved(number: int, moving: Moving, say: Say) -> int:
    began = time.monotonic()
    with Stack() as first:
        lift_the_limit(first)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            minted = list(pool.map(lambda each: mint(first, each) | {"owner": f"customer-{each}"}, range(number)))
        moving.grants.write_text("".join(json.dumps(row) + "\n" for row in minted), "utf-8")
        report = moving.imported(first, moving.grants)
        say(f"first stack: {report.get('imported')} of {number} imported, {len(report.get('failed', []))} failed\n")
        exported = moving.export(first)
        opened = moving.open()
        say(
            f"{exported.get('exported')} exported, {len(exported.get('left_out', []))} left out, {len(opened)} opened\n"
        )
        # The first stack is used no more, but for its authorization server. The environment is the second one's.
        with Stack(background=True, registrations={"ultracart": first.registrations["ultracart"]}) as second:
            report = moving.imported(second, moving.opened)
            say(f"second stack: {report.get('imported')} imported, {len(report.get('failed', []))} failed\n")
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                found = list(pool.map(lambda each: _works(second, first.demo.url, each, minted[each]), range(number)))
            refreshes = Counter(grant["refreshes"] for grant in first.demo.grants())
    secrets = [row[name] for row in (*minted, *opened) for name in ("refresh_token", "access_token") if name in row]
    leaked = sum(secret in moving.written for secret in secrets)
    say(f"the second stack vends a token that works, to the owner that it had: {found.count(None)} of {number}\n")
    say("".join(f"  {why}\n" for why in sorted({why for why in found if why})))
    say(f"grants by how often they were refreshed, once for each import: {dict(sorted(refreshes.items()))}\n")
    say(f"tokens in what the commands wrote: {leaked} of {len(secrets)}\n")
    is_well = found.count(None) == len(opened) == number and refreshes == {2: number} and leaked == 0
    say(f"{'well' if is_well else 'NOT WELL'}, in {time.monotonic() - began:.0f} s\n")
    return 0 if is_well else 1


def _works(stack: Stack, api: str, number: int, row: dict[str, Any]) -> str | None:
    """Return why a connection is not as it was, or None: it has its owner, and reads its own merchant's orders."""
    answer = stack.invoke("token", {"connection_id": row["connection_id"]}) or {}
    seen = stack.invoke("connections", {"connection_id": row["connection_id"]}) or {}
    if "access_token" not in answer:
        return f"no token: {answer.get('error')}"
    if seen["connection"]["owner"] != row["owner"]:
        return "another owner"
    headers = {"Authorization": f"Bearer {answer['access_token']}", "X-UltraCart-Api-Version": "2017-03-01"}
    orders = requests.get(f"{api}/rest/v2/order/orders", headers=headers, timeout=30)
    if not orders.ok:
        return f"the API answers {orders.status_code}"
    return None if orders.json()["orders"][0]["merchant_id"] == f"M{number:05}" else "orders of another merchant"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

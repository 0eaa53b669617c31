"""AWS and the providers, as they were recorded: ``python -m benchmarks.replay`` answers at once, and counts.

Where an emulator takes longer than the real thing, everything that is measured beside it looks good. This answers from
a table, in a process of its own, after a delay if it is to keep one: what is measured is the function.

Standard library only. An argument is the file with the key and the certificate, for TLS. The scene, a JSON document,
comes on standard input: under `port` where it was recorded, if it has to be there, for a seal holds for the origins
that a record names; and for each name of an operation, or method and
path, an answer `{"status", "headers", "body", "delay"}`. The port goes to standard output. `GET /_counts` gives what
came since it was last asked.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import sys
from collections import defaultdict
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *[^.\r]+\.(\w+)", re.IGNORECASE)
_SHARED_TABLE = re.compile(rb'"TableName": *"[^"]*SharedTable')
SHARED = " (shared)"
"""Follows the name of an operation on the table of what connections share: its items are not a connection's."""

_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Replay:
    """The answers by operation, ready to be sent, and what was counted."""

    def __init__(self, scene: dict[str, Any]) -> None:
        self._answers: dict[str, tuple[bytes, float]] = {
            name: (_wire(answer), float(answer.get("delay", 0))) for name, answer in scene.items()
        }
        self.counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])

    def find(self, operation: str) -> tuple[bytes, float]:
        """Return the answer to an operation; for a method and a path, that of the longest path that begins it."""
        if operation in self._answers:
            return self._answers[operation]
        fitting = [name for name in self._answers if operation.startswith(name)]
        if not fitting:
            return _wire({"status": 500, "body": f"nothing is recorded for {operation}"}), 0.0
        return self._answers[max(fitting, key=len)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"100-continue" in head:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        operation = self._operation(head) + (SHARED if _SHARED_TABLE.search(body) else "")
        if operation == "GET /_counts":
            answer, delay = _wire({"body": json.dumps(self.counts)}), 0.0
            self.counts.clear()
        else:
            answer, delay = self.find(operation)
            count = self.counts[operation]
            count[:] = count[0] + 1, count[1] + len(head) + len(body), count[2] + len(answer)
        if delay:
            await asyncio.sleep(delay)
        writer.write(answer)
        await writer.drain()
        return not _CLOSE.search(head)

    @staticmethod
    def _operation(head: bytes) -> str:
        target = _TARGET.search(head)
        if target:
            return target[1].decode()
        method, path = head.split(b" ", 2)[:2]
        return f"{method.decode()} {path.decode().partition('?')[0]}"


def _wire(answer: dict[str, Any]) -> bytes:
    body: bytes = answer.get("body", "").encode()
    headers = {"Content-Type": "application/json", **answer.get("headers", {}), "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {answer.get('status', 200)} -\r\n{lines}\r\n"
    return head.encode() + body


def _tls(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def main() -> None:
    """Serve one scene until the process is ended."""
    scene = json.loads(sys.stdin.readline())
    listener = socket.create_server(("127.0.0.1", scene.pop("port", 0)), backlog=256)
    port = listener.getsockname()[1]
    tls = _tls(sys.argv[1]) if len(sys.argv) > 1 else None
    server = await asyncio.start_server(Replay(scene).serve, sock=listener, ssl=tls)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

"""`python asking.py CONNECTION_ID THREADS`: a process whose threads all ask for a token at once, when a line comes."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from gatehouse import Gatehouse


def main(connection_id: str, threads: int) -> None:
    """Say that all is ready, wait for a line, ask, and print what came."""
    gatehouse, together = Gatehouse(), threading.Barrier(threads)
    calls: list[str] = []
    lambda_client = gatehouse.core.transport.connect()
    lambda_client.meta.events.register("before-call.lambda.Invoke", lambda **_: calls.append("call"))  # type: ignore[attr-defined]
    print("ready", flush=True)  # noqa: T201 - for the test
    sys.stdin.readline()

    def ask(_: int) -> tuple[int, str]:
        together.wait()
        token = gatehouse.token(connection_id)
        return token.version, token.access_token

    with ThreadPoolExecutor(threads) as pool:
        tokens = list(pool.map(ask, range(threads)))
    digests = {hashlib.sha256(token.encode()).hexdigest() for _, token in tokens}
    print(  # noqa: T201 - for the test
        json.dumps({"versions": [version for version, _ in tokens], "digest": "+".join(digests), "calls": len(calls)})
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

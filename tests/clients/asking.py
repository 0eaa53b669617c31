"""`python asking.py CONNECTION_ID THREADS`: a process whose threads all do the same at once, for each line that comes.

An empty line makes them ask for a token. A URL makes them call it with one.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from gatehouse import Gatehouse


class Crowd:
    """The threads of this process, with the client that they share."""

    def __init__(self, connection_id: str, threads: int) -> None:
        self._connection_id = connection_id
        self._gatehouse = Gatehouse()
        self._threads = threads
        self._together = threading.Barrier(threads)
        self._calls: Counter[str] = Counter()
        client: Any = self._gatehouse.core.transport.connect()
        client.meta.events.register("before-call.lambda.Invoke", self._count)

    def _count(self, params: dict[str, Any], **_: Any) -> None:
        self._calls[params["url_path"].split("gatehouse-")[1].split("%3A")[0]] += 1

    def all(self, url: str) -> dict[str, Any]:
        """Do it in all threads, and return what came, with how often Gatehouse was called meanwhile."""
        self._calls.clear()
        with ThreadPoolExecutor(self._threads) as pool:
            came = Counter(pool.map(self._one, [url] * self._threads))
        return {"came": came, "calls": self._calls}

    def _one(self, url: str) -> str:
        self._together.wait()
        if url:
            auth = self._gatehouse.auth_for(self._connection_id)
            headers = {"X-UltraCart-Api-Version": "2017-03-01"}
            return str(requests.get(url, auth=auth, headers=headers, timeout=30).status_code)
        token = self._gatehouse.token(self._connection_id)
        return f"{token.version} {hashlib.sha256(token.access_token.encode()).hexdigest()}"


def main(connection_id: str, threads: int) -> None:
    """Say that all is ready, and do what comes."""
    crowd = Crowd(connection_id, threads)
    print("ready", flush=True)  # noqa: T201 - for the test
    for line in sys.stdin:
        print(json.dumps(crowd.all(line.strip())), flush=True)  # noqa: T201 - for the test


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

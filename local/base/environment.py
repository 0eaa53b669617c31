"""The process environment, cut off from every real AWS account."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REGION = "us-east-1"
CALLER = "local"
"""Who calls AWS here: the access key of credentials that open nothing."""
_LOOPBACK_NAMES = ("localhost", "127.0.0.1")


def isolated(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without anything that leads to a real AWS account, and with credentials that open none.

    Every ``AWS_*`` and ``BOTO*`` variable goes (profiles, roles, endpoints, certificates), because a list of the
    known ones would be one short some day. The loopback interface is excepted from any proxy of the machine.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith(("AWS_", "BOTO", "MOTO_"))}
    bypass = ",".join(filter(None, [environ.get("no_proxy") or environ.get("NO_PROXY"), *_LOOPBACK_NAMES]))
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": CALLER,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Without this any web page open in the owner's browser could read the emulated account.
        "MOTO_DISABLE_GLOBAL_CORS": "true",
        "NO_PROXY": bypass,
        "no_proxy": bypass,
    }


_lock = threading.Lock()
_before: list[dict[str, str]] = []
"""What each isolation that has not ended is to put back, in the order in which they began."""


@contextmanager
def isolation(endpoints: Mapping[str, str]) -> Iterator[None]:
    """Isolate ``os.environ`` and point boto3 at ``endpoints`` (``AWS_ENDPOINT_URL...``); put all back at the end.

    They may end in another order than they began, in threads or in fixtures of tests: the latest stays in force until
    it ends, and what it puts back is then what the earlier one would have put back.
    """
    with _lock:
        before = dict(os.environ)
        _before.append(before)
        _replace(isolated(before) | dict(endpoints))
    try:
        yield
    finally:
        with _lock:
            number = next(number for number, each in enumerate(_before) if each is before)
            if number + 1 < len(_before):
                _before[number + 1].clear()
                _before[number + 1].update(before)
            else:
                _replace(before)
            del _before[number]


def _replace(environ: Mapping[str, str]) -> None:
    for name in os.environ.keys() - environ.keys():
        del os.environ[name]
    os.environ.update(environ)

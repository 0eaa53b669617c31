"""What the functions say to CloudWatch: one line of JSON for each event, on standard output."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

if TYPE_CHECKING:
    from collections.abc import Iterator

About = dict[str, Any]
"""What a call is about: noted as soon as it is known, and from then on in every line of the log that it writes."""

_about: ContextVar[About] = ContextVar("about")


@contextmanager
def call() -> Iterator[About]:
    """Give what notes what a call is about, for as long as it lasts."""
    about: About = {}
    before = _about.set(about)
    try:
        yield about
    finally:
        _about.reset(before)


class _Subject(logging.Filter):
    """Adds to a line what its call is about. A use case that writes a warning need not know the whole of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete a record; what the line says itself stays."""
        for name, value in _about.get({}).items():
            record.__dict__.setdefault(name, value)
        return True


_SUBJECT = _Subject()


class _Output(logging.StreamHandler):  # type: ignore[type-arg]  # generic for type checkers alone
    """Standard output as it is when something is written, not as it was when this module was loaded."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record."""
        self.stream = sys.stdout
        super().emit(record)


def logger() -> Logger:
    """Return the one logger of the functions.

    Its timestamps are RFC 3339: for one in any other form Lambda takes a line for INFO, whatever level it names.
    """
    # Whoever runs thousands of calls may have set a level already.
    level = logging.getLogger("gatehouse").level or None
    made = Logger(
        service="gatehouse", level=level, location=None, use_rfc3339=True, utc=True, logger_handler=_Output(sys.stdout)
    )
    made.addFilter(_SUBJECT)
    return made


# At level DEBUG these write whole requests and answers: secrets of ours, in any function whose log level is turned up.
for _library in ("boto3", "botocore", "requests", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)
# Its warnings quote whole addresses, and some servers want the token in the address that revokes it.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)

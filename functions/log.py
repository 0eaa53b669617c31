"""What the functions say to CloudWatch: one line of JSON for each event, on standard output.

Thirty lines of the standard library in place of a logging package: every function writes, so every cold start would
pay for it.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class _Line(logging.Formatter):
    """Level, message, service, and what was given as `extra`.

    The timestamp is RFC 3339: for one in any other form Lambda takes a line for INFO, whatever level it names.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "level": record.levelname,
            "message": record.getMessage(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "service": "gatehouse",
        }
        extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        return json.dumps(line | extra)


class _Output(logging.Handler):
    """Standard output as it is when something is written, not as it was when this module was loaded."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record, whole: other threads write, too."""
        try:
            sys.stdout.write(self.format(record) + "\n")
            sys.stdout.flush()
        except Exception:  # noqa: BLE001 - as every handler does: what cannot be logged must not end a call
            self.handleError(record)


def logger() -> logging.Logger:
    """Return the one logger of the functions. It keeps its lines from Lambda's own handler, which would repeat them."""
    made = logging.getLogger("gatehouse")
    if not made.handlers:
        output = _Output()
        output.setFormatter(_Line())
        made.addHandler(output)
        made.propagate = False
    if made.level == logging.NOTSET:  # whoever runs thousands of calls may have set it already
        made.setLevel(logging.INFO)
    return made


# At level DEBUG these write whole requests and answers: secrets of ours, in any function whose log level is turned up.
for _library in ("boto3", "botocore", "requests", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)
# Its warnings quote whole addresses, and some servers want the token in the address that revokes it.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)

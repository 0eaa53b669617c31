"""What the functions say to CloudWatch: one line of JSON for each event, on standard output."""

from __future__ import annotations

import logging
import sys

from aws_lambda_powertools.logging import Logger


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
    return Logger(
        service="gatehouse", level=level, location=None, use_rfc3339=True, utc=True, logger_handler=_Output(sys.stdout)
    )


# At level DEBUG these write whole requests and answers: secrets of ours, in any function whose log level is turned up.
for _library in ("boto3", "botocore", "requests", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)
# Its warnings quote whole addresses, and some servers want the token in the address that revokes it.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)

"""What the functions log: a line of JSON for each call, on standard output, from where CloudWatch takes it."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from functions.vault.base import noted
from functions.vault.base.errors import InvalidRequest, ServerError
from functions.vault.settings import SettingMissing

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError, ProviderError

About = dict[str, Any]
"""What a call is about. A fact is added as soon as it is known, and is in every line that the call logs after that."""

NOT_NAMED = "not told"
"""The principal of an Invoke: AWS tells a function nothing of it. CloudTrail has it, under the same request id."""

call = noted.of_a_call
"""Collects what a call is about, for as long as the call lasts."""


class _AboutFilter(logging.Filter):
    """Adds to each line what its call is about. A use case that logs a warning need not know all of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete a record; what the line itself says takes precedence."""
        for name, value in noted.so_far().items():
            record.__dict__.setdefault(name, value)
        return True


_ABOUT_FILTER = _AboutFilter()


class _Output(logging.StreamHandler):  # type: ignore[type-arg]  # generic for type checkers alone
    """Writes to standard output as it is at the time of writing, not as it was when this module was loaded."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record."""
        self.stream = sys.stdout
        super().emit(record)


def _logger() -> Logger:
    """Return the logger of the functions.

    Its timestamps are RFC 3339: with any other form, Lambda treats a line as INFO whatever its level is.
    """
    # Programs that make thousands of calls may have set a level already.
    level = logging.getLogger("gatehouse").level or None
    made = Logger(
        service="gatehouse", level=level, location=None, use_rfc3339=True, utc=True, logger_handler=_Output(sys.stdout)
    )
    made.addFilter(_ABOUT_FILTER)
    return made


_LOGGER = _logger()


def ended(function: str, outcome: str, seconds: float, request_id: str, **more: Any) -> None:
    """Log how a call ended; `more` without what is None."""
    facts = {"outcome": outcome, "duration_ms": round(seconds * 1000, 1), "request_id": request_id}
    known = {key: value for key, value in more.items() if value is not None}
    _LOGGER.info(function, extra=facts | known)


def defect(function: str, error: Exception, request_id: str) -> None:
    """Log the type of a defect and where it arose. Its text may repeat the input that caused it, and is not logged."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    facts: dict[str, Any] = {"type": type(error).__name__, "at": frames[-12:], "request_id": request_id}
    if isinstance(error, SettingMissing):
        facts["setting"] = str(error)
    aws_answer = getattr(error, "response", None)
    if isinstance(aws_answer, Mapping):
        facts["aws_error"] = aws_answer.get("Error", {}).get("Code")
        facts["aws_operation"] = getattr(error, "operation_name", None)
    _LOGGER.error(function, extra={"outcome": ServerError.code, **facts})


def facts_of(error: GatehouseError) -> dict[str, Any]:
    """Return what the log says about a failure, besides its code."""
    return {
        # The description of an invalid request repeats names that the caller chose. Only the caller gets them.
        "description": None if isinstance(error, InvalidRequest) else error.description,
        **facts_of_answer(error.provider_error),
    }


def facts_of_answer(error: ProviderError | None) -> dict[str, Any]:
    """Return what the log says about an authorization server's error, which was shortened and cleaned when it came."""
    if error is None:
        return {}
    return {
        "provider_error": error.error,
        "provider_error_description": error.error_description,
        "provider_status": error.status,
    }


# At level DEBUG these log whole requests and answers, with our secrets in them, whatever level a function has.
for _library in ("boto3", "botocore", "requests", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)
# Its warnings contain whole URLs, and some servers take the token to revoke in the URL.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)

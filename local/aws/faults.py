"""Failures of AWS on purpose: what DynamoDB, KMS, SQS or Secrets Manager answer instead, and whether they acted."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from local.aws.call import AwsCall

SERVICES = ("dynamodb", "events", "kms", "secretsmanager", "sqs")

# AWS's words, with the status that comes with each.
ERRORS = {
    "AccessDeniedException": HTTPStatus.BAD_REQUEST,
    "InternalServerError": HTTPStatus.INTERNAL_SERVER_ERROR,
    "ProvisionedThroughputExceededException": HTTPStatus.BAD_REQUEST,
    "ServiceUnavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "ThrottlingException": HTTPStatus.BAD_REQUEST,
}


@dataclass(frozen=True)
class Fault:
    """How calls of one operation are treated: `after` so many that work, `times` fail (None: until cleared).

    With `act` the call takes effect, and the answer is lost.
    """

    service: str
    operation: str
    error: str
    times: int | None
    after: int
    act: bool

    def __post_init__(self) -> None:
        """Refuse what would never apply; raises `ValueError`."""
        if self.service not in SERVICES:
            raise ValueError(f"service: must be one of {', '.join(SERVICES)}")
        if self.error not in ERRORS:
            raise ValueError(f"error: must be one of {', '.join(ERRORS)}")
        if self.after < 0 or (self.times is not None and self.times < 1):
            raise ValueError("times: at least 1, after: at least 0")

    def answer(self) -> Response:
        """Return the error as AWS's JSON protocols have it."""
        document = {"__type": f"com.amazonaws.{self.service}#{self.error}", "message": "A fault that was asked for."}
        return Response(json.dumps(document), ERRORS[self.error], content_type="application/x-amz-json-1.0")


class AwsFaults:
    """The faults in force. Each call of a client is counted, retries of botocore's own (one) among them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[tuple[str, str], Fault] = {}

    def fail(  # noqa: PLR0913 - by keyword, each a word of the sentence
        self,
        service: str,
        operation: str,
        *,
        error: str = "InternalServerError",
        times: int | None = None,
        after: int = 0,
        act: bool = False,
    ) -> None:
        """Let an operation (`("dynamodb", "UpdateItem")`) fail from now on, in place of what was set for it before.

        Raises `ValueError` for a service or error that is not known here.
        """
        fault = Fault(service, operation, error, times, after, act)
        with self._lock:
            self._faults[service, operation] = fault

    def clear(self) -> None:
        """Let everything work again."""
        with self._lock:
            self._faults.clear()

    def take(self, call: AwsCall) -> Fault | None:
        """Return the fault that applies to a call that has just come, and count it."""
        with self._lock:
            fault = self._faults.get((call.service, call.operation))
            if fault is None:
                return None
            if fault.after:
                self._faults[call.service, call.operation] = replace(fault, after=fault.after - 1)
                return None
            if fault.times == 1:
                del self._faults[call.service, call.operation]
            elif fault.times is not None:
                self._faults[call.service, call.operation] = replace(fault, times=fault.times - 1)
            return fault

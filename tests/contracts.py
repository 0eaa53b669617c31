"""The contracts in docs/contracts, held by all tests: what a function takes and answers is compared with its schema."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tools import contract_schemas


@cache
def _request(function: str) -> Draft202012Validator:
    return Draft202012Validator(contract_schemas.request_schema(function, contract_schemas.handlers()[function]))


@cache
def _functions() -> frozenset[str]:
    """Return the functions that take a JSON object: pages are no business of these contracts."""
    return frozenset(contract_schemas.handlers())


def _is_of_aws(answer: Any) -> bool:
    """Return whether an answer is one to a queue or a stream, which has a contract of AWS's."""
    return isinstance(answer, dict) and answer.keys() == {"batchItemFailures"}


@cache
def _answers(function: str) -> tuple[Draft202012Validator, Draft202012Validator]:
    """Return what checks results, and what checks failures: with no field that the schemas do not name."""
    *results, failure = contract_schemas.answer_schema(function, closed=True)["oneOf"]
    return Draft202012Validator({"oneOf": results}), Draft202012Validator(failure)


def require(function: str, request: Any, answer: Any) -> None:
    """Fail the test unless an answer is one of the function's, and the request, if it was not refused, one too."""
    if function not in _functions() or _is_of_aws(answer):
        return
    is_failure = isinstance(answer, dict) and "error" in answer
    result, failure = _answers(function)
    (failure if is_failure else result).validate(answer)
    if not is_failure or answer["error"] != "invalid_request":
        _request(function).validate(request)

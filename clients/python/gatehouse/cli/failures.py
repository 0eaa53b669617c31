"""What a person reads when something did not work: what it was, and what to do."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from . import exits
from .words import connecting, counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatehouse.errors import GatehouseError


class Failure(Exception):
    """A command cannot do what it was called for. The text says why; `advice` says what to do."""

    def __init__(self, error: str, description: str, *, advice: str, code: int | None = None) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.advice = advice
        self.code = exits.code_of(error) if code is None else code
        self.facts: dict[str, Any] = {}

    def as_json(self) -> dict[str, Any]:
        """Return it in the form of Gatehouse's own failures, with the advice."""
        return {"error": self.error, "error_description": self.description, **self.facts, "advice": self.advice}


def unusable(error: str, path: object, because: OSError) -> Failure:
    """Return the failure that a file is which cannot be read or written."""
    said = f"{path}: {because.strerror}."
    return Failure(error, said, advice="Name another file, or give yourself that right.", code=exits.USAGE)


def _unknown() -> None:
    return None


def failure_of(error: Exception, where: str, provider: Callable[[], str | None] = _unknown) -> Failure | None:
    """Return the failure that an exception is, or None if it is a defect of the command itself.

    `where` are the options that lead to the same stack, and `provider` finds the name that belongs into the advice.
    """
    from gatehouse.errors import GatehouseError  # noqa: PLC0415 - those who only read the help need none of it

    if isinstance(error, Failure):
        return error
    return of_gatehouse(error, where, provider) if isinstance(error, GatehouseError) else of_aws(error)


def of_gatehouse(error: GatehouseError, where: str, provider: Callable[[], str | None]) -> Failure:
    """Return the failure that an answer of Gatehouse is, or the lack of one."""
    from gatehouse.errors import NoAnswer  # noqa: PLC0415 - as above

    without_answer = {}
    if isinstance(error, NoAnswer):
        without_answer = {"may_have_run": error.may_have_run}
        code = exits.code_without_answer(retryable=error.retryable, may_harm=error.may_harm)
    else:
        code = exits.code_of(error.error, retryable=error.retryable)
    failure = Failure(error.error, error.description, advice=_advice(error, code, where, provider), code=code)
    failure.facts = {
        **without_answer,
        "retryable": error.retryable,
        "retry_after": error.retry_after,
        "connection_id": error.connection_id,
        "provider_error": error.provider_error and dict(error.provider_error),
        "asked_at": error.asked_at,
    }
    return failure


def _advice(error: GatehouseError, code: int, where: str, provider: Callable[[], str | None]) -> str:
    template = _MAY_HAVE_HAPPENED if code == exits.UNKNOWN else _ADVICE.get(error.error)
    if template is not None:
        name = (provider() if "{provider}" in template else None) or "PROVIDER"
        return template.format(id=shlex.quote(error.connection_id or "ID"), provider=name, where=where)
    if error.retry_after:
        return f"Try again in {counted(round(error.retry_after), 'second')}."
    return _LATER if error.retryable else "docs/calling.md, under Errors, says what it means and what to do."


_LATER = "Try again in a minute."
_MAY_HAVE_HAPPENED = "It may have happened. See that before you run it again: gatehouse show {id}{where}"
_AGAIN = f"Let the customer connect again: {connecting('{provider}', '{id}', '{where}')}"
_ADVICE = {
    "invalid_request": "Correct what it names, and run the command again.",
    "no_answer": "Run it again: what it has done already is not done twice. If it goes on: gatehouse doctor{where}",
    "connection_not_found": "See which there are: gatehouse connections{where}",
    "reauthorization_required": _AGAIN,
    "connection_revoked": _AGAIN,
    "confirmation_required": "Your application has to call confirm with what the customer's browser has brought back.",
    "confirmation_expired": _AGAIN,
    "confirmation_invalid": _AGAIN,
    "unknown_provider": "If the name is right, register it: gatehouse register {provider}{where}",
    "provider_misconfigured": "See what is wrong with the registration: gatehouse doctor{where}",
    "server_error": "Look for the error in the log of the function.",
    "not_allowed": "Use other credentials (--profile), or let somebody give yours this right. The stack's policies "
    "UseTokensPolicyArn and ManageConnectionsPolicyArn have the rights of an application. Import, export and reseal "
    "are in neither.",
    "not_deployed": "See what is deployed: gatehouse doctor{where}",
}
"""What to do about an error code, for those that another try does not mend."""


_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedException"}
_STALE = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_BUSY = {"RequestLimitExceeded", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequestsException"}
_LOG_IN = "Log in: aws configure, or aws sso login. Or name a profile: --profile. For the stack of make run: --local"
_LOOK = "See whether stack, region and credentials are those that you mean: gatehouse doctor"
_REGION = "Name that of your stack: --region us-east-1. For the stack of make run: --local"
_NETWORK = (
    "See whether this machine reaches the internet (proxy, VPN), and whether the region exists. "
    "For the stack of make run: --local"
)


def of_aws(error: Exception) -> Failure | None:
    """Return the failure that an error of AWS's SDK is, or None if it is something else."""
    from botocore import exceptions as aws  # noqa: PLC0415 - it has been loaded if one of these was raised

    if isinstance(error, aws.ClientError):
        return _of_client_error(error)
    kinds: tuple[tuple[tuple[type[Exception], ...], str, str, str], ...] = (
        (
            (aws.NoCredentialsError, aws.PartialCredentialsError),
            "no_credentials",
            "There are no AWS credentials here.",
            _LOG_IN,
        ),
        (
            (aws.NoRegionError,),
            "no_region",
            "No AWS region is set.",
            _REGION,
        ),
        ((aws.ProfileNotFound,), "no_credentials", f"{error}.", "See which there are: aws configure list-profiles"),
        (
            (aws.TokenRetrievalError, aws.UnauthorizedSSOTokenError, aws.SSOError),
            "no_credentials",
            f"Your session has ended: {error}",
            "Log in again: aws sso login",
        ),
        ((aws.EndpointConnectionError, aws.HTTPClientError), "aws_unreachable", f"{error}", _NETWORK),
        ((aws.BotoCoreError,), "aws", f"{error}", _LOOK),
    )
    for kind, code, text, advice in kinds:
        if isinstance(error, kind):
            return Failure(code, text, advice=advice, code=exits.AWS)
    return None


def _of_client_error(error: Any) -> Failure:
    said, operation = error.response.get("Error", {}), error.operation_name
    code, text = str(said.get("Code", "")), str(said.get("Message", "")).partition("\n")[0][:300]
    if code in _DENIED:
        kind, text = "not_allowed", f"AWS does not let you call {operation}: {text}"
    elif code in _STALE:
        kind, text = "no_credentials", f"AWS does not take these credentials any more ({code})."
    else:
        kind, text = "aws", f"{operation}: {code}: {text}"
    advice = {
        "not_allowed": "Use other credentials (--profile), or let somebody give yours this right.",
        "no_credentials": _LOG_IN,
        "aws": _LATER if code in _BUSY else _LOOK,
    }
    return Failure(kind, text, advice=advice[kind], code=exits.AWS)

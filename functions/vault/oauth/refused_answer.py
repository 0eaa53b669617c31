"""An answer that is no success: the refusal in it, and the failure which that means (RFC 6749 section 5.2)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ProviderError, ProviderThrottled

from . import refusal_meaning
from .answer_errors import NAMELESS, NAMELESS_OBJECT, error_of
from .answer_times import retry_after
from .refusal import Refusal, matching_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.base.errors import GatehouseError
    from functions.vault.provider.provider import Provider

    from .transport import Answer

_ERROR_CODE = r"[\x21\x23-\x5b\x5d-\x7e]{1,64}"

_LONGEST_PAGE = 20_000
"""Octets of a page in which a rule's words are looked for."""


def refusal_in(
    answer: Answer, document: Mapping[str, Any] | None, provider: Provider, endpoint: str, *, refused: bool = False
) -> Refusal | None:
    """Return the refusal that an answer is, or None if it is a success.

    `refused` says that it is known to be a refusal whatever its status and its `error`.
    """
    failed = not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
    error, texts = _error_in(document, provider, refused=failed or refused)
    if error is None and not failed:
        return None
    if failed and document is not None and error == NAMELESS and "error" not in document:
        error = None
    header = answer.headers.get("uc-rest-error")
    if document is None and (page := answer.body[:_LONGEST_PAGE].decode(errors="replace").strip()):
        return Refusal(endpoint, answer.status, None, (page, *([header] if header else [])), None)
    code = error or f"http_{answer.status}"
    return Refusal(endpoint, answer.status, code, (*texts, *([header] if header else [])), document)


def _error_in(
    document: Mapping[str, Any] | None, provider: Provider, *, refused: bool
) -> tuple[str | None, tuple[str, ...]]:
    """Return the code and the texts of an error; of several codes one with a known meaning."""
    if document is None:
        return None, ()
    explained = {rule["code"].lower() for rule in provider.rules if "code" in rule}
    return error_of(document, provider.error_fields, refusal_meaning.KNOWN | explained, refused=refused)


def failure_of(refusal: Refusal, answer: Answer, provider: Provider, secrets: tuple[str, ...]) -> GatehouseError:
    """Return the failure that a refusal means, with the server's words as far as they may be repeated."""
    code, texts = refusal.code or "", refusal.texts
    # A page is not repeated.
    words = answer.headers.get("uc-rest-error") if refusal.code is None else next(iter(texts), None)
    provider_error = ProviderError(
        (masked(code, provider, secrets) if re.fullmatch(_ERROR_CODE, code) else None) or f"http_{answer.status}",
        masked(words, provider, secrets),
        answer.status,
    )
    wait = retry_after(answer, refusal.document)
    failure = refusal_meaning.failure_of(refusal, matching_rule(refusal, provider.rules), provider_error, wait)
    failure.description += unexplained(refusal, failure, answer, provider, secrets)
    return failure


def unexplained(
    refusal: Refusal, failure: GatehouseError, answer: Answer, provider: Provider, secrets: tuple[str, ...]
) -> str:
    """Return what came, to follow a failure, if neither code nor words nor a rule say why; else nothing.

    Whoever writes a rule about it needs the names of its fields. An outage and a limit pass without one.
    """
    said = failure.provider_error
    has_a_reason = refusal.code not in {None, f"http_{refusal.status}", NAMELESS, NAMELESS_OBJECT} or (
        said is not None and said.error_description is not None
    )
    passes = isinstance(failure, ProviderThrottled) or refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if has_a_reason or passes or not answer.body or matching_rule(refusal, provider.rules) is not None:
        return ""
    from .unreadable import described  # noqa: PLC0415 - most refusals have a code

    return f" Of the answer: {described(answer, refusal.document, provider, secrets)}."


def masked(text: object, provider: Provider, secrets: tuple[str, ...]) -> str | None:
    """Return a server's words without what we had sent in confidence; None if nothing of them may be repeated."""
    from functions.vault.provider import masking  # noqa: PLC0415 - servers seldom refuse

    return masking.masked(text, secrets, provider.private)

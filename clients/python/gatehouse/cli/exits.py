"""The exit codes: what a script may decide by. They are the same with and without `--json`."""

from __future__ import annotations

DONE = 0
FOUND = 1
USAGE = 2
AWS = 3
NOT_CONNECTED = 4
MISCONFIGURED = 5
LATER = 6
DEFECT = 7
UNKNOWN = 8
INTERRUPTED = 130
NOT_READ = 141

MEANINGS = {
    DONE: "done; or what was looked at is as it should be",
    FOUND: "something that was looked at is not as it should be, some of an import failed or is not proved, an "
    "export left out grants that may be alive, or you said no",
    USAGE: "the call is wrong: an option, an argument, or a field that Gatehouse refuses (invalid_request)",
    AWS: "AWS: no credentials, no right, no such stack, or it cannot be reached",
    NOT_CONNECTED: "the customer has to act: connection_not_found, reauthorization_required, connection_revoked, "
    "and what a confirmation lacks",
    MISCONFIGURED: "the operator has to act: unknown_provider, provider_misconfigured",
    LATER: "the same call may succeed later: provider_throttled, provider_unavailable, temporarily_unavailable, "
    "no_answer",
    DEFECT: "a defect of Gatehouse (server_error), or of the command",
    UNKNOWN: "it may have happened, and a repeat could do harm: no_answer to `revoke` or `connect`",
    INTERRUPTED: "interrupted with Ctrl-C",
    NOT_READ: "nobody read its output to the end, like `head -1`",
}

_BY_ERROR = {
    "invalid_request": USAGE,
    "unknown_provider": MISCONFIGURED,
    "provider_misconfigured": MISCONFIGURED,
    "connection_not_found": NOT_CONNECTED,
    "reauthorization_required": NOT_CONNECTED,
    "connection_revoked": NOT_CONNECTED,
    "confirmation_required": NOT_CONNECTED,
    "confirmation_invalid": NOT_CONNECTED,
    "confirmation_expired": NOT_CONNECTED,
    "provider_throttled": LATER,
    "provider_unavailable": LATER,
    "temporarily_unavailable": LATER,
    "no_answer": LATER,
    "server_error": DEFECT,
    "not_allowed": AWS,
    "not_deployed": AWS,
}


def code_of(error: str, *, retryable: bool = False) -> int:
    """Return the exit code of an error code. One of a newer Gatehouse counts by whether it is retryable."""
    return _BY_ERROR.get(error, LATER if retryable else DEFECT)


def code_without_answer(*, retryable: bool, may_harm: bool) -> int:
    """Return the exit code of `no_answer`. A script that comes again after 6 would repeat what may have happened."""
    if retryable:
        return LATER
    return UNKNOWN if may_harm else AWS

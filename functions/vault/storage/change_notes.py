"""What a write has changed of a connection, noted for the log: once, in the line of the call whose write it was.

Callers who meet a dead grant again and again, or share a failure, change nothing: metrics count from these notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.vault.base.noted import note

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection


def note_change(was: Connection | None, now: Connection) -> None:
    """Note that `now` was written over `was`, or is new."""
    if was is None:
        note(status=now.status)
        return
    if now.status is not was.status:
        note(status=now.status, status_before=was.status)
    is_the_same_grant = (now.authorized_by, now.import_digest) == (was.authorized_by, was.import_digest)
    if now.version > was.version and is_the_same_grant and not now.is_to_be_proved:
        note(refreshed=True)
    if now.failure is not None and now.failure != was.failure:
        note(failure=now.failure.code)
        if (said := now.failure.provider_error) is not None:
            note(failed_with=said.error, failed_with_status=said.status)

"""Which function a call to the emulated account comes from.

In AWS the credentials say so. Here all functions have the same, so each one's calls carry its handler in a header.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.session import Session

HEADER = "X-Gatehouse-Handler"


@contextmanager
def calls_of(handler: str) -> Iterator[None]:
    """Let every botocore session that is made inside mark its calls as those of a function, named by its handler."""
    # The functions may run without ever calling AWS.
    import botocore  # noqa: PLC0415

    def mark(session: Session) -> None:
        def add_header(**sent: Any) -> None:
            sent["request"].headers[HEADER] = handler

        session.register("before-send", add_header)

    botocore.register_initializer(mark)
    try:
        yield
    finally:
        botocore.unregister_initializer(mark)

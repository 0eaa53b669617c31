"""What the functions log, line by line: on the stack's clock, and with the function that it is of.

In AWS the process says whose a line is. Here all functions share one, and one logger: a context variable says it.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Take = Callable[[str, str], None]

_LOGGER = "gatehouse"
"""What `functions.web.log` and the use cases call their logger."""


@dataclass(frozen=True)
class Source:
    """Whose lines come: the function's, of a stack whose clock is so many seconds ahead; ``take`` keeps each."""

    function: str
    ahead: float
    take: Take


_SOURCE: ContextVar[Source | None] = ContextVar("source", default=None)


@contextmanager
def lines_of(source: Source) -> Iterator[None]:
    """Let what is logged inside be the lines of a function."""
    token = _SOURCE.set(source)
    _listen()
    try:
        yield
    finally:
        _SOURCE.reset(token)


class _OnTheStacksClock(logging.Filter):
    """Dates each line by the stack's clock. It comes before what writes the line."""

    def filter(self, record: logging.LogRecord) -> bool:
        if (source := _SOURCE.get()) is not None:
            record.created += source.ahead
        return True


class _Keep(logging.Handler):
    """Hands each line, as it is written, to the stack that it is of."""

    def emit(self, record: logging.LogRecord) -> None:
        if (source := _SOURCE.get()) is not None and self.formatter is not None:
            source.take(source.function, self.formatter.format(record))


def _listen() -> None:
    """Have the functions' logger keep its lines, once it is there; twice does no more."""
    logger = logging.getLogger(_LOGGER)
    writing = [handler for handler in logger.handlers if not isinstance(handler, _Keep)]
    if not writing or len(writing) < len(logger.handlers):
        return
    logger.filters.insert(0, _OnTheStacksClock())
    keep = _Keep()
    keep.setFormatter(writing[0].formatter)
    logger.addHandler(keep)

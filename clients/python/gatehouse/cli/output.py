"""What a command writes. The answer, and nothing else, goes to standard output, and all the rest to standard error.

With `--json` the answer is JSON, and so is a failure, on standard error. Without a terminal there are no colors, a
table is lines of tab-separated cells without a head, and nothing is cut off or wrapped.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console
    from rich.progress import Progress

    from .failures import Failure

_WITHOUT_TERMINAL = 100_000
"""Columns where nobody looks: no line is wrapped."""


def clean(text: object) -> str:
    """Return a text for a terminal. Who wrote it could be a stranger: nothing in it may move the cursor."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text))


class Output:
    """Writes what one command has to say."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._consoles: dict[bool, Console] = {}

    def _console(self, *, of_errors: bool = False) -> Console:
        if of_errors not in self._consoles:
            from rich.console import Console  # noqa: PLC0415 - with --json nothing is drawn

            stream = sys.stderr if of_errors else sys.stdout
            width = None if stream.isatty() else _WITHOUT_TERMINAL
            console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)
            # rich would end the process with a code that means something else here.
            console.on_broken_pipe = _broken_pipe  # type: ignore[method-assign]
            self._consoles[of_errors] = console
        return self._consoles[of_errors]

    @property
    def is_drawn(self) -> bool:
        """Whether somebody looks at standard output."""
        return sys.stdout.isatty()

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks at standard error, where a progress bar is drawn."""
        return sys.stderr.isatty()

    def answer(self, document: Any) -> bool:
        """Write the answer as JSON, if it is to be JSON, and return whether it was."""
        if self.as_json:
            sys.stdout.write(_json(document, sys.stdout, indent=2) + "\n")
        return self.as_json

    def line_of_json(self, document: Any) -> None:
        """Write one of many answers: one line each (JSON Lines)."""
        sys.stdout.write(_json(document, sys.stdout) + "\n")
        sys.stdout.flush()

    def say(self, text: str, style: str | None = None) -> None:
        """Write a line of the answer, for a person."""
        self._console().print(clean_lines(text), style=style)

    def plain(self, text: str) -> None:
        """Write a line of the answer exactly as it is."""
        sys.stdout.write(text + "\n")

    def note(self, text: str, style: str | None = None) -> None:
        """Write a line beside the answer."""
        self._console(of_errors=True).print(clean_lines(text), style=style)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]], *, whole: str = "") -> None:
        """Write a table. If it is wider than the terminal, all columns but `whole` are folded."""
        if not self.is_drawn:
            for row in rows:
                self.plain("\t".join(clean(cell) for cell in row))
            return
        from rich.table import Table  # noqa: PLC0415 - as above

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in head:
            table.add_column(name, overflow="fold", no_wrap=name == whole)
        for row in rows:
            table.add_row(*map(clean, row))
        self._console().print(table, soft_wrap=False)

    def facts(self, facts: Mapping[str, object]) -> None:
        """Write what is known of one thing, a line for each; what is not known is left out."""
        known = {name: value for name, value in facts.items() if value not in (None, "", [], {}, ())}
        if not self.is_drawn:
            for name, value in known.items():
                self.plain(f"{name}\t{clean(value)}")
            return
        from rich.table import Table  # noqa: PLC0415 - as above

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in known.items():
            table.add_row(clean(name), clean(value))
        self._console().print(table, soft_wrap=False)

    def failed(self, failure: Failure) -> None:
        """Write a failure."""
        if self.as_json:
            sys.stderr.write(_json(failure.as_json(), sys.stderr) + "\n")
            return
        self.note(f"{failure.error}: {failure.description}", "red")
        provider_error = failure.facts.get("provider_error")
        if provider_error:
            said = (str(provider_error.get(name) or "") for name in ("status", "error", "error_description"))
            self.note(f"  The provider said: {' '.join(filter(None, said))}")
        self.note(f"  {failure.advice}")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Give a progress bar on standard error. Without a terminal it draws nothing."""
        from rich import progress  # noqa: PLC0415 - as above

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
        )
        console = self._console(of_errors=True)
        with progress.Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            yield bar

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Say what is waited for, on standard error; with a spinner where somebody looks."""
        console = self._console(of_errors=True)
        if console.is_terminal:
            with console.status(clean(text)):
                yield
        else:
            self.note(text)
            yield


def _json(document: Any, stream: TextIO, indent: int | None = None) -> str:
    """Return JSON that a stream can write: one that cannot spell every character, or half a character, has escapes."""
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=str)
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent, default=str)
    return text


def _broken_pipe() -> None:
    raise BrokenPipeError


def clean_lines(text: str) -> str:
    """Return a text of several lines for a terminal."""
    return "\n".join(clean(line) for line in text.split("\n"))

"""`python -m tests.incidents`: how each story ends. `--write` also writes the table in docs/comparison.md."""

from __future__ import annotations

import sys

from tests.incidents.document import DOCUMENT, document, table


def main() -> None:
    """Print the table."""
    print(table(), end="")
    if "--write" in sys.argv:
        DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

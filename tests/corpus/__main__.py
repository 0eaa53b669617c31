"""`python -m tests.corpus`: the score of Gatehouse and of Authlib.

With `--misses` all that either misread; with `--write` it writes the table in docs/comparison.md.
"""

from __future__ import annotations

import sys

from tests.corpus.contest import DOCUMENT, document, rounds, table


def main() -> None:
    """Print the table."""
    played = rounds()
    print(table(played), end="")
    if "--write" in sys.argv:
        DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8"), played), encoding="utf-8")
    if "--misses" in sys.argv:
        for one in played:
            for who, right, result in (
                ("Gatehouse", one.ours_whole, one.ours),
                ("Authlib", one.theirs_whole, one.theirs),
            ):
                if not right:
                    print(f"{who}: {one.case.name}: {one.case.verdict} {one.case.stored}, was {result}")


if __name__ == "__main__":
    main()

"""`python -m tests.corpus`: the score of Gatehouse and of Authlib; with `--misses` all that either misread."""

from __future__ import annotations

import sys

from tests.corpus.contest import rounds, table


def main() -> None:
    """Print the table."""
    played = rounds()
    print(table(played))
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

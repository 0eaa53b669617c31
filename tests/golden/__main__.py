"""`python -m tests.golden`: write the snapshots again. Compare what changed with the provider's documents."""

from __future__ import annotations

from tests.golden.life import snapshot
from tests.golden.test_golden import PROVIDERS, SNAPSHOTS


def main() -> None:
    """Write one snapshot for each provider file."""
    SNAPSHOTS.mkdir(exist_ok=True)
    for provider in PROVIDERS:
        (SNAPSHOTS / f"{provider}.txt").write_text(snapshot(provider), encoding="utf-8")


if __name__ == "__main__":
    main()

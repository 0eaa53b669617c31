"""What goes over the wire for each provider of the catalogue, to the octet, and what is stored of its answers."""

from __future__ import annotations

from pathlib import Path

import pytest

import functions
from tests.golden.examples import EXAMPLES
from tests.golden.life import snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
PROVIDERS = sorted(path.stem for path in (Path(functions.__file__).parent / "providers").glob("*.toml"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_life_with_each_provider_is_as_written_down(provider: str) -> None:
    """From start to revocation, through the same code for all of them; `python -m tests.golden` writes it again."""
    expected = (SNAPSHOTS / f"{provider}.txt").read_text(encoding="utf-8")

    assert snapshot(provider) == expected


def test_there_is_a_snapshot_for_each_provider_and_no_other() -> None:
    """None is forgotten when a provider comes or goes; and there are at least forty."""
    assert sorted(path.stem for path in SNAPSHOTS.glob("*")) == PROVIDERS
    assert set(EXAMPLES) <= set(PROVIDERS)
    assert len(PROVIDERS) > 40

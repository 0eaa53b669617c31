"""How the latest authorization ended that came to nothing, as a record has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.vault.base.errors import ProviderError
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.storage.attributes import write_item
from functions.vault.storage.connection_item import connection_item, connection_of
from tests.unit.samples import NOW, connection

SILENT = LastAttempt("request-1", NOW, "failed", "provider_unavailable")
DENIED = replace(SILENT, outcome="denied", provider_error=ProviderError("access_denied", "The user said no.", 302))


@pytest.mark.parametrize("attempt", [SILENT, DENIED], ids=["the server said nothing", "the server said why"])
def test_it_comes_back_from_the_table_as_it_was(attempt: LastAttempt) -> None:
    """With the server's own words, if it had any."""
    read = connection_of(write_item(connection_item(replace(connection(), last_attempt=attempt))))

    assert read.last_attempt == attempt
    assert SILENT.provider_error is None

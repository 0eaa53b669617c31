"""The programs of the client's page run as they stand, and a function of one's own takes ten lines at most."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatehouse.calls import REPEATABLE
from tests.documents import page, programs, rows, run, section

if TYPE_CHECKING:
    from local.stack import Stack
    from tests.browser import Browser

README = page("clients/python/README.md")


def test_every_program_of_the_page_runs(stack: Stack, browser: Browser) -> None:
    """With the local stack, where `shop-1` is connected. What they print is what the page says."""
    browser.connect(connection_id="shop-1")
    token = stack.invoke("token", {"connection_id": "shop-1"})
    assert token is not None

    printed = run("\n\n".join(programs(README, "python")), AWS_ENDPOINT_URL_LAMBDA=stack.local_url)

    assert f"{token['access_token']} {token['expires_at']} {token['metadata']}" in printed
    assert "send the customer to Link(" in printed
    assert "Auth('shop-1')" in printed
    assert "\nactive\n" in printed


def test_a_function_that_calls_an_api_takes_ten_lines() -> None:
    """With repeats and with what a 401 needs: it is the first thing that the page shows."""
    first = programs(README, "python")[0]

    lines = [line for line in first.splitlines() if line.strip()]
    assert "auth_for" in first
    assert len(lines) <= 10


def test_the_table_of_what_is_sent_twice_is_that_of_the_code() -> None:
    """The functions of its first row are those that may be sent again without an answer."""
    first, *others = rows(section(README, "What is sent twice"))

    assert set(re.findall(r"\w+", first[0])) - {"with", "if_version"} == REPEATABLE | {"refresh"}
    assert [cells[1].partition("`:")[0] for cells in others] == ["NoAnswer"] * 3

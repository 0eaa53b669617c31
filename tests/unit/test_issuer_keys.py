"""The keys of issuers: kept for minutes, read again if a newer one is needed, and available through an outage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured, ProviderUnavailable
from functions.vault.oauth.issuer_keys import KEPT, KEPT_FAILURE, ONCE_IN, IssuerKeys
from tests.unit.samples import NOW, answer, registration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.oauth.transport import Answer

PROVIDER = registration(jwks_uri="https://acme.example/jwks").provider


class Web:
    """What is at the URL of the keys, and how often it was read."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.page: Answer | Exception = answer('{"keys":[]}')
        self.timeouts: list[float] = []
        self.keys = IssuerKeys(self, lambda: self.now)

    def send(self, _method: str, _url: str, _headers: Mapping[str, str], _body: str | None, timeout: float) -> Answer:
        """Answer."""
        self.timeouts.append(timeout)
        if isinstance(self.page, Exception):
            raise self.page
        return self.page

    def has(self, *kids: str) -> None:
        """Let the issuer have these keys."""
        self.page = answer(json.dumps({"keys": [{"kid": kid} for kid in kids]}))

    @property
    def times(self) -> int:
        """Return how often they were read."""
        return len(self.timeouts)


@pytest.fixture
def web() -> Web:
    """Return an issuer with one key."""
    made = Web()
    made.has("k-1")
    return made


def kids(keys: Any) -> list[str]:
    """Return the ids of keys."""
    return [key["kid"] for key in keys]


def test_keys_are_kept_for_minutes(web: Web) -> None:
    """Entries that are no keys are dropped."""
    web.page = answer('{"keys":[{"kid":"k-1"},"not a key",{"kid":"k-2"}]}')

    assert [kids(web.keys.of(PROVIDER)) for _ in range(3)] == [["k-1", "k-2"]] * 3
    web.now += KEPT - 1
    web.keys.of(PROVIDER)
    assert web.times == 1
    web.now += 1
    web.keys.of(PROVIDER)
    assert web.times == 2


def test_newer_keys_are_read_once_a_minute(web: Web) -> None:
    """Made-up keys cost the issuer no more requests than that."""
    web.keys.of(PROVIDER)
    web.has("k-1", "k-2")

    assert kids(web.keys.newest(PROVIDER, 9)) == ["k-1"]
    web.now += ONCE_IN
    assert [kids(web.keys.newest(PROVIDER, 2)) for _ in range(100)] == [["k-1", "k-2"]] * 100
    assert (web.times, web.timeouts[-1]) == (2, 2)
    assert kids(web.keys.of(PROVIDER)) == ["k-1", "k-2"]


def test_through_an_outage_known_keys_will_do_unless_the_newest_are_needed(web: Web) -> None:
    """In neither case are they asked for again at once."""
    web.keys.of(PROVIDER)
    web.now += KEPT
    web.page = ProviderUnavailable("It is down.")

    assert [kids(web.keys.of(PROVIDER)) for _ in range(3)] == [["k-1"]] * 3
    for _ in range(3):
        with pytest.raises(ProviderUnavailable, match=r"keys at acme\.example: it is down"):
            web.keys.newest(PROVIDER, 9)
    assert web.times == 2
    web.now += ONCE_IN
    web.has("k-2")
    assert kids(web.keys.newest(PROVIDER, 9)) == ["k-2"]


@pytest.mark.parametrize(
    "page",
    [answer("", 500), answer("<html>"), answer("[]"), answer('{"keys":7}'), answer("{}"), answer("[" * 100_000)],
)
def test_keys_that_cannot_be_read_are_an_outage(web: Web, page: Answer) -> None:
    """They are asked for again some seconds later."""
    web.page = page
    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="has no list keys"):
            web.keys.of(PROVIDER)
    assert web.times == 1

    web.now += KEPT_FAILURE
    web.has("k-1")
    assert kids(web.keys.of(PROVIDER)) == ["k-1"]


def test_a_provider_without_jwks_uri_has_no_keys(web: Web) -> None:
    """It fails before anything is sent."""
    with pytest.raises(ProviderMisconfigured):
        web.keys.of(registration().provider)
    assert web.times == 0

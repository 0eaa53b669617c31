"""What `gatehouse revoke` says of the other connections to an account: some providers end all of them together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gatehouse import NotAllowed
from tests.browser import Browser
from tests.clients.cli.conftest import Keyboard

if TYPE_CHECKING:
    from gatehouse.cli.one_account import Others
    from local.stack import Stack
    from tests.clients.cli.conftest import Gatehouse

ALL = {"status": "revoked", "grant": "ended with all of its account"}


def others(*connections: str, end: bool | None) -> Others:
    """Return those of an account."""
    from gatehouse.cli.one_account import Others  # noqa: PLC0415 - see conftest.py

    return Others("ultracart", "DEMO", end, connections)


def test_the_other_connections_to_the_account_are_named(
    gatehouse: Gatehouse, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything ends, and afterwards with what connects each again. Those to another account are not."""
    # given
    monkeypatch.setattr("gatehouse.cli.command.is_interactive", lambda: True)
    theirs, another = Browser(stack, "MANY"), Browser(stack, "FEW")
    for connection_id in ("many-1", "many-2", "many-3"):
        theirs.connect(connection_id=connection_id)
    another.connect(connection_id="few-1")

    # when
    declined = gatehouse("revoke", "many-1", typed=Keyboard("n\n"))
    ended, in_json = gatehouse("revoke", "many-1", "--yes"), gatehouse("revoke", "few-1", "--yes", "--json")
    again = gatehouse("revoke", "many-1", "--yes", "--json")
    of_many, of_many_in_json = gatehouse("check", "many-2"), gatehouse("check", "many-2", "--json")

    # then
    assert declined.code == 1
    assert (
        "whatever the account MANY has authorized: many-2, many-3 lose their tokens, too.\nEnd many-1?" in declined.err
    )
    assert "many-2, many-3 have lost their tokens, too." in ended.out
    assert "  gatehouse connect ultracart --id many-3 --local --port" in ended.out
    assert in_json.json["same_account"] == {"end": True, "connections": []}
    assert again.json["same_account"]["connections"] == []
    assert "But many-1, of the same account, was revoked since" in of_many.out
    assert (of_many_in_json.code, of_many_in_json.json["same_account_revoked"]) == (0, ["many-1"])


@pytest.mark.parametrize("secret", [{"SecretString": '{"colour": "red"}'}, {"SecretBinary": b"\xff"}])
def test_a_broken_registration_prevents_no_revocation(secret: dict[str, Any]) -> None:
    """What cannot be read here is a failure with advice, and then the provider's own file says what it does."""
    from gatehouse.cli.failures import Failure  # noqa: PLC0415 - see conftest.py
    from gatehouse.cli.looks.registrations import merged  # noqa: PLC0415 - see conftest.py
    from gatehouse.cli.one_account import _end_together  # noqa: PLC0415 - see conftest.py

    class Account:
        secret_prefix, options, is_local = "gatehouse/providers/", "", False

        def client(self, _service: str) -> Any:
            return self

        def get_secret_value(self, SecretId: str) -> dict[str, Any]:  # noqa: N803 - boto3's own name for it
            return {"Name": SecretId, **secret}

    account: Any = Account()

    assert _end_together(account, "ultracart") is True
    with pytest.raises(Failure) as caught:
        merged(account, "ultracart")
    assert caught.value.error == "provider_misconfigured"
    assert "gatehouse register ultracart --replace" in caught.value.advice


def test_what_is_said_is_no_more_than_what_is_known() -> None:
    """A provider may end them, or it may not; and they may not be known."""
    unknown = replace(others(end=None), connections=None)

    assert [others(end=each).warning() for each in (False, True, None)] == ["", "", ""]
    assert others("a", end=True).warning().endswith("the account DEMO has authorized: a loses its tokens, too.")
    assert others("a", "b", end=None).warning().startswith("This may also end")
    assert others("a", "b", end=None).warning().endswith("a, b may lose their tokens, too.")
    assert unknown.warning().startswith("This may also end, at the provider, whatever the same account")
    assert others(*map(str, range(12)), end=True).warning().endswith(" and 2 more lose their tokens, too.")


@pytest.mark.parametrize(
    ("end", "answer", "says"),
    [
        (True, ALL, "a has lost its tokens, too"),
        (None, ALL, "a has lost its tokens, too"),
        (True, {"status": "revoking"}, "a loses its tokens, too, once the provider confirms that"),
        (None, {"status": "revoking"}, "a may lose its tokens, too, once the provider confirms that"),
        (None, {"status": "revoked"}, "a may have lost its tokens, too"),
        (True, {"status": "revoked"}, ""),
        (True, {"status": "revoked", "grant": "left at the server"}, ""),
        (None, {"status": "revoked", "grant": "left at the server"}, ""),
    ],
)
def test_what_gatehouse_answers_counts_more_than_what_was_known(
    end: bool | None,  # noqa: FBT001 - pytest names it
    answer: dict[str, Any],
    says: str,
) -> None:
    """Nothing is to be connected again that has not ended."""
    advice = others("a", end=end).after(answer).advice(answer, " --local")

    assert advice == ([f"{says}. To connect again:", "  gatehouse connect ultracart --id a --local"] if says else [])


def test_whoever_may_not_look_may_revoke() -> None:
    """Then it is said that others may end, and not which."""
    from gatehouse.cli.one_account import others_of  # noqa: PLC0415 - see conftest.py

    class Account:
        """One whose credentials are for `revoke` alone."""

        @property
        def gatehouse(self) -> Any:
            return self

        def within(self, _seconds: float) -> Any:
            return self

        def connection(self, _connection_id: str) -> Any:
            raise NotAllowed("no")

    found = others_of(Account(), "shop-1")  # type: ignore[arg-type]  # what of it is needed here

    assert found.as_json() == {"end": None, "connections": None}

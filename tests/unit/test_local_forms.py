"""What the forms of the landing page make of what somebody writes there."""

from __future__ import annotations

import pytest

from local import registrations
from local.demo.faults import Faults
from local.pages import connect_form, fault_form


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("shop=acme", {"shop": "acme"}),
        (" shop = acme,  region:eu ", {"shop": "acme", "region": "eu"}),
        ("shop", None),
        ("shop=", None),
    ],
)
def test_parameters_are_pairs(text: str, pairs: dict[str, str] | None) -> None:
    """With an equals sign or a colon, as people write them; anything else is asked back."""
    assert connect_form.pairs_of(text) == pairs


def test_empty_fields_are_left_out() -> None:
    """Gatehouse then does what it does without them."""
    form = {"provider": "acme", "connection_id": " ", "owner": " acme ", "parameters": "shop=a"}

    assert connect_form.fields_of(form) == {"provider": "acme", "owner": "acme", "parameters": {"shop": "a"}}
    assert connect_form.fields_of({"provider": "acme"}) == {"provider": "acme"}


def test_every_fault_of_the_form_is_one_of_the_demo_server() -> None:
    """And is described in the words by which somebody chose it."""
    for name, (words, _) in fault_form.WAYS.items():
        fault = fault_form.read({"way": name, "endpoint": "token", "times": "3"})
        assert fault is not None
        assert fault_form.described([fault]) == [f"The token endpoint {words}, 3 more times."]
    assert fault_form.read({"way": "melt", "endpoint": "token", "times": "1"}) is None
    assert fault_form.described([Faults(endpoint="*", lifetime_seconds=5)]) == ["The server lifetime_seconds: 5."]


def test_the_page_knows_which_parameters_a_provider_takes() -> None:
    """From the registration and the file that it is based on."""
    own = {"parameters": {"shop": "[a-z]{1,9}"}, "regions": {"us": {}, "eu": {}}}

    assert registrations.parameters_of("acme", own) == {
        "shop": '1 to 9 of a-z, like "acme"',
        "region": "one of us, eu",
    }
    assert registrations.parameters_of("mine", {"based_on": "shopify"}).keys() == {"shop"}

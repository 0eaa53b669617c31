"""Requests are refused field by field, and no value is ever repeated."""

from typing import Any

import pytest

from functions.vault.base import fields
from functions.vault.base.errors import InvalidRequest
from functions.vault.base.fields import Check, Fields, Mismatch

SECRET = "hunter2-hunter2"

REQUEST = Fields(
    required={"connection_id": fields.connection_id},
    optional={
        "owner": fields.printable(8),
        "scopes": fields.scopes,
        "tags": fields.string_map(fields.stored_id, 8, 2),
        "min_ttl": fields.integer(0, 100),
        "confirm": fields.boolean,
        "kind": fields.one_of("a", "b"),
        "whose": fields.owner,
    },
)

ACCEPTED = [
    ("connection_id", "a"),
    ("connection_id", "A-Z.a_z:0@9" + "x" * 117),
    ("connection_id", "..."),
    ("connection_id", ".a"),
    ("whose", "..."),
    ("whose", "Ünï: ../🛒"),
    ("owner", "12345678"),
    ("owner", "Ünï 🛒"),
    ("scopes", []),
    ("scopes", ["read", "https://scopes.example/write"]),
    ("tags", {}),
    ("tags", {"tier": "", "k2": "12345678"}),
    ("min_ttl", 0),
    ("min_ttl", 100),
    ("confirm", False),
    ("kind", "b"),
]

REJECTED = [
    ("connection_id", ""),
    ("connection_id", "x" * 129),
    ("connection_id", "a b"),
    ("connection_id", "a/b"),
    ("connection_id", "a\n"),
    ("connection_id", "é"),
    ("connection_id", "."),
    ("connection_id", ".."),
    ("whose", "."),
    ("whose", ".."),
    ("whose", ""),
    ("whose", ["."]),
    ("connection_id", 7),
    ("connection_id", ["a"]),
    ("connection_id", {"S": "a"}),
    ("owner", ""),
    ("owner", "123456789"),
    ("owner", "a\x00"),
    ("owner", "a\nb"),
    ("owner", "\ud800"),
    ("owner", True),
    ("scopes", "read"),
    ("scopes", ["read write"]),
    ("scopes", ['"']),
    ("scopes", ["\\"]),
    ("scopes", [""]),
    ("scopes", [None]),
    ("scopes", [["read"]]),
    ("scopes", ["s"] * 101),
    ("tags", []),
    ("tags", "tier"),
    ("tags", {"a b": "x"}),
    ("tags", {"a": 1}),
    ("tags", {"a": None}),
    ("tags", {"a": "123456789"}),
    ("tags", {"a": "\n"}),
    ("tags", {"a": "\udfff"}),
    ("tags", {"a": "x", "b": "x", "c": "x"}),
    ("min_ttl", -1),
    ("min_ttl", 101),
    ("min_ttl", True),
    ("min_ttl", 5.0),
    ("min_ttl", "5"),
    ("min_ttl", float("nan")),
    ("min_ttl", 10**400),
    ("confirm", 1),
    ("confirm", "true"),
    ("kind", "c"),
    ("kind", ["a"]),
    ("kind", {}),
]


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_a_good_value_is_taken_as_it_is(name: str, value: Any) -> None:
    """What fits is given back unchanged (a list as a tuple)."""
    given = {"connection_id": "a", name: value}

    read = REQUEST.read(given)

    assert read == given | {name: tuple(value) if isinstance(value, list) else value}


@pytest.mark.parametrize(("name", "value"), REJECTED)
def test_a_bad_value_is_refused_by_the_name_of_its_field(name: str, value: Any) -> None:
    """The error says which field, and what was expected."""
    with pytest.raises(InvalidRequest) as caught:
        REQUEST.read({"connection_id": "a", name: value})

    assert caught.value.description.startswith(f"{name}: expected ")


def test_all_problems_are_named_at_once() -> None:
    """A caller corrects a request once, not field after field."""
    with pytest.raises(InvalidRequest) as caught:
        REQUEST.read({"owner": "", "min_ttl": -1, "colour": "red"})

    assert caught.value.description == (
        'colour: unknown field; connection_id: required, like "shop-1"; '
        "owner: expected a string of 1 to 8 characters without control characters (it is an empty string); "
        "min_ttl: expected an integer from 0 to 100 (it is smaller); "
        "known are connection_id, owner, scopes, tags, min_ttl, confirm, kind, whose."
    )


@pytest.mark.parametrize(
    ("value", "says"),
    [(1767229200000, "(milliseconds? a time is in seconds)"), (10**30, "(it is larger)"), ("1", "(it is a string")],
)
def test_a_time_in_milliseconds_is_called_so(value: object, says: str) -> None:
    """That is what most languages besides Python have."""
    request = Fields(required={}, optional={"expires_at": fields.integer(0, 2**33).like(1767229200)})

    with pytest.raises(InvalidRequest) as caught:
        request.read({"expires_at": value})

    assert caught.value.description.startswith(
        "expires_at: expected an integer from 0 to 8589934592, like 1767229200 ("
    )
    assert says in caught.value.description


def test_the_part_that_does_not_fit_is_named() -> None:
    """By its number in a list, and by its name in an object, unless somebody has used a token as a name."""
    token = "brought-2f6e51a0b7c94d3e8a"

    said = []
    for tags in ({"plan": 7}, {token: 7}, {"a b": "x"}):
        with pytest.raises(InvalidRequest) as caught:
            REQUEST.read({"connection_id": "a", "tags": tags, "scopes": ["read", ""]})
        said.append(caught.value.description)

    assert all("(entry 2 is an empty string)" in text for text in said)
    assert "(plan is a number)" in said[0]
    assert "(one of its members is a number)" in said[1]
    assert token not in said[1]
    assert (
        "each with a name of a connection's id (a name in it is a string with 3 characters, a blank in it)" in said[2]
    )


def test_null_is_the_same_as_absent() -> None:
    """An optional field that is null is left out; a required one is missing."""
    assert REQUEST.read({"connection_id": "a", "owner": None}) == {"connection_id": "a"}
    with pytest.raises(InvalidRequest, match="connection_id: required"):
        REQUEST.read({"connection_id": None})


@pytest.mark.parametrize("payload", [None, [], "connection_id", 5, True, [{"connection_id": "a"}]])
def test_anything_but_an_object_is_refused(payload: Any) -> None:
    """The error says which fields the object would have."""
    with pytest.raises(InvalidRequest, match="must be a JSON object with the fields: connection_id, owner"):
        REQUEST.read(payload)


@pytest.mark.parametrize("name", [name for name, _ in REJECTED if name != "confirm"])
def test_no_value_is_repeated(name: str) -> None:
    """A secret in the wrong field does not come back in the error, and so reaches no log."""
    with pytest.raises(InvalidRequest) as caught:
        REQUEST.read({"connection_id": "a", name: {f"{SECRET} ": [SECRET]}})

    assert SECRET not in str(caught.value.as_result())


@pytest.mark.parametrize(
    "name",
    ["<script>", "a b", "x" * 65, "", "é", "a\nlevel=ERROR", 7, None, "tGzv3JOkF0XG5Qx2TlKWIA", "GOCSPX-abcde123XYZ"],
)
def test_odd_names_of_fields_are_not_repeated(name: Any) -> None:
    """A name that is not of words is a value in disguise: it is counted, not quoted."""
    with pytest.raises(InvalidRequest) as caught:
        REQUEST.read({"connection_id": "a", name: "x"})

    assert caught.value.description == (
        "(a field with an unusual name): unknown field; "
        "known are connection_id, owner, scopes, tags, min_ttl, confirm, kind, whose."
    )


def test_a_flood_of_wrong_fields_gets_a_short_answer() -> None:
    """A thousand unknown fields make no thousand-line error."""
    with pytest.raises(InvalidRequest) as caught:
        REQUEST.read({f"field{number}": 1 for number in range(1000)})

    assert caught.value.description.count(";") == 19


@pytest.mark.parametrize("name", ["a", "Acme-2", "9.b_c", "x" * 64])
def test_a_providers_name_is_a_plain_name(name: str) -> None:
    """It becomes part of a secret's name, of a path and of a file's name."""
    assert fields.provider_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-a", "_a", ".a", "a b", "a\n", "x" * 65, "é", 1, None])
def test_what_could_be_a_path_is_no_providers_name(name: Any) -> None:
    """Nothing that leads out of a folder, or out of the prefix of the secrets."""
    with pytest.raises(Mismatch):
        fields.provider_name(name)


@pytest.mark.parametrize("check", [fields.connection_id, fields.printable(10), fields.one_of("a")])
def test_a_check_alone_says_what_it_expects(check: Check) -> None:
    """Every mismatch has a text for the person who reads it."""
    with pytest.raises(Mismatch, match=r"."):
        check(object())

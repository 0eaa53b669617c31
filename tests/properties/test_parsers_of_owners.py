"""What an owner, an operator or another function of Gatehouse writes: registrations, provider files, cursors."""

from __future__ import annotations

import json
import tomllib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

import functions
from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.base.fields import Mismatch
from functions.vault.grant import obtained_document
from functions.vault.grant.obtained import Obtained
from functions.vault.oauth.cookies import RequestCookie
from functions.vault.provider import url_checks, vocabulary
from functions.vault.provider.provider import Provider
from tests.properties import answers
from tests.properties.deployment import CLIENT_SECRET, browsed, posted, prepared
from tests.properties.effort import examples
from tests.properties.rescued import documents
from tests.properties.shapes import MARK, any_json, any_text, changed, fields_of, near
from tests.unit.test_vocabulary import GOOD

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from tests.properties.deployment import Deployment

_FILES = sorted((Path(functions.__file__).parent / "providers").glob("*.toml"))
_CATALOGUE = [path.stem for path in _FILES]
_URLS = {
    "authorization_endpoint": near(
        "https://acme.example/authorize", "https://{shop}.acme.example/authorize?for={shop}"
    ),
    "token_endpoint": near("https://acme.example/token", "https://{shop}.acme.example/token"),
    "client_id": near("client-1"),
    "client_secret": near(CLIENT_SECRET),
}
_KEYS = {key: st.sampled_from(values) for key, values in GOOD.items()} | {"based_on": near(*_CATALOGUE[:5])}


@st.composite
def registrations(draw: DrawFn) -> str:
    """Give the text of a registration: some keys, most of them valid, of JSON that is mostly whole."""
    chosen = draw(st.lists(st.sampled_from(sorted(_KEYS)), max_size=8, unique=True))
    made = {name: draw(values) for name, values in _URLS.items()}
    made |= draw(fields_of({name: _KEYS[name] for name in chosen}))
    text = json.dumps(made)
    return draw(st.just(text) | st.just(text) | st.just(text) | changed(text) | any_json.map(json.dumps) | any_text)


def _with(text: str) -> Deployment:
    deployment = prepared().copy()
    deployment.account.registrations["acme"] = text
    return deployment


@examples(30)
@given(registrations(), st.none() | answers.of_a_server())
def test_a_registration_works_or_says_what_is_wrong(text: str, said: Any) -> None:
    """It is read, and a customer is sent on and comes back; or the failure names its keys, and none of its values."""
    deployment = _with(text)
    deployment.server.said = said or deployment.server.issue

    started = deployment.call("start", {"provider": "acme", "parameters": {"shop": "one"}})

    assert started.raised is None
    answers.check_log(started)
    if "error" in started.answer:
        answers.check_failure(started.answer)
        assert CLIENT_SECRET not in json.dumps(started.answer)
        return
    ticket = started.answer["authorize_url"].rpartition("/")[2]
    _go_the_way(deployment, ticket)


def _go_the_way(deployment: Deployment, ticket: str) -> None:
    """Go through `authorize` and `callback` with a registration that was accepted."""
    opened = deployment.call("authorize", browsed("GET", {"ticket": ticket}))
    assert opened.raised is None
    assert opened.answer["statusCode"] != 500
    if "Location" not in opened.answer["headers"]:
        return
    name, _, value = opened.answer["cookies"][0].partition(";")[0].partition("=")
    cookie = RequestCookie.parse(ticket.partition(".")[0], value, form_post="post-" in name)
    assert cookie is not None
    query = f"state={cookie.newest.state}&code=code-of-this-visit&auth_code=code-of-this-visit&shop=one"
    path, own = {"provider": "acme"}, [f"{name}={value}"]
    event = posted(path, query, own) if cookie.form_post else browsed("GET", path, query, own)
    back = deployment.call("callback", event)
    assert back.raised is None
    assert back.answer["statusCode"] != 500
    answers.check_log(back)


@st.composite
def provider_files(draw: DrawFn) -> dict[str, Any]:
    """Give a file of the catalogue with one value in place of another."""
    document = tomllib.loads(draw(st.sampled_from(_FILES)).read_text(encoding="utf-8"))
    name = draw(st.sampled_from(sorted(document)) | st.sampled_from(sorted(GOOD)) | any_text)
    return document | {name: draw(any_json)}


@examples(20)
@given(provider_files())
def test_a_provider_file_is_valid_or_names_what_is_not(document: dict[str, Any]) -> None:
    """Each key with what was expected; what is valid makes a provider."""
    try:
        values = vocabulary.validated(document, "providers/x.toml", vocabulary.checks(loopback_http=False))
    except ProviderMisconfigured as failure:
        assert failure.description.startswith("providers/x.toml: ")
        return

    known = {name: value for name, value in values.items() if name in Provider.__dataclass_fields__}
    assert Provider("x", **known).name == "x"


@examples(30)
@given(near("https://acme.example/a", "https://{shop}.acme.example:8443/{x}?y={z}", "http://localhost:1/") | any_json)
def test_an_endpoint_is_an_https_url_or_none(value: Any) -> None:
    """Whatever is accepted has a host, is visible ASCII, and its host cannot be changed by what is filled in."""
    for check in (url_checks.endpoint_url(loopback_http=False), url_checks.literal_url(loopback_http=False)):
        try:
            accepted = check(value)
        except Mismatch as mismatch:
            assert MARK not in str(mismatch)
            continue
        assert accepted.startswith("https://")
        assert accepted.isascii()
        assert not set(accepted) & set('#\\"<> \n')
        assert "@" not in accepted.partition("://")[2].partition("/")[0].partition("?")[0]


# Cursors


@st.composite
def cursors(draw: DrawFn, known: list[str]) -> str:
    """Give a cursor: one of Gatehouse's, one with its key changed, or any text."""
    key = json.loads(urlsafe_b64decode(draw(st.sampled_from(known))))
    names = {name: near(value) for name, value in key.items()} | {"listed_as": near("- active")}
    changed_key = draw(st.just(key) | fields_of(names) | any_json)
    text = urlsafe_b64encode(json.dumps(changed_key).encode()).decode()
    return draw(st.just(text) | st.just(text) | changed(text) | any_text)


FILTERS: tuple[dict[str, str], ...] = (
    {},
    {"owner": "owner-1"},
    {"needs": "reauthorization"},
    {"status": "active"},
    {"provider": "acme"},
)


def _pages(deployment: Deployment, filters: dict[str, str]) -> list[dict[str, Any]]:
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        pages.append(deployment.done("connections", {**filters, **cursor, "limit": 1}))
        if "cursor" not in pages[-1]:
            return pages
        cursor = {"cursor": pages[-1]["cursor"]}


_KNOWN = [page["cursor"] for each in FILTERS for page in _pages(prepared().copy(), each) if "cursor" in page]


@examples(30)
@given(cursors(_KNOWN), st.sampled_from(FILTERS))
def test_a_cursor_leads_on_or_is_refused(cursor: str, filters: dict[str, str]) -> None:
    """What is accepted is a key of the list that is read: the table takes it."""
    called = prepared().copy().call("connections", {**filters, "cursor": cursor})

    assert called.raised is None
    answers.check_log(called)
    if "error" in called.answer:
        answers.check_failure(called.answer)
    else:
        assert called.answer.keys() <= {"connections", "cursor"}


# What waits in the rescue queue


@examples(30)
@given(documents())
def test_a_document_of_the_queue_is_an_answer_or_names_what_is_wrong(document: Any) -> None:
    """What is taken for one is written down again as it was."""
    try:
        obtained = obtained_document.from_document(document)
    except ValueError as error:
        assert MARK not in str(error)
        return

    again = obtained_document.from_document(json.loads(obtained_document.to_json(obtained)))
    assert isinstance(again, Obtained)
    assert again == obtained


@examples(12)
@given(documents())
def test_a_document_that_is_rescued_twice_changes_nothing_more(document: Any) -> None:
    """Queues deliver twice: the second time it is there already."""
    deployment = prepared().copy()
    first = deployment.call("rescue", document)
    stored = deployment.account.stored()

    second = deployment.call("rescue", document)

    assert (first.raised, second.raised) == (None, None)
    assert second.answer == first.answer
    assert deployment.account.stored() == stored


def test_the_failures_are_those_of_the_contract() -> None:
    """A registration that is broken is the operator's, and not a defect."""
    started = _with("{").call("start", {"provider": "acme"})

    assert started.answer["error"] == ProviderMisconfigured.code

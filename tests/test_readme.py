"""What the documents say is so: their tables, names, links and programs, held against code, template and stack."""

from __future__ import annotations

import html
import json
import re
import tomllib
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.provider.merging import registration_of
from functions.vault.provider.provider import Provider
from functions.vault.provider.vocabulary import CREDENTIALS, REGISTRATION, checks, validated
from local.aws import cloudformation
from tests.documents import page, programs, rows, run, section
from tests.requirements import ROOT

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from local.stack import Stack
    from tests.browser import Browser

README = page("README.md")
CALLING = page("docs/calling.md")
PROVIDERS = page("docs/providers.md")
OPERATIONS = page("docs/operations.md")
DEPLOYING = page("docs/deploying.md")
RUNBOOKS = page("docs/runbooks.md")
CONTRIBUTING = page("CONTRIBUTING.md")
DOCUMENTS = sorted(
    path
    for folder in (
        ".",
        "docs",
        "examples/orders",
        "examples/orders-webhook",
        "examples/step-functions",
        "clients/python",
        "clients/js",
    )
    for path in (ROOT / folder).glob("*.md")
)


def test_the_parameters_are_those_of_the_template() -> None:
    """Whoever deploys finds each parameter that they are asked for, in that order, with its default."""
    template = cloudformation.load(ROOT / "template.yaml")

    table = {name: default for name, default, _ in rows(section(DEPLOYING, "Parameters"))}

    declared = {name: str(parameter["Default"]) or "empty" for name, parameter in template["Parameters"].items()}
    assert list(table.items()) == list(declared.items())


def test_the_outputs_are_those_of_the_template() -> None:
    """The outputs are all explained, and the README asks for none that is not there."""
    template = cloudformation.load(ROOT / "template.yaml")
    table = [
        name for row in rows(section(DEPLOYING, "What the stack contains")) for name in re.split(r"[`, ]+", row[0])
    ]

    assert sorted(table) == sorted(template["Outputs"])
    assert set(re.findall(r"`(\w+(?:PolicyArn|Url))`", README + CALLING)) <= set(template["Outputs"]) | {
        "BaseUrl",
        "ApplicationUrl",
    }


def test_every_alarm_and_queue_is_explained() -> None:
    """Whoever is woken by an alarm finds it under its name, with what to do; and no other is spoken of."""
    made = cloudformation.load(ROOT / "template.yaml")["Resources"]
    alarms = {name for name, each in made.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
    queues = {name for name, each in made.items() if each["Type"] == "AWS::SQS::Queue"}

    named = re.findall(r"\[`(\w+)`\]\(runbooks\.md#(\w+)\)", section(OPERATIONS, "Alarms"))
    assert sorted(named) == sorted((name, name.lower()) for name in alarms)
    runbooks = section(RUNBOOKS, "When an alarm fires")
    assert sorted(re.findall(r"^### (\w+)$", runbooks, re.MULTILINE)) == sorted(alarms)
    for name in alarms:
        description = str(made[name]["Properties"]["AlarmDescription"])
        assert f"See {name} in docs/runbooks.md." in description
        assert len(section(runbooks, name).split()) > 20
    assert set(re.findall(r"`(\w+(?:Queue|DeadLetters))`", OPERATIONS)) == queues


def test_what_is_counted_is_what_the_template_makes() -> None:
    """The functions that are named, and the alarms and queues that are reckoned into the cost, are all there are."""
    made = list(cloudformation.load(ROOT / "template.yaml")["Resources"].values())
    functions, mappings, alarms = (
        [each["Properties"] for each in made if each["Type"] == kind]
        for kind in ("AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::CloudWatch::Alarm")
    )
    metrics = sum(len([m for m in alarm.get("Metrics", [{}]) if "Expression" not in m]) for alarm in alarms)

    looked_at = [
        each
        for each in made
        if each["Type"] in {"AWS::Lambda::Alias", "AWS::Lambda::EventSourceMapping", "AWS::Events::Rule"}
    ]

    assert (len(functions), len(mappings)) == (14, 5)
    assert f"All {len(looked_at) + len(['the table', 'the key'])} are as they should be." in RUNBOOKS
    assert "fourteen functions" in section(DEPLOYING, "What the stack contains")
    cost = " ".join(section(DEPLOYING, "Cost").split())
    assert "the four queues" in cost
    assert f"alarms on {metrics} metrics" in cost
    assert set(re.findall(r"(\d+)\s+metrics\s+with\s+alarms", page("docs/scale.md"))) == {str(metrics)}


def test_parameters_are_changed_in_one_place() -> None:
    """What a document tells to change survives the next plain `sam deploy`: it is written into samconfig.toml."""
    declared = cloudformation.load(ROOT / "template.yaml")["Parameters"]
    settings = [(ROOT / "samconfig.toml").read_text(encoding="utf-8")]
    settings += [text for document in (DEPLOYING, RUNBOOKS) for text in programs(document, "toml")]

    said = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert not re.search(r"^(?: {4}|)sam deploy.*(?:--parameter-overrides|--guided)", said, re.MULTILINE)
    tables = [overrides for text in settings for overrides in overrides_of(tomllib.loads(text))]
    assert len(tables) >= 4
    for overrides in tables:
        for name, value in overrides.items():
            assert re.fullmatch(declared[name].get("AllowedPattern", ".*"), value), name


def overrides_of(document: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Give the parameters of each section of a samconfig.toml."""
    for section_of in document.values():
        if isinstance(section_of, dict):
            yield section_of["deploy"]["parameters"].get("parameter_overrides", {})


def test_the_keys_of_a_registration_are_those_of_the_vocabulary() -> None:
    """Each key that a registration may hold is explained, with the default that it has."""
    keys = {row[0]: row[1] for row in rows(section(PROVIDERS, "The keys"))}
    defaults: dict[str, Any] = {
        each.name: each.default if each.default_factory is MISSING else each.default_factory()
        for each in fields(Provider)
    }

    assert keys.keys() == checks(loopback_http=False).keys() | REGISTRATION.keys()
    for key in keys.keys() - REGISTRATION.keys():
        said = None if keys[key] == "none" else json.loads(keys[key])
        assert said == json.loads(json.dumps(defaults[key])), key


@pytest.mark.parametrize("document", [README, PROVIDERS], ids=["README", "providers"])
def test_every_registration_shown_is_accepted(document: str) -> None:
    """A registration that is copied from the documents is one that Gatehouse takes."""
    shown = [json.loads(text) for text in programs(document, "json") if "client_id" in text]

    assert shown
    for registration in shown:
        own = validated(registration, "the example", checks(loopback_http=False) | REGISTRATION)
        credentials = {key: own.pop(key) for key in CREDENTIALS if key in own}
        assert registration_of("example", [own], credentials).auth_method


def test_the_python_of_the_readme_gets_a_token(stack: Stack, browser: Browser) -> None:
    """The program, copied as it stands, prints the token of `shop-1`."""
    connection_id = browser.connect(connection_id="shop-1")

    printed = run(programs(README, "python")[0], AWS_ENDPOINT_URL_LAMBDA=stack.base_url)

    token = stack.invoke("token", {"connection_id": connection_id})
    assert token is not None
    assert printed == token["access_token"]


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    """A newcomer reads it in one go, and finds each of the other documents from it."""
    linked = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)]+)\)", README)}

    assert len(README.splitlines()) < 200
    assert {str(path.relative_to(ROOT)) for path in DOCUMENTS} - {"README.md"} <= linked


def test_the_walk_through_the_demo_names_what_is_there(stack: Stack, browser: Browser) -> None:
    """Each button, field and link that a newcomer is to use is on the pages, in the same words."""
    browser.connect(connection_id="shop-1")
    revoked = browser.connect(connection_id="shop-2")
    stack.invoke("revoke", {"connection_id": revoked})
    landing = browser.open("/").text
    consent = browser.open(browser.authorize(browser.start()["authorize_url"])).text

    named = set(re.findall(r"\*\*([A-Z][^*]+)\*\*", " ".join(section(README, "Try it").split())))

    assert {"Connect", "Allow", "Get token"} <= named
    for name in named:
        assert re.search(rf"<(?:button|a|label)\b[^>]*>{name}\b", landing + consent), name


def test_the_landing_pages_program_reads_orders(browser: Browser) -> None:
    """It can be copied as it stands: the token is of a connection that is there, and its API answers."""
    browser.connect(connection_id="shop-1")
    (program,) = re.findall(r'aria-label="Python example"><code>(.*?)</code>', browser.open("/").text, re.DOTALL)

    printed = run(html.unescape(program))

    assert "gatehouse-token:live" in program
    assert "'order_id': 'DEMO-" in printed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: os.PathLike[str]) -> None:
    """Files and headings that the documents link to exist."""
    path = ROOT / document
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, link


def test_every_path_that_a_contributor_is_sent_to_exists() -> None:
    """What CONTRIBUTING.md names is there, and it names each package of the functions."""
    named = set(
        re.findall(r"`((?:functions|local|tests|tools|benchmarks|examples|docs|template)[\w/.*-]*)`", CONTRIBUTING)
    )

    assert [name for name in sorted(named) if "NAME" not in name and not [*ROOT.glob(name.rstrip("/"))]] == []
    described = {name.rstrip("/") for name in named}
    packages = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "functions").rglob("*/__init__.py")}
    assert packages <= described


def test_every_target_of_make_that_is_named_exists() -> None:
    """`make NAME` in the documents is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    said = " ".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)

    for target in set(re.findall(r"(?:`|^    )make ([a-z-]+)", said, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target

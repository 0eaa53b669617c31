"""The example of a firewall in front: it lets the public paths pass, adds the header, and logs no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samtranslator.yaml_helper import yaml_parse

from functions.web.handlers import ORIGIN_HEADER
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOURCES: dict[str, Any] = yaml_parse((ROOT / "examples/cloudfront/template.yaml").read_text(encoding="utf-8"))[
    "Resources"
]
FIREWALL: dict[str, Any] = RESOURCES["Firewall"]["Properties"]
DISTRIBUTION: dict[str, Any] = RESOURCES["Distribution"]["Properties"]["DistributionConfig"]


def public_routes() -> Iterator[tuple[str, str]]:
    """Give method and path of each route of the API that needs no signature."""
    api = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))["Resources"]["Api"]["Properties"]
    for path, methods in api["DefinitionBody"]["paths"].items():
        for method, route in methods.items():
            if route["security"] == []:
                yield method.upper(), path


def test_the_public_paths_pass_and_no_others() -> None:
    """A route that becomes public has to be let through, and what needs a signature does not come by here."""
    (allowing,) = (rule for rule in FIREWALL["Rules"] if "Allow" in rule["Action"])
    prefixes = {
        each["ByteMatchStatement"]["SearchString"] for each in allowing["Statement"]["OrStatement"]["Statements"]
    }

    assert prefixes == {path.partition("{")[0] for _, path in public_routes()}
    assert {method for method, _ in public_routes()} <= set(DISTRIBUTION["DefaultCacheBehavior"]["AllowedMethods"])
    assert FIREWALL["DefaultAction"] == {"Block": {}}


def test_an_address_is_limited_before_anything_is_let_through() -> None:
    """The rule with the lowest number comes first."""
    first = min(FIREWALL["Rules"], key=lambda rule: int(rule["Priority"]))

    assert first["Statement"]["RateBasedStatement"]["AggregateKeyType"] == "IP"
    assert first["Action"]["Block"]["CustomResponse"]["ResponseCode"] == 429


def test_the_header_is_the_one_that_the_functions_look_at() -> None:
    """Header names do not depend on case; events have them in lower case."""
    (origin,) = DISTRIBUTION["Origins"]

    assert [header["HeaderName"].lower() for header in origin["OriginCustomHeaders"]] == [ORIGIN_HEADER]
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"


def test_nothing_is_cached_and_no_request_is_logged() -> None:
    """The paths hold tickets, the queries codes. What a person is shown is for that person alone."""
    behaviour = DISTRIBUTION["DefaultCacheBehavior"]
    visible = [FIREWALL["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in FIREWALL["Rules"])]

    assert "Logging" not in DISTRIBUTION
    assert [each["SampledRequestsEnabled"] for each in visible] == [False] * len(visible)
    assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # AWS's CachingDisabled
    assert behaviour["ViewerProtocolPolicy"] == "https-only"

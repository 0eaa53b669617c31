"""The events that the local gateway makes, beside those that API Gateway makes."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from local.base.errors import TemplateError
from local.gateway import payload
from local.gateway.routes import Routes

NOW = 1_763_925_124.5


def event(path: str = "/callback/demo?a=1", **options: Any) -> dict[str, Any]:
    """Return the event of a request to the route `GET /callback/{provider}`."""
    request = Request(EnvironBuilder(path, "http://localhost:8787", **options).get_environ())
    return payload.event(request, payload.Match("GET /callback/{provider}", {"provider": "demo"}), NOW, "1")


def test_query_is_passed_raw_and_decoded_with_duplicates_joined() -> None:
    """A function can see a duplicated parameter in `rawQueryString`; `queryStringParameters` joins it by a comma."""
    # when
    made = event("/callback/demo?code=a%2Bb+c&state=1&state=2&empty=")

    # then
    assert made["rawQueryString"] == "code=a%2Bb+c&state=1&state=2&empty="
    assert made["queryStringParameters"] == {"code": "a+b c", "state": "1,2", "empty": ""}


def test_headers_are_lower_cased_and_joined_and_cookies_stand_apart() -> None:
    """Duplicates of a header are joined; cookies are a list and no header."""
    # when
    made = event(headers=[("X-Many", "1"), ("X-MANY", "2"), ("Cookie", "a=1; b=x=y")])

    # then
    assert made["headers"]["x-many"].replace(" ", "") == "1,2"
    assert "cookie" not in made["headers"]
    assert made["cookies"] == ["a=1", "b=x=y"]


def test_what_a_request_lacks_is_absent() -> None:
    """No query, cookies or body: no such key, as at API Gateway."""
    # when
    made = event("/callback/demo")

    # then
    assert not {"queryStringParameters", "cookies", "body", "stageVariables"} & made.keys()
    assert made["rawQueryString"] == ""
    assert made["isBase64Encoded"] is False


def test_route_and_context() -> None:
    """The route key, the decoded path parameters and the request context are where functions look for them."""
    # when
    made = event(headers={"User-Agent": "test"})

    # then
    context = made["requestContext"]
    assert made["version"] == "2.0"
    assert made["routeKey"] == context["routeKey"] == "GET /callback/{provider}"
    assert made["pathParameters"] == {"provider": "demo"}
    assert context["http"]["method"] == "GET"
    assert context["http"]["path"] == made["rawPath"] == "/callback/demo"
    assert context["http"]["userAgent"] == "test"
    assert context["stage"] == "$default"
    assert context["timeEpoch"] == NOW * 1000
    assert context["time"] == "23/Nov/2025:19:12:04 +0000"


@pytest.mark.parametrize(
    ("content_type", "is_base64"),
    [
        ("application/json", False),
        ("application/json; charset=utf-8", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", True),
        ("application/octet-stream", True),
    ],
)
def test_only_text_bodies_are_passed_as_text(content_type: str, is_base64: bool) -> None:  # noqa: FBT001 - a table of cases
    """JSON and text come as they are, all else in base64, forms included."""
    # when
    made = event(method="POST", data=b'{"a": 1}', content_type=content_type)

    # then
    assert made["isBase64Encoded"] is is_base64
    assert made["body"] == (base64.b64encode(b'{"a": 1}').decode() if is_base64 else '{"a": 1}')


def test_response_carries_every_cookie() -> None:
    """Each cookie of an answer is a Set-Cookie header of its own."""
    # when
    response = payload.response({"statusCode": 302, "headers": {"location": "/x"}, "cookies": ["a=1", "b=2; Path=/"]})

    # then
    assert response.status_code == 302
    assert response.headers["Location"] == "/x"
    assert response.headers.getlist("Set-Cookie") == ["a=1", "b=2; Path=/"]


def test_answer_without_status_is_a_json_body() -> None:
    """An object without `statusCode` is the body of a 200."""
    # when
    response = payload.response({"a": 1})

    # then
    assert (response.status_code, response.get_json()) == (200, {"a": 1})


def test_binary_body_is_decoded() -> None:
    """A base64 answer leaves as bytes."""
    # when
    response = payload.response({"statusCode": 200, "body": "AAE=", "isBase64Encoded": True})

    # then
    assert response.get_data() == b"\x00\x01"


def test_fixed_path_wins_over_one_with_a_parameter() -> None:
    """Routes match whole segments, and the more specific one is taken."""
    # given
    routes = Routes({"GET /v1/{name}": "any", "GET /v1/token": "token"})

    # when
    found = [routes.find("GET", path) for path in ("/v1/token", "/v1/other", "/v1/a/b", "/v1/")]

    # then
    assert [match and match[0] for match in found] == ["token", "any", None, None]


@pytest.mark.parametrize(
    ("raw_path", "owner", "path"),
    [
        ("/owners/acme/token", "acme", "/owners/acme/token"),
        ("/owners/%61cme/token", "acme", "/owners/acme/token"),
        ("/owners/a%3Ab%40c/token", "a:b@c", "/owners/a:b@c/token"),
        ("/owners/a%252Fb/token", "a%2Fb", "/owners/a%2Fb/token"),
        ("/owners/acme/token%3Fa=1", "acme", "/owners/acme/token"),
        ("/owners//acme/token", "acme", "/owners//acme/token"),
        ("//owners/acme/token", "acme", "//owners/acme/token"),
        ("/owners/../token", "..", "/owners/../token"),
        ("/owners/acme%2Ftoken", "acme", "/owners/acme/token"),
        ("/owners/a%2Fb/token", None, None),
        ("/owners/acme/token/", None, None),
        ("/owners/acme/Token", None, None),
        ("/owners//token", None, None),
    ],
)
def test_a_path_is_matched_as_it_is_decoded_once(raw_path: str, owner: str | None, path: str | None) -> None:
    """The function gets the path decoded, and otherwise as it came: slashes that count as one are still there."""
    # given
    routes = Routes({"POST /owners/{owner}/token": "token"})

    # when
    found = routes.find("POST", raw_path)

    # then
    match = found[1] if found else None
    assert (match and dict(match.parameters)) == (owner and {"owner": owner})
    assert (match and match.path) == path


def test_only_what_is_signed_when_deployed_has_a_caller() -> None:
    """The AWS_IAM authorizer says who signed; a route that is public has no authorizer."""
    # given
    routes = Routes({"POST /signed": "f", "POST /public": "f"}, public={"POST /public"})

    # when
    contexts = []
    for path in ("/signed", "/public"):
        request = Request(EnvironBuilder(path, "http://localhost:8787", method="POST").get_environ())
        found = routes.find("POST", path)
        assert found is not None
        contexts.append(payload.event(request, found[1], NOW, "123456789012")["requestContext"])

    # then
    assert contexts[0]["authorizer"]["iam"]["userArn"] == "arn:aws:iam::123456789012:user/local"
    assert "authorizer" not in contexts[1]


@pytest.mark.parametrize("key", ["$default", "GET /{proxy+}", "ANY"])
def test_route_that_is_not_understood_stops_the_start(key: str) -> None:
    """A kind of route that the gateway does not serve is named, not passed over."""
    # when / then
    with pytest.raises(TemplateError, match="does not understand the route"):
        Routes({key: "function"})

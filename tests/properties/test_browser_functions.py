"""Whatever a browser brings to `authorize` or `callback`: a page or a redirect, nothing repeated, nothing revealed."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from functions.vault.oauth.authorization import REQUEST_ID, SECRET
from functions.vault.oauth.cookies import RequestCookie
from tests.properties import answers
from tests.properties.deployment import APPLICATION, CLIENT_SECRET, REGISTRATIONS, RETURN_TO, browsed, prepared
from tests.properties.effort import examples
from tests.properties.shapes import MARK, form_of, near, odd_text

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from functions.vault.oauth.transport import Answer
    from tests.properties.deployment import Called, Deployment, Visit

VISITS = sorted(prepared().visits)
STATUSES = {200, 202, 302, 303, 400, 403, 404, 405, 409, 410, 502, 503}
HEADERS = {
    "Content-Type",
    "Content-Language",
    "Vary",
    "Cache-Control",
    "Content-Security-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "X-Robots-Tag",
    "Strict-Transport-Security",
    "Location",
    "Refresh",
    "Allow",
}
SET_COOKIE = (
    rf"__Host-gatehouse-(?:post-)?{REQUEST_ID}=(?:{SECRET}(?:\.{SECRET}){{1,3}})?; Max-Age=[0-9]+; Path=/"
    r"(?:; HttpOnly)?; Secure(?:; SameSite=(?:Lax|None))?"
)
LEADS_TO = (
    r"https://(?:one\.)?acme\.example/authorize\?[!-~]*",
    re.escape(RETURN_TO)
    + r"&connection_id=[A-Za-z0-9%-]+&request_id=[A-Za-z0-9_-]{22}&(?:status|error)=[a-z_]+"
    + rf"(?:&confirmation={SECRET})?",
    rf"/callback/[A-Za-z0-9][A-Za-z0-9._-]{{0,63}}\?result={REQUEST_ID}\.{SECRET}(?:\.waiting|\.unfinished)?",
    r"/callback/-\?result=(?:refused|begin_here|not_connected)(?:\.[0-9a-f-]{36})?",
)
OUR_LINKS = rf"(?:/authorize/|gatehouse-(?:post-)?){REQUEST_ID}|/callback/[A-Za-z0-9._-]{{1,64}}\?"
"""What may come again: the id of a request, in the link to try again and in the name of a cookie; a provider's name."""

_CODES = ("code-from-the-server-11d3", "code-from-the-server-97f0")
_ERRORS = ("access_denied", "server_error", "consent_required", "temporarily_unavailable", "invalid_scope", "slow_down")


@st.composite
def cookies_of(draw: DrawFn, visit: Visit) -> list[str]:
    """Give what a browser has for cookies: that of the visit, others of ours, and any."""
    others = [each.cookie for each in prepared().visits.values() if each.cookie]
    made_up = "__Host-gatehouse-" + MARK + "A" * 16 + "=" + MARK + "A" * 37 + "." + "B" * 43
    return draw(
        st.one_of(
            st.just([visit.cookie]),
            st.just([visit.cookie]),
            st.lists(near(visit.cookie, *others, made_up), max_size=4),
            st.lists(near(made_up, visit.cookie), min_size=9, max_size=12),
        )
    )


def response_to(visit: Visit) -> SearchStrategy[str]:
    """Give authorization responses to the request of a visit."""
    states = [each.state for each in prepared().visits.values() if each.state]
    return form_of(
        {
            "state": near(visit.state, visit.state, visit.state, *states),
            "code": near(*_CODES),
            "error": near(*_ERRORS),
            "error_description": odd_text,
            "iss": near("https://id.example", "https://other.example"),
            "auth_code": near(*_CODES),
            "realm": near("1234"),
            "shop": near("one"),
        }
    )


def results_of(visit: Visit) -> SearchStrategy[str]:
    """Give addresses of results: that of the visit, and those that need none."""
    request_id = visit.ticket.partition(".")[0]
    cookie = RequestCookie.parse(request_id, visit.cookie.partition("=")[2], form_post=True)
    ours = cookie.newest.result if cookie is not None else f"{request_id}.{'A' * 43}"
    so_far = (f"result={ours}", f"result={ours}.waiting", f"result={ours}.unfinished")
    return near(*so_far, "result=begin_here", "result=refused", f"result=refused.{MARK}", f"result={MARK}")


@st.composite
def requests(draw: DrawFn, function: str) -> dict[str, Any]:
    """Give a browser's request to a function."""
    visit = prepared().visits[draw(st.sampled_from(VISITS))]
    form = draw(results_of(visit) if draw(st.integers(0, 7)) == 0 else response_to(visit))
    path = {"ticket": draw(near(visit.ticket, visit.ticket.partition(".")[0]))}
    if function == "callback":
        path = {"provider": draw(near(visit.provider, visit.provider, *sorted(REGISTRATIONS)))}
    is_form = visit.provider == "posted" or draw(st.integers(0, 5)) == 0
    others = ("HEAD", "POST", "PUT", "OPTIONS", "get", "")
    method = draw(st.sampled_from(("POST",) if is_form else ("GET",) * 8 + others))
    in_base64 = draw(st.booleans())
    body = b64encode(form.encode()).decode() if in_base64 else form
    form_type = "application/x-www-form-urlencoded"
    headers = {
        "content-type": draw(near(form_type, f"{form_type};charset=utf-8")),
        "host": draw(near("gate.example")),
        "x-forwarded-for": draw(odd_text),
        "user-agent": draw(odd_text),
        "accept-language": draw(near("de-CH, es;q=0.5", "*", "en;q=0")),
    }
    whole = browsed(method, path, draw(odd_text) if is_form else form, draw(cookies_of(visit)), headers=headers)
    return whole | ({"body": body, "isBase64Encoded": in_base64} if is_form else {})


def check(called: Called, deployment: Deployment) -> None:
    """Check what a browser gets, and what the log says."""
    assert called.raised is None
    answer = called.answer
    assert answer["statusCode"] in STATUSES
    assert answer["headers"].keys() <= HEADERS
    assert [each for each in answer.get("cookies", ()) if not re.fullmatch(SET_COOKIE, each)] == []
    location = answer["headers"].get("Location")
    assert location is None or any(re.fullmatch(pattern, location) for pattern in LEADS_TO)
    shown = re.sub(OUR_LINKS, "", json.dumps(answer | {"cookies": []}, ensure_ascii=False).replace(APPLICATION, ""))
    assert MARK.lower() not in shown.lower()
    answers.check_log(called)
    secrets = [secret for visit in deployment.visits.values() for secret in visit.secrets if secret]
    secrets += [CLIENT_SECRET, *_CODES, "access-token-", "refresh-token-"]
    assert [secret for secret in secrets if secret in called.log] == []
    # The browser is sent on with its own state, and with its own cookie; a page shows neither.
    assert location is not None or [secret for secret in secrets if secret in answer["body"]] == []


@examples(30)
@given(requests("authorize"), st.none() | answers.of_a_server())
def test_whoever_opens_a_link_gets_a_page_or_is_sent_on(request: dict[str, Any], said: Answer | None) -> None:
    """Any path, query, cookies, headers and method, and any answer of the server that the request is pushed to."""
    deployment = prepared().copy()
    deployment.server.said = said or deployment.server.issue

    called = deployment.call("authorize", request)

    check(called, deployment)


@examples(50)
@given(requests("callback"), st.none() | answers.of_a_server())
def test_whatever_comes_back_gets_a_page_or_is_sent_on(request: dict[str, Any], said: Answer | None) -> None:
    """Any query, form, cookies, headers and method, and any answer of the server to what is sent to it."""
    deployment = prepared().copy()
    deployment.server.said = said or deployment.server.issue

    called = deployment.call("callback", request)

    check(called, deployment)


@examples(12)
@given(requests("callback"))
def test_a_response_without_a_cookie_of_ours_costs_nothing(request: dict[str, Any]) -> None:
    """A forged, foreign or stale response is refused before any call to AWS or to a provider."""
    deployment = prepared().copy()
    request["cookies"] = [each for each in request["cookies"] if each.partition("=")[2] == ""]

    called = deployment.call("callback", request)

    assert called.answer["statusCode"] in {200, 303, 400, 405, 410}
    assert (deployment.account.calls, deployment.server.requests) == ([], [])


def test_the_usual_way_is_among_them() -> None:
    """Without it the properties would hold of nothing but refusals."""
    deployment = prepared().copy()
    visit = deployment.visits["acme"]

    answer = deployment.come_back(visit, code=_CODES[0])

    assert (answer["statusCode"], deployment.server.requests[-1]["code"]) == (303, _CODES[0])
    assert re.fullmatch(LEADS_TO[2], answer["headers"]["Location"])

"""A response is believed only in its own browser, and a refusal is recognized in whatever form it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.oauth import authorization_response
from functions.vault.oauth.authorization import BrowserBinding
from functions.vault.oauth.authorization_response import (
    Refused,
    ValidatedResponse,
    redirect_error,
    refusal_of,
    validate,
)
from functions.vault.provider.refusal_rules import of_codes
from tests.unit.samples import BROWSER
from tests.unit.samples import COOKIE as OURS

if TYPE_CHECKING:
    from functions.vault.provider.refusal_rules import Rule

VECTOR = BrowserBinding("AAECAwQFBgcICQoLDA0ODw", "T" * 43, "N" * 43)
NAME = f"__Host-gatehouse-{BROWSER.request_id}"
COOKIE = f"{NAME}={OURS.value}"


def answered(cookies: list[str] | None = None, **parameters: str) -> ValidatedResponse:
    """Validate a response to `BROWSER`'s request, with these parameters beside its state."""
    return brought(parameters, [COOKIE] if cookies is None else cookies)


def brought(parameters: dict[str, str], cookies: list[str], *, secure: bool = True) -> ValidatedResponse:
    """Validate such a response in a browser with these cookies."""
    return validate("acme", urlencode({"state": BROWSER.state, **parameters}), cookies, secure=secure)


def refusal(query: str, cookies: list[str] | None = None) -> str:
    """Return the reason why a response is refused."""
    with pytest.raises(Refused) as caught:
        validate("acme", query, [COOKIE] if cookies is None else cookies, secure=True)
    return caught.value.reason


def test_a_response_with_a_code_is_validated() -> None:
    """`validate` is the only way to a validated response; this is everything in it."""
    response = answered(code="CODE-1", iss="https://acme.example")

    assert response == ValidatedResponse("acme", BROWSER, "https://acme.example", "CODE-1")
    assert response.state_hash != BROWSER.state


def test_unknown_parameters_are_ignored() -> None:
    """RFC 6749 section 4.1.2: the client must ignore them."""
    assert answered(code="CODE-1", session_state="x", scope="read").code == "CODE-1"


def test_what_means_the_same_everywhere_is_no_parameter_of_the_providers() -> None:
    """Its data can give a meaning only to what is left."""
    common = {"iss": "https://acme.example", "error_description": "no", "error_uri": "https://acme.example/why"}

    for outcome in ({"code": "CODE-1"}, {"error": "access_denied"}):
        assert brought({**outcome, **common, "realm": "7"}, [COOKIE]).parameters == {"realm": "7"}


@pytest.mark.parametrize("length", [8191, 8192])
def test_a_query_is_read_up_to_its_longest(length: int) -> None:
    """Some servers send long codes; one octet more is refused, and so is one parameter more than fifty."""
    query = urlencode({"state": BROWSER.state, "code": "CODE-1"})
    padded = f"{query}&x={'y' * (length - len(query) - 3)}"
    several = "&".join([query, *(f"p{number}=1" for number in range(48))])

    assert validate("acme", padded, [COOKIE], secure=True).code == "CODE-1"
    assert validate("acme", several, [COOKIE], secure=True).code == "CODE-1"
    assert refusal(f"{query}&x={'y' * (8193 - len(query) - 3)}") == "query_too_long"
    assert refusal(f"{several}&q=1") == "query_malformed"


@pytest.mark.parametrize("error", sorted(authorization_response.RESPONSE_ERRORS))
def test_the_errors_of_the_rfcs_keep_their_meaning(error: str) -> None:
    """In capitals or not."""
    for spelled in (error, error.upper(), f" {error}"):
        response = answered(error=spelled, error_description="<script>")

        assert (response.code, response.is_refusal, refusal_of(response, ())) == (None, True, error)


@pytest.mark.parametrize("error", ["<script>alert(1)</script>", "nope", "x" * 5000, "access-denied", "\ufffd"])
def test_any_other_error_is_only_an_error(error: str) -> None:
    """It is not passed on: it could end up in a page or in an application's URL."""
    assert refusal_of(answered(error=error), ()) == "server_error"


DENIAL: Rule = {"endpoint": "authorization", "code": "user_cancelled_login", "means": "access_denied"}
RULES: list[tuple[dict[str, str], Rule, str]] = [
    ({"error": "user_cancelled_login"}, DENIAL, "access_denied"),
    ({"error": "User_Cancelled_Login"}, DENIAL, "access_denied"),
    (
        {"error": "server_error", "error_description": "The user has denied access."},
        {"endpoint": "authorization", "words": ["user has denied"], "means": "access_denied"},
        "access_denied",
    ),
    (
        {"error": "consent_required", "error_subcode": "cancel"},
        {"endpoint": "authorization", "contains": {"error_subcode": "cancel"}, "means": "access_denied"},
        "access_denied",
    ),
    (
        {"status": "declined"},
        {"endpoint": "authorization", "contains": {"status": "declined"}, "means": "access_denied"},
        "access_denied",
    ),
    ({"error": "busy"}, {"endpoint": "authorization", "code": "busy", "means": "slow_down"}, "temporarily_unavailable"),
    ({"error": "again"}, {"endpoint": "authorization", "code": "again", "means": "busy"}, "temporarily_unavailable"),
    ({"error": "who"}, {"endpoint": "authorization", "code": "who", "means": "invalid_client"}, "unauthorized_client"),
    ({"error": "dead"}, {"endpoint": "authorization", "code": "dead", "means": "invalid_grant"}, "server_error"),
    (
        {"error": "odd"},
        {"endpoint": "authorization", "contains": {"error": "odd"}, "means": "access_denied"},
        "access_denied",
    ),
    (
        {"error": "x", "error_description": "odd"},
        {"endpoint": "authorization", "contains": {"error_description": "odd"}, "means": "access_denied"},
        "access_denied",
    ),
]


@pytest.mark.parametrize(("no", "rule", "means"), RULES)
def test_data_explains_a_servers_own_refusal(no: dict[str, str], rule: Rule, means: str) -> None:
    """By its code, its text or anything else in the redirect; the application gets the RFC's code."""
    assert refusal_of(brought(no, [COOKIE]), [rule]) == means


def test_a_rule_about_tokens_does_not_apply_to_a_redirect() -> None:
    """Servers send `access_denied` about dead grants, too, and rules for that name no endpoint."""
    rules: list[Rule] = [{"code": "access_denied", "means": "invalid_grant"}]

    assert refusal_of(answered(error="access_denied"), rules) == "access_denied"


def test_an_error_code_that_means_a_refusal_is_about_the_redirect() -> None:
    """`error_codes` name no endpoint, and no other endpoint can say that the customer declined."""
    assert refusal_of(answered(error="user_denied"), of_codes({"user_denied": "access_denied"})) == "access_denied"


@pytest.mark.parametrize("position", range(len(BROWSER.state)))
def test_no_changed_state_is_believed(position: int) -> None:
    """Every single character of the state counts."""
    other = "A" if BROWSER.state[position] != "A" else "B"
    state = BROWSER.state[:position] + other + BROWSER.state[position + 1 :]

    reason = refusal(urlencode({"state": state, "code": "CODE-1"}))

    expected = "browser_unknown" if position < 22 else "state_malformed" if position == 22 else "state_mismatch"
    assert reason == expected


@pytest.mark.parametrize("position", range(len(OURS.value)))
def test_no_changed_cookie_is_believed(position: int) -> None:
    """Every single character of the cookie counts."""
    value = OURS.value
    other = "A" if value[position] != "A" else "B"
    changed = f"__Host-gatehouse-{BROWSER.request_id}={value[:position]}{other}{value[position + 1 :]}"

    reason = refusal(urlencode({"state": BROWSER.state, "code": "CODE-1"}), [changed])

    assert reason == ("browser_unknown" if position == 43 else "state_mismatch")


@pytest.mark.parametrize(
    "state",
    [
        ".",
        BROWSER.request_id,
        f"{BROWSER.request_id}.",
        BROWSER.state + "A",
        BROWSER.state[:-1],
        BROWSER.state + "\n",
        " " + BROWSER.state,
        BROWSER.state.replace(".", "%2E"),
        BROWSER.state + "=",
        "é" * 22 + "." + "é" * 43,
        "\x00" * 66,
        f"../{BROWSER.state}",
    ],
)
def test_a_malformed_state_is_refused_by_its_form(state: str) -> None:
    """Before anything is computed or compared."""
    assert refusal(urlencode({"state": state, "code": "CODE-1"})) == "state_malformed"


@pytest.mark.parametrize(
    "cookies",
    [
        [],
        [""],
        ["gatehouse"],
        [COOKIE.removeprefix("__Host-")],
        [COOKIE.lower()],
        [COOKIE + "A"],
        [COOKIE + "; x=y"],
        [f'{NAME}="{OURS.value}"'],
        [f"__Host-gatehouse-{BROWSER.request_id}="],
        [f"__Host-gatehouse-{BROWSER.request_id}"],
        [f"__Host-gatehouse-{VECTOR.request_id}={OURS.value}"],
        [f"x{COOKIE}"],
        [f"\u2003{COOKIE}"],
        [f"\x85{COOKIE}"],
        [f"\xa0{COOKIE}"],
        [COOKIE, COOKIE],
        [COOKIE, f"{NAME}={'T' * 43}.{'N' * 43}"],
        [COOKIE, COOKIE.replace("gatehouse-", "gatehouse-post-")],
        [f"__Host-gatehouse-{BROWSER.request_id}=", COOKIE],
    ],
)
def test_without_exactly_its_cookie_a_browser_is_unknown(cookies: list[str]) -> None:
    """Missing, renamed, malformed or doubled (somebody planted a second one): none of two cookies is chosen."""
    assert refusal(urlencode({"state": BROWSER.state, "code": "CODE-1"}), cookies) == "browser_unknown"


def test_other_requests_cookies_do_no_harm() -> None:
    """A browser with several open requests has a cookie for each."""
    others = [f"__Host-gatehouse-{'A' * 22}={'T' * 43}.{'N' * 43}", "theme=dark", f" {COOKIE} "]

    assert answered(others, code="CODE-1").browser == BROWSER


def test_on_plain_http_the_cookie_has_its_plain_name() -> None:
    """A browser honours `__Host-` only on https; each deployment accepts one name."""
    plain = COOKIE.removeprefix("__Host-")

    assert brought({"code": "CODE-1"}, [plain], secure=False).browser == BROWSER
    with pytest.raises(Refused, match="browser_unknown"):
        brought({"code": "CODE-1"}, [COOKIE], secure=False)


@pytest.mark.parametrize("name", ["state", "code", "error", "iss"])
@pytest.mark.parametrize("second", ["same", "other", ""])
def test_a_parameter_that_comes_twice_is_an_error(name: str, second: str) -> None:
    """RFC 6749 section 3.1: none that we read may come twice, not even with the same value."""
    parameters = {"state": BROWSER.state, "code": "CODE-1", **({name: "same"} if name not in {"state", "code"} else {})}
    doubled = urlencode([*parameters.items(), (name, parameters[name] if second == "same" else second)])

    assert refusal(doubled) == "parameter_duplicated"


@pytest.mark.parametrize(
    "more", ["&x=%FF", "&x=1&x=1", "&%FF=1", "&x=%D1%84%FB", "&x=\xff", "&error_uri=1&error_uri=%FF"]
)
def test_what_is_not_read_may_be_encoded_in_any_way(more: str) -> None:
    """A provider may add any parameters, unless its data says that they are read."""
    query = f"{urlencode({'state': BROWSER.state, 'code': 'CODE-1', 'realm': '7'})}{more}"

    response = validate("acme", query, [COOKIE], secure=True)

    assert (response.code, response.parameters["realm"]) == ("CODE-1", "7")


@pytest.mark.parametrize(
    ("description", "read"),
    [
        ("blocked+by+the+organization", "blocked by the organization"),
        ("%CE%F2%EA%E0%E7+7", "\ufffd\ufffd\ufffd\ufffd\ufffd 7"),  # windows-1251
        ("one&error_description=two", "one"),
        ("", ""),
    ],
)
def test_a_refusal_counts_whatever_its_description_is(description: str, read: str) -> None:
    """In another encoding, or twice: the customer has declined, and an operator reads what can be decoded."""
    query = f"state={BROWSER.state}&error=access_denied&error_description={description}"

    response = validate("acme", query, [COOKIE], secure=True)

    assert (response.error, response.error_description) == ("access_denied", read)


@pytest.mark.parametrize("parameters", [{}, {"code": ""}, {"error": ""}, {"code": "", "error": "", "scope": ""}])
def test_a_state_alone_is_a_refusal(parameters: dict[str, str]) -> None:
    """Some servers send a customer who has declined back with nothing else."""
    response = brought(parameters, [COOKIE])

    assert (response.is_refusal, refusal_of(response, ())) == (True, "access_denied")


def test_a_code_and_an_error_are_no_response() -> None:
    """No authorization server sends both."""
    both = {"state": BROWSER.state, "code": "CODE-1", "error": "access_denied"}

    assert refusal(urlencode(both)) == "code_or_error_expected"


@pytest.mark.parametrize("no", [{"error": "access_denied"}, {"error": "access_denied", "x": "1"}, {}])
def test_a_refusal_may_come_by_redirect_although_the_code_is_to_be_posted(no: dict[str, str]) -> None:
    """Servers have one way for codes, and another for everything that fails before."""
    posted = [COOKIE.replace("gatehouse-", "gatehouse-post-")]

    assert refusal_of(brought(no, posted), ()) == "access_denied"


@pytest.mark.parametrize("code", [{"code": "CODE-1"}, {"auth_code": "CODE-1"}])
def test_a_code_that_is_to_be_posted_is_not_accepted_in_a_query(code: dict[str, str]) -> None:
    """It was requested in a form so that it is in no history, log or referrer."""
    posted = [COOKIE.replace("gatehouse-", "gatehouse-post-")]

    assert refusal(urlencode({"state": BROWSER.state, **code}), posted) == "form_expected"


def test_a_form_answers_only_a_request_that_asked_for_one() -> None:
    """The cookie of such a request goes along with a POST from another site; that of others has no business there."""
    form = urlencode({"state": BROWSER.state, "code": "CODE-1"})
    posted = COOKIE.replace("gatehouse-", "gatehouse-post-")

    assert validate("acme", form, [COOKIE, posted], secure=True, form_post=True).code == "CODE-1"
    with pytest.raises(Refused, match="browser_unknown"):
        validate("acme", form, [COOKIE], secure=True, form_post=True)


def test_a_refused_response_names_the_request_that_it_claims_to_answer() -> None:
    """For the log: in a response that is read far enough."""
    claims = {f"state={BROWSER.state}&code=x": BROWSER.request_id, "state=x&code=x": None, "code=x": None}

    for query, request_id in claims.items():
        with pytest.raises(Refused) as caught:
            validate("acme", query, [], secure=True)
        assert caught.value.request_id == request_id


def test_each_parameter_is_read_by_itself() -> None:
    """One that is unreadable or comes twice takes no other along, and a value may hold any character."""
    query = f"state={BROWSER.state}&code=a=b=&x=%ff&twice=1&twice=2&y=1%3D2"

    response = validate("acme", query, [COOKIE], secure=True)

    assert (response.code, response.parameters) == ("a=b=", {"y": "1=2"})


@pytest.mark.parametrize("error", ["a%ff", "a\udcff"])
def test_an_error_counts_although_it_cannot_be_decoded(error: str) -> None:
    """In another encoding, or as octets that were never encoded: it is a refusal."""
    response = validate("acme", f"state={BROWSER.state}&error={error}", [COOKIE], secure=True)

    assert (response.error, response.is_refusal) == ("a\ufffd", True)


def test_an_error_needs_the_state_and_the_cookie_too() -> None:
    """Nobody can end another visitor's request with a made-up error."""
    assert refusal("error=access_denied") == "state_missing"
    assert refusal(urlencode({"error": "access_denied", "state": BROWSER.state}), []) == "browser_unknown"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "state_missing"),
        ("&&&", "state_missing"),
        ("state", "state_missing"),
        ("state=%FF", "query_malformed"),
        ("code=x", "code_without_state"),
        ("state=&code=x", "code_without_state"),
        (f"state={BROWSER.state}&code=%FF", "query_malformed"),
        (f"state={BROWSER.state}&code=x&iss=%FF", "query_malformed"),
        ("x=" + "y" * 8192, "query_too_long"),
        ("&".join(f"p{number}=1" for number in range(51)), "query_malformed"),
        ("code=%ff", "query_malformed"),
        ("code=%ed%a0%80", "query_malformed"),
    ],
)
def test_an_unreadable_query_is_refused(query: str, reason: str) -> None:
    """Too long, too many parameters, or not UTF-8 in what is read."""
    assert refusal(query) == reason


def test_a_code_may_come_under_another_name() -> None:
    """The other parameters are kept until the provider is known, and show in no representation."""
    response = answered(spapi_oauth_code="CODE-1", selling_partner_id="A1", empty="")

    assert response.code is None
    assert response.with_code("spapi_oauth_code").code == "CODE-1"
    assert response.parameters == {"spapi_oauth_code": "CODE-1", "selling_partner_id": "A1"}
    assert "CODE-1" not in repr(response)


def test_a_response_without_its_providers_code_is_for_the_operator() -> None:
    """The registration may name the wrong parameter; no other one is taken for a code."""
    with pytest.raises(ProviderMisconfigured, match="neither an error nor the code, expected as 'code'"):
        answered(spapi_oauth_code="CODE-1").with_code("code")


@pytest.mark.parametrize(
    ("error", "description", "passed_on"),
    [
        (None, None, None),
        ("access_denied", None, ("access_denied", None)),
        (
            "admin_policy_enforced",
            "blocked\nby the organization",
            ("admin_policy_enforced", "blocked by the organization"),
        ),
        (
            "access_denied",
            "AADSTS65004: User declined to consent.",
            ("access_denied", "AADSTS65004: User declined to consent."),
        ),
        ("access_denied", "no, " + "aB3-_x" * 8 + "!", ("access_denied", "no, ***!")),
        ("access_denied", "state%3D" + "x" * 32, ("access_denied", "***")),
        ("access_denied", "you sent s3cret-of-ours", ("access_denied", "you sent ***")),
        ("4f1c2d3e-" * 4, None, ("error", None)),
        ("two words", "said so", ("error", "said so")),
        (None, "said so", ("error", "said so")),
    ],
)
def test_an_error_in_a_redirect_contains_no_secret(
    error: str | None, description: str | None, passed_on: tuple[str, str | None] | None
) -> None:
    """Anybody with a link can write anything there. An operator reads words, and nothing that could be a token."""
    said = redirect_error(error, description, ("s3cret-of-ours",))

    assert (None if said is None else (said.error, said.error_description)) == passed_on

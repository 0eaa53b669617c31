"""`/v1/owners/...` and `/v1/connections/...`: a caller gets what its path names, and nothing else."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from functions.confirm import handler as confirm
from functions.connections import handler as connections
from functions.import_connection import handler as import_connection
from functions.refresh import handler as refresh
from functions.revoke import handler as revoke
from functions.start import handler as start
from functions.token import handler as token
from functions.vault.grant.connection import JUST_OBTAINED
from functions.web.log import NOT_NAMED
from tests.browser import Browser
from tests.flows.application import TIMEOUT, TOKEN_KEYS, Context, fresh, operations, with_services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws.call import AwsCall
    from local.stack import Stack
    from tests.flows.application import Application

FUNCTIONS = ("start", "confirm", "token", "refresh", "revoke", "connections", "import_connection")
HANDLERS = {
    "start": start,
    "confirm": confirm,
    "token": token,
    "refresh": refresh,
    "revoke": revoke,
    "connections": connections,
    "import_connection": import_connection,
}
OF_A_CONNECTION = [name for name in FUNCTIONS if name not in {"start", "import_connection"}]
OURS, THEIRS = "acme", "globex"
USER = "arn:aws:sts::123456789012:assumed-role/orders/session-1"


class Connected:
    """Connections of two owners and of none. No test here changes any of them."""

    def __init__(self, stack: Stack) -> None:
        """Connect them, each to an account of its own."""
        self.ours = Browser(stack, fresh("merchant")).connect(connection_id=fresh("shop"), owner=OURS)
        self.theirs = Browser(stack, fresh("merchant")).connect(connection_id=fresh("theirs"), owner=THEIRS)
        self.nobodys = Browser(stack, fresh("merchant")).connect(connection_id=fresh("nobody"))
        self.secrets = [str(self._token(stack, each)) for each in (self.theirs, self.nobodys)]

    @staticmethod
    def _token(stack: Stack, connection_id: str) -> Any:
        return (stack.invoke("token", {"connection_id": connection_id}) or {})["access_token"]


@pytest.fixture(scope="module")
def connected(stack: Stack) -> Connected:
    """Give the connections."""
    return Connected(stack)


def posted(stack: Stack, raw_path: str, body: Any) -> tuple[int, str]:
    """POST to a path exactly as it is written: most clients resolve dots and slashes before they send it."""
    server = http.client.HTTPConnection(urlsplit(stack.base_url).netloc, timeout=TIMEOUT)
    server.request("POST", raw_path, json.dumps(body), {"Content-Type": "application/json"})
    answer = server.getresponse()
    text = answer.read().decode()
    server.close()
    return answer.status, text


def event_of(function: str, narrowed: str = "", body: Any = None, **more: Any) -> dict[str, Any]:
    """Return the event that the HTTP API makes of a signed call; `narrowed` is like `owners/acme`."""
    folder, _, value = narrowed.partition("/")
    name = {"owners": "owner", "connections": "connection_id"}.get(folder)
    return {
        "version": "2.0",
        "routeKey": f"POST /v1/{folder}/{{{name}}}/{function}" if name else f"POST /v1/{function}",
        "rawPath": f"/v1/{narrowed}/{function}" if name else f"/v1/{function}",
        **({"pathParameters": {name: value}} if name else {}),
        "requestContext": {
            "requestId": "api-1",
            "authorizer": {"iam": {"userArn": USER, "accountId": "123456789012"}},
            "http": {"method": "POST"},
        },
        "headers": {},
        "body": json.dumps(body or {}),
        "isBase64Encoded": False,
        **more,
    }


class Api:
    """Calls the functions as the HTTP API does, with any event, and keeps them warm."""

    def __init__(self, stack: Stack) -> None:
        self._functions = {name: with_services(stack, handler) for name, handler in HANDLERS.items()}

    def call(self, function: str, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the status and the document of a function's answer."""
        answer = self._functions[function](event, Context(alias="http"))
        return answer["statusCode"], json.loads(answer["body"])

    def invoke(self, function: str, payload: dict[str, Any]) -> Any:
        """Invoke a function, as somebody else does."""
        return self._functions[function](payload, Context())


@pytest.fixture(scope="module")
def api(stack: Stack) -> Api:
    """Give the API."""
    return Api(stack)


# What a path opens


def test_an_owners_path_opens_all_that_the_owner_may_do(
    stack: Stack, application: Application, browser: Browser
) -> None:
    """A connection is started, seen, used, refreshed and revoked by it, and belongs to that owner."""
    # given
    connection_id, owner = fresh("shop"), fresh("owner")
    started = application.post(f"owners/{owner}/start", {"provider": "ultracart", "connection_id": connection_id})
    browser.visit(started.json()["authorize_url"])

    # when
    request = {"connection_id": connection_id}
    vended = application.post(f"owners/{owner}/token", request)
    seen = application.post(f"owners/{owner}/connections", request)
    attempt = application.post(f"owners/{owner}/connections", {"request_id": started.json()["request_id"]})
    stack.clock.advance(JUST_OBTAINED)
    refreshed = application.post(f"owners/{owner}/refresh", request)
    revoked = application.post(f"owners/{owner}/revoke", request)

    # then
    assert [each.status_code for each in (started, vended, seen, attempt, refreshed, revoked)] == [200] * 6
    assert vended.json().keys() == TOKEN_KEYS
    assert seen.json()["connection"]["owner"] == owner
    assert attempt.json()["last_attempt"]["outcome"] == "connected"
    assert refreshed.json()["version"] == 2
    assert revoked.json()["status"] == "revoked"


def test_a_connections_path_opens_that_connection(stack: Stack, application: Application, browser: Browser) -> None:
    """Its id may be left out of the body: the path has it."""
    # given
    connection_id = fresh("shop")
    started = application.post(f"connections/{connection_id}/start", {"provider": "ultracart"})
    browser.visit(started.json()["authorize_url"])

    # when
    vended = application.post(f"connections/{connection_id}/token", {})
    again = application.post(f"connections/{connection_id}/token", {"connection_id": connection_id})
    seen = application.post(f"connections/{connection_id}/connections", {})
    attempt = application.post(f"connections/{connection_id}/connections", {"request_id": started.json()["request_id"]})
    stack.clock.advance(JUST_OBTAINED)
    refreshed = application.post(f"connections/{connection_id}/refresh", {"if_version": 1})
    revoked = application.post(f"connections/{connection_id}/revoke", {})

    # then
    answers = (started, vended, again, seen, attempt, refreshed, revoked)
    assert [each.status_code for each in answers] == [200] * 7
    assert started.json()["connection_id"] == seen.json()["connection"]["connection_id"] == connection_id
    assert vended.json() == again.json()
    assert attempt.json()["last_attempt"]["outcome"] == "connected"
    assert (refreshed.json()["version"], revoked.json()["status"]) == (2, "revoked")


def test_the_path_may_be_repeated_in_the_body_but_not_contradicted(
    application: Application, connected: Connected, aws_calls: list[AwsCall]
) -> None:
    """What the path names is the same in the body, or is not there."""
    # given
    same = {"connection_id": connected.ours, "owner": OURS}

    # when
    repeated = application.post(f"owners/{OURS}/token", same)
    aws_calls.clear()
    others = {
        "owner": [
            application.post(f"owners/{OURS}/{name}", {"connection_id": connected.ours, "owner": other})
            for name in FUNCTIONS
            for other in (THEIRS, "", 7, [OURS], {"a": "b"})
        ],
        "connection_id": [
            application.post(f"connections/{connected.ours}/{name}", {"connection_id": other})
            for name in FUNCTIONS
            for other in (connected.theirs, "", 7, [connected.ours])
        ],
    }

    # then
    assert repeated.status_code == 200
    for name, answers in others.items():
        for answer in answers:
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
            assert f"{name}: expected to be left out" in answer.json()["error_description"]
    assert aws_calls == []


# What it does not open


@pytest.mark.parametrize("function", OF_A_CONNECTION)
def test_another_owners_connection_is_as_one_that_does_not_exist(
    stack: Stack, application: Application, connected: Connected, aws_calls: list[AwsCall], function: str
) -> None:
    """Another's, or nobody's: the same answer to the letter, and the same calls to AWS on the way."""
    # given
    unknown = fresh("unknown")

    def asked(connection_id: str, owner: str = OURS) -> tuple[int, str, list[str]]:
        aws_calls.clear()
        needed = {"confirmation": "A" * 43} if function == "confirm" else {}
        answer = application.post(f"owners/{owner}/{function}", {"connection_id": connection_id, **needed})
        return answer.status_code, answer.text.replace(connection_id, "ID"), operations(aws_calls)

    # when
    not_there = asked(unknown)
    found = [asked(connected.theirs), asked(connected.nobodys), asked(connected.ours, OURS.upper())]

    # then
    assert (not_there[0], not_there[2]) == (404, ["GetItem"])
    assert json.loads(not_there[1])["error"] == "connection_not_found"
    assert found == [not_there] * 3
    for each in (connected.theirs, connected.nobodys, connected.ours):
        assert (stack.invoke("connections", {"connection_id": each}) or {})["connection"]["status"] == "active"


def test_an_owner_lists_its_own(application: Application, connected: Connected, browser: Browser) -> None:
    """With any filter, page by page; another owner is refused, and so is the cursor of another owner's list."""
    # when
    mine = application.post(f"owners/{OURS}/connections", {}).json()["connections"]
    filtered = application.post(f"owners/{OURS}/connections", {"status": "active", "provider": "ultracart"}).json()
    needing = application.post(f"owners/{OURS}/connections", {"needs": "reauthorization"}).json()
    theirs = application.post(f"owners/{OURS}/connections", {"owner": THEIRS})
    browser.connect(connection_id=fresh("theirs"), owner=THEIRS)
    cursor = application.call("connections", owner=THEIRS, limit=1).get("cursor")
    borrowed = application.post(f"owners/{OURS}/connections", {"cursor": cursor})

    # then
    assert connected.ours in {each["connection_id"] for each in mine}
    assert {each["owner"] for each in [*mine, *filtered["connections"], *needing["connections"]]} == {OURS}
    assert theirs.status_code == 400
    assert cursor is not None
    assert (borrowed.status_code, "cursor: expected" in borrowed.text) == (400, True)


def test_by_a_connections_path_there_are_no_lists(application: Application, connected: Connected) -> None:
    """Whatever belongs to a list is refused, and nothing but the one connection comes back."""
    # when
    path = f"connections/{connected.ours}/connections"
    answers = [
        application.post(path, more)
        for more in ({"owner": OURS}, {"owner": THEIRS}, {"status": "active"}, {"limit": 1}, {"needs": "confirmation"})
    ]

    # then
    assert {answer.status_code for answer in answers} == {400}


def test_a_request_is_found_by_its_owner_and_by_its_connection(
    application: Application, connected: Connected, browser: Browser
) -> None:
    """To others it is one that does not exist."""
    # given
    theirs = browser.start(connection_id=connected.theirs, owner=THEIRS)["request_id"]
    unknown = "A" * 22

    # when
    by_owner = [application.post(f"owners/{OURS}/connections", {"request_id": each}) for each in (unknown, theirs)]
    by_id = [
        application.post(f"connections/{connected.ours}/connections", {"request_id": each})
        for each in (unknown, theirs)
    ]
    found = application.post(f"owners/{THEIRS}/connections", {"request_id": theirs})

    # then
    assert {(each.status_code, each.text) for each in [*by_owner, *by_id]} == {(404, by_owner[0].text)}
    assert found.json() == {"last_attempt": None}


@pytest.mark.parametrize("taken", ["theirs", "nobodys"])
def test_an_id_that_another_owner_has_is_not_started(
    application: Application, connected: Connected, taken: str
) -> None:
    """The caller learns that it has to choose another one, and nothing of the one that there is."""
    # given
    connection_id = getattr(connected, taken)

    # when
    by_owner = application.post(f"owners/{OURS}/start", {"provider": "ultracart", "connection_id": connection_id})
    by_id = application.post(f"connections/{connection_id}/start", {"provider": "ultracart", "owner": OURS})

    # then
    assert (by_owner.status_code, by_owner.text) == (by_id.status_code, by_id.text)
    assert (by_owner.status_code, by_owner.json()["error"]) == (400, "invalid_request")
    assert "choose another connection_id" in by_owner.json()["error_description"]
    assert THEIRS not in by_owner.text


def test_a_revoked_id_stays_its_owners(application: Application, browser: Browser) -> None:
    """Its owner may connect it again. By `/v1/start`, which opens everything, anybody may."""
    # given
    connection_id, owner = fresh("shop"), fresh("owner")
    browser.connect(connection_id=connection_id, owner=owner)
    application.call("revoke", connection_id=connection_id)
    request = {"provider": "ultracart", "connection_id": connection_id}

    # when
    by_another = application.post(f"owners/{OURS}/start", request)
    for_another = application.post(f"connections/{connection_id}/start", {"provider": "ultracart", "owner": OURS})
    by_owner = application.post(f"owners/{owner}/start", request)
    by_anybody = application.post("start", {**request, "owner": OURS})

    # then
    assert [by_another.status_code, for_another.status_code] == [400, 400]
    assert [by_owner.status_code, by_anybody.status_code] == [200, 200]


def test_an_id_that_is_started_twice_is_the_first_customers(
    stack: Stack, application: Application, browser: Browser
) -> None:
    """Two owners may start the same new id. Whose customer comes back first has it, and the other gets no token."""
    # given
    connection_id = fresh("shop")
    links = {
        owner: application.post(
            f"owners/{owner}/start", {"provider": "ultracart", "connection_id": connection_id}
        ).json()["authorize_url"]
        for owner in (THEIRS, OURS)
    }
    browser.visit(links[THEIRS])

    # when
    page = Browser(stack, fresh("merchant")).visit(links[OURS])

    # then
    assert "Your account is connected" not in page.text
    assert application.post(f"owners/{OURS}/token", {"connection_id": connection_id}).status_code == 404
    assert application.post(f"owners/{THEIRS}/token", {"connection_id": connection_id}).status_code == 200


# Names that try to escape


def escapes(of: str, to: str) -> Iterator[str]:
    """Give paths that begin with one name and may be read as leading to another."""
    for step in ("..", "%2e%2e", "%2E%2E", ".%2e", "%252e%252e", "..;", "..;/..", "..%3b", "..%00"):
        for slash in ("/", "%2F", "%2f", "%5C", "\\", "//", "%252F"):
            yield f"{of}{slash}{step}{slash}{to}"
    yield from (f"{of}/{to}", f"{of}//{to}", f"{of}%2F{to}", f"{of};{to}", f"{of},{to}", f"{of}%00{to}", f"{of}%0A{to}")
    yield from (f"{of}%23/{to}", f"{of}%3F/{to}", f"{of}&{to}", f"{of}%20{to}", f"{of}+{to}", f"./{to}", f"%2e/{to}")
    yield from (f"/{to}", f"//{to}", f"%2F{to}", f"{of}/./{to}", f"{to.upper()}", f"{to.title()}", f"{to}%00", f"{to};")
    yield from (
        f"{to} ".replace(" ", "%20"),
        f"{to}%2F",
        f"{to}/",
        f"{to}//",
        f"{to}?",
        f"{to}%3F",
        f"{to}%2e",
        f"{to}.",
    )
    yield from ("..", ".", "%2e%2e", "%2e", "", "*", "%2A", "?", "$", "%24%7Baws:PrincipalTag%2Fowner%7D")


def test_no_spelling_of_a_path_leads_to_another_connection(stack: Stack, connected: Connected) -> None:
    """Whatever is sent below our owner, or our connection, the token of another never comes back."""
    # given
    paths = [f"/v1/owners/{each}/token" for each in escapes(OURS, f"{THEIRS}")]
    paths += [f"/v1/owners/{OURS}/{step}/{THEIRS}/token" for step in ("..", "%2e%2e", ".", "token/../..")]
    paths += [f"/v1/connections/{each}/token" for each in escapes(connected.ours, connected.theirs)]
    paths += [
        f"/v1/owners/{OURS}/token{end}"
        for end in ("/", "//", ";", ";x=1", "%2F", "%20", ".", "/..", "/../token", "%00")
    ]
    paths += [f"//v1/owners/{OURS}/token", f"/v1//owners/{OURS}/token", f"/v1/owners/{OURS}//token"]
    paths += [f"/V1/owners/{OURS}/token", f"/v1/Owners/{OURS}/token", f"/v1/owners/{OURS}/TOKEN", f"/v1/owners/{OURS}"]

    # when
    answers = {
        path: posted(stack, path, {} if "/connections/" in path else {"connection_id": connected.theirs})
        for path in paths
    }

    # then
    assert not {f"/v1/owners/{THEIRS}/token", f"/v1/connections/{connected.theirs}/token"} & answers.keys()
    assert [path for path, (_, text) in answers.items() if any(secret in text for secret in connected.secrets)] == []
    assert {status for status, _ in answers.values()} <= {400, 404}
    assert len(answers) > 200


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_takes_its_own_paths_and_no_others(
    api: Api, connected: Connected, aws_calls: list[AwsCall], function: str
) -> None:
    """Whatever the API may let through: what came has to be what the route and the values make, byte for byte."""
    # given
    other = "token" if function != "token" else "revoke"
    sound = event_of(function, f"owners/{OURS}", {"connection_id": connected.ours, "provider": "ultracart"})
    path, route = sound["rawPath"], sound["routeKey"]
    plain = event_of(function, body={"connection_id": connected.ours})
    by_id = event_of(function, f"connections/{connected.ours}")
    wrong = [
        *(sound | {"rawPath": each} for each in (path + "/", "/" + path, path.replace("/v1", "//v1"), path.upper())),
        *(
            sound | {"rawPath": each}
            for each in (f"/prod{path}", f"/v1/owners/{OURS}/../{THEIRS}/{function}", "", None)
        ),
        *(sound | {"rawPath": each} for each in (f"/v1/owners/{THEIRS}/{function}", f"/v1/owners/%61cme/{function}")),
        *(
            sound | {"rawPath": each}
            for each in (f"/v1/{function}", path.replace(function, other), f"{path}\n", f"{path}?")
        ),
        *(sound | {"pathParameters": each} for each in ({"owner": THEIRS}, {"owner": ""}, {}, None, {"Owner": OURS})),
        *(
            sound | {"pathParameters": each}
            for each in ({"owner": OURS, "connection_id": "x"}, {"connection_id": OURS})
        ),
        *(
            sound | {"routeKey": each}
            for each in (f"POST /v1/{function}", route.replace(function, other), "$default", None)
        ),
        *(
            sound | {"routeKey": each}
            for each in (route.replace("POST", "GET"), f"ANY /v1/owners/{{owner}}/{function}")
        ),
        *(
            event_of(function, f"owners/{name}")
            for name in ("..", ".", "a:b", "a@b", "a b", "a/b", "é", "x" * 257, "a%2Fb")
        ),
        *(
            event_of(function, f"connections/{name}")
            for name in ("..", ".", "a:b", "a@b", "a;b", "x" * 129, "a+b", "A\n")
        ),
        plain | {"rawPath": f"/v1/{function}/"},
        plain | {"rawPath": f"//v1/{function}"},
        plain | {"pathParameters": {"owner": OURS}},
        plain | {"routeKey": f"POST /v1/{other}"},
        by_id | {"rawPath": f"/v1/connections/{connected.theirs}/{function}"},
        by_id | {"pathParameters": {"connection_id": connected.theirs}},
    ]
    unsigned = [each | {"requestContext": {"http": {"method": "POST"}}} for each in (sound, plain, by_id)]
    aws_calls.clear()

    # when
    answers = [api.call(function, each) for each in [*wrong, *unsigned]]

    # then
    assert {(status, document["error"]) for status, document in answers} == {(404, "connection_not_found")}
    assert len({json.dumps(document) for _, document in answers}) == 1
    assert aws_calls == []


@pytest.mark.parametrize("narrowed", ["owners", "connections"])
def test_every_name_of_the_alphabet_is_found_by_its_path(api: Api, narrowed: str) -> None:
    """Letters, digits, `.`, `_` and `-`: a name that could be taken for something else is still a name."""
    names = [
        "a",
        "-",
        "_",
        "...",
        ".a",
        "a.",
        "..a",
        "a..b",
        "token",
        "owners",
        "connections",
        "v1",
        "A-Z_0.9",
        "x" * 128,
    ]

    answers = [api.call("token", event_of("token", f"{narrowed}/{each}", {"connection_id": each})) for each in names]

    assert [(status, document["connection_id"]) for status, document in answers] == [(404, each) for each in names]
    assert {document["error_description"].partition(":")[0] for _, document in answers} == {"No connection has this id"}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dots", [".", ".."])
def test_no_id_and_no_owner_is_called_like_a_step(application: Application, function: str, dots: str) -> None:
    """By Invoke and by HTTP: no path could name such a connection, so there is none."""
    by_invoke = application.call(function, connection_id=dots)
    by_http = application.post(function, {"connection_id": dots})

    assert by_invoke["error"] == by_http.json()["error"] == "invalid_request"
    assert "connection_id: expected 1 to 128" in by_invoke["error_description"]
    if function in {"start", "connections"}:
        assert (
            "owner: expected an owner other than . and .."
            in application.call(function, owner=dots)["error_description"]
        )


# Who it was


def test_each_vend_leaves_one_line_that_says_who_asked_for_what(
    api: Api, connected: Connected, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over HTTP with the principal that AWS tells, by Invoke without; and what came of it, if nothing did, too."""
    # given
    request = {"connection_id": connected.ours}
    capsys.readouterr()

    # when
    api.call("token", event_of("token", f"owners/{OURS}", request))
    api.call("token", event_of("token", f"owners/{THEIRS}", request))
    api.call("refresh", event_of("refresh", f"connections/{connected.ours}", {"if_version": 7}))
    api.invoke("token", request)
    api.invoke("refresh", {**request, "if_version": 7})

    # then
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    names = ("message", "outcome", "principal", "principal_account", "api_request_id", "route", "provider", "version")
    signed = (USER, "123456789012", "api-1")
    assert [tuple(line.get(name) for name in names) for line in lines] == [
        ("token", "ok", *signed, "POST /v1/owners/{owner}/token", "ultracart", 1),
        ("token", "connection_not_found", *signed, "POST /v1/owners/{owner}/token", "ultracart", None),
        ("refresh", "ok", *signed, "POST /v1/connections/{connection_id}/refresh", "ultracart", 1),
        ("token", "ok", NOT_NAMED, None, None, None, "ultracart", 1),
        ("refresh", "ok", NOT_NAMED, None, None, None, "ultracart", 1),
    ]
    assert {line["connection_id"] for line in lines} == {connected.ours}
    assert {line["request_id"] for line in lines} == {"request-of-a-test"}
    assert [secret for secret in connected.secrets if secret in printed] == []


@pytest.mark.parametrize("alias", ["", ":live", ":1"])
def test_nobody_calls_in_anothers_name(stack: Stack, connected: Connected, alias: str) -> None:
    """An event of the API that somebody sends by Invoke is a request with fields that `token` does not have."""
    # given
    forged = event_of("token", f"owners/{OURS}", {"connection_id": connected.ours})

    # when
    answer = stack.lambda_client().invoke(FunctionName=f"gatehouse-token{alias}", Payload=json.dumps(forged))

    # then
    document = json.load(answer["Payload"])
    assert document["error"] == "invalid_request"
    assert "requestContext: unknown field" in document["error_description"]


def test_a_path_with_a_colon_arrives_decoded_and_is_refused(stack: Stack, application: Application) -> None:
    """Clients sign and send it encoded (`%3A`, `%40`), as botocore does: by a path such a connection is not found."""
    # given
    connection_id = f"{fresh('shop')}:b@c"
    Browser(stack, fresh("merchant")).connect(connection_id=connection_id)
    quoted = connection_id.replace(":", "%3A").replace("@", "%40")
    request = AWSRequest("POST", f"{stack.base_url}/v1/connections/{quoted}/token", data=b"{}")
    SigV4Auth(Credentials("local", "local"), "execute-api", "us-east-1").add_auth(request)
    url = urlsplit(str(request.url))
    server = http.client.HTTPConnection(url.netloc, timeout=TIMEOUT)

    # when
    server.request("POST", url.path, request.data, dict(request.headers))
    answer = server.getresponse()
    document = json.load(answer)
    server.close()
    by_body = application.post("token", {"connection_id": connection_id})

    # then
    assert url.path == f"/v1/connections/{quoted}/token"
    assert (answer.status, document["error"]) == (404, "connection_not_found")
    assert "POST /v1/token is for all others" in document["error_description"]
    assert by_body.status_code == 200

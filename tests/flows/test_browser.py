"""A merchant with a real browser: connects, declines, reloads, brings a foreign link, comes too late, tries again."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from local.demo.faults import Faults
from tests.browser import Browser
from tests.built import running_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.flows.conftest import OpenVisitor
    from tests.flows.visitor import Visitor

    AuthorizeUrl = Callable[..., str]

pytestmark = pytest.mark.needs_chromium

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a stack of this module's own: the landing page reads all connections, and other tests make a thousand."""
    with running_stack() as running:
        yield running


def code_exchanges(demo: DemoServer) -> int:
    """Return how many authorization codes were brought to the token endpoint since the test began."""
    return sum(1 for request in demo.requests("token") if request["grant_type"] == "authorization_code")


UNAVAILABLE_ONCE = Faults(endpoint="token", status=503, times=1)


@pytest.mark.parametrize("options", [{}, {"java_script_enabled": False}], ids=["JavaScript", "no JavaScript"])
def test_a_newcomer_connects_from_the_landing_page(
    stack: Stack, demo: DemoServer, visitor: OpenVisitor, options: dict[str, Any]
) -> None:
    """Landing page, consent, result, and back: the connection is there and gives a token, shown masked."""
    connection_id = f"newcomer-{len(options)}"
    someone = visitor(**options)

    # when they name a connection and connect
    someone.open("/")
    landing = someone.page
    landing.get_by_label("Connection id").fill(connection_id)
    with someone.context.expect_page() as opened:
        landing.get_by_role("button", name="Connect", exact=True).click()
    someone.use(opened.value)
    assert "Demo authorization server" in someone.page.get_by_role("banner").inner_text()
    someone.press("Allow")

    # then the result page says so, and the landing page has it
    assert someone.heading == "Your account is connected"
    assert someone.page.title() == "Your account is connected \N{EN DASH} Gatehouse"
    someone.page.close()
    someone.use(landing)
    if options:
        someone.press("Reload")
    entry = landing.get_by_role("listitem").filter(has=landing.get_by_role("heading", name=connection_id))
    entry.get_by_text("active").wait_for()

    # and every button of it answers
    for button, answer in [
        ("Get token", "gatehouse-token answered"),
        ("Refresh now", "gatehouse-refresh answered"),
        ("Revoke", "gatehouse-revoke answered"),
    ]:
        entry.get_by_role("button", name=button).click()
        landing.wait_for_url("**/?notice=*")
        assert answer in landing.get_by_role("status").inner_text()
        assert not [secret for secrets in demo.secrets().values() for secret in secrets if secret in landing.content()]
    assert "revoked" in entry.inner_text()
    assert stack.base_url in landing.url


def test_the_landing_page_shows_what_changes_and_keeps_what_somebody_is_at(
    stack: Stack, demo: DemoServer, visitor: OpenVisitor
) -> None:
    """Without a reload: what is typed, opened and focused stays, and a provider that fails is seen to fail."""
    # given somebody who is typing, has opened an event, and is about to press a button
    Browser(stack).connect(connection_id="watched-1")
    stack.background.poll_streams()
    someone = visitor()
    someone.open("/")
    page = someone.page
    page.get_by_label("Connection id").fill("half typed")
    page.locator("details").first.click()
    entry = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="watched-1"))
    entry.get_by_role("button", name="Get token").focus()

    # when something else happens
    demo.put_faults(UNAVAILABLE_ONCE)
    stack.clock.advance(7200)
    stack.invoke("token", {"connection_id": "watched-1"})
    Browser(stack).connect(connection_id="watched-2")

    # then it is shown
    page.get_by_role("heading", name="watched-2").wait_for()
    entry.get_by_text("provider_unavailable").wait_for()
    assert page.get_by_label("Connection id").input_value() == "half typed"
    assert page.locator("details[open]").count() == 1
    assert page.evaluate("document.activeElement.textContent") == "Get token"


def test_a_fault_switch_on_the_landing_page_lets_the_provider_fail(demo: DemoServer, visitor: OpenVisitor) -> None:
    """It says what the provider does from then on, and one button makes it work again."""
    someone = visitor()
    someone.open("/")
    someone.page.get_by_label("Where").select_option("revocation endpoint")
    someone.page.get_by_label("What happens").select_option("answers 503")
    someone.page.get_by_label("How often").select_option("until you end it")

    someone.press("Let it fail")
    failing = [each.document() for each in demo.faults()]
    said = someone.page.get_by_role("status").inner_text()
    someone.press("Make it work again")

    assert failing == [{"endpoint": "revoke", "status": 503}]
    assert "The revocation endpoint answers 503." in said
    assert demo.faults() == []


def test_the_example_on_the_landing_page_runs_as_it_stands(visitor: OpenVisitor, authorize_url: AuthorizeUrl) -> None:
    """Copied from the page into a file of its own, the example gets a token, and prints the orders of its account."""
    someone = visitor()
    someone.open(authorize_url(connection_id="example"))
    someone.press("Allow")
    someone.open("/")
    entry = someone.page.get_by_role("listitem").filter(has=someone.page.get_by_role("heading", name="example"))
    entry.get_by_role("button", name="Get token").click()
    someone.page.wait_for_url("**/?notice=*")

    example = someone.page.get_by_label("Python example").inner_text()
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=True, timeout=60)

    assert ast.literal_eval(done.stdout)["orders"][0]["order_id"].startswith("DEMO-")


def test_declining_stores_nothing_and_leaves_another_try(
    demo: DemoServer, visitor: OpenVisitor, authorize_url: AuthorizeUrl
) -> None:
    """The person says no: no token request, no connection. Changing their mind is one click away."""
    someone = visitor()

    someone.open(authorize_url(connection_id="decliner"))
    someone.press("Deny")
    assert someone.heading == "You declined access"
    assert "Nothing was stored" in someone.text
    assert code_exchanges(demo) == 0
    someone.open("/")
    assert "decliner" not in someone.text

    someone.page.go_back()
    someone.press("Try again")
    someone.press("Allow")
    assert someone.heading == "Your account is connected"
    assert code_exchanges(demo) == 1


def test_deny_then_back_then_allow_connects_in_the_first_of_two_tabs(
    demo: DemoServer, visitor: OpenVisitor, authorize_url: AuthorizeUrl
) -> None:
    """The consent page is still there behind Back, and its state as good as before, though a tab came after it."""
    link = authorize_url()
    someone = visitor()
    someone.open(link)
    someone.context.new_page().goto(link)

    someone.press("Deny")
    declined = someone.heading
    someone.page.go_back()
    someone.press("Allow")

    assert (declined, someone.heading) == ("You declined access", "Your account is connected")
    assert code_exchanges(demo) == 1


def test_reloading_the_result_exchanges_nothing_twice(
    demo: DemoServer, visitor: OpenVisitor, authorize_url: AuthorizeUrl
) -> None:
    """Reloaded, the page shows the same outcome; the link itself says that it was used. The code went out once."""
    link = authorize_url()
    someone = visitor()
    someone.open(link)
    someone.press("Allow")

    headings = [someone.heading]
    for _ in range(2):
        someone.page.reload()
        headings.append(someone.heading)
    someone.open(link)
    headings.append(someone.heading)

    assert headings == ["Your account is connected"] * 3 + ["This link was already used"]
    assert code_exchanges(demo) == 1


def test_a_double_click_ends_well_in_both_tabs(
    demo: DemoServer, visitor: OpenVisitor, authorize_url: AuthorizeUrl
) -> None:
    """While the exchange is under way the same answer comes again: it begins no other, and shows how the first ends."""
    demo.put_faults(Faults(endpoint="token", delay_seconds=1, times=1))
    someone = visitor()
    someone.open(authorize_url())
    answer = someone.undelivered_answer("allow")
    first, second = someone.page, someone.context.new_page()
    # By its cache Chromium would hold the second request back until the first is answered, which a reload does not
    # meet. Intercepting requests switches the cache off.
    second.route("**/*", lambda route: route.continue_())

    # when the answer is on its way in one tab and comes in another
    first.evaluate("address => { setTimeout(() => location.assign(address)) }", answer)
    while not code_exchanges(demo):
        first.wait_for_timeout(20)
    second.goto(answer)

    # then both say the same, after one exchange
    first.wait_for_url("**/callback/**")
    assert [tab.locator("h1").inner_text() for tab in (first, second)] == ["Your account is connected"] * 2
    assert code_exchanges(demo) == 1


def test_another_browsers_answer_is_refused_and_harms_nobody(
    stack: Stack, demo: DemoServer, visitor: OpenVisitor, authorize_url: AuthorizeUrl
) -> None:
    """Somebody else opens the address with the code: refused without a call to AWS, and its owner still completes."""
    owner, stranger = visitor(), visitor()
    owner.open(authorize_url())
    answer = owner.undelivered_answer("allow")

    # when the stranger opens it, with no link of their own and then with one
    stack.aws_calls.clear()
    stranger.open(answer)
    headings = [stranger.heading]
    calls = list(stack.aws_calls)
    stranger.open(authorize_url())
    stranger.open(answer)
    headings.append(stranger.heading)

    # then nothing came of it, and the owner arrives
    assert headings == ["Please start again"] * 2
    assert calls == []
    assert code_exchanges(demo) == 0
    owner.open(answer)
    assert owner.heading == "Your account is connected"
    assert code_exchanges(demo) == 1


def link_of(someone: Visitor, stack: Stack, connection_id: str, **more: str) -> str:
    """Press a button to connect in somebody's browser, but keep the link: it can be passed on."""
    form: dict[str, str | float | bool] = {"provider": "ultracart", "connection_id": connection_id, **more}
    sent = someone.context.request.post(f"{stack.base_url}/_local/connect", form=form, max_redirects=0)
    return str(sent.headers["location"])


def result_of(stack: Stack, function: str, connection_id: str) -> dict[str, Any]:
    """Return what a function answers about a connection."""
    return stack.invoke(function, {"connection_id": connection_id}) or {}


def test_a_link_passed_on_connects_another_account_without_confirm(stack: Stack, visitor: OpenVisitor) -> None:
    """Phishing, as it is without `confirm`: an attacker starts, and a victim opens the link and consents."""
    attacker, victim = visitor(), visitor()

    victim.open(link_of(attacker, stack, "phished-1"))
    victim.press("Allow")

    assert victim.heading == "Your account is connected"
    assert "access_token" in result_of(stack, "token", "phished-1")


def test_a_link_passed_on_connects_nothing_with_confirm(stack: Stack, visitor: OpenVisitor) -> None:
    """The victim comes back to the application in a session that is not the attacker's: nothing is vended."""
    # given
    attacker, victim = visitor(), visitor()
    link = link_of(attacker, stack, "phished-2", confirm="1")

    # when
    victim.open(link)
    victim.press("Allow")

    # then
    assert "confirmation_invalid" in victim.page.get_by_role("alert").inner_text()
    assert "confirmation" not in victim.page.url
    assert result_of(stack, "token", "phished-2")["error"] == "confirmation_required"
    # and the attacker cannot come back in the victim's place
    attacker.open(link)
    assert attacker.heading == "This link was already used"
    assert result_of(stack, "token", "phished-2")["error"] == "confirmation_required"


def test_a_stolen_confirmation_confirms_nothing_for_the_thief(stack: Stack, visitor: OpenVisitor) -> None:
    """The address that brings it is opened in another browser, whose session is another: its owner still confirms."""
    # given
    owner, thief = visitor(), visitor()
    link_of(thief, stack, "a-connection-of-the-thief", confirm="1")
    owner.open(link_of(owner, stack, "stolen-1", confirm="1"))
    callback = owner.undelivered_answer("allow")
    way_back = owner.context.request.get(callback, max_redirects=0).headers["location"]
    assert "confirmation=" in way_back

    # when
    thief.open(way_back)
    before = result_of(stack, "token", "stolen-1")
    owner.open(way_back)

    # then
    assert "confirmation_invalid" in thief.page.get_by_role("alert").inner_text()
    assert before["error"] == "confirmation_required"
    assert "gatehouse-confirm answered for stolen-1." in owner.page.get_by_role("status").inner_text()
    assert "access_token" in result_of(stack, "token", "stolen-1")


def test_without_its_cookie_the_browser_is_a_stranger(
    demo: DemoServer, visitor: OpenVisitor, authorize_url: AuthorizeUrl
) -> None:
    """Cookies cleared or blocked on the way: the page says what to do about it."""
    someone = visitor()
    someone.open(authorize_url())
    someone.context.clear_cookies()

    someone.press("Allow")

    assert someone.heading == "Please start again"
    assert "cookies" in someone.text
    assert code_exchanges(demo) == 0


def test_whoever_comes_too_late_is_asked_to_start_again(
    stack: Stack, demo: DemoServer, visitor: OpenVisitor, authorize_url: AuthorizeUrl
) -> None:
    """Forty minutes are over: neither the answer nor the link works any longer, and both pages say so."""
    link = authorize_url()
    someone = visitor()
    someone.open(link)
    answer = someone.undelivered_answer("allow")

    stack.clock.advance(2401)
    pages = []
    for address in (answer, link):
        someone.open(address)
        pages.append((someone.heading, "Go back to the application and start again" in someone.text))

    assert pages == [("This link has expired", True)] * 2
    assert code_exchanges(demo) == 0


def test_code_and_state_leave_the_address_bar(
    demo: DemoServer, visitor: OpenVisitor, authorize_url: AuthorizeUrl
) -> None:
    """After a no, a failure, a yes and a reload, and in a browser that has nothing to do with it; each try goes on."""
    someone, stranger = visitor(), visitor()
    seen = []

    def look(visitor: Visitor) -> None:
        seen.append((visitor.heading, *parse_qs(urlsplit(visitor.page.url).query)))

    # when
    someone.open(authorize_url())
    stranger.open(someone.undelivered_answer("allow"))
    look(stranger)
    someone.open(authorize_url())
    someone.press("Deny")
    look(someone)
    demo.put_faults(UNAVAILABLE_ONCE)
    someone.press("Try again")
    someone.press("Allow")
    look(someone)
    someone.press("Try again")
    someone.press("Allow")
    look(someone)
    result = someone.page.url
    someone.page.reload()
    look(someone)
    stranger.open(result)
    look(stranger)

    # then
    assert seen == [
        ("Please start again", "result"),
        ("You declined access", "result"),
        ("Your account could not be connected", "result"),
        ("Your account is connected", "result"),
        ("Your account is connected", "result"),
        ("This result is no longer shown", "result"),
    ]
    assert code_exchanges(demo) == 2


@pytest.mark.parametrize("ticket", ["cut-short", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA.BBBB"])
def test_a_damaged_link_says_so(visitor: OpenVisitor, ticket: str) -> None:
    """A link that was cut short, or that nobody knows, is answered by a page that says what to do."""
    someone = visitor()

    someone.open(f"/authorize/{ticket}")

    assert someone.heading == "This link does not work"
    assert "go back to the application" in someone.text


# Each color on each screen, in three languages: `make screenshots`.
@pytest.mark.parametrize(("window", "scheme"), [({}, "light"), (PHONE, "dark")], ids=["desktop-light", "phone-dark"])
def test_every_page_on_the_way_is_accessible(
    demo: DemoServer, visitor: OpenVisitor, authorize_url: AuthorizeUrl, window: dict[str, Any], scheme: str
) -> None:
    """Language, title, headings, labels, sizes, and no sideways scrolling, on a desktop and on a small phone."""
    someone = visitor(**window, color_scheme=scheme)
    flaws: dict[str, list[str]] = {}

    def look() -> None:
        flaws[someone.page.title()] = someone.flaws()

    someone.open("/")
    look()
    someone.open("/authorize/AAAAAAAAAAAAAAAAAAAAAA.BBBB")
    look()
    someone.open(authorize_url())
    look()
    someone.press("Deny")
    look()
    demo.put_faults(UNAVAILABLE_ONCE)
    someone.press("Try again")
    someone.press("Allow")
    look()
    someone.press("Try again")
    someone.press("Allow")
    look()
    someone.open("/")
    look()

    assert {title: found for title, found in flaws.items() if found} == {}
    assert len(flaws) == 6


def test_the_whole_way_can_be_gone_by_keyboard(demo: DemoServer, visitor: OpenVisitor) -> None:
    """Tab reaches everything in reading order with a visible focus, and Enter does it."""
    someone = visitor()
    someone.open("/")
    landing = someone.page

    order = [someone.tabbed().split("\n")[0] for _ in range(5)]
    optional = ["Connection id (optional)", "Owner (optional)", "Parameters (optional)"]
    assert order == ["Provider", *optional, "Connect"]
    with someone.context.expect_page() as opened:
        landing.keyboard.press("Enter")
    someone.use(opened.value)

    assert [someone.tabbed(), someone.tabbed()] == ["Allow", "Deny"]
    with someone.page.expect_navigation():
        someone.page.keyboard.press("Enter")
    assert someone.heading == "You declined access"

    assert someone.tabbed() == "Try again"
    with someone.page.expect_navigation():
        someone.page.keyboard.press("Enter")
    assert someone.tabbed() == "Allow"
    with someone.page.expect_navigation():
        someone.page.keyboard.press("Enter")
    assert someone.heading == "Your account is connected"
    assert code_exchanges(demo) == 1

"""The pages that a person sees at the end of an attempt to connect, as documents and as text."""

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from functions.vault.settings import Appearance
from functions.web import accent, pages
from functions.web.languages import en

ROOT = Path(__file__).parents[2]

EXAMPLES: dict[str, dict[str, str | None]] = {
    "connected": {"provider": "ultracart"},
    "already": {"provider": "ultracart"},
    "unfinished": {"provider": "ultracart"},
    "waiting": {"provider": "ultracart"},
    "denied": {"provider": "ultracart", "try_again": "/authorize/1"},
    "expired": {"provider": "ultracart"},
    "failed": {"provider": "ultracart", "error": "provider_unavailable", "try_again": "/authorize/1"},
    "refused": {},
    "invalid_link": {},
    "no_longer_shown": {},
    "not_connected": {"try_again": "/authorize/1"},
    "begin_here": {"application": "https://app.example/"},
    "forbidden": {},
    "method_not_allowed": {},
    "error": {},
}

REFERENCE = "8d6c1f0e"
ACME = Appearance("Acme & Söhne", "https://static.acme.example/logo.svg", "#ffcc00", "help@acme.example", "de")
WITHOUT_HELP = {"connected", "unfinished", "waiting", "begin_here"}

every_page = pytest.mark.parametrize("name", sorted(EXAMPLES))


class Document(HTMLParser):
    """A parsed page: its elements in order, and the text inside each kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Add the element, and open it unless it is a void element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "circle", "path", "input", "img"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the element and everything that is still open inside it."""
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Add the text to every element that is open around it."""
        for tag in set(self._open):
            self.text[tag] = self.text.get(tag, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element of this kind."""
        return [attributes for element, attributes in self.elements if element == tag]


def document(name: str, appearance: Appearance = Appearance(), **changed: str | None) -> Document:  # noqa: B008 - never changes
    """Return the page with its example values, parsed."""
    return Document(pages.render(name, EXAMPLES[name] | changed, reference=REFERENCE, appearance=appearance))


def test_the_examples_here_cover_every_page() -> None:
    """A new page has to be added to these tests."""
    assert set(EXAMPLES) == pages.NAMES


@every_page
def test_a_page_is_a_whole_document_with_landmarks(name: str) -> None:
    """A screen reader finds the language, one heading, the main part, and one message to announce."""
    page = document(name)

    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    assert [role for _, a in page.elements if (role := a.get("role"))] in (["status"], ["alert"])


@every_page
def test_a_page_needs_no_script_and_nothing_from_elsewhere(name: str) -> None:
    """It is readable without JavaScript, and loads nothing from any server."""
    page = document(name)

    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "form", "base", "object"})
    attributes = {attribute for _, given in page.elements for attribute in given}
    assert attributes.isdisjoint({"src", "style", "onclick", "onload"})
    assert "url(" not in page.text["style"]
    assert "@import" not in page.text["style"]


def test_every_page_has_a_title_of_its_own() -> None:
    """Tabs and history show different titles, and each title is the heading of its page."""
    documents = [document(name) for name in sorted(EXAMPLES)]

    assert len({page.text["title"] for page in documents}) == len(EXAMPLES)
    assert all(page.text["title"] == f"{page.text['h1']} \N{EN DASH} Gatehouse" for page in documents)
    assert document("refused", ACME).text["title"] == "Please start again \N{EN DASH} Acme & Söhne"


@every_page
def test_a_page_says_what_to_do_next(name: str) -> None:
    """No page is a dead end."""
    text = document(name).text["main"]

    assert re.search(r"close this window|[Gg]o (back )?to the application|Try again|Check again", text)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Demo Outfitters", "Demo Outfitters"),
        ("Käse & Söhne <b>GmbH</b>", "Käse & Söhne <b>GmbH</b>"),
        ("مقهى $provider", "مقهى $provider"),
        ("  Acme\r\n\tInc\u2028\x00.\x1b[31m ", "Acme Inc . [31m"),
        ("\u202egro.live\u202c \u200bAc\u00adme\ufeff\ue000\U000e0041", "gro.live Acme"),
        ("A" + "\u0301" * 50 + "cme", "Á\u0301\u0301\u0301cme"),
        ("W" * 65, "W" * 63 + "…"),
        ("W" * 64, "W" * 64),
        ("long " * 10_000, ("long " * 13)[:63].rstrip() + "…"),
    ],
)
def test_the_connected_page_says_which_account_it_is(name: str, shown: str) -> None:
    """In one short line, whatever the provider lets its customers call themselves, and turning no text around it."""
    page = document("connected", account=name)

    assert (
        page.text["main"]
        .strip()
        .partition("\n")[2]
        .lstrip()
        .startswith(f"Your ultracart account {shown} is connected.")
    )
    assert page.text["bdi"] == shown
    assert not page.all("b")


@pytest.mark.parametrize("name", [None, "", " \n", "\u200f\u202e"])
def test_without_a_name_of_the_account_the_page_names_the_provider_alone(name: str | None) -> None:
    """Nothing is left out that a reader would miss."""
    assert document("connected", account=name).text["main"] == document("connected").text["main"]


@pytest.mark.parametrize("name", ["connected", "already", "unfinished", "waiting", "denied", "expired", "failed"])
def test_a_page_names_the_provider(name: str) -> None:
    """The person sees which account it is about."""
    assert "ultracart" in document(name).text["main"]


LINKS = {"try_again", "application"}
HOSTILE = """<script>alert("1")</script>&'$provider ${reason}"""


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in sorted(EXAMPLES) for field in sorted(EXAMPLES[name]) if field not in {*LINKS, "error"}],
)
def test_a_value_stays_text(name: str, field: str) -> None:
    """Whatever a value contains is shown as text. It becomes neither markup nor a placeholder."""
    html = pages.render(name, EXAMPLES[name] | {field: HOSTILE}, reference=REFERENCE)

    page = Document(html)
    assert HOSTILE in page.text["main"]
    assert not page.all("script")
    assert "<script" not in html


def test_an_error_gets_a_text_of_ours_and_is_not_shown() -> None:
    """A code that nobody knows gets the general one: what a server calls its errors is no text for a customer."""
    known = document("failed").text["main"]
    unknown = document("failed", error=HOSTILE).text["main"]

    assert en.REASONS["provider_unavailable"] in known
    assert en.OTHER_REASON in unknown
    assert "alert" not in unknown


@pytest.mark.parametrize("name", ["denied", "failed"])
@pytest.mark.parametrize(
    "url",
    ["/authorize/a.b", "/", "https://app.example/connect?x=1&y=2#z", "http://localhost:8787/authorize/a.b"],
)
def test_try_again_is_a_link(name: str, url: str) -> None:
    """If there is another try, it is one click away, at the URL that the caller passes."""
    page = document(name, try_again=url)

    assert [link["href"] for link in page.all("a")] == [url]
    assert page.text["a"] == "Try again"


def test_a_person_who_began_at_the_provider_is_led_to_the_application() -> None:
    """One click, to the address that the application's owner has set."""
    page = document("begin_here")

    assert [link["href"] for link in page.all("a")] == ["https://app.example/"]


@pytest.mark.parametrize("name", ["denied", "failed", "not_connected"])
def test_without_another_try_the_page_says_where_to_start_again(name: str) -> None:
    """It has no button without a link: the person goes back to the application."""
    page = document(name, try_again=None)

    assert not page.all("a")
    assert "go back to the application" in page.text["main"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "//elsewhere.example/",
        "/\\elsewhere.example/",
        "/\t/elsewhere.example/",
        "https:elsewhere.example",
        "https:///elsewhere.example",
        "http://?x",
        "authorize/a.b",
        "/authorize/a b",
        "/authorize/a\n",
        "/authorize/ä",
    ],
)
def test_anything_but_a_web_link_is_refused(url: str) -> None:
    """A link that a browser might read as a script or as another host is a defect of the caller."""
    with pytest.raises(ValueError, match="try_again is not an http or https URL, nor a path"):
        document("failed", try_again=url)
    with pytest.raises(ValueError, match="application is not an http or https URL, nor a path"):
        document("begin_here", application=url)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("conected", {}, "there is no such page"),
        ("../pages", {}, "there is no such page"),
        ("connected", {}, r"page connected: missing \['provider'\], unknown \[\]"),
        ("connected", {"provider": None}, r"page connected: missing \['provider'\], unknown \[\]"),
        ("refused", {"reason": "x"}, r"page refused: missing \[\], unknown \['reason'\]"),
    ],
)
def test_a_page_takes_only_its_own_values(name: str, values: dict[str, str | None], message: str) -> None:
    """A missing or misspelled value fails in the first test that renders the page, and not in front of a person."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        pages.render(name, values, reference=REFERENCE)


@pytest.mark.parametrize(
    ("name", "values"),
    [("nowhere-S3CRET", {}), ("failed", {"provider": "p", "error": "e", "try_again": "S3CRET"})],
)
def test_an_error_does_not_repeat_a_value(name: str, values: dict[str, str | None]) -> None:
    """A link may hold a ticket, so it is never part of an exception's text."""
    with pytest.raises(ValueError, match="page") as caught:
        pages.render(name, values, reference=REFERENCE)

    assert "S3CRET" not in str(caught.value)


@every_page
def test_a_page_that_tells_of_a_failure_says_whom_to_ask_with_which_reference(name: str) -> None:
    """The reference is what the log finds the visit by. Pages on which all is well have none."""
    text, with_support = document(name).text["main"], document(name, ACME)

    assert (REFERENCE in text) is (name not in WITHOUT_HELP)
    mail = [link["href"] for link in with_support.all("a") if "mailto:" in str(link["href"])]
    assert mail == ([] if name in WITHOUT_HELP else ["mailto:help@acme.example"])


def test_support_may_be_a_page() -> None:
    """Then the link leads there."""
    page = document("refused", Appearance(support="https://acme.example/help?a=b"))

    assert [link["href"] for link in page.all("a")] == ["https://acme.example/help?a=b"]
    assert "contact https://acme.example/help?a=b and give" in page.text["main"]


@every_page
def test_a_page_looks_like_the_application(name: str) -> None:
    """Its logo is above the page, and its name in the sentences; the tab has it, too."""
    page = document(name, ACME)

    assert page.all("img") == [
        {"src": "https://static.acme.example/logo.svg", "alt": "Acme & Söhne", "referrerpolicy": "no-referrer"}
    ]
    assert "the application" not in page.text["body"].replace("application's", "")
    assert "Acme & Söhne" in page.text["footer"]
    assert page.text["title"].endswith("Acme & Söhne")


def test_without_a_logo_the_name_stands_above_the_page() -> None:
    """Without either there is nothing."""
    assert document("connected", Appearance("Acme")).text["header"] == "Acme"
    assert "header" not in document("connected").text


def test_a_name_stays_text() -> None:
    """Whatever the application is called."""
    html = pages.render("refused", {}, reference=HOSTILE, appearance=Appearance(HOSTILE))

    assert "<script" not in html
    assert HOSTILE in Document(html).text["header"]


def policy(appearance: Appearance) -> str:
    """Return the Content-Security-Policy of a deployment's pages."""
    return pages.headers("en", appearance)["Content-Security-Policy"]


@pytest.mark.parametrize("appearance", [Appearance(), ACME])
def test_the_policy_allows_exactly_the_style_and_the_logo_of_the_page(appearance: Appearance) -> None:
    """Content-Security-Policy: nothing else is loaded, run, framed or sent, and only this one style applies."""
    style = document("connected", appearance).text["style"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    logo = "img-src https://static.acme.example/logo.svg; " if appearance.logo_url else ""

    assert policy(appearance) == (
        f"default-src 'none'; style-src 'sha256-{digest}'; {logo}"
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def test_the_headers_keep_the_url_of_the_page_private() -> None:
    """The URL may have the code: it gets into no cache, no Referer and no search engine."""
    assert pages.headers("de") == {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Language": "de",
        "Vary": "Accept-Language",
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy(Appearance()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }


def test_pages_need_only_the_standard_library() -> None:
    """They are loaded in a cold start, so they load without any installed package (-S: no site-packages)."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import functions.web.pages as p; p.render('refused', {}, reference='1')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def colours(css: str) -> dict[str, str]:
    """Return the custom properties that are colours, as ``#rrggbb`` (the short ones here are all of one digit)."""
    return {name: value.ljust(7, value[-1]) for name, value in re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", css)}


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    "file",
    ["functions/web/templates/style.css", "local/demo/templates/consent.html"],
)
def test_colours_are_readable(file: str, mode: str) -> None:
    """WCAG 2 AA in both modes: 4.5 to 1 for text, 3 to 1 for the borders of controls."""
    light, dark = (ROOT / file).read_text(encoding="utf-8").split("@media (prefers-color-scheme: dark)")
    shown = colours(light) | (colours(dark) if mode == "dark" else {})

    grounds = [shown["ground"], shown["surface"]]
    names = {"ink", "muted", "accent", "accent-hover", "good", "caution", "bad"} & shown.keys()
    texts = [shown[name] for name in names]
    assert min(accent.contrast(text, ground) for text in texts for ground in grounds) >= 4.5
    assert min(accent.contrast(shown["on-accent"], shown[name]) for name in ("accent", "accent-hover")) >= 4.5
    assert min(accent.contrast(shown["control-line"], ground) for ground in grounds) >= 3
    if "notice" in shown:
        assert accent.contrast(shown["notice"], shown["notice-ink"]) >= 4.5


@pytest.mark.parametrize("red", range(0, 256, 51))
def test_any_color_of_an_application_is_readable(red: int) -> None:
    """It is darkened or lightened as far as that is necessary, in both modes; one that can be read stays as it is."""
    for number in range(36):
        color = f"#{red:02x}{number // 6 * 51:02x}{number % 6 * 51:02x}"
        plain, own = (ROOT / "functions/web/templates/style.css").read_text(encoding="utf-8"), accent.style(color)
        for mode in (0, 1):
            both = [css.split("@media (prefers-color-scheme: dark)")[mode] for css in (plain, own)]
            shown = colours(both[0]) | colours(both[1])
            shades = [shown["accent"], shown["accent-hover"]]
            assert min(accent.contrast(shade, shown[on]) for shade in shades for on in ("ground", "surface")) >= 4.5
            assert min(accent.contrast(shown["on-accent"], shade) for shade in shades) >= 4.5
    assert "--accent: #0b5c4a;" in accent.style("#0b5c4a")

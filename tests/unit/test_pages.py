"""The pages that a person sees at the end of an attempt to connect, as documents and as text."""

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from functions.web import pages, texts

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
    "not_connected": {"try_again": "/authorize/1"},
    "begin_here": {"application": "https://app.example/"},
    "forbidden": {},
    "method_not_allowed": {},
    "error": {"reference": "8d6c1f0e"},
}

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
        if tag not in {"meta", "link", "circle", "path", "input"}:
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


def document(name: str) -> Document:
    """Return the page with its example values, parsed."""
    return Document(pages.render(name, **EXAMPLES[name]))


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


@every_page
def test_a_page_says_what_to_do_next(name: str) -> None:
    """No page is a dead end."""
    text = document(name).text["main"]

    assert re.search(r"close this window|[Gg]o (back )?to the application|Try again|Check again", text)


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
    html = pages.render(name, **(EXAMPLES[name] | {field: HOSTILE}))

    page = Document(html)
    assert HOSTILE in page.text["main"]
    assert not page.all("script")
    assert "<script" not in html


def test_an_error_gets_a_text_of_ours_and_is_not_shown() -> None:
    """A code that nobody knows gets the general one: what a server calls its errors is no text for a customer."""
    known = Document(pages.render("failed", **EXAMPLES["failed"])).text["main"]
    unknown = Document(pages.render("failed", **(EXAMPLES["failed"] | {"error": HOSTILE}))).text["main"]

    assert texts.REASONS["provider_unavailable"] in known
    assert texts.OTHER_REASON in unknown
    assert "alert" not in unknown


@pytest.mark.parametrize("name", ["denied", "failed"])
@pytest.mark.parametrize(
    "url",
    ["/authorize/a.b", "/", "https://app.example/connect?x=1&y=2#z", "http://localhost:8787/authorize/a.b"],
)
def test_try_again_is_a_link(name: str, url: str) -> None:
    """If there is another try, it is one click away, at the URL that the caller passes."""
    page = Document(pages.render(name, **(EXAMPLES[name] | {"try_again": url})))

    assert [link["href"] for link in page.all("a")] == [url]
    assert page.text["a"] == "Try again"


def test_a_person_who_began_at_the_provider_is_led_to_the_application() -> None:
    """One click, to the address that the application's owner has set."""
    page = document("begin_here")

    assert [link["href"] for link in page.all("a")] == ["https://app.example/"]


@pytest.mark.parametrize("name", ["denied", "failed", "not_connected"])
def test_without_another_try_the_page_says_where_to_start_again(name: str) -> None:
    """It has no button without a link: the person goes back to the application."""
    page = Document(pages.render(name, **(EXAMPLES[name] | {"try_again": None})))

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
        pages.render("failed", provider="ultracart", error="provider_unavailable", try_again=url)
    with pytest.raises(ValueError, match="application is not an http or https URL, nor a path"):
        pages.render("begin_here", application=url)


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
        pages.render(name, **values)


@pytest.mark.parametrize(
    ("name", "values"),
    [("nowhere-S3CRET", {}), ("failed", {"provider": "p", "error": "e", "try_again": "S3CRET"})],
)
def test_an_error_does_not_repeat_a_value(name: str, values: dict[str, str | None]) -> None:
    """A link may hold a ticket, so it is never part of an exception's text."""
    with pytest.raises(ValueError, match="page") as caught:
        pages.render(name, **values)

    assert "S3CRET" not in str(caught.value)


def test_optional_values_may_be_missing() -> None:
    """The page of an expired link without a provider and an error without a reference are whole sentences."""
    expired = Document(pages.render("expired", provider=None)).text["main"]
    error = Document(pages.render("error")).text["main"]

    assert "The one for your account cannot be used any more" in expired
    assert "Reference" not in error
    assert "None" not in expired + error


def test_the_policy_allows_exactly_the_style_of_the_page() -> None:
    """Content-Security-Policy: nothing is loaded, run, framed or sent, and only this one style applies."""
    style = document("connected").text["style"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert pages.HEADERS["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def test_the_headers_keep_the_url_of_the_page_private() -> None:
    """The URL has the code: it gets into no cache, no Referer and no search engine."""
    assert {**pages.HEADERS, "Content-Security-Policy": ""} == {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }


def test_pages_need_only_the_standard_library() -> None:
    """They are loaded in a cold start, so they load without any installed package (-S: no site-packages)."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import functions.web.pages as p; p.render('refused')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def colours(css: str) -> dict[str, str]:
    """Return the custom properties that are colours, as ``#rrggbb`` (the short ones here are all of one digit)."""
    return {name: value.ljust(7, value[-1]) for name, value in re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", css)}


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb`` as WCAG 2 defines it, 0 to 1."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours as WCAG 2 defines it, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


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
    assert min(contrast(text, ground) for text in texts for ground in grounds) >= 4.5
    assert min(contrast(shown["on-accent"], shown[name]) for name in ("accent", "accent-hover")) >= 4.5
    assert min(contrast(shown["control-line"], ground) for ground in grounds) >= 3
    if "notice" in shown:
        assert contrast(shown["notice"], shown["notice-ink"]) >= 4.5

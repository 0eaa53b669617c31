"""Somebody with a browser: what they see and do, in words of the pages and not of the markup."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

# How long to wait for something that does not come: only a failing test ever waits for it.
_PATIENCE_MS = 10_000

# Asked of a page in the browser, so it is what assistive technology meets and not what the source intends.
FLAWS = """language => {
  const flaws = [];
  const expect = (holds, flaw) => { if (!holds) flaws.push(flaw); };
  const named = element => (element.getAttribute('aria-label') || element.textContent).trim() !== '';
  expect(document.documentElement.lang === language, `not in ${language}`);
  expect(document.title.trim() !== '', 'no title');
  expect(document.querySelectorAll('h1').length === 1, 'not one h1');
  expect(document.querySelectorAll('main').length === 1, 'not one main');
  for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
    expect(field.labels.length === 1, `no label: ${field.name}`);
  for (const control of document.querySelectorAll('button, a')) {
    expect(named(control), 'a control without a name');
    const box = control.getBoundingClientRect();
    expect(box.height >= 24 || getComputedStyle(control).display === 'inline', `too small: ${control.textContent}`);
  }
  const levels = [...document.querySelectorAll('h1, h2, h3, h4')].map(heading => Number(heading.tagName[1]));
  expect(levels.every((level, i) => i === 0 ? level === 1 : level <= levels[i - 1] + 1), `heading levels ${levels}`);
  expect(document.querySelectorAll('[tabindex]:not([tabindex="0"])').length === 0, 'a focus order of its own');
  const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
  expect(new Set(ids).size === ids.length, 'an id twice');
  expect(document.documentElement.scrollWidth <= window.innerWidth, 'wider than the window');
  return flaws;
}"""


class Visitor:
    """A browser of its own, cookies and all."""

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        context.set_default_timeout(_PATIENCE_MS)
        self.context = context
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self._base_url = base_url
        # A failed status is what some of the tests are about; anything else on the console is a defect of a page.
        context.on("console", lambda message: self._on_console(message.type, message.text))
        context.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))

    def _on_console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not text.startswith("Failed to load resource: the server responded"):
            self.complaints.append(text)

    def open(self, path_or_url: str = "/") -> None:
        """Go to an address; a path is one of Gatehouse's."""
        self.page.goto(urljoin(self._base_url, path_or_url))

    def use(self, page: Page) -> None:
        """Go on in another tab of the same browser, once it shows something."""
        page.wait_for_url(lambda url: url != "about:blank")
        self.page = page

    def press(self, name: str) -> None:
        """Press the button or follow the link of this name, and wait for where it leads."""
        control = self.page.get_by_role("button", name=name, exact=True).or_(
            self.page.get_by_role("link", name=name, exact=True)
        )
        with self.page.expect_navigation():
            control.click()

    def undelivered_answer(self, decision: str) -> str:
        """Decide on the consent page, but keep the answer: return the address that the browser was to go to next."""
        form = self.page.locator("form")
        fields = form.locator("input[type=hidden]")
        values: dict[str, str | float | bool] = {"decision": decision}
        for field in fields.all():
            values[str(field.get_attribute("name"))] = str(field.get_attribute("value"))
        answer = self.context.request.post(
            urljoin(self.page.url, form.get_attribute("action") or ""),
            form=values,
            max_redirects=0,
        )
        return str(answer.headers["location"])

    @property
    def heading(self) -> str:
        """What the page says in its largest letters."""
        return self.page.locator("h1").inner_text()

    @property
    def text(self) -> str:
        """What the page says."""
        return self.page.locator("main").inner_text()

    def flaws(self) -> list[str]:
        """Return what would hinder a person with a keyboard, a screen reader or a small window on this page."""
        found: list[str] = self.page.evaluate(FLAWS, "en")
        return found

    def tabbed(self) -> str:
        """Press the tab key; return the name of what then has a visible focus, or nothing."""
        self.page.keyboard.press("Tab")
        name: str = self.page.evaluate(
            """() => {
              const at = document.activeElement;
              if (getComputedStyle(at).outlineStyle === 'none') return '';
              return at.labels?.[0]?.innerText || at.ariaLabel || at.innerText;
            }"""
        )
        return name

"""`python -m tests.screenshots`: show every page to a real browser, keep its picture, and look for violations.

Each page comes as `browser_response` answers it, with its headers, in the language that the browser asks for: on a
phone and on a desktop, light and dark, as a plain deployment has it and as one that has a name, a logo and a color.
axe-core checks it for WCAG 2 A and AA and for its best practices, and the tests' own check for sizes and scrolling. The
pictures are in `.screenshots/`, with a page `index.html` that shows them side by side. Exits with 1 if anything is
found. With `--write` it makes the picture in docs/deploying.md of them.
"""

from __future__ import annotations

import base64
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

from functions.vault.settings import Appearance
from functions.web.language import known
from functions.web.responses import Reader, Reply, browser_response
from tests.flows.conftest import CHROMIUM_ARGUMENTS
from tests.flows.visitor import FLAWS
from tests.requirements import ROOT, chromium

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, ConsoleMessage

FOLDER = ROOT / ".screenshots"
AXE = FOLDER / "npm" / "node_modules" / "axe-core" / "axe.min.js"
DOCUMENTED = ROOT / "docs" / "pages.png"
_IN_THE_DOCUMENTS = (
    "en-phone-light/acme-connected.png",
    "de-phone-dark/acme-failed.png",
    "es-phone-light/plain-denied.png",
)

_PROVIDER: dict[str, str | None] = {"provider": "UltraCart"}
_AGAIN: dict[str, str | None] = {"try_again": "/authorize/hhM23obP3BaaA6B7XNnKOg"}
REPLIES: dict[str, dict[str, str | None]] = {
    "connected": _PROVIDER,
    "already": _PROVIDER,
    "unfinished": _PROVIDER,
    "waiting": _PROVIDER,
    "denied": _PROVIDER | _AGAIN,
    "expired": _PROVIDER,
    "failed": _PROVIDER | _AGAIN | {"error": "provider_unavailable"},
    "refused": {},
    "no_longer_shown": {},
    "not_connected": _AGAIN,
    "begin_here": {"application": "https://app.example.com/"},
    "invalid_link": {},
    "forbidden": {},
    "method_not_allowed": {},
    "error": {},
}
"""Every page, with values as it has them."""

WINDOWS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True},
    "desktop": {"viewport": {"width": 1280, "height": 800}},
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

_LOGO = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 40" width="150" height="40">
<rect width="40" height="40" rx="9" fill="#5b3df5"/>
<path d="M11 29 20 10l9 19" fill="none" stroke="#fff" stroke-width="4"/>
<text x="52" y="28" font-family="sans-serif" font-size="24" font-weight="700" fill="#1b1533">Acme</text>
</svg>
"""

# Without the runtime's report of what passed: thousands of results that nobody reads.
_LOOK = "() => axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)"


def main() -> int:
    """Take the pictures and return the exit code."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only here

    if not AXE.exists():
        print("axe-core is not here: make screenshots installs it, with npm.")
        return 1
    with _served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGUMENTS)
        found = list(_violations(browser, url))
        if "--write" in sys.argv:
            _write(browser)
        browser.close()
    pictures = sorted(FOLDER.glob("*/*.png"))
    (FOLDER / "index.html").write_text(_index([str(each.relative_to(FOLDER)) for each in pictures]), encoding="utf-8")
    print("\n".join([*found, f"{len(pictures)} pictures in {FOLDER.name}/, {len(found)} violations"]))
    return 1 if found else 0


def _violations(browser: Browser, url: str) -> Iterator[str]:
    """Take a picture of each page in each language, window and scheme, and yield what is wrong with it."""
    axe = AXE.read_text(encoding="utf-8")
    for language in known():
        for window, options in WINDOWS.items():
            for scheme in SCHEMES:
                context = browser.new_context(**options, locale=language, color_scheme=scheme)
                page = context.new_page()
                complaints: list[str] = []
                page.on("console", _collector(complaints))
                for look in ("plain", "acme"):
                    for name in REPLIES:
                        page.goto(f"{url}/{look}/{name}")
                        page.evaluate(axe)
                        wrong = [f"{each['id']}: {each['help']}" for each in page.evaluate(_LOOK)]
                        wrong += page.evaluate(FLAWS, language)
                        wrong += [each for each in complaints if "Failed to load resource" not in each]
                        complaints.clear()
                        where = FOLDER / f"{language}-{window}-{scheme}"
                        page.screenshot(path=where / f"{look}-{name}.png", full_page=True)
                        yield from (f"{where.name} {look} {name}: {each}" for each in wrong)
                context.close()


def _write(browser: Browser) -> None:
    """Put three of the pictures side by side, for the documents."""
    shown = [base64.b64encode((FOLDER / name).read_bytes()).decode() for name in _IN_THE_DOCUMENTS]
    page = browser.new_page(viewport={"width": 1120, "height": 100})
    images = "".join(f'<img src="data:image/png;base64,{each}" width="360">' for each in shown)
    page.set_content(f'<body style="display:flex;gap:20px;align-items:flex-start;margin:0">{images}</body>')
    page.screenshot(path=DOCUMENTED, full_page=True)


def _collector(texts: list[str]) -> Callable[[ConsoleMessage], None]:
    """Return what collects what a page writes to the console, like that something was not loaded."""
    return lambda message: texts.append(message.text)


@contextmanager
def _served() -> Iterator[str]:
    """Serve the pages and the logo on this machine; gives the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


class _Pages(BaseHTTPRequestHandler):
    """Answers with the page that a path names, and for every other path with the logo."""

    def do_GET(self) -> None:
        """Answer."""
        look, _, name = self.path.strip("/").partition("/")
        if name not in REPLIES:
            self._answer(200, {"Content-Type": "image/svg+xml"}, _LOGO)
            return
        logo = f"http://{self.headers['Host']}/logo.svg"
        acme = Appearance("Acme Orders", logo, "#5b3df5", "help@acme.example")
        appearance = acme if look == "acme" else Appearance()
        reader = Reader(self.headers["Accept-Language"], appearance, "8c1f6d0e-5a8e-4c5b-9d1a-2f3b4c5d6e7f")
        values = REPLIES[name] | ({"account": "Demo Outfitters"} if (look, name) == ("acme", "connected") else {})
        page = browser_response(Reply(name, values=values), reader, secure=False)
        self._answer(page["statusCode"], page["headers"], page["body"])

    def _answer(self, status: int, headers: dict[str, str], body: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Log nothing."""


def _index(pictures: list[str]) -> str:
    figures = "\n".join(
        f'<figure><a href="{each}"><img src="{each}" alt="" width="300"></a><figcaption>{each}</figcaption></figure>'
        for each in pictures
    )
    style = "body{display:flex;flex-wrap:wrap;gap:1rem;font:12px sans-serif}figure{margin:0}img{border:1px solid #ccc}"
    return f'<!doctype html>\n<html lang="en"><title>Pages</title><style>{style}</style>\n{figures}\n</html>\n'


if __name__ == "__main__":
    sys.exit(main())

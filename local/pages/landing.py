"""The landing page: connect a merchant, use and end its connection, let the provider fail, move the clock.

Its script shows what has changed; without it the page has to be reloaded.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from local.pages import connect_form, fault_form, messages
from local.pages.console import LONGEST_ADVANCE
from local.pages.demo_application import WAY_BACK, DemoApplication, owner_of, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from werkzeug.wrappers import Request

    from local.base.clock import Clock
    from local.demo import DemoServer

    # Function name (without the stack's), payload -> answer, or None where the function raised.
    Invoke = Callable[[str, dict[str, Any]], dict[str, Any] | None]

_HERE = Path(__file__).parent
_TEMPLATES = [_HERE / "templates", _HERE.parent.parent / "functions" / "web" / "templates"]
_SCRIPT = (_HERE / "templates" / "landing.js").read_text(encoding="utf-8")
_SCRIPT_HASH = b64encode(sha256(_SCRIPT.encode()).digest()).decode()
_HEADERS = {
    # No form-action: the connect form is redirected on to the authorization server, wherever that is.
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; connect-src 'self'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    # "no-referrer" would turn the Origin of the page's own forms to null.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_NOTICES_KEPT = 100
# A list comes in no order, and the newest are wanted: all are read, up to more than one machine is ever used for.
_MOST_READ = 1000
_MOST_SHOWN = 200
_EVENTS_SHOWN = 20
_FIRST_CONNECTION = "shop-1"
"""What the README has a newcomer connect."""
# A token set that is gone has no expiry to speak of.
_WITHOUT_TOKENS = frozenset({"revoked", "revoking"})


@dataclass(frozen=True)
class Notice:
    """What the page says after a form was sent; ``connection`` is the connection it is about."""

    kind: str
    text: str
    details: Sequence[tuple[str, str]] = ()
    connection: str | None = None


@dataclass(frozen=True)
class Sources:
    """What the page shows beside the connections.

    ``links`` are ``base_url``, ``aws_endpoint`` and ``demo_url``. ``providers`` have the parameters of each, and what
    those may be. ``events`` returns what was published. ``state`` returns a text that is another as soon as the page
    has something new to show.
    """

    links: Mapping[str, str]
    providers: Mapping[str, Mapping[str, str]]
    demo: DemoServer | None = None
    events: Callable[[], list[dict[str, Any]]] = list
    state: Callable[[], str] = str


class Landing:
    """Answers ``GET /`` and the page's forms, each with a redirect (POST, redirect, GET).

    What a form brought about waits in memory under a random name for the page that shows it: neither the URL nor a
    cookie carries it, and no token is kept, only its masked form.
    """

    def __init__(self, invoke: Invoke, clock: Clock, sources: Sources) -> None:
        self._invoke = invoke
        self._clock = clock
        self._sources = sources
        self._links = sources.links
        self._demo = sources.demo
        self._application = DemoApplication(invoke, self._links["base_url"])
        self._notices: OrderedDict[str, Notice] = OrderedDict()
        self._page = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined
        ).get_template("landing.html")
        self._forms: dict[str, Callable[[Mapping[str, str]], Response]] = {
            "/_local/token": lambda form: self._use("token", form),
            "/_local/refresh": lambda form: self._use("refresh", form),
            "/_local/revoke": self._revoke,
            "/_local/advance": self._advance,
            "/_local/faults": self._set_fault,
            "/_local/faults/end": lambda _form: self._end_faults(),
        }

    def answer(self, request: Request) -> Response | None:
        """Answer what is the landing page's."""
        if request.method in {"GET", "HEAD"} and request.path == "/":
            return self._show(request.args.get("notice", ""))
        if request.method == "GET" and request.path == WAY_BACK:
            return self._came_back(request)
        if request.method == "POST" and request.path == "/_local/connect":
            return self._connect(request)
        if request.method == "POST" and request.path in self._forms:
            return self._forms[request.path](request.form.to_dict())
        return None

    def _show(self, notice_id: str) -> Response:
        notice = self._notices.get(notice_id)
        now = self._clock.now()
        connections, failed = self._newest_first()
        page = self._page.render(
            base_url=self._links["base_url"],
            providers=self._sources.providers,
            state=self._sources.state(),
            connections=[_row(connection, now) for connection in connections[:_MOST_SHOWN]],
            left_out=max(0, len(connections) - _MOST_SHOWN),
            notice=notice or failed,
            connection=notice.connection if notice else None,
            example=_example(connections, notice.connection if notice else None),
            events=[_event_row(event) for event in self._sources.events()[: -_EVENTS_SHOWN - 1 : -1]],
            clock=_clock(self._clock),
            links=self._links,
            script=Markup(_SCRIPT),  # noqa: S704 - it is the page's own
            faults=self._faults(),
        )
        return Response(page, headers=_HEADERS, content_type="text/html; charset=utf-8")

    def _newest_first(self) -> tuple[list[dict[str, Any]], Notice | None]:
        """Return the connections, and what to say where they could not be listed."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, Any] = {}
        while len(found) < _MOST_READ:
            page = self._invoke("connections", {"limit": 100} | cursor) or {}
            if "connections" not in page:
                return found, _failure("connections", page)
            found += page["connections"]
            if "cursor" not in page:
                break
            cursor = {"cursor": page["cursor"]}
        return sorted(found, key=lambda each: (-each["created_at"], each["connection_id"])), None

    def _connect(self, request: Request) -> Response:
        """Start, and send the browser on; if it is to be confirmed, as an application does that has sessions."""
        form, owner = request.form, owner_of(request)
        fields = connect_form.fields_of(form)
        if fields is None:
            return self._back(Notice("error", "Parameters are written as name=value, like shop=acme region=eu."))
        is_confirmed = "confirm" in form
        answer = self._application.start(owner, fields) if is_confirmed else self._invoke("start", fields)
        if answer is None or "authorize_url" not in answer:
            return self._back(_failure("start", answer))
        sent = redirect(answer["authorize_url"], 303)
        return remember(owner, sent) if is_confirmed else sent

    def _came_back(self, request: Request) -> Response:
        """Confirm who came back. The redirect takes the confirmation out of the browser's address bar."""
        connection_id = request.args.get("connection_id", "")
        answer = self._application.came_back(owner_of(request), request.args.to_dict())
        if answer is None or "status" not in answer:
            return self._back(_failure("confirm", answer, connection_id))
        details = [("Status", str(answer["status"])), ("Version", str(answer["version"]))]
        return self._back(Notice("ok", f"gatehouse-confirm answered for {connection_id}.", details, connection_id))

    def _use(self, function: str, form: Mapping[str, str]) -> Response:
        connection_id = form.get("connection_id", "")
        answer = self._invoke(function, {"connection_id": connection_id})
        if answer is None or "access_token" not in answer:
            return self._back(_failure(function, answer, connection_id))
        return self._back(
            Notice(
                "ok",
                f"gatehouse-{function} answered for {connection_id}.",
                [
                    ("Access token", messages.masked(answer["access_token"])),
                    ("Expires", messages.expiry(answer["expires_at"], self._clock.now())),
                    ("Version", str(answer["version"])),
                ],
                connection_id,
            )
        )

    def _revoke(self, form: Mapping[str, str]) -> Response:
        connection_id = form.get("connection_id", "")
        answer = self._invoke("revoke", {"connection_id": connection_id})
        if answer is None or "status" not in answer:
            return self._back(_failure("revoke", answer, connection_id))
        status = str(answer["status"])
        return self._back(
            Notice("ok", f"gatehouse-revoke answered for {connection_id}.", [("Status", status)], connection_id)
        )

    def _advance(self, form: Mapping[str, str]) -> Response:
        text = form.get("advance_seconds", "")
        # Longer texts need not be made numbers to be refused.
        seconds = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(LONGEST_ADVANCE)) + 1 else -1
        if not 0 <= seconds <= LONGEST_ADVANCE:
            return self._back(Notice("error", f"The clock moves forward by 0 to {LONGEST_ADVANCE} whole seconds."))
        self._clock.advance(seconds)
        return self._back(Notice("ok", f"The clock moved forward by {messages.span(seconds)}."))

    def _faults(self) -> dict[str, Any]:
        """Return what the form of the fault switches shows."""
        in_force = fault_form.described(self._demo.faults() if self._demo is not None else [])
        ways = {name: words for name, (words, _) in fault_form.WAYS.items()}
        return {"ways": ways, "endpoints": fault_form.ENDPOINTS, "times": fault_form.TIMES, "in_force": in_force}

    def _set_fault(self, form: Mapping[str, str]) -> Response:
        fault = fault_form.read(form)
        if fault is None or self._demo is None:
            return self._back(Notice("error", "There is no such fault switch."))
        self._demo.put_faults(fault)
        return self._back(Notice("ok", f"From now on: {fault_form.described([fault])[0]}"))

    def _end_faults(self) -> Response:
        if self._demo is not None:
            self._demo.work()
        return self._back(Notice("ok", "The demo authorization server works again."))

    def _back(self, notice: Notice) -> Response:
        notice_id = secrets.token_urlsafe(12)
        self._notices[notice_id] = notice
        while len(self._notices) > _NOTICES_KEPT:
            self._notices.popitem(last=False)
        return redirect(f"/?notice={notice_id}", 303)


def _failure(function: str, answer: Mapping[str, Any] | None, connection_id: str | None = None) -> Notice:
    if not answer or "error" not in answer:
        return Notice("error", f"gatehouse-{function} failed; the terminal says why.", [], connection_id)
    details = [("Error", str(answer["error"])), ("Description", str(answer.get("error_description", "")))]
    later = f", in {answer['retry_after']} seconds" if "retry_after" in answer else ""
    details.append(("Retryable", f"yes{later}" if answer.get("retryable") else "no"))
    if "provider_error" in answer:
        details.append(("Provider", json.dumps(answer["provider_error"])))
    return Notice("error", f"gatehouse-{function} answered with an error.", details, connection_id)


def _row(connection: Mapping[str, Any], now: float) -> dict[str, Any]:
    expires_at = connection.get("expires_at")
    has_tokens = connection["status"] not in _WITHOUT_TOKENS
    return {
        "connection_id": connection["connection_id"],
        "provider": connection["provider"],
        "status": connection["status"],
        "scope": connection.get("scope"),
        "expires_at": expires_at,
        "expires_in_text": messages.expiry(expires_at, now) if has_tokens else "",
        "expires_at_text": "" if expires_at is None else messages.moment(expires_at),
        "version": connection.get("version", 0),
        "subject": connection.get("subject"),
        "owner": connection.get("owner"),
        "parameters": " ".join(f"{name}={value}" for name, value in (connection.get("parameters") or {}).items()),
        "failure": connection.get("failure"),
    }


def _example(connections: Sequence[Mapping[str, Any]], latest: str | None) -> str:
    """Return the connection whose orders the page's program reads: the one that was used last, if it has any."""
    have_orders: list[str] = [
        each["connection_id"]
        for each in connections
        if each["provider"] == "ultracart" and each["status"] not in _WITHOUT_TOKENS
    ]
    if latest is not None and latest in have_orders:
        return latest
    return next(iter(have_orders), _FIRST_CONNECTION)


def _event_row(event: Mapping[str, Any]) -> dict[str, Any]:
    detail = event["detail"]
    return {
        "name": event["detail-type"],
        "connection_id": detail["connection_id"],
        "at_text": messages.moment(detail["at"]),
        "number": detail["number"],
        "detail": json.dumps(detail, indent=2),
    }


def _clock(clock: Clock) -> dict[str, Any]:
    now = clock.now()
    return {
        "now": int(now),
        "now_text": messages.moment(now),
        "offset_seconds": int(clock.offset),
        "offset_text": f"{messages.span(clock.offset)} ahead" if clock.offset else "",
    }

"""What is interrupted, and what a survivor finds afterwards: one story for each way through the functions.

`begin` sets the stage and returns the job of the victim. `end` is the survivor's part: it does what callers, browsers
and queues do in any case, and says what became of the token and why. What must not be is in `Fate.violations`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit

from functions.vault.base.timing import SETTLE
from local.demo import Faults
from tests.torture.failing_end import WRITES
from tests.torture.scene import HTTP_TIMEOUT, LEASE, LONGER_THAN_A_REPLAY_WINDOW, PROVIDER, batch, record
from tests.torture.victims import AFTER, Job
from tests.unlimited import lift_the_limit, limit

if TYPE_CHECKING:
    from tests.torture.scene import Scene, Settled
    from tests.torture.victims import Report

KEPT, REPLAYED, LOST, NO_TOKEN, REVOKED, NOT_BEGUN = "kept", "replayed", "LOST", "asked again", "revoked", "not begun"

SLACK = SETTLE + 5.0
"""Seconds of polling and retrying that a caller adds to a lease and a time-out."""

AS_LONG_AS_AN_EXCHANGE_MAY_TAKE = 61
A_WHILE = 10
VISIBILITY = {"refresh": 40, "rescue": 190, "revoke": 180}
"""Seconds after which a message that was not worked off comes again, as the template sets them."""

ALMOST_ALL_OF_A_CALLS_TIME = 16.5
_STORES = ("dynamodb UpdateItem", "dynamodb PutItem", "sqs SendMessage")


@dataclass
class Fate:
    """What became of the token, in a word and a sentence; ``seconds`` until it was vended again."""

    word: str
    why: str
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def require(self, what: str, *, holds: bool) -> None:
        """Note a violation if something does not hold."""
        if not holds:
            self.violations.append(what)


class Story(Protocol):
    """One way through a function, again and again from its beginning."""

    name: str

    def begin(self, scene: Scene) -> Job:
        """Set the stage, and return what the victim is to do."""

    def end(self, scene: Scene, report: Report) -> Fate:
        """Go on after the victim's end, and judge."""


def has_answer(report: Report) -> bool:
    """Return whether the token endpoint's answer had reached the process."""
    return bool(report.answered("POST token"))


def has_stored(report: Report) -> bool:
    """Return whether something took the answer before the end: the table, or the rescue queue."""
    answers = report.answered("POST token")
    return bool(answers) and any(each.number > answers[0].number for each in report.answered(*_STORES))


def died_before_the_queue(report: Report) -> bool:
    """Return whether the table had refused the answer before the end, and the queue had not been asked yet."""
    answers = report.answered("POST token")
    later = [each for each in report.passed if answers and each.number > answers[0].number and each.side == AFTER]
    return any(each.call in _STORES and each.outcome != "200" for each in later) and not has_stored(report)


def survived(scene: Scene, connection_id: str, report: Report) -> Fate:
    """Let a survivor ask for a token, and say what had become of it."""
    before = scene.item(connection_id)
    settled = scene.token(connection_id)
    fate = _fate(scene, settled, report)
    fate.seconds = settled.seconds
    in_time = settled.seconds <= LEASE + HTTP_TIMEOUT + SLACK
    fate.require(f"no answer for {settled.seconds:.0f} s", holds=in_time)
    fate.require("two token requests at once", holds=scene.most_at_once() <= 1)
    version = int(scene.item(connection_id)["version"]["N"])
    fate.require("the version went back", holds=version >= int(before["version"]["N"]))
    if fate.word != LOST:
        holds_the_newest(scene, connection_id, fate)
    return fate


def _fate(scene: Scene, settled: Settled, report: Report) -> Fate:
    if settled.outcome == "ok":
        if not has_answer(report):
            waited = settled.seconds > 1
            return Fate(KEPT, "nothing was sent; refreshed " + ("when the lease had lapsed" if waited else "at once"))
        if has_stored(report):
            queued = bool(report.answered("sqs SendMessage"))
            return Fate(KEPT, "the rescue queue had it" if queued else "stored before the end")
        fate = Fate(REPLAYED, "the answer died with the process; the server repeated it")
        fate.require("vended a token that nobody had", holds="replayed" in scene.token_requests())
        return fate
    fate = Fate(LOST, "the answer died with the process before anything took it; nothing repeats it")
    fate.require(f"ended as {settled.outcome}", holds=settled.outcome == "reauthorization_required")
    fate.require("lost although it was stored", holds=has_answer(report) and not has_stored(report))
    fate.require("lost although it was repeated", holds="replayed" not in scene.token_requests())
    said = str(settled.result.get("error_description"))
    fate.require("does not say that an interruption preceded", holds="interrupted" in said)
    return fate


def holds_the_newest(scene: Scene, connection_id: str, fate: Fate) -> None:
    """Require that the stored refresh token is the newest: one refresh more, when nothing is replayed any more."""
    if fate.violations:
        return
    version = int(scene.item(connection_id)["version"]["N"])
    scene.advance(LONGER_THAN_A_REPLAY_WINDOW)
    again = scene.settle("refresh", {"connection_id": connection_id})
    fate.require(f"does not refresh: {again.outcome}", holds=again.result.get("version") == version + 1)


@dataclass
class Refreshing:
    """`token` for an expired connection, `refresh` by a caller, or `refresh` by the queue."""

    name: str
    function: str
    window: int = 0
    by_queue: bool = False
    writes_fail: bool = False
    """DynamoDB takes no write from the server's answer on, and the call's time is nearly up."""
    _connection_id: str = ""
    _event: dict[str, Any] = field(default_factory=dict)

    def begin(self, scene: Scene) -> Job:
        """Let a token expire."""
        self._connection_id = scene.connect_expired()
        scene.reset(window=self.window)
        self._event = {"connection_id": self._connection_id}
        if self.by_queue:
            self._event = batch(record(json.dumps({**self._event, "version": 1})))
        if self.writes_fail:
            scene.dynamodb.fail(WRITES, when=lambda: "refreshed" in scene.token_requests())
            return Job(self.function, self._event, slow_server=ALMOST_ALL_OF_A_CALLS_TIME)
        return Job(self.function, self._event)

    def end(self, scene: Scene, report: Report) -> Fate:
        """Deliver the message again, let the rescue do its work, and ask for a token."""
        scene.dynamodb.recover()
        if self.writes_fail:
            scene.poll()
        if self.by_queue:
            scene.advance(VISIBILITY[self.function])
            deliver(scene, self.function, self._event)
        fate = survived(scene, self._connection_id, report)
        is_short = self.by_queue and self.window < VISIBILITY["refresh"]
        fate.require("lost in spite of a replay window", holds=fate.word != LOST or not self.window or is_short)
        if fate.word == LOST and self.window:
            fate.why = "the answer died with the process; the replay window was over when the message came again"
        return fate


def deliver(scene: Scene, function: str, event: dict[str, Any]) -> None:
    """Deliver a message until it is worked off, as SQS does."""
    while scene.call(function, event)["batchItemFailures"]:
        scene.advance(VISIBILITY[function])


@dataclass
class CallingBack:
    """A browser comes back with a code, for a new connection or for one that has tokens.

    With `confirm` the application has to confirm the tokens, which it does when the browser comes to it.
    """

    name: str
    again: bool = False
    writes_fail: bool = False
    confirm: bool = False
    _connection_id: str = ""
    _event: dict[str, Any] = field(default_factory=dict)

    def begin(self, scene: Scene) -> Job:
        """Consent."""
        scene.reset()
        existing = {"connection_id": scene.connect()} if self.again else {}
        scene.advance(A_WHILE)
        more = {"confirm": True, "return_to": f"{scene.stack.base_url}/app"} if self.confirm else {}
        self._connection_id, self._event = scene.callback_event(**existing, **more)
        scene.reset()
        if self.writes_fail:
            scene.dynamodb.fail(WRITES, when=lambda: "issued" in scene.token_requests())
            return Job("callback", self._event, slow_server=ALMOST_ALL_OF_A_CALLS_TIME)
        return Job("callback", self._event)

    def end(self, scene: Scene, report: Report) -> Fate:
        """Reload the page, and if it says so, try again."""
        scene.dynamodb.recover()
        fate = Fate(KEPT, "")
        if self.again:
            fate.require("the working token went", holds=scene.token(self._connection_id).outcome == "ok")
        if self.writes_fail:
            scene.poll()
        if report.answered("dynamodb UpdateItem") and not has_stored(report):
            scene.advance(AS_LONG_AS_AN_EXCHANGE_MAY_TAKE)
        page = scene.page_of(self._event)
        fate.require("a code was sent twice", holds=len(scene.token_requests()) <= 1)
        if page["statusCode"] == HTTPStatus.FOUND and "confirmation=" in page["headers"]["Location"]:
            page = self._confirmed(scene, page["headers"]["Location"], fate)
        if page["statusCode"] == HTTPStatus.OK:
            fate.why = "stored before the end" if has_stored(report) else "the code was not taken: the reload takes it"
            if report.answered("sqs SendMessage"):
                fate.why = "the rescue queue had it"
            stored = has_stored(report) or not report.answered("dynamodb UpdateItem")
            fate.require("the page says connected, and nothing was stored", holds=stored)
        else:
            self._start_again(scene, page["statusCode"], report, fate)
        settled = scene.token(self._connection_id)
        fate.require(f"not connected: {settled.outcome}", holds=settled.outcome == "ok")
        holds_the_newest(scene, self._connection_id, fate)
        return fate

    def _confirmed(self, scene: Scene, location: str, fate: Fate) -> dict[str, Any]:
        """Be the application to which the browser comes; return what it shows."""
        before = scene.call("token", {"connection_id": self._connection_id})
        fate.require("vended before it is confirmed", holds=before.get("version") == (1 if self.again else None))
        confirmation = parse_qs(urlsplit(location).query)["confirmation"][0]
        answer = scene.call("confirm", {"connection_id": self._connection_id, "confirmation": confirmation})
        fate.require(f"confirm says {answer}", holds=answer.get("status") == "active")
        return {"statusCode": HTTPStatus.OK}

    def _start_again(self, scene: Scene, status: int, report: Report, fate: Fate) -> None:
        is_failed = status == (HTTPStatus.FOUND if self.confirm else HTTPStatus.BAD_GATEWAY)
        fate.require(f"the page is {status}", holds=is_failed)
        fate.require("failed although it was stored", holds=not has_stored(report))
        if has_answer(report):
            fate.word, fate.why = LOST, "the answer died with the process before anything took it: consent once more"
        else:
            fate.word, fate.why = NO_TOKEN, "no token was issued; the page says that it failed: consent once more"
        _, event = scene.callback_event(connection_id=self._connection_id)
        scene.call("callback", event)


@dataclass
class Importing:
    """`import_connection` of a grant that an earlier system has; the operator makes the same call again."""

    name: str
    window: int = 0
    writes_fail: bool = False
    """DynamoDB takes no write from the server's answer on, and the call's time is nearly up."""
    _event: dict[str, Any] = field(default_factory=dict)

    def begin(self, scene: Scene) -> Job:
        """Have an earlier system connected; it does not use its grant any more."""
        scene.reset()
        known = set(scene.demo.secrets().get("refresh_token", []))
        connected = scene.connect()
        (refresh_token,) = set(scene.demo.secrets().get("refresh_token", [])) - known
        about = {"provider": PROVIDER, "connection_id": f"imported-{connected}"}
        self._event = {**about, "refresh_token": refresh_token}
        scene.reset(window=self.window)
        if self.writes_fail:
            scene.dynamodb.fail(WRITES, when=lambda: "refreshed" in scene.token_requests())
            return Job("import_connection", self._event, slow_server=ALMOST_ALL_OF_A_CALLS_TIME)
        return Job("import_connection", self._event)

    def end(self, scene: Scene, report: Report) -> Fate:
        """Import again, let the rescue do its work, and ask for a token."""
        scene.dynamodb.recover()
        is_stored = bool(report.answered("dynamodb PutItem"))
        sent = len(scene.token_requests())
        answer = scene.call("import_connection", self._event)
        is_sent_again = len(scene.token_requests()) > sent
        if self.writes_fail:
            scene.poll()
        fate = survived(scene, self._event["connection_id"], report)
        fate.require("the same import again has sent something", holds=not (is_stored and is_sent_again))
        fate.require(f"the same import again says {answer}", holds=answer.get("status") in {"active", "unconfirmed"})
        fate.require("lost in spite of a replay window", holds=fate.word != LOST or not self.window)
        if not is_stored:
            fate.why = "nothing was stored: the same import again takes it"
        return fate


@dataclass
class Confirming:
    """`confirm` of a customer's first consent, or of another one."""

    name: str
    again: bool = False
    _connection_id: str = ""
    _event: dict[str, Any] = field(default_factory=dict)

    def begin(self, scene: Scene) -> Job:
        """Consent, and come back to the application."""
        scene.reset()
        existing = {"connection_id": scene.connect()} if self.again else {}
        scene.advance(A_WHILE)
        self._connection_id, event = scene.callback_event(
            confirm=True, return_to=f"{scene.stack.base_url}/app", **existing
        )
        location = scene.call("callback", event)["headers"]["Location"]
        scene.reset()
        confirmation = parse_qs(urlsplit(location).query)["confirmation"][0]
        self._event = {"connection_id": self._connection_id, "confirmation": confirmation}
        return Job("confirm", self._event)

    def end(self, scene: Scene, report: Report) -> Fate:
        """Ask for a token, confirm once more, and ask again."""
        is_confirmed = bool(report.answered("dynamodb UpdateItem"))
        fate = Fate(KEPT, "confirmed before the end" if is_confirmed else "what waited still did")
        first = scene.call("token", {"connection_id": self._connection_id})
        expected = "ok" if is_confirmed or self.again else "confirmation_required"
        fate.require(f"token says {first.get('error', 'ok')}", holds=first.get("error", "ok") == expected)
        version = 2 if self.again else 1
        if self.again:
            fate.require("the old token went too early", holds=first.get("version") == (version if is_confirmed else 1))
        answer = scene.call("confirm", self._event)
        fate.require(f"confirm says {answer}", holds=answer.get("version") == version)
        settled = scene.token(self._connection_id)
        fate.require(f"token says {settled.outcome}", holds=settled.result.get("version") == version)
        fate.require("the server was asked", holds=not scene.token_requests())
        holds_the_newest(scene, self._connection_id, fate)
        return fate


@dataclass
class Revoking:
    """`revoke` by a caller, or by the queue after the server could not be reached at first.

    With `run_out` the access token has run out, at a server that takes no other token, and one request at a time.
    """

    name: str
    provider: str = "demo"
    by_queue: bool = False
    run_out: bool = False
    _connection_id: str = ""
    _event: dict[str, Any] = field(default_factory=dict)
    _merchants_before: int = 0

    def begin(self, scene: Scene) -> Job:
        """Connect; for the queue, revoke while the server is down."""
        scene.reset()
        if self.run_out:
            limit(scene.stack, 1)
            scene.advance(LONGER_THAN_A_REPLAY_WINDOW)  # until all functions know of the limit
        connect = scene.connect_expired if self.run_out else scene.connect
        self._connection_id = connect(self.provider)
        self._event = {"connection_id": self._connection_id}
        if self.by_queue:
            scene.demo.put_faults(Faults(endpoint="revoke", status=503))
            scene.call("revoke", self._event)
            scene.advance(LONGER_THAN_A_REPLAY_WINDOW)
            self._event = batch(record(json.dumps({**self._event, "version": 1})))
        scene.reset()
        if self.run_out:
            scene.demo.put_faults(Faults(endpoint="revoke", revokes_by="access_token"))
        return Job("revoke", self._event)

    def end(self, scene: Scene, report: Report) -> Fate:
        """Ask for a token, then let the sweep and the queue go on; or call again if nothing had begun."""
        fate = Fate(REVOKED, "ended here; the sweep finds it, and the server confirms it")
        begun = self.by_queue or bool(report.answered("dynamodb UpdateItem"))
        first = scene.token(self._connection_id).outcome
        fate.require(f"token says {first}", holds=first == ("connection_revoked" if begun else "ok"))
        if not begun:
            fate = Fate(NOT_BEGUN, "nothing was written: the caller calls again")
            scene.call("revoke", self._event)
        elif self.by_queue:
            fate.why = "the message comes again"
            scene.advance(VISIBILITY["revoke"])
            deliver(scene, "revoke", self._event)
        else:
            scene.advance(LEASE + SLACK)  # nobody else revokes what the victim may still have in hand
            scene.poll()
            if self.run_out:
                # A server that has ended the grant refuses to end it again. The refresh token shows that it is gone,
                # and is not used again within ten minutes; nor is the server asked again without a pause.
                for _ in range(3):
                    scene.advance(LONGER_THAN_A_REPLAY_WINDOW)
                    scene.poll()
        self._judge(scene, fate)
        if self.run_out:
            fate.require("more requests at a time than it takes", holds=scene.most_at_once() <= 1)
            lift_the_limit(scene.stack)
        return fate

    def _judge(self, scene: Scene, fate: Fate) -> None:
        item = scene.item(self._connection_id)
        status = item["summary"]["M"]["status"]["S"]
        fate.require(f"it is {status}", holds=status == "revoked")
        fate.require("its ciphertext is kept", holds="sets" not in item)
        live = [
            grant for grant in scene.demo.grants() if grant["merchant_id"] == scene.merchant_of(self._connection_id)
        ]
        fate.require("the server was not asked", holds=all(grant["revoked"] for grant in live) and bool(live))
        for function in ("token", "refresh"):
            outcome = scene.settle(function, {"connection_id": self._connection_id}).outcome
            if outcome != "connection_revoked":
                fate.counts["resurrections"] += 1
                fate.violations.append(f"{function} says {outcome}")


@dataclass
class Rescue:
    """`rescue` of a refresh, of one whose version is taken meanwhile, or of an authorization."""

    name: str
    what: str = "refresh"
    _connection_id: str = ""
    _event: dict[str, Any] = field(default_factory=dict)

    def begin(self, scene: Scene) -> Job:
        """Bring an answer into the rescue queue, and take it out."""
        scene.reset()
        story: Refreshing | CallingBack
        if self.what == "authorization":
            story = CallingBack("", writes_fail=True)
            scene.victim(story.begin(scene))
        else:
            story = Refreshing("", "token", window=120, writes_fail=True)
            job = story.begin(scene)
            late = self._first_holder(scene, job) if self.what == "version taken" else None
            scene.victim(job)
            scene.dynamodb.recover()
            if late is not None:
                scene.resume(late)
        self._connection_id = story._connection_id  # noqa: SLF001 - a story in this one
        records = scene.received("rescue")
        scene.reset()
        assert len(records) == 1, f"{len(records)} messages"
        self._event = batch(*records)
        return Job("rescue", self._event)

    def _first_holder(self, scene: Scene, job: Job) -> Report:
        """Let a first holder stop with the answer in its hand until another has asked after its lease."""
        scene.dynamodb.recover()
        stopped = scene.stopped_at(job, "POST token", AFTER)
        scene.advance(LEASE + 1)
        scene.dynamodb.fail(WRITES, when=lambda: "replayed" in scene.token_requests())
        return stopped

    def end(self, scene: Scene, report: Report) -> Fate:  # noqa: ARG002 - it is the same wherever the victim ended
        """Deliver the message again."""
        fate = Fate(KEPT, "the queue kept it, and delivers it again")
        deliver(scene, "rescue", self._event)
        settled = scene.token(self._connection_id)
        fate.require(f"not rescued: {settled.outcome}", holds=settled.outcome == "ok")
        fate.require("asked the server although it was rescued", holds=not scene.token_requests())
        version = {"refresh": 2, "version taken": 3, "authorization": 1}[self.what]
        fate.require(f"version {settled.result.get('version')}", holds=settled.result.get("version") == version)
        holds_the_newest(scene, self._connection_id, fate)
        return fate

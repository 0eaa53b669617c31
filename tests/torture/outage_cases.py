"""The outages: AWS fails, the server is slow, clocks differ, messages come twice, holders sleep.

Each case returns what became of the token; what must not be is in `Fate.violations`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from local.demo import Faults
from tests.torture.failing_end import DENIED, FAILING, THROTTLED, WRITES
from tests.torture.records import current_of, plain, sets_in
from tests.torture.scene import HTTP_TIMEOUT, LEASE, LONG_REPLAY_WINDOW, batch, record
from tests.torture.stories import (
    A_WHILE,
    ALMOST_ALL_OF_A_CALLS_TIME,
    KEPT,
    REPLAYED,
    REVOKED,
    SLACK,
    Fate,
    Rescue,
    deliver,
    holds_the_newest,
)
from tests.torture.victims import AFTER, ANY, BEFORE, Boundary, Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.scene import Scene
    from tests.torture.victims import Report

ON_THE_WIRE = "lost on the wire"
ASLEEP = "lost in sleep"
"""A process that slept for longer than its lease, at the one point where it had the request or the answer in hand."""

ALMOST_A_LEASE = HTTP_TIMEOUT + 2.0
FIVE_MINUTES = 300.0
_READS = frozenset({"GetItem"})


@dataclass(frozen=True)
class Case:
    """One outage, from its beginning to its judgement."""

    name: str
    play: Callable[[Scene], Fate]


def _judged(scene: Scene, connection_id: str, fate: Fate, *, requests: int, version: int = 2) -> Fate:
    """Require that a token is vended in time, of this version, after so many token requests, and is the newest."""
    settled = scene.token(connection_id)
    fate.seconds = settled.seconds
    fate.require(f"token says {settled.outcome}", holds=settled.outcome == "ok")
    fate.require(f"version {settled.result.get('version')}", holds=settled.result.get("version") == version)
    fate.require(f"asked {scene.token_requests()}", holds=len(scene.token_requests()) == requests)
    fate.require("two token requests at once", holds=scene.most_at_once() <= 1)
    fate.require(f"took {settled.seconds:.0f} s", holds=settled.seconds <= LEASE + HTTP_TIMEOUT + SLACK)
    holds_the_newest(scene, connection_id, fate)
    return fate


def _expired(scene: Scene, provider: str = "demo", window: int = 0) -> tuple[str, dict[str, Any]]:
    connection_id = scene.connect_expired(provider)
    scene.reset(window=window)
    return connection_id, {"connection_id": connection_id}


def _says(fate: Fate, report: Report, expected: str) -> None:
    said = report.result.get("error", "ok") if isinstance(report.result, dict) else "nothing"
    fate.require(f"the caller gets {said}", holds=said == expected)


# DynamoDB


def _writes_fail(scene: Scene, *, error: tuple[int, str], times: int, act: bool = False) -> Fate:
    """Fail so many writes from the server's answer on: the same call goes on with the fallbacks."""
    connection_id, event = _expired(scene)
    scene.dynamodb.fail(WRITES, error, times=times, act=act, when=lambda: bool(scene.token_requests()))
    report = scene.victim(Job("token", event))
    fate = Fate(KEPT, "stored by a later try of the same call")
    _says(fate, report, "ok")
    fate.require(f"{scene.dynamodb.failed} failed", holds=scene.dynamodb.failed == times)
    return _judged(scene, connection_id, fate, requests=1)


def _all_writes_fail(scene: Scene, *, error: tuple[int, str], queue_too: bool = False) -> Fate:
    connection_id, event = _expired(scene)
    scene.dynamodb.fail(WRITES, error, when=lambda: bool(scene.token_requests()))
    if queue_too:
        scene.other_aws.fail({"SendMessage"}, error)
    report = scene.victim(Job("token", event, slow_server=ALMOST_ALL_OF_A_CALLS_TIME))
    fate = Fate(KEPT, "the log had it" if queue_too else "the rescue queue had it")
    _says(fate, report, "temporarily_unavailable")
    scene.dynamodb.recover()
    scene.other_aws.recover()
    _rescue(scene, report, fate, from_log=queue_too)
    return _judged(scene, connection_id, fate, requests=1)


def _rescue(scene: Scene, report: Report, fate: Fate, *, from_log: bool) -> None:
    """Be the queue, or the operator who replays the log."""
    if not from_log:
        scene.poll()
        return
    lines = [json.loads(line) for line in report.log.splitlines() if '"rescue"' in line]
    fate.require(f"{len(lines)} lines in the log", holds=len(lines) == 1)
    secrets = [value for values in scene.demo.secrets().values() for value in values]
    fate.require("a secret is in the log", holds=not any(secret in report.log for secret in secrets))
    for line in lines:
        scene.call("rescue", line["obtained"])


def _callback_writes_fail(scene: Scene, *, queue_too: bool = False) -> Fate:
    scene.reset()
    connection_id, event = scene.callback_event()
    scene.reset()
    scene.dynamodb.fail(WRITES, FAILING, when=lambda: bool(scene.token_requests()))
    if queue_too:
        scene.other_aws.fail({"SendMessage"}, FAILING)
    report = scene.victim(Job("callback", event, slow_server=ALMOST_ALL_OF_A_CALLS_TIME))
    fate = Fate(KEPT, "the log had it" if queue_too else "the rescue queue had it")
    fate.require("the page does not wait", holds=scene.page_at(report.result, event)["statusCode"] == 202)
    scene.dynamodb.recover()
    scene.other_aws.recover()
    _rescue(scene, report, fate, from_log=queue_too)
    again = scene.page_of(event)["statusCode"]
    fate.require(f"the reload is {again}", holds=again == 200)
    return _judged(scene, connection_id, fate, requests=1, version=1)


def _callback_reads_fail(scene: Scene) -> Fate:
    scene.reset()
    connection_id = scene.connect()
    scene.advance(10)
    _, event = scene.callback_event(connection_id=connection_id)
    scene.reset()
    scene.dynamodb.fail(_READS, THROTTLED, times=4, when=lambda: bool(scene.token_requests()))
    report = scene.victim(Job("callback", event))
    fate = Fate(KEPT, "read by a later try of the same call")
    page = scene.page_at(report.result, event)["statusCode"]
    fate.require(f"the page is {page}", holds=page == 200)
    return _judged(scene, connection_id, fate, requests=1)


# KMS


def _kms_fails(scene: Scene, *, operation: str, error: tuple[int, str]) -> Fate:
    """Let KMS refuse: nothing is sent, the lease is given back, and nobody waits for it when KMS works again."""
    connection_id, event = _expired(scene)
    scene.other_aws.fail({operation}, error)
    report = scene.victim(Job("token", event))
    fate = Fate(KEPT, "nothing was sent")
    fate.require("a request was sent", holds=not scene.token_requests())
    fate.require("no failure", holds="access_token" not in (report.result or {}))
    scene.other_aws.recover()
    _judged(scene, connection_id, fate, requests=1)
    fate.require(f"waited {fate.seconds:.0f} s for a lease", holds=fate.seconds < 10)
    return fate


def _kms_fails_the_rescue(scene: Scene) -> Fate:
    """Let KMS refuse the rescuer that has to seal again: the message stays."""
    story = Rescue("", what="version taken")
    job = story.begin(scene)
    scene.other_aws.fail({"Decrypt", "GenerateDataKey"}, THROTTLED)
    report = scene.victim(Job("rescue", job.event, seconds=15))
    scene.other_aws.recover()
    failures = (report.result or {}).get("batchItemFailures")
    fate = story.end(scene, report)
    fate.require("the message was dropped", holds=bool(failures))
    return fate


# The server and the wire


def _answer_lost(scene: Scene, *, fault: Faults, window: int = 0, known: bool = False) -> Fate:
    """Let the server act and its answer never come; `known`: the registration names the replay window."""
    connection_id, event = _expired(scene)
    scene.registered(request_timeout=2, **({"refresh_token_replay_seconds": window} if known else {}))
    then = Faults(endpoint="token", replay_window_seconds=window)
    scene.demo.put_faults(fault, then)
    report = scene.victim(Job("token", event))
    scene.registered()
    settled = scene.token(connection_id)
    requests = scene.token_requests()
    if window:
        fate = Fate(REPLAYED, "asked again at once" if known else "the next attempt had it repeated")
        _says(fate, report, "ok" if known else "provider_unavailable")
        fate.require(f"asked {requests}", holds=requests == ["refreshed", "replayed"])
        fate.require(f"token says {settled.outcome}", holds=settled.outcome == "ok")
        holds_the_newest(scene, connection_id, fate)
        return fate
    fate = Fate(ON_THE_WIRE, "the server repeats nothing; the record says that an answer was lost")
    fate.require(f"token says {settled.outcome}", holds=settled.outcome == "reauthorization_required")
    fate.require("does not say why", holds="interrupted" in str(settled.result.get("error_description")))
    return fate


# Clocks


def _clock_off(scene: Scene, *, off: float) -> Fate:
    """Let one process refresh by a wrong clock: the others go on with what it stored."""
    connection_id, event = _expired(scene)
    report = scene.victim(Job("refresh", event, clock_off=off))
    fate = Fate(KEPT, "what it stored serves all")
    _says(fate, report, "ok")
    return _judged(scene, connection_id, fate, requests=1)


def _clock_off_and_dead(scene: Scene, *, off: float) -> Fate:
    """Let it die with the lease in hand: that lapses when it would have by the others' clocks."""
    connection_id, event = _expired(scene)
    report = scene.victim(Job("refresh", event, clock_off=off, at=Boundary(ANY, BEFORE, "POST token")))
    fate = Fate(KEPT, "nothing was sent; its lease lapsed by the table's clock")
    fate.require("it was not killed", holds=report.killed)
    settled = scene.token(connection_id)
    fate.seconds = settled.seconds
    fate.require(f"token says {settled.outcome}", holds=settled.outcome == "ok")
    fate.require(f"took {settled.seconds:.0f} s", holds=settled.seconds <= LEASE + HTTP_TIMEOUT + SLACK)
    holds_the_newest(scene, connection_id, fate)
    return fate


def _clock_behind_at_work(scene: Scene, *, slow: bool = False) -> Fate:
    """Let another ask while it is at work: by its own clock its lease would long be over, by the table's it is not."""
    connection_id, event = _expired(scene)
    at_work = scene.stopped_at(Job("refresh", event, clock_off=-FIVE_MINUTES), "POST token", BEFORE)
    until = scene.clock.now() + (ALMOST_A_LEASE if slow else 0)
    came: list[Report] = []

    def answered() -> None:
        if scene.clock.now() < until:
            scene.meanwhile(answered)
        else:
            came.append(scene.resume(at_work))

    scene.meanwhile(answered)
    fate = _judged(
        scene,
        connection_id,
        Fate(KEPT, "the other waited for it: a lease is by the table's clock"),
        requests=1,
    )
    fate.require("the other did not wait for it", holds=len(came) == 1)
    return fate


# Messages that come twice


def _twice(scene: Scene, *, function: str) -> Fate:
    connection_id, event = _expired(scene)
    message = batch(record(json.dumps({**event, "version": 1})))
    if function == "revoke":
        scene.call("revoke", event)
        fate = Fate(REVOKED, "the second finds it done")
        for _ in range(2):
            deliver(scene, "revoke", message)
        fate.require("asked for a token", holds=not scene.token_requests())
        outcome = scene.token(connection_id).outcome
        fate.require(f"token says {outcome}", holds=outcome == "connection_revoked")
        return fate
    for _ in range(2):
        deliver(scene, "refresh", message)
    return _judged(scene, connection_id, Fate(KEPT, "the second finds another version"), requests=1)


def _twice_at_once(scene: Scene) -> Fate:
    connection_id, event = _expired(scene)
    message = batch(record(json.dumps({**event, "version": 1})))
    first = scene.stopped_at(Job("refresh", message), "POST token", AFTER)
    scene.meanwhile(lambda: scene.resume(first))
    deliver(scene, "refresh", message)
    return _judged(scene, connection_id, Fate(KEPT, "the second waited for the first"), requests=1)


def _rescued_twice(scene: Scene) -> Fate:
    story = Rescue("")
    job = story.begin(scene)
    deliver(scene, "rescue", job.event)
    report = scene.victim(job)
    fate = story.end(scene, report)
    fate.why = "the second finds it stored"
    return fate


# Holders that sleep


def _asleep(scene: Scene, *, call: str, side: str, window: int = 0) -> Fate:
    """Let a holder stop (SIGSTOP) until another has taken its lease over and refreshed; then let it wake."""
    connection_id, event = _expired(scene, window=window)
    sleeper = scene.stopped_at(Job("token", event), call, side)
    scene.advance(LEASE + 1)
    other = scene.token(connection_id)
    stored = scene.item(connection_id)
    woken = scene.resume(sleeper)
    after = scene.item(connection_id)
    has_request = call == "POST token" and not window
    if not has_request:
        fate = Fate(KEPT, "it sent nothing" if not woken.answered("POST token") else "its late answer is not stored")
        is_kept = current_of(plain(after)) == current_of(plain(stored))
        fate.require("a stale holder wrote over a newer token set", holds=is_kept)
        fate.require(f"the other got {other.outcome}", holds=other.outcome == "ok")
        return _judged(scene, connection_id, fate, requests=len(scene.token_requests()))
    fate = Fate(ASLEEP, "the used refresh token was sent once more, and the server ended the grant")
    fate.require("sent more than twice", holds=len(scene.token_requests()) == 2)
    scene.advance(A_WHILE + 1)  # a token set of a moment ago would be returned as it is
    again = scene.settle("refresh", {"connection_id": connection_id})
    fate.require(f"refresh says {again.outcome}", holds=again.outcome == "reauthorization_required")
    return fate


def _asleep_at_a_server_that_keeps(scene: Scene) -> Fate:
    """The same if refresh tokens are not rotated: two answers, both good; the newer attempt's stays."""
    connection_id, event = _expired(scene, provider="ultracart")
    sleeper = scene.stopped_at(Job("token", event), "POST token", AFTER)
    scene.advance(LEASE + 1)
    other = scene.token(connection_id)
    stored = scene.item(connection_id)
    scene.resume(sleeper)
    after = plain(scene.item(connection_id))
    fate = Fate(KEPT, "its late answer is superseded, for the server may end it on its own")
    fate.require(f"the other got {other.outcome}", holds=other.outcome == "ok")
    is_kept = current_of(after) == current_of(plain(stored))
    fate.require("a stale holder wrote over a newer token set", holds=is_kept)
    fate.require(
        "its late answer is lost",
        holds=sorted(each["place"] for each in sets_in(after).values()) == ["current", "superseded"],
    )
    return _judged(scene, connection_id, fate, requests=2)


def _asleep_through_a_revocation(scene: Scene) -> Fate:
    """Let a holder wake with its answer after the connection was revoked: its tokens are revoked too."""
    connection_id, event = _expired(scene, provider="ultracart")
    sleeper = scene.stopped_at(Job("token", event), "POST token", AFTER)
    scene.call("revoke", event)
    woken = scene.resume(sleeper)
    fate = Fate(REVOKED, "what it brought was revoked too")
    _says(fate, woken, "connection_revoked")
    for _ in range(3):
        scene.poll()
        scene.advance(SLACK)
    item = scene.item(connection_id)
    status = item["summary"]["M"]["status"]["S"]
    fate.require(f"it is {status}", holds=status == "revoked")
    outcome = scene.token(connection_id).outcome
    if outcome != "connection_revoked":
        fate.counts["resurrections"] += 1
        fate.violations.append(f"token says {outcome}")
    return fate


_SLOW = Faults(endpoint="token", delay_seconds=3, times=1)
_DROPPED = Faults(endpoint="token", drop_answer=True, times=1)

CASES = (
    Case("DynamoDB throttles 1 write after the answer", partial(_writes_fail, error=THROTTLED, times=1)),
    Case("DynamoDB throttles 2 writes after the answer", partial(_writes_fail, error=THROTTLED, times=2)),
    Case("DynamoDB fails 4 writes after the answer", partial(_writes_fail, error=FAILING, times=4)),
    Case("DynamoDB writes, and its answer is lost", partial(_writes_fail, error=FAILING, times=1, act=True)),
    Case("DynamoDB writes, and both its answers are lost", partial(_writes_fail, error=FAILING, times=2, act=True)),
    Case("DynamoDB throttles all writes after the answer", partial(_all_writes_fail, error=THROTTLED)),
    Case("DynamoDB fails all writes after the answer", partial(_all_writes_fail, error=FAILING)),
    Case("DynamoDB and SQS fail after the answer", partial(_all_writes_fail, error=FAILING, queue_too=True)),
    Case("DynamoDB fails all writes after a code's answer", _callback_writes_fail),
    Case("DynamoDB and SQS fail after a code's answer", partial(_callback_writes_fail, queue_too=True)),
    Case("DynamoDB throttles reads after a code's answer", _callback_reads_fail),
    Case("KMS throttles Decrypt", partial(_kms_fails, operation="Decrypt", error=THROTTLED)),
    Case("KMS throttles GenerateDataKey", partial(_kms_fails, operation="GenerateDataKey", error=THROTTLED)),
    Case("KMS denies Decrypt", partial(_kms_fails, operation="Decrypt", error=DENIED)),
    Case("KMS denies GenerateDataKey", partial(_kms_fails, operation="GenerateDataKey", error=DENIED)),
    Case("KMS throttles a rescue that seals again", _kms_fails_the_rescue),
    Case("the server answers too late", partial(_answer_lost, fault=_SLOW)),
    Case("the server hangs up", partial(_answer_lost, fault=_DROPPED)),
    Case("the server hangs up, and replays", partial(_answer_lost, fault=_DROPPED, window=LONG_REPLAY_WINDOW)),
    Case("the server hangs up, and is known to replay", partial(_answer_lost, fault=_DROPPED, window=60, known=True)),
    Case("a clock 5 minutes ahead", partial(_clock_off, off=FIVE_MINUTES)),
    Case("a clock 5 minutes behind", partial(_clock_off, off=-FIVE_MINUTES)),
    Case("a clock 5 minutes ahead, and the process dies", partial(_clock_off_and_dead, off=FIVE_MINUTES)),
    Case("a clock 5 minutes behind, and the process dies", partial(_clock_off_and_dead, off=-FIVE_MINUTES)),
    Case("a clock 5 minutes behind, and another asks at once", _clock_behind_at_work),
    Case("a clock 5 minutes behind, a slow server, and another asks", partial(_clock_behind_at_work, slow=True)),
    Case("a refresh message comes twice", partial(_twice, function="refresh")),
    Case("a refresh message comes twice at once", _twice_at_once),
    Case("a revoke message comes twice", partial(_twice, function="revoke")),
    Case("a rescue message comes twice", _rescued_twice),
    Case("a holder sleeps before KMS", partial(_asleep, call="kms Decrypt", side=AFTER)),
    Case("a holder sleeps at the request", partial(_asleep, call="POST token", side=BEFORE)),
    Case("a holder sleeps with the answer", partial(_asleep, call="POST token", side=AFTER)),
    Case(
        "a holder sleeps at the request, and the server replays",
        partial(_asleep, call="POST token", side=BEFORE, window=LONG_REPLAY_WINDOW),
    ),
    Case(
        "a holder sleeps with the answer, and the server replays",
        partial(_asleep, call="POST token", side=AFTER, window=LONG_REPLAY_WINDOW),
    ),
    Case("a holder sleeps with the answer of a server that does not rotate", _asleep_at_a_server_that_keeps),
    Case("a holder sleeps through a revocation", _asleep_through_a_revocation),
)

"""What was measured, as `docs/performance.md` and its plot."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from benchmarks.crowd import AWS, READS_A_SECOND, SPREAD
from benchmarks.measure import PAIRS
from benchmarks.svg import bars
from benchmarks.warm import PAIRS as WARM_PAIRS
from benchmarks.warm import SECONDS_OF_AWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.cold import Cold
    from benchmarks.crowd import Crowd
    from benchmarks.garbage import Garbage
    from benchmarks.measure import Compared
    from benchmarks.peers import Peer
    from benchmarks.size import Size
    from benchmarks.warm import Warm

COLD_LIMITS = {"token": 0.30, "callback": 0.35}
WARM_LIMITS = {"token": 1.10, "callback": 1.15}
STORM_LIMITS = {64: 1.5}


@dataclass(frozen=True)
class Measured:
    """Everything that `make bench` measures."""

    cold: Sequence[Cold]
    measures: Mapping[str, Compared]
    warm: Sequence[Warm]
    snap_start: Compared
    crowds: Sequence[Crowd]
    volleys: Sequence[Crowd]
    garbage: Sequence[Garbage]
    handshake: Compared
    peers: Sequence[Peer]
    sizes: Sequence[Size]

    def failures(self) -> list[str]:
        """Return what is not as it has to be."""
        said = [
            f"{row.name}: a cold start of {row.answered.ratio:.3f}, and it may be {COLD_LIMITS[row.name]}"
            for row in self.cold
            if row.answered.ratio > COLD_LIMITS.get(row.name, 1)
        ]
        said += [
            f"{row.name}: a warm call of {row.in_time.ratio:.3f}, and it may be {WARM_LIMITS[row.name]}"
            for row in self.warm
            if row.in_time.ratio > WARM_LIMITS.get(row.name, 2)
        ]
        said += [
            f"{row.callers} callers: {max(row.requests)} requests"
            for row in (*self.crowds, *self.volleys)
            if max(row.requests) > 1
        ]
        said += [
            f"{row.callers} callers: p99 of {row.p99:.2f} refreshes"
            for row in self.crowds
            if row.p99 > STORM_LIMITS.get(row.callers, row.p99)
        ]
        said += [f"garbage {row.name}: {row.requests} requests" for row in self.garbage if row.requests]
        said += [
            f"{row.name}: cold {row.cold.ratio:.2f}, warm {row.warm.ratio:.2f}"
            for row in self.peers
            if row.name.startswith("slack-bolt") and max(row.cold.ratio, row.warm.ratio) >= 1
        ]
        return said


def plot(measured: Measured) -> str:
    """Return the plot, as SVG."""
    return bars(
        "How long Gatehouse takes (dark), beside what it is compared with (light)",
        [
            (
                "cold start, beside the ordinary stack (red: the most that it may be)",
                [(row.name, row.answered.ratio, COLD_LIMITS.get(row.name)) for row in measured.cold],
            ),
            (
                "warm call, beside its minimum: the same requests and nothing else",
                [(row.name, row.in_time.ratio, WARM_LIMITS.get(row.name)) for row in measured.warm],
            ),
            (
                "cold start, beside peers at the same work",
                [(row.name, row.cold.ratio, None) for row in measured.peers],
            ),
        ],
    )


def page(measured: Measured) -> str:
    """Return the page."""
    return "\n\n".join(_sections(measured)) + "\n"


def _sections(measured: Measured) -> Iterable[str]:
    yield f"""# How fast it is

How long Gatehouse takes to start and to answer, beside other ways to do the same work.

`make bench` measured this and wrote this page and its plot: Python {platform.python_version()}, {os.cpu_count()}
cores, boto3 {version("boto3")}. Each figure compares two things that ran in turn on one machine, and is the
median of at least {PAIRS} pairs. Compare milliseconds only with each other: they are that machine's.

The functions run from their built folder under AWS's own runtime client (`awslambdaric`), against a Runtime API on
the same machine. Another process replays recorded answers of AWS and of the provider, because a slow emulator would
make Gatehouse's own time look small.

![Cold starts, warm calls and peers as bars](performance.svg)"""
    yield _cold(measured)
    yield _measures(measured)
    yield _warm(measured)
    yield _storm(measured)
    yield _garbage(measured)
    yield _peers(measured)
    yield _sizes(measured)
    yield _outbound(measured)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _ratio(compared: Compared) -> str:
    low, high = compared.spread
    return f"**{compared.ratio:.2f}** ({low:.2f}-{high:.2f})"


def _cold(measured: Measured) -> str:
    rows = [
        (
            row.name,
            _ratio(row.answered),
            f"{row.initialized.ratio:.2f}",
            f"{row.answered.ours_ms:.0f}",
            f"{row.answered.other_ms:.0f}",
            f"{row.empty_ms:.0f}",
        )
        for row in measured.cold
    ]
    head = ("", "of the ordinary stack", "until it is ready", "ms", "ordinary ms", "empty ms")
    return f"""## Cold starts

From the start of the process to the first answer. *Ordinary* is a function that makes the same requests in the usual
way (boto3's clients, Powertools' logger, requests, cryptography, as `sam build` ships them). *Empty* is an empty
handler. The brackets, here and below, hold the quartiles of the pairs.

{_table(head, rows)}"""


def _measures(measured: Measured) -> str:
    rows = [(name, _ratio(compared)) for name, compared in measured.measures.items()]
    rows.append(("*with SnapStart, from the restoration on*", _ratio(measured.snap_start)))
    return f"""What each measure does for a cold start of `token`: how many times as long the start takes without it.

Lambda also fetches the package before it starts the first process, and a larger package takes longer. None of these
figures includes that.

{_table(("a cold start of token", "times as long"), rows)}

What is left is botocore, on which boto3 is built, as the row of the minimum shows. Gatehouse could sign with botocore
and send without its client. That would gain little, because signing loads most of what the client loads, and Gatehouse
would have to maintain the retries, endpoints and errors of four services. So it does not.

With SnapStart (the template's parameter `SnapStart`), Lambda restores a snapshot instead of starting a process. The
function then only gets credentials, connects and calls. The time that Lambda takes to restore is not measured here."""


def _warm(measured: Measured) -> str:
    rows = [
        (
            row.name,
            _ratio(row.in_time),
            _ratio(row.at_once),
            f"{row.at_once.ours_ms - row.at_once.other_ms:.2f}",
            ", ".join(f"{count} {_operation(name)}" for name, (count, _, _) in row.counts.items()),
            f"{sum(sent + got for _, sent, got in row.counts.values()):,}",
        )
        for row in measured.warm
    ]
    head = ("", "of its minimum", "AWS at once", "ms of our own", "requests", "bytes")
    return f"""## Warm calls

The *minimum* is a script that makes exactly these requests with the same libraries and settings, and does nothing
else ({WARM_PAIRS} pairs). In the first column, AWS answers after {SECONDS_OF_AWS * 1000:.0f} ms, which is about what
DynamoDB takes. In the second it answers at once, so that only processor time is left.

{_table(head, rows)}"""


def _operation(name: str) -> str:
    return "token request" if name.startswith("POST") else name


def _storm(measured: Measured) -> str:
    rows = [
        (
            f"{row.callers:,} callers{where}, the server takes {row.server:g} s",
            f"{max(row.requests)}",
            f"**{row.p50:.2f}**",
            f"**{row.p99:.2f}**",
            f"{row.one_refresh_ms:.0f}",
        )
        for crowds, where in ((measured.crowds, ""), (measured.volleys, " in processes"))
        for row in crowds
    ]
    head = ("", "requests at the server, at most", "p50", "p99", "one refresh, ms")
    return f"""## The storm

Many callers ask for one expired token within {SPREAD * 1000:.0f} ms, each in an environment that has just started.
Times are in refreshes: 1 is what a single caller waits.

A thousand Lambda environments do not fit on one machine. So the use case runs in a simulated world in memory, in
which time passes only by waiting (AWS takes {min(AWS.values()) * 1000:.0f} to {max(AWS.values()) * 1000:.0f} ms). A
thousand callers read more often than DynamoDB allows for one item ({READS_A_SECOND:,} reads a second). They are
throttled in that world, too, and go on waiting.

The rows *in processes* use four processes, real sockets and a DynamoDB on LevelDB. There all 64 callers come at the
same moment and share {os.cpu_count()} cores with the table, KMS and the server. They wait for the processor, too:
with a server that takes a third of a second, longer than for the refresh. So that row is left out.

{_table(head, rows)}"""


def _garbage(measured: Measured) -> str:
    rows = [
        (row.name, str(row.requests), _ratio(row.beside_a_good_one), f"{row.beside_a_good_one.ours_ms:.2f}")
        for row in measured.garbage
    ]
    return f"""## Garbage

Two requests that Gatehouse refuses: a callback from the right browser with a state that Gatehouse never issued, and a
link that it never issued.

{_table(("", "requests to AWS", "of a good call", "ms"), rows)}"""


def _peers(measured: Measured) -> str:
    rows = [
        (
            row.name,
            row.work,
            _ratio(row.cold),
            _ratio(row.warm),
            f"{row.cold.ours_ms:.0f} / {row.cold.other_ms:.0f}",
            f"{row.warm.ours_ms:.1f} / {row.warm.other_ms:.1f}",
            f"{row.requests[0]} / {row.requests[1]}",
        )
        for row in measured.peers
    ]
    head = ("peer", "work", "cold", "warm", "ms cold, ours / theirs", "ms warm", "requests")
    return f"""## Peers

Below 1, Gatehouse is faster. AWS and the provider answer at once, so the figures compare the work alone.

{_table(head, rows)}

- **slack-bolt** keeps states and installations in S3 and asks Slack twice. Gatehouse is faster cold and warm, even if
  slack-bolt's packages get the bytecode that `sam build` does not make.
- **grant** is the fastest here, by a wide margin. Node.js starts in the time in which Python imports botocore, and
  grant stores nothing: its session is a cookie, and it hands the tokens to the caller after one request. Gatehouse
  also consumes the state, gets a key, seals and stores. For a login, what grant does is enough. To keep a customer's
  grant, it is not.
- **Authlib** refreshes and writes the tokens as they are. Gatehouse first claims a lease, so that a thousand callers
  make one request, and then gets a key and seals. These two additional requests make it slower when warm."""


def _sizes(measured: Measured) -> str:
    rows = [
        (row.name, f"{row.unpacked:.0f}", f"{row.compressed:.1f}", *(f"{value:.0f}" for value in row.peak.values()))
        for row in measured.sizes
    ]
    head = ("", "package, MB", "compressed, MB", "peak memory of token, MB", "of callback, MB")
    return f"""## Size

{_table(head, rows)}"""


def _outbound(measured: Measured) -> str:
    more = measured.handshake.ours_ms - measured.handshake.other_ms
    refresh = next(row for row in measured.warm if row.name == "refresh").at_once.ours_ms
    return f"""## A connection for each token request

Gatehouse keeps its connections to AWS. To a provider it makes a new one for each request, deliberately. A connection
that was kept may have died while the function was frozen. Then nobody can say whether the request on it arrived, and
a refresh token that may or may not have been used is what Gatehouse is there to avoid.

A new connection costs {more:.1f} ms of both ends' processors here, which is {more / refresh:.0%} of a warm refresh
with answers at once. On a network it costs two round trips (TCP and TLS), in a call that waits for the provider's
answer anyway."""

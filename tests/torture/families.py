"""Families of histories: each about one question, with the servers, casts and beginnings that can answer it wrongly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.torture.scenarios import ANOTHER, ANOTHER_ACCOUNT, BEGINNINGS, LARGE, SMALL, STRICT, Scenario, drawn
from tests.torture.scheduler import PASSING, SLEEPS, Fault
from tests.torture.server import UNKNOWN
from tests.torture.world import ACCOUNT, CONNECTION

if TYPE_CHECKING:
    from random import Random

    from tests.torture.server import Profile

ALONE = ((CONNECTION, ACCOUNT),)
TOGETHER = ((CONNECTION, ACCOUNT), (ANOTHER, ACCOUNT))
THREE = (*TOGETHER, ("e", ACCOUNT))
APART = ((CONNECTION, ACCOUNT), (ANOTHER, ANOTHER_ACCOUNT))

_REFRESHES: dict[str, tuple[Any, ...]] = {
    "rotates": (True, True, False),
    "detects_reuse": (True, False),
    "replay_seconds": (0, 0, 60),
}
_REVOCATIONS: dict[str, tuple[Any, ...]] = {
    "revokes_all": (False, True),
    "says_all": (True, False, None),
    "revokes_by_access": (False, False, True),
    "names_account": (True, False),
}


@dataclass(frozen=True)
class Family:
    """What its histories are drawn from: `servers` has, for each property of a server, what that can be."""

    name: str
    roles: tuple[str, ...]
    servers: dict[str, tuple[Any, ...]]
    ages: tuple[str, ...] = ("fresh", "expired")
    begins: tuple[str, ...] = ("as consented",)
    accounts: tuple[tuple[tuple[str, str], ...], ...] = (ALONE,)
    always: tuple[str, ...] = ()
    most: int = 4
    overslept: float = field(default=0.25)
    """How many of them have processes that outlive their deadlines, and late answers with them."""

    likely: tuple[Fault | str, ...] = ()
    clocks_off: tuple[int, ...] = (0, 0, 0, 5, 300)
    """How far a clock may be off, in seconds."""

    def drawn(self, random: Random) -> Scenario:
        """Return one of its histories' scenario."""
        others = [random.choice(self.roles) for _ in range(random.randint(1, self.most - len(self.always)))]
        furthest = random.choice(self.clocks_off)
        roles = (*self.always, *others)
        return Scenario(
            self.name,
            roles,
            random.choice(self.ages),
            self._server(random),
            bounded=random.random() >= self.overslept,
            skews=tuple(random.uniform(-furthest, furthest) for _ in roles) if furthest else (),
            begins=random.choice(self.begins),
            accounts=random.choice(self.accounts),
            likely=self.likely,
        )

    def _server(self, random: Random) -> Profile:
        return replace(STRICT, **{name: random.choice(values) for name, values in self.servers.items()})


FAMILIES = (
    Family(
        "imports",
        ("import", "import_other", "token", "refresh_any", "revoke", "reconnect", "vouched", "phished", "upkeep"),
        {**_REFRESHES, **_REVOCATIONS, "at_once": (None, None, 1)},
        ages=("none", "none", "fresh"),
        always=("import",),
    ),
    Family(
        "imports that are refused",
        ("import", "import_other", "token", "revoke", "removal", "reconnect", "upkeep"),
        {**_REFRESHES, "says_all": (True, False, None), "refuses_temporarily": (True, False)},
        ages=("none",),
        always=("import", "import_other"),
    ),
    Family(
        "replaced consents",
        ("reconnect", "reconnect", "callback", "token", "refresh_any", "revoke", "upkeep"),
        {**_REFRESHES, **_REVOCATIONS},
        ages=("fresh", "expired", "idle"),
        begins=("as consented", "consented twice"),
        always=("reconnect",),
    ),
    Family(
        "several connections of one account",
        ("token", "token:d", "refresh_any:d", "revoke", "revoke:d", "reconnect", "reconnect:d", "upkeep"),
        {**_REFRESHES, **_REVOCATIONS},
        accounts=(TOGETHER,),
        always=("revoke",),
    ),
    Family(
        "another account",
        ("token", "token:d", "refresh_any:d", "revoke", "reconnect", "stranger", "mistaken", "upkeep"),
        {**_REFRESHES, **_REVOCATIONS},
        accounts=(APART, ALONE),
        always=("stranger",),
    ),
    Family(
        "only live access tokens revoke",
        ("revoke", "token", "refresh_any", "reconnect", "callback", "upkeep"),
        {
            **_REFRESHES,
            **_REVOCATIONS,
            "takes_live_access_alone": (True,),
            "says_of_dead": ("200", "ok: false", "422"),
        },
        ages=("fresh", "due", "expired", "idle"),
        begins=("as consented", "as consented", "consented twice", "taken for dead"),
        always=("revoke",),
    ),
    Family(
        "no way to revoke",
        ("revoke", "token", "refresh_any", "reconnect", "upkeep"),
        {**_REFRESHES, "revocable": (False,)},
        begins=("as consented", "consented twice", "dead"),
        always=("revoke",),
    ),
    Family(
        "temporary refusals",
        ("token", "refresh", "refresh_any", "sweep", "upkeep", "upkeep", "revoke", "reconnect"),
        {**_REFRESHES, "refuses_temporarily": (True, True, False), "busy": ("", "explained", "as dead")},
        ages=("due", "expired", "idle"),
        begins=("as consented", "as consented", "dead", "taken for dead"),
        likely=PASSING,
    ),
    Family(
        "looks at what is believed dead",
        ("token", "refresh", "refresh_any", "sweep", "upkeep", "upkeep", "reconnect"),
        {
            **_REFRESHES,
            "refuses_temporarily": (True, True, False),
            "busy": ("", "explained", "as dead"),
            "at_once": (None, None, 1),
        },
        ages=("due", "expired", "idle"),
        begins=("as consented", "as consented", "dead", "taken for dead"),
    ),
    Family(
        "consents without a refresh token",
        ("reconnect", "callback", "stranger", "token", "token", "refresh_any", "revoke", "sweep", "upkeep"),
        {**_REFRESHES, **_REVOCATIONS, "names_account": (True, True, True, False), "one_refresh_token": (True,)},
        ages=("fresh", "expired", "idle"),
        begins=("as consented", "consented twice"),
        always=("reconnect",),
    ),
    Family(
        "accounts that have to be asked",
        ("reconnect", "callback", "stranger", "mistaken", "token", "refresh_any", "revoke", "sweep", "upkeep"),
        {
            **_REFRESHES,
            **_REVOCATIONS,
            "names_account": (True,),
            "names_it_by": ("ID token", "endpoint"),
            "names_it_after": (0, 0, 60, 400),
            "at_once": (None, None, 1),
            "one_refresh_token": (False, False, True),
        },
        ages=("none", "fresh", "expired"),
        always=("reconnect",),
    ),
    Family(
        "consents that the application confirms",
        (
            *("vouched", "vouched", "latecomer", "phished", "phished", "vouched_stranger"),
            *("reconnect", "callback", "token", "refresh_any", "revoke", "sweep", "upkeep", "removal", "reseal"),
        ),
        {
            **_REFRESHES,
            **_REVOCATIONS,
            "names_account": (True,),
            "names_it_by": ("response", "response", "ID token", "endpoint"),
            "names_it_after": (0, 0, 60, 400),
            "at_once": (None, None, 1),
            "one_refresh_token": (False, False, True),
        },
        ages=("none", "fresh", "expired"),
        begins=("as consented", "as consented", "consented twice", "dead", "taken for dead"),
        always=("vouched",),
        most=5,
    ),
    Family(
        "so many requests at a time",
        ("token", "token:d", "token:e", "refresh_any:d", "revoke", "revoke:d", "reconnect", "reconnect:e", "upkeep"),
        {**_REFRESHES, "at_once": (1, 1, 2), "takes_live_access_alone": (False, False, True)},
        ages=("fresh", "expired", "idle"),
        accounts=(THREE,),
        always=("token", "token:d"),
        most=5,
        overslept=0.1,
        likely=(Fault.SLOW, Fault.LATE_REQUEST),
    ),
    Family(
        "a registration that is wrong for a while",
        ("token", "refresh_any", "revoke", "sweep", "upkeep"),
        {**_REFRESHES, "takes_live_access_alone": (False, True)},
        ages=("due", "expired", "idle"),
        begins=("as consented", "as consented", "consented twice", "taken for dead"),
        always=("mistake", "token"),
    ),
    Family(
        "several connections of one account, believed dead",
        ("token", "refresh_any", "sweep", "upkeep", "reconnect:d", "token:d"),
        {**_REFRESHES, "names_account": (True, True, False), "refuses_temporarily": (True, False)},
        ages=("expired", "idle"),
        begins=("as consented", "taken for dead"),
        accounts=(TOGETHER,),
        always=("upkeep",),
    ),
    Family(
        "refusals that nobody knows",
        ("token", "token:d", "refresh_any:d", "sweep", "upkeep", "revoke:d"),
        {**_REFRESHES, "refuses_with": (UNKNOWN,), "refuses_temporarily": (True, False)},
        ages=("fresh", "expired"),
        accounts=(APART, ALONE),
        always=("removal",),
    ),
    Family(
        "callers while a server is down",
        ("caller", "token", "upkeep", "refresh_any"),
        _REFRESHES,
        ages=("due", "due", "expired"),
        always=("caller",),
        likely=("http", Fault.REFUSED),
        overslept=0.1,
    ),
    Family(
        "another key",
        (
            *("token", "refresh", "refresh_any", "revoke", "reconnect", "callback", "sweep", "upkeep", "reseal"),
            *("token:d", "vouched", "latecomer", "phished", "copied", "queued"),
        ),
        {
            **_REFRESHES,
            **_REVOCATIONS,
            "takes_live_access_alone": (False, False, True),
            "names_account": (True,),
            "names_it_by": ("response", "response", "ID token", "endpoint"),
            "one_refresh_token": (False, False, True),
        },
        ages=("fresh", "due", "expired", "idle"),
        begins=("as consented", "as consented", "consented twice", "taken for dead"),
        accounts=(APART, ALONE),
        always=("reseal",),
        most=5,
    ),
    Family(
        "late answers",
        ("token", "refresh", "refresh_any", "revoke", "reconnect", "callback", "sweep", "upkeep", "removal"),
        {**_REFRESHES, **_REVOCATIONS, "one_refresh_token": (False, True), "takes_live_access_alone": (False, True)},
        ages=("fresh", "expired", "idle"),
        begins=tuple(BEGINNINGS),
        most=6,
        overslept=1.0,
        likely=tuple(SLEEPS),
    ),
)


_CALLERS = ("token", "token", "refresh_any")

GROUNDS = (
    Family("slow answers", _CALLERS, {}, ("expired",), always=_CALLERS[:2], overslept=0.0, likely=(Fault.SLOW,)),
    Family("callers again and again", ("refresh_any", "refresh"), _REFRESHES, ("expired",), always=("refresh_any",)),
    Family("refused revocations", ("sweep",), {"refuses_temporarily": (True,)}, always=("revoke",), likely=PASSING),
    Family("late requests", _CALLERS, _REFRESHES, ("expired",), overslept=0.0, likely=(Fault.LATE_REQUEST,)),
    Family(
        "failing writes", (*_CALLERS, "reconnect"), {}, ("expired",), always=("token",), likely=("dynamodb writes",)
    ),
    Family(
        "looks beside what is queued",
        ("token", "refresh_any"),
        {"refuses_temporarily": (True,)},
        ("expired",),
        begins=("taken for dead",),
        accounts=(APART,),
        always=("upkeep", "queued:d"),
        most=3,
        overslept=0.0,
    ),
    Family(
        "refreshes beside what is queued",
        ("sweep", "caller", "phished", "reseal"),
        {"detects_reuse": (True, True, False)},
        ("idle", "expired"),
        always=("queued", "upkeep"),
        overslept=0.0,
    ),
    Family("another key, amid refreshes", (*_CALLERS, "reconnect"), _REFRESHES, always=("reseal", "refresh_any")),
    Family("clocks", _CALLERS, {}, ("expired",), always=_CALLERS[:2], likely=(Fault.CRASH,), clocks_off=(300,)),
    Family("oversleeping", ("reconnect", "token"), {}, always=("token",), overslept=1.0, likely=tuple(SLEEPS)),
    Family("revoked after consents", ("revoke", "reconnect"), {}, begins=("consented twice",), always=("revoke",)),
    Family(
        "consents after a revocation",
        ("reconnect", "sweep", "upkeep"),
        {"revokes_all": (True,), "says_all": (None,)},
        always=("revoke", "reconnect"),
        likely=(Fault.LOST_REQUEST, Fault.CRASH),
    ),
    Family(
        "strangers, and a revocation",
        ("stranger", "revoke"),
        {"names_account": (True,), "revokes_all": (True,), "says_all": (None,)},
        accounts=(APART,),
        always=("stranger", "revoke"),
    ),
    Family(
        "confirmations and a revocation",
        ("revoke", "vouched", "phished"),
        {"says_all": (True, False)},
        ("none", "fresh"),
        always=("vouched", "revoke"),
        most=3,
        overslept=0.0,
        clocks_off=(0,),
    ),
    Family(
        "confirmations, and what the queue still holds",
        ("upkeep", "reconnect", "vouched"),
        {"says_all": (True, False)},
        ("none", "fresh"),
        always=("copied",),
        most=3,
        overslept=0.0,
        clocks_off=(0,),
    ),
    Family(
        "accounts, and what the queue still holds",
        ("upkeep", "reconnect", "token"),
        {"says_all": (True, False), "names_account": (True,), "names_it_by": ("ID token", "endpoint")},
        always=("copied_stranger",),
        most=3,
        overslept=0.0,
        clocks_off=(0,),
    ),
    Family(
        "confirmations after their time",
        ("token", "reconnect"),
        {},
        ("none", "fresh"),
        always=("tardy",),
        most=2,
        overslept=0.0,
        clocks_off=(0,),
    ),
    Family(
        "confirmations at the last moment",
        ("upkeep", "latecomer"),
        {},
        ("none", "fresh"),
        always=("latecomer", "upkeep"),
        most=3,
        overslept=1.0,
        clocks_off=(0,),
    ),
    Family(
        "kept, and late",
        ("token", "reconnect", "reconnect"),
        {"one_refresh_token": (True,), "names_account": (True,)},
        ("expired",),
        begins=("consented twice",),
        always=("token", "reconnect"),
        likely=(Fault.SLOW, *SLEEPS),
        overslept=1.0,
    ),
)
"""Where one thing goes wrong again and again: what is broken on purpose shows there soon."""


class Casts:
    """Any cast of callers at an ordinary server."""

    def drawn(self, random: Random) -> Scenario:
        """Return one of its histories' scenario."""
        return drawn(random)


ON: tuple[str, ...] = (
    "replaced consents",
    "several connections of one account",
    "another account",
    "consents without a refresh token",
    "no way to revoke",
    "accounts that have to be asked",
    "consents that the application confirms",
    "looks at what is believed dead",
    "only live access tokens revoke",
    "late answers",
    "temporary refusals",
    "a registration that is wrong for a while",
    "so many requests at a time",
    "several connections of one account, believed dead",
    "refusals that nobody knows",
    "callers while a server is down",
    "another key",
)
"""The families that chance draws from: those whose questions the code has an answer to."""

BY_NAME: dict[str, Scenario | Family] = {each.name: each for each in (*SMALL, *LARGE, *FAMILIES, *GROUNDS)}


def any_drawn(random: Random) -> Scenario:
    """Return a scenario drawn by chance: a cast of callers at an ordinary server, or one of a family."""
    families = [family for family in FAMILIES if family.name in ON]
    if families and random.random() < 0.5:
        return random.choice(families).drawn(random)
    return drawn(random)

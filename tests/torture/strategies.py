"""Who chooses: chance from a seed, a script (for a search through all choices), or nobody (everything goes well)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.torture.scheduler import PASSING, SLEEPS, Fault

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from random import Random

    from tests.torture.scheduler import Option

_RARE = frozenset({Fault.SLOW, *SLEEPS, *PASSING})
_RARELY = 0.4
_OFTEN = 0.3


class Calm:
    """Lets everything go as it would without interference."""

    def choose(self, options: Sequence[Option]) -> Option:
        """Return the first option."""
        return options[0]

    def jitter(self) -> float:
        """Return the middle."""
        return 0.5


class Chance:
    """Draws every choice from a seed. Each schedule has a temper of its own: how restless, how many faults.

    If a fault can happen that is `likely`, or an outage of a service that is, one often does.
    """

    def __init__(self, random: Random, likely: Collection[Fault | str] = ()) -> None:
        self._random = random
        self._likely = likely
        self._restlessness = random.choice((0.05, 0.2, 0.5, 1.0))
        self._misfortune = random.choice((0.0, 0.03, 0.1, 0.25))
        self._faults_left = random.randint(1, 6)

    def choose(self, options: Sequence[Option]) -> Option:
        """Return one of the options, a fault only now and then."""
        random = self._random
        faults = [option for option in options if option.faults]
        likely = [option for option in faults if self._is_likely(option)]
        if likely and self._faults_left and random.random() < _OFTEN:
            self._faults_left -= 1
            return random.choice(likely)
        if faults and self._faults_left and random.random() < self._misfortune:
            self._faults_left -= 1
            kinds = sorted({option.fault if option.kind == "run" else option.kind for option in faults})
            # Requests are few among all calls, and what befalls them is what all of this is there for.
            rare = [kind for kind in kinds if kind in _RARE]
            kind = random.choice(rare if rare and random.random() < _RARELY else kinds)
            return random.choice([o for o in faults if kind == (o.fault if o.kind == "run" else o.kind)])
        calm = [option for option in options if not option.faults]
        if not calm:
            return options[0]
        if calm[0].preempts == 0 and len(calm) > 1 and random.random() >= self._restlessness:
            return calm[0]
        return random.choice(calm)

    def _is_likely(self, option: Option) -> bool:
        return bool(self._likely) and (option.subject[0] if option.kind == "outage" else option.fault) in self._likely

    def jitter(self) -> float:
        """Return a number from 0 to 1."""
        return self._random.random()


class Script:
    """Follows given choices, then takes the first option each time; notes how many there were to choose from.

    `preempts` and `faults` bound what may be chosen in all.
    """

    def __init__(self, choices: Sequence[int], *, preempts: int, faults: int) -> None:
        self._choices = choices
        self._preempts = preempts
        self._faults = faults
        self.taken: list[int] = []
        self.widths: list[int] = []

    def choose(self, options: Sequence[Option]) -> Option:
        """Return the option that the script says."""
        affordable = [o for o in options if o.preempts <= self._preempts and o.faults <= self._faults]
        at = len(self.taken)
        number = self._choices[at] if at < len(self._choices) else 0
        if number >= len(affordable):
            raise ValueError(f"choice {at} of the script is {number}, and there are {len(affordable)} options")
        option = affordable[number]
        self.taken.append(number)
        self.widths.append(len(affordable))
        self._preempts -= option.preempts
        self._faults -= option.faults
        return option

    def jitter(self) -> float:
        """Return the middle: time is chosen apart."""
        return 0.5

    def following(self) -> list[int] | None:
        """Return the script of the next schedule in depth-first order, or None after the last."""
        choices = list(self.taken)
        while choices:
            last = choices.pop()
            if last + 1 < self.widths[len(choices)]:
                return [*choices, last + 1]
        return None

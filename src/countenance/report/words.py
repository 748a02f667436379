"""Numbers in words: how a rate, a bound, a threshold and a group are written wherever people read them.

Two rules hold everywhere. A rate without errors is written as a bound ("none in 4,321 (at most 0.09 %)"), never as
zero. A value that the data cannot give is written as the reason why.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from countenance.audit.intervals import Interval
from countenance.audit.result import Estimate

__all__ = [
    "UNKNOWN",
    "Scores",
    "at_most",
    "beside",
    "count",
    "group_name",
    "interval",
    "of",
    "one_in",
    "percent",
    "plain",
    "predicted",
    "rate",
    "share",
]

UNKNOWN = "not known"
TINY = 1e-4  # below 0.01 % a percentage is mostly zeros, and "1 in 25,000" says more


def count(number: float) -> str:
    """``4321`` as ``4,321``."""
    return f"{round(number):,}"


def percent(share: float) -> str:
    """A share as a percentage with two significant figures: ``0.0523`` is ``5.2 %``. Near one, as near as it is to 100.

    What is not exactly 0 or 1 is never rounded to 0 % or 100 %: ``over 99.99 %``.
    """
    return f"{_percent_digits(share)} %"


def _percent_digits(share: float) -> str:
    value = share * 100 + 0.0  # no minus before a zero
    if value in (0.0, 100.0):
        return f"{value:.0f}"
    if value > 99.99:
        return "over 99.99"
    return f"{value:.{_shown(value)}f}"


def _shown(value: float) -> int:
    """Decimals a percentage is written with."""
    decimals = _decimals(min(value, 100 - value))
    return min(max(decimals, 1), 2) if value > 10 else decimals


def _decimals(number: float) -> int:
    """Decimals that give two significant figures."""
    return min(max(0, 1 - math.floor(math.log10(number))), 12) if number > 0 else 0


def at_most(share: float) -> str:
    """An upper bound as a percentage, rounded up: what is said is never below the bound itself."""
    if 0 < share < TINY:
        step = 10 ** (1 - math.floor(math.log10(1 / share)))
        return f"1 in {_big(math.floor(step / share + 1e-9) / step)}"
    scale = 10 ** _shown(share * 100)
    # The tiny slack keeps a bound that is already round, such as 0.09 %, from being lifted by its binary tail.
    return percent(min(1.0, math.ceil(share * 100 * scale - 1e-9) / scale / 100))


def one_in(share: float) -> str | None:
    """A small share as ``1 in 25,000``, two significant figures; None above one in ten and for zero."""
    if not 0 < share <= 0.1:
        return None
    return f"1 in {_big(1 / share)}"


def plain(share: float) -> str:
    """A share as a percentage, or as one in so many where a percentage would be mostly zeros."""
    return (one_in(share) or percent(share)) if 0 < share < TINY else percent(share)


def _big(number: float) -> str:
    digits = 1 - math.floor(math.log10(number))
    rounded = round(number, digits)
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if rounded >= size:
            return f"{rounded / size:.3g} {word}"
    return f"{rounded:,.0f}" if rounded >= 10 or rounded == int(rounded) else f"{rounded:.2g}"


def interval(found: Interval, value: float | None = None) -> str:
    """``3.5 to 7.5 %``; ``1 in 120,000 to 1 in 91,000`` round a value that is written so (see `plain`)."""
    if found.low > 0 and (found.high if value is None else value) < TINY:
        ends = [one_in(end) or percent(end) for end in (found.low, found.high)]
        return " to ".join(ends)
    return f"{_percent_digits(found.low)} to {percent(found.high)}"


def beside(estimate: Estimate) -> str:
    """What stands beside the counts: the rate with its interval, the bound alone, or the reason why there is none."""
    if estimate.value is None:
        return f"{UNKNOWN}: {estimate.reason}" if estimate.reason else UNKNOWN
    edge = estimate.interval
    if estimate.value in (0, 1):
        bound = f"({'at most' if estimate.value == 0 else 'at least'} "
        told = at_most(edge.high) if edge and estimate.value == 0 else percent(edge.low) if edge else ""
        return f"{bound}{told})" if edge else "(no bound known)"
    return (
        f"{plain(estimate.value)} ({interval(edge, estimate.value)})"
        if edge
        else f"{plain(estimate.value)} (uncertainty not known)"
    )


def predicted(estimate: Estimate) -> str:
    """A rate that was predicted, so that no one was counted: ``12.3 % (5.1 to 23.7 %)``, ``nearly all``."""
    if estimate.value is None:
        return beside(estimate)
    if estimate.value == 0:
        return f"at most {at_most(estimate.interval.high)}" if estimate.interval else "none expected"
    told = "nearly all" if estimate.value > 0.9999 else plain(estimate.value)
    return f"{told} ({interval(estimate.interval, estimate.value)})" if estimate.interval else told


def share(estimate: Estimate, trials: int | None = None) -> str:
    """The rate with its interval: ``5.2 % (3.5 to 7.5 %)``, ``none in 4,321 (at most 0.086 %)``, or the reason."""
    if estimate.value in (0, 1):
        return f"{of(estimate, 0 if estimate.value == 0 else None, trials, whole=True)} {beside(estimate)}"
    return beside(estimate)


def of(estimate: Estimate, errors: int | None = None, trials: int | None = None, whole: bool = False) -> str:
    """How often it happened: ``85 of 509``, ``none in 509``; with `whole`, for rates of 0 and 1 only."""
    errors = estimate.errors if estimate.errors is not None else errors
    trials = estimate.trials if estimate.trials is not None else trials
    if estimate.value == 0 or errors == 0:
        return "none" if trials is None else f"none in {count(trials)}"
    if estimate.value == 1 and whole:
        return "all" if trials is None else f"all {count(trials)}"
    if trials is None:
        return "" if errors is None else count(errors)
    return f"in {count(trials)}" if errors is None else f"{count(errors)} of {count(trials)}"


def rate(estimate: Estimate, errors: int | None = None, trials: int | None = None) -> str:
    """Counts and rate in one phrase: ``85 of 509: 16.7 % (13.6 to 20.3 %)``; ``none in 4,321 (at most 0.086 %)``."""
    if estimate.value is None or estimate.value in (0, 1):
        return share(estimate, trials)
    counted = of(estimate, errors, trials)
    return f"{counted}: {share(estimate)}" if counted else share(estimate)


@dataclass(frozen=True)
class Scores:
    """How scores are written for people: as similarities, or as distances (``-0.6``: ``distance 0.60``)."""

    distance: bool = False

    @property
    def noun(self) -> str:
        """``distance`` or ``score``."""
        return "distance" if self.distance else "score"

    def bare(self, score: float) -> str:
        """The number alone, four significant figures, at least two decimals below ten, with a true minus sign."""
        value = -score if self.distance else score
        text = f"{value + 0.0:.4g}"
        if "e" not in text and abs(value) < 10 and len(text.partition(".")[2]) < 2:
            text = f"{value + 0.0:.2f}"
        return text.replace("-", "−")

    def fine(self, score: float) -> str:
        """The number alone with three significant figures, zeros kept, for columns of scores."""
        value = -score if self.distance else score
        return f"{value + 0.0:#.3g}".removesuffix(".").replace("-", "−")

    def __call__(self, score: float) -> str:
        """``distance 0.60`` or ``score 0.363``."""
        return f"{self.noun} {self.bare(score)}"


def group_name(group: Mapping[str, str | None]) -> str:
    """``female, black``; ``everyone`` for the empty group; ``not labelled`` where a label is missing."""
    return ", ".join("not labelled" if value is None else str(value) for value in group.values()) or "everyone"

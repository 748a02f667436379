"""What a number of people can and cannot show: before a test (`plan`), and after it (`power_of`).

``docs/estimators/planner.md`` has the formulas and when not to use them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from countenance.audit.intervals import dyadic_variance
from countenance.audit.labels import one_in
from countenance.audit.pairrates import PairRates
from countenance.audit.result import Json, Power
from countenance.audit.tallies import Group, Sweep, Tallies
from countenance.errors import NotEnoughDataError

__all__ = [
    "WOLF_RATIO",
    "Plan",
    "Shows",
    "design_effect",
    "pairs_of",
    "people_for",
    "plan",
    "power_of",
    "shared_covariance",
]

RULE_OF_3 = -math.log(0.025)
RULE_OF_30 = 30.0
WOLF_RATIO = 0.4
FPIR = 0.01
TARGETS = (1e-3, 1e-4, 1e-5, 1e-6)
MOST_PEOPLE = 10**12


def pairs_of(people: int) -> int:
    """Pairs of different people among ``people``: n (n - 1) / 2."""
    return people * (people - 1) // 2


def people_for(pairs: float) -> int:
    """The fewest people who make at least so many pairs."""
    people = max(2, math.floor((1.0 + math.sqrt(1.0 + 8.0 * pairs)) / 2.0) - 1)
    while pairs_of(people) < pairs:
        people += 1
    return people


def design_effect(fmr: float, people: int, wolf_ratio: float = WOLF_RATIO) -> float:
    """How many times larger the variance of an FMR is than that of independent comparisons.

    ``1 + 2 (n - 2) c / (p (1 - p))``, c the covariance of two comparisons that share a person. Scores are taken as
    ``a_i + a_j + e`` with normal parts and ``wolf_ratio = sd(a) / sd(e)``: two comparisons that share a person then
    correlate by ``w^2 / (1 + 2 w^2)``, and c follows from the bivariate normal. Ratio 0 gives 1.

    Raises NotEnoughDataError with fewer than two ``people``.
    """
    if people < 2:
        raise NotEnoughDataError("a false match takes two people")
    shared = shared_covariance(fmr, wolf_ratio**2 / (1.0 + 2.0 * wolf_ratio**2))
    return 1.0 + 2.0 * (people - 2) * shared / (fmr * (1.0 - fmr))


def shared_covariance(fmr: float, correlation: float) -> float:
    """Covariance of two comparisons that share a person: the chance that both match, less ``fmr`` squared.

    Scores are normal and correlate by ``correlation`` in [0, 1).
    """
    # given what the person brings (z), the two comparisons are independent
    z = np.linspace(-12.0, 12.0, 4801)
    match = ndtr((math.sqrt(correlation) * z + float(ndtri(fmr))) / math.sqrt(1.0 - correlation))
    both = float((np.exp(-z * z / 2) * match * match).sum() * (z[1] - z[0])) / math.sqrt(2 * math.pi)
    return max(both - fmr**2, 0.0)


@dataclass(frozen=True)
class Shows:
    """What ``people`` in one group can show.

    ``smallest_fmr``: the upper bound (97.5 %) when no error is seen, 3.69 / M. ``rule_of_30_fmr``: the FMR that is
    measured to within about 30 % (30 errors, Doddington et al. 2000), were comparisons independent; ``dependent``
    the same with people who resemble many. ``references``: the largest gallery it could vouch for at FPIR 1 %, if no
    error is seen and people do resemble many.
    """

    people: int
    smallest_fmr: float
    rule_of_30_fmr: float
    dependent: float
    references: int

    def to_json(self) -> Json:
        """All fields."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Plan:
    """The outcome of `plan`. All numbers of people are for each group.

    ``no_error``: people needed to show the target if not one false match occurs. ``thirty_errors``: people needed to
    measure it, were comparisons independent. ``dependent``: the same with people who resemble many. ``certified``:
    people needed to certify a threshold if no error is seen (people resembling many allowed for), half of whom
    choose and half check. ``shows``: what ``subjects`` people
    can show.
    """

    target_fmr: float
    groups: int
    photos: int
    wolf_ratio: float
    no_error: int
    thirty_errors: int
    dependent: int
    certified: int
    subjects: int | None
    shows: Shows | None
    sentences: tuple[str, ...]

    def to_json(self) -> Json:
        """All fields."""
        return {
            "target_fmr": self.target_fmr,
            "groups": self.groups,
            "photos": self.photos,
            "wolf_ratio": self.wolf_ratio,
            "subjects_per_group": {
                "no_error": self.no_error,
                "thirty_errors": self.thirty_errors,
                "thirty_errors_dependent": self.dependent,
                "certified": self.certified,
            },
            "subjects": self.subjects,
            "shows": self.shows.to_json() if self.shows else None,
            "sentences": list(self.sentences),
        }


def plan(
    target_fmr: float,
    groups: int = 1,
    subjects: int | None = None,
    photos: int = 1,
    wolf_ratio: float = WOLF_RATIO,
) -> Plan:
    """How many people each of ``groups`` groups needs to show ``target_fmr``, and what ``subjects`` people can show.

    Rule of 3: M pairs of people without one error bound the FMR by 3.69 / M (97.5 %, one-sided). Rule of 30: 30
    expected errors measure it to within about 30 %. People who resemble many others (``wolf_ratio``, an assumption,
    stated) make errors come in clusters, so more people are needed. More ``photos`` of the same people are not more
    people: they make FNMR measurable (two photos a person), and leave the FMR's uncertainty nearly as it is.

    Raises NotEnoughDataError for a target that is no rate in (0, 1), fewer than two subjects, no group or no photo.
    """
    if not 0.0 < target_fmr < 1.0:
        raise NotEnoughDataError(f"--target-fmr: {target_fmr:g} is not between 0 and 1")
    if subjects is not None and subjects < 2:
        raise NotEnoughDataError("--subjects: a false match takes two people")
    if groups < 1 or photos < 1:
        raise NotEnoughDataError("--groups, --photos: plan for at least one")
    no_error = people_for(RULE_OF_3 / target_fmr)
    thirty = people_for(RULE_OF_30 / target_fmr)
    dependent = _smallest(lambda n: _effective_errors(target_fmr, n, wolf_ratio) >= RULE_OF_30, thirty)
    half = _smallest(lambda n: _evidence(target_fmr, n, wolf_ratio) >= RULE_OF_3, no_error)
    shows = None if subjects is None else _shows(subjects, wolf_ratio)
    told = [
        f"To show FMR {target_fmr:g} in each of {groups} group{'s' * (groups > 1)}"
        f" takes {no_error:,} people a group, if not one false match occurs ({no_error * groups:,} in all).",
        f"To measure it to within about 30 % takes {dependent:,} people a group, as some resemble many others"
        f" (assumed: wolf ratio {wolf_ratio:g}; {thirty:,} if nobody did).",
        f"To certify a threshold for it takes {2 * half:,} people a group: half of them choose, half check.",
        _photos(dependent, groups, photos),
    ]
    if shows is not None:
        told.append(
            f"{shows.people:,} people a group can show an FMR of {shows.smallest_fmr:.2g} at best (no false match),"
            f" measure one of {shows.dependent:.2g}, and vouch for a gallery of {shows.references:,} faces at FPIR 1 %."
        )
    return Plan(
        target_fmr, groups, photos, wolf_ratio, no_error, thirty, dependent, 2 * half, subjects, shows, tuple(told)
    )


def power_of(tallies: Tallies) -> Power:
    """What the people in these tallies could and could not show, by group and with the dependence that was measured.

    ``smallest_fmr`` 3.69 / M over all people; ``rule_of_30_fmr`` the smallest FMR on the ladder with 30 effective
    errors (rate squared over its variance), or 30 / M where no rung has as many. ``needed``: people for a list of
    targets.

    Raises NotEnoughDataError when nobody was compared with anybody else, or it is not known who.
    """
    sweep = tallies.verification or tallies.need("search")
    everyone = _measured(tallies, sweep, tallies.everyone)
    if everyone is None:
        raise NotEnoughDataError("it is not known who was compared, so what the data can show is not known either")
    smallest, thirty, pairs = everyone
    told = [
        f"{pairs:,} pairs of people can show an FMR of {one_in(smallest)} at best, and measure {one_in(thirty)}.",
        f"A gallery of at most {math.floor(FPIR / smallest):,} faces could be vouched for at FPIR 1 %.",
    ]
    for column in tallies.columns:
        for group in tallies.groups([column]):
            found = _measured(tallies, sweep, group)
            if found is None:
                told.append(f"{group}: no two people, so nothing can be shown.")
            else:
                told.append(f"{group}: at best FMR {one_in(found[0])}; measured down to {one_in(found[1])}.")
    people = 0 if sweep.left is None else int(np.unique(sweep.left.subject).size)
    needed: list[Json] = []
    for target in TARGETS:
        wanted = people_for(RULE_OF_3 / target)
        needed.append({"target_fmr": target, "subjects": wanted, "more": max(0, wanted - people)})
    return Power(smallest, thirty, tuple(told), tuple(needed))


def _measured(tallies: Tallies, sweep: Sweep, group: Group) -> tuple[float, float, int] | None:
    """(3.69 / M, smallest FMR with 30 effective errors, M) of a group; None without a pair of known people."""
    try:
        rates = PairRates(tallies, sweep, group)
    except NotEnoughDataError:
        return None
    rungs = [rates.sums(float(t)) for t in sweep.ladder]
    pairs = rungs[0].pairs
    found = []
    for sums in rungs:
        variance = max(dyadic_variance(sums), sums.rate * (1.0 - sums.rate) / pairs)
        if 0.0 < sums.rate < 1.0 and sums.rate**2 / variance >= RULE_OF_30:
            found.append(sums.rate)
    return min(1.0, RULE_OF_3 / pairs), min(found, default=min(1.0, RULE_OF_30 / pairs)), pairs


def _effective_errors(fmr: float, people: int, wolf_ratio: float) -> float:
    return fmr * pairs_of(people) / design_effect(fmr, people, wolf_ratio)


def _evidence(fmr: float, people: int, wolf_ratio: float) -> float:
    """Minus the logarithm of the chance that no error is seen: as in `dependent_zero_bound`, which stops at 3.69."""
    expected = fmr * pairs_of(people)
    excess = (design_effect(fmr, people, wolf_ratio) - 1.0) * (1.0 - fmr)
    return expected * math.log1p(excess) / excess if excess > 1e-9 else expected


def _shows(people: int, wolf_ratio: float) -> Shows:
    pairs = pairs_of(people)
    smallest, thirty = min(1.0, RULE_OF_3 / pairs), min(1.0, RULE_OF_30 / pairs)
    dependent = _rate(lambda p: _effective_errors(p, people, wolf_ratio) >= RULE_OF_30, thirty)
    bound = _rate(lambda p: _evidence(p, people, wolf_ratio) >= RULE_OF_3, smallest)
    return Shows(people, smallest, thirty, dependent, math.floor(FPIR / bound * (1 + 1e-12)))


def _rate(enough: Callable[[float], bool], start: float) -> float:
    """The smallest rate from ``start`` on that is enough; all larger ones are; 1 where none is."""
    if start < 1.0 and enough(start):
        return start
    low, high = math.log(start), 0.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if middle < -1e-9 and enough(math.exp(middle)) else (middle, high)
    return math.exp(high)


def _smallest(enough: Callable[[int], bool], start: int) -> int:
    """The smallest number from ``start`` on that is enough, by doubling and halving."""
    low, high = start - 1, start
    while not enough(high) and high < MOST_PEOPLE:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _photos(people: int, groups: int, photos: int) -> str:
    if photos == 1:
        return "One photo a person measures FMR only; a second one is needed to measure FNMR."
    return (
        f"{photos} photos a person ({people * groups * photos:,} in all) also measure FNMR, down to"
        f" {min(1.0, RULE_OF_3 / people):.2g} a group; for FMR they count little more than one photo each."
    )

"""Published searches of officials' faces, recomputed from their own counts.

The gallery is taken as fixed and every probe as one trial, so the interval is the exact binomial one
(Clopper, Pearson 1934). The photos, the scores and the people behind the counts were not published, so nothing
finer can be computed: no interval that knows of shared references, no rate at another threshold.
"""

import math
from dataclasses import dataclass

from scipy import stats

from countenance.audit.intervals import Interval, clopper_pearson
from countenance.audit.result import Estimate, Json
from countenance.errors import NotEnoughDataError

__all__ = ["PUBLISHED", "PublishedSearch", "RiskRatio", "implied_fmr", "risk_ratio"]


def implied_fmr(fpir: float, references: int) -> float:
    """The FMR per comparison that a search's FPIR implies, taking comparisons as independent.

    ``1 - (1 - fpir) ** (1 / references)``: the inverse of FPIR = 1 - (1 - FMR)^N (Grother, Quinn, Phillips 2010).
    ``fpir`` in [0, 1], ``references`` faces searched. Raises NotEnoughDataError when nobody was searched.
    """
    if references < 1:
        raise NotEnoughDataError("references: a gallery without a face implies no false match rate")
    return 1.0 if fpir >= 1.0 else -math.expm1(math.log1p(-fpir) / references)


@dataclass(frozen=True)
class RiskRatio:
    """How many times likelier the first group was to be in error than the second, and whether chance alone explains it.

    ``interval`` is Katz's (1978), on the logarithm; ``p_value`` is Fisher's exact test, two-sided.
    ``value`` is None, with a ``reason``, when a group has no error: no ratio can be given then, the p-value can.
    """

    value: float | None
    interval: tuple[float, float] | None
    p_value: float
    reason: str | None = None

    def to_json(self) -> Json:
        """All fields."""
        return {
            "value": self.value,
            "interval": list(self.interval) if self.interval else None,
            "p_value": self.p_value,
            "reason": self.reason,
        }


def risk_ratio(errors: int, trials: int, other_errors: int, other_trials: int) -> RiskRatio:
    """Compare the error rates of two groups of independent trials, such as probes of different people.

    Interval ``ratio * exp(+-1.96 * sqrt(1/a - 1/m + 1/b - 1/n))`` (Katz, Baptista, Azen, Pike 1978), approximate
    for few errors. Raises NotEnoughDataError when either group has no trial.
    """
    if trials < 1 or other_trials < 1:
        raise NotEnoughDataError("a group without a trial has no error rate to compare")
    table = [[errors, trials - errors], [other_errors, other_trials - other_errors]]
    p_value = float(stats.fisher_exact(table).pvalue)
    if errors == 0 or other_errors == 0:
        return RiskRatio(None, None, p_value, "a group without an error gives no ratio")
    ratio = (errors / trials) / (other_errors / other_trials)
    spread = math.sqrt(1 / errors - 1 / trials + 1 / other_errors - 1 / other_trials)
    half = float(stats.norm.ppf(0.975)) * spread
    return RiskRatio(ratio, (ratio * math.exp(-half), ratio * math.exp(half)), p_value)


@dataclass(frozen=True)
class PublishedSearch:
    """A published test: ``probes`` searched in ``references`` faces of other people."""

    name: str
    year: int
    system: str
    probes: int
    falsely_matched: int
    references: int
    source: str

    @property
    def fpir(self) -> Estimate:
        """FPIR with the exact binomial interval, the gallery taken as fixed. Without a probe NotEnoughDataError."""
        found = clopper_pearson(self.falsely_matched, self.probes)
        return Estimate(self.falsely_matched / self.probes, found, errors=self.falsely_matched, trials=self.probes)

    @property
    def fmr(self) -> Estimate:
        """The FMR per comparison that the FPIR implies (`implied_fmr`), with the interval carried over.

        Raises NotEnoughDataError without a probe or a reference.
        """
        found = clopper_pearson(self.falsely_matched, self.probes)
        ends = Interval(implied_fmr(found.low, self.references), implied_fmr(found.high, self.references))
        return Estimate(implied_fmr(self.falsely_matched / self.probes, self.references), ends)


_REKOGNITION = "Amazon Rekognition, similarity 80 (its default)"

PUBLISHED = (
    PublishedSearch(
        name="Members of Congress (ACLU)",
        year=2018,
        system=_REKOGNITION,
        probes=535,
        falsely_matched=28,
        references=25_000,
        source="ACLU of Northern California, 26 July 2018",
    ),
    PublishedSearch(
        name="New England athletes (ACLU of Massachusetts)",
        year=2019,
        system=_REKOGNITION,
        probes=188,
        falsely_matched=27,
        references=20_000,
        source="ACLU of Massachusetts, 21 October 2019",
    ),
    PublishedSearch(
        name="California legislators (ACLU)",
        year=2019,
        system=_REKOGNITION,
        probes=120,
        falsely_matched=26,
        references=25_000,
        source="ACLU of Northern California, 13 August 2019",
    ),
)

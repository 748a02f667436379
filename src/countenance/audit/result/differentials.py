"""How unequal the groups are."""

from dataclasses import dataclass

from countenance.audit.intervals import Interval
from countenance.audit.result.estimate import Json

__all__ = ["Differential", "Differentials"]


@dataclass(frozen=True)
class Differential:
    """One number for how unequal the groups are, its interval, and what chance alone would give
    (`under_no_difference`).

    ``under_no_difference`` is [median, 95th percentile] of the same number if all groups had the same rate.
    ``verdict`` is a sentence: a difference was found, or this test could not tell.
    """

    value: float | None
    interval: Interval | None
    under_no_difference: tuple[float, float] | None
    reason: str | None = None
    p_value: float | None = None
    at_least: float | None = None

    def to_json(self) -> Json:
        """As in the contract. ``at_least`` bounds a ratio that has no value because a group had no error."""
        found: Json = {
            "value": self.value,
            "interval": self.interval.to_json() if self.interval else None,
            "under_no_difference": list(self.under_no_difference) if self.under_no_difference else None,
            "p_value": self.p_value,
            "at_least": self.at_least,
        }
        return found | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True)
class Differentials:
    """Inequality between the groups of one grouping at one threshold."""

    by: tuple[str, ...]
    threshold: float
    max_min: Differential
    max_geomean: Differential
    garbe: Differential
    fdr: Differential
    verdict: str
    alpha: float = 0.5
    left_out: tuple[str, ...] = ()
    fnmr_max_min: Differential | None = None
    contrasts: tuple[Json, ...] = ()

    def to_json(self) -> Json:
        """As in the contract; ``contrasts`` compares the FMR of each group with that of all others."""
        return {
            "by": list(self.by),
            "threshold": self.threshold,
            "alpha": self.alpha,
            "max_min": self.max_min.to_json(),
            "max_geomean": self.max_geomean.to_json(),
            "garbe": self.garbe.to_json(),
            "fdr": self.fdr.to_json(),
            "verdict": self.verdict,
            "left_out": list(self.left_out),
            "fnmr_max_min": self.fnmr_max_min.to_json() if self.fnmr_max_min else None,
            "contrasts": list(self.contrasts),
        }

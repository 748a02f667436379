"""The 1:1 test: thresholds, groups and curves."""

from collections.abc import Mapping
from dataclasses import dataclass

from countenance.audit.result.estimate import Estimate, Json

__all__ = ["Curve", "GroupRates", "Operating", "Verification"]


@dataclass(frozen=True)
class Operating:
    """One threshold of interest: why it was chosen, and the error rates over all people there.

    ``origin`` is ``target``, ``documented`` or ``asked``; ``target_fmr`` is set for the first. ``threshold`` is None,
    with a reason, where no threshold can be chosen from this data.
    """

    origin: str
    target_fmr: float | None
    threshold: float | None
    fmr: Estimate
    fnmr: Estimate
    threshold_interval: tuple[float, float] | None = None
    reason: str | None = None

    def to_json(self) -> Json:
        """As in the contract of ``audit.json``."""
        found: Json = {"origin": self.origin, "target_fmr": self.target_fmr, "threshold": self.threshold}
        found["threshold_interval"] = list(self.threshold_interval) if self.threshold_interval else None
        if self.reason:
            found["reason"] = self.reason
        return found | self.fmr.to_json("fmr") | self.fnmr.to_json("fnmr")


@dataclass(frozen=True)
class GroupRates:
    """One group at one threshold: comparisons of its members with each other."""

    group: Mapping[str, str]
    subjects: int
    nonmated: int
    mated: int
    threshold: float
    fmr: Estimate
    fnmr: Estimate
    too_small: str | None = None

    def to_json(self) -> Json:
        """As in the contract; ``too_small`` says why a group's figures should not be read."""
        found: Json = {
            "group": dict(self.group),
            "subjects": self.subjects,
            "nonmated": self.nonmated,
            "mated": self.mated,
            "threshold": self.threshold,
        }
        found |= self.fmr.to_json("fmr") | self.fnmr.to_json("fnmr")
        return found | ({"too_small": self.too_small} if self.too_small else {})


@dataclass(frozen=True)
class Curve:
    """Rates at rising thresholds, for plots: one group's FMR and FNMR (None where there is no data).

    ``fmr_low`` and ``fmr_high`` are the interval at each threshold; ``fmr_band_low`` and ``fmr_band_high`` hold the
    whole curve at once (95 %). None where it is not known who was compared, and the band also where nothing or
    everything matches at every threshold.
    ``mated`` and ``nonmated`` are the subject-weighted densities of the scores over ``bin_edges``.
    """

    group: Mapping[str, str]
    thresholds: tuple[float, ...]
    fmr: tuple[float, ...] | None
    fnmr: tuple[float, ...] | None
    fmr_low: tuple[float, ...] | None = None
    fmr_high: tuple[float, ...] | None = None
    fmr_band_low: tuple[float, ...] | None = None
    fmr_band_high: tuple[float, ...] | None = None
    bin_edges: tuple[float, ...] = ()
    mated_density: tuple[float, ...] | None = None
    nonmated_density: tuple[float, ...] | None = None

    def to_json(self) -> Json:
        """All fields as lists."""
        return {
            "group": dict(self.group),
            "thresholds": list(self.thresholds),
            "fmr": _list(self.fmr),
            "fmr_low": _list(self.fmr_low),
            "fmr_high": _list(self.fmr_high),
            "fmr_band_low": _list(self.fmr_band_low),
            "fmr_band_high": _list(self.fmr_band_high),
            "fnmr": _list(self.fnmr),
            "bin_edges": list(self.bin_edges),
            "mated_density": _list(self.mated_density),
            "nonmated_density": _list(self.nonmated_density),
        }


@dataclass(frozen=True)
class Verification:
    """The 1:1 test.

    ``matrix`` holds FMR between every two groups at the headline threshold (rows of ``GroupRates`` fields).
    """

    thresholds: tuple[Operating, ...]
    groups: tuple[GroupRates, ...]
    curves: tuple[Curve, ...] = ()
    matrix: tuple[Json, ...] = ()
    reason: str | None = None

    def to_json(self) -> Json:
        """As in the contract, with curves and the matrix beside."""
        found: Json = {
            "thresholds": [t.to_json() for t in self.thresholds],
            "groups": [g.to_json() for g in self.groups],
            "matrix": list(self.matrix),
            "curves": [c.to_json() for c in self.curves],
        }
        return found | ({"reason": self.reason} if self.reason else {})


def _list(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)

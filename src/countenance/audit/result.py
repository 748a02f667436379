"""The outcome of an audit: frozen values with their uncertainty, and the JSON that others script against.

Nothing here computes a rate. `countenance.audit.run` fills these, `countenance.report` shows them.
The JSON is described by ``report/audit.schema.json``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from countenance.audit.intervals import Interval

__all__ = [
    "SCHEMA",
    "AuditResult",
    "Counts",
    "Curve",
    "Differential",
    "Differentials",
    "Estimate",
    "GallerySize",
    "GroupRates",
    "MatchedPair",
    "Operating",
    "Power",
    "Search",
    "SearchContrast",
    "SearchGroup",
    "SearchPoint",
    "Suspect",
    "TailFit",
    "Untested",
    "Verification",
]

SCHEMA = "urn:countenance:audit:1"
TIE_RULE = "a comparison is a match when score >= threshold"

Json = dict[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A rate with its 95 % interval, or no value and the reason why the data cannot give one.

    ``errors`` are the comparisons (or probes) in error, unweighted; ``trials`` those made. With zero errors the value
    is 0.0 and ``interval`` runs up to the 97.5 % bound: print the bound, never the zero. ``disjoint_bound`` is the
    bound that people met only once would give.
    """

    value: float | None
    interval: Interval | None = None
    reason: str | None = None
    errors: int | None = None
    trials: int | None = None
    disjoint_bound: float | None = None

    def to_json(self, name: str) -> Json:
        """``{name:

        value, name_interval: [low, high] or None, name_reason: why}``; the reason only where it is needed.
        """
        found: Json = {name: self.value, f"{name}_interval": self.interval.to_json() if self.interval else None}
        if self.reason:
            found[f"{name}_reason"] = self.reason
        if self.errors is not None:
            found[f"{name}_errors"] = self.errors
        if self.disjoint_bound is not None:
            found[f"{name}_disjoint_bound"] = self.disjoint_bound
        return found


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
    """Rates at rising thresholds, for plots: one group's FMR and FNMR (None where there is no data), with bands.

    ``mated`` and ``nonmated`` are the subject-weighted densities of the scores over ``bin_edges``.
    """

    group: Mapping[str, str]
    thresholds: tuple[float, ...]
    fmr: tuple[float, ...] | None
    fnmr: tuple[float, ...] | None
    fmr_low: tuple[float, ...] | None = None
    fmr_high: tuple[float, ...] | None = None
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


@dataclass(frozen=True)
class SearchGroup:
    """One group of probes at one threshold: who of them was matched to somebody else, and who was missed."""

    group: Mapping[str, str]
    probes: int
    falsely_matched: int
    fpir: Estimate
    mated_probes: int
    fnir: Estimate
    too_small: str | None = None

    def to_json(self) -> Json:
        """As in the contract."""
        found: Json = {"group": dict(self.group), "probes": self.probes, "falsely_matched": self.falsely_matched}
        found |= self.fpir.to_json("fpir")
        found |= {"mated_probes": self.mated_probes} | self.fnir.to_json("fnir")
        return found | ({"too_small": self.too_small} if self.too_small else {})


@dataclass(frozen=True)
class SearchContrast:
    """One group's false matches beside those of all other probes that have a label in the same columns.

    ``ratio`` of the two shares with its interval, None where either saw no false match; ``p_adjusted`` by Fisher's
    exact test, adjusted for the number of groups of this grouping.
    """

    by: tuple[str, ...]
    group: Mapping[str, str]
    ratio: float | None
    interval: tuple[float, float] | None
    p_adjusted: float

    def to_json(self) -> Json:
        """All fields."""
        return {
            "by": list(self.by),
            "group": dict(self.group),
            "ratio": self.ratio,
            "ratio_interval": list(self.interval) if self.interval else None,
            "p_adjusted": self.p_adjusted,
        }


@dataclass(frozen=True)
class SearchPoint:
    """The search at one threshold, over all probes and per group.

    ``contrasts`` are empty where a person was searched for with several photos: such searches are not independent.
    """

    threshold: float
    everyone: SearchGroup
    groups: tuple[SearchGroup, ...]
    origin: str = "sweep"
    target_fmr: float | None = None
    contrasts: tuple[SearchContrast, ...] = ()

    @property
    def verdicts(self) -> dict[tuple[str, ...], str]:
        """A sentence for each grouping: who was matched to somebody else more or less often, or that it is open."""
        told = {}
        for by in dict.fromkeys(c.by for c in self.contrasts):
            found = [c for c in self.contrasts if c.by == by and c.p_adjusted < 0.05]
            words = [
                f"{', '.join(c.group.values())} "
                + ("none, unlike the others" if c.ratio is None else f"{c.ratio:.2g} times as often as the others")
                + f" (p = {c.p_adjusted:.1g})"
                for c in found
            ]
            text = "; ".join(words) if words else "this test could not tell whether the groups differ"
            told[by] = f"By {' and '.join(by)}: {text}."
        return told

    def to_json(self) -> Json:
        """As in the contract."""
        found: Json = {"threshold": self.threshold, "origin": self.origin, "target_fmr": self.target_fmr}
        whole = self.everyone.to_json()
        whole.pop("group")
        found |= whole | {"groups": [g.to_json() for g in self.groups]}
        return found | {"contrasts": [c.to_json() for c in self.contrasts]}


@dataclass(frozen=True)
class MatchedPair:
    """A probe and the stranger it was matched with. Names and photos only when they were the input; else numbers."""

    score: float
    probe: str
    reference: str
    probe_group: Mapping[str, str | None]
    reference_group: Mapping[str, str | None]
    probe_path: str | None = None
    reference_path: str | None = None

    def to_json(self) -> Json:
        """All fields."""
        return {
            "score": self.score,
            "probe": self.probe,
            "reference": self.reference,
            "probe_group": dict(self.probe_group),
            "reference_group": dict(self.reference_group),
            "probe_path": self.probe_path,
            "reference_path": self.reference_path,
        }


@dataclass(frozen=True)
class Search:
    """The ACLU's test: every probe searched in a gallery of other people, the best stranger of each in ``pairs``."""

    probes: int
    references: int
    points: tuple[SearchPoint, ...]
    pairs: tuple[MatchedPair, ...] = ()
    rank: int = 1

    def to_json(self) -> Json:
        """As in the contract."""
        return {
            "probes": self.probes,
            "references": self.references,
            "rank": self.rank,
            "points": [p.to_json() for p in self.points],
            "pairs": [p.to_json() for p in self.pairs],
        }


@dataclass(frozen=True)
class Suspect:
    """A pair that looks like a label error. Listed, never removed; ``kind`` is ``nonmated_alike`` or ``mated_unlike``.

    ``verdict`` is a person's (``same``, ``different``, ``unsure``) where one was given.
    """

    kind: str
    score: float
    left: str
    right: str
    left_path: str | None
    right_path: str | None
    why: str
    verdict: str | None = None

    def to_json(self) -> Json:
        """All fields."""
        return dict(self.__dict__)


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


@dataclass(frozen=True)
class GallerySize:
    """FPIR in a gallery of ``references`` faces at ``threshold``: measured on nested galleries, or predicted."""

    references: int
    threshold: float
    fpir: Estimate
    predicted: float | None
    extrapolated: bool
    group: Mapping[str, str] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Measured over predicted FPIR; None beyond the measured gallery, and where nothing was predicted."""
        if self.extrapolated or not self.predicted or self.fpir.value is None:
            return None
        return self.fpir.value / self.predicted

    def to_json(self) -> Json:
        """As in the contract, with the ratio of measured to predicted."""
        found: Json = {"references": self.references, "threshold": self.threshold, "group": dict(self.group)}
        found |= self.fpir.to_json("fpir") | {"fpir_predicted": self.predicted, "extrapolated": self.extrapolated}
        return found | {"measured_to_predicted": self.ratio}


@dataclass(frozen=True)
class TailFit:
    """Peaks over threshold: a generalised Pareto tail, always an extrapolation. ``points`` are the diagnostic plot."""

    cut: float
    exceedances: int
    shape: float
    shape_interval: tuple[float, float]
    scale: float
    lowest_fmr: float
    estimates: tuple[Json, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    warning: str | None = None

    def to_json(self) -> Json:
        """All fields."""
        found = dict(self.__dict__)
        found["shape_interval"] = list(self.shape_interval)
        found["estimates"] = list(self.estimates)
        found["points"] = [list(p) for p in self.points]
        return found


@dataclass(frozen=True)
class Power:
    """What this many subjects can and cannot show.

    ``statements`` are sentences; ``needed`` what a target would take.
    """

    smallest_fmr: float
    rule_of_30_fmr: float
    statements: tuple[str, ...]
    needed: tuple[Json, ...] = ()

    def to_json(self) -> Json:
        """All fields."""
        return {
            "smallest_fmr": self.smallest_fmr,
            "rule_of_30_fmr": self.rule_of_30_fmr,
            "statements": list(self.statements),
            "needed": list(self.needed),
        }


@dataclass(frozen=True)
class Counts:
    """How much was compared, and what fell out on the way."""

    subjects: int | None
    templates: int | None
    mated: int
    nonmated: int
    unlabelled: Mapping[str, int] = field(default_factory=dict)
    photos_failed: int = 0
    subjects_failed: int = 0
    failures: tuple[Json, ...] = ()

    def to_json(self) -> Json:
        """All fields."""
        found = dict(self.__dict__)
        found["unlabelled"] = dict(self.unlabelled)
        if self.subjects is None:
            found["subjects_reason"] = found["templates_reason"] = "the table of scores does not say who was compared"
        found["failures"] = list(self.failures)
        return found


@dataclass(frozen=True)
class Untested:
    """Somebody or something this audit says nothing about, and why."""

    what: str
    why: str

    def to_json(self) -> Json:
        """All fields."""
        return {"what": self.what, "why": self.why}


@dataclass(frozen=True)
class AuditResult:
    """Everything an audit found. ``headline`` is one sentence. ``made`` is the only place that holds a time.

    ``comparison`` is the second system measured on the same data, where one was given.
    ``adjudicated`` is the same audit after a person's verdicts on suspected label errors were applied.
    """

    headline: str
    inputs: Mapping[str, Any]
    counts: Counts
    verification: Verification | None
    search: Search | None
    differentials: tuple[Differentials, ...] = ()
    gallery_sizes: tuple[GallerySize, ...] = ()
    vouches_for: Json | None = None
    tail: TailFit | None = None
    power: Power | None = None
    comparison: Json | None = None
    suspects: tuple[Suspect, ...] = ()
    not_tested: tuple[Untested, ...] = ()
    notes: tuple[str, ...] = ()
    weighting: str = "subject"
    adjudicated: "AuditResult | None" = None
    reproduce: str = ""
    made: str | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Json:
        """The whole of ``audit.json``.

        ``differentials`` is the first grouping's; ``all_differentials`` has every one.
        """
        found: Json = {
            "schema": SCHEMA,
            "made": self.made,
            "headline": self.headline,
            "tie_rule": TIE_RULE,
            "weighting": self.weighting,
            "inputs": dict(self.inputs),
            "counts": self.counts.to_json(),
            "verification": self.verification.to_json() if self.verification else None,
            "search": self.search.to_json() if self.search else None,
            "differentials": self.differentials[0].to_json() if self.differentials else None,
            "all_differentials": [d.to_json() for d in self.differentials],
            "gallery_sizes": [g.to_json() for g in self.gallery_sizes],
            "vouches_for": self.vouches_for,
            "tail": self.tail.to_json() if self.tail else None,
            "power": self.power.to_json() if self.power else None,
            "comparison": self.comparison,
            "suspects": [s.to_json() for s in self.suspects],
            "not_tested": [u.to_json() for u in self.not_tested],
            "notes": list(self.notes),
            "reproduce": self.reproduce,
            "adjudicated": self.adjudicated.to_json() if self.adjudicated else None,
        }
        for name, reason in self.reasons.items():
            found[f"{name}_reason"] = reason
        return found


def _list(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)

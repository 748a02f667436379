"""The 1:N test: probes searched in a gallery of other people, and galleries of other sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from countenance.audit.result.estimate import Estimate, Json

__all__ = ["GallerySize", "MatchedPair", "Search", "SearchContrast", "SearchGroup", "SearchPoint"]


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

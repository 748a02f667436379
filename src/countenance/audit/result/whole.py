"""The outcome of an audit as one value, and as the JSON that others script against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from countenance.audit.result.differentials import Differentials
from countenance.audit.result.estimate import Json
from countenance.audit.result.limits import Counts, Power, Suspect, TailFit, Untested
from countenance.audit.result.search import GallerySize, Search
from countenance.audit.result.verification import Verification

__all__ = ["SCHEMA", "TIE_RULE", "AuditResult"]

SCHEMA = "urn:countenance:audit:1"
TIE_RULE = "a comparison is a match when score >= threshold"


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

"""What the data can tell and what not: how much was compared, what is missing, what looks wrong, the tail."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from countenance.audit.result.estimate import Json

__all__ = ["Counts", "Power", "Suspect", "TailFit", "Untested"]


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

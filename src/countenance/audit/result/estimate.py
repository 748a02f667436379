"""A rate with its uncertainty: what every other part of the result is made of."""

from dataclasses import dataclass
from typing import Any

from countenance.audit.intervals import Interval

__all__ = ["Estimate", "Json"]

Json = dict[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A rate with its 95 % interval, or no value and the reason why the data cannot give one.

    ``errors`` are the comparisons (or probes) in error, unweighted; ``trials`` those made. With zero errors the value
    is 0.0 and ``interval`` runs up to the 97.5 % bound: print the bound, never the zero. ``disjoint_bound`` is the
    bound that people met only once would give, ``dependent_bound`` the one that allows for people being in many
    comparisons, as strongly as was measured at a lower threshold (None where that is not known).
    """

    value: float | None
    interval: Interval | None = None
    reason: str | None = None
    errors: int | None = None
    trials: int | None = None
    disjoint_bound: float | None = None
    dependent_bound: float | None = None

    @property
    def guaranteed(self) -> float | None:
        """The upper bound for a guarantee: with errors that of the interval, with none the larger known bound."""
        if self.interval is None:
            return None
        return max(self.interval.high, self.dependent_bound or 0.0)

    def to_json(self, name: str) -> Json:
        """``{name: value, name_interval: [low, high] or None}``, and ``name_reason`` where a reason is needed."""
        found: Json = {name: self.value, f"{name}_interval": self.interval.to_json() if self.interval else None}
        if self.reason:
            found[f"{name}_reason"] = self.reason
        if self.errors is not None:
            found[f"{name}_errors"] = self.errors
        if self.disjoint_bound is not None:
            found[f"{name}_disjoint_bound"] = self.disjoint_bound
        if self.dependent_bound is not None:
            found[f"{name}_dependent_bound"] = self.dependent_bound
        return found

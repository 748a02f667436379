"""Who takes part in a pass: one numbering of subjects and cells for all sets of templates."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from countenance.audit.plan import PURE, Side
from countenance.audit.tallies import Failures, IntArray, Sides, Sweep, Tallies
from countenance.audit.templates import TemplateSet
from countenance.errors import InputError

__all__ = ["People"]


class People:
    """One numbering of subjects and cells for all sets: the same name is the same person."""

    def __init__(self, sets: list[TemplateSet]) -> None:
        self.sets = sets
        first = sets[0]
        for other in sets[1:]:
            if other.metric != first.metric or other.system.pipeline != first.system.pipeline:
                raise InputError("templates: the sets come from different systems; embed all photos with one model")
            if other.count and first.count and other.vectors.shape[1] != first.vectors.shape[1]:
                raise InputError(
                    f"templates: {first.vectors.shape[1]} and {other.vectors.shape[1]} numbers each; use one model"
                )
        self.names = tuple(dict.fromkeys(name for s in sets for name in s.subjects))
        number = {name: k for k, name in enumerate(self.names)}
        self.number = [np.array([number[n] for n in s.subjects], dtype=np.int64) for s in sets]
        self.columns = tuple(dict.fromkeys(c for s in sets for c in s.groups))
        self.notes = [note for s in sets for note in s.notes]
        labels = [self._labels(c) for c in self.columns]
        combined = list(zip(*labels, strict=True)) if labels else [()] * len(self.names)
        self.cells = tuple(sorted(set(combined), key=lambda cell: [(v is None, v or "") for v in cell]))
        at = {cell: k for k, cell in enumerate(self.cells)}
        self.cell = np.array([at[c] for c in combined], dtype=np.int64)

    def _labels(self, column: str) -> list[str | None]:
        """One label a person: the first set that has one; a conflict is noted and the first stands."""
        found: list[str | None] = [None] * len(self.names)
        conflicts = 0
        for numbers, given in zip(self.number, self.sets, strict=True):
            for k, label in zip(numbers, given.groups.get(column, ()), strict=False):
                conflicts += label is not None and found[k] is not None and found[k] != label
                found[k] = label if found[k] is None else found[k]
        if conflicts:
            self.notes.append(f"{column}: {conflicts} subjects have different labels in two sets; the first one counts")
        return found

    def _at(self, given: TemplateSet) -> IntArray:
        return self.number[next(k for k, s in enumerate(self.sets) if s is given)][given.subject]

    def side(self, given: TemplateSet, chosen: NDArray[np.int64], pure: int = PURE) -> Side:
        """The chosen templates, ready for a sweep."""
        return Side.make(given.vectors, chosen, given.metric == "cosine", self._at(given)[chosen], self.cell, pure)

    def sides(self, given: TemplateSet, chosen: NDArray[np.int64]) -> Sides:
        """Who the chosen templates are."""
        return Sides(
            self._at(given)[chosen],
            given.paths if len(chosen) == given.count else tuple(given.paths[k] for k in chosen),
        )

    def _failures(self) -> Failures | None:
        """Of each person the most that any set counts: sets may hold the same photos, which must not count twice."""
        if all(s.failures is None for s in self.sets):
            return None
        photos, failed = (np.zeros(len(self.names), np.int64) for _ in range(2))
        for numbers, given in zip(self.number, self.sets, strict=True):
            made = np.bincount(given.subject, minlength=len(numbers))
            tried = given.failures or Failures(made, np.zeros_like(made))
            photos[numbers] = np.maximum(photos[numbers], tried.photos)
            failed[numbers] = np.maximum(failed[numbers], tried.failed)
        return Failures(photos, failed)

    def tallies(self, verification: Sweep | None, search: Sweep | None, seed: int) -> Tallies:
        """The finished sweeps with who took part."""
        inputs = {k: v for s in reversed(self.sets) for k, v in s.inputs.items()} | {"seed": seed}
        return Tallies(
            system=replace(self.sets[0].system, metric=self.sets[0].system.metric or self.sets[0].metric),
            columns=self.columns,
            cells=self.cells,
            cell=self.cell,
            verification=verification,
            search=search,
            failures=self._failures(),
            names=self.names,
            inputs=inputs,
            notes=tuple(dict.fromkeys(self.notes)),
        )

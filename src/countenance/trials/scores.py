"""Tables of scores, so that whoever has only a vendor's scores can audit: any number of rows, within 2 GB.

With subjects on both sides everything can be computed; with ``mated`` only, rates without intervals. How a table is
read, and what is done with self-comparisons, repetitions and both directions, is told in docs/score-tables.md.
"""

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from countenance.audit.rates import threshold_for
from countenance.audit.tallies import FloatArray, Group, IntArray, Sides, Sweep, System, Tallies
from countenance.errors import InputError, NotEnoughDataError, ScoreTableError
from countenance.trials.labels import MOST_CELLS, MOST_VALUES_BY_DEFAULT, Labels, choose, label
from countenance.trials.score_people import (
    MOST_SAMPLES,
    MOST_WORDS,
    Codes,
    Naming,
    Oddities,
    PersonLabel,
    Samples,
    name_samples,
    tidy,
)
from countenance.trials.score_reader import Layout, batches, layout_of, rows_estimate
from countenance.trials.score_spill import RECORD, Scale, Spill
from countenance.trials.score_sums import Search, Sums

BINS = 65_536  # thresholds at which every count is exact
HISTOGRAMS = 1 << 24  # bins over all pairs of cells, which bounds the memory for histograms
TOP = 16_384  # highest non-mated scores that are thresholds of their own, where there are more scores than bins
RUNGS = tuple(10 ** (-k / 2) for k in range(1, 15))  # FMRs at whose thresholds sums over people are kept

Progress = Callable[[int, int], None]
"""Called with the work done and all of it, in thousandths."""


def read_scores(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    distance: bool = False,
    by: Sequence[str] | None = None,
    thresholds: Sequence[float] = (),
    system: System | None = None,
    progress: Progress | None = None,
) -> Tallies:
    """Read a table of scores (CSV, Parquet, or bob's 4- and 5-column text) into tallies.

    ``columns`` gives the file's name of a role, such as {"score": "similarity"}. ``distance`` negates the scores.
    ``thresholds`` (similarities) are counted exactly. ``by`` names the group columns, by default all that can be one.

    Raises ScoreTableError, naming the first ten faulty rows and counting the rest: nothing is made of a faulty table.
    """
    layout = layout_of(Path(path), columns, by)
    report = progress or (lambda _done, _all: None)
    asked = tuple(float(t) for t in thresholds)
    if system is None:
        system = System(f"scores of {layout.path.name}", metric="distance, negated" if distance else "score")
    if system.documented_threshold is not None:
        asked = (*asked, system.documented_threshold)
    if not all(map(math.isfinite, asked)):
        raise InputError("--threshold: must be a finite number")
    table = _People(layout, by) if layout.has_subjects else _Pairs(layout, by)
    with Spill(rows_estimate(layout)) as spill:
        scale = Scale(BINS, TOP)
        for batch, share in batches(layout, distance):
            nonmated = table.see(batch, spill)
            scale.see(batch.score, nonmated)
            report(int(600 * share), 1000)
        if not spill.rows:
            raise ScoreTableError(f"{layout.path}: names columns but holds no score; add a row for every comparison")
        found = table.tallies(spill, scale, asked, lambda share: report(600 + int(400 * share), 1000))
    with layout.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    report(1000, 1000)
    inputs = {"scores": {"sha256": digest, "rows": spill.rows, "distance": distance}}
    return Tallies(system=system, inputs=inputs, **found)


class _Pairs:
    """A table that says of each comparison whether it is mated, and perhaps one group; not who was compared."""

    def __init__(self, layout: Layout, by: Sequence[str] | None) -> None:
        self._layout, self._asked = layout, bool(by)
        self._codes = Codes()

    def see(self, batch: Any, spill: Spill) -> Any:
        rows = np.zeros(len(batch.score), RECORD)
        if self._layout.pair_group and len(self._codes.number) <= MOST_WORDS:
            rows["p"] = self._codes.of(batch.words[self._layout.pair_group])
        rows["r"] = batch.mated
        rows["score"] = batch.score
        spill.add(rows)
        return ~batch.mated

    def tallies(
        self, spill: Spill, scale: Scale, thresholds: tuple[float, ...], report: Callable[[float], None]
    ) -> dict[str, Any]:
        labels, notes = self._labels()
        cells: list[str | None] = sorted({v for v in labels if v is not None}) + ([None] if None in labels else [])
        cell_of = np.array([cells.index(v) for v in labels], dtype=np.int64)
        grid, exact = scale.grid(max(min(BINS, HISTOGRAMS // len(cells)), 2), thresholds)
        counts = np.zeros((2, len(cells), len(grid)), np.int64)
        done = 0
        for rows in spill.chunks():
            at = np.searchsorted(grid, rows["score"], side="right") - 1
            np.add.at(counts, (rows["r"].astype(np.int64), cell_of[rows["p"]], at), 1)
            done += len(rows)
            report(done / spill.rows)
        unlabelled = int(counts[:, -1].sum()) if cells[-1] is None and len(cells) > 1 else 0
        if unlabelled:
            notes.append(f"{unlabelled:,} rows have no {self._layout.pair_group}; they form no group")
        sweep = Sweep(
            symmetric=True,
            grid=grid,
            ladder=_ladder_of_asked(grid, thresholds),
            cell_pairs=np.repeat(np.arange(len(cells)), 2).reshape(-1, 2),
            pairs=counts[0].sum(axis=1),
            nonmated=counts[0],
            nonmated_weight=counts[0].astype(np.float64),
            mated=counts[1],
            mated_weight=counts[1].astype(np.float64),
        )
        column = self._layout.pair_group
        grouped = column is not None and cells != [None]
        return {
            "columns": (column,) if grouped else (),
            "cells": tuple((value,) for value in cells) if grouped else ((),),
            "cell": np.empty(0, np.int64),
            "verification": sweep,
            "notes": (*self._layout.notes, *notes, *_grid_note(exact, grid)),
        }

    def _labels(self) -> tuple[list[str | None], list[str]]:
        """The label of each word of the group column, and notes; no labels at all when there are too many."""
        name = self._layout.pair_group
        if name is None:
            return [None], []
        labels = [label(word) for word in self._codes.words]
        count = len({v for v in labels if v is not None})
        if self._asked and count > MOST_CELLS:
            raise ScoreTableError(f"--by {name}: makes {count} groups, more than {MOST_CELLS}; bin it into bands")
        if not self._asked and count > MOST_VALUES_BY_DEFAULT:
            return [None for _ in labels], [
                f"column {name} is not a group: it has {count} different values; bin it into bands"
            ]
        return labels, []


class _People:
    """A table that says who was compared."""

    def __init__(self, layout: Layout, by: Sequence[str] | None) -> None:
        self._layout, self._by = layout, by
        self._people = Codes()
        self._labels = [PersonLabel(name, pair) for name, pair in layout.groups.items()]
        self._samples = (Samples("probe", layout), Samples("reference", layout))
        self._known = all(side.column for side in self._samples)
        self._searches: IntArray = np.zeros(0, np.int64)
        self._rows = 0
        self._notes = list(layout.notes)
        if not self._known:
            self._notes.append(
                "without probe and reference ids, repeated rows and searches cannot be told; every row counts"
            )

    def see(self, batch: Any, spill: Spill) -> Any:
        """Put a batch aside; returns which of its rows are non-mated."""
        role = self._layout.role
        subject = (
            self._people.of(batch.words[role["probe_subject"]]),
            self._people.of(batch.words[role["reference_subject"]]),
        )
        rows = np.zeros(len(batch.score), RECORD)
        rows["a"], rows["b"], rows["score"] = *subject, batch.score
        for column in self._labels:
            column.see(batch, subject, len(self._people.number))
        if self._known:
            sides = zip(("p", "r"), self._samples, subject, strict=True)
            for name, samples, who in sides:
                rows[name] = samples.see(batch, who, self._people, self._rows)
            made = np.bincount(rows["p"], minlength=len(self._searches))
            made[: len(self._searches)] += self._searches
            self._searches = made
            if sum(len(s.codes.number) for s in self._samples) > MOST_SAMPLES:
                self._forget_samples()
        self._rows += len(rows)
        spill.add(rows)
        return subject[0] != subject[1]

    def _forget_samples(self) -> None:
        self._known = False
        self._samples = (Samples("probe", self._layout), Samples("reference", self._layout))
        self._notes.append(
            f"more than {MOST_SAMPLES:,} probe and reference ids: repeated rows and searches were not looked for"
        )

    def tallies(
        self, spill: Spill, scale: Scale, thresholds: tuple[float, ...], report: Callable[[float], None]
    ) -> dict[str, Any]:
        people = len(self._people.number)
        countless = [column.name for column in self._labels if column.countless]
        if countless and self._by is not None:
            raise ScoreTableError(f"--by {countless[0]}: has more than {MOST_WORDS:,} values; bin it into bands")
        self._notes += [f"column {n} is not a group: it has more than {MOST_WORDS:,} values" for n in countless]
        groups, notes = choose([c.column(people) for c in self._labels if not c.countless], self._by)
        self._notes += notes
        cells, cell = _cells(groups, people)
        grid, exact = scale.grid(max(min(BINS, HISTOGRAMS // (len(cells) ** 2)), 1024), thresholds)
        self._notes += _grid_note(exact, grid)
        naming = name_samples(*self._samples) if self._known else None
        sums = [Sums(grid, cell, len(cells), symmetric=True)]
        search = self._search()
        if search:
            sums.append(Sums(grid, cell, len(cells), symmetric=False))
        counted = self._pass(spill, naming, sums, search, report)
        ladder = _ladder(Sweep(**sums[0].counted()), len(cells), thresholds)
        for each in sums:
            each.begin(ladder)
        if search:
            search.begin(ladder)
        for number, (path, rows) in enumerate(spill.parts()):
            sums[0].add(rows[: counted[path]])
            if search:
                sums[1].add(rows)
                search.add(rows)
            report(0.5 + 0.5 * (number + 1) / len(counted))
        verification, searched = self._sweeps(sums, search, naming, people)
        return {
            "columns": tuple(groups),
            "cells": cells,
            "cell": cell,
            "verification": verification,
            "search": searched,
            "names": self._people.words,
            "notes": tuple(self._notes),
        }

    def _pass(
        self,
        spill: Spill,
        naming: Naming | None,
        sums: Sequence[Sums],
        search: Search | None,
        report: Callable[[float], None],
    ) -> dict[Path, int]:
        """Tidy and count every part; returns how many rows of each count in the verification."""
        found, counted = Oddities(), {}
        done, rows_in_all = 0, max(spill.rows, 1)
        for path, given in spill.parts():
            rows, kept = (given, len(given)) if naming is None else tidy(given, naming, found)
            counted[path] = kept
            spill.replace(path, rows)
            sums[0].count(rows[:kept])
            if search:
                sums[1].count(rows)
                search.count(rows)
            done += len(given)
            report(0.5 * done / rows_in_all)
        self._notes += found.notes()
        if naming is not None and naming.clashing:
            self._notes.append(
                f"{naming.clashing:,} ids stand for different people as a probe and as a reference: the two were taken "
                f"for different samples, and comparisons of a sample with itself could not be told"
            )
        if not any(counted.values()):
            raise ScoreTableError(
                f"{self._layout.path}: every row compares a sample with itself; add other comparisons"
            )
        return counted

    def _search(self) -> Search | None:
        """A search is read from the table when every probe met at least half of the references."""
        if not self._known:
            return None
        references = len(self._samples[1].codes.number)
        least, most = int(self._searches.min()), int(self._searches.max())
        if references < 2 or 2 * least < references:
            self._notes.append(
                f"no search: a probe met between {least:,} and {most:,} of {references:,} references; FPIR and FNIR "
                f"need every probe to be compared with a whole gallery"
            )
            return None
        self._notes.append(
            f"search: each probe was compared with {least:,} to {most:,} of {references:,} references: its gallery"
        )
        return Search(len(self._samples[0].codes.number), references)

    def _sweeps(
        self, sums: Sequence[Sums], search: Search | None, naming: Naming | None, people: int
    ) -> tuple[Sweep, Sweep | None]:
        if naming is None:
            side = Sides(np.arange(people, dtype=np.int64))
            return sums[0].sweep(
                side, side, lambda rows: (rows["a"].astype(np.int64), rows["b"].astype(np.int64))
            ), None
        verification = sums[0].sweep(*naming.sides, lambda rows: (naming.left[rows["p"]], naming.right[rows["r"]]))
        if not search:
            return verification, None
        left, right = (Sides(side.subject.copy(), side.codes.words) for side in self._samples)
        searched = sums[1].sweep(left, right, lambda rows: _both(rows, "p", "r"), search.candidates())
        return verification, searched


def _both(rows: Any, left: str, right: str) -> tuple[IntArray, IntArray]:
    return rows[left].astype(np.int64), rows[right].astype(np.int64)


def _cells(groups: Mapping[str, Labels], people: int) -> tuple[tuple[tuple[str | None, ...], ...], IntArray]:
    """The combinations of labels that occur, in order, and each subject's."""
    told: list[tuple[str | None, ...]] = list(zip(*groups.values(), strict=True)) if groups else [()] * people
    cells = sorted(set(told), key=lambda cell: tuple((v is None, v or "") for v in cell))
    number = {cell: k for k, cell in enumerate(cells)}
    return tuple(cells), np.array([number[cell] for cell in told], dtype=np.int64)


def _ladder(sweep: Sweep, cells: int, thresholds: tuple[float, ...]) -> FloatArray:
    """The thresholds that an audit will ask for: those asked for, and those of half decades of FMR."""
    everyone = Group({}, np.arange(cells))
    found = list(thresholds)
    for target in RUNGS:
        try:
            found.append(threshold_for(sweep, everyone, target))
        except NotEnoughDataError:
            break
    return np.unique(np.array(found or [sweep.grid[0]], dtype=np.float64))


def _ladder_of_asked(grid: FloatArray, thresholds: tuple[float, ...]) -> FloatArray:
    return np.unique(np.array(thresholds or (grid[0],), dtype=np.float64))


def _grid_note(exact: bool, grid: FloatArray) -> list[str]:
    if exact:
        return []
    step = math.ceil((len(grid) - 1) / 1000)
    return [
        f"more than {BINS:,} different scores: counted at about {step},000 thresholds, among them those asked for and "
        f"the highest non-mated scores"
    ]

"""Tallies: the mergeable outcome of one pass over all comparisons, and all that an audit computes from.

A tally holds scores and counts, never a template. People appear under numbers. Everything an audit
says is a function of tallies, so whoever holds them can recompute it.

Three ideas carry the format:

*Cells.* A cell is one combination of all group columns, such as ``("female", "black")``. Counts are kept per
pair of cells; every group, intersectional or not, is a union of cells (`Tallies.groups`), so no grouping
needs a second pass. A missing label is ``None`` and forms no group.

*Grid.* ``counts[..., b]`` is the number of comparisons with ``grid[b] <= score < grid[b + 1]``; the last bin is open
above. Hence the number of matches at ``threshold = grid[b]`` (a match is ``score >= threshold``) is exact.

*Ladder.* A few grid values at which per-subject row sums are kept. They carry the dependence between
comparisons that share a person, which the intervals need. Above ``tail_cut`` every non-mated comparison is
listed, so anything can be computed there exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.errors import NotEnoughDataError, TalliesError

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]

FORMAT = "countenance-tallies/1"


@dataclass(frozen=True)
class Group:
    """A group of subjects: what its members share, and the cells it is made of.

    ``label`` is what ``audit.json`` prints, such as ``{"ethnicity": "black"}``; the empty label is everyone.
    """

    label: Mapping[str, str]
    cells: IntArray

    def __str__(self) -> str:
        """``female, black``, or ``everyone``."""
        return ", ".join(self.label.values()) or "everyone"


@dataclass(frozen=True)
class TailPairs:
    """The most alike comparisons, in falling order of score; ties in the order of (left, right).

    ``score`` (k,) float32; ``left`` and ``right`` (k,) number the templates of the sweep's two sides.
    """

    score: Float32Array
    left: IntArray
    right: IntArray


@dataclass(frozen=True)
class Sides:
    """Who was compared: templates of one side of a sweep.

    ``subject`` (t,) gives each template's subject number in ``Tallies``; ``paths`` (t,) its photo, when names are kept.
    """

    subject: IntArray
    paths: tuple[str, ...] | None = None


@dataclass(frozen=True)
class DependenceSums:
    """What the intervals need to know about people who take part in many comparisons, at the ladder's L thresholds.

    For each subject pair, ``x`` is the share of its comparisons that match and ``c`` their number, of ``n`` made.
    ``rows`` (L, S, C) float32: for every subject the sum of ``x`` over partners in cell c.
    ``row_counts`` (L, S, C) int64: likewise the sum of ``c``.
    ``row_pairs`` (S, C), ``row_comparisons`` (S, C) int64: partners, and comparisons with them.
    ``squares``, ``count_squares``, ``count_cross`` (L, P): per cell pair the sums of ``x**2``, ``c**2`` and ``c * n``.
    ``size_squares`` (P,): the sum of ``n**2``.
    For a search, ``rows`` belong to probe subjects and the ``column_`` fields are the same for reference subjects; in a
    symmetric sweep those are None. S counts all subjects of the Tallies; who takes no part has zero pairs.
    """

    rows: Float32Array
    row_counts: IntArray
    row_pairs: IntArray
    row_comparisons: IntArray
    squares: FloatArray
    count_squares: FloatArray
    count_cross: FloatArray
    size_squares: FloatArray
    column_rows: Float32Array | None = None
    column_counts: IntArray | None = None
    column_pairs: IntArray | None = None
    column_comparisons: IntArray | None = None


@dataclass(frozen=True)
class MatedSums:
    """Mated comparisons per subject at the ladder: ``matches`` (L, S) and ``comparisons`` (S,), both int64."""

    matches: IntArray
    comparisons: IntArray


@dataclass(frozen=True)
class Candidates:
    """The search, probe by probe (Q probe templates, in the order of the sweep's left side).

    ``scores`` and ``references`` (Q, K): the K best non-mated references, best first; where a probe met fewer, the rest
    is -inf and -1. ``searched`` (Q,): number of non-mated references each probe met.
    ``counts`` (L, Q): non-mated references at or above each ladder threshold.
    ``mated_score`` (Q,) float32: best mated reference, -inf where the probe's subject is not in the gallery.
    ``mated_rank`` (Q,): 1 + number of non-mated references with ``score >= mated_score`` (ties count against the
    system); 0 where there is no mate.
    """

    scores: Float32Array
    references: IntArray
    searched: IntArray
    counts: IntArray
    mated_score: Float32Array
    mated_rank: IntArray


@dataclass(frozen=True)
class Sweep:
    """One pass over comparisons: all pairs within a set (symmetric), or probes against references.

    B bins, P cell pairs, C cells, L ladder thresholds. In a symmetric sweep cell pairs are unordered (a <= b), each
    unordered pair of templates counts once and nobody is compared with themself; otherwise pairs are (probe,
    reference).
    ``nonmated`` (P, B) int64 counts comparisons; ``nonmated_weight`` (P, B) float64 gives every subject pair the
    weight 1.
    ``mated`` (C, B) int64; ``mated_weight`` (C, B) float64 gives every subject with a mated comparison the weight 1.
    ``pairs`` (P,): non-mated subject pairs compared. ``tail_cut``: every non-mated comparison with ``score >=
    tail_cut`` is in ``tail``. ``mated_low``: the least alike mated comparisons, in rising order of score.
    Without subjects (a table of scores only) ``dependence``, ``mated_sums`` and the tails are None, and the weights
    equal the counts.
    """

    symmetric: bool
    grid: FloatArray
    ladder: FloatArray
    cell_pairs: IntArray
    pairs: IntArray
    nonmated: IntArray
    nonmated_weight: FloatArray
    mated: IntArray
    mated_weight: FloatArray
    left: Sides | None = None
    right: Sides | None = None
    dependence: DependenceSums | None = None
    mated_sums: MatedSums | None = None
    tail_cut: float | None = None
    tail: TailPairs | None = None
    mated_low: TailPairs | None = None
    candidates: Candidates | None = None

    @property
    def has_subjects(self) -> bool:
        """Whether it is known who was compared, so that uncertainty can be stated."""
        return self.dependence is not None


@dataclass(frozen=True)
class System:
    """What was measured.

    ``metric`` says how scores arise; ``documented_threshold`` is the vendor's, on the score's scale.
    """

    name: str
    pipeline: str | None = None
    metric: str | None = None
    documented_threshold: float | None = None
    documented_meaning: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failures:
    """Photos that gave no template, and people of whom no photo did (S subjects; a failure to enrol is an error too).

    ``photos`` (S,): photos attempted; ``failed`` (S,): photos without a template.
    """

    photos: IntArray
    failed: IntArray


@dataclass(frozen=True)
class Tallies:
    """The outcome of one pass. ``cells`` (C) are tuples in the order of ``columns``; ``cell`` (S,) is each subject's
    cell.

    ``names`` (S,) are None once tallies are saved without names; then the subjects' numbers are a random permutation.
    ``inputs`` records digests, versions and seeds; ``notes`` what the reader of the data must be told (skipped columns,
    duplicate photos, conflicting labels).
    """

    system: System
    columns: tuple[str, ...]
    cells: tuple[tuple[str | None, ...], ...]
    cell: IntArray
    verification: Sweep | None = None
    search: Sweep | None = None
    failures: Failures | None = None
    names: tuple[str, ...] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def everyone(self) -> Group:
        """All subjects, with or without labels."""
        return Group({}, np.arange(len(self.cells)))

    def groups(self, columns: Sequence[str]) -> list[Group]:
        """Groups by the combination of ``columns``, in order of their labels; a missing label forms no group.

        Raises TalliesError when a column is not in these tallies.
        """
        unknown = [c for c in columns if c not in self.columns]
        if unknown:
            known = ", ".join(self.columns) or "none"
            raise TalliesError(f"--by: no group column {', '.join(unknown)} in the data; it has {known}")
        at = [self.columns.index(c) for c in columns]
        members: dict[tuple[str, ...], list[int]] = {}
        for number, cell in enumerate(self.cells):
            values = [cell[k] for k in at]
            if all(v is not None for v in values):
                members.setdefault(tuple(str(v) for v in values), []).append(number)
        return [
            Group(dict(zip(columns, values, strict=True)), np.array(numbers, dtype=np.int64))
            for values, numbers in sorted(members.items())
        ]

    def subjects_in(self, group: Group) -> NDArray[np.bool_]:
        """(S,) which subjects belong to ``group``."""
        inside = np.zeros(len(self.cells), np.bool_)
        inside[group.cells] = True
        return inside[self.cell]

    def need(self, sweep: str) -> Sweep:
        """The named sweep, or NotEnoughDataError when these tallies do not have it."""
        found = self.verification if sweep == "verification" else self.search
        if found is None:
            raise NotEnoughDataError(f"these tallies hold no {sweep}: run the audit with the data it needs")
        return found

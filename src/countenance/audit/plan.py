"""The plan of one pass: who is compared with whom, in which order, on which grid. Counts nothing.

Templates are sorted by cell and subject and cut into panels; a tile is one left panel against one right panel.
A panel lies in one cell and never cuts through a subject, so every subject pair is complete within one tile.
"""

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from countenance.audit import kernels
from countenance.audit.tallies import Float32Array, FloatArray, IntArray
from countenance.errors import InputError

__all__ = ["Grid", "Plan", "Side", "make_grid", "make_ladder", "round_up"]

PANEL = 1024
PURE = 256
BINS = 8192
MIN_BINS = 256
RUNGS = np.logspace(math.log10(0.5), -6, 30)
MATED_RUNGS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.9)
MAX_THRESHOLDS = 64
PILOT = (256, 2048)


def round_up(threshold: float) -> np.float32:
    """The smallest float32 that is not below ``threshold``: a float32 score matches when it is at least this."""
    near = np.float32(threshold)
    return near if float(near) >= threshold else np.nextafter(near, np.float32(np.inf))


class Panel(NamedTuple):
    """Blocks first to last (exclusive) of one cell, at positions start to end; ``size`` templates each, 0 when they
    differ."""

    first: int
    last: int
    cell: int
    size: int
    start: int
    end: int


@dataclass(frozen=True)
class Side:
    """One side of a sweep, sorted by cell and subject.

    ``vectors`` (t, d) sorted, ``norms`` (t,) their squared lengths, ``order`` (t,) each one's place in the input. A
    block is a run of one subject: ``starts`` (s + 1,), ``subject`` (s,), ``cell`` (s,). ``panels`` hold (first block,
    end block, cell).
    """

    vectors: Float32Array
    norms: Float32Array
    order: IntArray
    starts: IntArray
    subject: IntArray
    cell: IntArray
    panels: tuple["Panel", ...]

    @classmethod
    def make(
        cls,
        vectors: Float32Array,
        chosen: NDArray[np.intp],
        normalise: bool,
        subject: IntArray,
        cell_of: IntArray,
        pure: int = PURE,
    ) -> "Side":
        """Sort and cut the ``chosen`` of ``vectors``, of which ``subject`` tells whose they are; ``cell_of`` (S,) their
        cells."""
        made = np.bincount(subject, minlength=len(cell_of))[subject]
        order = np.lexsort((np.arange(len(subject)), subject, made, cell_of[subject])).astype(np.int64)
        ordered = subject[order]
        edges = np.flatnonzero(np.diff(ordered, prepend=-1)).astype(np.int64)
        starts = np.append(edges, len(ordered)).astype(np.int64)
        people = ordered[edges]
        cell = cell_of[people]
        found, norms = _gathered(vectors, chosen[order], normalise)
        return cls(found, norms, order, starts, people, cell, _panels(starts, cell, pure))

    @property
    def sizes(self) -> IntArray:
        """(s,) templates of each subject."""
        return np.diff(self.starts)

    @cached_property
    def widest(self) -> int:
        """Templates in the largest panel."""
        return max((p.end - p.start for p in self.panels), default=0)


def _gathered(vectors: Float32Array, rows: NDArray[np.intp], normalise: bool) -> tuple[Float32Array, Float32Array]:
    """(vectors[rows], their squared lengths), a few at a time; divided by their lengths (in float64) when asked."""
    found = np.empty((len(rows), vectors.shape[1]), np.float32)
    norms = np.empty(len(rows), np.float32)

    def gather(at: int) -> None:
        part = vectors[rows[at : at + PANEL]].astype(np.float64)
        squares = np.einsum("ij,ij->i", part, part)
        if normalise:
            part /= np.sqrt(squares)[:, None]
            squares[:] = 1
        found[at : at + PANEL] = part
        norms[at : at + PANEL] = squares

    with ThreadPoolExecutor(2) as pool:  # more would wait for memory
        list(pool.map(gather, range(0, len(rows), PANEL)))
    return found, norms


def _panels(starts: IntArray, cell: IntArray, pure: int) -> tuple[Panel, ...]:
    """Cut where the cell changes, where the number of templates a subject changes (if ``pure`` or more have it), and
    when full."""
    sizes = np.diff(starts)
    common = np.zeros(len(cell), np.int64)
    for one in np.unique(cell):
        mine = cell == one
        counts = np.bincount(sizes[mine]) * np.arange(int(sizes[mine].max()) + 1)
        common[mine] = np.where(counts[sizes[mine]] >= min(pure, counts.sum()), sizes[mine], 0)
    changes = np.flatnonzero((np.diff(cell) != 0) | (np.diff(common) != 0)) + 1
    found: list[Panel] = []
    first = 0
    while first < len(cell):
        full = int(np.searchsorted(starts, starts[first] + PANEL, side="right")) - 1
        change = np.searchsorted(changes, first, side="right")
        last = min([max(full, first + 1), len(cell), *changes[change : change + 1].tolist()])
        found.append(Panel(first, last, int(cell[first]), int(common[first]), int(starts[first]), int(starts[last])))
        first = last
    return tuple(found)


@dataclass(frozen=True)
class Grid:
    """Bins of width 1 / ``scale`` (a power of two, so a float32 score falls into its bin exactly), and thresholds.

    ``base`` (b,) are the regular edges, ``edges`` (B,) those and the thresholds asked for. ``ladder`` (L,) is a part of
    ``edges``. ``lut`` (b,) says for each regular bin how many rungs lie at or below it, or that a rung splits it.
    """

    scale: float
    offset: int
    base: FloatArray
    edges: FloatArray
    ladder: FloatArray

    @cached_property
    def steps(self) -> Float32Array:
        """(L,) float32 such that ``score >= steps[l]`` just when ``float(score) >= ladder[l]``."""
        return np.array([round_up(t) for t in self.ladder], dtype=np.float32)

    @cached_property
    def lut(self) -> NDArray[np.uint8]:
        """(b,) rungs at or below each regular bin, or `kernels.SPLIT` where one lies inside."""
        rungs = np.searchsorted(self.ladder, self.base, side="right").astype(np.uint8)
        inside = np.searchsorted(self.base, self.ladder, side="right") - 1
        split = inside[(inside >= 0) & (self.base[np.maximum(inside, 0)] != self.ladder)]
        rungs[split] = kernels.SPLIT
        return rungs


@dataclass(frozen=True)
class Plan:
    """One sweep, ready to run. ``twin`` (left templates,) is the right side's position of the same template, or -1.

    ``tail_cut`` is the regular bin from which non-mated comparisons are listed at first.
    """

    left: Side
    right: Side
    symmetric: bool
    euclidean: bool
    grid: Grid
    twin: IntArray
    cells: int
    pairs: IntArray
    unit_bits: int
    tail_cut: int = 0

    @cached_property
    def tiles(self) -> tuple[tuple[int, int], ...]:
        """(left panel, right panel) of every tile; in a symmetric sweep those above the diagonal, and on it.

        On it tiles are the least work: they come last, so that no worker waits long for the others.
        """
        rights = range(len(self.right.panels))
        if not self.symmetric:
            return tuple((a, b) for a in range(len(self.left.panels)) for b in rights)
        wide = [p.last - p.first > 1 for p in self.left.panels]
        return (*itertools.combinations(rights, 2), *((a, a) for a in rights if wide[a]))

    @cached_property
    def share(self) -> int:
        """Comparisons of every subject pair, when they are the same for all; else 0. Then weights need no sums of their
        own."""
        left, right = (set(side.sizes.tolist()) for side in (self.left, self.right))
        return left.pop() * right.pop() if len(left) == len(right) == 1 else 0

    @property
    def unit(self) -> int:
        """The weight 1 in fixed point."""
        return 1 << self.unit_bits

    def weight(self, comparisons: int) -> int:
        """The weight of one of a subject pair's comparisons, in fixed point."""
        return (self.unit + comparisons // 2) // comparisons

    @cached_property
    def mates(self) -> IntArray:
        """(2, left templates) the right side's positions of the same subject, from and to; 0 and 0 where there are
        none."""
        left, right = self.left, self.right
        block = np.full(int(max(left.subject.max(), right.subject.max())) + 1, -1)
        block[right.subject] = np.arange(len(right.subject))
        at = np.repeat(block[left.subject], left.sizes)
        return np.stack([np.where(at >= 0, right.starts[at], 0), np.where(at >= 0, right.starts[at + 1], 0)])

    def cell_pair(self, a: int, b: int) -> int:
        """Number of the cell pair: (probe, reference), or unordered with the smaller first."""
        if not self.symmetric:
            return a * self.cells + b
        a, b = min(a, b), max(a, b)
        return a * self.cells - a * (a - 1) // 2 + b - a


def make_grid(lowest: float, highest: float, pairs: int) -> tuple[float, int, FloatArray]:
    """(scale, offset, edges) of the regular bins over [lowest, highest], fewer where there are many cell pairs."""
    room = max(MIN_BINS, min(BINS, 2_000_000 // max(pairs, 1)))
    span = max(highest - lowest, 2.0**-100)
    scale = 2.0 ** math.floor(math.log2(room / span))
    offset = math.floor(lowest * scale)
    top = math.floor(highest * scale)
    return scale, offset, np.arange(offset, top + 1, dtype=np.float64) / scale


def make_ladder(
    base: FloatArray, pilot: Float32Array, mated: Float32Array, thresholds: Sequence[float]
) -> tuple[FloatArray, FloatArray]:
    """(all edges, ladder): rungs where a sample of non-mated scores is exceeded with chance 0.5 to 1e-6, and as asked.

    ``pilot`` (k,) that sample, at least one: where two people meet, some of them are in it.

    Rarer than the sample can show, rungs follow a straight line in the logarithm of the chance; it only places them.
    """
    if pilot.size >= 40:
        chances = RUNGS[RUNGS * pilot.size >= 20]
        low = np.quantile(pilot, 1 - chances)
        slope = (low[-1] - low[-2]) / math.log(chances[-2] / chances[-1]) if len(low) > 1 else 0.0
        rare = low[-1] + slope * np.log(chances[-1] / RUNGS[len(low) :])
        wanted = [*low.tolist(), *rare.tolist()]
    else:
        wanted = np.quantile(pilot, [0.5, *(1 - np.minimum(RUNGS[1:] * 4, 1))]).tolist()
    if mated.size:
        wanted += np.quantile(mated, MATED_RUNGS).tolist()
    at = np.searchsorted(base, wanted, side="left")
    rungs = base[np.unique(np.minimum(at, len(base) - 1))]
    asked = _checked(thresholds)
    return np.union1d(base, asked), np.union1d(rungs, asked)


def _checked(thresholds: Sequence[float]) -> FloatArray:
    asked = np.unique(np.array(list(thresholds), dtype=np.float64))
    if not np.isfinite(asked).all():
        raise InputError("--threshold: a threshold must be a finite number on the scale of the scores")
    if asked.size > MAX_THRESHOLDS:
        raise InputError(f"--threshold: {asked.size} thresholds; give at most {MAX_THRESHOLDS}")
    return asked

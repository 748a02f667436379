"""The one pass over all comparisons: templates in, tallies out."""

import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from countenance.audit.accumulate import Sums
from countenance.audit.blas import one_thread
from countenance.audit.finish import finish
from countenance.audit.people import People
from countenance.audit.plan import PURE, Plan
from countenance.audit.prepare import Mated, prepare
from countenance.audit.tallies import Float32Array, IntArray, Sides, Sweep, Tallies
from countenance.audit.templates import TemplateSet
from countenance.audit.worker import Worker

__all__ = ["tally"]

Progress = Callable[[int, int], None]


def tally(
    templates: TemplateSet,
    *,
    probes: TemplateSet | None = None,
    gallery: TemplateSet | None = None,
    thresholds: Sequence[float] = (),
    seed: int = 0,
    progress: Progress | None = None,
    verification: bool = True,
    search: bool = True,
    threads: int | None = None,
) -> Tallies:
    """Compare, count, and forget the templates.

    Verification: all pairs within ``templates``. Search: ``probes`` (by default every one of ``templates``) against
    ``gallery`` (by default one reference per subject of ``templates``: the first photo). A probe never meets its own
    template. Subjects are the same person when their names are the same, in whichever set; a comparison with them is
    mated and never a false match.

    Scores are float32; a match at threshold T is ``float64(score) >= T``. ``thresholds`` and the system's documented
    one become exact rungs of the ladder. ``progress`` is told (comparisons done, comparisons in all). Same input, seed
    and machine: same tallies.

    Raises NotEnoughDataError when nobody can be compared, InputError when the sets do not fit together.
    """
    if templates.system.documented_threshold is not None:
        thresholds = [*thresholds, templates.system.documented_threshold]
    threads = threads or _cores()
    people = People([s for s in (templates, probes, gallery) if s is not None])
    shape = len(people.cells), templates.metric == "euclidean"
    plans: dict[str, tuple[Plan, Mated]] = {}
    sides: dict[str, tuple[Sides, Sides]] = {}
    if verification:
        everyone = np.arange(templates.count)
        side = people.side(templates, everyone)
        plans["verification"] = prepare(side, side, True, np.arange(templates.count), *shape, thresholds, seed)
        kept = people.sides(templates, everyone)
        sides["verification"] = (kept, kept)
    if search:
        found = templates if probes is None else probes
        wanted = templates if gallery is None else gallery
        chosen = _first_photos(templates) if gallery is None else np.arange(wanted.count)
        twin = np.full(found.count, -1)
        if found is wanted:
            twin[chosen] = np.arange(len(chosen))
        right = people.side(wanted, chosen)
        single = bool((right.sizes == 1).all())  # then few enough tiles are left when no tile mixes sizes
        left = people.side(found, np.arange(found.count), 1 if single else PURE)
        plans["search"] = prepare(left, right, False, twin, *shape, thresholds, seed)
        sides["search"] = (people.sides(found, np.arange(found.count)), people.sides(wanted, chosen))
    report = _Progress(progress, [plan for plan, _ in plans.values()])
    done = {
        name: _run(*plan, *sides[name], len(people.names), name == "search", threads, report)
        for name, plan in plans.items()
    }
    return people.tallies(done.get("verification"), done.get("search"), seed)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Progress:
    """Counts comparisons of all sweeps together."""

    def __init__(self, tell: Progress | None, plans: Sequence[Plan]) -> None:
        self.tell, self.done = tell, 0
        self.total = sum(_tile_size(p, t) for p in plans for t in p.tiles)

    def add(self, plan: Plan, tile: tuple[int, int]) -> None:
        """One tile more is done."""
        self.done += _tile_size(plan, tile)
        if self.tell is not None:
            self.tell(self.done, self.total)


def _tile_size(plan: Plan, tile: tuple[int, int]) -> int:
    left, right = plan.left.panels[tile[0]], plan.right.panels[tile[1]]
    return (left.end - left.start) * (right.end - right.start)


def _first_photos(templates: TemplateSet) -> IntArray:
    """The first template of each subject, in the order of the templates."""
    return np.sort(np.unique(templates.subject, return_index=True)[1]).astype(np.int64)


def _run(
    plan: Plan, mated: Mated, left: Sides, right: Sides, subjects: int, search: bool, threads: int, report: _Progress
) -> Sweep:
    mate = _best_mates(plan, mated) if search else None
    lock, tiles = threading.Lock(), iter(plan.tiles)

    def work(_: int) -> Sums:
        worker = Worker(plan, mate)
        while True:
            with lock:
                tile = next(tiles, None)
            if tile is None:
                return worker.sums
            worker.count(tile)
            with lock:
                report.add(plan, tile)

    threads = max(1, min(threads, len(plan.tiles)))
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        sums = functools.reduce(lambda a, b: a.merge(b, plan), pool.map(work, range(threads)))
    return finish(plan, sums, mated, mate, left, right, subjects)


def _best_mates(plan: Plan, mated: Mated) -> Float32Array:
    best = np.full(len(plan.left.order), -np.inf, np.float32)
    np.maximum.at(best, mated[0], mated[2])
    return best

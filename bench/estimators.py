"""Coverage of the estimators built on top of the rates: thresholds, certified ones, bands, fitted tails.

Truth is known because scores are simulated (`countenance.audit.simulate`). Each row of ``coverage_estimators`` is a
cell: how often the 95 % interval held the truth, how often the truth lay above it (the dangerous side: of a threshold,
that the guaranteed one is too low), and how often the estimator refused. ``certified`` has no interval: ``coverage`` is
the share of the thresholds issued whose true FMR is at most the target. FPIR is in `bench.coverage`, differentials
in `bench.differentials`.
"""

from collections.abc import Iterable

import numpy as np

from bench._cells import side_by_side
from countenance.audit.intervals import Interval, dependence
from countenance.audit.pairrates import PairRates
from countenance.audit.simulate import Wolves, simulate_tail
from countenance.audit.tail import fit_pareto
from countenance.audit.tallies import DependenceSums, Sides, Sweep, System, TailPairs, Tallies
from countenance.audit.thresholds import certify, choose
from countenance.errors import NotEnoughDataError

RATIOS = (0.0, 0.4, 0.58, 1.0)
SEEDS = 200_000
"""The first seed; what was calibrated by simulation saw others."""
RUNGS = 30
LOWEST = 0.12
"""FMR of the lowest threshold at which simulated comparisons are listed: the dependence is measured near 0.1."""


def run(full: bool) -> dict[str, object]:
    """``coverage_estimators``, and the lowest coverage and highest share above of each estimator."""
    rows = list(side_by_side(_row, _cells(full)))
    found: dict[str, object] = {"coverage_estimators": rows}
    for name in dict.fromkeys(str(r["estimator"]) for r in rows):
        mine = [r for r in rows if r["estimator"] == name and r["coverage"] is not None]
        found[f"{name}_coverage_mean"] = float(np.mean([r["coverage"] for r in mine]))
        found[f"{name}_coverage_least"] = min(r["coverage"] for r in mine)
        found[f"{name}_miss_above_most"] = max(r["miss_above"] for r in mine)
    return found


def _cells(full: bool) -> Iterable[tuple[int, dict]]:
    """Runs and cells: 2,000 runs, fewer of the slowest. Errors are pairs of people, expected in all the data."""
    few, many = (500, 2000) if full else (20, 40)
    cells = [(n, ratio) for n in (200, 500) for ratio in RATIOS] if full else [(200, 0.0), (200, 0.58)]
    for subjects, ratio in cells:
        pairs = subjects * (subjects - 1) / 2
        yield many, {"estimator": "pareto", "fmr": 3.0 / pairs, "ratio": ratio, "subjects": subjects}
        if full:
            runs = many if subjects == 200 else few
            yield runs, {"estimator": "pareto", "fmr": 3.0 / pairs, "ratio": ratio, "subjects": subjects, "photos": 5}
    for subjects, ratio in cells:
        pairs = subjects * (subjects - 1) / 2
        for errors in (30.0, 200.0):
            target = float(f"{errors / pairs:.2g}")
            yield many, {"estimator": "threshold", "fmr": target, "ratio": ratio, "subjects": subjects}
        for errors in (20.0, 200.0):  # the half that chooses expects a quarter of these
            target = float(f"{errors / pairs:.2g}")
            yield many, {"estimator": "certified", "fmr": target, "ratio": ratio, "subjects": subjects}
        yield many, {"estimator": "band", "fmr": 0.3 / pairs, "ratio": ratio, "subjects": subjects}
    for ratio in RATIOS if full else ():
        yield few, {"estimator": "pareto", "fmr": 3.0 / 1_999_000, "ratio": ratio, "subjects": 2000}
        yield many, {"estimator": "threshold", "fmr": 1e-4, "ratio": ratio, "subjects": 2000}
        yield many, {"estimator": "pareto", "fmr": 3.0 / 19_900, "ratio": ratio, "subjects": 200, "photos": 20}
        for runs, people, photos in ((many, 200, 5), (few, 500, 5), (few, 200, 20)):
            target = float(f"{30.0 / (people * (people - 1) / 2):.2g}")
            yield runs, {"estimator": "threshold", "fmr": target, "ratio": ratio, "subjects": people, "photos": photos}


def _row(cell: tuple[int, dict]) -> dict:
    runs, what = cell
    return _cell(runs, **what)


def _cell(runs: int, estimator: str, fmr: float, ratio: float, subjects: int, photos: int = 1) -> dict:
    """One row of the table. ``fmr`` is the target of a threshold, or the FMR that a fit is stretched to."""
    one = {"threshold": _threshold, "certified": _certified, "pareto": _pareto, "band": _band}[estimator]
    inside = above = refused = 0
    for seed in range(runs):
        try:
            found, truth = one(SEEDS + seed, fmr, ratio, subjects, photos)
        except NotEnoughDataError:
            refused += 1
            continue
        inside += found.low <= truth <= found.high
        above += truth > found.high
    made = runs - refused
    return {
        "estimator": estimator,
        "fmr": fmr,
        "wolf_ratio": ratio,
        "subjects": subjects,
        "photos": photos,
        "runs": runs,
        "coverage": inside / made if made else None,
        "miss_above": above / made if made else None,
        "refused": refused / runs,
    }


def _threshold(seed: int, fmr: float, ratio: float, subjects: int, photos: int) -> tuple[Interval, float]:
    """The interval of the threshold that `choose` gives for a target, from a whole sweep."""
    found = _tallies(subjects, ratio, photos, seed)
    chosen = choose(found, found.need("verification"), found.everyone, fmr)
    if chosen.interval is None:
        raise NotEnoughDataError(str(chosen.reason))
    return Interval(*chosen.interval), Wolves(ratio).threshold(fmr)


def _certified(seed: int, fmr: float, ratio: float, subjects: int, photos: int) -> tuple[Interval, float]:
    """The threshold that `certify` issues: the FMR there, as an interval from 0 to the target."""
    found = _tallies(subjects, ratio, photos, seed)
    issued = certify(found, [found.everyone], fmr, seed)
    if issued.threshold is None:
        raise NotEnoughDataError(str(issued.reason))
    return Interval(0.0, fmr), Wolves(ratio).fmr(issued.threshold)


def _band(seed: int, _: float, ratio: float, subjects: int, photos: int) -> tuple[Interval, float]:
    """The whole FMR curve: how far outside its band the true curve is where it is furthest (1: on the edge)."""
    found = _tallies(subjects, ratio, photos, seed)
    sweep = found.need("verification")
    band = PairRates(found, sweep, found.everyone).band()
    truth = np.array([Wolves(ratio).fmr(float(t)) for t in sweep.ladder])
    if np.any(truth > band.high):
        return Interval(0.0, 1.0), 2.0
    return Interval(0.0, 1.0), -1.0 if np.any(truth < band.low) else 0.5


def _pareto(seed: int, fmr: float, ratio: float, subjects: int, photos: int) -> tuple[Interval, float]:
    """One decade out: the true FMR where the fit says 3 / M; the dependence is measured, as in an audit."""
    tail = simulate_tail(LOWEST, Wolves(ratio), subjects, photos, seed=seed)
    known = dependence(tail.sums(Wolves(ratio).threshold(0.1)))
    fit = fit_pareto(tail, known)
    threshold = fit.threshold(fmr)
    found = fit.fmr(threshold).interval
    assert found is not None
    return found, Wolves(ratio).fmr(threshold)


def _tallies(subjects: int, ratio: float, photos: int, seed: int) -> Tallies:
    """A sweep: a fine grid, a ladder of 30 rungs, every comparison above the lowest threshold listed."""
    tail = simulate_tail(LOWEST, Wolves(ratio), subjects, photos, seed=seed)
    pairs, each = tail.pairs, photos**2
    ladder = np.array([Wolves(ratio).threshold(float(p)) for p in np.geomspace(LOWEST, 0.3 / pairs, RUNGS)])
    highest = max(ladder[-1], float(tail.score[0])) + 0.01
    grid = np.union1d(np.concatenate([[-100.0], np.linspace(tail.cut, highest, 4000)]), ladder)
    at = np.searchsorted(grid, tail.score, side="right") - 1
    counts = np.bincount(at, minlength=grid.size)
    counts[0] = pairs * each - tail.score.size
    sums = [tail.sums(float(threshold)) for threshold in ladder]
    rows = np.array([s.rows for s in sums])
    squares = np.array([s.squares for s in sums])[:, None]
    met, none = np.full((subjects, 1), subjects - 1), np.zeros((1, grid.size), np.int64)
    dependent = DependenceSums(
        rows[:, :, None].astype(np.float32),
        np.rint(rows[:, :, None] * each).astype(np.int64),
        met,
        met * each,
        squares,
        squares * each**2,
        np.array([s.errors for s in sums])[:, None] * each**2,
        np.array([float(pairs * each**2)]),
    )
    sweep = Sweep(
        True,
        grid,
        ladder,
        np.zeros((1, 2), np.int64),
        np.array([pairs]),
        counts[None],
        counts[None] / each,
        none,
        none.astype(float),
        Sides(np.repeat(np.arange(subjects), photos)),
        None,
        dependent,
        None,
        tail.cut,
        TailPairs(tail.score.astype(np.float32), tail.first * photos, tail.second * photos),
    )
    return Tallies(System("simulated"), (), ((),), np.zeros(subjects, np.int64), sweep)

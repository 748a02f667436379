"""Coverage of the intervals of differentials: groups of simulated people whose true rates are known.

Each row of ``coverage_differentials`` is a cell: how often the 95 % interval of a measure held the truth, and how often
the truth was more unequal than it says (``miss_above``). The group with the lowest rate expects 30 errors.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bench._cells import side_by_side
from countenance.audit.inequality import fdr, garbe, max_geomean, max_min, measured
from countenance.audit.intervals import dependence, pair_rate_interval, wilson
from countenance.audit.result import Differential, Estimate
from countenance.audit.simulate import Wolves, simulate_pair_sums
from countenance.audit.spread import Spread

RATIOS = (0.0, 0.4, 0.58, 1.0)
PATTERNS = ((1, 4), (1, 1, 2, 4))
MORE_PATTERNS = ((1, 1, 4, 4), (1, 1, 1, 1, 1, 1, 2, 3), (1, 1, 1, 1))
ONCE_UNTUNED = (
    (1, 2, 4),
    (1, 1.5),
    (1, 1, 1, 2),
    (1, 1, 1, 3),
    (1, 1, 2, 2, 4),
    (1, 1, 1, 1, 1, 4),
    (1, 1, 1, 1, 2, 2, 4, 4),
)
"""Patterns that were, until constants were looked for on them too."""
UNTUNED = ((1, 3), (1, 3, 3, 3), (1, 1, 1, 5), (1, 1.5, 2, 3), (1, 1, 1, 1, 1, 1, 1, 3))
"""Patterns on which no constant of an estimator was looked for."""
SHAPES = ((200, 1), (500, 1), (200, 5), (200, 20), (2000, 1))
FEW_ERRORS = 30
MISSED = 0.05  # FNMR of the group with the lowest; others have more as the root of their FMR
MATED = 400  # comparisons in each group
FIRST_SEED = 0  # 1_000_000 for the other runs that docs/estimators/differentials.md tells of


def run(full: bool) -> dict[str, object]:
    """``coverage_differentials``, least and most coverage, the share of cells from 93 to 97 %, most misses above.

    The share also of cells with patterns on which no constant was looked for (`UNTUNED`); none of them when small.
    """
    rows = [row for found in side_by_side(_rows, _cells(full)) for row in found]
    met = {which: [0.93 <= r["coverage"] <= 0.97 for r in rows if r["untuned"] is which] for which in (False, True)}
    return {
        "coverage_differentials": rows,
        "differential_coverage_least": min(r["coverage"] for r in rows),
        "differential_coverage_most": max(r["coverage"] for r in rows),
        "differential_cells_met": sum(met[False]) / len(met[False]),
        "differential_untuned_cells_met": sum(met[True]) / len(met[True]) if met[True] else None,
        "differential_miss_above_most": max(r["miss_above"] for r in rows),
        "differential_refused_most": max(r["refused"] for r in rows),
    }


Cell = tuple[int, tuple[float, ...], float, int, int]


def _cells(full: bool) -> Iterator[Cell]:
    """Runs, pattern of the rates, wolf ratio, people, photos."""
    for ratio in RATIOS if full else (0.0, 0.58):
        for pattern in PATTERNS:
            for subjects, photos in SHAPES if full else SHAPES[:1]:
                yield 2000 if full else 40, pattern, ratio, subjects, photos
        for pattern in MORE_PATTERNS if full else ():
            yield 2000, pattern, ratio, *SHAPES[0]
    for ratio in (0.0, 1.0) if full else ():
        for pattern in ONCE_UNTUNED + UNTUNED:
            yield 2000, pattern, ratio, *SHAPES[0]


def _rows(cell: Cell) -> list[dict]:
    return list(_cell(*cell))


def _cell(runs: int, pattern: tuple[float, ...], ratio: float, subjects: int, photos: int) -> Iterator[dict]:
    """A row for each measure."""
    lowest = 2.0 * FEW_ERRORS / (subjects * (subjects - 1))
    rates, missed = lowest * np.array(pattern, dtype=float), MISSED * np.sqrt(pattern)
    truth = {
        "max_min": float(max_min(rates)),
        "max_geomean": float(max_geomean(rates)),
        "garbe": float(garbe(rates, missed)),
        "fdr": float(fdr(rates, missed)),
    }
    inside, above, refused = (dict.fromkeys(truth, 0) for _ in range(3))
    for seed in range(FIRST_SEED, FIRST_SEED + runs):
        for name, found in _found(seed, rates, missed, ratio, subjects, photos).items():
            if found.interval is None:
                refused[name] += 1
                continue
            low, high = found.interval.low - 1e-9, found.interval.high + 1e-9
            inside[name] += low <= truth[name] <= high
            above[name] += truth[name] < low if name == "fdr" else truth[name] > high
    for name in truth:
        yield {
            "measure": name,
            "pattern": pattern,
            "wolf_ratio": ratio,
            "subjects": subjects,
            "photos": photos,
            "runs": runs,
            "untuned": pattern in UNTUNED,
            "coverage": inside[name] / max(runs - refused[name], 1),
            "miss_above": above[name] / max(runs - refused[name], 1),
            "refused": refused[name] / runs,
        }


def _found(
    seed: int, rates: np.ndarray, missed_rates: np.ndarray, ratio: float, subjects: int, photos: int
) -> dict[str, Differential]:
    """The measures of one draw of people."""
    random = np.random.default_rng(seed)
    false = Spread.of(
        [_rate(rate, ratio, subjects, photos, rates.size * seed + k) for k, rate in enumerate(rates.tolist())], random
    )
    counts = random.binomial(MATED, missed_rates)
    missed = Spread.of([Estimate(c / MATED, wilson(c / MATED, MATED), errors=c, trials=MATED) for c in counts], random)
    return {
        "max_min": measured(max_min, false, ratio=True),
        "max_geomean": measured(max_geomean, false, ratio=True),
        "garbe": measured(garbe, false, missed),
        "fdr": measured(fdr, false, missed, falls=True),
    }


def _rate(rate: float, ratio: float, subjects: int, photos: int, seed: int) -> Estimate:
    lower = 0.03 if subjects >= 2000 else 0.1
    high, wanted = simulate_pair_sums([lower, rate], Wolves(ratio), subjects, photos, seed=seed)
    sums = replace(wanted, known=dependence(high))
    each = photos**2  # comparisons of a pair
    return Estimate(sums.rate, pair_rate_interval(sums), errors=round(sums.errors * each), trials=sums.pairs * each)

"""Coverage of the estimators built on top of the rates: thresholds, FPIR, differentials, and the fitted tail.

Truth is known because scores are simulated (`countenance.audit.simulate`). Each row of ``coverage_estimators`` is a
cell: how often the 95 % interval held the truth, how often the truth lay above it, and how often the estimator refused.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numba
import numpy as np
from scipy.stats import norm

from countenance.audit.inequality import Spread, max_min, measured
from countenance.audit.intervals import (
    Dependence,
    Interval,
    PairSums,
    dependence,
    pair_rate_interval,
    search_rate_interval,
)
from countenance.audit.result import Estimate
from countenance.audit.simulate import Wolves, simulate_pair_sums, simulate_search
from countenance.audit.subjecttail import SubjectTail
from countenance.audit.tail import fit_pareto
from countenance.errors import NotEnoughDataError

RATIOS = (0.0, 0.4, 0.58, 1.0)
GROUPS = (1.0, 1.0, 2.0, 4.0)
LISTED = 500
Run = Callable[[int], tuple[Interval, float]]


def run(full: bool) -> dict[str, object]:
    """``coverage_estimators``, and the lowest coverage and highest share above of each estimator."""
    rows = [_cell(runs, **cell) for runs, cell in _cells(full)]
    found: dict[str, object] = {"coverage_estimators": rows}
    for name in dict.fromkeys(str(r["estimator"]) for r in rows):
        mine = [r for r in rows if r["estimator"] == name and r["coverage"] is not None]
        found[f"{name}_coverage_mean"] = float(np.mean([r["coverage"] for r in mine]))
        found[f"{name}_coverage_least"] = min(r["coverage"] for r in mine)
        found[f"{name}_miss_above_most"] = max(r["miss_above"] for r in mine)
    return found


def _cells(full: bool) -> Iterable[tuple[int, dict]]:
    runs = 1000 if full else 40
    for ratio in RATIOS if full else (0.0, 0.58):
        for subjects in (200, 500) if full else (200,):
            for fmr in (1e-2, 1e-3):
                yield runs, {"estimator": "threshold", "fmr": fmr, "ratio": ratio, "subjects": subjects}
            # the smallest of four groups expects at least 30 errors
            yield (
                runs // 2,
                {"estimator": "differential", "fmr": 60.0 / subjects**2, "ratio": ratio, "subjects": subjects},
            )
            yield runs // 2, {"estimator": "pareto", "fmr": 6.0 / subjects**2, "ratio": ratio, "subjects": subjects}
            yield runs, {"estimator": "fpir", "fmr": 0.1, "ratio": ratio, "subjects": subjects}


def _cell(runs: int, estimator: str, fmr: float, ratio: float, subjects: int, photos: int = 1) -> dict:
    """One row of the table. ``fmr`` is the FPIR for ``fpir``, the smallest group's FMR for ``differential``."""
    one = {"threshold": _threshold, "differential": _differential, "pareto": _pareto, "fpir": _fpir}[estimator]
    inside = above = refused = 0
    for seed in range(runs):
        try:
            found, truth = one(seed, fmr, ratio, subjects)
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


def _known(fmr: float, ratio: float, subjects: int, seed: int) -> PairSums:
    high, wanted = simulate_pair_sums([0.1, fmr], Wolves(ratio), subjects, seed=seed)
    return replace(wanted, known=dependence(high))


def _threshold(seed: int, fmr: float, ratio: float, subjects: int) -> tuple[Interval, float]:
    """A threshold's interval inverts the rate's: it covers the true threshold when the rate's interval there covers."""
    return pair_rate_interval(_known(fmr, ratio, subjects, seed)), fmr


def _differential(seed: int, fmr: float, ratio: float, subjects: int) -> tuple[Interval, float]:
    estimates = []
    for number, times in enumerate(GROUPS):
        sums = _known(fmr * times, ratio, subjects, len(GROUPS) * seed + number)
        estimates.append(Estimate(sums.rate, pair_rate_interval(sums), errors=round(sums.errors), trials=sums.pairs))
    spread = Spread.of(estimates, np.random.default_rng(seed))
    found = measured(spread.ratio(max_min), spread)
    if found.interval is None:
        raise NotEnoughDataError("a group without an error")
    return found.interval, max(GROUPS) / min(GROUPS)


def _fpir(seed: int, fpir: float, ratio: float, subjects: int) -> tuple[Interval, float]:
    sums, truth = simulate_search(fpir, Wolves(ratio), subjects, 1000, seed=seed)
    return search_rate_interval(sums), truth


def _pareto(seed: int, _: float, ratio: float, subjects: int) -> tuple[Interval, float]:
    """One decade out: the true FMR at the threshold that the fit gives for 3 / M."""
    spread, pairs = math.sqrt(1 + 2 * ratio**2), subjects * (subjects - 1) // 2
    cut = float(norm.isf(LISTED / pairs)) * spread
    score, left, right = _tail(subjects, ratio, cut, seed)
    order = np.argsort(-score)
    tail = SubjectTail(
        cut, score[order], left[order], right[order], np.ones(score.size), np.arange(subjects, dtype=np.int64)
    )
    correlation = ratio**2 / spread**2
    fit = fit_pareto(tail, Dependence(correlation, correlation, subjects / 3))
    threshold = fit.threshold(fit.lowest_fmr)
    found = fit.fmr(threshold).interval
    assert found is not None
    return found, float(norm.sf(threshold / spread))


@numba.njit(cache=True)
def _tail(subjects: int, ratio: float, cut: float, seed: int):
    """Scores a_i + a_j + e at or above a cut, and whose they are."""
    np.random.seed(seed)  # noqa: NPY002
    person = ratio * np.random.standard_normal(subjects)  # noqa: NPY002
    score, left, right = [0.0], [0], [0]
    for i in range(subjects):
        for j in range(i):
            found = person[i] + person[j] + np.random.standard_normal()  # noqa: NPY002
            if found >= cut:
                score.append(found)
                left.append(i)
                right.append(j)
    return np.array(score)[1:], np.array(left)[1:], np.array(right)[1:]

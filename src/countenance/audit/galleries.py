"""How error rates of a search grow with the gallery: measured as far as the data reaches, predicted beyond, and marked.

``docs/estimators/gallery-size.md`` has the formulas and when not to use them.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import gammaln

from countenance.audit.intervals import ClusterSums, Interval, search_rate_interval, zero_error_bounds
from countenance.audit.rates import false_match, nonmated_probes
from countenance.audit.result import Estimate, GallerySize, Json
from countenance.audit.tallies import FloatArray, Group, IntArray, Sides, Sweep, Tallies
from countenance.errors import NotEnoughDataError

__all__ = ["SIZES", "TABLE", "gallery_sizes", "hit_chance", "predicted_fpir", "strangers_above", "vouches_for"]

TABLE = (1_000, 25_000, 1_000_000, 100_000_000)
SIZES = (1, 2, 5)


def hit_chance(above: IntArray, searched: IntArray, references: int) -> FloatArray:
    """The chance that a random gallery of ``references`` faces holds at least one of those that would match.

    ``above`` (q,): of the ``searched`` (q,) non-mated references of each probe, how many reach the threshold. The
    gallery is drawn without replacement, so the chance is ``1 - C(searched - above, N) / C(searched, N)``
    (hypergeometric), exact for every N at once and without sampling. A probe that met fewer than N references is
    searched in all it met.

    Raises NotEnoughDataError without a probe or a reference, and for a probe that met nobody.
    """
    if not searched.size or references < 1 or not np.all(searched > 0):
        raise NotEnoughDataError("a search takes a probe and at least one reference")
    drawn = np.minimum(references, searched)
    room = searched - above - drawn
    with np.errstate(invalid="ignore"):
        missed = gammaln(searched - above + 1.0) + gammaln(searched - drawn + 1.0)
        missed -= gammaln(searched + 1.0) + gammaln(np.maximum(room, 0) + 1.0)
    chance: FloatArray = np.where(room < 0, 1.0, -np.expm1(np.minimum(missed, 0.0)))
    return np.where(above == 0, 0.0, chance)


def strangers_above(sweep: Sweep, threshold: float) -> IntArray:
    """(Q,) how many non-mated references of each probe reach a threshold; exact, or NotEnoughDataError.

    Known at the ladder's thresholds, wherever a probe's list of best references is not full, and above the tail's cut.
    """
    found = sweep.candidates
    if found is None:
        raise NotEnoughDataError("no search was made, so nobody was searched in a gallery")
    rung = np.flatnonzero(sweep.ladder == threshold)
    if rung.size:
        counted: IntArray = found.counts[rung[0]]
        return counted
    listed: IntArray = (found.scores.astype(np.float64) >= threshold).sum(axis=1)
    if np.all((listed < found.scores.shape[1]) | (found.searched == listed)):
        return listed
    if sweep.tail is not None and sweep.tail_cut is not None and threshold >= sweep.tail_cut:
        reached = sweep.tail.left[sweep.tail.score.astype(np.float64) >= threshold]
        return np.bincount(reached, minlength=found.searched.size)
    raise NotEnoughDataError(f"threshold {threshold:g} was not counted for every probe; ask for it with --threshold")


def predicted_fpir(fmr: FloatArray, share: FloatArray, references: int) -> float:
    """``1 - prod_h (1 - FMR_gh) ** N_h`` for a gallery of ``references`` faces, ``N_h = share_h * references``.

    ``fmr`` (h,) is the FMR of the probes' group against each part of the gallery, ``share`` (h,) how much of the
    gallery each part is. It takes a probe's comparisons as independent. They are not: who resembles one stranger
    resembles more, so false matches fall on fewer probes, and the prediction is too high rather than too low.

    Raises NotEnoughDataError without an FMR or a reference.
    """
    if not fmr.size or references < 1:
        raise NotEnoughDataError("an FPIR is predicted from the FMR against at least one reference")
    with np.errstate(divide="ignore"):
        exponent = references * float(share @ np.log1p(-np.minimum(fmr, 1.0)))
    return abs(math.expm1(exponent))  # never -0.0


def gallery_sizes(
    tallies: Tallies, sweep: Sweep, group: Group, threshold: float, sizes: Sequence[int] | None = None
) -> tuple[GallerySize, ...]:
    """FPIR of a group's probes in galleries of rising size, at one threshold (a grid value of the search).

    Up to the gallery that was searched: measured, as the mean over all nested random galleries (`hit_chance`), each
    probe subject counting once, with the interval of `search_rate_interval` over probe subjects, beside the
    prediction. Beyond: `predicted_fpir`, marked ``extrapolated``; its interval carries over the interval of the
    group's FMR. ``sizes`` None: 10, 20, 50, ... up to the gallery, the gallery itself, and `TABLE`.

    Raises NotEnoughDataError when no search was made, the group has no probe, or ``threshold`` was not counted.
    """
    found = sweep.candidates
    if found is None or sweep.left is None or sweep.right is None:
        raise NotEnoughDataError("no search was made, so there is no gallery whose size could matter")
    above = strangers_above(sweep, threshold)
    probes = tallies.subjects_in(group)[sweep.left.subject] & nonmated_probes(found)
    if not probes.any():
        raise NotEnoughDataError(f"every probe of {group} has its own person in the gallery")
    searched, hits, subject = found.searched[probes], above[probes], sweep.left.subject[probes]
    largest = int(searched.max())
    fmr, share, whole = _against_gallery(tallies, sweep, sweep.right, group, threshold)
    rows = []
    for size in sorted(set(_default_sizes(largest) if sizes is None else sizes)):
        predicted = predicted_fpir(fmr, share, size)
        if size <= largest:
            estimate = _measured(hit_chance(hits, searched, size), subject)
        else:
            estimate = _extrapolated(predicted, whole, size)
        rows.append(GallerySize(size, threshold, estimate, predicted, size > largest, group.label))
    return tuple(rows)


def vouches_for(tallies: Tallies, sweep: Sweep, groups: Sequence[Group], threshold: float, fpir: float = 0.01) -> Json:
    """The largest gallery in which every group's FPIR stays below ``fpir``, as far as this audit can tell.

    ``N = floor(fpir / U)``, U the upper bound (97.5 %) of the FMR within the group, `Estimate.guaranteed`, as if the
    whole gallery were of the probe's own group, where false matches are most frequent. By the union bound
    FPIR <= N * FMR whatever the dependence. ``at_best`` is the same for a threshold so high that nobody is falsely
    matched, were comparisons independent: U = 3.69 / M, M the group's pairs of people. A larger gallery needs more
    people in the audit, at whatever threshold.

    Groups without two people are listed with ``references`` 0. Raises NotEnoughDataError when no group can be judged.
    """
    rows: list[Json] = []
    for group in groups:
        found = false_match(tallies, sweep, group, threshold)
        pairs = int(sweep.pairs[np.isin(sweep.cell_pairs, group.cells).all(axis=1)].sum())
        row: Json = {"group": dict(group.label), "references": 0, "at_best": 0, "fmr_upper": None}
        upper = found.guaranteed
        if upper is not None and pairs:
            row["fmr_upper"] = upper
            row["references"] = math.floor(fpir / upper)
            row["at_best"] = math.floor(fpir / zero_error_bounds(pairs, 2)[0])
        rows.append(row)
    if not any(r["fmr_upper"] for r in rows):
        raise NotEnoughDataError("no group has two people whose comparison could vouch for a gallery")
    smallest = min(r["references"] for r in rows)
    return {"fpir": fpir, "references": smallest, "threshold": threshold, "groups": rows}


def _default_sizes(largest: int) -> Iterable[int]:
    steps = (m * 10**e for e in range(1, len(str(largest))) for m in SIZES)
    return [*(s for s in steps if s < largest), largest, *TABLE]


def _measured(chance: FloatArray, subject: IntArray) -> Estimate:
    """Mean over probe subjects of the mean chance of their probes."""
    number, at = np.unique(subject, return_inverse=True)
    share = np.bincount(at, chance, number.size) / np.bincount(at, minlength=number.size)
    interval = search_rate_interval(ClusterSums(share, np.ones_like(share)))
    return Estimate(float(share.mean()), interval, trials=int(subject.size))


def _extrapolated(predicted: float, fmr: Estimate, size: int) -> Estimate:
    if fmr.interval is None:
        return Estimate(predicted, reason=fmr.reason)
    one = np.ones(1)
    low, high = (predicted_fpir(np.array([f]), one, size) for f in (fmr.interval.low, fmr.interval.high))
    return Estimate(predicted, Interval(min(low, predicted), max(high, predicted)))


def _against_gallery(
    tallies: Tallies, sweep: Sweep, gallery: Sides, group: Group, threshold: float
) -> tuple[FloatArray, FloatArray, Estimate]:
    """FMR of the group's probes against each cell of the gallery, each cell's share of it, and the FMR against all."""
    probe, reference = sweep.cell_pairs[:, 0], sweep.cell_pairs[:, 1]
    mine = np.isin(probe, group.cells)
    cells = len(tallies.cells)
    at = int(np.searchsorted(sweep.grid, threshold, side="left"))
    weight = sweep.nonmated_weight[mine]
    made = np.bincount(reference[mine], weight.sum(axis=1), cells)
    errors = np.bincount(reference[mine], weight[:, at:].sum(axis=1), cells)
    fmr = np.divide(errors, made, out=np.zeros(cells), where=made > 0)
    size = np.bincount(tallies.cell[gallery.subject], minlength=cells).astype(np.float64)
    size[made == 0] = 0.0
    return np.clip(fmr, 0.0, 1.0), size / size.sum(), false_match(tallies, sweep, group, threshold, tallies.everyone)

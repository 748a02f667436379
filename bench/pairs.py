"""The speed and memory of the one pass.

``pairs_vs_sgemm_512``: the pass (verification: sort, pilot, all unordered pairs counted with groups, row sums, squares
and tail, and the finished tallies) over 20,000 x 512 float32 templates in 4 groups, as comparisons per second, over the
products per second of a bare NumPy SGEMM of all 20,000 x 20,000 products in panels of 1,024 columns into one buffer.
Both rates are per product computed or needed: the pass needs half as many, because pairs are unordered. Rounds of both
alternate, and the median of the rounds' ratios counts. The lower of the two layouts is the figure: 5,000 people x 4
photos and 20,000 x 1.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from countenance.audit.pairrates import PairRates
from countenance.audit.rates import false_match
from countenance.audit.sweep import tally
from countenance.audit.tallies import Group, System
from countenance.audit.templates import TemplateSet

SLICE = 40


def people(subjects: int, photos: int, length: int, cells: int = 4, metric: str = "cosine") -> TemplateSet:
    """Random templates: of every person a random direction, of every photo some noise around it."""
    random = np.random.default_rng(0)
    subject = np.repeat(np.arange(subjects), photos)
    vectors = random.standard_normal((subjects, length), dtype=np.float32)[subject]
    for at in range(0, len(vectors), 4096):
        part = vectors[at : at + 4096]
        np.add(part, 0.5 * random.standard_normal(part.shape, dtype=np.float32), out=part)
    names = tuple(map(str, range(subjects)))
    groups = {"group": tuple(str(k % cells) for k in range(subjects))}
    return TemplateSet(vectors, subject, names, tuple(map(str, range(len(subject)))), System("bench"), groups, metric)


def sgemm_seconds(vectors: np.ndarray) -> float:
    """Seconds for all products, in panels."""
    out = np.empty((len(vectors), 1024), np.float32)
    begin = time.perf_counter()
    for at in range(0, len(vectors), 1024):
        part = vectors[at : at + 1024]
        np.matmul(vectors, part.T, out=out[:, : len(part)])
    return time.perf_counter() - begin


def pass_seconds(templates: TemplateSet, **options: object) -> float:
    """Seconds for the verification."""
    begin = time.perf_counter()
    tally(templates, search=False, **options)
    return time.perf_counter() - begin


def compared(templates: TemplateSet, rounds: int) -> tuple[float, float]:
    """(median ratio of the rates, comparisons per second)."""
    count = templates.count
    pairs = count * (count - 1) / 2
    ratios, rates = [], []
    for _ in range(rounds):
        bare, whole = sgemm_seconds(templates.vectors), pass_seconds(templates)
        ratios.append((pairs / whole) / (count**2 / bare))
        rates.append(pairs / whole)
    return statistics.median(ratios), statistics.median(rates)


def memory(count: int, every: int) -> dict[str, float]:
    """Peak resident memory of a process of its own that makes ``count`` x 512 templates and compares them."""
    code = f"from bench.pairs import memory_here; memory_here({count}, {every})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def memory_here(count: int, every: int) -> None:
    """Of the tiles, only each ``every``-th (memory does not depend on how many), all of set-up and finish."""
    import resource

    from countenance.audit.plan import Plan

    tiles = Plan.tiles.func  # a cached property, cut short
    Plan.tiles = property(lambda plan: tiles(plan)[::every])  # type: ignore[assignment,method-assign]
    templates = people(count, 1, 512)
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = pass_seconds(templates)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak": peak * 1024 / 1e9, "before": made * 1024 / 1e9}))


def run(full: bool) -> dict[str, object]:
    """Every figure; small sizes are for a quick look only."""
    scale = 1 if full else 5
    rounds = 7 if full else 3
    for photos in (1, 4):
        tally(people(300, photos, 64))  # compiles, or loads what was compiled before
    single = compared(people(20_000 // scale, 1, 512), rounds)
    several = compared(people(5_000 // scale, 4, 512), rounds)
    lfw = people(13_233 // scale, 1, 128, 3, "euclidean")
    whole = memory(200_000 // scale, SLICE if full else 4)
    return {
        "pairs_vs_sgemm_512": min(single[0], several[0]),
        "pairs_vs_sgemm_512_one_photo": single[0],
        "pairs_vs_sgemm_512_four_photos": several[0],
        "pairs_per_second_512": min(single[1], several[1]),
        "interval_time_share": interval_share(people(5_000 // scale, 4, 512)),
        "pass_lfw_shape_seconds": min(pass_seconds(lfw) for _ in range(3)),
        "search_lfw_shape_seconds": _search_seconds(lfw),
        "peak_rss_200k_gb": whole["peak"],
        "peak_rss_200k_templates_gb": whole["before"],
        "peak_rss_200k_tiles_share": 1 / (SLICE if full else 4),
        "pairs_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def interval_share(templates: TemplateSet) -> float:
    """Time of every FMR with its interval over the time of the pass that found them.

    Everyone, each group and each two groups, at eight thresholds: as many as an audit reports; and the curves of
    everyone and each group along the whole ladder, with their bands.
    """
    begin = time.perf_counter()
    found = tally(templates, search=False)
    passed = time.perf_counter() - begin
    sweep, groups = found.need("verification"), found.groups(found.columns)
    wanted: list[tuple[Group, Group | None]] = [(g, None) for g in (found.everyone, *groups)]
    wanted += list(itertools.combinations(groups, 2))
    begin = time.perf_counter()
    for threshold in sweep.ladder[:: max(1, sweep.ladder.size // 8)][:8]:
        for group, other in wanted:
            false_match(found, sweep, group, float(threshold), other)
    for group in (found.everyone, *groups):
        PairRates(found, sweep, group).band()
    return (time.perf_counter() - begin) / passed


def _search_seconds(templates: TemplateSet) -> float:
    begin = time.perf_counter()
    tally(templates, verification=False)
    return time.perf_counter() - begin

"""A test bench: populations whose error rates are known, to test whatever claims to estimate them.

The model of a non-mated score between photo k of subject i and photo l of subject j is

    score = a_i + a_j + e_ij + f_ijkl

``a`` is what a person brings to every comparison; its standard deviation over that of the noise ``e + f`` is the *wolf
ratio* (0: nobody is special; 1: strong wolves and lambs, Doddington et al. 1998). ``e`` is how alike two people are,
whatever the photo; ``f`` is the photos' part. ``e + f`` has variance 1, and `PAIR_SHARE` of it belongs to the pair, so
that with one photo each this is ``a_i + a_j + e``. Where only the tail is wanted only the tail is drawn: pairs that
cannot match are passed over by a bound on their chance, so no table of all pairs exists.

``docs/estimators/simulation.md`` says what this model leaves out.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from countenance.audit import draws
from countenance.audit.intervals import ClusterSums, PairSums
from countenance.audit.subjecttail import SubjectTail
from countenance.errors import InputError

__all__ = [
    "PAIR_SHARE",
    "GroupModel",
    "SimulatedScores",
    "SimulatedTemplates",
    "Wolves",
    "simulate_mated_sums",
    "simulate_pair_sums",
    "simulate_scores",
    "simulate_search",
    "simulate_tail",
    "simulate_templates",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PAIR_SHARE = draws.PAIR_SHARE
"""Share of the noise variance that two people have in all their photos; the rest is new in each comparison."""

FEW = 0.02
"""Share of the people who are wolves in ``Wolves(kind="few")``."""


@dataclass(frozen=True)
class Wolves:
    """How people differ: ``ratio`` is sd(a) / sd(e + f).

    ``kind="normal"``: ``a`` is Gaussian. ``kind="few"``: 2 % of the people have one and the same large ``a``, all
    others none, which no estimator can see coming from the people it has not met.
    """

    ratio: float
    kind: str = "normal"

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n,) values of ``a``, with mean 0 and standard deviation ``ratio``."""
        standard = rng.standard_normal(n)
        if self.kind == "few":
            standard = ((rng.random(n) < FEW).astype(np.float64) - FEW) / math.sqrt(FEW * (1.0 - FEW))
        drawn: FloatArray = self.ratio * standard
        return drawn

    def fmr(self, threshold: float) -> float:
        """The true FMR at a threshold: the chance that two random people reach it."""
        if self.kind == "few":
            step = self.ratio / math.sqrt(FEW * (1.0 - FEW))
            chance = np.array([(1.0 - FEW) ** 2, 2.0 * FEW * (1.0 - FEW), FEW**2])
            return float(chance @ special.ndtr(-(threshold - step * (np.arange(3) - 2.0 * FEW))))
        return float(special.ndtr(-threshold / math.sqrt(1.0 + 2.0 * self.ratio**2)))

    def threshold(self, fmr: float) -> float:
        """The threshold at which the true FMR is ``fmr``."""
        if self.kind == "few":
            return float(optimize.brentq(lambda t: self.fmr(t) - fmr, -50.0, 100.0, xtol=1e-12))
        return float(stats.norm.isf(fmr)) * math.sqrt(1.0 + 2.0 * self.ratio**2)


def simulate_pair_sums(
    fmrs: Sequence[float],
    wolves: Wolves,
    subjects: int,
    photos: int = 1,
    *,
    others: int | None = None,
    seed: int = 0,
) -> list[PairSums]:
    """Draw one population and return its sums at each threshold, given as true FMRs in falling order.

    Within one group of ``subjects``, or between that and a second one of ``others``. Every subject has ``photos``
    photos, so a pair has ``photos**2`` comparisons. Time grows with the pairs of people, memory with people only.
    Raises InputError for FMRs that do not fall.
    """
    if not fmrs or any(b >= a for a, b in itertools.pairwise(fmrs)):
        raise InputError("true FMRs must be given in falling order")
    rng = np.random.default_rng(seed)
    rows_a = wolves.draw(subjects, rng)
    within = others is None
    columns_a = rows_a if others is None else wolves.draw(others, rng)
    thresholds = np.array([wolves.threshold(p) for p in fmrs])
    rows = np.zeros((len(fmrs), subjects))
    columns = rows if within else np.zeros((len(fmrs), columns_a.size))
    squares = np.zeros(len(fmrs))
    state = rng.integers(1, 2**63, 2, dtype=np.uint64)
    pair_sd, photo_sd = draws.noise(photos)
    bound = draws.chance_bound(photos**2, pair_sd, photo_sd)
    draws.draw_pairs(
        rows_a, columns_a, within, thresholds, photos, pair_sd, photo_sd, bound, state, rows, columns, squares
    )
    if others is None:
        pairs = subjects * (subjects - 1) // 2
        made = np.full(subjects, subjects - 1.0)
        return [PairSums(pairs, float(x.sum()) / 2.0, float(q), x, made) for x, q in zip(rows, squares, strict=True)]
    made, there = np.full(subjects, float(others)), np.full(others, float(subjects))
    return [
        PairSums(subjects * others, float(x.sum()), float(q), x, made, y, there)
        for x, y, q in zip(rows, columns, squares, strict=True)
    ]


def simulate_tail(fmr: float, wolves: Wolves, subjects: int, photos: int = 1, *, seed: int = 0) -> SubjectTail:
    """All comparisons within a group at or above the threshold whose true FMR is ``fmr``.

    Memory grows with the comparisons listed, not with the pairs of people.
    """
    rng = np.random.default_rng(seed)
    people, cut = wolves.draw(subjects, rng), wolves.threshold(fmr)
    state = rng.integers(1, 2**63, 2, dtype=np.uint64)
    noise = draws.noise(photos)
    bound = draws.chance_bound(photos**2, *noise)
    score, left, right = draws.draw_scores(people, cut, photos, *noise, bound, state)
    order = np.argsort(-score)
    weight, subject = np.full(score.size, 1.0 / photos**2), np.arange(subjects, dtype=np.int64)
    return SubjectTail(cut, score[order], left[order], right[order], weight, subject)


def simulate_mated_sums(fnmr: float, spread: float, subjects: int, photos: int = 2, *, seed: int = 0) -> ClusterSums:
    """Draw the mated comparisons of a group: each subject's share of misses, every subject counting once.

    A mated score is ``c + d_i + f``, people differing by ``d`` with standard deviation ``spread`` (sheep and goats),
    and ``f`` standard normal for each of the ``photos * (photos - 1) / 2`` comparisons.
    """
    rng = np.random.default_rng(seed)
    level = float(stats.norm.ppf(fnmr)) * math.hypot(1.0, spread)
    chance = special.ndtr(level - spread * rng.standard_normal(subjects))
    made = photos * (photos - 1) // 2
    return ClusterSums(rng.binomial(made, chance) / made, np.ones(subjects))


def simulate_search(
    fpir: float, wolves: Wolves, probes: int, references: int, photos: int = 1, *, seed: int = 0
) -> tuple[ClusterSums, float]:
    """Search ``photos`` photos of each of ``probes`` people in a gallery of ``references`` other people.

    The threshold is the one at which comparisons that are independent of each other would give ``fpir``. Returns each
    probe subject's share of searches that found somebody, and the true FPIR of the very gallery that was drawn: the
    mean over all possible probe subjects. Raises InputError without a probe or a reference.
    """
    if probes < 1 or references < 1 or photos < 1:
        raise InputError("a search takes at least one probe, one photo of it and one reference")
    rng = np.random.default_rng(seed)
    gallery = wolves.draw(references, rng)
    threshold = wolves.threshold(-math.expm1(math.log1p(-fpir) / references))
    people = wolves.draw(probes, rng)
    hits = np.zeros(probes)
    pair_sd, photo_sd = draws.noise(photos)
    bound = draws.chance_bound(photos, pair_sd, photo_sd)
    state = rng.integers(1, 2**63, 2, dtype=np.uint64)
    draws.draw_searches(people, gallery, threshold, photos, pair_sd, photo_sd, bound, state, hits)
    return ClusterSums(hits / photos, np.ones(probes)), _true_fpir(wolves, gallery, threshold)


def _true_fpir(wolves: Wolves, gallery: FloatArray, threshold: float) -> float:
    """Mean over probe subjects of one minus the chance that no reference is reached."""
    if wolves.kind == "few":
        step = wolves.ratio / math.sqrt(FEW * (1.0 - FEW))
        nodes, weights = np.array([-FEW * step, (1.0 - FEW) * step]), np.array([1.0 - FEW, FEW])
    else:
        nodes, weights = special.roots_hermitenorm(40)
        nodes, weights = nodes * wolves.ratio, weights / weights.sum()
    missed = special.log_ndtr(threshold - nodes[:, None] - gallery[None, :]).sum(axis=1)
    return float(weights @ -np.expm1(missed))


@dataclass(frozen=True)
class GroupModel:
    """One group of a simulated population.

    ``shift`` is added to every non-mated score within the group (half of each between groups): two groups with
    different shifts have different FMRs. ``separation`` is where mated scores lie, ``goats`` how people differ in it.
    """

    subjects: int
    photos: int = 2
    shift: float = 0.0
    separation: float = 5.0
    goats: float = 0.5


@dataclass(frozen=True)
class SimulatedScores:
    """All comparisons of a small population, with the truth.

    ``probe``, ``reference`` (c,): photo numbers, each unordered pair of photos once; ``probe_subject``,
    ``reference_subject`` (c,): subject numbers; ``score`` (c,): larger is more alike; ``subject_group`` (S,): group of
    each subject. ``photo_subject`` (photos,): subject of each photo.
    """

    probe: IntArray
    reference: IntArray
    probe_subject: IntArray
    reference_subject: IntArray
    score: FloatArray
    photo_subject: IntArray
    subject_group: tuple[str, ...]
    groups: Mapping[str, GroupModel]
    wolves: Wolves

    @property
    def mated(self) -> NDArray[np.bool_]:
        """(c,) whether a comparison is between photos of one person."""
        same: NDArray[np.bool_] = self.probe_subject == self.reference_subject
        return same

    def fmr(self, threshold: float, group: str, other: str | None = None) -> float:
        """The true FMR within a group, or between two, at a threshold."""
        partner = group if other is None else other
        shift = (self.groups[group].shift + self.groups[partner].shift) / 2.0
        return self.wolves.fmr(threshold - shift)

    def fnmr(self, threshold: float, group: str) -> float:
        """The true FNMR of a group at a threshold."""
        model = self.groups[group]
        return float(special.ndtr((threshold - model.separation) / math.hypot(1.0, model.goats)))


def simulate_scores(groups: Mapping[str, GroupModel], wolves: Wolves, *, seed: int = 0) -> SimulatedScores:
    """All comparisons between the photos of a small population; memory grows with the square of the photos."""
    rng = np.random.default_rng(seed)
    names = list(groups)
    subject_group = tuple(name for name in names for _ in range(groups[name].subjects))
    photo_subject = np.repeat(np.arange(len(subject_group)), [groups[name].photos for name in subject_group]).astype(
        np.int64
    )
    n = len(subject_group)
    a = wolves.draw(n, rng)
    shift = np.array([groups[name].shift for name in subject_group]) / 2.0
    alike = rng.standard_normal((n, n))
    alike = np.triu(alike, 1) + np.triu(alike, 1).T
    goats = np.array([groups[name].separation for name in subject_group])
    goats = goats + np.array([groups[name].goats for name in subject_group]) * rng.standard_normal(n)
    probe, reference = (index.astype(np.int64) for index in np.triu_indices(photo_subject.size, 1))
    i, j = photo_subject[probe], photo_subject[reference]
    fresh = rng.standard_normal(probe.size)
    strangers = a[i] + a[j] + shift[i] + shift[j]
    strangers += math.sqrt(PAIR_SHARE) * alike[i, j] + math.sqrt(1.0 - PAIR_SHARE) * fresh
    score = np.where(i == j, goats[i] + fresh, strangers)
    return SimulatedScores(probe, reference, i, j, score, photo_subject, subject_group, dict(groups), wolves)


@dataclass(frozen=True)
class SimulatedTemplates:
    """Unit vectors: ``templates`` (photos, d) float32, and ``subject`` (photos,), the subject of each."""

    templates: NDArray[np.float32]
    subject: IntArray

    def fmr(self, threshold: float) -> float:
        """The true FMR at a cosine: strangers' directions are independent and uniform on the sphere."""
        d = self.templates.shape[1]
        tail = 0.5 * float(special.betainc((d - 1) / 2.0, 0.5, 1.0 - threshold**2))
        return tail if threshold >= 0 else 1.0 - tail


def simulate_templates(
    subjects: int, photos: int = 2, dimension: int = 64, likeness: float = 0.7, *, seed: int = 0
) -> SimulatedTemplates:
    """Photos as unit vectors, for tests of the pass itself: no wolves, and an FMR that is known exactly.

    ``likeness`` is the cosine between a photo and the direction of its subject, so mated cosines lie near its square.
    """
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal((subjects, dimension))
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    subject = np.repeat(np.arange(subjects), photos).astype(np.int64)
    noise = rng.standard_normal((subject.size, dimension))
    noise -= (noise * centre[subject]).sum(axis=1, keepdims=True) * centre[subject]
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    templates = likeness * centre[subject] + math.sqrt(1.0 - likeness**2) * noise
    return SimulatedTemplates(templates.astype(np.float32), subject)

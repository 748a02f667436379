"""What a certificate promises, kept or not: certify on half of LFW's people, search the other half, count strangers.

For each of 200 random halves (10 when small) and both pipelines: tallies and certificate of one half; a gallery of the
size it vouches for from the other half, one photo a person; one photo of everybody else of that half as probe, searched
at FaceMatchThreshold 80 through `decide`. Strangers returned for each probe, overall and by group, against the policy's
target; misses (FNIR) of gallery people with a second photo; and the strangers that the same wish would have returned
with the gate off. The same for a gallery of half that size.

Photos: ``../shared/data/lfw``. Templates are made anew, or taken from ``lfw.<pipeline>.parquet`` in the folder that
COUNTENANCE_BENCH_TEMPLATES names.
"""

import os
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from countenance.audit import TemplateSet, tally
from countenance.errors import NotEnoughDataError
from countenance.ledger import SigningKey
from countenance.policy import Certificate, Facts, Terms, certify, decide, shipped_policy
from countenance.trials import embed_manifest, read_manifest, read_templates

LFW = Path(__file__).resolve().parents[2] / "shared" / "data" / "lfw" / "manifest.csv"
PIPELINES = {"dlib": "dlib-resnet-v1", "mobilefacenet": "mobilefacenet"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = SigningKey("bench/certificate", b"b" * 32)


@dataclass(frozen=True)
class Trial:
    """One half: gallery size, threshold; strangers returned for each probe, by group, and with the gate off."""

    gallery: int
    threshold: float
    strangers: float
    by_group: dict[str, float]
    like_with_like: dict[str, float]
    gate_off: float
    fnir: float


def run(full: bool) -> dict[str, object]:
    """Flat named figures of both pipelines."""
    found: dict[str, object] = {}
    for name, model in PIPELINES.items():
        templates = _templates(model)
        trials: list[tuple[Trial, Trial]] = []
        refused = 0
        for seed in range(200 if full else 10):
            try:
                trials.append(_trial(templates, seed))
            except NotEnoughDataError:
                refused += 1
        whole, half = ([pair[k] for pair in trials] for k in range(2))
        found |= {f"certificate_{name}_{key}": value for key, value in _summary(whole).items()}
        found |= {f"certificate_{name}_half_gallery_{key}": value for key, value in _summary(half).items()}
        found[f"certificate_{name}_refused"] = refused
    return found


def _summary(trials: list[Trial]) -> dict[str, object]:
    target = shipped_policy().certificate.strangers_per_probe
    figures: dict[str, object] = {
        "halves": len(trials),
        "target_met": float(np.mean([t.strangers <= target for t in trials])),
        "strangers_per_probe": float(np.mean([t.strangers for t in trials])),
        "strangers_per_probe_worst": float(np.max([t.strangers for t in trials])),
        "strangers_gate_off": float(np.mean([t.gate_off for t in trials])),
        "gallery_median": float(np.median([t.gallery for t in trials])),
        "gallery_least": min(t.gallery for t in trials),
        "gallery_most": max(t.gallery for t in trials),
        "fnir": float(np.mean([t.fnir for t in trials])),
        "threshold_median": float(np.median([t.threshold for t in trials])),
    }
    for group in trials[0].by_group:
        label = group.replace("gender ", "")
        figures[f"target_met_{label}"] = float(np.mean([t.by_group[group] <= target for t in trials]))
        figures[f"target_met_{label}_among_{label}"] = float(
            np.mean([t.like_with_like[group] <= target for t in trials])
        )
    return figures


def _templates(model: str) -> TemplateSet:
    folder = os.environ.get("COUNTENANCE_BENCH_TEMPLATES")
    if folder:
        return read_templates(Path(folder) / f"lfw.{model}.parquet", by=("gender",))
    from countenance.faces import default_pipeline

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "lfw.parquet"
        embed_manifest(read_manifest(LFW), default_pipeline(model), out)
        return read_templates(out, by=("gender",))


def _trial(templates: TemplateSet, seed: int) -> tuple[Trial, Trial]:
    """One half certified; galleries of the other: as large as vouched for, and half as large."""
    rng = np.random.default_rng(seed)
    people = rng.permutation(len(templates.subjects))
    measured, others = people[: people.size // 2], people[people.size // 2 :]
    certificate = certify(tally(_only(templates, measured), search=False, seed=seed), KEY, now=NOW)
    largest = certificate.largest_gallery()
    whole, half = (_search(templates, others, certificate, n, rng) for n in (largest, max(largest // 2, 1)))
    return whole, half


def _search(
    templates: TemplateSet, others: NDArray[np.int64], certificate: Certificate, gallery: int, rng: np.random.Generator
) -> Trial:
    enrolled, strangers = others[:gallery], others[gallery:]
    references = _photo_of_each(templates, enrolled, rng)
    probes = _photo_of_each(templates, strangers, rng)
    threshold = _threshold(certificate, gallery)
    scores = _scores(templates, probes, references)
    returned = (scores >= threshold).sum(axis=1)
    off = (scores >= certificate.curve.threshold(80.0)).sum(axis=1)
    labels = np.array([label or "" for label in templates.groups["gender"]])
    groups = sorted(set(labels) - {""})
    like = {}
    for group in groups:  # the whole gallery of one group, searched with its own people
        own = others[labels[others] == group]
        inside, outside = own[:gallery], own[gallery:]
        theirs = _scores(templates, _photo_of_each(templates, outside, rng), _photo_of_each(templates, inside, rng))
        like[group] = float((theirs >= threshold).sum(axis=1).mean())
    return Trial(
        gallery=gallery,
        threshold=threshold,
        strangers=float(returned.mean()),
        by_group={g: float(returned[labels[strangers] == g].mean()) for g in groups},
        like_with_like=like,
        gate_off=float(off.mean()),
        fnir=_fnir(templates, enrolled, references, threshold, rng),
    )


def _threshold(certificate: Certificate, gallery: int) -> float:
    """The threshold in force for a client that asks for 80, as the server would find it."""
    found = decide(
        Facts(
            action="search",
            operation="SearchFacesByImage",
            request="bench",
            now=NOW,
            policy=shipped_policy(),
            actor="bench",
            role="reader",
            pipeline=certificate.pipeline,
            actor_class="private",
            purposes=("evaluation",),
            collection="bench",
            terms=Terms("evaluation", "consent", 1),
            certificate=certificate,
            operator=KEY.verifying,
            gallery=gallery,
            similarity=80.0,
        )
    )
    if found.in_force is None:
        raise RuntimeError(found.reason)
    return found.in_force.threshold


def _fnir(
    templates: TemplateSet,
    enrolled: NDArray[np.int64],
    references: NDArray[np.int64],
    threshold: float,
    rng: np.random.Generator,
) -> float:
    """Share of gallery people with another photo who are not found by it, each counting once."""
    missed = []
    for person, reference in zip(enrolled, references, strict=True):
        photos = np.flatnonzero(templates.subject == person)
        rest = photos[photos != reference]
        if rest.size:
            probe = rng.choice(rest, 1)
            missed.append(_scores(templates, probe, np.array([reference]))[0, 0] < threshold)
    return float(np.mean(missed))


def _photo_of_each(templates: TemplateSet, people: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """One random photo (row of the templates) for each of the people."""
    order = rng.permutation(templates.count)
    subject = templates.subject[order]
    first = np.full(len(templates.subjects), -1)
    first[subject[::-1]] = order[::-1]
    return first[people]


def _scores(templates: TemplateSet, probes: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.float64]:
    """(probes, references) comparison scores."""
    a, b = (templates.vectors[rows].astype(np.float64) for rows in (probes, references))
    if templates.metric == "cosine":
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
        return np.asarray(a @ b.T)
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2 * (a @ b.T)
    return np.asarray(-np.sqrt(np.maximum(squared, 0.0)))


def _only(templates: TemplateSet, people: NDArray[np.int64]) -> TemplateSet:
    """The templates of some of the people."""
    keep = np.zeros(len(templates.subjects), dtype=bool)
    keep[people] = True
    number, rows = np.cumsum(keep) - 1, np.flatnonzero(keep[templates.subject])
    kept = np.flatnonzero(keep)
    return replace(
        templates,
        vectors=templates.vectors[rows],
        subject=number[templates.subject[rows]],
        subjects=tuple(templates.subjects[k] for k in kept),
        paths=tuple(templates.paths[k] for k in rows),
        groups={column: tuple(labels[k] for k in kept) for column, labels in templates.groups.items()},
        failures=None,
    )

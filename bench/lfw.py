"""LFW's ten folds (Huang et al. 2007, restricted view 2: 6,000 pairs): the default engine and MobileFaceNet."""

import os
import tempfile
from pathlib import Path

import numpy as np

from countenance.faces import Pipeline, add_model, default_pipeline

SHARED = Path(__file__).resolve().parents[2] / "shared"


def run(full: bool) -> dict[str, object]:
    """Measure, or return nothing where ../shared is missing."""
    if not (SHARED / "data/lfw/pairs.txt").is_file():
        return {}
    pairs = read_pairs(SHARED / "data/lfw/pairs.txt")
    if not full:
        pairs = [pair for i, pair in enumerate(pairs) if i % 300 < 15]
    figures: dict[str, object] = {"lfw_pairs": len(pairs)}
    before = os.environ.get("COUNTENANCE_HOME")
    with tempfile.TemporaryDirectory() as home:
        os.environ["COUNTENANCE_HOME"] = home
        try:
            add_model(SHARED / "models/mobilefacenet/MobileFaceNet.onnx")
            for name, end in (("dlib-resnet-v1", ""), ("mobilefacenet", "_mobilefacenet")):
                accuracy, spread = ten_folds(pairs, default_pipeline(name))
                figures |= {f"lfw_accuracy{end}": accuracy, f"lfw_accuracy_fold_sd{end}": spread}
        finally:
            if before is None:
                del os.environ["COUNTENANCE_HOME"]
            else:
                os.environ["COUNTENANCE_HOME"] = before
    return figures


def read_pairs(file: Path) -> list[tuple[str, str, bool, int]]:
    """(photo, photo, mated?, fold) of each pair."""
    lines = file.read_text(encoding="utf-8").splitlines()
    folds, half = (int(n) for n in lines[0].split())
    pairs = []
    for i, line in enumerate(lines[1 : 1 + folds * 2 * half]):
        part = line.split("\t")
        first, second = (part[0], part[1]), (part[0], part[2]) if len(part) == 3 else (part[2], part[3])
        pairs.append((photo(*first), photo(*second), len(part) == 3, i // (2 * half)))
    return pairs


def photo(name: str, number: str) -> str:
    """Path in the photo folder."""
    return f"{name}/{name}_{int(number):04d}.jpg"


def ten_folds(pairs: list[tuple[str, str, bool, int]], pipeline: Pipeline) -> tuple[float, float]:
    """Mean and standard deviation over the folds of the share of pairs told rightly.

    The threshold for each fold is the one that does best on the other nine. A photo without a face counts its
    pairs as wrong.
    """
    photos = sorted({name for pair in pairs for name in pair[:2]})
    templates = {}
    for name, result in zip(photos, pipeline.embed_photos(SHARED / "data/lfw/photos" / p for p in photos), strict=True):
        templates[name] = result.embedding if result.embedding is not None else np.full(pipeline.dim, np.nan)
    scores = pipeline.score(np.stack([templates[p[0]] for p in pairs]), np.stack([templates[p[1]] for p in pairs]))
    mated, fold = np.array([p[2] for p in pairs]), np.array([p[3] for p in pairs])
    usable = ~np.isnan(scores)
    shares = []
    for k in np.unique(fold):
        threshold = best_threshold(scores[usable & (fold != k)], mated[usable & (fold != k)])
        right = usable & ((scores >= threshold) == mated)
        shares.append(right[fold == k].mean())
    return round(float(np.mean(shares)), 5), round(float(np.std(shares, ddof=1)), 5)


def best_threshold(scores: np.ndarray, mated: np.ndarray) -> float:
    """The middle of the scores at which the most pairs are told rightly."""
    order = np.argsort(-scores)
    right = np.cumsum(mated[order]) - np.cumsum(~mated[order])
    best = np.flatnonzero(right == right.max())
    at = best[len(best) // 2]
    return float((scores[order[at]] + scores[order[min(at + 1, len(order) - 1)]]) / 2)

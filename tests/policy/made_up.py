"""Made-up people, and when and with what they were measured."""

from datetime import UTC, datetime

import numpy as np

from countenance.audit import System, TemplateSet

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PIPELINE = "4f" * 32


def people(women: int = 160, men: int = 240, *, others: int = 0, photos: int = 2, seed: int = 0) -> TemplateSet:
    """Women are more alike each other than men are, so that they are the worst group."""
    rng = np.random.default_rng(seed)
    count = women + men + others
    labels = ["female"] * women + ["male"] * men + ["other"] * others
    mean = rng.normal(size=(count, 48))
    mean[:women] += 0.45
    subject = np.repeat(np.arange(count), photos)
    vectors = mean[subject] + 0.5 * rng.normal(size=(subject.size, 48))
    return TemplateSet(
        vectors.astype(np.float32),
        subject,
        tuple(f"person {k}" for k in range(count)),
        tuple(f"{k}.jpg" for k in range(subject.size)),
        System("made-up", pipeline=PIPELINE, metric="cosine"),
        groups={"gender": tuple(labels)},
    )

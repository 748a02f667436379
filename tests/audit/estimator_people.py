"""Small populations for the estimators' tests: cosine templates with wolves, groups and several photos each."""

from functools import cache

import numpy as np

from countenance.audit.sweep import tally
from countenance.audit.tallies import System, Tallies
from countenance.audit.templates import TemplateSet


def population(seed=0, people=60, photos=3, dim=6, groups=(("gender", ("female", "male")),), noise=0.25, shift=0.0):
    """``shift`` pulls the members of each column's first label together, so that they are confused more often."""
    random = np.random.default_rng(seed)
    labels = {name: [values[k % len(values)] for k in range(people)] for name, values in groups}
    centre = random.normal(size=(people, dim))
    for name, values in groups:
        centre[np.array(labels[name]) == values[0]] += shift * random.normal(size=dim)
    count = random.integers(1, photos + 1, people) if photos > 1 else np.ones(people, dtype=int)
    subject = np.repeat(np.arange(people), count)
    vectors = centre[subject] + noise * random.normal(size=(subject.size, dim))
    return TemplateSet(
        vectors.astype(np.float32),
        subject,
        tuple(f"person {k}" for k in range(people)),
        tuple(f"{k}.jpg" for k in range(subject.size)),
        System("test", pipeline="p"),
        {name: tuple(values) for name, values in labels.items()},
    )


@cache
def tallies(seed=0, thresholds=(), search=True, **options) -> Tallies:
    """Tallies of a population, kept for the next test."""
    return tally(population(seed, **options), thresholds=thresholds, search=search)


def everybodys_scores(templates: TemplateSet):
    """(score, left subject, right subject) of every non-mated comparison, float32 as in the pass."""
    v = templates.vectors / np.linalg.norm(templates.vectors, axis=1, keepdims=True)
    score = (v @ v.T).astype(np.float32)
    left, right = np.triu_indices(len(v), 1)
    different = templates.subject[left] != templates.subject[right]
    left, right = left[different], right[different]
    return score[left, right], templates.subject[left], templates.subject[right]

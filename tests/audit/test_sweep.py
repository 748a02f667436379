"""The one pass against every comparison written out, on data whose scores float32 holds exactly."""

import brute
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.audit.sweep import tally
from countenance.audit.tallies import System
from countenance.audit.templates import TemplateSet

LABELS = (None, "a", "b")


@st.composite
def template_sets(draw, names="ABCDEFGHIJ", metric=None, columns=("g", "h"), least=2):
    """Few people with few photos, of small whole numbers: distances are exact; for the cosine all lengths are 4."""
    metric = metric or draw(st.sampled_from(["cosine", "euclidean"]))
    subjects = tuple(draw(st.lists(st.sampled_from(names), min_size=least, max_size=8, unique=True)))
    subject = draw(st.lists(st.integers(0, len(subjects) - 1), min_size=least, max_size=24))
    subject[:least] = range(least)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    if metric == "cosine":
        vectors = random.choice([-1, 1], (len(subject), 16))
    else:
        vectors = random.integers(-3, 4, (len(subject), draw(st.integers(1, 6))))
        vectors = np.hstack([vectors, np.zeros((len(subject), 6 - vectors.shape[1]), int)])
    groups = {c: tuple(draw(st.sampled_from(LABELS)) for _ in subjects) for c in columns}
    return TemplateSet(
        vectors=vectors,
        subject=np.array(subject),
        subjects=subjects,
        paths=tuple(f"{draw(st.just('p'))}{k}" for k in range(len(subject))),
        system=System("test"),
        groups=groups,
        metric=metric,
    )


asked = st.lists(st.one_of(st.floats(-8, 2), st.sampled_from([0.0, -1.0, 0.5, -np.sqrt(2)])), max_size=4)


@settings(max_examples=60, deadline=None)
@given(template_sets(), asked)
def test_one_set_agrees_with_every_comparison_written_out(templates, thresholds):
    found = tally(templates, thresholds=thresholds)
    assert set(thresholds) <= set(found.verification.ladder.tolist())
    brute.check(found, found.verification, brute.within(templates))
    brute.check(found, found.search, brute.against(templates, templates, brute.first_photos(templates)))


@settings(max_examples=60, deadline=None)
@given(st.data(), asked)
def test_probes_and_gallery_share_people_by_name(data, thresholds):
    metric = data.draw(st.sampled_from(["cosine", "euclidean"]))
    templates = data.draw(template_sets(metric=metric))
    probes = data.draw(template_sets(names="FGHIJKLMNO", metric=metric, columns=("h",)))
    found = tally(templates, gallery=probes, thresholds=thresholds)
    brute.check(found, found.verification, brute.within(templates))
    brute.check(found, found.search, brute.against(templates, probes, range(probes.count)))
    found = tally(templates, probes=probes, thresholds=thresholds)
    brute.check(found, found.search, brute.against(probes, templates, brute.first_photos(templates)))

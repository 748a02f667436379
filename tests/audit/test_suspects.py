"""Planted label errors are found; where there are none, few are suspected."""

from dataclasses import replace

import numpy as np
import pytest

from countenance.audit.suspects import chance_of, suspects
from countenance.audit.sweep import tally
from countenance.audit.tallies import System, TailPairs
from countenance.audit.templates import TemplateSet
from countenance.errors import NotEnoughDataError


def people(seed, noise, planted=0, swapped=0, subjects=400):
    """Pairs of photos; of the first ``planted`` people a photo also stands under another name."""
    random = np.random.default_rng(seed)
    centre = random.standard_normal((subjects, 64))
    subject = np.repeat(np.arange(subjects), 2)
    vectors = centre[subject] + noise * random.standard_normal((2 * subjects, 64))
    for k in range(planted):
        vectors[2 * (subjects - 1 - k)] = centre[k] + noise * random.standard_normal(64)
    for k in range(swapped):
        vectors[2 * (100 + k)] = -centre[100 + k]
    names = tuple(f"s{k}" for k in range(subjects))
    return TemplateSet(vectors, subject, names, tuple(f"p{k}" for k in range(2 * subjects)), System("test"))


def test_photos_under_two_names_are_found_and_little_else():
    found = suspects(tally(people(1, 0.5, planted=6)))
    alike = [{s.left, s.right} for s in found if s.kind == "nonmated_alike"]
    assert all({f"s{k}", f"s{399 - k}"} in alike for k in range(6))
    assert len({frozenset(pair) for pair in alike}) <= 12
    assert all(s.left_path and s.right_path for s in found)


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_without_label_errors_few_are_suspected(noise):
    found = [s for s in suspects(tally(people(2, noise))) if s.kind == "nonmated_alike"]
    assert len(found) <= 3


def test_photos_of_two_people_under_one_name_are_found():
    tallies = tally(people(3, 0.5, swapped=4))
    unlike = [s for s in suspects(tallies) if s.kind == "mated_unlike"]
    assert {s.left for s in unlike} == {f"s{100 + k}" for k in range(4)}
    assert len(unlike) == 4  # the search holds the same pairs; each stands once
    assert suspects(replace(tallies, search=None), most=1)[-1].score == unlike[0].score


def test_few_pairs_are_measured_by_the_mated_median():
    tallies = tally(people(4, 0.5, planted=1, subjects=12))
    found = suspects(tallies)
    assert {"s0", "s11"} in [{s.left, s.right} for s in found]
    assert "median pair of one person" in found[0].why
    nameless = suspects(replace(tallies, names=None))
    assert {"0", "11"} in [{s.left, s.right} for s in nameless]


def test_no_data_gives_no_suspects_and_no_number():
    alone = people(5, 0.5, subjects=12)
    alone = replace(alone, subject=np.arange(24), subjects=tuple(map(str, range(24))))
    assert suspects(tally(alone, search=False)) == []
    assert suspects(replace(tally(alone), verification=None, search=None)) == []
    with pytest.raises(NotEnoughDataError, match="too few"):
        chance_of(np.zeros(10, np.float32))
    with pytest.raises(NotEnoughDataError, match="one score"):
        chance_of(np.zeros(2000, np.float32))


def test_lists_without_sides_or_comparisons_name_nobody():
    tallies = tally(people(6, 0.5, planted=1, subjects=12), search=False)
    sweep = tallies.verification
    with pytest.raises(NotEnoughDataError, match="whose they are"):
        suspects(replace(tallies, verification=replace(sweep, left=None)))
    bare = replace(sweep, mated_low=None, tail=TailPairs(*(a[:0] for a in vars(sweep.tail).values())))
    assert suspects(replace(tallies, verification=bare)) == []

"""Two people, each alone: no name before both have decided, and no match unless they agree."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.errors import InputError
from countenance.policy import State, Verdict, open_review

AT = datetime(2026, 11, 23, tzinfo=UTC)
FOUND = [(0.9, "Ada Secret"), (0.8, "Eve Secret"), (0.7, "Kay Secret")]


def decided(*verdicts):
    review = open_review("search-1", "ann", FOUND)
    for reviewer, candidate in verdicts:
        review = review.record(Verdict(reviewer, candidate, AT))
    return review


@pytest.mark.parametrize("verdicts", [[], [("ann", 1)]])
def test_no_name_before_two_people_have_decided(verdicts):
    review = decided(*verdicts)
    assert review.scores == (0.9, 0.8, 0.7)
    with pytest.raises(InputError, match=f"{2 - len(verdicts)} of 2 people have yet to decide"):
        _ = review.outcome
    assert "Secret" not in repr(review)
    assert review.verdicts == ()
    assert review.state is [State.OPEN, State.HALF][len(verdicts)]


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [(2, 2, "Eve Secret"), (1, 2, None), (None, 1, None), (1, None, None), (None, None, None)],
)
def test_a_match_is_what_both_say(first, second, match):
    review = decided(("ann", first), ("bob", second))
    assert review.state is State.DONE
    assert review.outcome.match == match
    assert review.outcome.agreed == (first == second)
    assert review.outcome.reviewers == ("ann", "bob")
    assert [v.candidate for v in review.verdicts] == [first, second]


def test_nobody_sees_what_the_other_decided():
    review = decided(("ann", 1))
    assert review.seen_by("bob") is None
    assert review.seen_by("ann").candidate == 1
    assert review.verdicts == ()


def test_nobody_decides_twice_or_third():
    with pytest.raises(InputError, match="ann has decided already; a second person must decide"):
        decided(("ann", 1), ("ann", 1))
    with pytest.raises(InputError, match="is not changed afterwards"):
        decided(("ann", 1), ("bob", 1), ("cid", 1))
    with pytest.raises(InputError, match="no name"):
        decided((" ", 1))
    for wrong in (0, 4, -1):
        with pytest.raises(InputError, match="name 1 to 3"):
            decided(("ann", wrong))
    with pytest.raises(InputError, match="found nobody"):
        open_review("s", "ann", [])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(1, 3)), max_size=5))
def test_no_order_of_decisions_gives_a_name_that_two_people_did_not_give(steps):
    review, given_by = open_review("s", "a", FOUND), {}
    for reviewer, candidate in steps:
        try:
            review = review.record(Verdict(reviewer, candidate, AT))
            given_by[reviewer] = candidate
        except InputError:
            assert reviewer in given_by or len(given_by) == 2
    try:
        outcome = review.outcome
    except InputError:
        assert len(given_by) < 2
        return
    assert len(given_by) == 2
    if outcome.match is not None:
        assert {FOUND[c - 1][1] for c in given_by.values()} == {outcome.match}


def test_a_review_is_a_value_and_the_earlier_one_stays():
    first = open_review("s", "a", FOUND)
    first.record(Verdict("a", 1, AT))
    assert first.state is State.OPEN

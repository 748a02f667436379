"""Two people look, each alone, before a candidate gets a name. Pure: a review is a value, each step gives the next one.

Until two different reviewers have each recorded a decision, candidates have numbers and scores but no identity, and no
reviewer sees what the other decided. Both must name the same candidate for a match; anything else ends in no match.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from countenance.errors import InputError

__all__ = ["Outcome", "Review", "State", "Verdict", "open_review"]

T = TypeVar("T")
REVIEWERS = 2


class State(StrEnum):
    """How far a review has come."""

    OPEN = "open"
    HALF = "one reviewer has decided"
    DONE = "done"


@dataclass(frozen=True)
class Verdict:
    """What one reviewer decided, and when: the number of the candidate who is the person, or None for nobody."""

    reviewer: str
    candidate: int | None
    at: datetime


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How a review ended. ``match`` is the identity both reviewers named, else None; ``agreed`` whether they agreed."""

    match: T | None
    agreed: bool
    reviewers: tuple[str, str]


@dataclass(frozen=True)
class Review(Generic[T]):
    """The review of one search. ``scores`` (k,) belong to candidates 1 to k, best first; ``opened_by`` is the searcher.

    Their identities are inside and come out by `outcome` alone, which refuses until the review is done.
    """

    search: str
    opened_by: str
    scores: tuple[float, ...]
    _identities: tuple[T, ...]
    _verdicts: tuple[Verdict, ...] = ()

    def __repr__(self) -> str:
        return f"Review(search={self.search!r}, candidates={len(self.scores)}, state={self.state.value!r})"

    @property
    def state(self) -> State:
        """Open, half or done."""
        return (State.OPEN, State.HALF, State.DONE)[len(self._verdicts)]

    def record(self, verdict: Verdict) -> "Review[T]":
        """The review after one more decision. Nobody decides twice, and nobody decides a third time.

        Whoever searched may be one of the two reviewers. Raises InputError for a verdict that does not fit.
        """
        if self.state is State.DONE:
            raise InputError(f"review of {self.search}: is done; a decision is not changed afterwards, search again")
        if not verdict.reviewer.strip():
            raise InputError(f"review of {self.search}: the reviewer has no name; give the key's id")
        if any(v.reviewer == verdict.reviewer for v in self._verdicts):
            raise InputError(
                f"review of {self.search}: {verdict.reviewer} has decided already; a second person must decide"
            )
        if verdict.candidate is not None and not 1 <= verdict.candidate <= len(self.scores):
            raise InputError(
                f"review of {self.search}: no candidate {verdict.candidate} is there; "
                f"name 1 to {len(self.scores)}, or none"
            )
        return replace(self, _verdicts=(*self._verdicts, verdict))

    @property
    def outcome(self) -> Outcome[T]:
        """How it ended. Raises InputError before two people have decided."""
        if self.state is not State.DONE:
            missing = REVIEWERS - len(self._verdicts)
            raise InputError(
                f"review of {self.search}: {missing} of {REVIEWERS} people have yet to decide, each on their own; "
                "no candidate has a name before: countenance review"
            )
        first, second = self._verdicts
        agreed = first.candidate == second.candidate
        match = self._identities[first.candidate - 1] if agreed and first.candidate is not None else None
        return Outcome(match, agreed, (first.reviewer, second.reviewer))

    def seen_by(self, reviewer: str) -> Verdict | None:
        """A reviewer's own decision. The other one's shows after both have decided, in `verdicts`."""
        return next((v for v in self._verdicts if v.reviewer == reviewer), None)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Both decisions, for the ledger; empty until the review is done."""
        return self._verdicts if self.state is State.DONE else ()


def open_review(search: str, opened_by: str, candidates: Sequence[tuple[float, T]]) -> Review[T]:
    """Begin the review of a search: (score, identity) of each candidate, best first.

    Raises InputError without candidates: there is nothing to review.
    """
    if not candidates:
        raise InputError(f"review of {search}: the search found nobody, so there is nothing to review")
    return Review(search, opened_by, tuple(s for s, _ in candidates), tuple(i for _, i in candidates))

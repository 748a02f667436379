"""The permit: without one, nothing is searched; and only ``policy.decide`` makes one.

Python cannot forbid anything, so this makes the wrong way visible instead: a permit is not made without the token of
this module, is not copied with other values, not pickled, and is good for one search. A test reads every import of the
package and fails when anything but ``policy`` takes ``issue``.
"""

import threading
import weakref
from dataclasses import InitVar, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from countenance.errors import PermitError
from countenance.gallery.values import Collection, Occasion

__all__ = ["Door", "Permit", "issue"]

_TOKEN = object()


@dataclass(frozen=True, eq=False, kw_only=True)
class Permit:
    """Leave for one search of one collection.

    ``decision`` names the decision it comes from; ``occasion`` says who asks, what for and by which rule it is allowed.
    ``threshold`` is the comparison score in force (a candidate scores at least this), ``threshold_asked`` what the
    caller had asked for, on the caller's own scale. ``pipeline`` is the one that was measured; ``largest_gallery`` the
    largest number of faces for which ``threshold`` holds. It is void after ``expires`` (aware datetime).
    """

    decision: str
    occasion: Occasion
    collection: str
    pipeline: str
    threshold: float
    threshold_asked: float | None
    largest_gallery: int
    max_candidates: int
    expires: datetime
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        if token is not _TOKEN:
            raise PermitError("a permit is made by policy.decide alone; ask it, and pass on what it gives")
        if not self.threshold == self.threshold or self.max_candidates < 1 or self.largest_gallery < 0:
            raise PermitError("a permit needs a threshold, room for one candidate and a gallery of 0 faces or more")

    def __reduce__(self) -> NoReturn:
        raise PermitError("a permit does not leave the process that decided; decide where the search runs")

    def __copy__(self) -> NoReturn:
        raise PermitError("a permit is good for one search; ask policy.decide for another")

    def __deepcopy__(self, memo: Any) -> NoReturn:
        self.__copy__()


def issue(
    *,
    decision: str,
    occasion: Occasion,
    collection: str,
    pipeline: str,
    threshold: float,
    largest_gallery: int,
    threshold_asked: float | None = None,
    max_candidates: int = 80,
    valid_for: timedelta = timedelta(seconds=30),
) -> Permit:
    """Make a permit. For ``policy.decide`` alone."""
    return Permit(
        decision=decision,
        occasion=occasion,
        collection=collection,
        pipeline=pipeline,
        threshold=threshold,
        threshold_asked=threshold_asked,
        largest_gallery=largest_gallery,
        max_candidates=max_candidates,
        expires=datetime.now(UTC) + valid_for,
        token=_TOKEN,
    )


class Door:
    """Where permits are handed in. Its answers are what is wrong with one, or None."""

    def __init__(self) -> None:
        self._spent: weakref.WeakSet[Permit] = weakref.WeakSet()
        self._spending = threading.Lock()

    def hand_in(self, collection: str, permit: object) -> str | None:
        """Take a permit for a search of this collection; it is spent from now on."""
        if not isinstance(permit, Permit):
            return "a search needs a permit; ask policy.decide for one"
        with self._spending:
            if permit in self._spent:
                return "the permit was used before; ask policy.decide for each search"
            self._spent.add(permit)
        if permit.collection != collection:
            return f"the permit is for the collection {permit.collection}, not for {collection}"
        if permit.expires <= datetime.now(UTC):
            return "the permit has expired; ask policy.decide again"
        return None

    def covers(self, permit: Permit, collection: Collection, size: int) -> str | None:
        """Whether the permit holds for the collection as it is, with ``size`` faces."""
        if permit.pipeline != collection.pipeline:
            return f"the permit is for the pipeline {permit.pipeline}, the collection's is {collection.pipeline}"
        if size > permit.largest_gallery:
            return f"the collection has {size} faces, the permit's threshold holds for {permit.largest_gallery} at most"
        return None

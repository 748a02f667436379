"""Templates on their way into the one pass: vectors with subjects and group labels, checked once, at the door."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.audit.tallies import Failures, Float32Array, IntArray, System
from countenance.errors import InputError

__all__ = ["METRICS", "TemplateSet"]

METRICS = ("cosine", "euclidean")


@dataclass(frozen=True)
class TemplateSet:
    """Templates of a set of photos.

    ``vectors`` (t, d) float32; ``subject`` (t,) numbers into ``subjects`` (S names, each once; a subject without any
    template is allowed: nobody could enrol them). ``groups`` maps each group column to S labels, None where missing.
    ``paths`` (t,) names each photo, in the order given: a subject's first photo is the first of theirs here.
    ``metric`` ``cosine``: the score is the cosine of the angle, in [-1, 1]; ``euclidean``: minus the distance.
    ``failures`` (S,) counts photos without a template, ``inputs`` and ``notes`` go into the tallies as they are.

    Raises InputError when lengths differ, a vector is not finite or (cosine) zero, or names repeat.
    """

    vectors: Float32Array
    subject: IntArray
    subjects: tuple[str, ...]
    paths: tuple[str, ...]
    system: System
    groups: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    metric: str = "cosine"
    failures: Failures | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", _matrix(self.vectors))
        object.__setattr__(self, "subject", np.ascontiguousarray(self.subject, dtype=np.int64))
        self._check_lengths()
        self._check_vectors()

    @property
    def count(self) -> int:
        """Number of templates."""
        return len(self.vectors)

    def _check_lengths(self) -> None:
        count, people = len(self.vectors), len(self.subjects)
        if self.metric not in METRICS:
            raise InputError(f"metric: {self.metric!r} is not known; use one of {', '.join(METRICS)}")
        if self.subject.shape != (count,) or len(self.paths) != count:
            raise InputError(
                f"templates: {count} vectors, but {self.subject.size} subjects, {len(self.paths)} paths; give one each"
            )
        if len(set(self.subjects)) != people:
            raise InputError("subjects: a name stands there twice; name every subject once")
        if count and not (self.subject.min() >= 0 and self.subject.max() < people):
            raise InputError(f"subject: a template points outside the {people} subjects; number them from 0")
        for column, labels in self.groups.items():
            if len(labels) != people:
                raise InputError(f"{column}: {len(labels)} labels for {people} subjects; give one each, or none")
        if self.failures is not None and not len(self.failures.photos) == len(self.failures.failed) == people:
            raise InputError(f"failures: not one count for each of the {people} subjects")

    def _check_vectors(self) -> None:
        bad = np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))
        if bad.size:
            raise InputError(
                f"{self._where(bad)}: a template holds NaN or infinity; embed the photo again or leave it out"
            )
        if self.metric == "cosine":
            zero = np.flatnonzero(~self.vectors.any(axis=1))
            if zero.size:
                raise InputError(f"{self._where(zero)}: a template is all zeros and has no angle; leave the photo out")

    def _where(self, rows: NDArray[np.intp]) -> str:
        first = self.paths[int(rows[0])]
        return first if rows.size == 1 else f"{first} and {rows.size - 1} more"


def _matrix(vectors: Any) -> Float32Array:
    """(t, d) float32 in C order; InputError when the rows differ in length or are not numbers."""
    try:
        matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise InputError(
            "templates: vectors differ in length or are not numbers; embed all photos with one model"
        ) from error
    if matrix.ndim != 2 or (matrix.shape[0] and not matrix.shape[1]):
        raise InputError(f"templates: expected one vector a row, got an array of shape {matrix.shape}")
    return matrix

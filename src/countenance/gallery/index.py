"""Exact search in memory: every vector of a collection is compared with the probe, none is guessed at.

Vectors lie in blocks of fixed size, so that enrolling moves nothing. Erasing moves the last vector into the hole and
writes zeros over where it lay: nothing of an erased vector stays in a block. Many may read at once, one changes.

A first pass in float32 finds whatever could reach the threshold or the best places, with room for rounding; what it
finds is computed again in float64, and only that decides. So results do not depend on the order of enrolment, on the
number of threads, or on the store.
"""

import threading
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from countenance.errors import GalleryError
from countenance.gallery.values import Vector

__all__ = ["METRICS", "Hit", "Lock", "VectorIndex", "best_scores", "checked", "decide", "prepared"]

METRICS = ("cosine", "euclidean")
_BLOCK = 4096  # rows: 2 MiB at 128 dimensions, which a core's cache holds
_SLACK = 4e-5  # of squared length: more than a float32 dot product of 4096 members is off


@dataclass(frozen=True)
class Hit:
    """A face that was found, and its score."""

    face_id: str
    score: float


class Lock:
    """Many readers or one writer; a waiting writer goes first."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._readers, self._writing, self._waiting = 0, False, 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold together with other readers."""
        with self._free:
            self._free.wait_for(lambda: not self._writing and not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._free:
                self._readers -= 1
                self._free.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold alone."""
        with self._free:
            self._waiting += 1
            self._free.wait_for(lambda: not self._writing and not self._readers)
            self._waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._free:
                self._writing = False
                self._free.notify_all()


def checked(vector: object, dimension: int, metric: str) -> Vector:
    """(dimension,) float32, finite, and for the cosine not zero. Raises GalleryError."""
    try:
        array = np.ascontiguousarray(vector, dtype=np.float32)
    except (TypeError, ValueError):
        raise GalleryError("vector: not numbers; give what the pipeline gave") from None
    if array.shape != (dimension,):
        raise GalleryError(f"vector: has shape {array.shape}, the collection's model gives ({dimension},)")
    if not np.isfinite(array).all():
        raise GalleryError("vector: holds NaN or infinity; embed the face again")
    if metric == "cosine" and not array.any():
        raise GalleryError("vector: all zeros, which has no angle; embed the face again")
    return array


def prepared(vectors: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """(m, d) vectors ready for the dot product: of length 1 for the cosine."""
    if metric == "euclidean":
        return vectors
    wide = vectors.astype(np.float64)
    unit: NDArray[np.float32] = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return unit


def best_scores(vectors: NDArray[np.float32], probes: NDArray[np.float32], metric: str) -> NDArray[np.float64]:
    """(n,) score of each vector with its best probe, in float64: a cosine in [-1, 1], or minus the distance."""
    a, b = vectors.astype(np.float64), probes.astype(np.float64)
    best = np.full(len(a), -np.inf)
    for row in b:
        if metric == "euclidean":
            score = -np.sqrt(np.square(a - row).sum(axis=1))
        else:
            score = (a * row).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(row)
            np.clip(score, -1.0, 1.0, out=score)
        np.maximum(best, score, out=best)
    return best


def decide(
    exact: Sequence[float], face_ids: Sequence[str], groups: Sequence[Hashable], threshold: float, most: int
) -> list[Hit]:
    """The best ``most`` at or above the threshold, one of each group, best first, ties by face id."""
    hits: list[Hit] = []
    seen: set[Hashable] = set()
    order = sorted(range(len(exact)), key=lambda i: (-exact[i], face_ids[i]))
    for i in order:
        if exact[i] >= threshold and groups[i] not in seen and len(hits) < most:
            seen.add(groups[i])
            hits.append(Hit(face_ids[i], 0.0 + exact[i]))
    return hits


class VectorIndex:
    """The vectors of one collection. ``version`` is the collection's version that they show."""

    def __init__(self, dimension: int, metric: str) -> None:
        self.dimension, self.metric, self.version = dimension, metric, 0
        self.lock = Lock()
        self._blocks: list[NDArray[np.float32]] = []
        self._squares: list[NDArray[np.float32]] = []
        self._users: list[NDArray[np.int32]] = []
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._user_numbers: dict[str, int] = {}
        self._longest = 0.0  # squared length

    def __len__(self) -> int:
        return len(self._ids)

    # -- changing: under lock.writing() --------------------------------------------------------------------------

    def put(self, face_id: str, vector: Vector, user_id: str | None) -> None:
        """Add a face, or give one that is there to another user."""
        row = self._rows.get(face_id)
        if row is None:
            row = len(self._ids)
            if row == len(self._blocks) * _BLOCK:
                self._blocks.append(np.zeros((_BLOCK, self.dimension), dtype=np.float32))
                self._squares.append(np.zeros(_BLOCK, dtype=np.float32))
                self._users.append(np.full(_BLOCK, -1, dtype=np.int32))
            block, place = divmod(row, _BLOCK)
            self._blocks[block][place] = prepared(vector[None], self.metric)[0]
            square = float(np.square(self._blocks[block][place], dtype=np.float64).sum())
            self._squares[block][place] = square
            self._longest = max(self._longest, square)
            self._ids.append(face_id)
            self._rows[face_id] = row
        block, place = divmod(row, _BLOCK)
        self._users[block][place] = -1 if user_id is None else self._number(user_id)

    def drop(self, face_ids: Iterable[str]) -> None:
        """Take faces out and write zeros over their vectors. Ids that are not there are passed over."""
        for face_id in face_ids:
            row = self._rows.pop(face_id, None)
            if row is None:
                continue
            last = len(self._ids) - 1
            moved = self._ids.pop()
            here, there = divmod(row, _BLOCK), divmod(last, _BLOCK)
            if row != last:
                for arrays in (self._blocks, self._squares, self._users):
                    arrays[here[0]][here[1]] = arrays[there[0]][there[1]]
                self._ids[row] = moved
                self._rows[moved] = row
            self._blocks[there[0]][there[1]] = 0
            self._squares[there[0]][there[1]] = 0
            self._users[there[0]][there[1]] = -1

    def clear(self) -> None:
        """Write zeros over everything."""
        for arrays in (self._blocks, self._squares):
            for array in arrays:
                array[...] = 0
        for users in self._users:
            users[...] = -1
        self._blocks, self._squares, self._users = [], [], []
        self._ids, self._rows, self._user_numbers, self._longest = [], {}, {}, 0.0

    def _number(self, user_id: str) -> int:
        return self._user_numbers.setdefault(user_id, len(self._user_numbers))

    # -- reading: under lock.reading() ---------------------------------------------------------------------------

    def vectors(self, face_ids: Iterable[str]) -> NDArray[np.float32]:
        """(m, d) of those of the faces that are there."""
        rows = [self._rows[face_id] for face_id in face_ids if face_id in self._rows]
        return self._gather(np.array(rows, dtype=np.intp))

    def of_user(self, user_id: str) -> list[str]:
        """The ids of a user's faces."""
        number = self._user_numbers.get(user_id, -2)
        rows = [b * _BLOCK + r for b, users in enumerate(self._users) for r in np.flatnonzero(users == number)]
        return [self._ids[row] for row in rows]

    def search(
        self,
        probes: NDArray[np.float32],
        threshold: float,
        most: int,
        *,
        users: bool = False,
        without_faces: Iterable[str] = (),
        without_user: str | None = None,
    ) -> tuple[list[Hit], int]:
        """The best ``most`` faces at or above ``threshold``, best first, ties by face id; and how many were compared.

        ``probes`` is (m, d); a face's score is its best over them. With ``users``, only faces that belong to a user
        are compared, and each user stands with the best one. The faces and the user named are left out.
        """
        probes = prepared(probes, self.metric)
        slack = _SLACK * (float(np.square(probes, dtype=np.float64).sum(axis=1).max()) + self._longest)
        left_out = {self._rows[face_id] for face_id in without_faces if face_id in self._rows}
        own = -2 if without_user is None else self._user_numbers.get(without_user, -2)
        rows, rough, searched = self._first_pass(probes, self._bar(threshold) - slack, users, left_out, own)
        numbers = self._numbers(rows) if users else rows
        keep = _could_be_best(rough, numbers, most, 2 * slack)
        rows, numbers = rows[keep], numbers[keep]
        exact = best_scores(self._gather(rows), probes, self.metric)
        hits = decide(exact.tolist(), [self._ids[row] for row in rows.tolist()], numbers.tolist(), threshold, most)
        return hits, searched

    def _bar(self, threshold: float) -> float:
        """The threshold on the first pass's scale: the cosine, or minus the squared distance."""
        if self.metric == "cosine":
            return threshold
        return 0.0 if threshold > 0 else -(threshold * threshold)

    def _first_pass(
        self, probes: NDArray[np.float32], bar: float, users: bool, left_out: set[int], own: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float32], int]:
        """Rows whose rough score reaches ``bar``, these scores, and the number of rows compared."""
        rows, scores, searched = [], [], 0
        squares = np.square(probes, dtype=np.float64).sum(axis=1)
        for b in range(len(self._blocks)):
            count = min(_BLOCK, len(self._ids) - b * _BLOCK)
            if count <= 0:
                break
            rough = self._rough(b, count, probes, squares)
            allowed = np.ones(count, dtype=np.bool_)
            if users:
                allowed &= self._users[b][:count] >= 0
            if own >= 0:
                allowed &= self._users[b][:count] != own
            for row in left_out:
                if b * _BLOCK <= row < b * _BLOCK + count:
                    allowed[row - b * _BLOCK] = False
            searched += int(np.count_nonzero(allowed))
            found = np.flatnonzero(allowed & (rough >= bar))
            rows.append(found + b * _BLOCK)
            scores.append(rough[found])
        if not rows:
            return np.empty(0, np.intp), np.empty(0, np.float32), 0
        return np.concatenate(rows), np.concatenate(scores), searched

    def _rough(
        self, b: int, count: int, probes: NDArray[np.float32], squares: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(count,) best float32 score over the probes: the dot product, or minus the squared distance."""
        # einsum: as fast as BLAS here, which is bound by memory, but without threads that wait for each other
        dots = np.stack([np.einsum("ij,j->i", self._blocks[b][:count], probe) for probe in probes], axis=1)
        if self.metric == "euclidean":
            dots *= 2
            dots -= squares.astype(np.float32)
            dots -= self._squares[b][:count, None]
        return dots.max(axis=1) if dots.shape[1] > 1 else dots[:, 0]

    def _gather(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        out = np.empty((len(rows), self.dimension), dtype=np.float32)
        for i, row in enumerate(rows.tolist()):
            out[i] = self._blocks[row // _BLOCK][row % _BLOCK]
        return out

    def _numbers(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.array([self._users[row // _BLOCK][row % _BLOCK] for row in rows.tolist()], dtype=np.intp)


def _could_be_best(rough: NDArray[np.float32], numbers: NDArray[np.intp], most: int, slack: float) -> NDArray[np.intp]:
    """Places of the rough scores that could be, once exact, among the best ``most`` of different ``numbers``."""
    if not rough.size:
        return np.empty(0, np.intp)
    different, group = np.unique(numbers, return_inverse=True)
    best = np.full(different.size, -np.inf, dtype=np.float64)
    np.maximum.at(best, group, rough)
    place = different.size - most
    last = np.partition(best, place)[place] if place > 0 else -np.inf
    return np.flatnonzero((rough >= last - slack) & (rough >= best[group] - slack))

"""Exact search, against the plain definition."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from countenance.errors import GalleryError
from countenance.gallery.index import Lock, VectorIndex, best_scores, checked
from gallery.helpers import vectors


def filled(array: NDArray[np.float32], metric: str, users: list[str | None] | None = None) -> VectorIndex:
    index = VectorIndex(array.shape[1], metric)
    for i, row in enumerate(array):
        index.put(f"{i:06d}", row, None if users is None else users[i])
    return index


def plain(array: NDArray[np.float32], probe: NDArray[np.float32], metric: str) -> list[tuple[float, str]]:
    """Every score by its definition, best first, ties by id."""
    found = []
    for i, row in enumerate(array.astype(np.float64)):
        p = probe.astype(np.float64)
        score = (
            -float(np.linalg.norm(row - p))
            if metric == "euclidean"
            else float(row @ p / np.linalg.norm(row) / np.linalg.norm(p))
        )
        found.append((-score, f"{i:06d}"))
    return sorted(found)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("count", [1, 100, 4096, 9000])
def test_it_finds_what_the_definition_finds(metric: str, count: int) -> None:
    array = vectors(count, dimension=16)
    index = filled(array, metric)
    for probe in vectors(5, seed=1, dimension=16):
        expected = plain(array, probe, metric)
        hits, searched = index.search(probe[None], -1e9, 7)
        assert searched == count
        assert [hit.face_id for hit in hits] == [face_id for _, face_id in expected[:7]]
        assert [hit.score for hit in hits] == pytest.approx([-score for score, _ in expected[:7]], abs=1e-6)
        threshold = hits[min(3, len(hits) - 1)].score  # a face that scores exactly the threshold is a candidate
        at, _ = index.search(probe[None], threshold, 100)
        assert at == hits[: min(4, len(hits))]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_ties_go_by_face_id_whatever_the_order_of_enrolment(metric: str) -> None:
    same = np.repeat(vectors(1), 50, axis=0)
    orders = [list(range(50)), list(range(49, -1, -1))]
    for order in orders:
        index = VectorIndex(128, metric)
        for number in order:
            index.put(f"{number:02d}", same[0], None)
        hits, _ = index.search(same[:1], -1.0, 5)
        assert [hit.face_id for hit in hits] == ["00", "01", "02", "03", "04"]


def test_scores_do_not_depend_on_what_else_is_there() -> None:
    array = vectors(5000)
    small, large = filled(array[:50], "euclidean"), filled(array, "euclidean")
    probe = vectors(1, seed=3)
    few = {hit.face_id: hit.score for hit in small.search(probe, -1e9, 50)[0]}
    many = {hit.face_id: hit.score for hit in large.search(probe, -1e9, 5000)[0]}
    assert all(many[face_id] == score for face_id, score in few.items())


def test_a_distance_of_almost_nothing_is_not_lost_to_rounding() -> None:
    array = vectors(10) * 100
    index = filled(array, "euclidean")
    near = array[4] + np.float32(1e-3)
    (hit,), _ = index.search(near[None], -0.02, 5)
    assert hit.face_id == "000004"
    assert hit.score == pytest.approx(-float(np.linalg.norm((near - array[4]).astype(np.float64))), abs=1e-9)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_user_scores_the_best_face(metric: str) -> None:
    array = vectors(300, dimension=8)
    users = [None if i % 3 == 0 else f"u{i % 7}" for i in range(300)]
    index = filled(array, metric, users)
    probe = vectors(1, seed=5, dimension=8)
    best: dict[str, str] = {}
    for _, face_id in plain(array, probe[0], metric):
        user = users[int(face_id)]
        if user is not None and user not in best:
            best[user] = face_id
    hits, searched = index.search(probe, -1e9, 4, users=True)
    assert [hit.face_id for hit in hits] == list(best.values())[:4]
    assert searched == 200


def test_leaving_out() -> None:
    array = vectors(20)
    index = filled(array, "euclidean", ["a"] * 3 + ["b"] * 3 + [None] * 14)
    hits, searched = index.search(array[:1], -1e9, 20, without_faces=["000000", "unknown"])
    assert searched == 19
    assert "000000" not in [hit.face_id for hit in hits]
    hits, searched = index.search(array[:3], -1e9, 20, users=True, without_user="a")
    assert searched == 3
    assert len(hits) == 1


def test_several_probes_count_with_the_best() -> None:
    array = vectors(20)
    index = filled(array, "euclidean")
    hits, _ = index.search(array[[3, 7]], -1e-6, 5)
    assert [hit.face_id for hit in hits] == ["000003", "000007"]


@given(st.lists(st.tuples(st.sampled_from("pd"), st.integers(0, 30)), max_size=120))
def test_putting_and_dropping(steps: list[tuple[str, int]]) -> None:
    array = vectors(31, dimension=4)
    index, there = VectorIndex(4, "euclidean"), set()
    for step, number in steps:
        if step == "p":
            index.put(str(number), array[number], None)
            there.add(number)
        else:
            index.drop([str(number)])
            there.discard(number)
    assert len(index) == len(there)
    for number in range(31):
        hits, _ = index.search(array[number][None], 0.0, 31)
        assert [hit.face_id for hit in hits] == ([str(number)] if number in there else [])
    held = {row.tobytes() for block in index._blocks for row in block if row.any()}
    assert held == {array[number].tobytes() for number in there}


def test_clear_writes_zeros() -> None:
    index = filled(vectors(10), "euclidean")
    block = index._blocks[0]
    index.clear()
    assert not block.any()
    assert index.search(vectors(1), -1e9, 3) == ([], 0)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros(3), "shape"),
        (np.full(4, np.nan), "NaN"),
        (["a", "b", "c", "d"], "not numbers"),
        (np.zeros(4), "no angle"),
    ],
)
def test_vectors_that_cannot_be_compared(value: object, says: str) -> None:
    with pytest.raises(GalleryError, match=says):
        checked(value, 4, "cosine")


def test_best_scores_are_bounded() -> None:
    array = np.full((1, 3), 0.1, dtype=np.float32)
    assert best_scores(array, array, "cosine") <= 1.0
    assert best_scores(array, array, "euclidean") == 0.0


def test_readers_share_and_a_writer_is_alone() -> None:
    lock, inside, seen, peak = Lock(), [0], [], [0]
    together = threading.Barrier(3, timeout=10)

    def read() -> None:
        with lock.reading():
            together.wait()  # only passes when three readers are in at once

    def write() -> None:
        for _ in range(200):
            with lock.writing():
                inside[0] += 1
                peak[0] = max(peak[0], inside[0])
                seen.append(1)
                inside[0] -= 1

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert peak == [1]
    assert len(seen) == 600

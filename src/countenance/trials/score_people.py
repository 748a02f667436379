"""Who and what stands in a table of scores: people, samples and labels, by number, in order of appearance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.audit.tallies import IntArray, Sides
from countenance.errors import ScoreTableError
from countenance.trials.labels import Column, label
from countenance.trials.score_reader import Batch, Coded, Layout

MOST_WORDS = 10_000  # values of a group column told apart; such a column is no group long before
MOST_SAMPLES = 3_000_000  # ids of probes and references held in memory; beyond, only people are told apart
Records = NDArray[Any]


class Codes:
    """Numbers for words, in order of appearance."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}

    def of(self, column: Coded) -> IntArray:
        """(n,) numbers of a column's words."""
        number = self.number
        return np.array([number.setdefault(w, len(number)) for w in column.words], dtype=np.int64)[column.codes]

    @property
    def words(self) -> tuple[str, ...]:
        """The words by number."""
        return tuple(self.number)


class _Growing:
    """An array of numbers that grows; -1 where nothing was put yet."""

    def __init__(self) -> None:
        self._values: IntArray = np.full(1024, -1, np.int64)

    def upto(self, count: int) -> IntArray:
        """A view of the first ``count`` places, to read and write."""
        if count > len(self._values):
            more = np.full(max(count, 2 * len(self._values)) - len(self._values), -1, np.int64)
            self._values = np.concatenate([self._values, more])
        return self._values[:count]


class Samples:
    """The samples of one side of the table, and whom each shows."""

    def __init__(self, role: str, layout: Layout) -> None:
        self.role, self._path = role, layout.path
        self.column = layout.role.get(role)
        self.codes = Codes()
        self._subject = _Growing()

    @property
    def subject(self) -> IntArray:
        """(t,) the subject of each sample."""
        return self._subject.upto(len(self.codes.number))

    def see(self, batch: Batch, subject: IntArray, people: Codes, rows_before: int) -> IntArray:
        """(n,) numbers of the samples; ScoreTableError when one sample is said to show two people."""
        assert self.column is not None  # noqa: S101 - only sides with ids are asked
        at = self.codes.of(batch.words[self.column])
        shown = self.subject
        new = shown[at] < 0
        shown[at[new][::-1]] = subject[new][::-1]  # the first row that names a sample stands
        wrong = np.flatnonzero(shown[at] != subject)
        if len(wrong):
            row, words = int(wrong[0]), people.words
            raise ScoreTableError(
                f"{self._path}: data row {rows_before + row + 1}: {self.role} {self.codes.words[at[row]]!r} shows "
                f"{words[subject[row]]!r}, but {words[shown[at[row]]]!r} in another row; give every sample its own id"
            )
        return at


class PersonLabel:
    """One group column: each subject's label, and who has several."""

    def __init__(self, name: str, columns: tuple[str | None, str | None]) -> None:
        self.name, self.columns = name, columns
        self._codes = Codes()
        self._first = _Growing()
        self._conflict = _Growing()

    @property
    def countless(self) -> bool:
        """Whether there are too many values to tell apart: no group, whatever else."""
        return len(self._codes.number) > MOST_WORDS

    def see(self, batch: Batch, sides: tuple[IntArray, IntArray], people: int) -> None:
        """Take note of some rows; ``sides`` are the subjects of the probes and of the references."""
        first, conflict = self._first.upto(people), self._conflict.upto(people)
        for column, subject in zip(self.columns, sides, strict=True):
            if column is None or self.countless:
                continue
            coded = batch.words[column]
            value = self._codes.of(coded)
            told = np.array([label(w) is not None for w in coded.words], dtype=np.bool_)[coded.codes]
            who, said = subject[told], value[told]
            new = first[who] < 0
            first[who[new]] = said[new]
            conflict[who[first[who] != said]] = 1

    def column(self, people: int) -> Column:
        """Settled per subject."""
        first, conflict, words = self._first.upto(people), self._conflict.upto(people) > 0, self._codes.words
        values = tuple(
            None if v < 0 or c else label(words[v]) for v, c in zip(first.tolist(), conflict.tolist(), strict=True)
        )
        return Column(self.name, values, int(conflict.sum()), int((first >= 0).sum()))


@dataclass(frozen=True)
class Naming:
    """How probes and references are numbered as templates: ``left`` and ``right`` (p or r,) to template, and the sides.

    ``one``: probes and references share their ids, so that a sample may stand on both sides.
    """

    left: IntArray
    right: IntArray
    sides: tuple[Sides, Sides]
    one: bool
    clashing: int


def name_samples(probes: Samples, references: Samples) -> Naming:
    """One set of samples, unless an id stands for different people as a probe and as a reference."""
    common = probes.codes.number.keys() & references.codes.number.keys()
    at = np.array([(probes.codes.number[w], references.codes.number[w]) for w in sorted(common)]).reshape(-1, 2)
    at = at.astype(np.int64)
    clashing = int((probes.subject[at[:, 0]] != references.subject[at[:, 1]]).sum())
    left = np.arange(len(probes.codes.number), dtype=np.int64)
    if clashing:
        right = np.arange(len(references.codes.number), dtype=np.int64)
        sides = (
            Sides(probes.subject.copy(), probes.codes.words),
            Sides(references.subject.copy(), references.codes.words),
        )
        return Naming(left, right, sides, False, clashing)
    words: dict[str, int] = dict(probes.codes.number)
    right = np.array([words.setdefault(w, len(words)) for w in references.codes.number], dtype=np.int64)
    subject = np.empty(len(words), np.int64)
    subject[left], subject[right] = probes.subject, references.subject
    side = Sides(subject, tuple(words))
    return Naming(left, right, (side, side), True, 0)


@dataclass
class Oddities:
    """What was found among the rows, to be said: numbers of comparisons."""

    with_itself: int = 0
    repeated: int = 0
    both_ways: int = 0
    rescored: int = 0

    def notes(self) -> list[str]:
        """In words; nothing of what was not found."""
        said: Mapping[str, int] = {
            "comparisons of a sample with itself were left out": self.with_itself,
            "rows repeat another row; each comparison counts once": self.repeated,
            "comparisons are given in both directions; where the score is the same they count once": self.both_ways,
            "comparisons are given several times with different scores; all of them count": self.rescored,
        }
        return [f"{count:,} {what}" for what, count in said.items() if count]


def tidy(rows: Records, naming: Naming, found: Oddities) -> tuple[Records, int]:
    """Rows without repetitions and comparisons of a sample with itself; ``found`` is added to.

    Returns the rows and the number of those that count in a verification; the rest mirror one of them, with the same
    score: they count in a search only. All rows of two people must be given at once.
    """
    one, two = naming.left[rows["p"]], naming.right[rows["r"]]
    if naming.one:
        itself = one == two
        found.with_itself += int(itself.sum())
        rows, one, two = rows[~itself], one[~itself], two[~itself]
    turned = naming.one & (one > two)
    key = np.where(turned, (two << 32) | one, (one << 32) | two)
    order = np.argsort(key, kind="stable")
    rows, key, turned = rows[order], key[order], turned[order]
    same = key[1:] == key[:-1]
    if not same.any():
        return rows, len(rows)
    crowded = np.append(same, False) | np.append(False, same)
    single, rows, key, turned = rows[~crowded], rows[crowded], key[crowded], turned[crowded]
    order = np.lexsort((rows["score"], turned, key))
    rows, key, turned = rows[order], key[order], turned[order]
    repeats = _as_before(key, turned, rows["score"])
    found.repeated += int(repeats.sum())
    rows, key, turned = rows[~repeats], key[~repeats], turned[~repeats]
    again = _as_before(key, turned)
    found.rescored += len(np.unique(np.stack([key[again], turned[again]]), axis=1).T)
    found.both_ways += len(np.intersect1d(key[turned], key[~turned]))
    order = np.lexsort((turned, rows["score"], key))
    rows, key = rows[order], key[order]
    mirror = _as_before(key, rows["score"])
    kept = np.concatenate([single, rows[~mirror], rows[mirror]])
    return kept, len(kept) - int(mirror.sum())


def _as_before(*columns: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) whether a row equals the one before in all of the columns."""
    alike = np.ones(max(len(columns[0]) - 1, 0), np.bool_)
    for column in columns:
        alike &= column[1:] == column[:-1]
    return np.append(False, alike)[: len(columns[0])]

"""Rows of a table of scores, put aside on disk so that all comparisons of two people can be looked at together.

The rows of one pair of people may stand anywhere in a table, and 100 million rows do not fit into 2 GB. So rows are
written to a few hundred files by a hash of the pair of people, and each file is read back whole.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.audit.tallies import FloatArray
from countenance.errors import ScoreTableError

RECORD = np.dtype([("a", "<u4"), ("b", "<u4"), ("p", "<u4"), ("r", "<u4"), ("score", "<f8")])
"""Probe's subject, reference's subject, probe, reference (numbers in order of appearance), score."""
ROWS_PER_FILE = 1_000_000
MOST_FILES = 256
Records = NDArray[Any]


class Spill:
    """Files of records by pair of people, in a temporary folder that goes when the spill is closed."""

    def __init__(self, rows: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="countenance-scores-")
        count = int(np.clip(rows // ROWS_PER_FILE + 1, 1, MOST_FILES))
        self._paths = [Path(self._folder.name) / f"{k}.rows" for k in range(count)]
        self._files = [path.open("wb") for path in self._paths]
        self.rows = 0

    def __enter__(self) -> "Spill":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files:
            with suppress(OSError):  # what a full disk refused, it refuses again; it was said the first time
                file.close()
        self._folder.cleanup()

    def add(self, records: Records) -> None:
        """Put rows aside; both orders of two people go to the same file."""
        self.rows += len(records)
        low = np.minimum(records["a"], records["b"]).astype(np.uint64)
        high = np.maximum(records["a"], records["b"]).astype(np.uint64)
        mixed = (low * np.uint64(0x9E3779B97F4A7C15)) ^ (high * np.uint64(0xC2B2AE3D27D4EB4F))
        at = ((mixed >> np.uint64(32)) % np.uint64(len(self._files))).astype(np.uint16)
        order = np.argsort(at, kind="stable")
        sorted_records = records[order]
        ends = np.cumsum(np.bincount(at, minlength=len(self._files)))
        begin = 0
        for file, end in zip(self._files, ends, strict=True):
            if end > begin:
                with _room():
                    file.write(sorted_records[begin:end].tobytes())
            begin = end

    def parts(self) -> Iterator[tuple[Path, Records]]:
        """Each file with its rows; what is written to the path with `replace` is read next time."""
        self._flush()
        for path in self._paths:
            records = np.fromfile(path, dtype=RECORD)
            if len(records):
                yield path, records

    def _flush(self) -> None:
        for file in self._files:
            with _room():
                file.flush()

    @staticmethod
    def replace(path: Path, records: Records) -> None:
        """Put other rows in the place of a file's."""
        with _room(), path.open("wb") as file:
            file.write(records.tobytes())

    def chunks(self) -> Iterator[Records]:
        """All rows, some at a time, in whatever order they lie."""
        self._flush()
        for path in self._paths:
            with path.open("rb") as source:
                while len(records := np.fromfile(source, dtype=RECORD, count=ROWS_PER_FILE)):
                    yield records


@contextmanager
def _room() -> Iterator[None]:
    """Say it in one line when there is no room on the disk."""
    try:
        yield
    except OSError as error:
        where = tempfile.gettempdir()
        raise ScoreTableError(
            f"{where}: {error.strerror}; make room (24 bytes for each row), or set TMPDIR to another folder"
        ) from error


class Scale:
    """Learns the scale of the scores while they stream by: all values while they are few, the ends, the highest.

    ``limit`` values are kept exactly; of more, the ``top`` highest non-mated ones, where false matches are decided.
    """

    def __init__(self, limit: int, top: int) -> None:
        self.limit, self.top = limit, top
        self.distinct: FloatArray | None = np.empty(0)
        self.highest: FloatArray = np.empty(0)
        self.low, self.high = np.inf, -np.inf

    def see(self, score: FloatArray, nonmated: NDArray[np.bool_]) -> None:
        """Take note of some scores."""
        if not len(score):
            return
        self.low, self.high = min(self.low, float(score.min())), max(self.high, float(score.max()))
        if self.distinct is not None:
            merged = np.union1d(self.distinct, score)
            self.distinct = merged if len(merged) <= self.limit else None
        full = len(self.highest) == self.top
        new = score[nonmated & (score > self.highest[0])] if full else score[nonmated]
        if len(new):
            self.highest = np.union1d(self.highest, new)[-self.top :]

    def grid(self, bins: int, thresholds: tuple[float, ...]) -> tuple[FloatArray, bool]:
        """Rising thresholds (at most ``bins`` and those asked for), and whether they hold every score that was seen.

        Otherwise they are evenly spaced, and include the highest non-mated scores. A last one lies above all scores.
        """
        above = [np.nextafter(max([self.high, *thresholds]), np.inf)]
        if self.distinct is not None and len(self.distinct) <= bins:
            return np.unique(np.concatenate([self.distinct, thresholds, above])), True
        top = self.highest[-min(self.top, bins // 4) :]
        even = np.linspace(self.low, self.high, bins - len(top))
        return np.unique(np.concatenate([even, top, thresholds, above])), False

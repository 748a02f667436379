"""Tables of scores, batch by batch: CSV, Parquet, and bob's text; every faulty row named by its line.

The quick way through (Arrow) only notices that something is wrong. Then the file is gone through once more, row by
row, to name the first ten faulty lines and count the rest. Nothing comes of a table with a faulty row.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from countenance.audit.tallies import FloatArray
from countenance.errors import ScoreTableError
from countenance.trials.tables import delimiter_of

ROLES = ("probe", "reference", "probe_subject", "reference_subject", "score", "mated")
BLOCK = 32 << 20  # bytes of text at a time
ROWS = 1 << 20  # rows of Parquet at a time
SHOWN = 10  # faulty lines named one by one
_MATED = {"1": 1, "true": 1, "yes": 1, "mated": 1, "same": 1, "0": 0, "false": 0, "no": 0, "non-mated": 0}
_MATED |= {"nonmated": 0, "different": 0, "1.0": 1, "0.0": 0}
_BOB = {
    4: ["reference_subject", "probe_subject", "probe", "score"],
    5: ["reference_subject", "reference", "probe_subject", "probe", "score"],
}


@dataclass(frozen=True)
class Layout:
    """Which column of the file serves for what: ``role`` to column, ``groups`` to two columns.

    ``pair_group`` is the one group column of a table without subjects. ``header``: bob's text has none.
    """

    path: Path
    columns: tuple[str, ...]
    role: Mapping[str, str]
    groups: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    pair_group: str | None = None
    delimiter: str | None = None
    header: bool = True
    notes: tuple[str, ...] = ()

    @property
    def has_subjects(self) -> bool:
        """Whether it is known who was compared."""
        return "probe_subject" in self.role

    @property
    def parquet(self) -> bool:
        """Whether the file is Parquet."""
        return self.delimiter is None

    @property
    def needed(self) -> list[str]:
        """The columns to read."""
        groups = [c for pair in self.groups.values() for c in pair if c]
        return list(dict.fromkeys([*self.role.values(), *groups, *([self.pair_group] if self.pair_group else [])]))


@dataclass(frozen=True)
class Coded:
    """A column of words: ``codes`` (n,) number the ``words``; an empty word is a missing one."""

    codes: NDArray[np.int32]
    words: list[str]


@dataclass(frozen=True)
class Batch:
    """Some rows: ``score`` (n,) float64, finite, larger is more alike; ``words`` by column; ``mated`` (n,) bool."""

    score: FloatArray
    words: Mapping[str, Coded]
    mated: NDArray[np.bool_] | None


def layout_of(path: Path, mapping: Mapping[str, str] | None = None, by: Sequence[str] | None = None) -> Layout:
    """Find out what the table holds. ``mapping`` gives the file's name of a role, such as {"score": "similarity"}.

    Raises ScoreTableError when the file is missing, empty, or lacks the columns an audit needs.
    """
    if not path.is_file():
        raise ScoreTableError(f"{path}: no such file; check the name")
    if path.stat().st_size == 0:
        raise ScoreTableError(f"{path}: is empty; the first line must name the columns")
    mapping = dict(mapping or {})
    unknown = [role for role in mapping if role not in ROLES]
    if unknown:
        raise ScoreTableError(f"--column {unknown[0]}: unknown; a table of scores has {', '.join(ROLES)}")
    with path.open("rb") as file:
        start = file.read(1 << 16)
    if start[:4] == b"PAR1":
        return _assign(path, _parquet_columns(path), mapping, by, None)
    line = _first_line(path, start)
    cells = line.split()
    if len(cells) in _BOB and _number(cells[-1]) and not any(d in line for d in ",;"):
        columns = _BOB[len(cells)]
        role = {name: name for name in columns}
        if len(cells) == 4:
            role["reference"] = "reference_subject"  # bob's four columns know the claimed identity only
        return Layout(path, tuple(columns), role, delimiter="\t" if "\t" in line else " ", header=False)
    delimiter = delimiter_of(line)
    header = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    return _assign(path, header, mapping, by, delimiter)


def batches(layout: Layout, distance: bool) -> Iterator[tuple[Batch, float]]:
    """All rows in order, in batches, each with the share of the file read so far.

    Raises ScoreTableError naming the first ten faulty rows and counting the rest, as soon as one is met.
    """
    source = _parquet_batches(layout) if layout.parquet else _csv_batches(layout)
    try:
        for raw, share in source:
            yield _checked(layout, raw, distance), share
    except (pa.ArrowException, UnicodeDecodeError, _FaultyError) as error:
        faults, count, rows = _diagnose(layout)
        if not count:
            raise ScoreTableError(f"{layout.path}: {' '.join(str(error).split())[:200]}; mend it") from None
        more = f"; and {count - len(faults):,} more" if count > len(faults) else ""
        raise ScoreTableError(
            f"{layout.path}: {count:,} of {rows:,} rows cannot be used: {'; '.join(faults)}{more}. Mend or remove them"
        ) from None


class _FaultyError(Exception):
    """A batch holds a faulty row; which one is found out afterwards."""


def _assign(
    path: Path, header: Sequence[str], mapping: Mapping[str, str], by: Sequence[str] | None, delimiter: str | None
) -> Layout:
    twice = sorted({name for name in header if list(header).count(name) > 1})
    if twice:
        raise ScoreTableError(f"{path}: column {twice[0]!r} occurs twice; rename or remove one")
    absent = [f"{role}={name}" for role, name in mapping.items() if name not in header]
    if absent:
        raise ScoreTableError(f"--column {absent[0]}: {path} has no such column; it has {', '.join(header)}")
    role = {name: mapping.get(name, name) for name in ROLES if mapping.get(name, name) in header}
    has = f"it has {', '.join(header)}. Map a column with --column, as in --column score=similarity"
    if "score" not in role:
        raise ScoreTableError(f"{path}: no column 'score'; {has}")
    if ("probe_subject" in role) != ("reference_subject" in role):
        raise ScoreTableError(f"{path}: names the subject of one side only; probe_subject and reference_subject, {has}")
    if "probe_subject" not in role and "mated" not in role:
        raise ScoreTableError(f"{path}: needs probe_subject and reference_subject, or mated (1 or 0); {has}")
    rest = [name for name in header if name not in role.values()]
    layout = Layout(path, tuple(header), role, delimiter=delimiter)
    return _person_groups(layout, rest, by) if layout.has_subjects else _pair_group(layout, rest, by)


def _person_groups(layout: Layout, rest: Sequence[str], by: Sequence[str] | None) -> Layout:
    groups: dict[str, tuple[str | None, str | None]] = {}
    for name in rest:
        for at, side in enumerate(("probe_", "reference_")):
            label = name.removeprefix(side)
            if name != label and label and (by is None or label in by):
                pair = list(groups.get(label, (None, None)))
                pair[at] = name
                groups[label] = (pair[0], pair[1])
    notes = [
        f"{label}: only {next(c for c in pair if c)} is in the table; who stands on the other side only has no label"
        for label, pair in groups.items()
        if None in pair
    ]
    unread = [name for name in rest if not name.startswith(("probe_", "reference_"))]
    if unread and by is None:
        notes.append(f"columns not read: {', '.join(unread)} (a group is given as probe_<group> and reference_<group>)")
    return Layout(layout.path, layout.columns, layout.role, groups, None, layout.delimiter, True, tuple(notes))


def _pair_group(layout: Layout, rest: Sequence[str], by: Sequence[str] | None) -> Layout:
    role = {name: column for name, column in layout.role.items() if name in ("score", "mated")}
    notes = ["the table does not say who was compared: its rates have no intervals"]
    chosen: str | None
    if by is not None:
        if len(by) > 1 or (by and by[0] not in rest):
            raise ScoreTableError(f"--by {','.join(by)}: name one column of {layout.path}; it has {', '.join(rest)}")
        chosen = by[0] if by else None
    else:
        chosen = "group" if "group" in rest else rest[0] if len(rest) == 1 else None
        unread = [name for name in rest if name != chosen]
        if unread:
            notes.append(f"columns not read: {', '.join(unread)} (--by takes one of them as the group)")
    return Layout(layout.path, layout.columns, role, {}, chosen, layout.delimiter, True, tuple(notes))


def _first_line(path: Path, start: bytes) -> str:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ScoreTableError(f"{path}: is UTF-16; save it as 'CSV UTF-8'")
    if b"\0" in start:
        raise ScoreTableError(f"{path}: is neither text nor Parquet; give a CSV or Parquet table of scores")
    text = start.decode("utf-8-sig", "replace").lstrip("\r\n")
    line = text.splitlines()[0] if text.strip() else ""
    if not line:
        raise ScoreTableError(f"{path}: is empty; the first line must name the columns")
    return line


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parquet_columns(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise ScoreTableError(f"{path}: damaged Parquet file: {' '.join(str(error).split())[:120]}") from None


def _csv_batches(layout: Layout) -> Iterator[tuple[Any, float]]:
    word = pa.dictionary(pa.int32(), pa.string())
    types = dict.fromkeys(layout.needed, word) | {layout.role["score"]: pa.float64()}
    size = max(layout.path.stat().st_size, 1)
    with pa.OSFile(str(layout.path)) as file:
        reader = pa.csv.open_csv(
            file,
            read_options=pa.csv.ReadOptions(
                block_size=BLOCK, column_names=None if layout.header else list(layout.columns)
            ),
            parse_options=pa.csv.ParseOptions(delimiter=layout.delimiter),
            convert_options=pa.csv.ConvertOptions(
                column_types=_as_written(layout, types), include_columns=_as_written(layout, layout.needed)
            ),
        )
        for batch in reader:
            yield batch.rename_columns([name.strip() for name in batch.schema.names]), min(file.tell() / size, 1.0)


def _as_written(layout: Layout, names: Any) -> Any:
    """Names of columns as the header writes them, blanks included."""
    if not layout.header:
        return names
    with layout.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        written = next(row for row in csv.reader(file, delimiter=layout.delimiter or ",") if row)
    spelled = {name.strip(): name for name in written}
    if isinstance(names, dict):
        return {spelled[name]: kind for name, kind in names.items()}
    return [spelled[name] for name in names]


def _parquet_batches(layout: Layout) -> Iterator[tuple[Any, float]]:
    with pq.ParquetFile(layout.path, pre_buffer=False, buffer_size=1 << 20) as file:
        total, done = max(file.metadata.num_rows, 1), 0
        kind = file.schema_arrow.field(layout.role["score"]).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
            raise ScoreTableError(f"{layout.path}: column {layout.role['score']!r} is {kind}, not a number; convert it")
        for batch in file.iter_batches(batch_size=ROWS, columns=layout.needed):
            done += batch.num_rows
            yield batch, done / total


def _checked(layout: Layout, raw: Any, distance: bool) -> Batch:
    column = raw.column(layout.role["score"])
    if column.null_count:
        raise _FaultyError("a row without a score")
    score = np.asarray(column.cast(pa.float64()), dtype=np.float64)
    if not np.isfinite(score).all():
        raise _FaultyError("a score that is not a finite number")
    words = {name: _coded(raw.column(name)) for name in layout.needed if name != layout.role["score"]}
    for role, name in layout.role.items():
        if role not in ("score", "mated") and "" in words[name].words:
            raise _FaultyError(f"a row without {role}")
    mated = _mated(layout, words)
    return Batch(-score if distance else score, words, mated)


def _coded(column: Any) -> Coded:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = ["" if w is None else str(w).strip() for w in column.dictionary.to_pylist()]
    if column.null_count:
        return Coded(np.asarray(column.indices.fill_null(len(words)), dtype=np.int32), [*words, ""])
    return Coded(np.asarray(column.indices, dtype=np.int32), words)


def _mated(layout: Layout, words: Mapping[str, Coded]) -> NDArray[np.bool_] | None:
    if "mated" not in layout.role:
        return None
    column = words[layout.role["mated"]]
    truth = [_MATED.get(word.lower(), -1) for word in column.words]
    if -1 in truth:
        raise _FaultyError("mated is neither 1 nor 0")
    mated = np.array(truth, dtype=np.int8)[column.codes].astype(np.bool_)
    if layout.has_subjects:
        one, two = words[layout.role["probe_subject"]], words[layout.role["reference_subject"]]
        numbers: dict[str, int] = {}
        code = [np.array([numbers.setdefault(w, len(numbers)) for w in c.words], dtype=np.int64) for c in (one, two)]
        if (mated != (code[0][one.codes] == code[1][two.codes])).any():
            raise _FaultyError("mated contradicts the subjects")
    return mated


def _diagnose(layout: Layout) -> tuple[list[str], int, int]:
    """The first ten faults, with line or row; the number of faulty rows; the number of rows."""
    faults: list[str] = []
    count = rows = 0
    unit = "row" if layout.parquet else "line"
    for place, cells in _parquet_cells(layout) if layout.parquet else _csv_cells(layout):
        rows += 1
        what = cells if isinstance(cells, str) else _fault(layout, cells)
        if what:
            count += 1
            if len(faults) < SHOWN:
                faults.append(f"{unit} {place}: {what}")
    return faults, count, rows


def _csv_cells(layout: Layout) -> Iterator[tuple[int, dict[str, str] | str]]:
    with layout.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=layout.delimiter or ",")
        started, line = not layout.header, 1
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, str(error)
                line = reader.line_num + 1
                continue
            if row and started:
                if any("\udc80" <= c <= "\udcff" for cell in row for c in cell):
                    yield line, "not UTF-8"
                elif len(row) != len(layout.columns):
                    yield line, f"{len(row)} cells where there should be {len(layout.columns)}"
                else:
                    yield line, dict(zip(layout.columns, (cell.strip() for cell in row), strict=True))
            started = started or bool(row)
            line = reader.line_num + 1


def _parquet_cells(layout: Layout) -> Iterator[tuple[int, dict[str, str] | str]]:
    row = 0
    with pq.ParquetFile(layout.path) as file:
        for batch in file.iter_batches(batch_size=ROWS, columns=layout.needed):
            for cells in batch.to_pylist():
                row += 1
                yield row, {k: "" if v is None else str(v).strip() for k, v in cells.items()}


def _fault(layout: Layout, cells: Mapping[str, str]) -> str | None:
    """What is wrong with one row; None when nothing is."""
    score = cells[layout.role["score"]]
    if not score:
        return "no score"
    if not _number(score) or not math.isfinite(float(score)):
        return f"score {score[:40]!r} is not a finite number"
    missing = [role for role, name in layout.role.items() if not cells[name]]
    if missing:
        return f"no {' and no '.join(missing)}"
    if "mated" in layout.role:
        told = cells[layout.role["mated"]]
        truth = _MATED.get(told.lower())
        if truth is None:
            return f"mated is {told[:40]!r}, not 1 or 0"
        if layout.has_subjects:
            one, two = cells[layout.role["probe_subject"]], cells[layout.role["reference_subject"]]
            if truth != (one == two):
                return f"mated is {told} but the subjects are {one!r} and {two!r}"
    return None


def rows_estimate(layout: Layout) -> int:
    """About how many rows the table has."""
    if layout.parquet:
        return int(pq.ParquetFile(layout.path).metadata.num_rows)
    with layout.path.open("rb") as file:
        start = file.read(1 << 20)
    return int(layout.path.stat().st_size * (start.count(b"\n") + 1) / max(len(start), 1)) + 1

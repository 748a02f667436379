"""Small tables of text, read whole: a manifest, a file of verdicts. CSV or Parquet, every fault named by its line."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from countenance.errors import ManifestError

_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Table:
    """``columns`` map each name to its cells, stripped; ``lines`` give each row's place in the file, for messages."""

    path: Path
    columns: Mapping[str, Sequence[str]]
    lines: Sequence[int]
    unit: str = "line"

    def need(self, *names: str) -> None:
        """ManifestError unless the table has these columns."""
        for name in names:
            if name not in self.columns:
                raise ManifestError(
                    f"{self.path}: no column {name!r}; it has {', '.join(self.columns)}. "
                    f"Rename a column, the first line must name {' and '.join(names)}"
                )

    def refuse_empty(self, name: str) -> None:
        """ManifestError when a cell of column ``name`` is empty."""
        empty = [line for line, cell in zip(self.lines, self.columns[name], strict=True) if not cell]
        if empty:
            more = f" (and in {len(empty) - 1} more)" if len(empty) > 1 else ""
            raise ManifestError(f"{self.path}: {self.unit} {empty[0]}{more}: no {name}; fill it in or delete the row")


def read_table(path: Path) -> Table:
    """Read a CSV (comma, semicolon or tab; UTF-8, with or without byte order mark) or a Parquet file.

    Raises ManifestError for a file that is missing, empty, not UTF-8, or has rows that do not fit the header.
    """
    if not path.exists():
        raise ManifestError(f"{path}: no such file; check the name")
    if path.is_dir():
        raise ManifestError(f"{path}: is a folder; name a file in it")
    if path.stat().st_size == 0:
        raise ManifestError(f"{path}: is empty; the first line must name the columns")
    with path.open("rb") as file:
        magic = file.read(4)
    return _read_parquet(path) if magic == b"PAR1" else _read_csv(path)


def decode(path: Path, content: bytes) -> str:
    """Text of a UTF-8 file, or ManifestError with the line and the mend."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ManifestError(f"{path}: is UTF-16; save it as 'CSV UTF-8'")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ManifestError(
            f"{path}: line {line}: not UTF-8; save it as 'CSV UTF-8', or: iconv -f WINDOWS-1252 -t UTF-8"
        ) from None


def delimiter_of(header: str) -> str:
    """The delimiter of a header line: comma, semicolon or tab, whichever occurs most."""
    return max(_DELIMITERS, key=header.count)


def _read_csv(path: Path) -> Table:
    text = decode(path, path.read_bytes())
    if "\0" in text:
        raise ManifestError(f"{path}: is not text; give a CSV or Parquet file, or a folder of folders")
    delimiter = delimiter_of(text.lstrip().split("\n", 1)[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    start = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if header is None:
                header = cells if any(cells) else None
            elif any(cells):
                if len(cells) != len(header):
                    raise ManifestError(
                        f"{path}: line {start}: {len(cells)} cells where the header has {len(header)}; "
                        f"put quotes around a cell that contains {delimiter!r}"
                    )
                rows.append(cells)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise ManifestError(f"{path}: line {start}: {error}; check the quotes") from None
    if header is None:
        raise ManifestError(f"{path}: is empty; the first line must name the columns")
    _check_header(path, header)
    columns = list(zip(*rows, strict=True)) or [() for _ in header]
    return Table(path, dict(zip(header, columns, strict=True)), lines)


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{path}: damaged Parquet file: {_one_line(error)}") from None
    _check_header(path, table.column_names)
    columns = {
        name: ["" if v is None else _text(v) for v in table.column(name).to_pylist()] for name in table.column_names
    }
    return Table(path, columns, range(1, table.num_rows + 1), "row")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of whole numbers with gaps arrives as floating point
    return str(value).strip()


def _check_header(path: Path, header: Sequence[str]) -> None:
    twice = sorted({name for name in header if list(header).count(name) > 1})
    if twice:
        raise ManifestError(f"{path}: column {twice[0]!r} occurs twice; rename or remove one")
    if "" in header and len(header) > 1:
        raise ManifestError(f"{path}: column {list(header).index('') + 1} has no name; name it or remove it")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]

"""Group columns: which columns divide people into groups, and what each person's label is.

A label belongs to a person, not to a photo. Where the photos of one person disagree, that person forms no group in that
column. Nothing is dropped silently: every decision becomes a note, which the report prints.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from countenance.audit.tallies import IntArray
from countenance.errors import InputError

MOST_VALUES_BY_DEFAULT = 20
FEW_VALUES = 4  # so many may be groups of one person, as in a table of four people
MOST_CELLS = 64
_NO_LABEL = {"", "na", "n/a", "nan", "null", "<na>"}

Labels = tuple[str | None, ...]


@dataclass(frozen=True)
class Column:
    """One candidate: ``values`` per subject (None where there is no label, or a contradictory one).

    ``conflicting`` subjects have photos with different labels, of ``repeated`` subjects with several labelled photos.
    """

    name: str
    values: Labels
    conflicting: int
    repeated: int

    @property
    def distinct(self) -> list[str]:
        """The different labels, sorted."""
        return sorted({v for v in self.values if v is not None})


def label(raw: object) -> str | None:
    """A cell as a label: stripped, and None for an empty cell or one of NA, N/A, NaN, null."""
    text = "" if raw is None else str(raw).strip()
    return None if text.casefold() in _NO_LABEL else text


def settle(name: str, subject: Sequence[int] | IntArray, count: int, cells: Sequence[str | None]) -> Column:
    """The column ``name`` per subject, from ``cells`` per photo and the ``subject`` number of each photo."""
    seen: list[dict[str, None]] = [{} for _ in range(count)]
    labelled = [0] * count
    for who, value in zip(subject, cells, strict=True):
        if value is not None:
            seen[who][value] = None
            labelled[who] += 1
    values = tuple(next(iter(s)) if len(s) == 1 else None for s in seen)
    return Column(name, values, sum(len(s) > 1 for s in seen), sum(n > 1 for n in labelled))


def choose(columns: Sequence[Column], by: Sequence[str] | None = None) -> tuple[dict[str, Labels], list[str]]:
    """Which columns are groups: those asked for (``by``), or all that can be; and what to tell the reader.

    By default a column is no group when more than half of the subjects with several labelled photos contradict
    themselves, when it has more than 20 different values, or more than half as many as people (and more than 4).
    Raises InputError when ``by`` names an unknown column or would make more than 64 groups.
    """
    notes: list[str] = []
    if by is None:
        chosen = [c for c in columns if _serves(c, notes)]
        while len(chosen) > 1 and _cells(chosen) > MOST_CELLS:
            widest = max(chosen, key=lambda c: len(c.distinct))
            chosen.remove(widest)
            notes.append(
                f"column {widest.name} is not a group: combined with the others it makes more than {MOST_CELLS} groups"
                f"; ask for fewer columns with --by"
            )
    else:
        chosen = _asked(columns, by)
    for column in chosen:
        notes.extend(_remarks(column))
    return {c.name: c.values for c in chosen}, notes


def _asked(columns: Sequence[Column], by: Sequence[str]) -> list[Column]:
    known = {c.name: c for c in columns}
    unknown = [name for name in by if name not in known]
    if unknown:
        raise InputError(
            f"--by: no column {', '.join(unknown)} in the data; it has {', '.join(known) or 'no group column'}"
        )
    chosen = [known[name] for name in dict.fromkeys(by)]
    if _cells(chosen) > MOST_CELLS:
        counts = ", ".join(f"{c.name} has {len(c.distinct)} different values" for c in chosen)
        raise InputError(
            f"--by {','.join(by)}: makes {_cells(chosen)} groups, more than {MOST_CELLS} ({counts}); "
            f"bin a column into bands"
        )
    return chosen


def _serves(column: Column, notes: list[str]) -> bool:
    name, distinct = column.name, column.distinct
    labelled = sum(v is not None for v in column.values)
    if 2 * column.conflicting > column.repeated:
        notes.append(
            f"column {name} is not a group: it differs between photos of one person for {column.conflicting} of the "
            f"{column.repeated} people with several labelled photos"
        )
    elif len(distinct) > MOST_VALUES_BY_DEFAULT or FEW_VALUES < len(distinct) > labelled / 2:
        mend = "bin it into bands" if _numeric(distinct) else f"--by {name} takes it, up to {MOST_CELLS} values"
        notes.append(
            f"column {name} is not a group: it has {len(distinct)} different values for {labelled} people; {mend}"
        )
    elif not distinct:
        notes.append(f"column {name} is not a group: it is empty")
    else:
        return True
    return False


def _remarks(column: Column) -> list[str]:
    notes = []
    if column.conflicting:
        notes.append(
            f"{column.name}: {column.conflicting} people have photos with different labels; they form no group there"
        )
    missing = sum(v is None for v in column.values) - column.conflicting
    if missing:
        notes.append(f"{column.name}: {missing} people have no label; they form no group there")
    folded = Counter(v.casefold() for v in column.distinct)
    twins = [v for v in column.distinct if folded[v.casefold()] > 1]
    if twins:
        notes.append(f"{column.name}: {', '.join(twins)} differ in capitals only and are counted as different groups")
    return notes


def _cells(columns: Sequence[Column]) -> int:
    return len(set(zip(*(c.values for c in columns), strict=True)) - {(None,) * len(columns)}) if columns else 0


def _numeric(values: Sequence[str]) -> bool:
    try:
        return bool(np.isfinite([float(v) for v in values]).all())
    except ValueError:
        return False


def columns_of(raw: Mapping[str, Sequence[str | None]], subject: Sequence[int] | IntArray, count: int) -> list[Column]:
    """Every raw column of photos, settled per subject."""
    return [settle(name, subject, count, cells) for name, cells in raw.items()]

"""A person's verdicts on suspected label errors: are the two photos one person's after all?"""

import os
from pathlib import Path

from countenance.audit import VERDICTS, Verdict
from countenance.errors import ManifestError
from countenance.trials.tables import read_table

_SIDES = (("left", "right"), ("left_subject", "right_subject"))


def read_verdicts(path: str | os.PathLike[str]) -> tuple[Verdict, ...]:
    """Read a CSV or Parquet file with ``left``, ``right`` (or ``left_subject``, ``right_subject``) and ``verdict``.

    A verdict is ``same``, ``different`` or ``unsure``; a row without one is still to be judged and left out. Other
    columns are not read, so the report's own list of suspects serves, with a column filled in.
    Raises ManifestError naming the line.
    """
    table = read_table(Path(path))
    subjects = "left" not in table.columns and "left_subject" in table.columns
    left_name, right_name = _SIDES[subjects]
    table.need(left_name, right_name, "verdict")
    found: dict[tuple[str, str], tuple[Verdict, int]] = {}
    columns = (table.columns[left_name], table.columns[right_name], table.columns["verdict"])
    for place, left, right, told in zip(table.lines, *columns, strict=True):
        where = f"{table.path}: {table.unit} {place}"
        verdict = told.lower()
        if not verdict:
            continue
        if verdict not in VERDICTS:
            raise ManifestError(f"{where}: verdict {told!r}; write same, different or unsure, or leave it empty")
        if not left or not right:
            raise ManifestError(f"{where}: no {right_name if left else left_name}; fill it in or delete the row")
        if left == right and not subjects:  # a person can be two, in photos that bear one name
            raise ManifestError(f"{where}: {left!r} stands on both sides; name the two that were compared")
        pair = (min(left, right), max(left, right))
        before = found.setdefault(pair, (Verdict(left, right, verdict, subjects), place))
        if before[0].verdict != verdict:
            raise ManifestError(
                f"{where}: {left!r} and {right!r} are {verdict} here and {before[0].verdict} in {table.unit} "
                f"{before[1]}; keep one"
            )
    return tuple(verdict for verdict, _ in found.values())

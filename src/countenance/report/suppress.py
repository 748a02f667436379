"""Small counts hidden in a set of published ones, and others with them, until no hidden count can be computed.

A count from 1 to k - 1 is shown as ``<k``. That is not enough where it stands in a sum whose other members are shown.
So what a reader can work out is worked out here: every published count, every sum that holds between them, every "at
most", and what the signs themselves say are put into an integer programme, and for each hidden count the least and the
greatest value that fits are asked for. While some hidden count is pinned down more closely than is allowed, one more
count is withheld; where nothing is left to withhold, the whole table goes. Nothing is rounded and nothing made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

__all__ = ["WITHHELD", "Counts", "hide"]

WITHHELD = "withheld"
"""A count that is shown nowhere because a smaller one could be computed from it."""
Shown = int | str


@dataclass
class Counts:
    """Counts by name, and what a reader knows of how they hang together.

    ``sums``: a total and its parts. ``known``: counts whose sum a reader knows from elsewhere. ``at_most``: the first
    of the two is never larger. ``tables``: names that stand in one table, which can be withheld whole. ``unshown``:
    counts that are not published, and of which a reader knows only such sums.
    """

    cells: dict[str, int] = field(default_factory=dict)
    sums: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    known: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    at_most: list[tuple[str, str]] = field(default_factory=list)
    tables: list[tuple[str, ...]] = field(default_factory=list)
    unshown: set[str] = field(default_factory=set)

    def total(self, name: str, parts: Mapping[str, int]) -> None:
        """A total and the table of its parts, which are named ``name/part``."""
        named = {f"{name}/{part}": count for part, count in parts.items()}
        self.cells |= named
        self.cells.setdefault(name, sum(named.values()))
        self.sums.append((name, tuple(named)))


def hide(counts: Counts, smallest: int) -> dict[str, Shown]:
    """What is published of each count: itself, ``<smallest``, or `WITHHELD`. The same for the same counts.

    Afterwards each hidden count from 1 to ``smallest - 1`` could have one of at least ``(smallest - 1) // 2 + 1``
    values as far as a reader can tell. Raises ValueError for ``smallest`` below 3, where ``<2`` would say 1.
    """
    if smallest < 3:
        raise ValueError(f"smallest is {smallest}: below 3 a hidden count would be told by its sign")
    state = _State(counts, smallest)
    while (exposed := state.exposed()) is not None:
        state.withhold_for(exposed)
    return {name: state.shown(name) for name in counts.cells if name not in counts.unshown}


class _State:
    def __init__(self, counts: Counts, smallest: int) -> None:
        self.counts, self.k = counts, smallest
        self.width = (smallest - 1) // 2
        self.place = {name: number for number, name in enumerate(counts.cells)}
        self.withheld: set[str] = set()
        self.gone = set(
            counts.unshown
        )  # nothing is said of them, not even that they are small; tables withheld whole too
        self.sound: set[str] = set()  # hiding more never exposes what was sound before
        self.constraints = self._constraints()

    def small(self, name: str) -> bool:
        return 0 < self.counts.cells[name] < self.k

    def shown(self, name: str) -> Shown:
        if name in self.gone or name in self.withheld:
            return WITHHELD
        return f"<{self.k}" if self.small(name) else self.counts.cells[name]

    def exposed(self) -> str | None:
        """The first hidden count that a reader could pin down."""
        for name in self.counts.cells:
            if self.small(name) and name not in self.gone and name not in self.sound:
                low, high = self._range(name)
                if high - low < self.width:
                    return name
                self.sound.add(name)
        return None

    def withhold_for(self, exposed: str) -> None:
        """Withhold one more count: the smallest that alone is enough, else one from the exposed one's own sums.

        Where none is left, the whole table goes.
        """
        cells, hidden = self.counts.cells, self.withheld | self.gone
        near = self._near(exposed)
        rest = sorted(
            (name for name in cells if cells[name] >= self.k and name not in hidden),
            key=lambda name: (name not in near, cells[name], name),
        )
        for name in rest:
            self.withheld.add(name)
            low, high = self._range(exposed)
            if high - low >= self.width:
                return
            self.withheld.discard(name)
        if rest:
            self.withheld.add(rest[0])
            return
        for table in self.counts.tables:
            if exposed in table:
                self.gone.update(table)
                return
        self.gone.add(exposed)

    def _near(self, exposed: str) -> set[str]:
        """Counts that stand in a sum with it."""
        together = [(total, *parts) for total, parts in self.counts.sums] + [parts for parts, _ in self.counts.known]
        return {name for names in together if exposed in names for name in names}

    def _range(self, name: str) -> tuple[float, float]:
        goal = np.zeros(len(self.place))
        goal[self.place[name]] = 1.0
        bounds = self._bounds()
        ends = []
        for sign in (1.0, -1.0):
            found = milp(sign * goal, constraints=self.constraints, bounds=bounds, integrality=np.ones_like(goal))
            if found.x is None:  # no number fits: what is assumed of the reader is more than there is to know
                return 0.0, 0.0
            ends.append(sign * found.fun)
        return ends[0], ends[1]

    def _bounds(self) -> Bounds:
        low, high = np.zeros(len(self.place)), np.full(len(self.place), np.inf)
        for name, number in self.place.items():
            if name in self.gone:
                continue
            if name in self.withheld:
                low[number] = self.k
            elif self.small(name):
                low[number], high[number] = 1, self.k - 1
            else:
                low[number] = high[number] = self.counts.cells[name]
        return Bounds(low, high)

    def _constraints(self) -> list[LinearConstraint]:
        rows: list[tuple[dict[str, float], float, float]] = []
        for total, parts in self.counts.sums:
            rows.append((dict.fromkeys(parts, 1.0) | {total: -1.0}, 0.0, 0.0))
        rows += [(dict.fromkeys(parts, 1.0), value, value) for parts, value in self.counts.known]
        rows += [({small: 1.0, large: -1.0}, -np.inf, 0.0) for small, large in self.counts.at_most]
        if not rows:
            return []
        matrix = np.zeros((len(rows), len(self.place)))
        for number, (weights, _, _) in enumerate(rows):
            for name, weight in weights.items():
                matrix[number, self.place[name]] += weight
        return [LinearConstraint(matrix, [low for _, low, _ in rows], [high for _, _, high in rows])]

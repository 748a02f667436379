"""Cells of a simulation, side by side on all cores."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from countenance.faces.runtime import cores

Cell = TypeVar("Cell")
Found = TypeVar("Found")


def side_by_side(work: Callable[[Cell], Found], cells: Iterable[Cell]) -> Iterator[Found]:
    """``work`` of each cell, in their order, each said as it comes. Functions of modules only: processes share them."""
    start = time.perf_counter()
    with ProcessPoolExecutor(cores()) as pool:
        for found in pool.map(work, cells):
            print(f"{time.perf_counter() - start:7.0f} s {found}", flush=True)
            yield found

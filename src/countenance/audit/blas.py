"""One thread for each matrix product: the pass runs several products side by side, which together use all cores.

Products that share their threads wait for each other at every tile; on a busy machine that costs more than the
products.
"""

import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

__all__ = ["one_thread"]

_lock = threading.Lock()
_inside = 0
_before = 1


@functools.cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """(get, set) number of threads of the OpenBLAS that NumPy's wheels bring; None with any other."""
    for path in sorted((Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for suffix in ("64_", ""):
            get = getattr(library, f"scipy_openblas_get_num_threads{suffix}", None)
            put = getattr(library, f"scipy_openblas_set_num_threads{suffix}", None)
            if get is not None and put is not None:
                return get, put
    return None


@contextmanager
def one_thread() -> Iterator[bool]:
    """Hold NumPy's matrix products to one thread each, in the whole process; False where that cannot be done."""
    global _inside, _before
    found = _openblas()
    if found is None:
        yield False
        return
    get, put = found
    with _lock:
        if _inside == 0:
            _before = get()
            put(1)
        _inside += 1
    try:
        yield True
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                put(_before)

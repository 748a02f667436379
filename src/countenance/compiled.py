"""Inner loops in machine code. Importing this loads Numba, so whoever can wait imports its loops on first use."""

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compiled"]


def compiled(function: Callable[..., Any]) -> Any:
    """``function`` compiled at its first call; kept for the next process where there is a folder to keep it in."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return numba.njit(nogil=True)(function)

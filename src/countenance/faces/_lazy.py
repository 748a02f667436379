"""What is heavy, imported on first use: the image libraries, which the base install has not, and compiled loops."""

import functools
import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.errors import UnavailableError

__all__ = ["loops", "need", "quicken", "words"]

_loops: Any = None


@functools.cache
def need(module: str) -> Any:
    """Import a module of the ``faces`` extra.

    Raises:
        UnavailableError: the extra is not installed; the message gives the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UnavailableError(
            f"working with photos needs the faces extra ({error}): pip install 'countenance[faces]'"
        ) from error


def quicken() -> None:
    """Do the loops over pixels by machine code from now on, which changes no result.

    Loading the compiler takes a second and 100 MiB, as long as Pillow and NumPy take for a thousand faces: a server
    has that, and whoever looks at one photo does not wait for it.
    """
    global _loops
    _loops = importlib.import_module("countenance.faces.kernels")


def loops() -> Any:
    """The module `countenance.faces.kernels`, or None where nobody asked for it."""
    return _loops


def words(photo: Any) -> NDArray[np.uint32]:
    """A Pillow photo as the loops take it: (height * width,) uint32, R, G, B in the lowest bytes of each."""
    return np.frombuffer(photo.tobytes("raw", "RGBX"), "<u4")

"""The image libraries, imported on first use: the base install has none of them."""

import functools
import importlib
from typing import Any

from countenance.errors import UnavailableError

__all__ = ["need"]


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

"""Countenance: face recognition that answers for itself."""

from importlib.metadata import version

__all__ = ["__version__"]
__version__ = version("countenance")

"""The measurements that come with the package: members of Congress searched among the people of LFW.

Tallies only, under random numbers; no template, no name, no photo. ``scripts/make_embedded.py`` makes them.
"""

from importlib.resources import files
from pathlib import Path

from countenance.audit import Tallies, load_tallies
from countenance.errors import InputError, UnavailableError

__all__ = ["EMBEDDED", "embedded_tallies", "running_here"]

DEFAULT = "dlib-resnet-v1"
EMBEDDED = {"dlib-resnet-v1": "congress-lfw.dlib.tallies", "mobilefacenet": "congress-lfw.mobilefacenet.tallies"}


def embedded_tallies(name: str | None = None) -> Tallies:
    """The embedded tallies of a pipeline, by default the default engine's. Raises InputError for an unknown name."""
    file = EMBEDDED.get(name or DEFAULT)
    if file is None:
        raise InputError(f"--pipeline: no embedded measurements of {name!r}; there are {', '.join(EMBEDDED)}")
    return load_tallies(Path(str(files("countenance.trials") / "data" / file)))


def running_here() -> str:
    """Whose embedded tallies a certificate for this machine is made of: the pipeline that would run here, if it is one
    of those, else the default engine's.
    """
    from countenance.faces import default_pipeline

    try:
        name = default_pipeline().embedder.card.name
    except UnavailableError:  # the engine is not installed: whoever certifies need not be who serves
        return DEFAULT
    return name if name in EMBEDDED else DEFAULT

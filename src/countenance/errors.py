"""The one exception tree of Countenance.

    CountenanceError                something Countenance says in one line
    ├── InputError                  what the user gave is wrong; exit status 2
    │   ├── ImageError              a photo cannot be used: missing, truncated, too large, not an image
    │   │   └── NoFaceError         the photo is sound, but no face was found in it
    │   ├── ManifestError           a manifest, a template file or a folder of photos is wrong
    │   ├── ScoreTableError         a table of scores is wrong
    │   ├── TalliesError            a file of tallies is wrong
    │   ├── ModelError              a model file or its card is wrong, unknown or damaged
    │   └── NotEnoughDataError      the data cannot carry the number asked for; it never becomes a number
    └── UnavailableError            something needed is not at hand (an extra, the network); exit status 2

Every message names the file or field and the mend, in one line. Anything that is not a
``CountenanceError`` is our fault and ends with exit status 1.
"""

__all__ = [
    "CountenanceError",
    "ImageError",
    "InputError",
    "ManifestError",
    "ModelError",
    "NoFaceError",
    "NotEnoughDataError",
    "ScoreTableError",
    "TalliesError",
    "UnavailableError",
]


class CountenanceError(Exception):
    """Something Countenance says in one line, with the mend."""


class InputError(CountenanceError):
    """What the user gave is wrong."""


class ImageError(InputError):
    """A photo cannot be used."""


class NoFaceError(ImageError):
    """The photo is sound, but no face was found in it."""


class ManifestError(InputError):
    """A manifest, a template file or a folder of photos is wrong."""


class ScoreTableError(InputError):
    """A table of scores is wrong."""


class TalliesError(InputError):
    """A file of tallies is wrong."""


class ModelError(InputError):
    """A model file or its card is wrong, unknown or damaged."""


class NotEnoughDataError(InputError):
    """The data cannot carry the number asked for."""


class UnavailableError(CountenanceError):
    """Something needed is not at hand: an extra that is not installed, a network that is not there."""

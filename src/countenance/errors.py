"""The one exception tree of Countenance.

    CountenanceError                something Countenance says in one line
    ├── InputError                  what the user gave is wrong; exit status 2
    │   ├── ImageError              a photo cannot be used: missing, truncated, too large, not an image
    │   │   ├── ImageTooLargeError  it has more bytes or pixels than are read
    │   │   └── NoFaceError         the photo is sound, but no face was found in it
    │   ├── ManifestError           a manifest, a template file or a folder of photos is wrong
    │   ├── ScoreTableError         a table of scores is wrong
    │   ├── TalliesError            a file of tallies is wrong
    │   ├── ModelError              a model file or its card is wrong, unknown or damaged
    │   ├── NotEnoughDataError      the data cannot carry the number asked for; it never becomes a number
    │   ├── PolicyError             a policy file, or a signed change of one, is wrong
    │   ├── CertificateError        a certificate is damaged, altered, or not signed by whom it says
    │   ├── LedgerError             an entry, a head, a proof, an export or a signing key does not hold
    │   └── GalleryError            a gallery cannot do what was asked
    │       ├── NotFoundError       it holds no such collection, face or user
    │       ├── ConflictError       what is there already stands against it
    │       ├── StoreError          its store or its keys failed; what was given is not at fault
    │       └── TokenReusedError    a request token came again with another request
    ├── PermitError                 a search came without a permit that holds
    └── UnavailableError            something needed is not at hand (an extra, the network); exit status 2

Every message names the file or field and the mend, in one line. Anything that is not a
``CountenanceError`` is our fault and ends with exit status 1.
"""

__all__ = [
    "CertificateError",
    "ConflictError",
    "CountenanceError",
    "GalleryError",
    "ImageError",
    "ImageTooLargeError",
    "InputError",
    "LedgerError",
    "ManifestError",
    "ModelError",
    "NoFaceError",
    "NotEnoughDataError",
    "NotFoundError",
    "PermitError",
    "PolicyError",
    "ScoreTableError",
    "StoreError",
    "TalliesError",
    "TokenReusedError",
    "UnavailableError",
]


class CountenanceError(Exception):
    """Something Countenance says in one line, with the mend."""


class InputError(CountenanceError):
    """What the user gave is wrong."""


class ImageError(InputError):
    """A photo cannot be used."""


class ImageTooLargeError(ImageError):
    """A photo has more bytes or pixels than are read."""


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


class PolicyError(InputError):
    """A policy file, or a signed change of one, is wrong."""


class CertificateError(InputError):
    """A certificate is damaged, altered, or not signed by whom it says."""


class LedgerError(InputError):
    """An entry, a head, a proof, an export or a signing key of a ledger does not hold."""


class GalleryError(InputError):
    """A gallery cannot do what was asked."""


class NotFoundError(GalleryError):
    """The gallery holds no such collection, face or user."""


class ConflictError(GalleryError):
    """What the gallery holds already stands against what was asked."""


class StoreError(GalleryError):
    """The store or the keys of a gallery failed."""


class TokenReusedError(GalleryError):
    """A request token came again, but with another request."""


class PermitError(CountenanceError):
    """A search came without a permit that holds for it."""


class UnavailableError(CountenanceError):
    """Something needed is not at hand: an extra that is not installed, a network that is not there."""

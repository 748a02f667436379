"""What a client is told when something is not done: AWS's codes, and the domain's errors turned into them."""

from countenance.errors import (
    ConflictError,
    CountenanceError,
    GalleryError,
    ImageError,
    ImageTooLargeError,
    NotFoundError,
    PermitError,
    PolicyError,
    StoreError,
    TokenReusedError,
    UnavailableError,
)

__all__ = ["Refused", "WireError", "wire_error"]

_STATUS = {"InternalServerError": 500}
_CODES: tuple[tuple[type[CountenanceError], str], ...] = (
    (TokenReusedError, "IdempotentParameterMismatchException"),
    (NotFoundError, "ResourceNotFoundException"),
    (ConflictError, "ConflictException"),
    (PermitError, "AccessDeniedException"),
    (StoreError, "InternalServerError"),
    (ImageTooLargeError, "ImageTooLargeException"),
    (ImageError, "InvalidImageFormatException"),
    (GalleryError, "InvalidParameterException"),
    (PolicyError, "InvalidParameterException"),
    (UnavailableError, "InternalServerError"),
)


class WireError(Exception):
    """An error as the client sees it: ``code`` is one of AWS's, ``message`` one sentence with the mend."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    @property
    def status(self) -> int:
        """The HTTP status that AWS JSON 1.1 gives it."""
        return _STATUS.get(self.code, 400)


class Refused(WireError):
    """The policy refuses. The ledger has it already."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__("AccessDeniedException", reason)
        self.rule = rule


def wire_error(error: CountenanceError) -> WireError:
    """The client's view of an error of the domain. What is not of these classes is our fault."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return WireError(code, str(error))
    return WireError("InternalServerError", "this server failed; its operator finds the request in the log by its id")

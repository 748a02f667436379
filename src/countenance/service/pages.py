"""Pagination tokens: where a list goes on, sealed, so that nobody can make one up, and good for a day."""

import base64
import hmac
import json
import time
from hashlib import sha256

from countenance.service.failures import WireError

__all__ = ["PageTokens"]

_LIFE = 24 * 3600.0
_MAC, _TIME = 16, 4  # bytes
_LONGEST = 255  # characters of a token in AWS's model
_WIDE, _BITS = 0x4E00, 12  # a block of 4096 and more letters, none of which any text processing changes


class PageTokens:
    """Makes and opens tokens under a secret of the server (32 bytes; processes of one server share it).

    A token holds its end and where to go on; what it was made for is under its seal only.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"countenance pages", sha256)

    def seal(self, operation: str, scope: str, after: str, now: float | None = None) -> str:
        """A token with which ``operation`` on ``scope`` (a collection's name, a filter) goes on behind ``after``.

        It has at most 255 characters as long as ``after`` has at most 255 in ASCII. Raises ValueError beyond.
        """
        end = int((time.time() if now is None else now) + _LIFE).to_bytes(_TIME, "big")
        data = self._mac(operation, scope, after, end) + end + after.encode()
        token = base64.urlsafe_b64encode(data).decode()
        token = token if len(token) <= _LONGEST else _wide(data)
        if len(token) > _LONGEST:
            raise ValueError(f"a token of {len(token)} characters; AWS's model allows {_LONGEST}")
        return token

    def open(self, token: str, operation: str, scope: str, now: float | None = None) -> str:
        """What the list goes on behind. Raises WireError for a token that is not ours, not for this, or too old."""
        try:
            data = base64.b64decode(token, altchars=b"-_", validate=True) if token.isascii() else _narrow(token)
            mac, end, after = data[:_MAC], data[_MAC : _MAC + _TIME], data[_MAC + _TIME :].decode()
        except ValueError:
            raise _invalid("was not made by this server") from None
        if not hmac.compare_digest(mac, self._mac(operation, scope, after, end)):
            raise _invalid("was not made by this server for this request")
        if (time.time() if now is None else now) >= int.from_bytes(end, "big"):
            raise _invalid("has expired")
        return after

    def _mac(self, operation: str, scope: str, after: str, end: bytes) -> bytes:
        said = json.dumps([operation, scope, after, end.hex()]).encode()
        return hmac.digest(self._key, said, sha256)[:_MAC]


def _wide(data: bytes) -> str:
    """Twelve bits a letter: AWS counts letters, and a collection's name can be as long as a token."""
    bits = "1" + "".join(f"{byte:08b}" for byte in data)
    bits = bits.zfill(-(-len(bits) // _BITS) * _BITS)
    return "".join(chr(_WIDE + int(bits[at : at + _BITS], 2)) for at in range(0, len(bits), _BITS))


def _narrow(token: str) -> bytes:
    """The bytes again. Raises ValueError."""
    letters = [ord(letter) - _WIDE for letter in token]
    if not all(0 <= letter < 2**_BITS for letter in letters):
        raise ValueError
    _, one, bits = "".join(f"{letter:0{_BITS}b}" for letter in letters).partition("1")
    if not one or len(bits) % 8:
        raise ValueError
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


def _invalid(why: str) -> WireError:
    return WireError("InvalidPaginationTokenException", f"NextToken {why}; begin again without one")

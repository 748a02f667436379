"""Pagination tokens: where a list goes on, sealed, so that nobody can make one up, and good for a day."""

import base64
import binascii
import hmac
import json
import time
from hashlib import sha256

from countenance.service.failures import WireError

__all__ = ["PageTokens"]

_LIFE = 24 * 3600.0
_MAC = 16  # bytes


class PageTokens:
    """Makes and opens tokens under a secret of the server (32 bytes; processes of one server share it)."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"countenance pages", sha256)

    def seal(self, operation: str, scope: str, after: str, now: float | None = None) -> str:
        """A token with which ``operation`` on ``scope`` (a collection's name, a filter) goes on behind ``after``."""
        until = (time.time() if now is None else now) + _LIFE
        body = json.dumps([operation, scope, after, int(until)], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(body) + body).decode()

    def open(self, token: str, operation: str, scope: str, now: float | None = None) -> str:
        """What the list goes on behind. Raises WireError for a token that is not ours, not for this, or too old."""
        try:
            sealed = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            mac, body = sealed[:_MAC], sealed[_MAC:]
            if not hmac.compare_digest(mac, self._mac(body)):
                raise ValueError
            made_for, made_of, after, until = json.loads(body)
        except (ValueError, binascii.Error):
            raise _invalid("was not made by this server") from None
        if (made_for, made_of) != (operation, scope):
            raise _invalid("was made for another request")
        if (time.time() if now is None else now) >= until:
            raise _invalid("has expired")
        return str(after)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, sha256)[:_MAC]


def _invalid(why: str) -> WireError:
    return WireError("InvalidPaginationTokenException", f"NextToken {why}; begin again without one")

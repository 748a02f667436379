"""HTTP/1.1 connections that cannot be kept busy for nothing: bounded in number, in header size and in patience.

uvicorn closes a connection that idles after an answer, but waits for ever for the first header, for the rest of one,
and for a body that nobody reads any more. And what it says of garbage is not what this server says to strangers.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from countenance.service import wire
from countenance.service.admission import throttled
from countenance.service.failures import WireError
from countenance.service.metrics import Metrics

__all__ = ["HEADER_BYTES", "Bounds", "Connection"]

HEADER_BYTES = 32_768
_LINGER = 2.0  # seconds in which a client that was turned away may still read the answer
_DRAIN = 5.0  # the same for a long answer on a connection that closes behind it; TLS would wait 30 s for a goodbye
_GARBAGE = WireError("AccessDeniedException", "This is not HTTP as this server speaks it")


@dataclass(frozen=True)
class Bounds:
    """At most so many ``connections``, each with so many seconds for a header and for a body.

    ``claimed`` raises WireError unless an Authorization header names a key that exists.
    """

    connections: int
    header_seconds: float
    body_seconds: float
    metrics: Metrics
    claimed: Callable[[str], object]


class Connection(H11Protocol):
    """One connection. As many again as ``bounds.connections`` are told that there are too many, once their header names
    a key that exists; beyond those, all are told at once, and nothing is read.
    """

    def __init__(self, bounds: Bounds, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._bounds = bounds
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False
        self._head: bytes | None = None  # of a connection too many, as far as it has come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, and give it its time for a first header."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self._bounds.connections:
            self._bounds.metrics.throttled("connections")
            self._turn_away(throttled("too many connections"))
        elif len(self.connections) > self._bounds.connections:
            self._head = b""
            self._expect(_LINGER)
        else:
            self._expect(self._bounds.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; of a connection too many only the header."""
        if self._refused:
            return
        if self._head is not None:
            self._overfull(data)
            return
        if self._deadline is None:
            self._expect(self._bounds.header_seconds)
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect(None)  # from here to the answer, the application watches

    def on_response_complete(self) -> None:
        """Give the client its time to read, or for the rest of a body."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect(_DRAIN)
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self.transport.is_closing() and self.cycle.more_body:
            self._expect(self._bounds.body_seconds)  # the rest of a body that was answered early is read and dropped

    def shutdown(self) -> None:
        """Close, but not for longer than a client may linger."""
        super().shutdown()
        if self.transport.is_closing():
            self._expect(_LINGER)

    def timeout_keep_alive_handler(self) -> None:
        """The same for a connection that idles."""
        super().timeout_keep_alive_handler()
        self._expect(_LINGER)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """What is not HTTP is answered as strangers are."""
        self._turn_away(_GARBAGE)

    def _overfull(self, data: bytes) -> None:
        """Only who names a key hears that there are too many connections; nothing else of the request is read."""
        self._head = ((self._head or b"") + data)[:HEADER_BYTES]
        if b"\r\n\r\n" not in self._head and len(self._head) < HEADER_BYTES:
            return
        self._bounds.metrics.throttled("connections")
        try:
            self._bounds.claimed(_authorization(self._head))
        except WireError as error:
            self._turn_away(error)
        else:
            self._turn_away(throttled("too many connections"))

    def _turn_away(self, error: WireError) -> None:
        """Answer before anything was asked, and let the client read it: closing at once would take it away."""
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # garbage within a body: whoever waits for the rest of it need not
            self.cycle.message_event.set()
        body = wire.error_body(error)
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {wire.CONTENT_TYPE}\r\n"
            f"{wire.ERROR_HEADER}: {error.code}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._expect(_LINGER)

    def _expect(self, seconds: float | None) -> None:
        """Close the connection unless something happens within so many seconds; None: no longer."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


def _authorization(head: bytes) -> str:
    """The header of that name in the beginning of a request; empty where there is none."""
    for line in head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"authorization":
            return value.strip().decode("latin-1")
    return ""

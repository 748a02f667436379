"""HTTP/1.1 connections: as many as there is room for, none of which can be kept busy for nothing.

uvicorn closes a connection that idles after an answer, but waits for ever for the first header, for the rest of one,
and for a body that nobody reads any more. And what it says of garbage is not what this server says to strangers.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from countenance.service import wire
from countenance.service.admission import CROWDED
from countenance.service.failures import WireError

__all__ = ["HEADER_BYTES", "Bounds", "Connection", "Door"]

HEADER_BYTES = 32_768
_LINGER = 2.0  # seconds in which a client that was turned away may still read the answer
_DRAIN = 5.0  # the same for a long answer on a connection that closes behind it; TLS would wait 30 s for a goodbye
_HURRY = 5.0  # seconds that a connection too many has for its one request, so that it makes room for the next
_PAUSE = 0.2  # seconds until the next try, where the system has no file descriptor left
_GARBAGE = WireError("AccessDeniedException", "This is not HTTP as this server speaks it")


@dataclass(frozen=True)
class Bounds:
    """So many ``connections`` are served, each with so many seconds for a header and for a body.

    As many again are accepted to be told that there are too many: whether they may hear it, their signature says.
    """

    connections: int
    header_seconds: float
    body_seconds: float

    @property
    def accepted(self) -> int:
        """How many may be open at all."""
        return 2 * self.connections


class Door:
    """Accepts connections, as long as fewer than ``bounds.accepted`` are open or being opened.

    Who comes then waits in the listener's backlog, which the kernel bounds, and is accepted as soon as others have
    gone; asyncio's own server would accept without end. ``made`` makes the protocol of one.
    """

    def __init__(
        self, bounds: Bounds, listener: socket.socket, made: Callable[[], "Connection"], tls: ssl.SSLContext | None
    ) -> None:
        self._bounds, self._listener, self._made = bounds, listener, made
        self._tls: dict[str, Any] = {} if tls is None else {"ssl": tls, "ssl_handshake_timeout": bounds.header_seconds}
        self._inside: set[asyncio.Task[None]] = set()

    async def stand_open(self) -> None:
        """Accept until cancelled."""
        loop, room = asyncio.get_running_loop(), asyncio.Semaphore(self._bounds.accepted)
        self._listener.setblocking(False)
        while True:
            await room.acquire()
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # it has gone again, or there is no file descriptor left
                room.release()
                await asyncio.sleep(0 if isinstance(error, ConnectionError) else _PAUSE)
                continue
            visit = loop.create_task(self._visit(accepted))
            self._inside.add(visit)
            visit.add_done_callback(self._inside.discard)
            visit.add_done_callback(lambda _: room.release())

    async def _visit(self, accepted: socket.socket) -> None:
        """From here until it is closed, it counts; TLS's handshake too."""
        try:
            _, connection = await asyncio.get_running_loop().connect_accepted_socket(self._made, accepted, **self._tls)
        except OSError:  # TLS could not be agreed on, or not in time
            return
        await connection.gone.wait()


class Connection(H11Protocol):
    """One connection. A connection too many is marked for the application, answered once and closed."""

    def __init__(self, bounds: Bounds, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._bounds = bounds
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False
        self._crowded = False
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, and give it its time for a first header."""
        super().connection_made(transport)
        self._crowded = len(self.connections) > self._bounds.connections
        if self._crowded:
            self.app_state = self.app_state | {CROWDED: True}
        self._expect(_HURRY if self._crowded else self._bounds.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock, and make room."""
        self._expect(None)
        super().connection_lost(exc)
        self.gone.set()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._refused:
            return
        if self._deadline is None:
            self._expect(self._bounds.header_seconds)
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete and not self._crowded:
            self._expect(None)  # from here to the answer, the application watches

    def on_response_complete(self) -> None:
        """Give the client its time to read, or for the rest of a body."""
        if self._crowded and not self.transport.is_closing():
            self._leave()
            return
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

    def _turn_away(self, error: WireError) -> None:
        """Answer before anything was asked."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # garbage within a body: whoever waits for the rest of it need not
            self.cycle.message_event.set()
        body = wire.error_body(error)
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {wire.CONTENT_TYPE}\r\n"
            f"{wire.ERROR_HEADER}: {error.code}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._leave()

    def _leave(self) -> None:
        """Say no more, and let the client read: to close on something unread would take the answer away from it."""
        self._refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._expect(_LINGER)

    def _expect(self, seconds: float | None) -> None:
        """Close the connection unless something happens within so many seconds; None: no longer."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

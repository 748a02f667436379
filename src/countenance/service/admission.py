"""Who may come in: so many requests at work, so many waiting, so many bytes; nobody on top of that.

Nothing here queues without a bound. Requests with photos and all others have a lane each, with threads of their own, so
that a search by face id does not wait behind somebody's photos.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from countenance.service.failures import WireError
from countenance.service.metrics import Metrics

__all__ = ["CROWDED", "Lane", "Limits", "Throttled", "Ticket", "Weight"]

CROWDED = "countenance.crowded"
"""In the ASGI scope's ``state``: whether the request came on a connection beyond those that are served."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """See the settings of the same names."""

    body_bytes: int
    bytes_in_flight: int
    image_workers: int
    image_waiting: int
    gallery_workers: int
    gallery_waiting: int
    queue_seconds: float
    body_seconds: float
    work_seconds: float


class Throttled(WireError):
    """There is no room; ``full`` is what the counter calls it. Clients of AWS wait and try again by themselves."""

    def __init__(self, full: str, what: str) -> None:
        super().__init__("ThrottlingException", f"This server is busy ({what}); wait a little and try again")
        self.full = full


class Weight:
    """The bytes of all bodies that are being read or worked on."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    def take(self, size: int) -> bool:
        """Whether there is room for so many more; then they are taken."""
        if self.taken + size > self.most:
            return False
        self.taken += size
        return True

    def give(self, size: int) -> None:
        """Give them back."""
        self.taken -= size


class Ticket:
    """Room for one request, from its header to its answer, or to the end of its work if that takes longer."""

    def __init__(self, lane: "Lane", size: int) -> None:
        self.lane, self.size = lane, size
        self._held = 1

    def hold(self) -> None:
        """One more has to give it back."""
        self._held += 1

    def give_back(self) -> None:
        """The last one to call this frees the room."""
        self._held -= 1
        if not self._held:
            self.lane.left(self)


class Lane:
    """One class of requests. Used on the event loop only; its work runs in threads of its own."""

    def __init__(self, name: str, workers: int, waiting: int, weight: Weight, metrics: Metrics) -> None:
        self.name, self._most, self._weight, self._metrics = name, workers + waiting, weight, metrics
        self._inside = 0
        self._turn = asyncio.Semaphore(workers)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=f"countenance-{name}")

    def enter(self, size: int) -> Ticket:
        """Admit a request of so many bytes. Raises Throttled when the lane or memory is full."""
        if self._inside >= self._most:
            raise Throttled(self.name, "too many requests wait")
        if not self._weight.take(size):
            raise Throttled("bytes", "too many bytes are on their way")
        self._inside += 1
        self._metrics.in_flight(self.name, 1, size)
        return Ticket(self, size)

    def left(self, ticket: Ticket) -> None:
        """Its room is free again."""
        self._inside -= 1
        self._weight.give(ticket.size)
        self._metrics.in_flight(self.name, -1, ticket.size)

    async def run(self, ticket: Ticket, function: Callable[[], T], patience: float, longest: float) -> T:
        """Run it in a thread once it is this request's turn.

        Raises Throttled when its turn does not come within ``patience`` seconds, TimeoutError when the work is not
        done within ``longest``. A thread cannot be stopped: its place and its ticket stay taken until it ends.
        """
        try:
            async with asyncio.timeout(patience):
                await self._turn.acquire()
        except TimeoutError:
            raise Throttled(self.name, "no worker became free in time") from None
        ticket.hold()
        work = asyncio.get_running_loop().run_in_executor(self._pool, function)
        work.add_done_callback(lambda work: self._done(ticket, work))
        done, _ = await asyncio.wait({work}, timeout=longest)
        if not done:
            raise TimeoutError
        return work.result()

    def _done(self, ticket: Ticket, work: "asyncio.Future[T]") -> None:
        if not work.cancelled():
            work.exception()  # seen, also when nobody waits any more
        self._turn.release()
        ticket.give_back()

    def close(self) -> None:
        """Take no more work, and wait for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)

"""Photos of requests in, faces and templates out."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from countenance.errors import ImageError
from countenance.faces import Face, Pipeline, quicken
from countenance.faces.image import MAX_PIXELS, decode
from countenance.faces.quality import measure
from countenance.faces.runtime import scratch_in, seconds_in_networks

__all__ = ["MOST_FACES", "Engine", "Seen"]

MOST_FACES = 100
"""The largest faces of a photo that are looked at; the others are left out, as AWS does."""
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # JPEG, PNG

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """A photo that was looked at: its size in pixels, upright, and its faces, largest first."""

    width: int
    height: int
    faces: tuple[Face, ...]


class Engine:
    """The pipeline as the operations use it, from many threads.

    Work runs on the thread that asks, and each network on that one thread, but ``workers`` at once at most: with more
    requests than cores this does most, and memory stays that of ``workers`` photos. Who comes when all are at work
    waits.

    Args:
        pipeline: what is measured and served.
        workers: photos at work at once; by default as many as the pipeline has cores.
        max_pixels: most pixels of a photo.
    """

    def __init__(self, pipeline: Pipeline, *, workers: int | None = None, max_pixels: int = MAX_PIXELS) -> None:
        self.pipeline, self.max_pixels = pipeline, max_pixels
        self._places: queue.LifoQueue[dict[str, NDArray[np.float32]]] = queue.LifoQueue()  # the warmest first
        for _ in range(workers or pipeline.threads):
            self._places.put({})
        self._counting = threading.Lock()
        self._seconds = 0.0

    @property
    def version(self) -> str:
        """The pipeline's name and the beginning of its digest, such as ``centerface+mobilefacenet/3e28620a``."""
        return self.version_of(self.pipeline.digest)

    def version_of(self, digest: str) -> str:
        """What a pipeline of this digest is called; the name of one that does not run here is not known."""
        return f"{self.pipeline.name if digest == self.pipeline.digest else 'other'}/{digest[:8]}"

    @property
    def seconds_in_networks(self) -> float:
        """How long all requests so far have been inside of the two networks, together, in seconds."""
        with self._counting:
            return self._seconds

    def look(self, data: bytes, name: str = "Image", *, most: int = MOST_FACES) -> Seen:
        """Find the faces of a photo, or the ``most`` largest of them; ``name`` is what errors call it.

        Raises ImageError for anything but a sound JPEG or PNG, ImageTooLargeError for one with too many pixels.
        """
        if not data.startswith(_SIGNATURES):
            raise ImageError(f"{name}: neither JPEG nor PNG; save it as one of them")
        return self._at_work(lambda: self._look(data, name, most))

    def embed(self, seen: Seen, which: Sequence[int]) -> NDArray[np.float32]:
        """Templates of some of the faces, in one batch; (len(which), dim) float32."""
        if not which:
            return np.zeros((0, self.pipeline.dim), np.float32)
        chips = np.stack([seen.faces[number].chip for number in which])
        return self._at_work(lambda: self.pipeline.embed_faces(chips, threads=1))

    def warm(self) -> None:
        """Load the networks, and the loops over pixels as machine code, so that the first request need not wait.

        Raises what loading raises.
        """
        quicken()
        card = self.pipeline.embedder.card
        side = card.input_size[0] if card.input_size else 112
        self._at_work(lambda: self.pipeline.embed_faces(np.zeros((1, side, side, 3), np.uint8), threads=1))
        self._at_work(lambda: self.pipeline.look(_blank()))
        measure(self.pipeline.chip(_blank(), np.array(card.template)), np.array(card.template), 0.0)

    def _look(self, data: bytes, name: str, most: int) -> Seen:
        photo = decode(data, name=name, max_pixels=self.max_pixels)
        return Seen(photo.width, photo.height, tuple(self.pipeline.look(photo, most=most)))

    def _at_work(self, work: Callable[[], T]) -> T:
        place, before = self._places.get(), seconds_in_networks()
        try:
            with scratch_in(place):
                return work()
        finally:
            self._places.put(place)
            with self._counting:
                self._seconds += seconds_in_networks() - before


def _blank() -> object:
    from PIL import Image

    return Image.new("RGB", (64, 64))

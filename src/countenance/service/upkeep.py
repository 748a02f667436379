"""What a server does by itself every minute; when it fails, that is seen."""

import threading
import time
from pathlib import Path

from countenance.gallery import Gallery
from countenance.service import logs
from countenance.service.desk import Desk
from countenance.service.folder import keep_head
from countenance.service.metrics import Metrics

__all__ = ["Upkeep"]

_FRESH = 2.0  # seconds for which an answer about readiness holds


class Upkeep:
    """A thread that expires, purges, counts and signs; entered and left like a file."""

    def __init__(self, gallery: Gallery, desk: Desk, metrics: Metrics, folder: Path, seconds: float) -> None:
        self._gallery, self._desk, self._metrics, self._folder = gallery, desk, metrics, folder
        self._seconds = seconds
        self._stop = threading.Event()
        self._failed: str | None = None
        self._asking = threading.Lock()
        self._asked = float("-inf")
        self._answer: str | None = None
        self._thread = threading.Thread(target=self._run, name="countenance-upkeep", daemon=True)

    def __enter__(self) -> "Upkeep":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.once()  # so that the newest head is kept

    def once(self) -> None:
        """One upkeep. Never raises: what goes wrong is logged, counted, and makes the server not ready."""
        try:
            expired = self._gallery.tick()
            self._metrics.gallery(self._gallery.counts())
            certificate, _ = self._desk.certificates.read()
            self._metrics.certificate(certificate.ends.timestamp() if certificate else 0.0)
            keep_head(self._folder, self._gallery.ledger.head())
        except Exception as error:
            self._failed = "upkeep failed"
            self._metrics.upkeep_failed()
            logs.fault("upkeep", error)
        else:
            self._failed = None
            self._metrics.upkept(expired)
            if expired:
                logs.say("expired", faces=expired)

    def fault(self) -> str | None:
        """Why this server should not be asked now; None when it may. Asks the store itself, every few seconds."""
        with self._asking:
            if time.monotonic() - self._asked > _FRESH:
                self._asked, self._answer = time.monotonic(), self._store_fault()
            return self._answer or self._failed

    def _store_fault(self) -> str | None:
        try:
            self._gallery.probe_store()
        except Exception as error:
            logs.fault("not ready", error)
            return "the store takes no change"
        return None

    def _run(self) -> None:
        while True:
            self.once()
            if self._stop.wait(self._seconds):
                return

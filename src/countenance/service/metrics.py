"""Counters for Prometheus: what is asked, how it ends, how long it takes. No label holds anything about a person."""

import threading
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from countenance.gallery.values import Counts
    from countenance.service.engine import Engine

__all__ = ["Metrics"]

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The counters of one server. Labels: an operation of the model or ``unknown``, a code, a rule, a lane."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"countenance_{name}", says, labels, registry=registry)

        def gauge(name: str, says: str, *labels: str) -> Gauge:
            return Gauge(f"countenance_{name}", says, labels, registry=registry)

        self._requests = counter("requests", "Requests answered, by operation and code.", "operation", "code")
        self._seconds = Histogram(
            "countenance_request_seconds", "From header to answer.", ("operation",), buckets=_SECONDS, registry=registry
        )
        self._refusals = counter("refusals", "Refusals by the policy, by rule.", "rule")
        self._throttled = counter("throttled", "Requests throttled, by what was full.", "full")
        self._in_flight = gauge("in_flight", "Requests admitted and not yet answered.", "lane")
        self._bytes = gauge("bytes_in_flight", "Bytes of bodies admitted and not yet answered.")
        self._collections = gauge("collections", "Collections.")
        self._faces = gauge("faces", "Faces in all collections.")
        self._records = gauge("ledger_records", "Records in the ledger.")
        self._expired = counter("expired_faces", "Faces erased because their consent ended.")
        self._failures = counter("upkeep_failures", "Upkeeps that failed.")
        self._upkept = gauge("upkeep_timestamp_seconds", "When upkeep last succeeded.")
        self._until = gauge("certificate_expires_timestamp_seconds", "When the certificate ends; 0 without one.")
        self._guard = threading.Lock()

        self._networks = gauge("network_seconds", "Time spent inside of the two networks, all requests together.")

    def watch(self, engine: "Engine") -> None:
        """Ask this engine, at each scrape, how long its networks ran."""
        self._networks.set_function(lambda: engine.seconds_in_networks)

    def request(self, operation: str, code: str, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(operation, code).inc()
        self._seconds.labels(operation).observe(seconds)

    def refused(self, rule: str) -> None:
        """The policy refused."""
        self._refusals.labels(rule).inc()

    def throttled(self, full: str) -> None:
        """A request was turned away because this was full."""
        self._throttled.labels(full).inc()

    def in_flight(self, lane: str, change: int, size: int = 0) -> None:
        """So many more requests, and bytes of them, are being worked on or wait."""
        self._in_flight.labels(lane).inc(change)
        self._bytes.inc(change * size)

    def gallery(self, counts: "Counts") -> None:
        """What the gallery holds now."""
        self._collections.set(counts.collections)
        self._faces.set(counts.faces)
        self._records.set(counts.records)

    def certificate(self, until: float) -> None:
        """When the certificate ends, seconds since 1970."""
        self._until.set(until)

    def upkept(self, expired: int) -> None:
        """Upkeep was done; so many faces had expired."""
        self._expired.inc(expired)
        self._upkept.set(time.time())

    def upkeep_failed(self) -> None:
        """Upkeep was not done."""
        self._failures.inc()

    def page(self) -> bytes:
        """All of it, in Prometheus' text format."""
        with self._guard:
            return generate_latest(self.registry)

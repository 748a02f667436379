"""``countenance serve``: opens everything that the settings name, listens, keeps it up, and closes it in order."""

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from countenance.errors import InputError
from countenance.gallery import open_gallery
from countenance.policy import Facts, decide, enact_file, policy_of_server
from countenance.service import logs
from countenance.service.admission import Limits
from countenance.service.app import Service
from countenance.service.backend import Backend
from countenance.service.connections import HEADER_BYTES, Bounds, Connection, Door
from countenance.service.consents import ConsentRegister
from countenance.service.desk import CertificateFile, Desk
from countenance.service.folder import hold, make_folder, not_taken_back, service_key
from countenance.service.keyring import KeyRing
from countenance.service.metrics import Metrics
from countenance.service.pages import PageTokens
from countenance.service.photos import PhotoSource, Store
from countenance.service.settings import Settings
from countenance.service.sigv4 import Verifier
from countenance.service.upkeep import Upkeep

if TYPE_CHECKING:
    from countenance.service.engine import Engine

__all__ = ["serve"]

_OTHER_FILES = 256  # the gallery's, models, logs


def serve(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``tell`` is given the few lines that are said once, when it is ready.

    Raises InputError and its kin for whatever keeps it from starting.
    """
    logs.set_up(settings.log_format)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # while it is being opened
    bounds = Bounds(settings.max_connections, settings.header_seconds, settings.body_seconds)
    _allow_files(bounds.accepted + _OTHER_FILES)
    with ExitStack() as opened:
        listener = opened.enter_context(_listener(settings))
        make_folder(settings.data)
        opened.enter_context(hold(settings.data, alone=settings.database is None))
        backend = _backend(settings, opened)
        metrics = Metrics()
        metrics.watch(backend.engine)
        keyring = KeyRing(settings.data)
        keyring.keys()  # a file that is wrong is said now
        upkeep = Upkeep(backend.gallery, backend.desk, metrics, settings.data, settings.upkeep_seconds)
        service = Service(
            backend,
            Verifier(keyring),
            _limits(settings),
            metrics,
            ready=upkeep.fault,
            metrics_token=settings.metrics_token,
        )
        opened.callback(service.close)
        opened.enter_context(upkeep)
        server = _Server(_configured(settings, service), bounds, listener)
        server.listen()  # before anybody is told that it is there
        for line in _said(settings, listener, backend, keyring):
            tell(line)
        logs.say("started", pid=os.getpid())
        server.run()
        logs.say("stopping")
    logs.say("stopped")


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """uvicorn's, with a door of ours; told to stop it ends with status 0, and told twice it ends at once."""

    def __init__(self, config: uvicorn.Config, bounds: Bounds, listener: socket.socket) -> None:
        super().__init__(config)
        self._bounds, self._listener = bounds, listener

    def listen(self) -> None:
        """Take signals from now to the end of the process."""
        for one in _SIGNALS:
            signal.signal(one, self.handle_exit)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # taken already, and not sent again to ourselves at the end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Open the door, in place of asyncio's own servers."""
        self.servers: list[asyncio.Server] = []
        made = partial(Connection, self._bounds, self.config, self.server_state, {})
        door = Door(self._bounds, self._listener, made, self.config.ssl)
        self._accepting = asyncio.create_task(door.stand_open())
        self._accepting.add_done_callback(self._closed)
        self.started = True

    def _closed(self, accepting: "asyncio.Task[None]") -> None:
        """A server that accepts nobody any more does not live on."""
        if not accepting.cancelled() and (error := accepting.exception()) is not None:
            logs.fault("fault", error)
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Close the door first."""
        self._accepting.cancel()
        await super().shutdown([self._listener])


def _configured(settings: Settings, service: Service) -> uvicorn.Config:
    config = uvicorn.Config(
        service.app,
        interface="asgi3",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=max(1, round(settings.idle_seconds)),
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        h11_max_incomplete_event_size=HEADER_BYTES,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=None if settings.tls_key is None else str(settings.tls_key),
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise InputError(f"tls_cert, tls_key: cannot be used ({error}); give a PEM chain and its key") from None
    return config


def _limits(settings: Settings) -> Limits:
    from countenance.faces.runtime import cores

    return Limits(
        body_bytes=settings.max_body_bytes,
        bytes_in_flight=settings.max_bytes_in_flight,
        image_workers=settings.image_workers or 2 * cores(),
        image_waiting=settings.image_waiting,
        gallery_workers=settings.gallery_workers,
        gallery_waiting=settings.gallery_waiting,
        queue_seconds=settings.queue_seconds,
        body_seconds=settings.body_seconds,
        work_seconds=settings.work_seconds,
    )


def _allow_files(most: int) -> None:
    """So many files may be open: without, it would be the gallery that cannot open one, and not a client that waits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < most:
        raise InputError(f"max_connections: needs {most:,} open files, this process may have {hard:,}; see ulimit -n")
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    """The socket, bound: a port that is taken is found out before anything is loaded."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio sends small packets at once; without, each answer waits 40 ms for a delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or error
        raise InputError(f"host, port: cannot listen on {settings.host}:{settings.port} ({why}); give others") from None
    with listener:
        yield listener


def _backend(settings: Settings, opened: ExitStack) -> Backend:
    policy_of_server(settings.data, settings.policy)  # a file that is wrong is said before anything is loaded
    not_taken_back(settings.data, settings.database)
    engine = _engine(settings)
    gallery = opened.enter_context(open_gallery(settings.data, settings.database, search=settings.search))
    policy = enact_file(gallery.ledger, settings.data, settings.policy)
    certificates = CertificateFile(settings.certificate or settings.data / "certificate.json")
    store = None
    if settings.s3_endpoint is not None:
        endpoint = None if settings.s3_endpoint == "aws" else settings.s3_endpoint
        store = Store(endpoint, settings.s3_region, settings.s3_profile)
    return Backend(
        desk=Desk(gallery, engine.pipeline.digest, policy, certificates),
        engine=engine,
        photos=PhotoSource(store),
        consents=ConsentRegister(settings.consents or settings.data / "consents.csv", policy),
        pages=PageTokens(service_key(settings.data)),
        region=settings.region,
        account=settings.account,
    )


def _engine(settings: Settings) -> "Engine":
    from countenance.faces import default_pipeline
    from countenance.service.engine import Engine

    engine = Engine(default_pipeline(settings.pipeline), max_pixels=settings.max_pixels)
    engine.warm()
    return engine


def _said(settings: Settings, listener: socket.socket, backend: Backend, keyring: KeyRing) -> Iterator[str]:
    """What an operator wants to know at the start."""
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    policy, gallery, known = backend.desk.policy, backend.gallery, keyring.keys()
    counts = gallery.counts()
    yield f"listening on {scheme}://{host}:{listener.getsockname()[1]}"
    yield f"pipeline: {backend.engine.pipeline.name}"
    yield f"policy: {policy.name}, version {policy.version}"
    yield f"certificate: {_certified(backend)}"
    yield f"gallery: {counts.faces:,} faces in {counts.collections:,} collections; {counts.records:,} ledger records"
    if not any(key.revoked is None for key in known):
        yield "keys: none yet, so nobody is let in; make one: countenance keys create --role operator"


def _certified(backend: Backend) -> str:
    """Whether somebody who may compare at all could: asked of the policy itself, with the certificate as it is."""
    desk = backend.desk
    certificate, fault = desk.certificates.read()
    role = next((role for role in desk.policy.roles if desk.policy.may(role, "compare")), "")
    purposes = tuple(name for name, purpose in desk.policy.purposes.items() if purpose.allowed)
    decision = decide(
        Facts(
            action="compare",
            operation="start",
            request="start",
            now=datetime.now(UTC),
            policy=desk.policy,
            actor="countenance",
            role=role,
            pipeline=desk.pipeline,
            actor_class="private",
            purposes=purposes,
            certificate=certificate,
            certificate_fault=fault,
            operator=desk.gallery.ledger.key,
            gallery=1,
        )
    )
    reason = decision.reason
    if decision.allowed or reason.startswith("no audit, no search"):
        return reason
    return f"no audit, no search: {reason}"

"""The HTTP side: one route of AWS JSON 1.1, and pages for whoever runs the server. Everything else is AccessDenied.

Order of things for a request: its header names a key that exists; its body comes in time; the signature over all of it
holds; only then is anything of it read, decided and done, in a thread. Room is looked for at the header. Where there is
none, or the body is too long, the body is read without being kept, to know whether it is a client who should hear that.
"""

import asyncio
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from countenance.service import logs, wire
from countenance.service.admission import CROWDED, Lane, Limits, Throttled, Ticket, Weight
from countenance.service.backend import Backend
from countenance.service.caller import Call, Caller
from countenance.service.failures import Refused, WireError
from countenance.service.metrics import Metrics
from countenance.service.operations import OPERATIONS
from countenance.service.refused import refusal
from countenance.service.sigv4 import Verifier

__all__ = ["IMAGE_OPERATIONS", "Service"]

IMAGE_OPERATIONS = frozenset({"CompareFaces", "DetectFaces", "IndexFaces", "SearchFacesByImage", "SearchUsersByImage"})
"""Those that run the networks."""
_LONGEST_HEADER = 4096
_NOT_HERE = "There is nothing here for anybody; send signed requests of the Rekognition API to /"
_TOO_LARGE = "The request has more than {} bytes, which is the most this server reads; send a smaller photo"


@dataclass
class _Asked:
    """One request on its way: what is known of it before anything of it is believed."""

    target: str
    call: str = field(default_factory=lambda: str(uuid.uuid4()))
    key_id: str | None = None
    size: int = 0
    arrived: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    code: str = "ok"
    rule: str | None = None

    @property
    def operation(self) -> str:
        """The operation, for counters and logs: one of the model's, or ``unknown``."""
        name = self.target.removeprefix(wire.TARGET_PREFIX)
        return name if name in wire.OPERATIONS and name != self.target else "unknown"


class Service:
    """What answers requests: the ASGI application ``app``, and its threads.

    Args:
        backend: what the operations work with.
        verifier: finds out who calls.
        limits: how much is let in.
        metrics: where it is counted.
        ready: says why the server is not ready, or None; may block.
        metrics_token: the bearer token that opens /metrics; without one nothing does.
    """

    def __init__(
        self,
        backend: Backend,
        verifier: Verifier,
        limits: Limits,
        metrics: Metrics,
        *,
        ready: Callable[[], str | None],
        metrics_token: str | None = None,
    ) -> None:
        self._backend, self._verifier = backend, verifier
        self._limits, self._metrics, self._ready = limits, metrics, ready
        self._token = metrics_token
        weight = Weight(limits.bytes_in_flight)
        self._images = Lane("images", limits.image_workers, limits.image_waiting, weight, metrics)
        self._others = Lane("gallery", limits.gallery_workers, limits.gallery_waiting, weight, metrics)
        self._pages = Starlette(
            routes=[
                Route("/health", self._health, methods=["GET"]),
                Route("/ready", self._is_ready, methods=["GET"]),
                Route("/metrics", self._counted, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _nothing_here},
        )
        self._pages.router.redirect_slashes = False

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application; all methods of / are the API's."""
        await (self._serve if scope["path"] == "/" else self._pages)(scope, receive, send)

    def close(self) -> None:
        """Take no more work, and wait for what runs."""
        self._images.close()
        self._others.close()

    # -- pages for whoever runs the server -----------------------------------------------------------------------

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _is_ready(self, _: Request) -> Response:
        why = await asyncio.get_running_loop().run_in_executor(None, self._ready)
        return JSONResponse({"status": "not ready" if why else "ready"}, status_code=503 if why else 200)

    async def _counted(self, request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if self._token is None or not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return _denied(_NOT_HERE)
        page = await asyncio.get_running_loop().run_in_executor(None, self._metrics.page)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    # -- the API -------------------------------------------------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        found = dict(headers)
        asked = _Asked(found.get("x-amz-target", ""))
        try:
            body, more = await self._answered(asked, scope, headers, receive)
            status = 200
        except WireError as error:
            body, more, status = self._refusal(asked, error)
        except Exception as error:
            body, more, status = self._refusal(asked, self._fault(asked, error))
        answer = {"content-type": wire.CONTENT_TYPE, "content-length": str(len(body)), "x-amzn-requestid": asked.call}
        answer |= more
        if _crowded(scope) and asked.key_id is not None:  # all of it was read, so that closing takes nothing away
            answer["connection"] = "close"
        self._metrics.request(asked.operation, asked.code, time.monotonic() - asked.started)
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})
        logs.say(
            "request",
            id=asked.call,
            operation=asked.operation,
            key=asked.key_id,
            code=asked.code,
            rule=asked.rule,
            ms=round(1000 * (time.monotonic() - asked.started), 1),
            bytes=asked.size,
        )

    def _refusal(self, asked: _Asked, error: WireError) -> tuple[bytes, dict[str, str], int]:
        asked.code = error.code
        if isinstance(error, Refused):
            asked.rule = error.rule
            self._metrics.refused(error.rule)
        more = {wire.ERROR_HEADER: error.code}
        if isinstance(error, Throttled):
            self._metrics.throttled(error.full)
        if isinstance(error, _TooSlow):
            more["connection"] = "close"
        return wire.error_body(error, asked.call), more, error.status

    async def _answered(
        self, asked: _Asked, scope: Scope, headers: list[tuple[str, str]], receive: Receive
    ) -> tuple[bytes, dict[str, str]]:
        """The answer's body and further headers. Raises WireError; of any code but AccessDenied only to who signed."""
        found = dict(headers)
        asked.key_id = self._verifier.claimed(found.get("authorization", ""))  # nothing is read for a key not there
        try:
            ticket = self._admitted(asked, scope, found)
        except WireError:
            await self._signed(asked, scope, headers, receive, keep=False)
            raise
        try:
            caller, body = await self._signed(asked, scope, headers, receive, keep=True)
            work = partial(self._work, asked, caller, scope, headers, body)
            return await ticket.lane.run(ticket, work, self._limits.queue_seconds, self._limits.work_seconds)
        finally:
            ticket.give_back()

    def _admitted(self, asked: _Asked, scope: Scope, headers: Mapping[str, str]) -> Ticket:
        """Room for it. Raises WireError where there is none, or where it says that it is too long."""
        if _crowded(scope):
            raise Throttled("connections", "too many connections")
        lane = self._images if asked.operation in IMAGE_OPERATIONS else self._others
        return lane.enter(self._announced(asked, headers))

    async def _signed(
        self, asked: _Asked, scope: Scope, headers: list[tuple[str, str]], receive: Receive, *, keep: bool
    ) -> tuple[Caller, bytes]:
        """Who signed it, and the body, empty unless it is kept. Raises WireError.

        A request that is throttled is remembered as any: its client was told that it is not done, so that nobody else
        may have it done later; and who tries again signs anew.
        """
        body, digest = await self._body(asked, receive, keep)
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        caller = self._verifier.verify(scope["method"], path, query, headers, digest, asked.arrived)
        if asked.size > self._limits.body_bytes:
            raise self._too_large(asked)
        return caller, body

    def _fault(self, asked: _Asked, error: BaseException) -> WireError:
        logs.fault("fault", error, id=asked.call, operation=asked.operation)
        return WireError(
            "InternalServerError",
            f"This is a fault of the server, not of your request; its log tells more ({asked.call})",
        )

    def _announced(self, asked: _Asked, headers: Mapping[str, str]) -> int:
        """How long the body will be at most. Raises WireError when that is too long."""
        length = headers.get("content-length", "")
        if not length.isascii() or not length.isdigit():
            return self._limits.body_bytes  # in chunks: it may become as long as any
        asked.size = int(length)
        if asked.size > self._limits.body_bytes:
            raise self._too_large(asked)
        return asked.size

    def _too_large(self, asked: _Asked) -> WireError:
        code = "ImageTooLargeException" if asked.operation in IMAGE_OPERATIONS else "InvalidParameterException"
        return WireError(code, _TOO_LARGE.format(self._limits.body_bytes))

    async def _body(self, asked: _Asked, receive: Receive, keep: bool) -> tuple[bytes, str]:
        """The body, empty if it is too long or not to be kept, and its digest. Raises WireError when it is too slow."""
        parts: list[bytes] = []
        digest = sha256()
        asked.size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message: Message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _TooSlow("The connection ended before the request did")
                    piece = message.get("body", b"")
                    digest.update(piece)
                    asked.size += len(piece)
                    if keep:
                        parts.append(piece)
                    if asked.size > self._limits.body_bytes:
                        keep, parts = False, []
                    if not message.get("more_body", False):
                        return b"".join(parts), digest.hexdigest()
        except TimeoutError:
            raise _TooSlow("The request's body did not arrive in time") from None

    def _work(
        self, asked: _Asked, caller: Caller, scope: Scope, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[bytes, dict[str, str]]:
        """In a thread: do what is asked, write the answer. Raises WireError."""
        operation = asked.operation
        kind = dict(headers).get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] != "POST" or kind != wire.CONTENT_TYPE or operation == "unknown":
            raise WireError(
                "UnknownOperationException",
                f"X-Amz-Target names no operation of Rekognition, or the request is not a POST of {wire.CONTENT_TYPE}",
            )
        do = OPERATIONS.get(operation)
        if do is None:
            raise refusal(operation)
        try:
            call = Call(operation, caller, asked.call, datetime.fromtimestamp(asked.arrived, UTC))
            members = do(self._backend, call, wire.read_request(operation, body))
        except WireError as error:
            if error.status >= 500 and error.__cause__ is not None:  # of ours, and what it says is for the log
                raise self._fault(asked, error.__cause__) from None
            raise
        return wire.write_answer(operation, members), _in_force(members)


def _crowded(scope: Scope) -> bool:
    return bool(scope.get("state", {}).get(CROWDED))


class _TooSlow(WireError):
    """Nobody knows who it was, since the signature covers the body that never came."""

    def __init__(self, message: str) -> None:
        super().__init__("AccessDeniedException", message)


def _in_force(members: Mapping[str, Any]) -> dict[str, str]:
    """What was in force, as a header: boto3 shows headers, and drops members that it does not know."""
    said = members.get(wire.EXTRA)
    if not said:
        return {}
    text = json.dumps(said, ensure_ascii=True, separators=(",", ":"))
    return {"x-countenance": text if len(text) <= _LONGEST_HEADER else '{"TooLong":true}'}


def _denied(message: str) -> Response:
    body = wire.error_body(WireError("AccessDeniedException", message))
    return Response(body, 403, {wire.ERROR_HEADER: "AccessDeniedException"}, media_type=wire.CONTENT_TYPE)


async def _nothing_here(_: Request, __: Exception) -> Response:
    return _denied(_NOT_HERE)

"""Malformed requests and images, built from the API's model: shapes with wrong values, garbled bytes, odd headers."""

import asyncio
import base64
import json
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from countenance.service.admission import Limits
from countenance.service.app import IMAGE_OPERATIONS, Service
from countenance.service.keyring import KeyRing
from countenance.service.metrics import Metrics
from countenance.service.operations import OPERATIONS
from countenance.service.sigv4 import Verifier
from countenance.service.wire import OPERATIONS as ALL
from countenance.service.wire import error_codes
from service.backends import ask, opened
from service.running import TARGET, Running, data_folder, sign

FACE = "00000000-0000-4000-8000-000000000000"
_MODEL = ServiceModel(Loader(include_default_search_paths=False, extra_search_paths=[Loader.BUILTIN_DATA_PATH])
                      .load_service_model("rekognition", "service-2"))  # fmt: skip
_BEFORE = {"AccessDeniedException", "ThrottlingException", "UnknownOperationException", "InvalidParameterException"}
"""What a request may be told before its operation is known."""


@dataclass(frozen=True)
class Request:
    """One request before it is signed. ``spoil`` changes signed headers."""

    operation: str
    body: bytes
    target: str | None = None
    spoil: Mapping[str, str | None] = field(default_factory=dict)
    method: str = "POST"
    path: str = "/"

    def headers(self, key: tuple[str, str], host: str) -> dict[str, str]:
        found = sign(key, host, TARGET + self.operation if self.target is None else self.target, self.body)
        for name, value in self.spoil.items():
            found = {k: v for k, v in found.items() if k.lower() != name.lower()}
            if value is not None:
                found[name] = value
        return found


_PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["\ud800", "\x00", "x" * 5000, 10**400, -0.0, 1e308, "", "%n%s", "../../etc", "=AAA", "A==="])
)
_ANYTHING = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

# -- what to send --------------------------------------------------------------------------------------------------


def requests(photos: tuple[bytes, ...], images: float) -> st.SearchStrategy[Request]:
    """All kinds; of ``images``, a share, the networks may get to see a photo."""
    none, broken = st.just(b""), broken_images(photos)
    shapes = {one: _shaped(one, none) for one in ALL}
    often = [*sorted(set(OPERATIONS) - IMAGE_OPERATIONS) * 4, *sorted(ALL)]
    operation = st.sampled_from(often)
    shaped = operation.flatmap(shapes.__getitem__)
    garbled = st.builds(_garble, shaped, _edits())
    bare = st.builds(Request, operation, st.binary(max_size=300))
    odd = st.builds(_odd, shaped, _odd_headers())
    shown = {one: _shaped(one, broken) for one in IMAGE_OPERATIONS}
    pictures = st.sampled_from(sorted(IMAGE_OPERATIONS)).flatmap(shown.__getitem__)
    share = max(1, round(100 * images))
    kinds = [pictures] * share + [shaped, shaped, garbled, bare, odd] * (20 - share // 5)
    return st.sampled_from(range(len(kinds))).flatmap(kinds.__getitem__)


def _shaped(operation: str, photos: st.SearchStrategy[bytes]) -> st.SearchStrategy[Request]:
    members = _structure(_MODEL.operation_model(operation).input_shape, photos)
    return members.map(lambda found: Request(operation, json.dumps(found).encode("utf-8", "surrogatepass")))


def _structure(shape: Any, photos: st.SearchStrategy[bytes]) -> st.SearchStrategy[Any]:
    if shape is None:
        return st.just({})
    known = {name: _value(name, member, photos) for name, member in shape.members.items()}
    must = {name: known[name] for name in shape.required_members}
    may = {name: value for name, value in known.items() if name not in must}
    if "Bytes" in known:  # of the two places of a photo, one; a store is not to be had
        must, may = {"Bytes": known["Bytes"]}, {}
    sound = st.fixed_dictionaries(must, optional=may)
    spoiled = st.builds(lambda found, name, value: found | {name: value}, sound, st.text(max_size=9), _ANYTHING)
    lacking = st.builds(lambda found, name: {k: v for k, v in found.items() if k != name}, sound,
                        st.sampled_from([*known, ""]))  # fmt: skip
    return _mostly(sound, spoiled, lacking)


def _value(name: str, shape: Any, photos: st.SearchStrategy[bytes]) -> st.SearchStrategy[Any]:
    """Mostly of the right kind, so that requests get past the first check."""
    return _mostly(_right(name, shape, photos), _ANYTHING)


def _mostly(usual: st.SearchStrategy[Any], *others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """In one case of 16, one of the others. (Of numbers, hypothesis would take the ends too often.)"""
    kinds = [usual] * (16 * len(others)) + list(others)
    return st.sampled_from(range(len(kinds))).flatmap(kinds.__getitem__)


_NAMES = {
    "CollectionId": ["family"],
    "UserId": ["anna", "bea", "x" * 128],
    "FaceId": [FACE],
    "ResourceArn": ["arn:aws:rekognition:us-east-1:000000000000:collection/family"],
}
_ALMOST = [
    "gone",
    "a" * 255,
    "a" * 256,
    "x" * 129,
    "ä",
    "with space",
    FACE.upper(),
    FACE + "0",
    "arn:aws:s3:::bucket-x",
]


def _right(name: str, shape: Any, photos: st.SearchStrategy[bytes]) -> st.SearchStrategy[Any]:
    match shape.type_name:
        case "structure":
            return _structure(shape, photos)
        case "list":
            return st.lists(_value(name.removesuffix("s"), shape.member, photos), max_size=4)
        case "map":
            return st.dictionaries(st.text(max_size=12), _value("", shape.value, photos), max_size=4)
        case "string":
            pool = [*shape.enum, *_NAMES.get(name, [])]
            wrong = st.sampled_from(_ALMOST)
            return _mostly(st.sampled_from(pool), wrong) if pool else st.one_of(wrong, st.text(max_size=40))
        case "integer" | "long":
            low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 2**31)
            return _mostly(st.sampled_from([low, low + 1, high]), st.sampled_from([low - 1, high + 1, 0, -1, 2**63]))
        case "float" | "double":
            return _mostly(st.floats(0, 100), st.sampled_from([100.01, -0.1, 99.999999, 0, 100]))
        case "boolean":
            return st.booleans()
        case "blob":
            return photos.map(lambda data: base64.b64encode(data).decode())
        case _:
            return st.integers(-1, 2**33)


def _edits() -> st.SearchStrategy[list[tuple[int, bytes]]]:
    pieces = st.one_of(
        st.binary(min_size=1, max_size=3), st.sampled_from([b"{", b"]" * 50, b'"', b"\\ud800", b"\xff", b"[" * 3000])
    )
    return st.lists(st.tuples(st.integers(0, 10**6), pieces), min_size=1, max_size=4)


def _garble(request: Request, edits: list[tuple[int, bytes]]) -> Request:
    return Request(request.operation, _edited(request.body, edits))


def _edited(data: bytes, edits: list[tuple[int, bytes]]) -> bytes:
    """Overwrite, insert or cut, by turns of the position."""
    for place, piece in edits:
        at = place % (len(data) + 1)
        end = (at + len(piece), at, len(data))[place % 3]
        data = data[:at] + piece + data[end:]
    return data


def _odd_headers() -> st.SearchStrategy[dict[str, Any]]:
    word = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)
    return st.one_of(
        st.builds(lambda value: {"target": value}, word),
        st.builds(lambda value: {"target": TARGET + value}, word),
        st.builds(lambda name, value: {"spoil": {name: value}}, st.sampled_from(
            ["content-type", "host", "x-amz-date", "x-amz-target", "authorization", "x-amz-content-sha256",
             "x-amz-security-token", "amz-sdk-invocation-id", "content-encoding", "expect"]), word | st.none()),
        st.builds(lambda one: {"method": one}, st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"])),
        st.builds(lambda path: {"path": "/" + path}, st.text(st.sampled_from("abc/%.?=&#~"), max_size=12)),
    )  # fmt: skip


def _odd(request: Request, changed: dict[str, Any]) -> Request:
    return Request(**{"operation": request.operation, "body": request.body} | changed)


def broken_images(photos: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Truncated, garbled, of other formats, lying about their size, or nothing of an image at all."""
    photo = st.sampled_from(photos)
    cut = st.builds(lambda data, share: data[: int(len(data) * share)], photo, st.floats(0, 1))
    garbled = st.builds(_edited, photo, st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)),
                                                 min_size=1, max_size=8))  # fmt: skip
    headed = st.builds(lambda head, tail: head + tail, st.sampled_from(
        [b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1\x00\x20Exif\0\0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF", b"II*\0"]),
        st.binary(max_size=200))  # fmt: skip
    size = st.sampled_from([0, 1, 2, 7, 50_000, 2**31 - 1, 2**32 - 1])
    lying = st.builds(
        png,
        size,
        size,
        st.sampled_from([1, 2, 4, 8, 16, 3]),
        st.sampled_from([0, 2, 3, 4, 6, 7]),
        st.binary(max_size=60),
    )
    return st.one_of(cut, garbled, garbled, headed, lying, photo)


def png(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
    """A PNG that says it has such a size, whatever is in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


# -- whom to send it -----------------------------------------------------------------------------------------------

Send = Callable[[Request], tuple[int, bytes]]


@contextmanager
def in_process(folder: Path) -> Iterator[Send]:
    """The application itself: everything but the socket and HTTP's own parsing."""
    data = data_folder(folder / "data")
    with opened(data) as backend:
        ask(backend, "CreateCollection", CollectionId="family")
        ask(backend, "CreateUser", CollectionId="family", UserId="anna")
        ring = KeyRing(data)
        key = ring.issue("operator")
        limits = Limits(
            body_bytes=14 * 2**20, bytes_in_flight=112 * 2**20, image_workers=2, image_waiting=8, gallery_workers=2,
            gallery_waiting=8, queue_seconds=30, body_seconds=30, work_seconds=60,
        )  # fmt: skip
        service = Service(backend, Verifier(ring), limits, Metrics(), ready=lambda: None)
        loop = asyncio.new_event_loop()
        try:
            yield lambda one: loop.run_until_complete(_asgi(service.app, one, (key.key_id, key.secret)))
        finally:
            service.close()
            loop.close()


async def _asgi(app: Any, request: Request, key: tuple[str, str]) -> tuple[int, bytes]:
    headers = request.headers(key, "here")
    path, _, query = request.path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
        + [(b"content-length", str(len(request.body)).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    waiting = [{"type": "http.request", "body": request.body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def over_the_socket(server: Running) -> Send:
    """The real server."""
    own = server.key()

    def send(request: Request) -> tuple[int, bytes]:
        import http.client

        headers = request.headers((own.key_id, own.secret), f"127.0.0.1:{server.port}")
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        try:
            connection.putrequest(request.method, request.path.replace(" ", "%20"), True, True)
            for name, value in ({"content-length": str(len(request.body))} | headers).items():
                connection.putheader(name, value)
            connection.endheaders(request.body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    return send


def resident(pid: int | str = "self") -> float:
    """Resident memory of a process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def attack(send: Send, count: int, photos: tuple[bytes, ...], images: float, start: int = 0) -> Counter[str]:
    """Send ``count`` of them; how often each code was the answer. One that is answered wrongly comes out small."""
    codes: Counter[str] = Counter()
    loud = settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        print_blob=False,
    )

    @seed(start)
    @loud
    @given(requests(photos, images))
    def each(request: Request) -> None:
        status, body = send(request)
        codes[judged(request, status, body)] += 1

    each()
    return codes


def judged(request: Request, status: int, body: bytes) -> str:
    """The answer's code, which is one that the operation's model has. Raises AssertionError."""
    if request.method == "HEAD":
        assert status < 500, status
        return "no body"
    if status == 200:
        assert request.operation in OPERATIONS or request.path != "/"
        json.loads(body)
        return "ok"
    assert status in (400, 403), f"{status}: {body[:300]!r}"
    said = json.loads(body)
    known = error_codes(request.operation) - {"InternalServerError"} | _BEFORE
    assert said["__type"] in known, said
    assert said["message"]
    return str(said["__type"])

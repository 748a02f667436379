"""Whoever asks too much, too slowly, too loudly or without a key: a modelled error, and the others go on."""

import base64
import concurrent.futures
import contextlib
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from service.running import TARGET, Running, astronaut, data_folder, grace, half_sent, running, sign

TOKEN = "a token for the metrics page"
LARGEST = 1_500_000


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with little room and little patience."""
    data = data_folder(tmp_path_factory.mktemp("tight") / "data")
    settings = data.parent / "settings.toml"
    settings.write_text(
        f'metrics_token = "{TOKEN}"\nimage_workers = 2\nimage_waiting = 1\ngallery_workers = 2\ngallery_waiting = 4\n'
        f"max_connections = 60\nmax_body_bytes = {LARGEST}\nmax_bytes_in_flight = {3 * LARGEST}\n"
        "header_seconds = 1\nbody_seconds = 1.5\nqueue_seconds = 1\nupkeep_seconds = 0.2\n"
    )
    settings.chmod(0o600)
    with running(data, settings=settings) as found:
        yield found


def code_of(call: Any) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"


def codes_of(calls: list[Any]) -> Counter[str]:
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return Counter(pool.map(code_of, calls))


def stranger(server: Running) -> Any:
    """A client with the id of a key that exists, and not its secret."""
    return server.client(key=(server.key().key_id, "wrong" * 8))


def metric(server: Running, name: str) -> float:
    status, _, text = server.page("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert status == 200
    return sum(float(line.split()[-1]) for line in text.decode().splitlines() if line.startswith(name))


def raw(server: Running, sent: bytes) -> bytes:
    """What comes back for these bytes until the server closes; that it does not is a failure."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.settimeout(5)
        got = b""
        try:
            connection.sendall(sent)
            while piece := connection.recv(65536):
                got += piece
        except ConnectionError:
            pass
        return got


def settled(server: Running) -> None:
    """All room is free again."""
    end = time.monotonic() + 20
    while metric(server, "countenance_in_flight{") or metric(server, "countenance_bytes_in_flight "):
        assert time.monotonic() < end, "room is never given back"
        time.sleep(0.05)


def test_ten_times_too_much_is_throttled_and_nothing_else(tight: Running) -> None:
    photo = {"Bytes": grace()}
    clients = [tight.client() for _ in range(48)]  # 10 times what works and waits
    calls: list[Any] = [lambda c=c: [c.detect_faces(Image=photo) for _ in range(2)] for c in clients[:30]]
    calls += [lambda c=c: [c.list_collections() for _ in range(20)] for c in clients[30:]]
    denied: Counter[str] = Counter()

    def without(client: Any) -> None:
        for _ in range(5):
            denied.update([code_of(client.list_collections), code_of(lambda: client.detect_faces(Image=photo))])

    strangers = [threading.Thread(target=without, args=(stranger(tight),)) for _ in range(12)]
    for one in strangers:
        one.start()
    found = codes_of(calls)
    for one in strangers:
        one.join()
    assert set(found) == {"ok", "ThrottlingException"}, found
    assert denied == {"AccessDeniedException": 120}
    settled(tight)
    assert tight.client().detect_faces(Image=photo)["FaceDetails"]
    assert metric(tight, 'countenance_throttled_total{full="images"}') > 0


def test_a_full_lane_turns_away_at_once_and_leaves_the_other_alone(tight: Running) -> None:
    held = [half_sent(tight, "DetectFaces") for _ in range(3)]
    try:
        end = time.monotonic() + 1
        while metric(tight, 'countenance_in_flight{lane="images"}') < 3:
            assert time.monotonic() < end
        with pytest.raises(ClientError) as wrong:
            tight.client().detect_faces(Image={"Bytes": grace()})
        assert wrong.value.response["Error"]["Code"] == "ThrottlingException"
        assert wrong.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert code_of(lambda: stranger(tight).detect_faces(Image={"Bytes": grace()})) == "AccessDeniedException"
        assert tight.client().list_collections()["CollectionIds"] == []
    finally:
        for connection in held:
            connection.close()
    settled(tight)
    assert tight.client().detect_faces(Image={"Bytes": grace()})["FaceDetails"]


def test_bytes_are_counted_before_they_come(tight: Running) -> None:
    own = tight.key()
    held = []
    for _ in range(3):  # each announces all that one may be
        headers = sign((own.key_id, own.secret), f"127.0.0.1:{tight.port}", TARGET + "ListFaces", b"")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        held.append(socket.create_connection(("127.0.0.1", tight.port), 10))
        held[-1].sendall(f"POST / HTTP/1.1\r\n{lines}Content-Length: {LARGEST}\r\n\r\n".encode())
    end = time.monotonic() + 1
    while metric(tight, "countenance_bytes_in_flight ") < 3 * LARGEST:
        assert time.monotonic() < end
    assert code_of(tight.client().list_collections) == "ThrottlingException"
    assert code_of(stranger(tight).list_collections) == "AccessDeniedException"
    for connection in held:
        connection.close()
    settled(tight)


def test_what_was_throttled_is_not_done_when_somebody_sends_it_again(tight: Running) -> None:
    own, body = tight.key(), json.dumps({"Image": {"Bytes": base64.b64encode(grace()).decode()}}).encode()
    headers = sign((own.key_id, own.secret), f"127.0.0.1:{tight.port}", TARGET + "DetectFaces", body)
    held = [half_sent(tight, "DetectFaces") for _ in range(3)]
    end = time.monotonic() + 1
    while metric(tight, 'countenance_in_flight{lane="images"}') < 3:
        assert time.monotonic() < end
    _, _, answer = tight.page("/", "POST", body, headers)
    assert json.loads(answer)["__type"] == "ThrottlingException"
    for connection in held:
        connection.close()
    settled(tight)
    _, _, answer = tight.page("/", "POST", body, headers)
    assert json.loads(answer)["__type"] == "AccessDeniedException"
    assert "came before" in json.loads(answer)["message"]


def test_a_body_that_is_too_long(tight: Running) -> None:
    with pytest.raises(ClientError) as wrong:
        tight.client().detect_faces(Image={"Bytes": bytes(3 * LARGEST)})
    assert wrong.value.response["Error"]["Code"] == "ImageTooLargeException"
    status, said = chunked(tight, "ListFaces", b"x" * 65536, 30)  # in pieces, without saying how long it is
    assert (status, said["__type"]) == (400, "InvalidParameterException")
    assert f"more than {LARGEST} bytes" in said["message"]
    assert code_of(lambda: stranger(tight).detect_faces(Image={"Bytes": bytes(3 * LARGEST)})) == "AccessDeniedException"
    wrong_secret = (tight.key().key_id, "wrong" * 8)
    assert chunked(tight, "ListFaces", b"x" * 65536, 30, wrong_secret)[1]["__type"] == "AccessDeniedException"
    settled(tight)


def chunked(
    server: Running, operation: str, piece: bytes, times: int, key: tuple[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    own = key or (server.key().key_id, server.key().secret)
    headers = sign(own, f"127.0.0.1:{server.port}", TARGET + operation, piece * times)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\n{lines}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(times):
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        connection.settimeout(5)
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
        while len(body) < int(next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))[15:]):
            body += connection.recv(65536)
    return int(head.split()[1]), json.loads(body)


def test_a_body_in_pieces_is_a_body(tight: Running) -> None:
    status, said = chunked(tight, "ListCollections", b"{}", 1)
    assert (status, said["CollectionIds"]) == (200, [])


def test_slow_clients_are_let_go(tight: Running) -> None:
    with half_sent(tight, "DetectFaces") as connection:
        connection.settimeout(10)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert b"AccessDeniedException" in answer  # nobody knows who it was
    assert b"did not arrive in time" in answer
    assert raw(tight, b"") == b""  # says nothing at all
    assert raw(tight, b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""  # never ends its header
    own = tight.key()
    for key, why in ((own.key_id, b"did not arrive in time"), ("AKIAABCDEFGHIJKLMNOP", b"unknown")):
        headers = sign((key, own.secret), "x", TARGET + "ListFaces", b"")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        answer = raw(tight, f"POST / HTTP/1.1\r\n{lines}Content-Length: 9000000\r\n\r\n".encode())
        assert b"AccessDeniedException" in answer
        assert why in answer  # of a key that is not there nothing is waited for; but the connection is closed as well
    settled(tight)


GARBAGE = [
    b"\x00\xff\xfe\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"a" * 200_000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"H%d: v\r\n" % n for n in range(60_000)) + b"\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET http://elsewhere/health HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n",
    b"GET /%ff%00%0d%0aX:y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
    b"POST / HTTP/1.0\r\nContent-Length: 2\r\nX-Amz-Target: RekognitionService.ListCollections\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: \xe9\xff\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIA/\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n",
]


@pytest.mark.parametrize("sent", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_denied(tight: Running, sent: bytes) -> None:
    answer = raw(tight, sent)
    if answer:  # what never ends its header is let go without a word
        status = int(answer.split()[1])
        assert status in (400, 403), answer[:200]
        said, _ = json.JSONDecoder().raw_decode(answer.partition(b"\r\n\r\n")[2].decode())
        assert said["__type"] == "AccessDeniedException"
    assert tight.page("/health")[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics", "/health/", "/docs", "/openapi.json", "//", "/health/../x"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD"])
def test_nobody_without_a_key_gets_anything_else(tight: Running, path: str, method: str) -> None:
    status, headers, body = tight.page(path, method, b"{}" if method in ("POST", "PUT") else b"")
    assert status in (400, 403)
    assert headers["x-amzn-errortype"] == "AccessDeniedException"
    assert method == "HEAD" or json.loads(body)["__type"] == "AccessDeniedException"


def test_health_and_readiness_are_for_everybody(tight: Running) -> None:
    for path in ("/health", "/ready"):
        status, _, body = tight.page(path)
        assert status == 200
        assert list(json.loads(body)) == ["status"]
        assert tight.page(path, "POST", b"{}")[0] == 403


@pytest.mark.parametrize("token", [None, "Bearer ", "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN} "])
def test_metrics_need_the_token(tight: Running, token: str | None) -> None:
    status, _, body = tight.page("/metrics", headers={"Authorization": token} if token else {})
    if token == f"Bearer {TOKEN} ":  # HTTP itself takes the blank away
        assert status == 200
        return
    assert status == 403
    assert json.loads(body)["__type"] == "AccessDeniedException"


def test_a_key_that_is_not_there_or_signs_wrongly(tight: Running) -> None:
    for key in (("AKIAABCDEFGHIJKLMNOP", "s" * 40), (tight.key().key_id, "wrong" * 8)):
        with pytest.raises(ClientError) as wrong:
            tight.client(key=key).list_collections()
        assert wrong.value.response["Error"]["Code"] == "AccessDeniedException"
    unknown = sign(("AKIAABCDEFGHIJKLMNOP", "s" * 40), f"127.0.0.1:{tight.port}", "Nothing.AtAll", b"")
    status, _, body = tight.page("/", "POST", b"", unknown)
    assert (status, json.loads(body)["__type"]) == (400, "AccessDeniedException")
    status, _, said = tight.raw("NoSuchOperation")
    assert (status, said["__type"]) == (400, "UnknownOperationException")


def test_too_many_connections_are_told(tight: Running) -> None:
    photo = {"Bytes": grace()}
    with idle(tight, 60):
        assert code_of(tight.client().list_collections) == "ThrottlingException"
        assert code_of(lambda: tight.client().detect_faces(Image=photo)) == "ThrottlingException"
        assert code_of(lambda: stranger(tight).detect_faces(Image=photo)) == "AccessDeniedException"
        unknown = tight.client(key=("AKIAABCDEFGHIJKLMNOP", "s" * 40))
        assert code_of(unknown.list_collections) == "AccessDeniedException"
        _, _, body = tight.page("/", "POST", b"{}")
        assert json.loads(body)["__type"] == "AccessDeniedException"
        assert tight.page("/health")[0] == 200
        answer = raw(tight, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2)  # one answer, and it is closed
        assert answer.count(b"HTTP/1.1 200") == answer.count(b"HTTP/1.1") == 1
        client = tight.client()
        assert {code_of(client.list_collections) for _ in range(20)} == {"ThrottlingException"}
    tight.ready()
    assert tight.client().list_collections()


def test_connections_beyond_those_wait_outside(tight: Running) -> None:
    """Silent ones inside are let go soon; who waits is answered then, and nothing grows."""
    before = open_sockets(tight)
    with idle(tight, 250):
        time.sleep(0.5)
        assert open_sockets(tight) - before <= 2 * 60 + 1
        assert code_of(stranger(tight).list_collections) == "AccessDeniedException"
        assert code_of(tight.client().list_collections) in {"ok", "ThrottlingException"}
    tight.ready()
    end = time.monotonic() + 10
    while open_sockets(tight) > before + 1:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert tight.client().list_collections()


@contextlib.contextmanager
def idle(server: Running, count: int) -> Iterator[None]:
    """So many connections that say nothing."""
    with contextlib.ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
        yield


def open_sockets(server: Running) -> int:
    found = 0
    for one in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += os.readlink(one).startswith("socket:")
    return found


def test_the_log_has_ids_and_times_and_nobody(tight: Running) -> None:
    client = tight.client()
    client.create_collection(CollectionId="people-of-the-choir")
    client.index_faces(CollectionId="people-of-the-choir", Image={"Bytes": astronaut()}, ExternalImageId="Eileen")
    client.create_user(CollectionId="people-of-the-choir", UserId="Collins")
    found = client.search_faces_by_image(CollectionId="people-of-the-choir", Image={"Bytes": astronaut()})
    with pytest.raises(ClientError):
        client.create_user(CollectionId="people-of-the-choir", UserId="Collins")
    request = found["ResponseMetadata"]["RequestId"]
    text = tight.log.read_text()
    for word in ("Eileen", "Collins", "choir", found["FaceMatches"][0]["Face"]["FaceId"], tight.key().secret, TOKEN):
        assert word not in text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    (line,) = [one for one in lines if one.get("id") == request]
    assert (line["event"], line["operation"], line["code"]) == ("request", "SearchFacesByImage", "ok")
    assert line["key"] == tight.key().key_id
    assert line["bytes"] > len(astronaut())
    assert not [one for one in lines if one["level"] == "error"]
    assert metric(tight, 'countenance_requests_total{code="ok",operation="SearchFacesByImage"}') == 1
    time.sleep(0.5)  # an upkeep later
    assert metric(tight, "countenance_faces ") == 1
    assert metric(tight, "countenance_collections ") == 1
    assert metric(tight, "countenance_ledger_records ") >= 4
    assert (tight.data / "ledger.head").read_text().startswith("countenance/")

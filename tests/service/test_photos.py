"""Photos out of an S3-compatible store: moto's, over a socket; and stores that misbehave."""

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from countenance.service.failures import WireError
from countenance.service.photos import MAX_STORED, PhotoSource, Store
from service.backends import opened, refused
from service.running import Running, another, data_folder, grace, nobody, running

BUCKET = "photos"
TEXT = b"minutes of the meeting"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder whose credentials file has the store's key; nothing of this machine's own plays a part."""
    folder = tmp_path_factory.mktemp("home")
    (folder / ".aws").mkdir()
    (folder / ".aws" / "credentials").write_text("[photos]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(folder))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield folder


@pytest.fixture(scope="module")
def endpoint(home: Path) -> Iterator[str]:
    """Where the store listens; it holds a few objects."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    s3 = client(url)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for name, data in (("people/grace.jpg", grace()), ("wall.jpg", nobody()), ("notes.jpg", TEXT), ("empty.jpg", b"")):
        s3.put_object(Bucket=BUCKET, Key=name, Body=data)
    yield url
    server.stop()


def client(endpoint: str) -> Any:
    return boto3.session.Session(profile_name="photos").client("s3", endpoint_url=endpoint, region_name="us-east-1")


@pytest.fixture(scope="module")
def source(endpoint: str) -> PhotoSource:
    return PhotoSource(Store(endpoint, profile="photos"))


def stored(name: str, bucket: str = BUCKET, **more: str) -> dict[str, Any]:
    return {"S3Object": {"Bucket": bucket, "Name": name} | more}


def fails(source: PhotoSource, code: str, image: dict[str, Any]) -> str:
    with pytest.raises(WireError) as wrong:
        source.read(image, "TargetImage")
    assert wrong.value.code == code, wrong.value.message
    assert wrong.value.message.startswith("TargetImage.S3Object: ")
    return wrong.value.message


def test_an_object_is_read_whole(source: PhotoSource) -> None:
    assert source.read(stored("people/grace.jpg")) == grace()
    assert source.read(stored("empty.jpg")) == b""


def test_a_version_is_that_version(source: PhotoSource, endpoint: str) -> None:
    s3 = client(endpoint)
    old, new = (s3.put_object(Bucket=BUCKET, Key="changed.jpg", Body=data) for data in (grace(), nobody()))
    assert source.read(stored("changed.jpg")) == nobody()
    assert source.read(stored("changed.jpg", Version=old["VersionId"])) == grace()
    assert source.read(stored("changed.jpg", Version=new["VersionId"])) == nobody()
    s3.delete_object(Bucket=BUCKET, Key="changed.jpg")
    fails(source, "InvalidS3ObjectException", stored("changed.jpg"))
    assert source.read(stored("changed.jpg", Version=old["VersionId"])) == grace()
    fails(source, "InvalidS3ObjectException", stored("changed.jpg", Version="00000000-0000-4000-8000-000000000000"))


def test_what_is_not_there(source: PhotoSource) -> None:
    assert "NoSuchKey" in fails(source, "InvalidS3ObjectException", stored("people/nobody.jpg"))
    assert "NoSuchBucket" in fails(source, "InvalidS3ObjectException", stored("people/grace.jpg", "other-photos"))


def test_half_an_address_is_none(source: PhotoSource) -> None:
    for place in ({"Bucket": BUCKET}, {"Name": "wall.jpg"}, {}):
        assert "Bucket and Name" in fails(source, "InvalidParameterException", {"S3Object": place})
    for image in ({}, stored("wall.jpg") | {"Bytes": grace()}):
        with pytest.raises(WireError, match="one of Bytes and S3Object"):
            source.read(image)


def test_without_a_store_nothing_is_read() -> None:
    said = fails(PhotoSource(), "InvalidS3ObjectException", stored("people/grace.jpg"))
    assert "reads from no store" in said
    assert PhotoSource().read({"Bytes": b"x"}) == b"x"


def test_the_largest_object(endpoint: str) -> None:
    client(endpoint).put_object(Bucket=BUCKET, Key="large.jpg", Body=grace())
    for limit, fits in ((len(grace()), True), (len(grace()) - 1, False)):
        small = PhotoSource(Store(endpoint, profile="photos", max_bytes=limit))
        if fits:
            assert small.read(stored("large.jpg")) == grace()
        else:
            fails(small, "ImageTooLargeException", stored("large.jpg"))


def test_a_key_that_the_store_does_not_know(source: PhotoSource, endpoint: str) -> None:
    def auth(after: str) -> None:
        """From how many requests on the store checks signatures."""
        urlopen(Request(f"{endpoint}/moto-api/reset-auth", after.encode(), {"Content-Type": "text/plain"})).close()

    auth("0")
    try:
        message = fails(source, "InvalidS3ObjectException", stored("people/grace.jpg"))
    finally:
        auth("inf")
    assert "InvalidAccessKeyId" in message
    assert "secret" not in message


def test_no_key_and_no_such_profile(endpoint: str) -> None:
    """Ours to mend: the client is told that the server is at fault."""
    assert "NoCredentials" in fails(PhotoSource(Store(endpoint)), "InternalServerError", stored("wall.jpg"))
    other = PhotoSource(Store(endpoint, profile="other"))
    assert "ProfileNotFound" in fails(other, "InternalServerError", stored("wall.jpg"))


def test_a_store_that_is_down(home: Path) -> None:
    with odd(lambda _: None) as url:
        pass  # nobody listens there any more
    down = PhotoSource(Store(url, profile="photos", seconds=2.0))
    assert "does not answer" in fails(down, "InternalServerError", stored("wall.jpg"))


class odd:
    """A store that answers every GET as it is told."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _head(handler: BaseHTTPRequestHandler, status: int, length: int | None, body: bytes = b"") -> None:
    handler.send_response(status)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(body)


def test_what_is_too_large_is_not_downloaded(home: Path) -> None:
    """The store announces more than there is memory for, and sends nothing of it."""
    still = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, MAX_STORED + 1)
        still.wait(30)

    with odd(answer) as url:
        fails(PhotoSource(Store(url, profile="photos", seconds=5.0)), "ImageTooLargeException", stored("a.jpg"))
        still.set()


def test_a_store_that_does_not_say_how_much_it_sends(home: Path) -> None:
    for sent, limit in ((1000, 1000), (1001, 1000)):
        with odd(lambda handler, sent=sent: _head(handler, 200, None, bytes(sent))) as url:  # type: ignore[misc]
            one = PhotoSource(Store(url, profile="photos", max_bytes=limit, seconds=5.0))
            if sent <= limit:
                assert one.read(stored("a.jpg")) == bytes(sent)
            else:
                fails(one, "ImageTooLargeException", stored("a.jpg"))


def test_a_store_that_fails_is_no_fault_of_the_client(home: Path) -> None:
    busy = b"<Error><Code>SlowDown</Code><Message>later</Message></Error>"
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = [
        lambda handler: _head(handler, 503, len(busy), busy),
        lambda handler: _head(handler, 200, 5000, b"half of it"),
    ]
    for answer in answers:
        with odd(answer) as url:
            one = PhotoSource(Store(url, profile="photos", seconds=5.0))
            fails(one, "InternalServerError", stored("a.jpg"))


def test_what_is_no_photo_is_told_as_such(tmp_path: Path, source: PhotoSource) -> None:
    with opened(tmp_path, photos=source) as backend:
        for name in ("notes.jpg", "empty.jpg"):
            refused(backend, "InvalidImageFormatException", "DetectFaces", Image=stored(name))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, endpoint: str) -> Iterator[Running]:
    """A server that reads from the store."""
    folder = data_folder(tmp_path_factory.mktemp("stored") / "data")
    with running(folder, s3_endpoint=endpoint, s3_profile="photos") as found:
        yield found


def test_end_to_end(server: Running, endpoint: str) -> None:
    client(endpoint).put_object(Bucket=BUCKET, Key="probe.jpg", Body=another(grace()))
    ours = server.client()
    (face,) = ours.detect_faces(Image=stored("people/grace.jpg"))["FaceDetails"]
    assert face == ours.detect_faces(Image={"Bytes": grace()})["FaceDetails"][0]
    ours.create_collection(CollectionId="stored")
    (record,) = ours.index_faces(CollectionId="stored", Image=stored("people/grace.jpg"))["FaceRecords"]
    found = ours.search_faces_by_image(CollectionId="stored", Image=stored("probe.jpg"))
    assert [match["Face"]["FaceId"] for match in found["FaceMatches"]] == [record["Face"]["FaceId"]]
    compared = ours.compare_faces(SourceImage=stored("probe.jpg"), TargetImage={"Bytes": grace()})
    assert len(compared["FaceMatches"]) == 1
    with pytest.raises(ours.exceptions.InvalidS3ObjectException, match="the store says NoSuchKey"):
        ours.detect_faces(Image=stored("people/nobody.jpg"))
    with pytest.raises(ours.exceptions.InvalidImageFormatException):
        ours.detect_faces(Image=stored("notes.jpg"))
    client(endpoint).put_object(Bucket=BUCKET, Key="large.jpg", Body=io.BytesIO(bytes(MAX_STORED + 1)))
    with pytest.raises(ours.exceptions.ImageTooLargeException):
        ours.detect_faces(Image=stored("large.jpg"))
    assert "people/" not in server.log.read_text(), "nothing of a request is logged"

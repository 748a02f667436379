"""A real server in a process of its own, keys for it, and signatures made without botocore's code."""

import contextlib
import hashlib
import hmac
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from countenance.ledger import SigningKey
from countenance.policy import Certificate, certify, shipped_policy
from countenance.service.keyring import ApiKey, KeyRing
from countenance.trials import embedded_tallies

PIPELINE = "dlib-resnet-v1"
TARGET = "RekognitionService."
TEST_POLICY = shipped_policy("test")
TEST_POLICY_FILE = Path(sys.modules["countenance"].__file__ or "").parent / "policy" / "data" / "test.toml"
_QUICK = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60, max_pool_connections=32)


@cache
def operator() -> SigningKey:
    """One operator for all servers of a test run, so that their certificate is computed once."""
    return SigningKey.generate()


@cache
def certificate() -> Certificate:
    """What the embedded measurements of the default engine carry."""
    return certify(embedded_tallies(PIPELINE), operator())


def data_folder(folder: Path, *, policy: Path | None = TEST_POLICY_FILE, certified: bool = True) -> Path:
    """A data folder as an operator would make it: signing key, policy (None: the shipped one), certificate."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    operator().save(folder / "ledger.key")
    if policy is not None:
        (folder / "policy.toml").write_bytes(policy.read_bytes())
    if certified:
        (folder / "certificate.json").write_text(certificate().to_json())
    return folder


@cache
def _session() -> Any:
    """One for all clients, since it keeps the models that it has read."""
    return boto3.session.Session()


class Running:
    """A server's process, where it listens, and keys to it. ``flags`` are those of ``countenance serve``."""

    def __init__(self, data: Path, *, database: str | None = None, wait: bool = True, **flags: Any) -> None:
        self.data, self.database, self.keyring = data, database, KeyRing(data)
        self._keys: dict[tuple[Any, ...], ApiKey] = {}
        self.log = data.parent / f"{data.name}.log"
        options = {"data": data, "pipeline": PIPELINE, "port": _free_port(), "log_format": "json"} | flags
        if database is not None:
            options["database"] = database
        self.port = options["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-X", "faulthandler", "-c", "from countenance.cli import main; main()", "serve"]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        with self.log.open("ab") as log:
            clean = {k: v for k, v in os.environ.items() if not k.startswith(("COUNTENANCE_", "AWS_"))}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=clean)
        if wait:
            try:
                self.ready()
            except BaseException:
                self.process.kill()  # nobody else knows of it yet
                raise

    def ready(self, seconds: float = 60.0) -> None:
        """Wait until it says so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended: {self.process.returncode}\n{self.log.read_text()[-3000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.page("/ready")[0] == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the server is not ready\n{self.log.read_text()[-3000:]}")

    def page(self, path: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
        """Status, headers and body of one request, exactly as given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def key(self, role: str = "operator", *purposes: str, actor: str | None = None) -> ApiKey:
        """A key of this role, made at its first use."""
        made = self._keys.get((role, purposes, actor))
        if made is None:
            made = self._keys[role, purposes, actor] = self.keyring.issue(role, purposes, actor)
        return made

    def client(self, role: str = "operator", *purposes: str, key: tuple[str, str] | None = None, **more: Any) -> Any:
        """boto3's own client, changed in nothing but where it sends, and not repeating by itself."""
        if key is None:
            own = self.key(role, *purposes)
            key = own.key_id, own.secret
        given = {"region_name": "us-east-1", "endpoint_url": self.url, "config": _QUICK} | more
        return _session().client("rekognition", aws_access_key_id=key[0], aws_secret_access_key=key[1], **given)

    def raw(
        self, operation: str, members: object = None, *, body: bytes | None = None, key: ApiKey | None = None
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """A signed request without a client's own checks: status, headers, members of the answer."""
        own = key or self.key()
        sent = json.dumps(members or {}).encode() if body is None else body
        headers = sign((own.key_id, own.secret), f"127.0.0.1:{self.port}", TARGET + operation, sent)
        status, got, text = self.page("/", "POST", sent, headers)
        return status, got, json.loads(text)

    def environment(self, role: str = "operator", *purposes: str) -> dict[str, str]:
        """What a program written for AWS needs to find this server: the endpoint, a key, a region; nothing else."""
        own = self.key(role, *purposes)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "COUNTENANCE_"))}
        return kept | {
            "AWS_ENDPOINT_URL_REKOGNITION": self.url,
            "AWS_ACCESS_KEY_ID": own.key_id,
            "AWS_SECRET_ACCESS_KEY": own.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; how it ended."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextlib.contextmanager
def running(data: Path, **more: Any) -> Iterator[Running]:
    """The same, ended at the end."""
    server = Running(data, **more)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


def sign(
    key: tuple[str, str],
    host: str,
    target: str,
    body: bytes,
    *,
    when: datetime | None = None,
    path: str = "/",
    method: str = "POST",
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Headers of a request signed as AWS's documentation of Signature Version 4 says, with nothing of botocore."""
    stamp = (when or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/us-east-1/rekognition/aws4_request"
    headers = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-date": stamp, "x-amz-target": target}
    headers |= more or {}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = b"AWS4" + key[1].encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    mark = hmac.digest(secret, text.encode(), "sha256").hex()
    said = f"AWS4-HMAC-SHA256 Credential={key[0]}/{scope}, SignedHeaders={names}, Signature={mark}"
    # As SDKs send it, unsigned: it tells two equal requests within a second from one that came twice.
    return headers | {"Authorization": said, "amz-sdk-invocation-id": str(uuid.uuid4())}


def half_sent(server: Running, operation: str) -> socket.socket:
    """A request of which only the header has come: it is admitted, and holds its place until the socket is closed."""
    own = server.key()
    connection = socket.create_connection(("127.0.0.1", server.port), 10)
    headers = sign((own.key_id, own.secret), f"127.0.0.1:{server.port}", TARGET + operation, b"{}")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"POST / HTTP/1.1\r\n{lines}Content-Length: 2\r\n\r\n".encode())
    return connection


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@cache
def grace() -> bytes:
    """Grace Hopper, a public-domain photo that comes with matplotlib."""
    import matplotlib

    return (Path(matplotlib.__file__).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg").read_bytes()


@cache
def astronaut() -> bytes:
    """Eileen Collins, a public-domain photo that comes with scikit-image."""
    import skimage

    return (Path(skimage.__file__).parent / "data" / "astronaut.png").read_bytes()


@cache
def another(photo: bytes, turn: float = 4.0, factor: float = 0.8) -> bytes:
    """The same face in another photo: turned a little, darker, smaller, as JPEG."""
    from PIL import Image, ImageEnhance

    image = Image.open(io.BytesIO(photo)).convert("RGB")
    image = image.rotate(turn, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))
    image = image.resize((int(image.width * factor), int(image.height * factor)))
    return jpeg(ImageEnhance.Brightness(image).enhance(0.8))


@cache
def both() -> bytes:
    """The two side by side."""
    from PIL import Image

    photos = [Image.open(io.BytesIO(x)).convert("RGB").resize((480, 480)) for x in (grace(), astronaut())]
    image = Image.new("RGB", (960, 480))
    for number, photo in enumerate(photos):
        image.paste(photo, (480 * number, 0))
    return jpeg(image)


@cache
def nobody() -> bytes:
    """A photo without a face."""
    from PIL import Image

    return jpeg(Image.linear_gradient("L").convert("RGB").resize((320, 240)))


def jpeg(image: Any) -> bytes:
    """As JPEG."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()

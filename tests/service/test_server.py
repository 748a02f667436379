"""The life of a server: it starts or says why not, ends in order, and loses nothing that it acknowledged."""

import concurrent.futures
import contextlib
import datetime
import json
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from countenance.gallery import open_gallery
from countenance.service.metrics import Metrics
from countenance.service.upkeep import Upkeep
from service.backends import opened
from service.running import TARGET, Running, astronaut, data_folder, half_sent, running, sign


def start(*flags: str | Path, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, which comes soon when it refuses to start."""
    command = [*before, sys.executable, "-c", "from countenance.cli import main; main()", "serve", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def refused(found: subprocess.CompletedProcess[str], *words: str) -> None:
    assert found.returncode == 2, found.stderr
    for word in words:
        assert word in found.stderr
    assert found.stderr.count("\n") == 1


def test_files_that_connections_need_are_asked_for_at_the_start(tmp_path: Path) -> None:
    with_few = ["bash", "-c", 'ulimit -n 600 && exec "$@"', "-"]
    refused(start("--data", tmp_path / "data", before=with_few), "max_connections", "1,280", "600", "ulimit -n")


def test_stopped_under_load_it_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    data = data_folder(tmp_path / "data")
    kept: list[str] = []
    wrong: list[Exception] = []
    with running(data) as server:
        server.client().create_collection(CollectionId="c")

        def add(part: int) -> None:
            client = server.client()
            for number in range(100_000):
                try:
                    client.create_user(CollectionId="c", UserId=f"u{part}-{number}")
                except (ConnectionError, HTTPClientError):
                    return
                except Exception as error:
                    wrong.append(error)
                    return
                kept.append(f"u{part}-{number}")

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for part in range(6):
                pool.submit(add, part)
            while len(kept) < 100:
                time.sleep(0.01)
            assert server.stop() == 0
    assert not wrong
    with open_gallery(data) as gallery:
        there = {user.user_id for user in gallery.users("c", limit=1_000_000)}
        assert set(kept) <= there
        assert gallery.ledger.size >= len(there)


def test_what_was_admitted_is_finished_and_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    data = data_folder(tmp_path / "data")
    with running(data) as server:
        body = json.dumps({"CollectionId": "c"}).encode()
        own = server.key()
        headers = sign((own.key_id, own.secret), f"127.0.0.1:{server.port}", TARGET + "CreateCollection", body)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(f"POST / HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode())
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", server.port), 10)
            connection.sendall(body)
            connection.settimeout(10)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert server.process.wait(20) == 0
    with running(data) as server:
        assert server.client().list_collections()["CollectionIds"] == ["c"]
        with half_sent(server, "ListCollections"):
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            assert server.process.poll() is None
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(5) == 128 + signal.SIGTERM


def test_one_on_sqlite_and_many_on_postgresql(tmp_path: Path, new_database: Callable[[], str]) -> None:
    alone = data_folder(tmp_path / "alone")
    with running(alone):
        refused(start("--data", alone, "--port", "0", "--pipeline", "dlib-resnet-v1"), "another", "--database")
    data, database = data_folder(tmp_path / "many"), new_database()
    with running(data, database=database, wait=False) as one, running(data, database=database) as other:
        one.ready()
        one.client().create_collection(CollectionId="c")
        (made,) = other.client().index_faces(CollectionId="c", Image={"Bytes": astronaut()})["FaceRecords"]
        client = one.client(key=(other.key().key_id, other.key().secret))  # a key made after it started
        page = client.list_faces(CollectionId="c", MaxResults=1)
        assert [face["FaceId"] for face in page["Faces"]] == [made["Face"]["FaceId"]]
        found = client.search_faces_by_image(CollectionId="c", Image={"Bytes": astronaut()})
        assert [match["Face"]["FaceId"] for match in found["FaceMatches"]] == [made["Face"]["FaceId"]]
        other.client().delete_faces(CollectionId="c", FaceIds=[made["Face"]["FaceId"]])
        assert not client.search_faces_by_image(CollectionId="c", Image={"Bytes": astronaut()})["FaceMatches"]
        assert (one.stop(), other.stop()) == (0, 0)


def test_a_store_that_went_away_is_seen_and_comes_back(tmp_path: Path) -> None:
    data = data_folder(tmp_path / "data")
    with running(data) as server:  # its first upkeep was done, the next is a minute away
        client = server.client()
        client.create_collection(CollectionId="c")
        with broken(data / "gallery.db"):
            end = time.monotonic() + 40
            while server.page("/ready")[0] != 503:
                assert time.monotonic() < end
                time.sleep(0.2)
            assert server.page("/health")[0] == 200
            with pytest.raises(ClientError) as wrong:
                client.create_collection(CollectionId="d")
            assert wrong.value.response["Error"]["Code"] == "InternalServerError"
            told = wrong.value.response["Error"]["Message"]
            assert wrong.value.response["ResponseMetadata"]["RequestId"] in told
            assert "table" not in told
            assert "durable" not in told
        server.ready(30)
        client.create_collection(CollectionId="d")
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
        faults = [line for line in lines if line["event"] == "fault"]
        assert faults
        assert all(line["at"] for line in faults)
        assert server.stop() == 0


def test_an_upkeep_that_fails_is_seen_until_one_succeeds(tmp_path: Path) -> None:
    metrics = Metrics()
    with opened(tmp_path / "data") as backend:
        upkeep = Upkeep(backend.gallery, backend.desk, metrics, tmp_path / "data", 60)
        upkeep.once()
        assert upkeep.fault() is None
        with broken(tmp_path / "data" / "gallery.db"):
            upkeep.once()
            assert upkeep.fault() is not None
        assert "countenance_upkeep_failures_total 1.0" in metrics.page().decode()
        upkeep.once()
        assert upkeep._failed is None


@contextlib.contextmanager
def broken(path: Path) -> Iterator[None]:
    """A table that every change needs is not there."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("ALTER TABLE log RENAME TO mislaid")
        yield
        file.execute("ALTER TABLE mislaid RENAME TO log")


def test_tls(tmp_path: Path) -> None:
    chain, key = self_signed(tmp_path)
    data = data_folder(tmp_path / "data")
    server = Running(data, wait=False, tls_cert=chain, tls_key=key, shutdown_seconds=100)
    try:
        own = server.key()
        client = boto3.session.Session(own.key_id, own.secret, region_name="us-east-1").client(
            "rekognition",
            endpoint_url=f"https://localhost:{server.port}",
            verify=str(chain),
            config=Config(retries={"total_max_attempts": 1}),
        )
        end = time.monotonic() + 30
        while True:
            try:
                assert client.list_collections()["CollectionIds"] == []
                break
            except (ConnectionError, HTTPClientError):
                assert time.monotonic() < end
                time.sleep(0.1)
        assert "listening on https://127.0.0.1" in server.log.read_text()
        trusting = ssl.create_default_context(cafile=str(chain))
        plain = socket.create_connection(("localhost", server.port))
        with trusting.wrap_socket(plain, server_hostname="localhost") as secured:
            assert secured.version() in ("TLSv1.2", "TLSv1.3")
        with socket.create_connection(("localhost", server.port)) as plain:  # no word of HTTP without TLS
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"alive" not in plain.recv(65536)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(25) == 0  # the client, which keeps its connection, says no goodbye; TLS waits 30 s
    finally:
        if server.process.poll() is None:
            server.kill()
    (tmp_path / "bad.pem").write_text("no key")
    found = start(
        "--data",
        data,
        "--port",
        "0",
        "--tls-cert",
        tmp_path / "bad.pem",
        "--tls-key",
        key,
        "--pipeline",
        "dlib-resnet-v1",
    )
    refused(found, "tls_cert")


def self_signed(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return chain, secret


def test_it_says_why_it_does_not_start(tmp_path: Path) -> None:
    data = data_folder(tmp_path / "data")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused(start("--data", data, "--port", str(taken.getsockname()[1])), "cannot listen", "give others")
    data.chmod(0o755)
    refused(start("--data", data, "--port", "0"), "chmod 700")
    data.chmod(0o700)
    (data / "policy.toml").write_text("format = 1\n")
    refused(start("--data", data, "--port", "0"), "policy.toml, line 1")


def test_without_an_audit_it_runs_and_says_so(tmp_path: Path) -> None:
    data = data_folder(tmp_path / "data", certified=False)
    with running(data) as server:
        text = server.log.read_text()
        assert "certificate: no audit, no search" in text
        assert "keys: none yet" in text
        with pytest.raises(ClientError, match="no audit, no search"):
            server.client().compare_faces(SourceImage={"Bytes": astronaut()}, TargetImage={"Bytes": astronaut()})
        assert server.client().detect_faces(Image={"Bytes": astronaut()})["FaceDetails"]
        (data / "certificate.json").write_bytes(_certified(tmp_path).read_bytes())
        compared: dict[str, Any] = server.client().compare_faces(
            SourceImage={"Bytes": astronaut()}, TargetImage={"Bytes": astronaut()}
        )
        assert compared["FaceMatches"]  # certified without being restarted
        assert (data / "service.key").stat().st_mode & 0o777 == 0o600
        assert server.stop() == 0
        assert '"event":"stopped"' in server.log.read_text()


def _certified(folder: Path) -> Path:
    return data_folder(folder / "elsewhere") / "certificate.json"

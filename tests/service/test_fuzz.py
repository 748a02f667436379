"""From outside: whatever is sent, the answer is a modelled error, and the server's memory does not grow.

The long version is ``python -m bench fuzz``.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.fuzzing import attack, in_process, over_the_socket, resident
from service.killing import photos
from service.running import Running, data_folder, running


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of its own, since it is left full of odd things."""
    with running(data_folder(tmp_path_factory.mktemp("attacked") / "data")) as found:
        found.client().create_collection(CollectionId="family")
        found.client().create_user(CollectionId="family", UserId="anna")
        yield found


def test_malformed_requests_to_the_application(tmp_path: Path) -> None:
    with in_process(tmp_path) as send:
        codes = attack(send, 1500, photos(), images=0.03)
    assert codes["InvalidParameterException"] > 100
    assert codes["AccessDeniedException"] > 50
    assert codes["ok"] > 10, "some get through to the end"


def test_malformed_requests_to_the_server(attacked: Running) -> None:
    send = over_the_socket(attacked)
    attack(send, 150, photos(), images=0.3, start=1)
    warm = resident(attacked.process.pid)
    codes = attack(send, 350, photos(), images=0.15, start=2)
    assert codes["InvalidImageFormatException"] > 2
    assert resident(attacked.process.pid) < warm + 64
    assert attacked.process.poll() is None
    assert '"event":"fault"' not in attacked.log.read_text()


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" * 100,
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://elsewhere/latest/meta-data HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        bytes(range(256)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=range(12),
)
def test_what_is_not_http(attacked: Running, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", attacked.port), 5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert not answer or answer.split(b" ", 2)[1] in (b"400", b"403")
    assert not answer or b"AccessDeniedException" in answer
    assert attacked.page("/health")[0] == 200

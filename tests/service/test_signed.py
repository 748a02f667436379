"""From outside: who is let in. Wrong keys, altered and replayed requests, and the operations that are not here."""

import http.client
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from countenance.service.operations import OPERATIONS
from countenance.service.wire import OPERATIONS as ALL
from countenance.service.wire import error_codes
from service.running import TARGET, Running, sign


def said(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def captured(server: Running, **more: Any) -> list[Any]:
    """The requests that boto3 sends, as they go on the wire; they are sent as well."""
    client, sent = server.client(**more), []
    client.meta.events.register_last("before-send", lambda request, **_: sent.append(request))
    client.list_collections()
    return sent


def again(server: Running, request: Any, **changed: Any) -> tuple[int, str]:
    """Send what was captured, once more; status and code."""
    given = {"method": request.method, "headers": dict(request.headers), "body": request.body} | changed
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(given["method"], given.get("path", "/"), given["body"], given["headers"])
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read()).get("__type", "ok")
    connection.close()
    return found


def test_an_unknown_key_and_a_wrong_secret_look_alike(served: Running) -> None:
    own = served.key()
    unknown = served.client(key=("AKIA" + "X" * 16, own.secret))
    wrong = served.client(key=(own.key_id, "x" * 40))
    for client in (unknown, wrong):
        with pytest.raises(ClientError) as refused:
            client.list_collections()
        assert said(refused)[0] == "AccessDeniedException"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_revoked_key_is_out_at_once(served: Running) -> None:
    key = served.keyring.issue("operator")
    client = served.client(key=(key.key_id, key.secret))
    client.list_collections()
    served.keyring.revoke(key.key_id)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        client.list_collections()


def test_a_captured_request_is_good_once(served: Running) -> None:
    (request,) = captured(served)
    assert again(served, request) == (400, "AccessDeniedException")


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"MaxResults": 1}'},
        {"path": "/?x=1"},
        {"method": "PUT"},
        {"header": ("X-Amz-Target", "RekognitionService.DeleteCollection")},
        {"header": ("X-Amz-Date", "20260101T000000Z")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_altered_request_is_refused(served: Running, change: dict[str, Any]) -> None:
    client, sent = served.client(), []
    client.meta.events.register_last("before-send", lambda request, **_: sent.append(request) or _Unsent())
    client.list_collections()
    headers = dict(sent[0].headers)
    headers.pop("Content-Length", None)
    if "header" in change:
        name, value = change["header"]
        change = {"headers": {k: v for k, v in headers.items() if k.lower() != name.lower()} | {name: value}}
    assert again(served, sent[0], **{"headers": headers} | change) == (400, "AccessDeniedException")
    assert again(served, sent[0], headers=headers) == (200, "ok"), "the request itself was sound"


class _Unsent:
    """An answer that botocore takes for the server's, so that a signed request is not sent."""

    status_code, headers, content = 200, {}, b"{}"
    raw = None


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_is_wrong_is_told(served: Running, minutes: int) -> None:
    key, body = served.keyring.issue("operator"), b"{}"  # its own: another test may have signed the same, minutes ago
    when = datetime.now(UTC) + timedelta(minutes=minutes)
    host = f"127.0.0.1:{served.port}"
    for moment, expected in ((when, 400), (datetime.now(UTC) + timedelta(minutes=minutes * 0.7), 200)):
        headers = sign((key.key_id, key.secret), host, f"{TARGET}ListCollections", body, when=moment)
        status, _, text = served.page("/", "POST", body, headers)
        assert status == expected, text
        if status == 400:
            assert "set the clock" in json.loads(text)["message"]


def test_a_key_for_another_service_or_session_is_refused(served: Running) -> None:
    own = served.key()
    session = boto3.session.Session(own.key_id, own.secret, "token", region_name="us-east-1")
    with pytest.raises(ClientError) as refused:
        session.client("rekognition", endpoint_url=served.url).list_collections()
    assert said(refused)[0] == "AccessDeniedException"


@pytest.mark.parametrize("operation", sorted(ALL - set(OPERATIONS)))
def test_what_is_not_here_says_so(served: Running, operation: str) -> None:
    status, headers, answer = served.raw(operation)
    assert status == 400
    assert answer["__type"] == headers["x-amzn-errortype"]
    assert answer["__type"] in error_codes(operation), "the model knows the code"
    assert len(answer["message"]) > 20
    assert answer["message"].count(" ") >= 5, "a sentence"


def test_there_are_21_and_54() -> None:
    assert (len(OPERATIONS), len(ALL)) == (21, 75)


def test_what_is_never_built_is_denied_through_boto3(served: Running) -> None:
    client = served.client()
    with pytest.raises(client.exceptions.AccessDeniedException, match="never built"):
        client.start_face_search(Video={"S3Object": {"Bucket": "abc", "Name": "x"}}, CollectionId="c")
    with pytest.raises(client.exceptions.AccessDeniedException):
        client.recognize_celebrities(Image={"Bytes": b"x"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("POST", "/health"),
        ("OPTIONS", "/"),
        ("HEAD", "/"),
        ("DELETE", "/"),
        ("GET", "/../countenance-data/api-keys.json"),
        ("TRACE", "/"),
        ("POST", "//"),
    ],
)
def test_without_a_key_there_is_nothing_but_access_denied(served: Running, method: str, path: str) -> None:
    status, headers, body = served.page(path, method)
    assert status >= 400
    if body:
        assert json.loads(body)["__type"] == "AccessDeniedException"
    assert headers["x-amzn-errortype"] == "AccessDeniedException"


def test_the_health_page_is_open_and_says_nothing_else(served: Running) -> None:
    status, _, body = served.page("/health")
    assert (status, json.loads(body)) == (200, {"status": "alive"})
    assert served.page("/ready")[0] == 200

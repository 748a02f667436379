"""Signatures: what botocore and boto3 sign gets in; whatever is changed, late, replayed or made up does not."""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from countenance.service import sigv4
from countenance.service.caller import Caller
from countenance.service.failures import WireError
from countenance.service.keyring import ApiKey, KeyRing
from countenance.service.sigv4 import Verifier

HOST = "faces.example:8370"
BODY = b'{"CollectionId":"family"}'
DIGEST = sha256(BODY).hexdigest()
Headers = list[tuple[str, str]]


class Clock:
    """Seconds that tests move."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).timestamp() // 1

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path)


@pytest.fixture
def key(ring: KeyRing) -> ApiKey:
    return ring.issue("operator", ["photo-archive"], "company")


@pytest.fixture
def verifier(ring: KeyRing, clock: Clock) -> Verifier:
    return Verifier(ring, clock)


def sign(
    key: ApiKey,
    when: float,
    *,
    service: str = "rekognition",
    secret: str | None = None,
    token: str | None = None,
    body: bytes = BODY,
    query: str = "",
    **more: str,
) -> Headers:
    """The headers of a request that botocore signed at ``when``."""
    request = AWSRequest("POST", f"http://{HOST}/{query}", data=body)
    request.headers["Host"] = HOST
    request.headers["Content-Type"] = "application/x-amz-json-1.1"
    request.headers["X-Amz-Target"] = "RekognitionService.ListFaces"
    for name, value in more.items():
        request.headers[name.replace("_", "-")] = value
    signer = SigV4Auth(Credentials(key.key_id, secret or key.secret, token), service, "eu-central-1")
    request.context["timestamp"] = datetime.fromtimestamp(when, UTC).strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    said = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(said, request))
    return list(request.headers.items())


def put(headers: Headers, name: str, value: str | None) -> Headers:
    """The headers with one changed, added, or (None) taken away."""
    kept = [pair for pair in headers if pair[0].lower() != name]
    return kept if value is None else [*kept, (name, value)]


def tried(verifier: Verifier, headers: Headers, body: bytes = BODY, query: str = "", **more: Any) -> Caller:
    return verifier.verify("POST", "/", query, headers, sha256(body).hexdigest(), **more)


def refused(verifier: Verifier, headers: Headers, body: bytes = BODY, query: str = "", **more: Any) -> str:
    with pytest.raises(WireError) as caught:
        tried(verifier, headers, body, query, **more)
    assert caught.value.code == "AccessDeniedException"
    return caught.value.message


def throttled(verifier: Verifier, headers: Headers, **more: Any) -> str:
    with pytest.raises(WireError) as caught:
        tried(verifier, headers, **more)
    assert caught.value.code == "ThrottlingException"
    return caught.value.message


# -- who gets in -----------------------------------------------------------------------------------------------------


def test_a_signed_request_says_who_calls(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    assert tried(verifier, sign(key, clock.now)) == Caller(key.key_id, "operator", ("photo-archive",), "company")


@pytest.mark.parametrize(
    "more",
    [
        {"X_Amz_Content_SHA256": sha256(BODY).hexdigest()},
        {"x_note": "two   blanks,  and a comma"},
        {"accept": "ümlaut"},
    ],
)
def test_further_signed_headers_are_canonicalised_as_the_client_did(
    verifier: Verifier, key: ApiKey, clock: Clock, more: dict[str, str]
) -> None:
    headers = sign(key, clock.now, **more)
    assert next(iter(more)).replace("_", "-").lower() in dict(headers)["Authorization"]
    assert tried(verifier, headers).key_id == key.key_id


def test_a_query_is_part_of_what_is_signed(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    headers = sign(key, clock.now, query="?b=2&a=1")
    assert "signature" in refused(verifier, headers, query="b=2&a=3")
    assert tried(verifier, headers, query="b=2&a=1").role == "operator"


def test_headers_that_only_other_clients_sign_are_taken_at_their_word(
    verifier: Verifier, key: ApiKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.auth.SIGNED_HEADERS_BLACKLIST", [])
    headers = sign(key, clock.now, user_agent="some-sdk/1")
    monkeypatch.undo()
    assert ";user-agent;" in dict(headers)["Authorization"]
    assert tried(verifier, headers).key_id == key.key_id


@pytest.fixture
def sent(key: ApiKey) -> Callable[..., tuple[Headers, bytes]]:
    """What boto3 itself puts on the wire for an operation."""
    client = boto3.client(
        "rekognition",
        region_name="us-east-1",
        endpoint_url=f"http://{HOST}",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}),
    )
    caught: list[Any] = []

    class Stop(Exception):
        pass

    def keep(request: Any, **_: Any) -> None:
        caught.append(request)
        raise Stop

    client.meta.events.register_last("before-send.rekognition", keep)

    def send(operation: str, **members: Any) -> tuple[Headers, bytes]:
        with pytest.raises(Stop):
            getattr(client, operation)(**members)
        text = [
            (name, value.decode("latin-1") if isinstance(value, bytes) else value)
            for name, value in caught[-1].headers.items()
        ]
        return [*text, ("Host", HOST)], caught[-1].body

    return send


def test_what_boto3_sends_gets_in_twice_within_a_second_and_its_copy_does_not(
    ring: KeyRing, key: ApiKey, sent: Callable[..., tuple[Headers, bytes]]
) -> None:
    verifier = Verifier(ring)
    calls = [sent("list_collections") for _ in range(20)]
    signatures = {dict(headers)["Authorization"] for headers, _ in calls}
    assert len(signatures) < len(calls), "boto3 signs equal calls within one second equally: what the burst is for"
    for headers, body in calls:
        assert tried(verifier, headers, body).key_id == key.key_id
    for headers, body in calls:
        assert "came before" in refused(verifier, headers, body)


def test_what_boto3_sends_with_a_photo_cannot_be_altered(
    ring: KeyRing, sent: Callable[..., tuple[Headers, bytes]]
) -> None:
    headers, body = sent("search_faces_by_image", CollectionId="family", Image={"Bytes": b"photo"})
    assert "signature" in refused(Verifier(ring), headers, body.replace(b"family", b"enemys"))
    assert tried(Verifier(ring), headers, body).role == "operator"


# -- who does not ----------------------------------------------------------------------------------------------------


def test_each_signed_part_is_held_to_its_signature(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    headers = sign(key, clock.now)
    wrong = "unknown, or the signature"
    assert wrong in refused(verifier, headers, BODY + b" ")
    assert wrong in refused(verifier, put(headers, "x-amz-target", "RekognitionService.DeleteFaces"))
    assert wrong in refused(verifier, put(headers, "host", "elsewhere:8370"))
    assert wrong in refused(verifier, put(headers, "content-type", "text/plain"))
    assert wrong in refused(verifier, headers, query="a=1")
    with pytest.raises(WireError, match=wrong):
        verifier.verify("PUT", "/", "", headers, DIGEST)
    with pytest.raises(WireError, match=wrong):
        verifier.verify("POST", "/other", "", headers, DIGEST)
    said = dict(headers)["Authorization"]
    for old, new in (("eu-central-1", "eu-central-2"), (said[-3:], f"{int(said[-3:], 16) ^ 1:03x}")):
        assert wrong in refused(verifier, put(headers, "authorization", said.replace(old, new)))
    assert tried(verifier, headers).key_id == key.key_id, "nothing wrong used it up"


def test_unknown_and_revoked_keys_and_wrong_secrets_hear_the_same(
    verifier: Verifier, ring: KeyRing, key: ApiKey, clock: Clock
) -> None:
    other = ring.issue("reader")
    heard = {refused(verifier, sign(key, clock.now, secret="x" * 40))}
    stranger = ApiKey(key_id="AKIA" + "A" * 16, secret="y" * 40, role="admin", issued=datetime.now(UTC))
    heard.add(refused(verifier, sign(stranger, clock.now)))
    headers = sign(other, clock.now)
    ring.revoke(other.key_id)
    heard.add(refused(verifier, headers))
    assert len(heard) == 1


def test_a_key_issued_or_revoked_by_another_process_counts_at_once(
    verifier: Verifier, ring: KeyRing, clock: Clock
) -> None:
    elsewhere = KeyRing(ring.path.parent)
    fresh = elsewhere.issue("reader")
    assert tried(verifier, sign(fresh, clock.now)).role == "reader"
    elsewhere.revoke(fresh.key_id)
    assert "unknown" in refused(verifier, sign(fresh, clock.now, body=b"{}"), b"{}")


def test_nobody_gets_in_while_others_can_read_the_keys(
    verifier: Verifier, ring: KeyRing, key: ApiKey, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ring.path.chmod(0o640)
    assert "unknown" in refused(verifier, sign(key, clock.now))
    assert "chmod 600" in caplog.text
    assert key.secret not in caplog.text
    ring.path.chmod(0o600)
    assert tried(verifier, sign(key, clock.now)).key_id == key.key_id


def test_a_key_is_looked_for_before_the_body_is_read_in_the_same_words(
    verifier: Verifier, ring: KeyRing, key: ApiKey, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def claimed(headers: Headers) -> str:
        with pytest.raises(WireError) as caught:
            verifier.claimed(dict(headers).get("Authorization", ""))
        assert caught.value.code == "AccessDeniedException"
        return caught.value.message

    headers = sign(key, clock.now)
    assert verifier.claimed(dict(headers)["Authorization"]) == key.key_id
    assert claimed([]) == refused(verifier, put(headers, "authorization", None))
    assert claimed([("Authorization", "x")]) == refused(verifier, put(headers, "authorization", "x"))
    ring.path.chmod(0o640)
    claimed(headers)
    assert "chmod 600" in caplog.text
    ring.path.chmod(0o600)
    ring.revoke(key.key_id)
    assert claimed(headers) == refused(verifier, headers)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "not signed"),
        ("", "Signature Version 4"),
        ("Bearer abc", "Signature Version 4"),
        ("AWS4-HMAC-SHA256", "Signature Version 4"),
        ("AWS4-HMAC-SHA256 Credential=" + "A" * 5000, "Signature Version 4"),
        ("{said}x", "Signature Version 4"),
        ("{said}, {said}", "Signature Version 4"),
    ],
)
def test_a_missing_or_garbled_authorization_is_refused(
    verifier: Verifier, key: ApiKey, clock: Clock, said: str | None, words: str
) -> None:
    headers = sign(key, clock.now)
    given = None if said is None else said.replace("{said}", dict(headers)["Authorization"])
    assert words in refused(verifier, put(headers, "authorization", given))


def test_two_authorizations_are_none(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    headers = sign(key, clock.now)
    assert "Signature Version 4" in refused(verifier, [*headers, ("authorization", dict(headers)["Authorization"])])


def test_signatures_for_other_services_and_with_session_tokens_are_refused(
    verifier: Verifier, key: ApiKey, clock: Clock
) -> None:
    assert "for the service s3" in refused(verifier, sign(key, clock.now, service="s3"))
    assert "Session tokens" in refused(verifier, sign(key, clock.now, token="abc"))


def test_presigned_queries_are_refused(verifier: Verifier, key: ApiKey) -> None:
    request = AWSRequest("POST", f"http://{HOST}/", headers={"Host": HOST})
    SigV4QueryAuth(Credentials(key.key_id, key.secret), "rekognition", "us-east-1").add_auth(request)
    assert "presigned" in refused(verifier, list(request.headers.items()), b"", request.url.partition("?")[2])


@pytest.mark.parametrize("name", ["host", "x-amz-date", "x-amz-target"])
def test_what_must_be_signed_must_be_signed(verifier: Verifier, key: ApiKey, clock: Clock, name: str) -> None:
    headers = sign(key, clock.now)
    said = dict(headers)["Authorization"]
    for listed in (f"{name};", f";{name}"):
        unsigned = said.replace(listed, "", 1)
        if unsigned != said:
            assert f"The header {name} must be" in refused(verifier, put(headers, "authorization", unsigned))
            break
    else:
        pytest.fail("not among the signed headers")
    assert f"The header {name} must be" in refused(verifier, [*headers, (name, "again")])
    assert "must name headers of the request" in refused(verifier, put(headers, name, None))


def test_signed_headers_come_once_and_in_order(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    headers = sign(key, clock.now)
    said = dict(headers)["Authorization"]
    for other in ("host;content-type;x-amz-date;x-amz-target", "content-type;host;host;x-amz-date;x-amz-target"):
        garbled = said.replace("content-type;host;x-amz-date;x-amz-target", other)
        assert garbled != said
        assert "in order" in refused(verifier, put(headers, "authorization", garbled))


@pytest.mark.parametrize("apart", [-301, 301])
def test_five_minutes_of_skew_and_not_more(verifier: Verifier, key: ApiKey, clock: Clock, apart: int) -> None:
    message = refused(verifier, sign(key, clock.now + apart))
    assert "more than 5 minutes apart" in message
    assert datetime.fromtimestamp(clock.now, UTC).strftime("%Y%m%dT%H%M%SZ") in message, "so that a clock can be set"
    assert tried(verifier, sign(key, clock.now + apart + (1 if apart < 0 else -1))).key_id == key.key_id


def test_the_scope_s_day_is_that_of_the_date(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    headers = sign(key, clock.now)
    day = datetime.fromtimestamp(clock.now, UTC).strftime("%Y%m%d")
    said = dict(headers)["Authorization"].replace(f"/{day}/", "/20200101/")
    assert "not that of X-Amz-Date" in refused(verifier, put(headers, "authorization", said))


@pytest.mark.parametrize("stamp", ["", "now", "20261399T000000Z", "2026-11-23T00:00:00Z", "２０261123T000000Z"])
def test_a_date_that_is_none_is_refused(verifier: Verifier, key: ApiKey, clock: Clock, stamp: str) -> None:
    assert "not a date" in refused(verifier, put(sign(key, clock.now), "x-amz-date", stamp))


@pytest.mark.parametrize("digest", ["UNSIGNED-PAYLOAD", "0" * 64, ""])
def test_a_content_digest_that_is_sent_must_be_that_of_the_body(
    verifier: Verifier, key: ApiKey, clock: Clock, digest: str
) -> None:
    headers = sign(key, clock.now, X_Amz_Content_SHA256=digest)
    assert "not the digest of the body" in refused(verifier, headers)


def test_an_unsigned_digest_header_does_not_replace_the_body_s(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    other = b'{"CollectionId":"enemys"}'
    headers = [*sign(key, clock.now), ("x-amz-content-sha256", sha256(other).hexdigest())]
    assert "signature" in refused(verifier, headers, other)
    good = [*sign(key, clock.now), ("x-amz-content-sha256", sha256(BODY).hexdigest())]
    assert tried(verifier, good).key_id == key.key_id


@pytest.mark.parametrize("path", ["/#a", "", "host[", "/\n", "/ü", "http://x/"])
def test_request_lines_that_parsers_read_differently_are_refused(
    verifier: Verifier, key: ApiKey, clock: Clock, path: str
) -> None:
    with pytest.raises(WireError, match="request line"):
        verifier.verify("POST", path, "", sign(key, clock.now), DIGEST)


# -- replays ---------------------------------------------------------------------------------------------------------


def call(headers: Headers, invocation: str, attempt: str = "attempt=1") -> Headers:
    return [*headers, ("amz-sdk-invocation-id", invocation), ("amz-sdk-request", attempt)]


def test_a_recorded_request_is_refused_whenever_it_comes(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    headers = call(sign(key, clock.now), "one")
    tried(verifier, headers)
    for later in (0, 1, 1, 30, 250, 17):
        clock.now += later
        assert "came before" in refused(verifier, headers)
    clock.now += 2
    assert "5 minutes" in refused(verifier, headers), "from here on its date speaks against it"


def test_equal_calls_within_two_seconds_are_let_through_and_later_ones_not(
    verifier: Verifier, key: ApiKey, clock: Clock
) -> None:
    headers = sign(key, clock.now)
    tried(verifier, call(headers, "one"))
    tried(verifier, call(headers, "two"))
    tried(verifier, call(headers, "two", "attempt=2"))
    assert "came before" in refused(verifier, call(headers, "two", "attempt=2"))
    clock.now += 2.0
    tried(verifier, call(headers, "three"))
    clock.now += 0.01
    assert "sign this one anew" in throttled(verifier, call(headers, "four"))
    clock.now += 62
    tried(verifier, sign(key, clock.now, body=b"{}"), b"{}")
    assert "came before" in refused(verifier, call(headers, "five"))


def test_without_an_invocation_id_a_signature_is_good_once(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    headers = sign(key, clock.now)
    tried(verifier, call(headers, "one"))
    assert "came before" in refused(verifier, headers)
    clock.now += 1
    headers = sign(key, clock.now)
    tried(verifier, headers)
    assert "came before" in refused(verifier, headers)


def test_what_counts_is_when_a_request_came_and_not_how_long_it_waited(
    verifier: Verifier, key: ApiKey, clock: Clock
) -> None:
    came = clock.now
    headers = sign(key, came)
    clock.now += 10
    tried(verifier, call(headers, "two"), arrived=came + 0.5)
    clock.now += 10
    tried(verifier, sign(key, clock.now, body=b"{}"), b"{}")
    tried(verifier, call(headers, "one"), arrived=came)
    assert "sign this one anew" in throttled(verifier, call(headers, "three"), arrived=came + 3)
    assert "came before" in refused(verifier, call(headers, "two"), arrived=came)


def test_nobody_comes_from_further_back_than_a_minute(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    headers = call(sign(key, clock.now), "one")
    tried(verifier, headers)
    first = clock.now
    clock.now += 359
    tried(verifier, sign(key, clock.now, body=b"{}"), b"{}")
    assert "came before" in refused(verifier, headers, arrived=first)
    clock.now += 2
    assert "5 minutes" in refused(verifier, headers, arrived=first)


def test_a_date_ahead_of_ours_is_remembered_until_it_is_past(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    headers = call(sign(key, clock.now + 299), "one")
    tried(verifier, headers)
    clock.now += 598
    assert "came before" in refused(verifier, headers)
    clock.now += 2
    assert "5 minutes" in refused(verifier, headers)


def test_memory_is_given_back_and_bounded(
    verifier: Verifier, key: ApiKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sigv4, "_MOST", 50)
    seen = verifier._seen
    for number in range(50):
        tried(verifier, sign(key, clock.now, body=b"%d" % number), b"%d" % number)
    with pytest.raises(WireError, match="Too many") as caught:
        tried(verifier, sign(key, clock.now))
    assert caught.value.code == "ThrottlingException"
    clock.now += 361
    tried(verifier, sign(key, clock.now))
    assert (len(seen._known), len(seen._order), len(seen._bursts)) == (1, 1, 1)


def test_requests_that_are_refused_leave_nothing_in_memory(verifier: Verifier, key: ApiKey, clock: Clock) -> None:
    refused(verifier, sign(key, clock.now, secret="x" * 40))
    refused(verifier, sign(key, clock.now), b"{}")
    assert not verifier._seen._known


# -- whatever comes --------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["authorization", "Host", "x-amz-date", "X-Amz-Target", "x-amz-content-sha256", "x-amz-security-token", "x"]
)
VALUES = st.text(st.characters(max_codepoint=255), max_size=80) | st.sampled_from(
    [
        "AWS4-HMAC-SHA256 Credential=AKIAAAAAAAAAAAAAAAAA/20261123/us-east-1/rekognition/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "0" * 64,
        "20261123T000000Z",
    ]
)


@given(
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=6),
    line=st.tuples(st.sampled_from(["POST", "GET", "ü"]), st.text(max_size=20), st.text(max_size=20)),
    body=st.binary(max_size=20),
)
def test_whatever_comes_is_denied(
    tmp_path_factory: pytest.TempPathFactory, headers: Headers, line: tuple[str, str, str], body: bytes
) -> None:
    verifier = Verifier(KeyRing(tmp_path_factory.getbasetemp() / "nobody"), lambda: 1795392000.0)
    with pytest.raises(WireError) as caught:
        verifier.verify(*line, headers, sha256(body).hexdigest())
    assert caught.value.code == "AccessDeniedException"

"""Who signed a request: AWS Signature Version 4 in the headers, computed again with botocore's own code and compared.

Replays. A request is good for five minutes around its own date, and once: its signature is remembered that long. But a
client that makes two equal calls within one second signs them equally, so an equal signature is let through within two
seconds of the first, if its ``amz-sdk-invocation-id`` and attempt (which boto3 sends unsigned) did not come before.

This stops a request that was recorded from being sent again, whole or without those headers, ever; and with another
invocation id, from two seconds on (within a minute that is called throttling, since an overloaded client may have been
that slow, and every client signs again and repeats). It does not stop somebody who changes unsigned headers within
those two seconds, nor a replay to another process or after a restart within the five minutes. Against whoever can
record requests, run TLS.
"""

import logging
import math
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from countenance.errors import InputError
from countenance.service.caller import Caller
from countenance.service.failures import WireError
from countenance.service.keyring import ApiKey, KeyRing

__all__ = ["SKEW", "Verifier"]

SKEW = 300.0
"""How far, in seconds, a request's date may lie from our clock."""
_BURST = 2.0  # seconds in which equal calls of one client may come
_WAIT = 60.0  # seconds that a request may have waited
_MOST = 1_000_000  # signatures remembered: 3,300 requests a second, some 200 MB
_SERVICE = "rekognition"
_MUST_SIGN = ("host", "x-amz-date", "x-amz-target")
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([A-Z0-9]{16,128})/(\d{8})/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/aws4_request, *"
    r"SignedHeaders=([a-z0-9;_-]{1,1024}), *Signature=([0-9a-f]{64})",
    re.ASCII,
)
_LINE = re.compile(r"[!\"$-~]*")  # printable ASCII, without the # that URL parsers cut at
_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_UNSIGNED = "The request is not signed; give your client a key of `countenance keys`"
_GARBLED = "The Authorization header is not one of Signature Version 4 (AWS4-HMAC-SHA256)"
_WRONG = "The key is unknown, or the signature is not that of this request under the key's secret"
_NOBODY = secrets.token_urlsafe(30)  # what is computed with when there is no such key, so that it takes as long

_log = logging.getLogger(__name__)


class Verifier:
    """Finds out who calls. For any number of threads; what it remembers is this process's alone.

    Args:
        keyring: the keys that count.
        clock: seconds since 1970.
    """

    def __init__(self, keyring: KeyRing, clock: Callable[[], float] = time.time) -> None:
        self._keyring, self._clock = keyring, clock
        self._seen = _Seen()

    def claimed(self, authorization: str) -> str:
        """The id of the key that a header names, if there is such a key: to be asked before a body is read.

        It proves nothing: `verify` does. Raises WireError (AccessDeniedException).
        """
        if not authorization:
            raise _denied(_UNSIGNED)
        match = _AUTHORIZATION.fullmatch(authorization)
        if match is None:
            raise _denied(_GARBLED)
        if self._find(match[1]) is None:
            raise _denied(_WRONG)
        return match[1]

    def verify(
        self,
        method: str,
        path: str,
        query: str,
        headers: Iterable[tuple[str, str]],
        digest: str,
        arrived: float | None = None,
    ) -> Caller:
        """Who signed this request; about 60 us.

        ``path`` and ``query`` are as they came, undecoded; ``headers`` all of them, doubles too, as latin-1 text.
        ``digest`` is the body's sha256 in hex, so that nobody need keep a body to know whose it is.
        ``arrived`` is when the headers came, by the clock, at most a minute ago: what counts for requests that had to
        wait for their body or for their turn. By default, now.

        Raises WireError: AccessDeniedException with a sentence for whatever is wrong, ThrottlingException when more
        signed requests came within minutes than are remembered.
        """
        if not _LINE.fullmatch(path + query) or not path.startswith("/"):
            raise _denied("The request line is not one that a client signs")
        found = _headers(headers)
        claim = _claim(found, query)
        now = self._clock()
        now = now if arrived is None else min(now, max(arrived, now - _WAIT))
        _timely(claim, now)
        if found.get("x-amz-content-sha256", [digest]) != [digest]:
            raise _denied("X-Amz-Content-SHA256 is not the digest of the body")
        key = self._find(claim.key_id)
        secret = _NOBODY if key is None else key.secret
        expected = _signature(claim, secret, (method, path, query), found, digest)
        if not compare_digest(expected, claim.signature) or key is None:
            raise _denied(_WRONG)
        said = str([found.get(name) for name in ("amz-sdk-invocation-id", "amz-sdk-request")])
        # However long the headers are; without an id, nothing tells one call from another.
        attempt = sha256(said.encode()).digest()[:16] if found.get("amz-sdk-invocation-id") else b""
        self._seen.admit(bytes.fromhex(claim.signature)[:16], attempt, now, claim.date + SKEW)
        return Caller(key.key_id, key.role, key.purposes, key.actor)

    def _find(self, key_id: str) -> ApiKey | None:
        """The key; nobody is let in while the file of keys is not to be trusted."""
        try:
            return self._keyring.find(key_id)
        except (InputError, OSError) as error:
            _log.error("no request is let in: %s", error)
            return None


@dataclass(frozen=True)
class _Claim:
    """What an Authorization header says."""

    key_id: str
    day: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    stamp: str
    date: float


def _headers(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _claim(headers: dict[str, list[str]], query: str) -> _Claim:
    if re.search(r"x-amz-(signature|algorithm|credential)", query, re.IGNORECASE):
        raise _denied("Signatures in the query (presigned requests) are not taken; sign the headers")
    said = headers.get("authorization", [])
    if not said:
        raise _denied(_UNSIGNED)
    match = _AUTHORIZATION.fullmatch(said[0]) if len(said) == 1 and len(said[0]) <= 2048 else None
    if match is None:
        raise _denied(_GARBLED)
    if "x-amz-security-token" in headers:
        raise _denied("Session tokens are not taken: this server issues lasting keys only")
    key_id, day, region, service, names, signature = match.groups()
    if service != _SERVICE:
        raise _denied(f"The request is signed for the service {service}, not for {_SERVICE}")
    signed = tuple(names.split(";"))
    if list(signed) != sorted(set(signed)) or not all(name in headers for name in signed):
        raise _denied("SignedHeaders must name headers of the request, each once, in order")
    for name in _MUST_SIGN:
        if name not in signed or len(headers[name]) != 1:
            raise _denied(f"The header {name} must be there once, and signed")
    stamp = headers["x-amz-date"][0]
    return _Claim(key_id, day, region, service, signed, signature, stamp, _seconds(stamp))


def _seconds(stamp: str) -> float:
    try:
        if not _DATE.fullmatch(stamp):
            raise ValueError
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _denied("X-Amz-Date is not a date like 20261123T010203Z") from None


def _timely(claim: _Claim, now: float) -> None:
    if claim.day != claim.stamp[:8]:
        raise _denied("The date in the credential's scope is not that of X-Amz-Date")
    if abs(now - claim.date) > SKEW:
        ours = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        raise _denied(f"The request is of {claim.stamp}, here it is {ours}: more than 5 minutes apart; set the clock")


class _Again(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's signer, over the headers that the client says it signed."""

    def __init__(self, credentials: Credentials, claim: _Claim, headers: dict[str, list[str]]) -> None:
        super().__init__(credentials, claim.service, claim.region)
        self._signed = _Signed((name, headers[name]) for name in claim.signed)

    def headers_to_sign(self, request: AWSRequest) -> "_Signed":  # noqa: ARG002
        """Those, doubles too, in the order in which they came."""
        return self._signed


class _Signed(dict[str, list[str]]):
    """Headers as botocore reads them when it makes them canonical; its own class for them costs as much as the rest."""

    get_all = dict.__getitem__


def _signature(
    claim: _Claim, secret: str, line: tuple[str, str, str], headers: dict[str, list[str]], digest: str
) -> str:
    method, path, query = line
    request = AWSRequest(method=method, url=f"http://host{path}" + (f"?{query}" if query else ""))
    request.headers["X-Amz-Content-SHA256"] = digest  # spares botocore the body; it is not canonicalised
    request.context["timestamp"] = claim.stamp
    signer = _Again(Credentials(claim.key_id, secret), claim, headers)
    return str(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))


class _Seen:
    """The signatures that came, as long as they could come again; and within a burst, with which attempts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[bytes] = set()
        self._order: deque[tuple[float, bytes]] = deque()  # until when; by arrival, so some stay a little longer
        self._bursts: dict[bytes, tuple[float, set[bytes]]] = {}  # by arrival as well

    def admit(self, mark: bytes, attempt: bytes, now: float, until: float) -> None:
        """Remember a use. Raises WireError for one that came before.

        A new call whose equal came seconds ago may have been held up on its way here: its client is told to try again,
        and will sign it anew.
        """
        with self._lock:
            self._forget(now)
            if mark not in self._known:
                if len(self._known) >= _MOST:
                    raise WireError("ThrottlingException", "Too many requests within minutes; try again in a while")
                self._known.add(mark)
                self._order.append((until + _WAIT, mark))
                self._bursts[mark] = (now, {attempt})
                return
            first, attempts = self._bursts.get(mark, (-math.inf, set()))
            if not attempt or not attempts or attempt in attempts:
                raise _denied("This very request came before; sign each request anew")
            if abs(now - first) > _BURST:
                raise WireError("ThrottlingException", "An equal request came some seconds before; sign this one anew")
            attempts.add(attempt)

    def _forget(self, now: float) -> None:
        while self._order and self._order[0][0] < now:
            self._known.discard(self._order.popleft()[1])
        while self._bursts and now - next(iter(self._bursts.values()))[0] > _BURST + _WAIT:
            del self._bursts[next(iter(self._bursts))]


def _denied(why: str) -> WireError:
    return WireError("AccessDeniedException", why)

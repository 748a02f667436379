"""The server's settings: one list, read from a TOML file, the environment and flags; later ones win.

Each is one key of the file, one variable (``COUNTENANCE_`` and the key in capitals) and one flag (``--`` and the key
with hyphens). Secrets have no flag: whoever lists processes could read them.
"""
# ruff: noqa: RUF009  _setting makes a dataclass field, as `field` does

import difflib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from countenance.errors import InputError, PolicyError

__all__ = ["SETTINGS", "Setting", "Settings", "read_settings"]

_MIB = 1 << 20


def _setting(default: Any, says: str, **more: Any) -> Any:
    return field(default=default, metadata={"says": says} | more)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set. Sizes in bytes, times in seconds; ``None`` is "not set"."""

    data: Path = _setting(Path("countenance-data"), "The data folder; made, mode 0700, if it is not there.", kind=Path)
    policy: Path | None = _setting(
        None, "The policy; by default policy.toml in the data folder, else the shipped one.", kind=Path
    )
    certificate: Path | None = _setting(
        None, "The certificate; by default certificate.json in the data folder.", kind=Path
    )
    consents: Path | None = _setting(
        None, "The records of consent; by default consents.csv in the data folder.", kind=Path
    )
    pipeline: str | None = _setting(None, "Which pipeline; by default the best at hand.", kind=str)
    database: str | None = _setting(
        None, "URL of a PostgreSQL database; by default SQLite in the data folder.", kind=str
    )
    search: str = _setting(
        "memory",
        "Where vectors are compared: in memory, or in the database with pgvector.",
        choices=("memory", "database"),
    )
    host: str = _setting("127.0.0.1", "The address to listen on.")
    port: int = _setting(8370, "The port; 0 takes a free one and says which.", low=0, high=65535)
    tls_cert: Path | None = _setting(None, "TLS certificate chain, PEM.", kind=Path)
    tls_key: Path | None = _setting(None, "TLS private key, PEM.", kind=Path)
    insecure_http: bool = _setting(
        False, "Listen without TLS on an address that others can reach: requests are signed but can be read."
    )
    region: str = _setting("us-east-1", "The region in ARNs and signatures.")
    account: str = _setting("000000000000", "The account number in ARNs.")
    s3_endpoint: str | None = _setting(
        None, "URL of an S3-compatible store that S3Object may read from; 'aws' for AWS itself.", kind=str
    )
    s3_region: str | None = _setting(None, "The region of that store.", kind=str)
    s3_profile: str | None = _setting(
        None, "The section of the shared credentials file for it; else boto3's own chain.", kind=str
    )
    metrics_token: str | None = _setting(
        None, "Who sends this as a bearer token may read /metrics; without one nobody may.", kind=str, secret=True
    )
    log_format: str = _setting("text", "Logs as text, or as one JSON object a line.", choices=("text", "json"))
    max_pixels: int = _setting(40_000_000, "Most pixels of a photo.", low=10_000, high=1_000_000_000)
    max_body_bytes: int = _setting(
        14 * _MIB, "Largest request. Two photos of 5 MiB in base64 need 13.4 MiB.", low=4096, high=1024 * _MIB
    )
    max_bytes_in_flight: int = _setting(
        112 * _MIB, "All requests being read or worked on, together.", low=4096, high=1 << 40
    )
    max_connections: int = _setting(512, "Connections served; as many more are throttled.", low=1, high=65536)
    image_workers: int = _setting(
        0, "Requests with photos worked on at once; 0 is two for each core.", low=0, high=1024
    )
    image_waiting: int = _setting(8, "Requests with photos that may wait for a worker.", low=0, high=100_000)
    gallery_workers: int = _setting(8, "Other requests worked on at once.", low=1, high=1024)
    gallery_waiting: int = _setting(64, "Other requests that may wait for a worker.", low=0, high=100_000)
    queue_seconds: float = _setting(3.0, "Longest wait for a worker; then the request is throttled.", low=0.0, high=600)
    header_seconds: float = _setting(10.0, "Longest time for a request's header to arrive.", low=0.1, high=600)
    body_seconds: float = _setting(20.0, "Longest time for a request's body to arrive.", low=0.1, high=3600)
    idle_seconds: float = _setting(75.0, "How long an unused connection stays open.", low=0.1, high=3600)
    work_seconds: float = _setting(55.0, "Longest time to work on a request.", low=0.1, high=3600)
    shutdown_seconds: float = _setting(
        30.0, "How long to finish what was admitted, once told to stop.", low=0.1, high=3600
    )
    upkeep_seconds: float = _setting(
        60.0, "Time between upkeeps: expiry, purges, the ledger's head.", low=0.1, high=3600
    )


@dataclass(frozen=True)
class Setting:
    """One setting as file, environment and flags spell it."""

    name: str
    kind: type
    default: Any
    says: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def flag(self) -> str:
        """As on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """As in the environment."""
        return "COUNTENANCE_" + self.name.upper()

    def value(self, given: Any, where: str) -> Any:
        """A value of the file, checked. Raises InputError naming ``where`` and the mend."""
        refuse = partial(_refuse, where, self.name)
        wanted: dict[type, Any] = {Path: str, float: (int, float)}
        if not isinstance(given, wanted.get(self.kind, self.kind)) or (
            isinstance(given, bool) and self.kind is not bool
        ):
            refuse(f"{given!r} is not {_KINDS[self.kind]}", f"give {_KINDS[self.kind]}")
        if self.kind in (str, Path) and not str(given).strip():
            refuse("is empty", "say something, or leave it out")
        if self.choices and given not in self.choices:
            refuse(f"{given!r} is none of {', '.join(self.choices)}", "give one of them")
        if self.low is not None and self.high is not None and not self.low <= given <= self.high:
            refuse(f"{given} is out of range", f"give {self.low:g} to {self.high:g}")
        return self.kind(given)

    def parsed(self, text: str, where: str) -> Any:
        """The same for a text of the environment."""
        given: Any = text
        try:
            if self.kind is bool:
                given = {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
            elif self.kind in (int, float):
                given = self.kind(text)
        except ValueError:
            pass  # refused below, as the text it is
        return self.value(given, where)


_KINDS = {
    str: "a text",
    Path: "a path",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _made(one: "Field[Any]") -> Setting:
    about: dict[str, Any] = {"kind": type(one.default)} | dict(one.metadata)
    return Setting(name=one.name, default=one.default, **about)


SETTINGS = tuple(map(_made, fields(Settings)))
"""All settings, in order."""
_BY_NAME = {one.name: one for one in SETTINGS}


def read_settings(
    file: Path | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Settings from a TOML file, then from variables ``COUNTENANCE_...``, then from flags (None: not given).

    Raises InputError naming the file and line, the variable or the flag, with the mend.
    """
    values = {} if file is None else _file(file)
    for one in SETTINGS:
        if text := (environment or {}).get(one.variable):
            values[one.name] = one.parsed(text, one.variable)
    for name, given in (flags or {}).items():
        if given is not None:
            one = _BY_NAME[name]
            values[name] = one.value(str(given) if one.kind is Path else given, one.flag)
    return _agree(Settings(**values))


def _file(path: Path) -> dict[str, Any]:
    from countenance.policy.toml import Document

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a settings file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; save it as UTF-8") from None
    try:
        document = Document.read(str(path), text)
    except PolicyError as error:  # its reader is the one of policies
        raise InputError(str(error)) from None
    found = {}
    for name, given in document.values.items():
        where = f"{path}, line {document.line(name)}"
        if name not in _BY_NAME:
            near = difflib.get_close_matches(name, _BY_NAME, n=1)
            _refuse(where, name, "is not a setting", f"did you mean {near[0]}?" if near else "see docs/serve.md")
        found[name] = _BY_NAME[name].value(given, where)
    if "metrics_token" in found and path.stat().st_mode & 0o077:
        raise InputError(f"{path}: holds metrics_token and others can read it; chmod 600 it")
    return found


def _agree(found: Settings) -> Settings:
    """Settings that contradict each other."""
    if (found.tls_cert is None) != (found.tls_key is None):
        raise InputError("tls_cert, tls_key: one without the other; give both, or neither")
    if found.search == "database" and found.database is None:
        raise InputError("search: database needs a PostgreSQL database; give database, or search in memory")
    if found.max_bytes_in_flight < found.max_body_bytes:
        raise InputError("max_bytes_in_flight: is less than max_body_bytes; one request must fit")
    if found.metrics_token is not None and len(found.metrics_token) < 16:
        raise InputError("metrics_token: can be guessed; give at least 16 characters")
    if found.tls_cert is None and not found.insecure_http and not _loopback(found.host):
        raise InputError(
            f"host: {found.host} can be reached by others, and without TLS they can read the photos;"
            " give tls_cert and tls_key, listen on 127.0.0.1 behind a proxy that does, or insist with insecure_http"
        )
    return found


def _loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse(where: str, name: str, fault: str, mend: str) -> None:
    raise InputError(f"{where}: {name}: {fault}; {mend}")

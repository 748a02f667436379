"""Weights that are in no package, fetched on an explicit command: pinned, resumable, never half there."""

import contextlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from countenance.errors import ModelError, UnavailableError
from countenance.faces.cards import ModelCard, known_cards
from countenance.faces.models import Model, add_model, home, list_models, sha256_of
from countenance.faces.runtime import MAX_MODEL_BYTES

__all__ = ["fetch_model"]

#: Called with the bytes that are here and the bytes expected (those here, where that is not known).
Progress = Callable[[int, int], None]

_BLOCK = 1 << 18
_TIMEOUT = 30.0


def fetch_model(name: str, url: str | None = None, progress: Progress | None = None) -> Model:
    """Fetch a published model, and add it once its sha256 is the known one.

    What has come is kept beside the models as ``NAME.partial``; the next call goes on from there, where the
    server supports ranges, and starts again where it does not.

    Args:
        name: of a known model (`known_cards`).
        url: fetch from here instead of the card's place; the sha256 must still be the known one.
        progress: told now and then how far it is.

    Returns:
        The model, at hand. One that was at hand already is not fetched again.

    Raises:
        ModelError: no such model, no place to fetch it from, or what came is not it (and was removed).
        UnavailableError: the network or the server is not there, or another process is fetching it.
    """
    card = _card(name)
    for model in list_models():
        if model.card.name == name and model.path is not None and sha256_of(model.path) == model.card.sha256:
            return model
    address = url or card.url
    if address is None:
        raise ModelError(
            f"{name}: has no address to fetch it from: get it from {card.source}, then: countenance models add FILE"
        )
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise ModelError(f"{address}: must begin with https:// or http://")
    partial = home() / "models" / f"{name}.partial"
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(partial, name) as file:
            _download(address, file, card, progress or (lambda _here, _whole: None))
    except OSError as error:
        raise UnavailableError(
            f"{partial}: cannot be written ({error.strerror or error}): mend it, or set COUNTENANCE_HOME"
        ) from error
    if (digest := sha256_of(partial)) != card.sha256:
        partial.unlink(missing_ok=True)
        raise ModelError(
            f"{address}: gave a file of sha256 {digest}, but {name} has {card.sha256}: removed; try another --url"
        )
    try:
        return add_model(partial, card)
    finally:
        partial.unlink(missing_ok=True)


def _card(name: str) -> ModelCard:
    for card in known_cards():
        if card.name == name:
            return card
    known = ", ".join(c.name for c in known_cards() if c.url)
    raise ModelError(f"no model named {name!r} is known: there are {known}")


@contextlib.contextmanager
def _only_one(partial: Path, name: str) -> Iterator[IO[bytes]]:
    """Open the partial file, locked where the platform can, so that two fetches do not mix."""
    with open(partial, "ab") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except BlockingIOError as error:
            raise UnavailableError(f"{name}: another process is fetching it: wait for it to end") from error
        yield file


def _download(address: str, file: IO[bytes], card: ModelCard, progress: Progress) -> None:
    """Bring the rest of the file; ``file`` is open for appending and keeps what came, whatever happens."""
    here = file.seek(0, os.SEEK_END)
    limit = card.bytes or MAX_MODEL_BYTES
    if here > limit or (here and here == card.bytes and sha256_of(Path(file.name)) != card.sha256):
        here = file.truncate(0)
    if here and here == card.bytes:
        return
    with _answer(address, here) as answer:
        if here and not _continues(answer, here):
            here = file.truncate(0)
        length = answer.headers.get("Content-Length", "")
        whole = here + int(length) if length.isdecimal() else card.bytes or 0
        progress(here, max(here, whole))
        while block := _block(answer, address, here):
            here += len(block)
            if here > limit:
                file.truncate(0)
                raise ModelError(f"{address}: sends more than the {limit} bytes of {card.name}: removed")
            file.write(block)
            progress(here, max(here, whole))
    file.flush()
    os.fsync(file.fileno())
    if here < whole:
        raise _broken(address, here, "it ended early")


def _block(answer: Any, address: str, here: int) -> bytes:
    """Read on."""
    try:
        return bytes(answer.read(_BLOCK))
    except (http.client.HTTPException, OSError) as error:
        raise _broken(address, here, type(error).__name__) from error


def _broken(address: str, here: int, reason: str) -> UnavailableError:
    return UnavailableError(f"{address}: the connection broke after {here} bytes ({reason}): run it again to go on")


def _answer(address: str, here: int) -> Any:
    """Ask for the file from byte ``here`` on."""
    headers = {"User-Agent": "countenance", "Accept-Encoding": "identity"}
    if here:
        headers["Range"] = f"bytes={here}-"
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - the scheme was checked
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416 and here:
            error.close()
            return _answer(address, 0)
        raise UnavailableError(
            f"{address}: the server answers {error.code} {error.reason}: try another --url"
        ) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise UnavailableError(
            f"{address}: cannot be reached ({reason}): connect, or bring the file and: countenance models add FILE"
        ) from error
    except ValueError as error:
        raise ModelError(f"{address}: not an address ({error})") from error


def _continues(answer: Any, here: int) -> bool:
    """Whether the server goes on where we asked it to."""
    return answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {here}-")

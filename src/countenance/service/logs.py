"""What the server writes to standard error: one line for each request and event, as text or JSON.

Ids, operations, codes, rules, times and sizes; never a photo, a face, a name, an external id or what a collection
holds. Of an error of ours there are the type and the lines of code it passed, not its message: it could quote a
request.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

__all__ = ["fault", "say", "set_up"]

_LOGGER = logging.getLogger("countenance.service")


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        head = {"time": _when(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(head | getattr(record, "said", {}), ensure_ascii=True, separators=(",", ":"))


class _Text(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; frames of an error below it."""
        said = dict(getattr(record, "said", {}))
        frames = said.pop("at", [])
        pairs = " ".join(f"{name}={_word(value)}" for name, value in said.items())
        line = f"{_when(record)} {record.levelname.lower()} {record.getMessage()} {pairs}".rstrip()
        return "\n".join([line, *(f"    {frame}" for frame in frames)])


def set_up(form: str) -> None:
    """Write ``text`` or ``json`` lines to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.propagate = False
    _LOGGER.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it would log what clients send; ours says what matters


def say(event: str, level: int = logging.INFO, **said: Any) -> None:
    """Log one event; members that are None are left out."""
    _LOGGER.log(level, event, extra={"said": {name: value for name, value in said.items() if value is not None}})


def fault(event: str, error: BaseException, **said: Any) -> None:
    """Log an error of ours: its type, those it came from, and where in the code; never its message."""
    chain: list[str] = []
    one: BaseException | None = error
    while one is not None and len(chain) < 5:
        chain.append(f"{type(one).__module__}.{type(one).__qualname__}")
        one = one.__cause__ or one.__context__
    frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-20:]]
    say(event, logging.ERROR, **said, error=" from ".join(chain), at=frames)


def _when(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _word(value: Any) -> str:
    text = str(value)
    return json.dumps(text) if not text or not text.isprintable() or " " in text else text

"""Files that are written whole or not at all: nobody ever reads half of one, also after a crash."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["whole_file", "write_whole"]


@contextmanager
def whole_file(target: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file to write; when the block is left it takes ``target``'s place, and after an exception nothing has changed.

    ``mode`` are its permissions; by default those of any new file. Raises OSError.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o666 & ~_umask() if mode is None else mode)
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write_whole(target: Path, data: bytes | str, mode: int | None = None) -> None:
    """Write all of ``data`` (text as UTF-8) in place of what ``target`` holds. Raises OSError."""
    with whole_file(target, mode) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def _umask() -> int:
    """Of the process. It can only be read by setting it, and other threads may make files meanwhile: ask the system."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except OSError:
        pass
    mask = os.umask(0o077)
    os.umask(mask)
    return mask

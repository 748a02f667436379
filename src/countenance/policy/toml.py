"""TOML read strictly: every key known, every value of its type, and every fault with the line it stands on.

The standard library's reader keeps no positions. A statement of TOML ends with its line, so the first line of a key is
found by reading ever longer beginnings of the file: the first beginning that reads and holds the key ends with it, and
the one before that read ends just above it. This costs time only when something is wrong, needs no second parser that
could disagree with the first, and is exact for every spelling TOML allows. (A library that keeps the text, such as
tomlkit, has no line numbers in its public interface either.)
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from countenance.errors import PolicyError

__all__ = ["Document", "Section"]

Path = tuple[str, ...]
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True)
class Document:
    """A file's name, its text, and what it says."""

    name: str
    text: str
    values: dict[str, Any]

    @classmethod
    def read(cls, name: str, text: str) -> "Document":
        """Parse. Raises PolicyError with the line of what is not TOML."""
        try:
            return cls(name, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            found = _AT.search(str(error))
            line = int(found[1]) if found and found[1] else text.count("\n") + 1
            what = _AT.sub("", str(error))
            raise PolicyError(f"{name}, line {line}: this is not TOML ({what}); mend the line") from None

    def line(self, *path: str) -> int:
        """The line, from 1, on which the statement that sets ``path`` begins; of its table, where it is not set."""
        while path and not _holds(self.values, path):
            path = path[:-1]
        lines, above = self.text.splitlines(keepends=True), 0
        for end in range(1, len(lines) + 1):
            try:
                begun = tomllib.loads("".join(lines[:end]))
            except tomllib.TOMLDecodeError:
                continue
            if path and _holds(begun, path):
                return above + 1
            above = end
        return 1

    def refuse(self, path: Path, fault: str, mend: str) -> NoReturn:
        """Raise PolicyError with the file, the line, the key, the fault and the mend."""
        where = ".".join(path)
        raise PolicyError(f"{self.name}, line {self.line(*path)}: {where}: {fault}; {mend}")


def _holds(values: Any, path: Path) -> bool:
    for step in path:
        if not (isinstance(values, dict) and step in values):
            return False
        values = values[step]
    return True


@dataclass
class Section:
    """One table of a document, read key by key; `done` refuses what nobody asked for."""

    document: Document
    path: Path = ()
    _known: list[str] = field(default_factory=list)

    @property
    def values(self) -> dict[str, Any]:
        """The table itself."""
        found: Any = self.document.values
        for step in self.path:
            found = found[step]
        return dict(found)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def refuse(self, key: str, fault: str, mend: str) -> NoReturn:
        """Raise PolicyError about one key of this table."""
        self.document.refuse((*self.path, key), fault, mend)

    def text(self, key: str, choices: Collection[str] | None = None) -> str:
        """A text that is not empty, one of ``choices`` where those are given."""
        value = self._get(key, str, 'a text in "quotes"')
        if not value.strip():
            self.refuse(key, "is empty", "say something")
        if choices is not None and value not in choices:
            self.refuse(key, f"{value!r} is none of {_listed(choices)}", _hint(value, choices))
        return str(value)

    def whole(self, key: str, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self._get(key, int, "a whole number")
        if not low <= value <= high:
            self.refuse(key, f"{value} is out of range", f"give one from {low} to {high}")
        return int(value)

    def share(self, key: str) -> float:
        """A number above 0 and at most 1."""
        value = self._get(key, (int, float), "a number")
        if not 0 < value <= 1:
            self.refuse(key, f"{value} is out of range", "give a number above 0 and at most 1")
        return float(value)

    def flag(self, key: str) -> bool:
        """true or false."""
        return bool(self._get(key, bool, "true or false"))

    def texts(self, key: str, choices: Collection[str] | None = None) -> tuple[str, ...]:
        """A list of texts, none twice, each one of ``choices`` where those are given."""
        value = self._get(key, list, 'a list of texts, ["like", "this"]')
        for one in value:
            if not isinstance(one, str) or not one.strip():
                self.refuse(key, f"{one!r} is not a text", 'give a list of texts, ["like", "this"]')
            if choices is not None and one not in choices:
                self.refuse(key, f"{one!r} is none of {_listed(choices)}", _hint(one, choices))
            if value.count(one) > 1:
                self.refuse(key, f"{one!r} stands there twice", "name it once")
        return tuple(value)

    def section(self, key: str) -> "Section":
        """A table within this one."""
        self._get(key, dict, f"a table, [{'.'.join((*self.path, key))}]")
        return Section(self.document, (*self.path, key))

    def sections(self) -> Iterator[tuple[str, "Section"]]:
        """Every table within this one, by its name."""
        for key in self.values:
            yield key, self.section(key)

    def done(self) -> None:
        """Refuse a key that was not asked for."""
        for key in self.values:
            if key not in self._known:
                self.refuse(key, "is not a key that is known here", _hint(key, self._known))

    def _get(self, key: str, kind: type | tuple[type, ...], wanted: str) -> Any:
        self._known.append(key)
        if key not in self.values:
            self.refuse(key, "is missing", f"write {key} = {wanted}")
        value = self.values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(key, f"{_shown(value)} is not {wanted.partition(',')[0]}", f"give {wanted}")
        return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _listed(choices: Collection[str]) -> str:
    return ", ".join(sorted(choices)) or "those declared (there are none)"


def _hint(value: str, choices: Collection[str]) -> str:
    near = difflib.get_close_matches(value, choices, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {_listed(choices)}"

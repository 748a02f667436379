"""Where the law already bans face recognition: a table to read, and rules that a policy can switch on.

The places are those the ACLU named in May 2021; each entry says what held then, and later changes only where they are
known with their date. The table is ``data/law.toml``; it is no legal advice.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["ACTORS", "ANY", "Ban", "LawEntry", "law_table"]

ACTORS = ("police", "government", "school", "company", "private")
"""Classes of actor, as an API key carries one: what the transparency report counts by, and what bans speak of."""
ANY = "any"


@dataclass(frozen=True)
class Ban:
    """Uses by these classes of actor for these purposes; ``any`` among them stands for all."""

    actors: frozenset[str]
    purposes: frozenset[str]

    def covers(self, actor: str, purpose: str) -> bool:
        """Whether a use falls under it."""
        return bool(self.actors & {ANY, actor}) and bool(self.purposes & {ANY, purpose})


@dataclass(frozen=True)
class LawEntry:
    """One place: what its law covers, since which year, as of when this was so, and what changed later.

    ``checked`` says when this was looked up, and in what.
    """

    id: str
    place: str
    covers: str
    since: int
    as_of: str
    source: str
    bans: tuple[Ban, ...]
    later: str | None = None
    checked: str | None = None

    def refuses(self, actor: str, purpose: str) -> bool:
        """Whether this law, switched on, refuses a use."""
        return any(ban.covers(actor, purpose) for ban in self.bans)

    @property
    def refused_to_all(self) -> frozenset[str]:
        """Purposes that it refuses whoever asks."""
        return frozenset().union(*(ban.purposes for ban in self.bans if ANY in ban.actors)) - {ANY}


@cache
def law_table() -> dict[str, LawEntry]:
    """All entries by id, in the order of the file."""
    table = tomllib.loads((files("countenance.policy") / "data" / "law.toml").read_text(encoding="utf-8"))
    return {row["id"]: _entry(row, table["as_of"], table["source"]) for row in table["entries"]}


def _entry(row: dict[str, Any], as_of: str, source: str) -> LawEntry:
    bans = tuple(Ban(frozenset(ban["actors"]), frozenset(ban["purposes"])) for ban in row["bans"])
    return LawEntry(**{**row, "bans": bans, "as_of": as_of, "source": source})

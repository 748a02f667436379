"""The keys of one log, each vouched for by the one before it.

A key is replaced by a record of kind ``key`` whose ``detail`` names the old key and the new one, and by a head over
everything up to that record which both have signed: the old key vouches for the new one, and the new one shows that
somebody holds it. From there on only the new key signs. Whoever kept any key of the chain can check the whole log.
"""

from collections.abc import Mapping, Sequence

from countenance.errors import LedgerError
from countenance.ledger.entries import Kind, Record
from countenance.ledger.heads import TreeHead, VerifyingKey

__all__ = ["KeyChain", "opened_by_any", "replacement", "successor"]

_OLD, _NEW = "ledger_key_old", "ledger_key_new"


def replacement(old: VerifyingKey, new: VerifyingKey) -> Mapping[str, str]:
    """The ``detail`` of the record that replaces a key."""
    return {_OLD: str(old), _NEW: str(new)}


def successor(record: Record) -> tuple[VerifyingKey, VerifyingKey] | None:
    """The old and the new key, if this record replaces one; else None. Raises LedgerError for half of it."""
    detail = record.entry.detail
    if record.entry.kind is not Kind.KEY or not {_OLD, _NEW} & detail.keys():
        return None
    if not {_OLD, _NEW} <= detail.keys():
        raise LedgerError(f"record {record.index}: a key is replaced, and one of the two is not named")
    return VerifyingKey.parse(detail[_OLD]), VerifyingKey.parse(detail[_NEW])


class KeyChain:
    """The keys met so far while a log is read from its first record on; ``keys`` ends in the one in force."""

    def __init__(self, first: VerifyingKey) -> None:
        self.keys: list[VerifyingKey] = [first]
        self._next: VerifyingKey | None = None

    @property
    def handing_over(self) -> bool:
        """Whether a key was named whose head, signed by both, has to come now."""
        return self._next is not None

    def see(self, record: Record) -> None:
        """Take a record in. Raises LedgerError when it replaces a key other than the one in force."""
        found = successor(record)
        if found is None:
            return
        old, new = found
        if old != self.keys[-1] or new.name != old.name or new in self.keys:
            raise LedgerError(f"record {record.index}: replaces a key that is not in force; the log was altered")
        self._next = new

    def open(self, note: str) -> TreeHead:
        """The head in a note of this place in the log; after a replacement it must be signed by both keys."""
        head = self.keys[-1].open(note)
        if self._next is not None:
            self._next.open(note)
            self.keys.append(self._next)
            self._next = None
        return head

    def opens(self, note: str) -> TreeHead:
        """The same for a head that somebody kept: at a replacement, one of the two signatures is enough."""
        return opened_by_any([self.keys[-1], *([self._next] if self._next else [])], note)


def opened_by_any(keys: Sequence[VerifyingKey], note: str) -> TreeHead:
    """The head in a note that one of these keys signed. Raises LedgerError otherwise."""
    for key in keys[:-1]:
        try:
            return key.open(note)
        except LedgerError:
            continue
    return keys[-1].open(note)

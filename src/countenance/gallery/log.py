"""The ledger as a gallery keeps it: written in the gallery's transactions, read and proved from its tables."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime

from countenance.errors import LedgerError
from countenance.gallery.store import Store, marks
from countenance.gallery.values import Occasion
from countenance.gallery.writer import Change, Writer, node
from countenance.ledger import (
    Checked,
    Entry,
    Included,
    Kind,
    Record,
    SigningKey,
    TreeHead,
    VerifyingKey,
    check_export,
    consistency_proof,
    consistency_text,
    export_lines,
    head_of,
    inclusion_proof,
    inclusion_text,
    replacement,
    root_at,
    successor,
)

__all__ = ["Ledger", "entry_of"]

_PAGE = 1000
# A restore replays erasures; a check needs to know what is gone and which keys signed; and under which policy and
# certificate a server ran stays on record for good.
_KEPT = tuple(map(str, (Kind.ERASURE, Kind.RETENTION, Kind.POLICY, Kind.CERTIFICATE, Kind.KEY)))
_KEY_IN_FORCE = "ledger-key"


def entry_of(kind: Kind, occasion: Occasion, **more: object) -> Entry:
    """The entry for something done on this occasion, ended now."""
    ended = datetime.now(UTC)
    return Entry(
        kind=kind,
        actor=occasion.actor,
        operation=occasion.operation,
        started=occasion.started or ended,
        ended=ended,
        purpose=occasion.purpose,
        basis=occasion.basis,
        policy=occasion.policy,
        rule=occasion.rule,
        certificate=occasion.certificate,
        **more,  # type: ignore[arg-type]
    )


class Ledger:
    """``gallery.ledger``. Numbers count from 0; a size is a number of records."""

    def __init__(self, store: Store, writer: Writer, key: SigningKey) -> None:
        self._store, self._writer, self._key = store, writer, key

    @property
    def key(self) -> VerifyingKey:
        """The public key that its heads are checked with: publish it."""
        return self._key.verifying

    @property
    def size(self) -> int:
        """How many records there are."""
        with self._store.read() as tx:
            ((size,),) = tx.rows("SELECT COALESCE(MAX(idx) + 1, 0) FROM log")
        return int(size)

    def record(self, entry: Entry) -> int:
        """Append an entry that no change of the gallery writes: a refusal, a comparison, a policy. Its number."""
        return self._writer.do(lambda change: change.record(entry))

    def refuse(self, occasion: Occasion, reason: str, gallery: str | None = None) -> int:
        """Append a refusal; its number."""
        return self.record(entry_of(Kind.REFUSAL, occasion, reason=reason, gallery=gallery))

    def follow(self, kind: Kind, make: Callable[[Record | None], Entry | None]) -> int | None:
        """Append what ``make`` answers to the newest record of a kind (None: there is none), in one transaction.

        The number of the entry, or None when ``make`` gives none. What ``make`` raises comes out, and undoes it.
        """

        def step(change: Change) -> int | None:
            entry = make(_newest(change, kind))
            return None if entry is None else change.record(entry)

        return self._writer.do(step)

    def head(self) -> str:
        """Sign the log as it is now, and keep the head. Give it to people who keep it elsewhere.

        Raises LedgerError when the key has been replaced meanwhile.
        """

        def sign(change: Change) -> str:
            self._in_force(change)
            found = change.tx.rows("SELECT note FROM heads WHERE size = ?", (change.edge.size,))
            if found:
                return str(found[0][0])
            head = TreeHead(self._key.name, change.edge.size, change.edge.root, datetime.now(UTC))
            note = self._key.sign(head)
            change.tx.run("INSERT INTO heads (size, note) VALUES (?, ?)", (head.size, note))
            return note

        return self._writer.do(sign)

    def heads(self) -> tuple[str, ...]:
        """All heads that were signed, in the order of their sizes."""
        with self._store.read() as tx:
            return tuple(note for (note,) in tx.rows("SELECT note FROM heads ORDER BY size"))

    def records(
        self, start: int = 0, stop: int | None = None, kinds: Collection[Kind] | None = None
    ) -> Iterator[Record]:
        """Records from ``start`` to before ``stop``, of these kinds, oldest first; erased ones are passed over."""
        chosen = [str(kind) for kind in kinds or Kind]
        stop = self.size if stop is None else stop
        while start < stop:
            with self._store.read() as tx:
                rows = tx.rows(
                    f"SELECT idx, body FROM log WHERE idx >= ? AND idx < ? AND kind IN ({marks(chosen)})"  # noqa: S608
                    " AND body IS NOT NULL ORDER BY idx LIMIT ?",
                    (start, stop, *chosen, _PAGE),
                )
            yield from (Record.decode(bytes(body)) for _, body in rows)
            if len(rows) < _PAGE:
                return
            start = rows[-1][0] + 1

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The proof that record ``index`` is in the log of ``size`` records (now). Raises LedgerError."""
        size = self._known(size)
        with self._store.read() as tx:
            return inclusion_proof(index, size, lambda level, position: node(tx, level, position))

    def consistency(self, first: int, second: int | None = None) -> list[bytes]:
        """The proof that the log of ``second`` records (now) only adds to that of ``first``. Raises LedgerError."""
        second = self._known(second)
        with self._store.read() as tx:
            return consistency_proof(first, second, lambda level, position: node(tx, level, position))

    def root(self, size: int | None = None) -> bytes:
        """The root over the first ``size`` records (all). Raises LedgerError."""
        size = self._known(size)
        with self._store.read() as tx:
            return root_at(size, lambda level, position: node(tx, level, position))

    def hand_over(self, new: SigningKey, occasion: Occasion) -> str:
        """Replace the signing key: a record names both, and a head over it, signed by both, says so. That head.

        From now on ``new`` signs. Raises LedgerError for a key of another name. See ``gallery.signing.replace_key``,
        which keeps the files in step.
        """

        def step(change: Change) -> str:
            self._in_force(change)
            change.record(entry_of(Kind.KEY, occasion, detail=replacement(self.key, new.verifying)))
            head = TreeHead(self._key.name, change.edge.size, change.edge.root, datetime.now(UTC))
            note = new.cosign(self._key.sign(head))
            change.tx.run("INSERT INTO heads (size, note) VALUES (?, ?)", (head.size, note))
            change.tx.run("DELETE FROM meta WHERE name = ?", (_KEY_IN_FORCE,))
            change.tx.run("INSERT INTO meta (name, value) VALUES (?, ?)", (_KEY_IN_FORCE, str(new.verifying)))
            return note

        note = self._writer.do(step)
        self._key = new
        return note

    def _in_force(self, change: Change) -> None:
        found = change.tx.rows("SELECT value FROM meta WHERE name = ?", (_KEY_IN_FORCE,))
        if found and found[0][0] != str(self.key):
            raise LedgerError("the ledger's key was replaced meanwhile; restart this program: it reads the new one")

    def replacements(self) -> Iterator[Record]:
        """The records in which the signing key was replaced, oldest first."""
        return (record for record in self.records(kinds=[Kind.KEY]) if successor(record))

    def first_key(self) -> VerifyingKey:
        """The key that the log began with."""
        for record in self.replacements():
            found = successor(record)
            if found is not None:
                return found[0]
        return self.key

    def export(self) -> Iterator[str]:
        """The lines of an export, up to a head signed now; see ``countenance.ledger.check_export``."""
        self.head()
        notes = self.heads()
        size = head_of(notes[-1]).size
        return export_lines(self.first_key(), self._bodies(size), self._leaves(size), notes)

    def check(
        self,
        key: VerifyingKey | None = None,
        kept: Sequence[str] = (),
        seen: Callable[[Record], None] | None = None,
    ) -> Checked:
        """Check the log where it lies, as ``check_export`` does, and its stored tree against its records.

        Signs nothing: records behind the last head are counted as unsigned. Raises LedgerError.
        """
        notes = self.heads()
        size = self.size
        lines = export_lines(self.first_key(), self._bodies(size), self._leaves(size), notes)
        found = check_export(lines, key, kept, seen=seen, open_ended=True)
        if found.key != self.key:
            raise LedgerError(f"the log ends under the key {found.key}, and the key file holds {self.key}")
        if self.root(size) != found.root:
            raise LedgerError("the stored tree is not that of the records; a record was altered, restore a backup")
        return found

    def prove(self, index: int) -> str:
        """A file that proves that record ``index`` is in the log, under a head signed now. Raises LedgerError."""
        note = self.head()
        return inclusion_text(self.first_key(), self._handed_over(head_of(note).size), self._included(index, note))

    def prove_growth(self, first: int, second: int | None = None) -> str:
        """A file that proves that the log of ``second`` records (now) only adds to that of ``first``.

        Raises LedgerError, also where no head was ever signed over ``second`` records.
        """
        note = self.head() if second is None else self._head_over(second)
        size = head_of(note).size
        path = self.consistency(first, size)
        return consistency_text(self.first_key(), self._handed_over(size), (first, self.root(first)), note, path)

    def _handed_over(self, size: int) -> list[Included]:
        records = [record for record in self.replacements() if record.index < size]
        return [self._included(record.index, self._head_over(record.index + 1)) for record in records]

    def _included(self, index: int, note: str) -> Included:
        path = self.inclusion(index, head_of(note).size)
        body, leaf = next(self._bodies(index + 1, index)), next(self._leaves(index + 1, index))
        return Included(index, body, leaf, path, note)

    def _head_over(self, size: int) -> str:
        with self._store.read() as tx:
            found = tx.rows("SELECT note FROM heads WHERE size = ?", (size,))
            nearest = tx.rows("SELECT size FROM heads ORDER BY ABS(size - ?) LIMIT 1", (size,))
        if not found:
            if size == self.size:
                return self.head()
            known = f"the nearest has {nearest[0][0]}" if nearest else "none was signed yet"
            raise LedgerError(f"size: no head was signed over {size} records; {known}")
        return str(found[0][0])

    def erase_bodies(self, before: datetime, occasion: Occasion) -> int:
        """Retention: erase what records that ended before ``before`` said; how many. Leaf hashes and proofs stay.

        Kept are records of erasures and of retention itself, which restoring a backup and checking need, and those of
        policies, certificates and keys. They name no one.
        """

        def erase(change: Change) -> int:
            where = f"ended < ? AND body IS NOT NULL AND kind NOT IN ({marks(_KEPT)})"
            values = (before.timestamp(), *_KEPT)
            ((count, first, last),) = change.tx.rows(
                f"SELECT COUNT(*), MIN(idx), MAX(idx) FROM log WHERE {where}",  # noqa: S608
                values,
            )
            if count:
                change.tx.run(f"UPDATE log SET body = NULL WHERE {where}", values)  # noqa: S608
                detail = {"first": str(first), "last": str(last), "count": str(count)}
                change.record(entry_of(Kind.RETENTION, occasion, detail=detail))
                change.deleted = True
            return int(count)

        return self._writer.do(erase)

    def _known(self, size: int | None) -> int:
        now = self.size
        if size is None:
            return now
        if not 0 <= size <= now:
            raise LedgerError(f"size: the log has {now} records, not {size}; give one from 0 to {now}")
        return size

    def _bodies(self, size: int, begin: int = 0) -> Iterator[bytes | None]:
        for start in range(begin, size, _PAGE):
            with self._store.read() as tx:
                stop = min(start + _PAGE, size)
                rows = tx.rows("SELECT idx, body FROM log WHERE idx >= ? AND idx < ? ORDER BY idx", (start, stop))
            bodies = dict(rows)
            for index in range(start, stop):
                if index not in bodies:
                    raise LedgerError(f"record {index} is missing from the store; restore it from a backup")
                yield None if bodies[index] is None else bytes(bodies[index])

    def _leaves(self, size: int, begin: int = 0) -> Iterator[bytes]:
        sql = "SELECT hash FROM tree WHERE level = 0 AND position >= ? AND position < ? ORDER BY position"
        for start in range(begin, size, _PAGE):
            with self._store.read() as tx:
                rows = tx.rows(sql, (start, min(start + _PAGE, size)))
            yield from (bytes(leaf) for (leaf,) in rows)


def _newest(change: Change, kind: Kind) -> Record | None:
    sql = "SELECT body FROM log WHERE kind = ? AND body IS NOT NULL ORDER BY idx DESC LIMIT 1"
    found = change.tx.rows(sql, (str(kind),))
    return Record.decode(bytes(found[0][0])) if found else None

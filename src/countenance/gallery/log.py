"""The ledger as a gallery keeps it: written in the gallery's transactions, read and proved from its tables."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from countenance.errors import LedgerError
from countenance.gallery.store import Store, marks
from countenance.gallery.values import Occasion
from countenance.gallery.writer import Change, Writer, node
from countenance.ledger import (
    Entry,
    Kind,
    Record,
    SigningKey,
    TreeHead,
    VerifyingKey,
    consistency_proof,
    export_lines,
    inclusion_proof,
    root_at,
)

__all__ = ["Ledger", "entry_of"]

_PAGE = 1000
_KEPT = (str(Kind.ERASURE), str(Kind.RETENTION))  # a restore replays erasures, and a check needs to know what is gone


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

    def head(self) -> str:
        """Sign the log as it is now, and keep the head. Give it to people who keep it elsewhere."""

        def sign(change: Change) -> str:
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

    def export(self) -> Iterator[str]:
        """The lines of an export, up to a head signed now; see ``countenance.ledger.check_export``."""
        self.head()
        notes = self.heads()
        size = self._key.verifying.open(notes[-1]).size
        return export_lines(self.key, self._bodies(size), self._leaves(size), notes)

    def erase_bodies(self, before: datetime, occasion: Occasion) -> int:
        """Retention: erase what records that ended before ``before`` said; how many. Leaf hashes and proofs stay.

        Records of erasures and of retention itself are kept: restoring a backup needs them, and they name no one.
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

    def _bodies(self, size: int) -> Iterator[bytes | None]:
        for start in range(0, size, _PAGE):
            with self._store.read() as tx:
                stop = min(start + _PAGE, size)
                rows = tx.rows("SELECT idx, body FROM log WHERE idx >= ? AND idx < ? ORDER BY idx", (start, stop))
            bodies = dict(rows)
            for index in range(start, stop):
                if index not in bodies:
                    raise LedgerError(f"record {index} is missing from the store; restore it from a backup")
                yield None if bodies[index] is None else bytes(bodies[index])

    def _leaves(self, size: int) -> Iterator[bytes]:
        sql = "SELECT hash FROM tree WHERE level = 0 AND position >= ? AND position < ? ORDER BY position"
        for start in range(0, size, _PAGE):
            with self._store.read() as tx:
                rows = tx.rows(sql, (start, min(start + _PAGE, size)))
            yield from (bytes(leaf) for (leaf,) in rows)

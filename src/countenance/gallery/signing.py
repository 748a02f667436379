"""The ledger's signing key on the disk, in step with the log: which file is in force, and how it is replaced.

ledger.key          the key in force
ledger.key.next     the next one, while it takes over; a crash between is finished when the gallery is next opened
ledger.key.<id>     a key that was replaced: delete it once no backup from its time is needed
"""

from pathlib import Path

from countenance.errors import LedgerError
from countenance.gallery.log import Ledger
from countenance.gallery.store import Store
from countenance.gallery.values import Occasion
from countenance.ledger import SigningKey, VerifyingKey

__all__ = ["open_key", "replace_key"]

_FILE = "ledger.key"


def open_key(folder: Path, store: Store) -> SigningKey:
    """The key of the log in ``store``, made with a new one. Raises LedgerError when the folder has another or none."""
    path, following = folder / _FILE, folder / f"{_FILE}.next"
    with store.read() as tx:
        found = tx.rows("SELECT value FROM meta WHERE name = 'ledger-key'")
    current = str(found[0][0]) if found else None
    if not path.exists():
        if current is not None:
            raise LedgerError(f"{path}: the key of this ledger ({current}) is missing; bring it back from a copy")
        SigningKey.generate().save(path)
    key = SigningKey.load(path)
    if current is None:
        with store.write() as tx:
            tx.run(
                "INSERT INTO meta (name, value) VALUES ('ledger-key', ?) ON CONFLICT (name) DO NOTHING",
                (str(key.verifying),),
            )
        return key
    if str(key.verifying) == current:
        return key
    if following.exists() and str(SigningKey.load(following).verifying) == current:
        _take_over(folder, key)
        return SigningKey.load(path)
    kept = folder / f"{_FILE}.{VerifyingKey.parse(current).key_id.hex()}"
    raise LedgerError(f"{path}: is not the key of this ledger, {current}; put that key there (it may lie in {kept})")


def replace_key(folder: Path, ledger: Ledger, occasion: Occasion) -> str:
    """Make a new signing key, have the old one vouch for it, and put it in its place; the head that both signed.

    A program that has the gallery open meanwhile goes on writing, and signs no head until it is restarted.
    """
    new, following = SigningKey.generate(ledger.key.name), folder / f"{_FILE}.next"
    old = SigningKey.load(folder / _FILE)
    if old.verifying != ledger.key:
        raise LedgerError(f"{folder / _FILE}: is not the key of this ledger, {ledger.key}; put that key there")
    following.unlink(missing_ok=True)  # of an attempt that ended before the log knew of it
    new.save(following)
    note = ledger.hand_over(new, occasion)
    _take_over(folder, old)
    return note


def _take_over(folder: Path, old: SigningKey) -> None:
    kept = folder / f"{_FILE}.{old.verifying.key_id.hex()}"
    if not kept.exists():
        old.save(kept)
    (folder / f"{_FILE}.next").replace(folder / _FILE)

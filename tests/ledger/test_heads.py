import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

import ledger.independent as rfc
from countenance.errors import LedgerError
from countenance.ledger import SigningKey, TreeHead, VerifyingKey

NOW = datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=UTC)
# The key and the note in the documentation of Go's golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="


def head(key: SigningKey, size: int = 3) -> TreeHead:
    return TreeHead(key.name, size, bytes(range(32)), NOW)


def test_keys_and_signatures_are_those_of_gos_note() -> None:
    key = VerifyingKey.parse(GO_KEY)
    assert str(key) == GO_KEY
    raw = base64.b64decode(GO_SIGNATURE)
    assert raw[:4] == key.key_id
    assert rfc.ed25519_verify(key.public, GO_TEXT, raw[4:])
    assert key._signed(f"— PeterNeumann {GO_SIGNATURE}", GO_TEXT)
    assert not key._signed(f"— PeterNeumann {GO_SIGNATURE}", GO_TEXT + b"\n")


def test_a_head_comes_back_as_it_was_signed() -> None:
    key = SigningKey.generate()
    note = key.sign(head(key))
    assert key.verifying.open(note) == head(key)
    assert rfc.open_note(str(key.verifying), note) == (3, bytes(range(32)))


def test_a_witness_may_add_a_signature() -> None:
    key, witness = SigningKey.generate(), SigningKey.generate("witness.example/w1")
    note = key.sign(head(key))
    raw = base64.b64encode(b"abcd" + bytes(64)).decode()
    assert key.verifying.open(note + f"— {witness.name} {raw}\n") == head(key)


def test_every_changed_byte_of_a_head_is_noticed() -> None:
    key = SigningKey.generate("log")
    data = key.sign(head(key)).encode()
    for place in range(len(data)):
        bent = bytearray(data)
        bent[place] ^= 1
        try:
            note = bent.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(LedgerError):
            key.verifying.open(note)


def test_another_log_or_key() -> None:
    key, other = SigningKey.generate("a"), SigningKey.generate("b")
    with pytest.raises(LedgerError, match="of the log a, not of b"):
        other.verifying.open(key.sign(head(key)))
    with pytest.raises(LedgerError, match="not signed by"):
        SigningKey.generate("a").verifying.open(key.sign(head(key)))
    with pytest.raises(LedgerError, match="this key signs b"):
        other.sign(head(key))


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    key = SigningKey.generate()
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path) == key
    with pytest.raises(LedgerError, match="a key already"):
        key.save(path)
    path.chmod(0o640)
    with pytest.raises(LedgerError, match="chmod 600"):
        SigningKey.load(path)
    path.chmod(0o600)
    line = path.read_text()
    path.write_text(line[:-10] + ("A" if line[-10] != "A" else "B") + line[-9:])
    with pytest.raises(LedgerError):
        SigningKey.load(path)
    path.write_text(str(key.verifying))
    with pytest.raises(LedgerError, match="not a signing key"):
        SigningKey.load(path)
    with pytest.raises(LedgerError, match="no key to read"):
        SigningKey.load(tmp_path / "none")


def test_a_key_is_not_printed() -> None:
    key = SigningKey.generate()
    assert key.seed.hex() not in repr(key)
    assert str(key.seed) not in repr(key)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_names_that_would_break_a_note(name: str) -> None:
    with pytest.raises(LedgerError, match="blank or a plus"):
        SigningKey.generate(name)

"""API keys: how they are made, kept, found and ended, by one process and by several, and from the command line."""

import json
import multiprocessing
import os
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from countenance.cli import main
from countenance.errors import GalleryError, InputError
from countenance.gallery import Gallery, open_gallery
from countenance.ledger import Kind, SigningKey
from countenance.policy import shipped_policy
from countenance.service.keyring import KEY_FILE, ApiKey, KeyRing


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "data")


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with open_gallery(tmp_path / "data") as found:
        yield found


# -- making, finding, ending -----------------------------------------------------------------------------------------


def test_a_key_looks_like_aws_s_and_is_found_again(ring: KeyRing) -> None:
    key = ring.issue("operator", ["photo-archive", "access", "access"], "company", "the import")
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", key.key_id)
    assert re.fullmatch(r"[\w-]{40}", key.secret, re.ASCII)
    assert key.purposes == ("photo-archive", "access")
    assert ring.find(key.key_id) == key == KeyRing(ring.path.parent).find(key.key_id)
    assert ring.issue("operator").secret != key.secret


def test_the_secret_is_not_shown_by_accident(ring: KeyRing) -> None:
    key = ring.issue("reader")
    assert key.secret not in repr(key)
    assert key.secret not in json.dumps(key.to_json())


def test_nobody_is_found_where_there_is_no_file(ring: KeyRing) -> None:
    assert ring.find("AKIA" + "A" * 16) is None
    assert ring.keys() == ()
    assert not ring.path.exists()


def test_a_revoked_key_is_listed_without_its_secret_and_never_found(ring: KeyRing) -> None:
    kept, gone = ring.issue("reader"), ring.issue("admin")
    ring.revoke(gone.key_id)
    assert ring.find(gone.key_id) is None
    assert ring.find(kept.key_id) == kept
    found = KeyRing(ring.path.parent).keys()
    listed = {key.key_id: key for key in found}
    assert listed[gone.key_id].revoked is not None
    assert gone.secret not in ring.path.read_text()
    with pytest.raises(InputError, match="already"):
        ring.revoke(gone.key_id)
    with pytest.raises(InputError, match="no such key"):
        ring.revoke("AKIA" + "A" * 16)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"role": "king"}, "use one of reader, operator"),
        ({"actor": "me"}, "use one of police"),
        ({"purposes": ["Photo Archive"]}, "small letters"),
        ({"purposes": ["a,b"]}, "small letters"),
        ({"label": "x" * 65}, "a few words"),
        ({"label": "a\nb"}, "not printable"),
        ({"purposes": ["sightseeing"], "policy": shipped_policy()}, "not declared in the policy shipped"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(ring: KeyRing, said: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ring.issue(**({"role": "reader"} | said))  # type: ignore[arg-type]
    assert not ring.path.exists()


# -- the file --------------------------------------------------------------------------------------------------------


def test_only_the_owner_reads_the_file_whatever_the_umask(ring: KeyRing) -> None:
    before = os.umask(0)
    try:
        ring.issue("reader")
        ring.issue("reader")
    finally:
        os.umask(before)
    assert stat.S_IMODE(ring.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(ring.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in ring.path.parent.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_can_open_is_refused(ring: KeyRing, mode: int) -> None:
    key = ring.issue("reader")
    assert ring.find(key.key_id)
    ring.path.chmod(mode)
    for use in (lambda: ring.find(key.key_id), ring.keys, lambda: ring.issue("reader")):
        with pytest.raises(InputError, match="chmod 600"):
            use()
    ring.path.chmod(0o600)
    assert ring.find(key.key_id) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"format": "countenance-api-keys/1"}',
        '{"format": "countenance-api-keys/1", "keys": [{}]}',
        '{"format": "countenance-api-keys/1", "keys": 7}',
        "\ud800",
    ],
)
def test_a_damaged_file_lets_nobody_in_and_says_so(ring: KeyRing, text: str) -> None:
    key = ring.issue("reader")
    ring.path.write_bytes(text.encode("utf-8", "surrogatepass"))
    for _ in range(2):
        with pytest.raises(InputError, match="damaged"):
            ring.find(key.key_id)
    with pytest.raises(InputError, match="damaged"):
        ring.issue("reader")
    assert ring.path.read_bytes() == text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("role", "king"),
        ("actor", "me"),
        ("secret", ""),
        ("secret", None),
        ("purposes", "access"),
        ("purposes", [7]),
        ("issued", "yesterday"),
        ("issued", None),
        ("label", None),
    ],
)
def test_an_entry_that_was_altered_is_refused(ring: KeyRing, member: str, value: object) -> None:
    ring.issue("reader")
    said = json.loads(ring.path.read_text())
    said["keys"][0][member] = value
    ring.path.write_text(json.dumps(said))
    with pytest.raises(InputError, match="damaged"):
        ring.keys()


def test_a_file_of_another_format_is_named(ring: KeyRing) -> None:
    ring.issue("reader")
    ring.path.write_text(ring.path.read_text().replace("keys/1", "keys/9"))
    with pytest.raises(InputError, match="countenance-api-keys/9"):
        ring.keys()


# -- several at once -------------------------------------------------------------------------------------------------


def test_what_another_ring_does_is_known_at_once(ring: KeyRing) -> None:
    elsewhere = KeyRing(ring.path.parent)
    assert elsewhere.keys() == ()
    for _ in range(20):
        key = ring.issue("reader")
        assert elsewhere.find(key.key_id) == key
        ring.revoke(key.key_id)
        assert elsewhere.find(key.key_id) is None


def _issue(folder: Path, count: int) -> list[str]:
    ring = KeyRing(folder)
    return [ring.issue("reader").key_id for _ in range(count)]


def test_processes_and_threads_lose_no_key_of_each_other(ring: KeyRing) -> None:
    folder = ring.path.parent
    with multiprocessing.get_context("spawn").Pool(2) as pool, ThreadPoolExecutor(4) as threads:
        others = pool.starmap_async(_issue, [(folder, 20)] * 2)
        ours = [threads.submit(_issue, folder, 5) for _ in range(4)]
        seen = 0
        while not others.ready():
            found = ring.keys()
            assert len(found) >= seen, "the file is whole at every moment, and only grows"
            seen = len(found)
        batches = others.get() + [one.result() for one in ours]
    issued = {key_id for batch in batches for key_id in batch}
    found = ring.keys()
    assert len(found) == len(issued) == 60
    assert {key.key_id for key in found} == issued


# -- the ledger ------------------------------------------------------------------------------------------------------


def test_the_ledger_has_each_key_by_its_id_and_no_label_or_secret(ring: KeyRing, gallery: Gallery) -> None:
    key = ring.issue("operator", ["access", "photo-archive"], "company", "for Jane", ledger=gallery.ledger)
    ring.revoke(key.key_id, ledger=gallery.ledger)
    records = list(gallery.ledger.records(kinds=[Kind.KEY]))
    assert [record.entry.operation for record in records] == ["key issued", "key revoked"]
    about = {"key": key.key_id, "role": "operator", "purposes": "access,photo-archive", "actor": "company"}
    assert records[0].entry.detail == about | {"done": "issued"}
    assert records[1].entry.detail == about | {"done": "revoked"}
    for record in records:
        assert b"Jane" not in record.encode()
        assert key.secret.encode() not in record.encode()


def test_no_key_is_good_that_the_ledger_does_not_have(ring: KeyRing, gallery: Gallery) -> None:
    class Full:
        def record(self, _: object) -> int:
            raise GalleryError("the disk is full")

    with pytest.raises(GalleryError):
        ring.issue("reader", ledger=Full())  # type: ignore[arg-type]
    assert ring.keys() == ()
    key = ring.issue("reader", ledger=gallery.ledger)
    with pytest.raises(GalleryError):
        ring.revoke(key.key_id, ledger=Full())  # type: ignore[arg-type]
    assert ring.find(key.key_id) is None, "ending a key comes first"


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COUNTENANCE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["keys", *words])


def made(data: Path) -> ApiKey:
    return KeyRing(data).keys()[-1]


def test_create_prints_what_a_shell_needs_and_nothing_else(data: Path) -> None:
    found = run("create", "--role", "operator", "--purpose", "photo-archive", "--actor", "company")
    assert found.exit_code == 0, found.stderr
    key = made(data)
    assert found.stdout.splitlines() == [
        f"export AWS_ACCESS_KEY_ID={key.key_id}",
        f"export AWS_SECRET_ACCESS_KEY={key.secret}",
        "export AWS_ENDPOINT_URL_REKOGNITION=http://127.0.0.1:8370",
        "export AWS_DEFAULT_REGION=us-east-1",
    ]
    assert "shown this once" in found.stderr
    assert key.secret not in found.stderr
    with open_gallery(data) as gallery:
        (record,) = gallery.ledger.records(kinds=[Kind.KEY])
        assert record.entry.detail["key"] == key.key_id


def test_create_and_list_as_json(data: Path) -> None:
    found = json.loads(run("create", "--role", "auditor", "--json", "--endpoint", "https://faces.example").stdout)
    key = made(data)
    assert found == key.to_json() | {"secret": key.secret, "endpoint": "https://faces.example"}
    assert json.loads(run("list", "--json").stdout) == [key.to_json()]


def test_the_settings_of_the_server_count_for_keys_too(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    folder = tmp_path / "elsewhere"
    settings.write_text(f'data = "{folder}"\nhost = "::"\ninsecure_http = true\nport = 8443\nregion = "eu-west-3"\n')
    found = run("create", "--role", "auditor", "--settings", str(settings))
    assert found.exit_code == 0, found.stderr
    assert found.stdout.splitlines()[2:] == [
        "export AWS_ENDPOINT_URL_REKOGNITION=http://127.0.0.1:8443",
        "export AWS_DEFAULT_REGION=eu-west-3",
    ]
    assert made(folder).key_id in run("list", "--settings", str(settings)).stdout


def test_create_asks_the_policy_that_is_in_force(data: Path, tmp_path: Path) -> None:
    assert "is not declared" in run("create", "--role", "reader", "--purpose", "guests").stderr
    text = (Path(__file__).parents[2] / "src/countenance/policy/data/default.toml").read_text()
    data.mkdir(mode=0o700, exist_ok=True)
    (data / "policy.toml").write_text(text.replace("[purposes.event-photos]", "[purposes.guests]"))
    assert run("create", "--role", "reader", "--purpose", "guests").exit_code == 0
    (tmp_path / "other.toml").write_text(text)
    found = run("create", "--role", "reader", "--purpose", "guests", "--policy", str(tmp_path / "other.toml"))
    assert found.exit_code == 2
    assert len(KeyRing(data).keys()) == 1
    assert run("create", "--role", "reader", "--policy", str(tmp_path / "none.toml")).exit_code == 2


def test_create_warns_of_keys_that_will_be_refused(data: Path) -> None:
    assert "refuses the purpose schools" in run("create", "--role", "reader", "--purpose", "schools").stderr
    assert "without a purpose" in run("create", "--role", "reader").stderr
    assert "note" not in run("create", "--role", "auditor").stderr


def test_list_and_revoke(data: Path) -> None:
    assert "no keys" in run("list").stdout
    run("create", "--role", "operator", "--label", "the import")
    key = made(data)
    assert f"{key.key_id}  operator; no purpose; no class of actor; the import; issued" in run("list").stdout
    assert run("revoke", key.key_id).stdout == f"revoked {key.key_id}\n"
    assert "; revoked 20" in run("list").stdout
    assert KeyRing(data).find(key.key_id) is None
    again = run("revoke", key.key_id)
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    with open_gallery(data) as gallery:
        assert [r.entry.detail["done"] for r in gallery.ledger.records(kinds=[Kind.KEY])] == ["issued", "revoked"]


def test_signer_prints_the_line_that_policies_trust(data: Path) -> None:
    assert run("signer").exit_code == 2
    run("create", "--role", "auditor")
    assert run("signer").stdout.strip() == str(SigningKey.load(data / "ledger.key").verifying)

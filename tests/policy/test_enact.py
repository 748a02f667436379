"""Which policy is in force stands in the ledger, and each change of it is signed by whom the one before names."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from countenance.cli import main
from countenance.errors import InputError, PolicyError
from countenance.gallery import Occasion, entry_of, open_gallery, open_ledger, replace_key
from countenance.ledger import Kind, SigningKey
from countenance.policy import (
    change_file,
    enact,
    enact_file,
    enacted,
    in_force_now,
    read_policy,
    shipped_policy,
    sign_change,
)

TEXT = (files("countenance.policy") / "data" / "default.toml").read_text(encoding="utf-8")
ADMIN = Occasion(actor="key-1", operation="test")


def text(version=2, signers=(), text=TEXT):
    quoted = ", ".join(f'"{key}"' for key in signers)
    return text.replace("version = 1 ", f"version = {version} ").replace("signers = []", f"signers = [{quoted}]")


@pytest.fixture
def data(tmp_path):
    """A data folder whose server has started once, with the shipped policy."""
    with open_gallery(tmp_path / "data") as gallery:
        enact_file(gallery.ledger, tmp_path / "data")
    return tmp_path / "data"


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def history(folder):
    with open_ledger(folder) as ledger:
        return enacted(ledger.records(), ledger.first_key())


def test_the_first_policy_is_signed_and_recorded_by_itself_and_once(data):
    with open_gallery(data) as gallery:
        assert gallery.ledger.size == 1
        assert enact_file(gallery.ledger, data).digest == shipped_policy().digest
        assert gallery.ledger.size == 1
        (record,) = gallery.ledger.records()
    assert record.entry.kind is Kind.POLICY
    assert record.entry.detail["text"] == TEXT
    assert read_policy(record.entry.detail["text"]).digest == record.entry.policy
    (found,) = history(data)
    assert (found.policy.name, found.change.previous, found.index) == ("shipped", None, 0)


def test_a_changed_policy_needs_a_signature_and_one_command_gives_it(data):
    (data / "policy.toml").write_text(text())
    with open_gallery(data) as gallery, pytest.raises(PolicyError) as refused:
        enact_file(gallery.ledger, data)
    command = str(refused.value).partition("sign it: ")[2]
    assert command == f"countenance policy sign --data {data}"
    found = run(*command.split()[1:])
    assert found.exit_code == 0, found.stderr
    assert change_file(data).exists()
    with open_gallery(data) as gallery:
        assert enact_file(gallery.ledger, data).version == 2
        assert gallery.ledger.size == 2
        assert in_force_now(gallery.ledger).version == 2
    first, second = history(data)
    assert second.change.previous == first.policy.digest


def test_a_newer_program_that_ships_another_policy_asks_for_the_same_command(data, monkeypatch):
    newer = read_policy(text(7), "default.toml")
    monkeypatch.setattr(sys.modules["countenance.policy.enact"], "shipped_policy", lambda: newer)
    with open_gallery(data) as gallery:
        with pytest.raises(PolicyError, match=f"version 7: .* nobody has signed .*sign it: .* sign --data {data}$"):
            enact_file(gallery.ledger, data)
        assert run("policy", "sign", "--data", data).exit_code == 0
        assert enact_file(gallery.ledger, data).version == 7


def test_comments_may_be_mended_without_a_signature(data):
    (data / "policy.toml").write_text("# ours\n" + TEXT)
    with open_gallery(data) as gallery:
        enact_file(gallery.ledger, data)
        assert gallery.ledger.size == 1


def test_a_version_that_does_not_rise_is_named_with_the_mend(data):
    (data / "policy.toml").write_text(TEXT.replace("longest_days = 365 ", "longest_days = 300 "))
    with open_gallery(data) as gallery, pytest.raises(PolicyError, match="write version = 2 in it, then sign it"):
        enact_file(gallery.ledger, data)
    found = run("policy", "sign", "--data", data)
    assert (found.exit_code, len(found.stderr.splitlines())) == (2, 1)
    assert "version 1 does not follow 1; write version = 2" in found.stderr
    assert not change_file(data).exists()


def test_only_whom_the_policy_in_force_names_may_change_it(data, tmp_path):
    board = SigningKey.generate("board/b")
    board.save(tmp_path / "board.key")
    (data / "policy.toml").write_text(text(2, [board.verifying]))
    assert run("policy", "sign", "--data", data).exit_code == 0
    with open_gallery(data) as gallery:
        enact_file(gallery.ledger, data)
    before = tmp_path / "before.toml"
    before.write_text((data / "policy.toml").read_text())
    after = tmp_path / "after.toml"
    after.write_text(text(3, [board.verifying]))
    refused = run("policy", "sign", after, "--data", data)
    assert "may not change it; have it signed by board/b" in refused.stderr
    assert not change_file(data, after).exists()
    elsewhere = run("policy", "sign", after, "--old", before, "--key", tmp_path / "board.key")
    assert elsewhere.exit_code == 0, elsewhere.stderr
    with open_gallery(data) as gallery:
        assert enact_file(gallery.ledger, data, after).version == 3
    assert [one.change.signer.name for one in history(data)][2] == "board/b"


def test_a_change_of_another_policy_or_of_an_earlier_time_does_not_hold(data):
    with open_gallery(data) as gallery:
        key = SigningKey.load(data / "ledger.key")
        second, third = read_policy(text(2)), read_policy(text(3))
        to_second = sign_change(shipped_policy(), second, key)
        with pytest.raises(PolicyError, match="the change that lies there is of another policy"):
            enact(gallery.ledger, third, to_second, key)
        early = sign_change(shipped_policy(), third, key)
        assert enact(gallery.ledger, second, to_second, key) == 1
        with pytest.raises(PolicyError, match="follow another policy than the one in force"):
            enact(gallery.ledger, third, early, key)
        with pytest.raises(PolicyError, match="is not what its text says"):
            enact(gallery.ledger, replace(third, values={**third.values, "name": "x"}), None, key)
        assert gallery.ledger.size == 2


def test_the_chain_follows_the_operators_key(data):
    with open_ledger(data) as ledger:
        replace_key(data, ledger, ADMIN)
    (data / "policy.toml").write_text(text())
    assert run("policy", "sign", "--data", data).exit_code == 0
    with open_gallery(data) as gallery:
        enact_file(gallery.ledger, data)
        gallery.ledger.refuse(ADMIN, "something")
        gallery.ledger.erase_bodies(datetime.now(UTC), ADMIN)
    first, second = history(data)
    assert first.change.signer != second.change.signer
    old = next(p for p in data.glob("ledger.key.*"))
    (data / "policy.toml").write_text(text(3))
    refused = run("policy", "sign", "--data", data, "--key", old)
    assert refused.exit_code == 0  # whoever signs may not know; the server does
    with open_gallery(data) as gallery, pytest.raises(PolicyError, match="may not change it"):
        enact_file(gallery.ledger, data)


@pytest.mark.parametrize("how", ["text", "change", "digest", "none"])
def test_a_policy_that_somebody_wrote_into_the_ledger_by_hand_is_found(data, how):
    with open_gallery(data) as gallery:
        key = SigningKey.load(data / "ledger.key")
        policy = read_policy(text(2))
        change = sign_change(shipped_policy(), policy, key)
        detail = {"text": policy.text, "change": change.to_json()}
        digest = policy.digest
        if how == "text":
            detail["text"] = text(3)
        elif how == "change":
            detail["change"] = json.dumps(json.loads(detail["change"]) | {"previous": "0" * 64})
        elif how == "digest":
            digest = "0" * 64
        else:
            del detail["text"]
        entry = entry_of(Kind.POLICY, replace(ADMIN, policy=digest), detail=detail)
        gallery.ledger.record(entry)
    with pytest.raises(PolicyError):
        history(data)
    found = run("policy", "history", "--data", data)
    assert (found.exit_code, len(found.stderr.splitlines())) == (2, 1)


def test_the_commands_tell(data):
    assert run("policy", "show", "--data", data).stdout.startswith("policy shipped, version 1")
    assert run("policy", "show", "--data", data, "--toml").stdout == TEXT
    assert "signed by countenance/" in run("policy", "history", "--data", data).stdout
    (said,) = json.loads(run("policy", "history", "--data", data, "--json").stdout)
    assert (said["record"], said["name"], said["previous"]) == (0, "shipped", None)
    assert "is in force already" in run("policy", "sign", "--data", data).stdout


def test_what_is_missing_is_one_line(tmp_path):
    for arguments, words in (
        (["policy", "show", "--data", tmp_path / "nowhere"], "there is no gallery"),
        (["policy", "sign", "--data", tmp_path / "nowhere"], "there is no gallery"),
        (["policy", "sign", "--old", tmp_path / "x.toml"], "--old needs NEW and --key"),
    ):
        found = run(*arguments)
        assert (found.exit_code, len(found.stderr.splitlines())) == (2, 1), found.stderr
        assert words in found.stderr
    assert not (tmp_path / "nowhere").exists()
    with open_gallery(tmp_path / "data") as gallery, pytest.raises(InputError, match="none is in force here yet"):
        in_force_now(gallery.ledger)
    assert Path(tmp_path / "data").exists()

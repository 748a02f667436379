"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from countenance.files import whole_file, write_whole


def test_a_file_takes_the_place_of_the_old_one_with_the_permissions_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "key"
    write_whole(target, "old")
    write_whole(target, b"new", 0o600)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_without_a_wish_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_whole(tmp_path / "whole", "text")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_after_an_exception_the_old_file_is_there_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "certificate.json"
    write_whole(target, "old")

    def torn() -> None:
        with whole_file(target) as file:
            file.write(b"half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        torn()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["certificate.json"]

"""Settings: a file, the environment, flags; what is wrong is named with the place and the mend."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from countenance.cli import main
from countenance.errors import InputError
from countenance.service.settings import SETTINGS, Settings, read_settings

ROOT = Path(__file__).resolve().parents[2]


def file(folder: Path, text: str) -> Path:
    path = folder / "s.toml"
    path.write_text(text)
    return path


def test_without_anything_the_defaults_hold() -> None:
    assert read_settings() == Settings()
    assert {one.name: one.default for one in SETTINGS} == vars(Settings())


def test_later_ones_win(tmp_path: Path) -> None:
    path = file(tmp_path, 'port = 1\ngallery_workers = 3\nidle_seconds = 5\ndata = "here"\n')
    found = read_settings(
        path,
        {"COUNTENANCE_PORT": "2", "COUNTENANCE_IDLE_SECONDS": "6.5", "COUNTENANCE_HOME": "not ours"},
        {"port": 3, "host": None},
    )
    assert (found.port, found.gallery_workers, found.idle_seconds, found.data) == (3, 3, 6.5, Path("here"))
    assert read_settings(environment={"COUNTENANCE_INSECURE_HTTP": "true"}).insecure_http


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nprot = 1\n", ["line 2", "prot", "did you mean port?"]),
        ("# a\n\nport = 'x'\n", ["line 3", "port", "a whole number"]),
        ("port = true\n", ["line 1", "port"]),
        ("port = 70000\n", ["line 1", "0 to 65535"]),
        ("search = 'disk'\n", ["line 1", "memory, database"]),
        ("insecure_http = 1\n", ["true or false"]),
        ("data = ''\n", ["data", "empty"]),
        ("port = \n", ["line 1", "not TOML"]),
        ("[server]\nport = 1\n", ["line 1", "server"]),
        ("tls_cert = 'a.pem'\n", ["tls_cert, tls_key", "both"]),
        ("search = 'database'\n", ["database"]),
        ("max_bytes_in_flight = 5000\n", ["one request must fit"]),
        ("metrics_token = 'short'\n", ["others can read it", "chmod 600"]),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as wrong:
        read_settings(file(tmp_path, text))
    for word in words:
        assert word in str(wrong.value)


@pytest.mark.parametrize(
    ("environment", "flags", "words"),
    [
        ({"COUNTENANCE_PORT": "eighty"}, {}, ["COUNTENANCE_PORT", "'eighty'"]),
        ({"COUNTENANCE_INSECURE_HTTP": "perhaps"}, {}, ["COUNTENANCE_INSECURE_HTTP", "true or false"]),
        ({"COUNTENANCE_METRICS_TOKEN": "short"}, {}, ["metrics_token", "16"]),
        ({}, {"port": -1}, ["--port", "0 to 65535"]),
    ],
)
def test_what_is_wrong_elsewhere_is_named(environment: dict[str, str], flags: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as wrong:
        read_settings(None, environment, flags)
    for word in words:
        assert word in str(wrong.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "faces.example"])
def test_others_reach_it_by_tls_alone_unless_insisted(host: str) -> None:
    with pytest.raises(InputError, match="can be reached by others"):
        read_settings(flags={"host": host})
    assert read_settings(flags={"host": host, "insecure_http": True}).host == host
    assert read_settings(flags={"host": host, "tls_cert": "a", "tls_key": "b"}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_this_machine_alone_needs_no_tls(host: str) -> None:
    assert read_settings(flags={"host": host}).host == host


def test_every_setting_is_documented_and_the_example_reads() -> None:
    page = (ROOT / "docs" / "serve.md").read_text()
    example = (ROOT / "deploy" / "countenance.toml").read_text()
    for one in SETTINGS:
        assert f"`{one.name}`" in page, one.name
        assert f"{one.name} =" in example, one.name
    read = read_settings(ROOT / "deploy" / "countenance.toml")
    assert read.data == Path("/var/lib/countenance")


def test_secrets_have_no_flag() -> None:
    flags = {option for parameter in main.commands["serve"].params for option in parameter.opts}
    assert {one.flag for one in SETTINGS if not one.secret} <= flags
    assert not {one.flag for one in SETTINGS if one.secret} & flags


def test_the_command_says_it_in_one_line() -> None:
    found = CliRunner().invoke(main, ["serve", "--host", "0.0.0.0"])
    assert found.exit_code == 2
    assert "insecure_http" in found.stderr
    assert found.stderr.count("\n") == 1

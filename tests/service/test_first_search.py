"""What docs/serve.md shows as a first search does what it says, under the shipped policy."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.running import Running, astronaut, certificate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serve.md"


def _shown(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, language
    return found[1]


def test_the_first_search_that_the_page_shows(served_strictly: Running, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    dated = _shown("csv").replace("2026-11-01", str(today)).replace("2027-11-01", str(today + timedelta(days=365)))
    (served_strictly.data / "consents.csv").write_text(dated)
    (served_strictly.data / "certificate.json").write_text(certificate().to_json())
    for name in ("eileen.jpg", "another.jpg"):
        (tmp_path / name).write_bytes(astronaut())
    try:
        ran = subprocess.run(
            [sys.executable, "-c", _shown("python")],
            cwd=tmp_path,
            env=served_strictly.environment("operator", "photo-archive"),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        client = served_strictly.client("operator", "photo-archive")
        client.delete_collection(CollectionId="friends")
        for name in ("consents.csv", "certificate.json"):
            (served_strictly.data / name).unlink()
    assert ran.returncode == 0, ran.stderr
    found, said = ran.stdout.splitlines()
    assert re.fullmatch(r"99\.\d+ eileen\.jpg", found)
    assert "'group': 'gender" in said
    assert "ethnicity" in said

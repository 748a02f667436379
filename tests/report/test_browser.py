"""The page in a real browser: it opens from a file, complains of nothing and asks the network for nothing."""

import json
import re
import shutil
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from report_examples import adjudicated, photos

from countenance.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# What stays on the machine, and what the browser asks of its maker whatever page it shows.
LOCAL = re.compile(r"file:|data:|about:|chrome|https?://[^/]*\.(google|googleapis|gvt1)\.com(/|$)")

BROKEN = '<script>1</script><img src="http://photos.test/x.png"></body>'

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH; the page is checked as text in test_html.py"),
    pytest.mark.slow,
]


def png(side: int) -> bytes:
    """A small true photo, as far as a browser can tell."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + bytes([k % 256, 90, 120]) * side for k in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def browse(page: Path, tmp_path: Path, *wanted: str) -> tuple[str, str, list[str]]:
    """(output, what the console said, addresses asked for) of one visit."""
    log = tmp_path / "net.json"
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr", f"--log-net-log={log}", f"--user-data-dir={tmp_path / 'profile'}",
    ]  # fmt: skip
    command = [str(BROWSER), *options, *wanted, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    asked = re.findall(r'"url":"([^"]+)"', log.read_text(encoding="utf-8", errors="replace"))
    return done.stdout, said, [a for a in asked if not LOCAL.match(a)]


def test_a_hostile_page_opens_quietly_and_offline(tmp_path: Path):
    written = write_report(photos(), tmp_path / "out", lambda path: png(72))
    dom, said, asked = browse(written.report_html, tmp_path, "--dump-dom")
    assert "Matched to somebody else" in dom
    assert said == ""
    assert asked == []


def test_the_browser_would_complain_of_a_page_that_breaks_its_own_policy(tmp_path: Path):
    """The test above can fail: a script and a foreign image are refused aloud."""
    written = write_report(adjudicated(), tmp_path / "out")
    html = written.report_html.read_text(encoding="utf-8")
    written.report_html.write_text(html.replace("</body>", BROKEN))
    _, said, _ = browse(written.report_html, tmp_path, "--dump-dom")
    assert "Content Security Policy" in said


@pytest.mark.parametrize("width", [390, 1200])
def test_the_style_sheet_is_in_force_and_the_page_fits_its_window(tmp_path: Path, width: int):
    """Photographed: paper at the right edge of every row, so nothing sticks out, and not the browser's white."""
    written = write_report(replace(adjudicated()), tmp_path / "out")
    shot = tmp_path / "shot.png"
    browse(written.report_html, tmp_path, f"--screenshot={shot}", f"--window-size={width},6000", "--hide-scrollbars")
    from matplotlib.image import imread

    image = (imread(shot) * 255).round().astype(int)
    assert image.shape[1] == width
    assert {tuple(p[:3]) for p in image[:, -3]} == {(252, 251, 248)}


def test_the_net_log_is_read(tmp_path: Path):
    """An address asked for is seen: the page's own."""
    page = tmp_path / "page.html"
    page.write_text('<img src="http://photos.test/x.png">')
    _, _, asked = browse(page, tmp_path, "--dump-dom")
    assert "http://photos.test/x.png" in asked
    assert json.loads((tmp_path / "net.json").read_text())["events"]

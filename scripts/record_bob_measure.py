"""Record what bob.measure says about small score sets, for tests/audit/test_peers.py.

bob.measure is not among the project's dependencies (it brings its own numba and pins), so its answers are recorded:

    uv venv peers --python 3.11 && uv pip install --python peers/bin/python bob.measure==6.1.1
    peers/bin/python scripts/record_bob_measure.py tests/audit/bob_measure.json
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import bob.measure
import numpy as np


def score_sets() -> dict[str, tuple[list[float], list[float]]]:
    """Random, tie-heavy, separable and reversed sets; mated first."""
    random = np.random.default_rng(3)
    return {
        "random": (
            [round(float(s), 6) for s in random.normal(1.5, 1, 150)],
            [round(float(s), 6) for s in random.normal(0, 1, 250)],
        ),
        "ties": (
            [float(s) / 8 for s in random.integers(3, 9, 120)],
            [float(s) / 8 for s in random.integers(0, 6, 200)],
        ),
        "two_values": ([0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 1.0]),
        "separable": ([0.8, 0.9, 0.9], [0.1, 0.2, 0.2, 0.3]),
        "reversed": ([0.1, 0.2, 0.3], [0.2, 0.4, 0.5]),
    }


def answers(mated: list[float], nonmated: list[float]) -> dict[str, object]:
    """FMR and FNMR at every distinct score and between, the EER, thresholds for target FMRs, and DET points."""
    negatives, positives = np.array(nonmated), np.array(mated)
    values = np.unique(np.concatenate([negatives, positives]))
    thresholds = np.unique(np.concatenate([values, (values[:-1] + values[1:]) / 2, [values[0] - 1, values[-1] + 1]]))
    rates = [[float(x) for x in bob.measure.farfrr(negatives, positives, t)] for t in thresholds]
    value, fmr, fnmr = bob.measure.eer(negatives, positives, also_farfrr=True)
    targets = [0.004, 0.01, 0.1, 0.3, 0.5]
    curve = bob.measure.roc(negatives, positives, 40)
    return {
        "mated": mated,
        "nonmated": nonmated,
        "thresholds": [float(t) for t in thresholds],
        "farfrr": rates,
        "eer": [float(value), float(fmr), float(fnmr)],
        "targets": targets,
        "far_threshold": [float(bob.measure.far_threshold(negatives, positives, t)) for t in targets],
        "roc": [[float(x) for x in row] for row in curve],
    }


if __name__ == "__main__":
    found = {"bob.measure": version("bob.measure"), "numpy": version("numpy")}
    sets = {name: answers(*scores) for name, scores in score_sets().items()}
    Path(sys.argv[1]).write_text(json.dumps(found | {"sets": sets}) + "\n")

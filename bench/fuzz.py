"""100,000 malformed requests and images: only modelled errors, no 500, no growth in memory."""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from service.fuzzing import attack, in_process, over_the_socket, resident
from service.killing import photos
from service.running import data_folder, running

_BATCH = 10_000


def run(full: bool) -> dict[str, object]:
    """Four fifths to the application in this process, one fifth to a server's socket, whose memory is watched.

    Raises AssertionError, with the smallest such request, where one is answered otherwise than the model says.
    """
    count = 100_000 if full else 2_000
    started, codes = time.perf_counter(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder, in_process(Path(folder)) as send:
        for part in range(0, count * 4 // 5, _BATCH):
            codes += attack(send, min(_BATCH, count * 4 // 5 - part), photos(), images=0.05, start=part + 10)
    with tempfile.TemporaryDirectory() as folder, running(data_folder(Path(folder) / "data")) as server:
        server.client().create_collection(CollectionId="family")
        server.client().create_user(CollectionId="family", UserId="anna")
        send, rest = over_the_socket(server), count // 5
        codes += attack(send, rest // 5, photos(), images=0.1, start=1)
        warm = resident(server.process.pid)
        for part in range(0, rest * 4 // 5, 4000):
            codes += attack(send, min(4000, rest * 4 // 5 - part), photos(), images=0.1, start=part + 2)
        grown = resident(server.process.pid) - warm
        faults = server.log.read_text().count('"event":"fault"')
    return {
        "fuzz_requests": codes.total(),
        "fuzz_not_modelled": 0,  # attack raises otherwise
        "fuzz_server_faults": faults,
        "fuzz_server_resident_mib": round(warm, 1),
        "fuzz_server_resident_growth_mib": round(grown, 1),
        "fuzz_seconds": round(time.perf_counter() - started),
        **{f"fuzz_answers_{code.replace(' ', '_')}": n for code, n in sorted(codes.items())},
    }

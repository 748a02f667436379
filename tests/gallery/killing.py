"""Kill a process that uses a gallery, at random moments; then look whether anything it said was untrue.

Run as a program, it is that process: it enrols, erases and searches from several threads, and writes one line when
something has been acknowledged (or is about to be asked for, where the outcome of a death in between is open):

    + FACE SEED      enrolled: the vector is that of the seed
    ? FACE           is about to be erased
    - FACE           erased
    h NOTE           a signed head, as JSON
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from countenance.gallery import Gallery, open_gallery  # noqa: E402
from countenance.gallery.keys import KeyFile  # noqa: E402
from countenance.gallery.writer import Change  # noqa: E402
from countenance.ledger import Kind, check_export  # noqa: E402
from gallery.helpers import OPERATOR, PIPELINE, made, new, permit, vectors  # noqa: E402


@dataclass
class Told:
    """What was acknowledged over all rounds."""

    enrolled: dict[str, int] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    heads: list[str] = field(default_factory=list)
    kills: int = 0

    def hear(self, line: str) -> None:
        what, _, rest = line.partition(" ")
        match what:
            case "+":
                face_id, seed = rest.split()
                self.enrolled[face_id] = int(seed)
            case "?":
                self.asked.add(rest)
            case "-":
                self.erased.add(rest)
            case "h":
                self.heads.append(json.loads(rest))


def rounds(folder: Path, database: str | None, count: int, *, search: str = "memory", seed: int = 0) -> Told:
    """Kill ``count`` times and check after each; the gallery goes on from round to round. Raises AssertionError."""
    told, moments = Told(), random.Random(seed)
    with open_gallery(folder, database, search=search) as gallery:
        made(gallery)
    for number in range(count):
        command = [
            sys.executable,
            "-X",
            "faulthandler",
            __file__,
            str(folder),
            database or "",
            str(1000 * (number + 1)),
            search,
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = iter(process.stdout)
        assert next(lines) == "ready\n"
        threading.Timer(moments.uniform(0.0, 0.4), process.send_signal, [signal.SIGKILL]).start()
        for line in lines:
            if line.endswith("\n"):  # the last one may be cut
                told.hear(line[:-1])
        code = process.wait()
        assert code == -signal.SIGKILL, f"in round {number} it ended by itself: {code}"
        told.kills += 1
        check(folder, database, told, search)
    return told


def check(folder: Path, database: str | None, told: Told, search: str) -> None:
    """Whether what is stored and what was told agree."""
    with open_gallery(folder, database, search=search) as gallery:
        there = {face.face_id for face in gallery.faces("family", limit=10**6)}
        must = set(told.enrolled) - told.asked
        assert must <= there, f"lost: {must - there}"
        assert not told.erased & there, f"resurrected: {told.erased & there}"
        assert gallery.collection("family").faces == len(there)
        story: set[str] = set()
        for record in gallery.ledger.records(kinds=[Kind.ENROLMENT, Kind.ERASURE]):
            if record.entry.kind is Kind.ENROLMENT:
                story |= set(record.entry.faces)
            else:
                assert set(record.entry.faces) <= story
                story -= set(record.entry.faces)
        assert story == there, "the ledger tells another story than the data"
        check_export(gallery.ledger.export(), gallery.ledger.key, told.heads)
        for face_id in random.Random(len(there)).sample(sorted(must), min(20, len(must))):
            found = gallery.search("family", vector_of(told.enrolled[face_id]), permit(threshold=-1e-6))
            assert [c.face.face_id for c in found.candidates] == [face_id], "half-written"
        for face_id in list(told.erased)[-10:]:
            assert not gallery.search("family", vector_of(told.enrolled[face_id]), permit(threshold=-1e-6)).candidates


def vector_of(seed: int) -> np.ndarray:
    return vectors(1, seed=seed)[0]


def _live(folder: Path, database: str | None, start: int, search: str) -> None:
    say = threading.Lock()

    def tell(line: str) -> None:
        with say:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def work(gallery: Gallery, part: int) -> None:
        choice, seed, mine = random.Random(start + part), start * 1000 + part * 100_000, []
        while True:
            count = choice.choice([1, 1, 5])
            seeds = [seed + i for i in range(count)]
            seed += count
            faces = gallery.enrol("family", [new(vector_of(s), s) for s in seeds], OPERATOR, pipeline=PIPELINE)
            for face, s in zip(faces, seeds, strict=True):
                tell(f"+ {face.face_id} {s}")
                mine.append(face.face_id)
            if choice.random() < 0.4:
                face_id = mine.pop(choice.randrange(len(mine)))
                tell(f"? {face_id}")
                gallery.erase("family", [face_id], OPERATOR)
                tell(f"- {face_id}")
            if choice.random() < 0.2:
                gallery.search("family", vector_of(seeds[0]), permit())
                tell(f"h {json.dumps(gallery.ledger.head())}")

    gallery = open_gallery(folder, database, search=search)
    tell("ready")
    for part in range(3):
        threading.Thread(target=work, args=(gallery, part), daemon=True).start()
    time.sleep(60)


STEPS = [
    f"{when} {what}"
    for what in ("KeyFile.write", "KeyFile.destroy", "Store.purge", "Change.record", "Change.doom", "Store.commit")
    for when in ("before", "after")
]


def steps(folder: Path, database: str | None, search: str) -> None:
    """Die right before and right after each step of a write; check after each death. Raises AssertionError."""
    told = Told()
    with open_gallery(folder, database, search=search) as gallery:
        made(gallery)
    for number, step in enumerate(STEPS):
        command = [
            sys.executable,
            "-X",
            "faulthandler",
            __file__,
            str(folder),
            database or "",
            str(number),
            search,
            step,
        ]
        process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        assert process.returncode == -signal.SIGKILL, step
        for line in process.stdout.splitlines():
            told.hear(line)
        check(folder, database, told, search)
    assert len(told.enrolled) == 2 * len(STEPS)


def _die(step: str, gallery: Gallery) -> None:
    """From now on, the step kills this process: before it is done, or after."""
    when, _, what = step.partition(" ")
    owner, _, name = what.partition(".")
    place = {"KeyFile": KeyFile, "Change": Change, "Store": type(gallery._store)}[owner]
    original = getattr(place, "write" if name == "commit" else name)

    def death(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def stepped(*arguments: Any) -> Any:
        if when == "before":
            death()
        original(*arguments)
        death()

    @contextmanager
    def committed(*arguments: Any) -> Iterator[Any]:
        with original(*arguments) as tx:
            yield tx
            if when == "before":
                death()
        death()

    setattr(place, "write" if name == "commit" else name, committed if name == "commit" else stepped)


def _step(folder: Path, database: str | None, start: int, search: str, step: str) -> None:
    gallery = open_gallery(folder, database, search=search)
    seeds = [10 * start, 10 * start + 1]
    faces = gallery.enrol("family", [new(vector_of(s), s) for s in seeds], OPERATOR, pipeline=PIPELINE)
    for face, s in zip(faces, seeds, strict=True):
        print("+", face.face_id, s, flush=True)
    print("?", faces[0].face_id, flush=True)
    _die(step, gallery)
    if step.endswith("KeyFile.write"):
        gallery.enrol("family", [new(vector_of(10 * start + 2))], OPERATOR, pipeline=PIPELINE)
    gallery.erase("family", [faces[0].face_id], OPERATOR)


if __name__ == "__main__" and len(sys.argv) > 5:
    _step(Path(sys.argv[1]), sys.argv[2] or None, int(sys.argv[3]), sys.argv[4], sys.argv[5])
elif __name__ == "__main__":
    _live(Path(sys.argv[1]), sys.argv[2] or None, int(sys.argv[3]), sys.argv[4])

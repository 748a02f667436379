"""A search from the counter, and the candidate sheet that tells of it or of its review."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from countenance.errors import InputError
from countenance.faces import Pipeline
from countenance.faces.image import decode
from countenance.gallery import Face, Found, Gallery, KeptReview
from countenance.ledger import timestamp
from countenance.policy import Certificate, Decision
from countenance.report.sheet import Basis, Identity, Reviewed, Sheet, Shown, basis_of
from countenance.service.caller import Call
from countenance.service.desk import Desk
from countenance.service.people import Probe
from countenance.service.reviewing import Result, ReviewDesk

__all__ = ["Searched", "basis_for", "blind_copies", "face_picture", "open_for_review", "search", "write_sheet"]

_HIDDEN = "not shown before the review is done"
_UNNAMED = "not named by both reviewers"
_GONE = "erased since"
_MARGIN = 0.45  # of the face's box, on each side of a picture
_SIDE = 480  # pixels, at most


@dataclass(frozen=True)
class Searched:
    """A search that was made: its sheet (without identities while it waits for review), and the review, if any."""

    sheet: Sheet
    review: KeptReview | None


def search(
    desk: Desk,
    pipeline: Pipeline,
    call: Call,
    probe: Probe,
    collection: str,
    *,
    similarity: float = 80.0,
    most: int = 80,
) -> Searched:
    """Search a collection with the face of a photo, through the same decision and permit as any call of the API.

    Raises Refused where the policy says no, NotFoundError, InputError for a collection of another pipeline.
    """
    decision, certificate, about = desk.ask_certified_of(
        call, "search", collection, similarity=similarity, max_candidates=most
    )
    if decision.permit is None or certificate is None:
        raise AssertionError("an allowed search carries a permit and rests on a certificate")
    if about.pipeline != pipeline.digest:
        raise InputError(
            f"collection {collection}: holds vectors of the pipeline {about.pipeline[:12]}, and {pipeline.name} "
            f"({pipeline.digest[:12]}) runs here; name that one with --pipeline"
        )
    (vector,) = pipeline.embed_faces(probe.face.chip[None])
    mac = desk.gallery.probe_mac(probe.photo)
    found = desk.gallery.search(collection, vector, decision.permit, probe_mac=mac)
    measured = asdict(probe.face.quality) | {"faces": float(probe.faces)}
    basis = basis_for(decision, certificate, found, measured)
    picture = face_picture(probe.photo, _share(probe))
    if decision.review and found.candidates:
        kept = ReviewDesk(desk).open(call, decision, found, basis.to_json())
        return Searched(_sheet(desk.gallery, basis, _blind(kept, basis), Reviewed(kept.review_id), picture), kept)
    shown = [
        Shown(k, one.score, odds, _identity(one.face))
        for k, (one, odds) in enumerate(zip(found.candidates, basis.odds, strict=True), 1)
    ]
    return Searched(_sheet(desk.gallery, basis, shown, None, picture), None)


def basis_for(
    decision: Decision, certificate: Certificate, found: Found, probe: Mapping[str, float] | None = None
) -> Basis:
    """What a sheet about this search will rest on. Raises AssertionError for a decision without permit."""
    if decision.permit is None or decision.in_force is None:
        raise AssertionError("a search is made with a permit, under a threshold in force")
    return basis_of(
        certificate,
        decision.in_force,
        [one.score for one in found.candidates],
        at=datetime.now(UTC),
        collection=decision.permit.collection,
        searched=found.searched,
        entry=found.entry,
        purpose=decision.purpose,
        probe=probe,
    )


def open_for_review(desk: Desk, call: Call, decision: Decision, found: Found) -> dict[str, Any]:
    """Keep a search of the API for two reviewers; what its answer says of it, in place of identities."""
    certificate = desk.certificates.read()[0]
    same = certificate is not None and decision.in_force is not None and certificate.id == decision.in_force.certificate
    about = basis_for(decision, certificate, found).to_json() if same and certificate is not None else {}
    kept = ReviewDesk(desk).open(call, decision, found, about)
    return {
        "Id": kept.review_id,
        "State": "open",
        "Candidates": len(kept.candidates),
        "Until": timestamp(kept.closes),
    }


def sheet_of_review(gallery: Gallery, result: Result) -> Sheet:
    """The sheet of a finished review: the identity of whom both named, and of nobody else.

    Raises InputError where what the search rested on was not kept.
    """
    kept = result.kept
    if not kept.about:
        raise InputError(
            f"review {kept.review_id}: the certificate changed during the search, so there is no sheet of it"
        )
    basis = Basis.from_json(kept.about)
    decisions = tuple((v.reviewer, v.candidate) for v in result.verdicts)
    reviewed = Reviewed(kept.review_id, decisions, gone=result.outcome.match is not None and result.face is None)
    shown = [
        Shown(k, score, odds, _identity(result.face), _UNNAMED)
        if k == reviewed.match and result.face is not None
        else Shown(k, score, odds, None, _GONE if k == reviewed.match else _UNNAMED)
        for k, ((score, _), odds) in enumerate(zip(kept.candidates, basis.odds, strict=True), 1)
    ]
    return _sheet(gallery, basis, shown, reviewed, None)


def write_sheet(sheet: Sheet, folder: Path) -> tuple[Path, Path]:
    """Write ``candidate-sheet.html`` and ``candidate-sheet.pdf``."""
    from countenance.report.sheet_html import sheet_html
    from countenance.report.sheet_pdf import sheet_pdf

    folder.mkdir(parents=True, exist_ok=True)
    page, paper = folder / "candidate-sheet.html", folder / "candidate-sheet.pdf"
    page.write_text(sheet_html(sheet), encoding="utf-8")
    paper.write_bytes(sheet_pdf(sheet))
    return page, paper


def blind_copies(faces: Sequence[Face | None], photos: Path, out: Path) -> list[int]:
    """Write ``candidate-N.jpg`` of each face: cut out of the photo whose file name is its ExternalImageId.

    The copies carry a number in place of the name, and nothing of the photo's metadata. The numbers without a copy.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {path.name: path for path in sorted(photos.iterdir()) if path.is_file()}
    files = {path.stem: path for path in files.values()} | files
    missing = []
    for number, face in enumerate(faces, 1):
        path = files.get(face.external_image_id or "") if face is not None else None
        if face is None or path is None:
            missing.append(number)
            continue
        (out / f"candidate-{number}.jpg").write_bytes(face_picture(path.read_bytes(), tuple(face.box)))
    return missing


def face_picture(photo: bytes, box: tuple[float, ...]) -> bytes:
    """A JPEG of a face with some surroundings, upright, without metadata. ``box``: shares of width and height."""
    image = decode(photo)
    left, top, width, height = box
    wide, high = width * image.width, height * image.height
    margin = _MARGIN * max(wide, high)
    x, y = left * image.width, top * image.height
    cut = image.crop(
        (
            max(0, round(x - margin)),
            max(0, round(y - margin)),
            min(image.width, round(x + wide + margin)),
            min(image.height, round(y + high + margin)),
        )
    )
    cut.thumbnail((_SIDE, _SIDE))
    written = io.BytesIO()
    cut.save(written, "JPEG", quality=88)
    return written.getvalue()


def _share(probe: Probe) -> tuple[float, float, float, float]:
    image = decode(probe.photo)
    x, y, width, height = probe.face.box
    return x / image.width, y / image.height, width / image.width, height / image.height


def _sheet(
    gallery: Gallery, basis: Basis, shown: Sequence[Shown], reviewed: Reviewed | None, photo: bytes | None
) -> Sheet:
    return Sheet(
        basis=basis,
        candidates=tuple(shown),
        made=timestamp(datetime.now(UTC)),
        head=gallery.ledger.head(),
        key=str(gallery.ledger.key),
        reviewed=reviewed,
        photo=photo,
    )


def _blind(kept: KeptReview, basis: Basis) -> list[Shown]:
    return [
        Shown(k, score, odds, None, _HIDDEN)
        for k, ((score, _), odds) in enumerate(zip(kept.candidates, basis.odds, strict=True), 1)
    ]


def _identity(face: Face) -> Identity:
    return Identity(face.face_id, face.external_image_id, face.user_id, f"{face.enrolled:%Y-%m-%d}")

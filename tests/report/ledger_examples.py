"""A gallery whose ledger holds a few hundred records of every kind, over seven months."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from countenance.gallery import Gallery, Occasion, open_gallery
from countenance.ledger import Entry, Kind, SigningKey
from countenance.policy import Policy, enact_file, read_policy, shipped_policy, sign_change
from countenance.service.keyring import KeyRing
from gallery import helpers

CERTIFICATE, PERSON = "c3" * 16, "person-1"  # whom helpers.consent names
ISSUER = "auditors/9f2c+01020304+AQ=="

# purpose, class of actor, months after March, searches, of which found somebody
SEARCHES = (
    ("photo-archive", "company", 0, 21, 13),
    ("photo-archive", "company", 1, 34, 20),
    ("photo-archive", "private", 1, 12, 11),
    ("photo-archive", "company", 3, 18, 3),
    ("event-photos", "private", 3, 4, 1),
    ("event-photos", "private", 4, 40, 22),
    ("photo-archive", "government", 5, 13, 12),
    ("event-photos", None, 6, 2, 0),
)
REFUSALS = {"purpose-refused": 14, "certificate": 26, "consent": 11, "law": 3}
REVIEWS = {"opened": 15, "decided": 22, "match": 2, "no match: disagreed": 9, "expired": 4, "identity given": 2}


def past(kind: Kind, months: int, number: int, actor: str, **more: object) -> Entry:
    """An entry as it was written on a day of the month so many after March 2026."""
    at = datetime(2026, 3 + months, 1 + number % 28, 9, number % 60, tzinfo=UTC)
    return Entry(kind=kind, actor=actor, started=at, ended=at + timedelta(seconds=1), **more)  # type: ignore[arg-type]


def fill(folder: Path, database: str | None = None) -> tuple[str, ...]:
    """Make the gallery; the ids of the API keys and of the faces in it, none of which a report may hold."""
    with open_gallery(folder, database) as gallery:
        policy, ring = shipped_policy(), KeyRing(folder)
        classes = ("company", "private", "government", None)
        keys = {actor: ring.issue("operator", (), actor, ledger=gallery.ledger).key_id for actor in classes}
        _enact(gallery, policy, SigningKey.load(folder / "ledger.key"))
        told = past(Kind.CERTIFICATE, 0, 1, "countenance", policy=policy.digest, certificate=CERTIFICATE,
                    pipeline=helpers.PIPELINE, detail={"issuer": ISSUER, "until": "2027-03-01T00:00:00Z"})  # fmt: skip
        gallery.ledger.record(told)
        _searches(gallery, policy, keys)
        for rule, count in REFUSALS.items():
            for n in range(count):
                gallery.ledger.record(past(Kind.REFUSAL, n % 6, n, keys["company"], rule=rule, reason="no"))
        for reason, count in REVIEWS.items():
            for n in range(count):
                gallery.ledger.record(past(Kind.REVIEW, 4, n, keys["private"], reason=reason, refers=(n,)))
        for n in range(31):
            gallery.ledger.record(past(Kind.COMPARISON, n % 5, n, keys["private"], candidates=int(n % 3 == 0)))
        faces = _today(gallery, folder, policy)
    return (*keys.values(), *faces)


def _enact(gallery: Gallery, policy: Policy, key: SigningKey) -> None:
    detail = {"name": policy.name, "version": "1", "text": policy.text}
    detail["change"] = sign_change(None, policy, key).to_json()
    gallery.ledger.record(past(Kind.POLICY, 0, 0, "countenance", policy=policy.digest, rule="policy", detail=detail))


def _searches(gallery: Gallery, policy: Policy, keys: dict[str | None, str]) -> None:
    for purpose, actor, months, count, hits in SEARCHES:
        for n in range(count):
            gallery.ledger.record(
                past(Kind.SEARCH, months, n, keys[actor], purpose=purpose, basis="consent", policy=policy.digest,
                     certificate=CERTIFICATE, pipeline=helpers.PIPELINE, gallery="secret-name", gallery_size=200 + n,
                     threshold=-0.42 + n / 1000, candidates=int(n < hits), probe="ab" * 32)
            )  # fmt: skip
    for n in range(6):
        gallery.ledger.record(past(Kind.SEARCH, 2, n, keys["company"], rule="forget", candidates=1))


def _today(gallery: Gallery, folder: Path, policy: Policy) -> list[str]:
    """What a gallery writes by itself: enrolment, search, erasures, a second policy, a new collection that goes."""
    helpers.made(gallery)
    faces = helpers.enrolled(gallery, helpers.vectors(40))
    for vector in helpers.vectors(3):
        gallery.search("family", vector, helpers.permit(threshold=-0.5))
    occasion = Occasion(actor="countenance", operation="docs")
    gallery.erase("family", faces[:4], occasion, reason="forget")
    gallery.erase("family", faces[4:16], occasion)
    helpers.made(gallery, "gone")
    helpers.enrolled(gallery, helpers.vectors(12, seed=2), "gone")
    gallery.delete_collection("gone", occasion)
    following = read_policy(policy.text.replace("version = 1", "version = 2", 1), "policy")
    (folder / "policy.toml").write_text(following.text)
    change = sign_change(policy, following, SigningKey.load(folder / "ledger.key"))
    (folder / "policy.toml.change").write_text(change.to_json())
    enact_file(gallery.ledger, folder)
    return faces

"""A whole backend on throw-away data: real gallery, engine, policy and certificate."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from countenance.faces import Pipeline, default_pipeline
from countenance.gallery import open_gallery
from countenance.ledger import SigningKey
from countenance.policy import Policy, load_policy, shipped_policy, synthetic_certificate
from countenance.service.backend import Backend
from countenance.service.caller import Call, Caller
from countenance.service.consents import ConsentRegister
from countenance.service.desk import CertificateFile, Desk
from countenance.service.engine import Engine
from countenance.service.failures import WireError
from countenance.service.operations import OPERATIONS
from countenance.service.pages import PageTokens
from countenance.service.photos import PhotoSource
from countenance.service.wire import error_codes, write_answer

POLICIES = Path(__file__).resolve().parents[2] / "src/countenance/policy/data"
OPERATOR = Caller("key-operator", "operator")


@cache
def pipeline() -> Pipeline:
    """The engine that every checkout has: dlib's network, CenterFace."""
    return default_pipeline(embedder="dlib-resnet-v1", detector="centerface")


@cache
def engine() -> Engine:
    """One for all tests: networks load once."""
    return Engine(pipeline(), workers=2)


@contextmanager
def opened(folder: Path, policy: Policy | None = None, photos: PhotoSource | None = None) -> Iterator[Backend]:
    """A backend on a folder, under the test policy unless told."""
    policy = policy or load_policy(POLICIES / "test.toml")
    with open_gallery(folder) as gallery:
        yield Backend(
            desk=Desk(gallery, pipeline().digest, policy, CertificateFile(folder / "certificate.json")),
            engine=engine(),
            photos=photos or PhotoSource(),
            consents=ConsentRegister(folder / "consents.csv"),
            pages=PageTokens(b"s" * 32),
        )


def certified(folder: Path, *, gallery: int = 1000, threshold: float = -0.5, days: int = 30) -> None:
    """Put a synthetic certificate for the running pipeline there, signed by the operator."""
    key = SigningKey.load(folder / "ledger.key")
    found = synthetic_certificate(key, pipeline().digest, gallery=gallery, threshold=threshold, days=days)
    (folder / "certificate.json").write_text(found.to_json())


def shipped() -> Policy:
    """The policy that ships."""
    return shipped_policy()


def ask(backend: Backend, operation: str, caller: Caller = OPERATOR, **params: Any) -> dict[str, Any]:
    """Run an operation as the server does: its answer fits the model, and so does its error's code."""
    answer = OPERATIONS[operation](backend, Call(operation, caller), params)
    write_answer(operation, answer)
    return answer


def refused(backend: Backend, code: str, operation: str, caller: Caller = OPERATOR, **params: Any) -> str:
    """The message of the error with which an operation ends; another code, or one that the model does not give it,
    is a failure.
    """
    with pytest.raises(WireError) as wrong:
        ask(backend, operation, caller, **params)
    assert wrong.value.code == code, f"{wrong.value.code}: {wrong.value.message}"
    assert code in error_codes(operation), f"{operation} does not know {code}"
    return wrong.value.message


@cache
def photo(name: str, kind: str = "JPEG", side: int = 400) -> bytes:
    """Public-domain faces: eileen, grace; both beside each other; or wall, which has none."""
    made = io.BytesIO()
    _image(name, side).save(made, kind, quality=92)
    return made.getvalue()


def _image(name: str, side: int) -> Any:
    from matplotlib import cbook
    from PIL import Image
    from skimage import data

    if name == "eileen":
        found = Image.fromarray(data.astronaut()).crop((100, 0, 400, 300))
    elif name == "grace":
        found = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
        found = found.crop((60, 0, 460, 400))
    elif name == "mirror":
        return _image("eileen", side).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    elif name == "both":
        both = Image.new("RGB", (2 * side, side))
        both.paste(_image("grace", side), (0, 0))
        both.paste(_image("eileen", side).resize((side // 2, side // 2)), (side, 0))
        return both
    else:
        return Image.new("RGB", (side, side), (120, 130, 140))
    return found.resize((side, side))

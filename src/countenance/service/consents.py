"""Records of consent that references need: given per collection, or per face by its ExternalImageId."""

from countenance.gallery import Consent

__all__ = ["ConsentRegister"]


class ConsentRegister:
    """Knows which record belongs to which face. This one knows none."""

    def find(self, collection: str, external_image_id: str | None) -> Consent | None:
        """The record for a face, or the collection's; None where there is neither."""
        del collection, external_image_id
        return None

"""Where the bytes of an Image come from: the request itself, or an S3-compatible store."""

from collections.abc import Mapping
from typing import Any

from countenance.service.failures import WireError

__all__ = ["PhotoSource"]


class PhotoSource:
    """Brings the bytes of the model's ``Image``. Without a store, S3Object is refused."""

    def read(self, image: Mapping[str, Any]) -> bytes:
        """The photo's bytes. Raises WireError when there is none, or it cannot be had."""
        if "Bytes" in image:
            return bytes(image["Bytes"])
        raise WireError("InvalidS3ObjectException", "Image.S3Object: this server reads from no store; send Bytes")

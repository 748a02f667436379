"""Where the bytes of an Image come from: the request itself, or an S3-compatible store."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from countenance.service.failures import WireError

__all__ = ["PhotoSource", "Store"]

MAX_STORED = 15 * 2**20
"""Largest object read from a store, in bytes: AWS's limit."""


@dataclass(frozen=True)
class Store:
    """An S3-compatible store. Credentials come from boto3's own chain (environment, files, role).

    ``endpoint``: its URL, or None for AWS itself. ``profile``: a section of the shared credentials file. ``seconds``
    are waited for it to answer.
    """

    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    max_bytes: int = MAX_STORED
    seconds: float = 10.0


class PhotoSource:
    """Brings the bytes of the model's ``Image``. Without a store, S3Object is refused."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store

    def read(self, image: Mapping[str, Any], name: str = "Image") -> bytes:
        """The photo's bytes; ``name`` is what errors call it. Raises WireError when there is none, or none to be had.

        An object that is too large is found out before it is downloaded.
        """
        if ("Bytes" in image) == ("S3Object" in image):
            raise WireError("InvalidParameterException", f"{name}: give one of Bytes and S3Object")
        if "Bytes" in image:
            return bytes(image["Bytes"])
        if self.store is None:
            raise WireError("InvalidS3ObjectException", f"{name}.S3Object: this server reads from no store; send Bytes")
        place = image["S3Object"]
        if "Bucket" not in place or "Name" not in place:
            raise WireError("InvalidParameterException", f"{name}.S3Object: needs Bucket and Name")
        return self._download(self.store, place, name)

    def _download(self, store: Store, place: Mapping[str, Any], name: str) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError  # boto3 lets it through when a connection breaks in the middle

        where = {"Bucket": place["Bucket"], "Key": place["Name"]}
        if "Version" in place:
            where["VersionId"] = place["Version"]
        too_large = WireError(
            "ImageTooLargeException", f"{name}.S3Object: more than {store.max_bytes // 2**20} MiB; save it smaller"
        )
        try:
            found = self._client.get_object(**where)
            with found["Body"] as body:
                announced = found.get("ContentLength")
                if announced is not None and announced > store.max_bytes:
                    raise too_large
                # What was announced must come; where nothing was, no more is read than is allowed.
                data = bytes(body.read(store.max_bytes + 1 if announced is None else None))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
                raise WireError(
                    "InternalServerError", f"{name}.S3Object: the store fails ({code or 'no code'})"
                ) from None
            raise WireError(
                "InvalidS3ObjectException",
                f"{name}.S3Object: the store says {code or 'no'}; check bucket, name, version and this server's rights",
            ) from None
        except (BotoCoreError, HTTPError, OSError) as error:
            why = type(error).__name__
            raise WireError("InternalServerError", f"{name}.S3Object: the store does not answer ({why})") from None
        if len(data) > store.max_bytes:
            raise too_large
        return data

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        store = self.store or Store()
        return boto3.session.Session(profile_name=store.profile).client(
            "s3",
            endpoint_url=store.endpoint,
            region_name=store.region or "us-east-1",
            config=Config(
                connect_timeout=store.seconds,
                read_timeout=store.seconds,
                retries={"total_max_attempts": 2},
                s3={"addressing_style": "path"} if store.endpoint else None,
            ),
        )

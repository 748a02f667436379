"""What is signed, byte for byte: JSON in the canonical form of RFC 8785 (JCS), so that any language can check it.

Keys are those of the ledger: one line of text each (`countenance.ledger.SigningKey`, `VerifyingKey`), Ed25519.
"""

import base64
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from countenance.errors import UnavailableError
from countenance.ledger import SigningKey, VerifyingKey

__all__ = ["canonical", "sign", "signed_by"]

_EXTRA = "signatures need an extra: pip install 'countenance[serve]'"


def canonical(value: Any) -> bytes:
    """RFC 8785: UTF-8, members sorted by UTF-16 code units, no blanks, numbers as ECMAScript writes them.

    Takes None, bool, int, float, str, lists, tuples and mappings with text keys. Raises ValueError for a number that is
    not finite or, being whole, not exact in 64-bit floating point; TypeError for anything else.
    """
    return _text(value).encode("utf-8")


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > 2**53:
            raise ValueError(f"{value} is not exact in every JSON reader")
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(one) for one in value) + "]"
    if isinstance(value, Mapping):
        members = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_text(v)}" for k, v in members) + "}"
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


def _number(value: float) -> str:
    """The shortest decimal that reads back, spelled as ECMA-262's Number::toString does."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a number that JSON knows")
    if value == 0:
        return "0"
    mantissa, exponent = f"{Decimal(repr(value)).normalize():e}".lower().split("e")
    sign, text = mantissa.startswith("-"), mantissa.lstrip("-").replace(".", "")
    places = int(exponent) + 1
    if len(text) <= places <= 21:
        body = text + "0" * (places - len(text))
    elif 0 < places <= 21:
        body = f"{text[:places]}.{text[places:]}"
    elif -6 < places <= 0:
        body = "0." + "0" * -places + text
    else:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        body = f"{text[0]}{fraction}e{places - 1:+d}"
    return "-" * sign + body


def sign(key: SigningKey, said: Mapping[str, Any]) -> str:
    """Sign what was said; base64 of 64 bytes. Raises UnavailableError without the extra ``serve``."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise UnavailableError(_EXTRA) from None
    signature = Ed25519PrivateKey.from_private_bytes(key.seed).sign(canonical(said))
    return base64.b64encode(signature).decode()


def signed_by(key: VerifyingKey, said: Mapping[str, Any], signature: str) -> bool:
    """Whether this key signed just this. Raises UnavailableError without the extra ``serve``."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise UnavailableError(_EXTRA) from None
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(
            base64.b64decode(signature, validate=True), canonical(said)
        )
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True

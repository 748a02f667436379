"""A second verifier, written from the texts of RFC 6962 (2.1), RFC 8032 (5.1) and the C2SP note format alone.

It shares no line with countenance.ledger and imports nothing of it: the tree is hashed recursively over all leaves,
and Ed25519 is done here in plain integers, so that a fault in one of the two shows as a disagreement.
"""

import base64
import hashlib
import json


class Bad(Exception):
    pass


# --- RFC 6962, 2.1 -------------------------------------------------------------------------------------------------


def mth(d: list[bytes]) -> bytes:
    """MTH({}) = SHA-256(); MTH({d(0)}) = leaf hash; MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n]))."""
    n = len(d)
    if n == 0:
        return hashlib.sha256().digest()
    if n == 1:
        return d[0]
    k = 1
    while k * 2 < n:
        k *= 2
    return hashlib.sha256(bytes([1]) + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    n = len(d)
    if n == 1:
        return []
    k = 1
    while k * 2 < n:
        k *= 2
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: list[bytes]) -> list[bytes]:
    return subproof(m, d, True)


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    n = len(d)
    if m == n:
        return [] if b else [mth(d)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


# --- RFC 8032, 5.1 -------------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def _add(p: tuple[int, ...], q: tuple[int, ...]) -> tuple[int, ...]:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(s: int, p: tuple[int, ...]) -> tuple[int, ...]:
    q: tuple[int, ...] = (0, 1, 1, 0)
    while s:
        if s & 1:
            q = _add(q, p)
        p, s = _add(p, p), s >> 1
    return q


def _same(p: tuple[int, ...], q: tuple[int, ...]) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def _point(s: bytes) -> tuple[int, ...]:
    y = int.from_bytes(s, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        raise Bad("point")
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - x2) % P or (x == 0 and sign):
        raise Bad("point")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = _point(bytes.fromhex("5866666666666666666666666666666666666666666666666666666666666666"))


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    if len(public) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    try:
        return _same(_times(s, BASE), _add(_point(signature[:32]), _times(h, _point(public))))
    except Bad:
        return False


# --- the note, the key line and the export, from docs/ledger.md ------------------------------------------------------


def open_note(key_line: str, note: str) -> tuple[int, bytes]:
    """(size, root) of a note that the key signed."""
    name, _, rest = key_line.partition("+")
    public = base64.b64decode(rest.partition("+")[2])[1:]
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    cut = note.rindex("\n\n")
    text, lines = note[: cut + 1], note[cut + 2 :].split("\n")
    for line in lines:
        if line.startswith(f"— {name} "):
            raw = base64.b64decode(line.split(" ")[2])
            if raw[:4] == key_id and ed25519_verify(public, text.encode(), raw[4:]):
                origin, size, root = text.split("\n")[:3]
                if origin != name:
                    raise Bad("origin")
                return int(size), base64.b64decode(root)
    raise Bad("signature")


def verify(lines: list[str], key_line: str, kept: list[str]) -> None:
    """Raises Bad (or a plain parsing error) unless the export holds and continues every head kept elsewhere."""
    keys = [(0, json.loads(lines[0])["key"])]  # each with the size from which it signs
    leaves: list[bytes] = []
    silent: set[int] = set()
    heads = []
    following = None
    for line in lines[1:]:
        (name, value), *more = json.loads(line).items()
        if more or (following and name != "head"):
            raise Bad("line")
        if name == "entry":
            entry = json.loads(value)
            if entry["index"] != len(leaves):
                raise Bad("order")
            if entry["kind"] == "retention":
                gone = range(int(entry["detail"]["first"]), int(entry["detail"]["last"]) + 1)
                silent -= set(gone)
            if entry["kind"] == "key" and "ledger_key_new" in entry.get("detail", {}):
                following = entry["detail"]["ledger_key_new"]
                if entry["detail"]["ledger_key_old"] != keys[-1][1]:
                    raise Bad("key replaced")
                if following.split("+")[0] != keys[-1][1].split("+")[0] or following in [k for _, k in keys]:
                    raise Bad("new key")
            leaves.append(hashlib.sha256(b"\x00" + value.encode()).digest())
        elif name == "leaf":
            silent.add(len(leaves))
            leaves.append(bytes.fromhex(value))
        else:
            heads.append(open_note(keys[-1][1], value))
            if following:
                heads.append(open_note(following, value))
                if heads[-1][0] != len(leaves):
                    raise Bad("place")
                keys.append((len(leaves), following))
                following = None
    if not heads or heads[-1][0] != len(leaves) or silent or key_line not in [k for _, k in keys]:
        raise Bad("end")
    for size, root in [*heads, *(kept_head(keys, note) for note in kept)]:
        if size > len(leaves) or mth(leaves[:size]) != root:
            raise Bad("root")


def kept_head(keys: list[tuple[int, str]], note: str) -> tuple[int, bytes]:
    """A head that somebody kept, if a key signed it that was in force at its size."""
    ends = [size for size, _ in keys[1:]] + [2**63]
    for (begin, key), end in zip(keys, ends, strict=True):
        try:
            size, root = open_note(key, note)
        except Bad:
            continue
        if begin <= size <= end:
            return size, root
    raise Bad("signature")


def audit_path(leaf: bytes, m: int, n: int, steps: list[bytes]) -> bytes:
    """The root that an audit path leads to, by the recursion that defines PATH(m, D[n]) (RFC 6962, 2.1.1)."""
    if n == 1:
        if steps:
            raise Bad("path")
        return leaf
    k = 1
    while k * 2 < n:
        k *= 2
    *rest, last = steps
    if m < k:
        return hashlib.sha256(bytes([1]) + audit_path(leaf, m, k, rest) + last).digest()
    return hashlib.sha256(bytes([1]) + last + audit_path(leaf, m - k, n - k, rest)).digest()


def verify_inclusion(text: str, key_line: str) -> None:
    """Raises Bad (or a plain parsing error) unless the proof file shows its record under a head of this log."""
    said = json.loads(text)
    if said["kind"] != "inclusion":
        raise Bad("kind")
    keys = [said["key"]]
    for one in said["keys"]:
        new = json.loads(one["record"])["detail"]["ledger_key_new"]
        size, root = open_note(keys[-1], one["head"])
        if open_note(new, one["head"]) != (size, root) or size != one["index"] + 1:
            raise Bad("key replaced")
        under(one, size, root)
        keys.append(new)
    if key_line not in keys:
        raise Bad("key")
    under(said, *open_note(keys[-1], said["head"]))


def under(said: dict[str, object], size: int, root: bytes) -> None:
    leaf = bytes.fromhex(str(said["leaf"]))
    if said["record"] is not None:
        record = str(said["record"])
        if hashlib.sha256(b"\x00" + record.encode()).digest() != leaf or json.loads(record)["index"] != said["index"]:
            raise Bad("record")
    steps = [bytes.fromhex(step) for step in said["path"]]  # type: ignore[attr-defined]
    if audit_path(leaf, int(str(said["index"])), size, steps) != root:
        raise Bad("path")

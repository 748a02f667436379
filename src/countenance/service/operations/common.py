"""What several operations share: pinned models, pages, request tokens, and what an answer says of its rules."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from countenance.gallery import Collection, Token
from countenance.policy import Decision
from countenance.service.backend import Backend
from countenance.service.caller import Call
from countenance.service.failures import WireError

__all__ = ["Answer", "Operation", "Params", "in_force", "listed", "pinned", "token_of"]

Params = Mapping[str, Any]
Answer = dict[str, Any]
Operation = Callable[[Backend, Call, Params], Answer]
T = TypeVar("T")

_PAGE = 1000


def pinned(backend: Backend, collection: Collection) -> None:
    """Raises WireError for a collection whose vectors are of another pipeline than the one that runs."""
    running = backend.engine.pipeline.digest
    if collection.pipeline != running:
        raise WireError(
            "InvalidParameterException",
            f"CollectionId: {collection.name} holds vectors of the face model {collection.pipeline[:8]}, and "
            f"{backend.engine.version} runs here; index its photos into a new collection, or run that model",
        )


def in_force(decision: Decision, entry: int | None) -> Answer:
    """The member ``Countenance``: what was in force, and the entry's number in the ledger (None: nothing compared)."""
    return {"InForce": decision.in_force.to_json() if decision.in_force else None, "LedgerEntry": entry}


def token_of(call: Call, params: Params) -> Token | None:
    """The request's ClientRequestToken, bound to key and operation, with a digest of the rest of the request."""
    if "ClientRequestToken" not in params:
        return None
    rest = {name: value for name, value in params.items() if name != "ClientRequestToken"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    return Token(f"{call.caller.key_id} {call.operation} {params['ClientRequestToken']}", digest)


def listed(
    backend: Backend,
    call: Call,
    params: Params,
    read: Callable[[str | None, int], Sequence[T]],
    last: Callable[[T], str],
    most: int = _PAGE,
) -> tuple[Sequence[T], Answer]:
    """One page: what ``read(after, limit)`` gives, and NextToken where there is more.

    A token goes on with the same list only: the same operation, collection and filters.
    """
    scope = {name: value for name, value in params.items() if name not in ("NextToken", "MaxResults")}
    # Short, as the model allows a token 255 characters.
    mark = hashlib.sha256(json.dumps(scope, sort_keys=True).encode()).hexdigest()[:12]
    token = params.get("NextToken")
    after = backend.pages.open(token, call.operation, mark) if token else None
    size = params.get("MaxResults") or most
    found = read(after, size + 1)
    if len(found) <= size:
        return found, {}
    found = found[:size]
    return found, {"NextToken": backend.pages.seal(call.operation, mark, last(found[-1]))}

"""Who calls, and what for: values that every part of the service shares."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

__all__ = ["Call", "Caller"]


@dataclass(frozen=True)
class Caller:
    """Whoever holds an API key: its id, role and purposes, and whose it is (one of `policy.ACTORS`)."""

    key_id: str
    role: str
    purposes: tuple[str, ...] = ()
    actor: str | None = None


@dataclass(frozen=True)
class Call:
    """One request: the operation, who calls, its id, and when it came (aware datetime)."""

    operation: str
    caller: Caller
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

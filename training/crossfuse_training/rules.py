"""How recipes and configurations state what must hold of their numbers and names."""

from __future__ import annotations

from collections.abc import Iterable

from crossfuse.errors import InvalidInput, UnknownName


def require(holds: bool, key: str, received: object, valid: str) -> None:
    """Refuse a configuration in which a rule about `key` does not hold."""
    if not holds:
        raise InvalidInput(key, repr(received), valid)


def require_name(key: str, value: str, valid: Iterable[str]) -> None:
    """Refuse a value that is not one of the valid names."""
    if value not in valid:
        raise UnknownName(key, str(value), valid)

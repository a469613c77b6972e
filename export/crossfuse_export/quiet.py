"""Libraries that warn of what is none of the user's concern, for as long as they are called."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_errors(logger: logging.Logger) -> Iterator[None]:
    """Meanwhile the logger lets only errors through."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

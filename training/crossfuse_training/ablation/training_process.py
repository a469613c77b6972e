"""One `crossfuse train`, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TRAIN_COMMAND: Sequence[str] = (sys.executable, "-m", "crossfuse", "train")
_WAIT_AFTER_INTERRUPT = 60.0


def train(arguments: Sequence[str], log: Path, *, held_open: int) -> str | None:
    """Run to the end and say what went wrong; what the process prints is added to `log`.

    `held_open` is a file descriptor that the process inherits: a lock on it lasts as long as the
    process does, even if this one is killed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        before = file.tell()
        process = subprocess.Popen(  # noqa: S603
            [*TRAIN_COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            pass_fds=(held_open,),
        )
        try:
            code = process.wait()
        except BaseException:
            # Ctrl-C reached the process too: it may save what it has before it is ended.
            try:
                process.wait(_WAIT_AFTER_INTERRUPT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise
    return None if code == 0 else _reason(log.read_bytes()[before:], code)


def _reason(printed: bytes, code: int) -> str:
    """How it ended and the last line it printed."""
    ending = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    lines = printed.decode("utf-8", "replace").split("\n")
    # Of a progress bar only what it showed last.
    said = next((line.split("\r")[-1].strip() for line in reversed(lines) if line.strip()), "")
    return f"{ending}: {said}" if said else ending

"""Runs what the guides show, as a reader would, where neither a GPU nor a camera is needed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from crossfuse_docs.belongings import prepare
from crossfuse_docs.blocks import Block, blocks, given, guide_pages

# A block may train a network for a few hundred steps.
LONGEST_BLOCK = 1800.0
LONGEST_START = 120.0
LONGEST_END = 60.0


class CommandFailed(Exception):
    """A block did not do what its page says."""


def run_pages(root: Path, pages: Sequence[str]) -> int:
    """Run the blocks of pages, all guides if none is named; the exit code."""
    failures, skipped, count = [], [], 0
    for page in pages or guide_pages(root):
        found = blocks(root, page)
        skipped += [block for block in found if block.skip]
        to_run = [block for block in found if not block.skip]
        count += len(to_run)
        try:
            _run_page(root, page, to_run)
        except CommandFailed as error:
            failures.append(str(error))
    for block in skipped:
        print(f"not run: docs/{block.page}:{block.line}: {block.skip}")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{count} blocks to run, {len(skipped)} left out, {len(failures)} pages failed")
    return 1 if failures else 0


def _run_page(root: Path, page: str, found: list[Block]) -> None:
    """The blocks of one page, one after the other in one folder."""
    if not found:
        return
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory(prefix="crossfuse-docs-") as name:
        folder = Path(name)
        prepare(root, folder, given(root, page))
        running: list[subprocess.Popen[bytes]] = []
        try:
            for block in found:
                print(f"docs/{page}:{block.line}", flush=True)
                if block.background:
                    running.append(_start(block, folder, environment))
                else:
                    _run(block, folder, environment)
        finally:
            for process in reversed(running):
                _stop(process)


def _run(block: Block, folder: Path, environment: dict[str, str]) -> None:
    shell = ["bash", "-euo", "pipefail", "-c"]
    words = shell if block.language == "bash" else [sys.executable, "-c"]
    try:
        done = subprocess.run(
            [*words, block.body],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_BLOCK,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{_where(block)} took longer than {LONGEST_BLOCK:.0f} s") from error
    if done.returncode != block.exit_code:
        raise CommandFailed(
            f"{_where(block)} ended with exit code {done.returncode}, not {block.exit_code}:\n"
            f"{block.body}\n{done.stdout[-3000:]}"
        )


def _start(block: Block, folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    log = folder / f".background-{block.line}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", block.body],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end = time.monotonic() + LONGEST_START
    while time.monotonic() < end and process.poll() is None:
        ready = subprocess.run(
            ["bash", "-c", block.background],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
        if ready.returncode == 0:
            return process
        time.sleep(0.5)
    _stop(process)
    raise CommandFailed(f"{_where(block)} did not get ready:\n{block.body}\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a block and everything that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=LONGEST_END)
            return


def _where(block: Block) -> str:
    return f"docs/{block.page}:{block.line}"

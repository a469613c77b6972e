"""Processes that are measured: what they give back, and Ctrl-C while they run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from crossfuse.errors import EngineError, InvalidInput, ModelNotFound
from crossfuse_bench.process import FreshProcess, MeasuredProcess
from crossfuse_bench.report.document import read_report
from crossfuse_bench.throughput import start_server

HELD = {
    "a function": "FreshProcess(time.sleep, 600)",
    "a server": "MeasuredProcess(time.monotonic)",
    "callers": "Loaders(2)",
}


def test_a_server_that_cannot_be_started_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelNotFound, match="no bundle 'nobody'"):
        MeasuredProcess(partial(start_server, "nobody"))
    assert capfd.readouterr().err == ""


def test_a_function_gives_back_what_it_returns() -> None:
    with FreshProcess(os.getpid) as process:
        assert process.result() != os.getpid()


def test_what_a_function_raises_is_raised_here() -> None:
    with (
        FreshProcess(int, "no number") as process,
        pytest.raises(ValueError, match="no number") as caught,
    ):
        process.result()
    assert "Traceback" in caught.value.__notes__[0]


def test_an_error_of_several_arguments_is_raised_here() -> None:
    with (
        FreshProcess(read_report, Path("absent.json")) as process,
        pytest.raises(InvalidInput, match=r"report: got absent.json .*; valid: a report") as caught,
    ):
        process.result()
    assert caught.value.exit_code == 2


def test_a_process_that_is_killed_is_an_error() -> None:
    with FreshProcess(os._exit, 3) as process, pytest.raises(EngineError, match="ended early"):
        process.result()


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_ctrl_c_ends_everything_without_a_word(held: str) -> None:
    # In processes that are starting, which is when it was hardest for them.
    program = (
        "import time\n"
        "from crossfuse_bench.loaders import Loaders\n"
        "from crossfuse_bench.process import FreshProcess, MeasuredProcess\n"
        "try:\n"
        f"    with {held}:\n"
        "        print('begun', flush=True)\n"
        "        time.sleep(600)\n"
        "except KeyboardInterrupt:\n"
        "    print('ended')\n"
    )
    measuring = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert measuring.stdout is not None
    try:
        assert measuring.stdout.readline() == "begun\n"
        time.sleep(0.3)
        os.killpg(measuring.pid, signal.SIGINT)
        out, err = measuring.communicate(timeout=60)
    finally:
        measuring.kill()
    assert (out, err, measuring.returncode) == ("ended\n", "", 0)

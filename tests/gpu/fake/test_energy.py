"""Energy of calls by NVML, against a board whose counter and power are those of the test."""

from __future__ import annotations

import time
from typing import Any

import pytest

from crossfuse_bench.device import energy, nvml
from crossfuse_bench.device.energy import (
    COUNTER,
    SAMPLES,
    Energy,
    energy_field,
    gpu_identity,
    measured_energy,
)

NOT_SUPPORTED, NOT_FOUND, LOST = 3, 6, 15
CALL_MJ = 250


class Work:
    """Calls that fuse three pairs each, and what the board counts of them."""

    def __init__(self, board: Any, millijoules: int = CALL_MJ) -> None:
        self._board, self._millijoules = board, millijoules
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        self._board.millijoules += self._millijoules
        time.sleep(0.002)
        return 3


def test_the_counter_of_the_board(board: Any, driver: Any) -> None:
    work = Work(board)
    found = measured_energy(work, 0.05)
    assert found.joules == pytest.approx(work.calls * CALL_MJ / 1e3)
    assert (found.pairs, found.how) == (3 * work.calls, COUNTER)
    assert found.seconds >= 0.05
    field = energy_field([found, found])
    assert field["joules_per_pair"] == pytest.approx(CALL_MJ / 3e3)
    assert field["pairs"] == 6 * work.calls
    assert (board.open, driver.contexts) == (0, 0)


def test_power_is_added_up_where_nothing_counts(
    board: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.fail["nvmlDeviceGetTotalEnergyConsumption"] = NOT_SUPPORTED
    monkeypatch.setattr(energy, "SAMPLE_SECONDS", 0.005)
    begun = time.perf_counter()
    found = measured_energy(Work(board), 0.1)
    whole = time.perf_counter() - begun
    assert found.how == SAMPLES
    # 40 W all the time; the readings span the calls and lie within the whole.
    assert 40 * found.seconds <= found.joules <= 40 * whole
    assert board.open == 0


@pytest.mark.parametrize("change", [0, -5000])
def test_a_counter_that_stands_still_is_no_zero(board: Any, change: int) -> None:
    found = measured_energy(Work(board, change), 0.02)
    assert found.missing == "not measured: the board's energy did not change meanwhile"
    assert energy_field([found]) == {"joules_per_pair": None, "reason": found.missing}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("nvmlInit_v2", 9),
        ("nvmlDeviceGetHandleByPciBusId_v2", NOT_FOUND),
        ("nvmlDeviceGetTotalEnergyConsumption", LOST),
    ],
)
def test_what_cannot_be_asked_is_not_measured(board: Any, call: str, code: int) -> None:
    board.fail[call] = code
    found = measured_energy(Work(board), 0.02)
    assert found.missing == f"not measured: NVML error {code} in {call}"
    assert board.open == 0


def test_a_board_without_any_sensor(board: Any) -> None:
    board.fail |= {
        "nvmlDeviceGetTotalEnergyConsumption": NOT_SUPPORTED,
        "nvmlDeviceGetPowerUsage": NOT_SUPPORTED,
    }
    found = measured_energy(Work(board), 0.02)
    assert found.missing == "not measured: NVML error 3 in nvmlDeviceGetPowerUsage"


def test_a_sensor_that_fails_meanwhile(board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    board.fail["nvmlDeviceGetTotalEnergyConsumption"] = NOT_SUPPORTED
    monkeypatch.setattr(energy, "SAMPLE_SECONDS", 0.002)

    def work() -> int:
        board.fail["nvmlDeviceGetPowerUsage"] = LOST
        time.sleep(0.05)
        return 1

    assert measured_energy(work, 0.02).missing.endswith("NVML error 15 in nvmlDeviceGetPowerUsage")


def test_no_library_and_no_gpu(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "LIBRARY", "libof-nobody.so.1")
    found = measured_energy(lambda: 1, 0.02)
    assert found.missing == "not measured: libof-nobody.so.1 cannot be loaded"
    driver.fail["cuInit"] = 100
    assert measured_energy(lambda: 1, 0.02).missing.startswith("not measured: the NVIDIA driver")


def test_processes_that_measured_are_added_up() -> None:
    one = Energy(6.0, 2.0, 30, COUNTER)
    field = energy_field([Energy(missing="not measured: busy"), one])
    assert field == {
        "joules_per_pair": 0.2, "watts": 3.0, "seconds": 2.0, "pairs": 30, "how": COUNTER,
    }  # fmt: skip


def test_the_gpu_is_named(board: Any) -> None:
    assert gpu_identity() == "A board, driver 580.1, clock 1200 of 1980 MHz"
    board.fail["nvmlDeviceGetName"] = LOST
    assert gpu_identity() == "present, not known which: NVML error 15 in nvmlDeviceGetName"
    assert board.open == 0

"""One GPU as the driver's management library sees it: its energy, power, clocks and name."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_int, c_uint, c_ulonglong, c_void_p
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
_NOT_SUPPORTED = 3
_GRAPHICS_CLOCK = 0
_TEXT = 96


class NvmlUnavailable(Exception):
    """The library, the GPU or one of its sensors cannot be asked; the text says which."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class Nvml:
    """The GPU at an address of the bus, such as 0000:3B:00.0; `close` it in the end."""

    def __init__(self, bus: str) -> None:
        self._library: Any = _load()
        self._call("nvmlInit_v2")
        self._handle = c_void_p()
        try:
            self._call(
                "nvmlDeviceGetHandleByPciBusId_v2", c_char_p(bus.encode()), byref(self._handle)
            )
        except NvmlUnavailable:
            self.close()
            raise

    def joules(self) -> float | None:
        """What the board used since the driver was loaded; None where it does not count."""
        millijoules = c_ulonglong()
        try:
            self._call("nvmlDeviceGetTotalEnergyConsumption", self._handle, byref(millijoules))
        except NvmlUnavailable as error:
            if error.code == _NOT_SUPPORTED:
                return None
            raise
        return millijoules.value / 1e3

    def watts(self) -> float:
        """What the board uses now."""
        milliwatts = c_uint()
        self._call("nvmlDeviceGetPowerUsage", self._handle, byref(milliwatts))
        return milliwatts.value / 1e3

    def identity(self) -> str:
        """Name, driver and clock of this moment."""
        name, driver = (ctypes.create_string_buffer(_TEXT) for _ in range(2))
        clock, fastest = c_uint(), c_uint()
        self._call("nvmlDeviceGetName", self._handle, name, c_uint(_TEXT))
        self._call("nvmlSystemGetDriverVersion", driver, c_uint(_TEXT))
        kind = c_int(_GRAPHICS_CLOCK)
        self._call("nvmlDeviceGetClockInfo", self._handle, kind, byref(clock))
        self._call("nvmlDeviceGetMaxClockInfo", self._handle, kind, byref(fastest))
        return (
            f"{name.value.decode()}, driver {driver.value.decode()}, "
            f"clock {clock.value} of {fastest.value} MHz"
        )

    def close(self) -> None:
        """Let go of the library."""
        self._library.nvmlShutdown()

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code != 0:
            raise NvmlUnavailable(f"NVML error {code} in {name}", code)


def _load() -> Any:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NvmlUnavailable(f"{LIBRARY} cannot be loaded") from error

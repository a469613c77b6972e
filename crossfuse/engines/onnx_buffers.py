"""Memory of the device that a session of onnxruntime reads from and writes to."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnxruntime

from crossfuse.arrays import UInt8Array


class DeviceBuffers:
    """Device memory for the last shape, so that calls of one size allocate nothing."""

    def __init__(self, session: Any, device_id: int, device_type: str = "cuda") -> None:
        self._session = session
        self._place = (device_type, device_id)
        self._shape: tuple[int, ...] = ()
        self._values: dict[str, Any] = {}
        self._binding = session.io_binding()
        self._lock = threading.Lock()

    def run(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        with self._lock:
            if self._shape != vis.shape:
                self._allocate(ir.shape, vis.shape)
            self._values["ir"].update_inplace(ir)
            self._values["vis"].update_inplace(vis)
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
            # numpy() of memory that is already on the host is a view of the buffer that the next
            # call overwrites.
            return np.array(self._values["fused"].numpy(), copy=True)

    def _allocate(self, ir_shape: tuple[int, ...], vis_shape: tuple[int, ...]) -> None:
        self._shape = ()
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        for name, shape in (("ir", ir_shape), ("vis", vis_shape), ("fused", vis_shape)):
            self._values[name] = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                shape, np.uint8, *self._place
            )
        self._binding.bind_ortvalue_input("ir", self._values["ir"])
        self._binding.bind_ortvalue_input("vis", self._values["vis"])
        self._binding.bind_ortvalue_output("fused", self._values["fused"])
        self._shape = vis_shape

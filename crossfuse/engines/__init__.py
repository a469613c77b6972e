"""Engines: what runs a model on a device, behind one small contract."""

from crossfuse.engines.base import Engine, EngineDescription
from crossfuse.engines.devices import DEVICES, device_ids, load_engine, precision_choices

__all__ = [
    "DEVICES",
    "Engine",
    "EngineDescription",
    "device_ids",
    "load_engine",
    "precision_choices",
]

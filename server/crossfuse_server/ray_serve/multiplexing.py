"""More models than a replica can hold: engines that are opened when they are asked for.

Ray keeps the list of what is open where, sends calls to replicas that have their model, and closes
the one that was not used for the longest time. The default model is always open.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ray import serve

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import Bundle
from crossfuse.engines import Engine, EngineDescription
from crossfuse_server.engines import DeviceEngines
from crossfuse_server.ray_serve.replica import FusionReplica
from crossfuse_server.settings import ServerSettings


class OpenedModel:
    """The engines of one model, all its versions; closed by Ray, but never under a pair."""

    def __init__(self, settings: ServerSettings) -> None:
        self._source = DeviceEngines(settings)
        self._engines: dict[str, Sequence[Engine]] = {}
        self._users = 0
        self._over = False
        self._lock = threading.Lock()

    def fuse(self, bundle: Bundle, ir: UInt8Array, vis: UInt8Array) -> UInt8Array | None:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, uint8; None when it has been closed."""
        with self._lock:
            if self._over:
                return None
            self._users += 1
            if bundle.reference not in self._engines:
                self._engines[bundle.reference] = self._source.open(bundle)
            engine = self._engines[bundle.reference][0]
        try:
            return engine.fuse(ir, vis)
        finally:
            with self._lock:
                self._users -= 1
            self._close_if_over()

    def __del__(self) -> None:
        """Ray calls it when another model needs the place."""
        with self._lock:
            self._over = True
        self._close_if_over()

    def _close_if_over(self) -> None:
        with self._lock:
            if not self._over or self._users:
                return
            engines, self._engines = self._engines, {}
        for engine in (engine for lanes in engines.values() for engine in lanes):
            engine.close()


class EngineOnDemand(Engine):
    """Stands for the engine of a bundle; each run asks for the model to be open."""

    def __init__(self, bundle: Bundle, run_opener: Callable[[str], OpenedModel]) -> None:
        self._bundle = bundle
        self._opened = run_opener

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        fused = None
        while fused is None:  # closed again before its turn came
            fused = self._opened(self._bundle.manifest.name).fuse(self._bundle, ir, vis)
        return fused

    def describe(self) -> EngineDescription:
        """What is known without opening it."""
        manifest = self._bundle.manifest
        precision, file = next(iter(manifest.files.items()))
        return EngineDescription(
            name=manifest.name,
            version=manifest.version,
            precision=precision,
            sha256=file.sha256,
            device="on demand",
            provider="",
            runtime="onnxruntime",
            threads=1,
            minimum_size=manifest.minimum_size,
        )

    def close(self) -> None:
        """Ray closes what is open."""


async def open_model(replica: Any, _: str) -> OpenedModel:
    """What Ray calls for a model that is not open; its engines are opened by its first pair."""
    return OpenedModel(replica.settings)


def multiplexed_replica(models_open: int) -> type[FusionReplica]:
    """A replica that has at most so many models open, and the default one."""
    opened: Any = serve.multiplexed(max_num_models_per_replica=models_open)(open_model)

    class MultiplexedReplica(FusionReplica):
        # Ray looks for the function under its own name.
        open_model = opened

        def __init__(self, settings: Mapping[str, Any]) -> None:
            # Trying out which batches pay would open every model there is.
            super().__init__({"batching": "off", **settings}, self._open_engines)

        def _open_engines(self, bundle: Bundle) -> Sequence[Engine]:
            settings = self.settings
            if bundle.manifest.name == settings.default_model.partition(":")[0]:
                return DeviceEngines(settings).open(bundle)
            return [EngineOnDemand(bundle, self._opened)]

        def _opened(self, name: str) -> OpenedModel:
            opening: Future[OpenedModel] = asyncio.run_coroutine_threadsafe(
                self.open_model(name), self.loop
            )
            return opening.result()

    return MultiplexedReplica

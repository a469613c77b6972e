"""The models of a server: found at the start, loaded in the background, the default one first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from enum import Enum

from crossfuse.bundles import Bundle, find_bundle, installed_bundles
from crossfuse.engines import Engine, EngineDescription, device_ids, load_engine
from crossfuse.errors import CrossFuseError, EngineError, ModelNotFound, NotReady
from crossfuse_server.queue import ModelQueue
from crossfuse_server.settings import ServerSettings

log = logging.getLogger(__name__)


class State(Enum):
    """What a server or a model is doing."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"
    FAILED = "failed"


class ServedModel:
    """One bundle on its way from found to ready."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.state = State.LOADING
        self.error: CrossFuseError | None = None
        self.descriptions: tuple[EngineDescription, ...] = ()
        self._engines: Sequence[Engine] = ()
        self._queue: ModelQueue | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def message(self) -> str:
        """Why it could not be loaded, or nothing."""
        return "" if self.error is None else str(self.error)

    @property
    def queue(self) -> ModelQueue:
        """The queue of a model that is ready."""
        if self._queue is None:
            reason = f"could not be loaded: {self.message}" if self.message else "is still loading"
            raise NotReady(f"model: {self.bundle.reference} {reason}")
        return self._queue

    def load(self, open_engines: Callable[[Bundle], Sequence[Engine]], queue_limit: int) -> None:
        """Load and warm up; the outcome is in `state` and `error`."""
        if self._closed:
            return
        try:
            engines = open_engines(self.bundle)
        except CrossFuseError as error:
            log.error("model %s could not be loaded: %s", self.bundle.reference, error)
            self._fail(error)
            return
        except Exception as error:
            log.exception("model %s could not be loaded", self.bundle.reference)
            self._fail(EngineError(f"{type(error).__name__}: {error}"))
            return
        with self._lock:
            self._engines = engines
            if self._closed:  # while it was loading
                self._close_engines()
                return
            self.descriptions = tuple(engine.describe() for engine in engines)
            self._queue = ModelQueue(self.bundle.reference, engines, queue_limit)
            self.state = State.SERVING
        log.info(
            "model %s is ready on %s",
            self.bundle.reference,
            ", ".join(description.device for description in self.descriptions),
        )

    def close(self) -> None:
        """Refuse what still waits, end the worker threads and free the devices."""
        with self._lock:
            self._closed = True
            if self._queue is not None:
                self._queue.close()
            self._close_engines()

    def _fail(self, error: CrossFuseError) -> None:
        self.error = error
        self.state = State.FAILED

    def _close_engines(self) -> None:
        for engine in self._engines:
            engine.close()
        self._engines = ()


class ModelHost:
    """All models of a server."""

    def __init__(
        self,
        settings: ServerSettings,
        open_engines: Callable[[Bundle], Sequence[Engine]] | None = None,
    ) -> None:
        self._settings = settings
        self._open_engines = open_engines or self._open_on_devices
        self.default = ServedModel(find_bundle(settings.default_model, settings.models))
        bundles, broken = installed_bundles(settings.models)
        for entry in broken:
            log.error("not served: %s", entry.reason)
        others = [bundle for bundle in bundles if bundle != self.default.bundle]
        self.models = [self.default, *map(ServedModel, others)]

    def load(self, on_default: Callable[[], None]) -> None:
        """Load every model in a thread; `on_default` is called once the default one is settled."""

        def work() -> None:
            for model in self.models:
                model.load(self._open_engines, self._settings.max_queue)
                if model is self.default:
                    on_default()

        # Not a daemon: a process that ends while a runtime loads a model is aborted by it.
        threading.Thread(target=work, name="load-models").start()

    def get(self, name: str, version: str) -> ServedModel:
        """The model a request means: no name is the default one, no version the highest."""
        if not name and not version:
            return self.default
        name = name or self.default.bundle.manifest.name
        fitting = [
            model
            for model in self.models
            if model.bundle.manifest.name == name
            and version in ("", str(model.bundle.manifest.version))
        ]
        if not fitting:
            wanted = f"{name}:{version}" if version else name
            installed = ", ".join(sorted(model.bundle.reference for model in self.models))
            raise ModelNotFound(f"model: got {wanted!r}; valid: {installed}")
        return max(fitting, key=lambda model: model.bundle.manifest.version)

    def close(self) -> None:
        """End the workers of every model."""
        for model in self.models:
            model.close()

    def _open_on_devices(self, bundle: Bundle) -> list[Engine]:
        """One engine per device, each run once at the warm-up size."""
        settings = self._settings
        height, width = settings.warm_up_size

        def open_one(device: str, device_id: int) -> Engine:
            engine = load_engine(
                bundle.folder,
                device=device,
                device_id=device_id,
                precision=settings.precision,
                threads=settings.threads or None,
            )
            engine.warm_up(height, width)
            return engine

        first = open_one(settings.device, 0)
        kind = first.describe().device.partition(":")[0]
        return [first, *(open_one(kind, number) for number in device_ids(kind)[1:])]

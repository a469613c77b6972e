"""All models of a server: which one a call means, and how they change while calls go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from crossfuse.bundles import Bundle, find_bundle, installed_bundles
from crossfuse.errors import BundleError, InvalidInput, ModelNotFound
from crossfuse_server.engines import EngineSource
from crossfuse_server.models import ServedModel, State
from crossfuse_server.observations import Observations
from crossfuse_server.settings import ServerSettings

log = logging.getLogger(__name__)

Key: TypeAlias = tuple[str, int]


@dataclass(slots=True)
class Changes:
    """What a reload did; references are `name:version`."""

    loaded: list[str] = field(default_factory=list)
    unloaded: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class ModelHost:
    """The served models. A change swaps a model in whole: a call has the old one or the new one.

    The model of a request that names no version is the highest version that serves, so a new one
    takes over when it is ready, and not at all when it is broken.
    """

    def __init__(
        self,
        settings: ServerSettings,
        source: EngineSource,
        on_change: Callable[[], None],
        observations: Observations,
    ) -> None:
        self._settings = settings
        self._source = source
        self._on_change = on_change
        self._observations = observations
        self._lock = threading.Lock()  # for the catalogue
        self._changing = threading.Lock()  # for whoever loads and unloads
        self._closed = False
        self._default_name, _, version = settings.default_model.partition(":")
        self._default_version = version
        first = find_bundle(settings.default_model, settings.models)
        bundles, broken = installed_bundles(settings.models)
        self._failures = [entry.reason for entry in broken]
        for reason in self._failures:
            log.error("not served: %s", reason)
        self._stamps = {_key(bundle): _stamp(bundle) for bundle in bundles}
        ordered = [first, *(bundle for bundle in bundles if bundle != first)]
        self._catalogue = {_key(b): self._found(b) for b in ordered}

    @property
    def default(self) -> ServedModel:
        """The model of requests that name none."""
        with self._lock:
            return self._pick(self._default_name, self._default_version)

    @property
    def models(self) -> list[ServedModel]:
        """All of them, the default one first, then by name and version."""
        default = self.default
        with self._lock:
            others = [m for _, m in sorted(self._catalogue.items()) if m is not default]
        return [default, *others]

    @property
    def warnings(self) -> list[str]:
        """What is wrong although the server serves."""
        with self._lock:
            models = sorted(self._catalogue.items())
            failures = list(self._failures)
        told = [f"{m.bundle.reference}: {m.message}" for _, m in models if m.message]
        return told + [reason for reason in failures if not any(reason in each for each in told)]

    def load(self, on_default: Callable[[], None]) -> None:
        """Load every model in a thread; `on_default` is called once the default one is settled."""

        def work() -> None:
            with self._changing:
                default = self.default
                for model in self.models:
                    model.load(self._source, self._settings)
                    self._on_change()
                    if model is default:
                        on_default()

        # Not a daemon: a process that ends while a runtime loads a model is aborted by it.
        threading.Thread(target=work, name="load-models").start()

    def get(self, name: str, version: str) -> ServedModel:
        """The model a request means: no name is the default one, no version the highest."""
        with self._lock:
            return self._find(name, version)

    def hold(self, name: str, version: str) -> ServedModel:
        """The same, and it stays usable until its `release`."""
        with self._lock:
            model = self._find(name, version)
            model.hold()
            return model

    def reload(self) -> Changes:
        """Serve what is on the search path now; what cannot be loaded changes nothing."""
        with self._changing:
            changes = Changes()
            bundles, broken = installed_bundles(self._settings.models)
            for bundle in bundles:
                current = self._catalogue.get(_key(bundle))
                unchanged = self._stamps.get(_key(bundle)) == _stamp(bundle)
                if current is None or not unchanged or current.state is State.FAILED:
                    self._swap_in(bundle, changes)
                else:
                    current.notice = ""
            found = {_key(bundle) for bundle in bundles}
            damaged = {entry.folder.parts[-2:]: entry.reason for entry in broken}
            for name, version in set(self._catalogue) - found:
                reason = damaged.get((name, str(version)))
                if reason is None and self._take_away((name, version)):
                    changes.unloaded.append(f"{name}:{version}")
                else:
                    self._catalogue[name, version].notice = reason or "its bundle is gone"
            self._note([entry.reason for entry in broken], changes)
            return changes

    def load_one(self, name: str, version: str) -> ServedModel:
        """Load one bundle from disk, in the place of the one of its name and version."""
        name = name or self._default_name
        with self._changing:
            bundle = find_bundle(f"{name}:{version}" if version else name, self._settings.models)
            changes = Changes()
            model = self._swap_in(bundle, changes)
            self._note([], changes)
            if model.error is not None:
                raise BundleError(f"model: {bundle.reference} could not be loaded: {model.error}")
            return model

    def unload_one(self, name: str, version: str) -> None:
        """Take one model away; calls that have it are finished."""
        with self._changing:
            bundle = self.get(name, version).bundle
            if not self._take_away(_key(bundle)):
                raise InvalidInput(
                    "model", f"{bundle.reference}, the last default model", "another one"
                )
            self._on_change()

    def close(self) -> None:
        """End the workers of every model."""
        self._closed = True
        for model in self.models:
            model.close()

    def _note(self, broken: Iterable[str], changes: Changes) -> None:
        for reason in broken:
            log.error("not served: %s", reason)
            changes.failures.append(reason)
        with self._lock:
            self._failures = list(changes.failures)
        self._on_change()

    def _found(self, bundle: Bundle) -> ServedModel:
        """A bundle that may be served; from now on its name is one that counters know."""
        self._observations.declare(bundle.manifest.name, str(bundle.manifest.version))
        return ServedModel(bundle, self._on_change, self._observations)

    def _swap_in(self, bundle: Bundle, changes: Changes) -> ServedModel:
        """Load beside the old model, then change places; a failure leaves the old one there."""
        key = _key(bundle)
        old = self._catalogue.get(key)
        new = self._found(bundle)
        stamp = _stamp(bundle)
        new.load(self._source, self._settings)
        if new.error is not None and old is not None and old.state is not State.FAILED:
            old.notice = f"a newer bundle could not be loaded in its place: {new.error}"
            changes.failures.append(f"{bundle.reference}: {new.error}")
            return new
        with self._lock:
            self._catalogue[key] = new
            self._stamps[key] = stamp
            closed = self._closed
        if old is not None:
            old.retire()
        if closed:
            new.close()
        elif new.error is None:
            changes.loaded.append(bundle.reference)
        else:
            changes.failures.append(f"{bundle.reference}: {new.error}")
        return new

    def _take_away(self, key: Key) -> bool:
        """Whether it could be: the last default model cannot."""
        with self._lock:
            defaults = [other for other in self._catalogue if self._may_be_default(other)]
            if defaults == [key]:
                return False
            model = self._catalogue.pop(key)
            self._stamps.pop(key, None)
        model.retire()
        self._observations.retire(key[0], str(key[1]))
        return True

    def _may_be_default(self, key: Key) -> bool:
        name, version = key
        return name == self._default_name and self._default_version in ("", str(version))

    def _find(self, name: str, version: str) -> ServedModel:
        if not name and not version:
            return self._pick(self._default_name, self._default_version)
        return self._pick(name or self._default_name, version)

    def _pick(self, name: str, version: str) -> ServedModel:
        """The highest version that serves; where none does, the highest one says why."""
        fitting = [
            (model.state is State.SERVING, number, model)
            for (other, number), model in self._catalogue.items()
            if other == name and version in ("", str(number))
        ]
        if not fitting:
            wanted = f"{name}:{version}" if version else name
            installed = ", ".join(sorted(m.bundle.reference for m in self._catalogue.values()))
            raise ModelNotFound(f"model: got {wanted!r}; valid: {installed}")
        return max(fitting, key=lambda entry: entry[:2])[2]


def _key(bundle: Bundle) -> Key:
    return bundle.manifest.name, bundle.manifest.version


def _stamp(bundle: Bundle) -> object:
    """Changes when the bundle on disk does; files are not read for it."""
    return bundle.manifest, tuple(
        _stat(bundle.folder / file.path) for file in bundle.manifest.files.values()
    )


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size

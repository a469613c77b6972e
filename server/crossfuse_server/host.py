"""The models of a server, and how they change while calls go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from crossfuse.bundles import BrokenBundle, Bundle, find_bundle, installed_bundles
from crossfuse.errors import BundleError, InvalidInput
from crossfuse_server.catalogue import Catalogue, Key, key_of
from crossfuse_server.engines import EngineSource
from crossfuse_server.models import ServedModel, State
from crossfuse_server.observations import Observations
from crossfuse_server.settings import ServerSettings

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Changes:
    """What a reload did; references are `name:version`."""

    loaded: list[str] = field(default_factory=list)
    unloaded: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class ModelHost:
    """The served models. A change swaps a model in whole: a call has the old one or the new one.

    The model of a request that names no version is the highest version that serves, so a new one
    takes over when it is ready, and not at all when it is broken: then the old one stays, even if
    its bundle is gone.
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
        self._changing = threading.Lock()  # whoever loads and unloads has it
        self._closed = False
        first = find_bundle(settings.default_model, settings.models)
        bundles, broken = installed_bundles(settings.models)
        self._failures = [entry.reason for entry in broken]
        for reason in self._failures:
            log.error("not served: %s", reason)
        self._stamps = {key_of(bundle): _stamp(bundle) for bundle in bundles}
        ordered = [first, *(bundle for bundle in bundles if bundle != first)]
        self._catalogue = Catalogue(settings.default_model, map(self._found, ordered))

    @property
    def default(self) -> ServedModel:
        """The model of requests that name none."""
        return self._catalogue.default

    @property
    def models(self) -> list[ServedModel]:
        """All of them, the default one first, then by name and version."""
        return self._catalogue.models

    @property
    def warnings(self) -> list[str]:
        """What is wrong although the server serves."""
        told = [f"{m.bundle.reference}: {m.message}" for m in self.models if m.message]
        failures = [reason for reason in self._failures if not any(reason in t for t in told)]
        return told + failures

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
        return self._catalogue.find(name, version)

    def hold(self, name: str, version: str) -> ServedModel:
        """The same, and it stays usable until its `release`."""
        return self._catalogue.find(name, version, hold=True)

    def reload(self) -> Changes:
        """Serve what is on the search path now; what cannot be loaded changes nothing."""
        with self._changing:
            changes = Changes()
            try:
                bundles, broken = installed_bundles(self._settings.models)
            except (InvalidInput, OSError) as error:  # the folder is gone, or is being exchanged
                self._note([str(error)], changes)
                return changes
            for bundle in bundles:
                current = self._catalogue.get(key_of(bundle))
                unchanged = self._stamps.get(key_of(bundle)) == _stamp(bundle)
                if current is None or not unchanged or current.state is State.FAILED:
                    self._swap_in(bundle, changes)
                else:
                    current.notice = ""
            self._drop_missing(bundles, broken, changes)
            self._note([entry.reason for entry in broken], changes)
            return changes

    def load_one(self, name: str, version: str) -> ServedModel:
        """Load one bundle from disk, in the place of the one of its name and version."""
        name = name or self._catalogue.default_name
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
            if not self._take_away(key_of(bundle)):
                raise InvalidInput(
                    "model",
                    f"{bundle.reference}, the last default model that could be loaded",
                    "another one",
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
        self._failures = list(changes.failures)
        self._on_change()

    def _found(self, bundle: Bundle) -> ServedModel:
        """A bundle that may be served; from now on its name is one that counters know."""
        self._observations.declare(bundle.manifest.name, str(bundle.manifest.version))
        return ServedModel(bundle, self._on_change, self._observations)

    def _swap_in(self, bundle: Bundle, changes: Changes) -> ServedModel:
        """Load beside the old model, then change places; a failure leaves the old one there."""
        key = key_of(bundle)
        old = self._catalogue.get(key)
        new = self._found(bundle)
        stamp = _stamp(bundle)
        new.load(self._source, self._settings)
        if new.error is not None and old is not None and old.state is not State.FAILED:
            old.notice = f"a newer bundle could not be loaded in its place: {new.error}"
            changes.failures.append(f"{bundle.reference}: {new.error}")
            return new
        self._catalogue.put(new)
        self._stamps[key] = stamp
        if old is not None:
            old.retire()
        if self._closed:  # asked after it can be found: whoever closes all found it, or came before
            new.close()
        elif new.error is None:
            changes.loaded.append(bundle.reference)
        else:
            changes.failures.append(f"{bundle.reference}: {new.error}")
        return new

    def _drop_missing(
        self, bundles: list[Bundle], broken: list[BrokenBundle], changes: Changes
    ) -> None:
        """Take away what has no bundle any more, unless it serves in the place of a broken one."""
        found = {key_of(bundle) for bundle in bundles}
        damaged = {entry.folder.parts[-2:]: entry.reason for entry in broken}
        expected = {name for name, _ in [*found, *damaged]}
        for key in self._catalogue.keys:
            if key in found:
                continue
            model = self._catalogue.get(key)
            assert model is not None, "only whoever has the lock takes models away"
            reason = damaged.get((key[0], str(key[1])))
            works = model.error is None
            is_needed = works and key[0] in expected and not self._catalogue.has_another(key)
            if reason is None and not is_needed and self._take_away(key):
                changes.unloaded.append(model.bundle.reference)
            else:
                model.notice = reason or "its bundle is gone"

    def _take_away(self, key: Key) -> bool:
        """Whether it could be: the last default model cannot."""
        model = self._catalogue.take_away(key)
        if model is None:
            return False
        self._stamps.pop(key, None)
        model.retire()
        self._observations.retire(key[0], str(key[1]))
        return True


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

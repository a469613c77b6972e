"""The models of a server by name and version: which one a call means, and which may go."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TypeAlias

from crossfuse.bundles import Bundle
from crossfuse.errors import ModelNotFound
from crossfuse_server.models import ServedModel, State

Key: TypeAlias = tuple[str, int]


class Catalogue:
    """Every model that is known; each step is whole for whoever looks at the same time."""

    def __init__(self, default_model: str, models: Iterable[ServedModel]) -> None:
        """`default_model` is NAME or NAME:VERSION, the model of requests that name none."""
        self.default_name, _, self._default_version = default_model.partition(":")
        self._lock = threading.Lock()
        self._models = {key_of(model.bundle): model for model in models}

    @property
    def default(self) -> ServedModel:
        """The model of requests that name none."""
        with self._lock:
            return self._pick(self.default_name, self._default_version)

    @property
    def models(self) -> list[ServedModel]:
        """All of them, the default one first, then by name and version."""
        default = self.default
        with self._lock:
            others = [m for _, m in sorted(self._models.items()) if m is not default]
        return [default, *others]

    @property
    def keys(self) -> list[Key]:
        """Name and version of each, in order."""
        with self._lock:
            return sorted(self._models)

    def get(self, key: Key) -> ServedModel | None:
        """The model of a name and version, if there is one."""
        with self._lock:
            return self._models.get(key)

    def find(self, name: str, version: str, *, hold: bool = False) -> ServedModel:
        """The model a request means: no name is the default one, no version the highest.

        One that is held stays usable until its `release`.
        """
        with self._lock:
            if not name and not version:
                version = self._default_version
            model = self._pick(name or self.default_name, version)
            if hold:
                model.hold()
            return model

    def put(self, model: ServedModel) -> None:
        """Add a model, in the place of the one of its name and version."""
        with self._lock:
            self._models[key_of(model.bundle)] = model

    def take_away(self, key: Key) -> ServedModel | None:
        """Remove a model; None where requests that name none would have no other one."""
        with self._lock:
            if self._may_be_default(key) and not any(
                self._may_be_default(other) for other in self._others_that_work(key)
            ):
                return None
            return self._models.pop(key)

    def has_another(self, key: Key) -> bool:
        """Whether a request for the name of a model would find another version that works."""
        with self._lock:
            return any(name == key[0] for name, _ in self._others_that_work(key))

    def _others_that_work(self, key: Key) -> list[Key]:
        """All but one, and but those that could not be loaded."""
        return [
            other for other, model in self._models.items() if other != key and model.error is None
        ]

    def _may_be_default(self, key: Key) -> bool:
        name, version = key
        return name == self.default_name and self._default_version in ("", str(version))

    def _pick(self, name: str, version: str) -> ServedModel:
        """The highest version that serves; where none does, the highest one says why."""
        fitting = [
            (model.state is State.SERVING, number, model)
            for (other, number), model in self._models.items()
            if other == name and version in ("", str(number))
        ]
        if not fitting:
            wanted = f"{name}:{version}" if version else name
            installed = ", ".join(sorted(m.bundle.reference for m in self._models.values()))
            raise ModelNotFound(f"model: got {wanted!r}; valid: {installed}")
        return max(fitting, key=lambda entry: entry[:2])[2]


def key_of(bundle: Bundle) -> Key:
    """Name and version."""
    return bundle.manifest.name, bundle.manifest.version

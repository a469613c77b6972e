"""Renders the part of kustomize that deploy/kubernetes uses, where kubectl is not at hand.

Resources and components by path, strategic merge patches, and image names and tags. A test compares
it with `kubectl kustomize` where that exists; whatever else a kustomization says is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

KEYS = {"apiVersion", "kind", "resources", "components", "patches", "images"}

# By which field Kubernetes tells the entries of these lists apart; other lists are replaced whole.
MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
# Kinds that the cluster's API learns later have no such fields: all their lists are replaced.
BUILT_IN_GROUPS = ("v1", "apps/", "autoscaling/", "policy/", "networking.k8s.io/")


def render(folder: Path) -> list[Resource]:
    """The resources of a kustomization, in the order in which they are named."""
    resources: list[Resource] = []
    _apply(folder, resources)
    return resources


def read(path: Path) -> list[Resource]:
    """The documents of one YAML file."""
    return [entry for entry in yaml.safe_load_all(path.read_text(encoding="utf-8")) if entry]


def containers(resource: Resource) -> Iterator[dict[str, Any]]:
    """The containers of a resource, wherever its pods are described."""
    spec = resource.get("spec", {})
    yield from spec.get("template", {}).get("spec", {}).get("containers", [])
    yield from spec.get("predictor", {}).get("containers", [])


def _apply(folder: Path, resources: list[Resource]) -> None:
    (content,) = read(folder / "kustomization.yaml")
    if unknown := set(content) - KEYS:
        raise ValueError(f"{folder}/kustomization.yaml: {sorted(unknown)}; valid: {sorted(KEYS)}")
    for name in content.get("resources", []):
        path = folder / name
        resources += render(path) if path.is_dir() else read(path)
    for name in content.get("components", []):
        _apply(folder / name, resources)
    for patch in content.get("patches", []):
        for change in read(folder / patch["path"]):
            _patch(resources, change)
    for image in content.get("images", []):
        for resource in resources:
            for container in containers(resource):
                _rename(container, image)


def _patch(resources: list[Resource], change: Resource) -> None:
    def identity(resource: Resource) -> tuple[str, str, str]:
        return resource["apiVersion"], resource["kind"], resource["metadata"]["name"]

    for index, resource in enumerate(resources):
        if identity(resource) == identity(change):
            by_key = resource["apiVersion"].startswith(BUILT_IN_GROUPS)
            resources[index] = _merged(resource, change, by_key=by_key)
            return
    raise ValueError(f"a patch is for {identity(change)}, which is not among the resources")


def _merged(old: Any, new: Any, *, by_key: bool, name: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        result = {
            key: copy.deepcopy(value)
            for key, value in old.items()
            if key not in new or new[key] is not None
        }
        for key, value in new.items():
            if value is not None:
                result[key] = _merged(old.get(key), value, by_key=by_key, name=key)
        return result
    if isinstance(old, list) and isinstance(new, list) and by_key and name in MERGE_KEYS:
        return _merged_lists(old, new, MERGE_KEYS[name])
    return copy.deepcopy(new)


def _merged_lists(old: list[Any], new: list[Any], key: str) -> list[Any]:
    """What the patch brings comes first, as kustomize has it."""
    gone = {entry[key] for entry in new if entry.get("$patch") == "delete"}
    rest = {entry[key]: entry for entry in old if entry[key] not in gone}
    added = [copy.deepcopy(e) for e in new if e[key] not in gone and e[key] not in rest]
    changes = {entry[key]: entry for entry in new}
    kept = [_merged(entry, changes.get(name, {}), by_key=True) for name, entry in rest.items()]
    return [*added, *kept]


def _rename(container: dict[str, Any], image: dict[str, str]) -> None:
    name, _, tag = container["image"].partition(":")
    if name == image["name"]:
        name, tag = image.get("newName", name), image.get("newTag", tag)
        container["image"] = f"{name}:{tag}" if tag else name

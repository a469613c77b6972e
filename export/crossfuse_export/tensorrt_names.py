"""The names of TensorRT's API that this project uses, read from the protocols mypy holds it to.

A name that a version of TensorRT does not have is a failure on the machine of whoever has that
version; so the names are compared with the lists of each, and with the module that is imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from crossfuse.engines import tensorrt_api

_MODULE = "TensorRT"
_OUTSIDE_OF_LISTS = {"__version__"}


def used_names() -> dict[str, frozenset[str]]:
    """Members by class; the classes that the module itself is asked for have an entry too."""
    protocols = {
        name: protocol
        for name, protocol in vars(tensorrt_api).items()
        if inspect.isclass(protocol)
        and getattr(protocol, "_is_protocol", False)
        and protocol.__module__ == tensorrt_api.__name__
    }
    found = {name: _members(protocol) for name, protocol in protocols.items() if name != _MODULE}
    for name in _members(protocols[_MODULE]):
        found.setdefault(name, frozenset())
    return found


def missing_from_list(listed: Mapping[str, Any]) -> list[str]:
    """What a list {class: names} of a version lacks."""
    return [
        f"{name}.{member}" if member else name
        for name, members in used_names().items()
        for member in ("", *sorted(members))
        if name not in listed or (member and member not in listed[name])
    ]


def missing_from_module(trt: Any) -> list[str]:
    """What an imported module lacks."""
    listed = {name: dir(getattr(trt, name)) for name in dir(trt)}
    return missing_from_list(listed)


def _members(protocol: type) -> frozenset[str]:
    names = {*vars(protocol), *inspect.get_annotations(protocol)}
    return frozenset(name for name in names - _OUTSIDE_OF_LISTS if not name.startswith("_"))

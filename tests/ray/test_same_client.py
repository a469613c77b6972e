"""The tests of the client, as they are, against the service on a Ray cluster.

Those are taken that need nothing but a client; the others look into the server's process.
"""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

FIXTURES = ("connect", "client", "picture", "ir", "vis")
PROVIDED = {*FIXTURES, "fuser", "eventually"}
# Its list of the valid models is that of a server that has no others.
LEFT_OUT = {"test_a_refused_stream_does_not_wait_for_the_camera"}
FOLDER = Path(__file__).parent.parent / "client"


def _module(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"client_{name}", FOLDER / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _parameters(test: Any) -> set[str]:
    marks = getattr(test, "pytestmark", [])
    given = {
        name.strip()
        for mark in marks
        if mark.name == "parametrize"
        for name in (mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0])
    }
    return set(inspect.signature(test).parameters) - given


_conftest = _module("conftest")
globals().update({name: getattr(_conftest, name) for name in FIXTURES})
_tests = {
    name: test
    for module in map(_module, ("test_fuse", "test_stream"))
    for name, test in vars(module).items()
    if name.startswith("test_")
    and inspect.isfunction(test)
    and name not in LEFT_OUT
    and _parameters(test) <= PROVIDED
}
globals().update(_tests)


@pytest.fixture(scope="module")
def address(service: Any) -> str:
    """Two replicas."""
    service.deploy(num_replicas=2)
    return str(service.address)


def test_most_of_them_were_taken() -> None:
    assert len(_tests) > 15

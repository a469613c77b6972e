"""The ROS 2 node against stand-ins for ROS, which cannot be installed from a package index."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest

import crossfuse

if TYPE_CHECKING:
    from tests.examples.conftest import Pair


class Image(SimpleNamespace):
    """Stands in for sensor_msgs.msg.Image."""


class Node:
    """Stands in for rclpy.node.Node: parameters, one publisher and a log."""

    given: dict[str, object]

    def __init__(self, name: str) -> None:
        self.published: Queue[Image] = Queue()
        self.errors: Queue[str] = Queue()

    def declare_parameter(self, name: str, default: object) -> SimpleNamespace:
        return SimpleNamespace(value=self.given.get(name, default))

    def create_publisher(self, kind: type, topic: str, depth: int) -> SimpleNamespace:
        return SimpleNamespace(publish=self.published.put)

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(error=lambda text, **_: self.errors.put(text))

    def destroy_node(self) -> None:
        pass


def image(pixels: np.ndarray, encoding: str, *, padding: int = 0, stamp: int = 0) -> Image:
    """A message with rows of `padding` more bytes than needed."""
    rows = pixels.reshape(pixels.shape[0], -1)
    if encoding == "mono16":
        rows = rows.astype("<u2").view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return Image(
        header=stamp,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=array("B", rows.tobytes()),
    )


@pytest.fixture(scope="session")
def source(examples: Path) -> Path:
    return examples / "ros2" / "fusion_node.py"


@pytest.fixture
def module(source: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example, loaded with the stand-ins."""
    for name in ("rclpy", "rclpy.executors", "rclpy.qos", "message_filters", "sensor_msgs"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.setitem(sys.modules, "rclpy.node", MagicMock(Node=Node))
    monkeypatch.setitem(sys.modules, "sensor_msgs.msg", MagicMock(Image=Image))
    spec = importlib.util.spec_from_file_location("fusion_node", source)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def make_node(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def make(**parameters: object) -> Any:
        monkeypatch.setattr(Node, "given", parameters, raising=False)
        return module.FusionNode()

    return make


def test_uses_only_the_public_api(source: Path) -> None:
    tree = ast.parse(source.read_text())
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    chains = [ast.unparse(node) for node in used if ast.unparse(node).startswith("crossfuse.")]
    assert "crossfuse.FusionClient" in chains
    for chain in chains:
        part: Any = crossfuse
        for name in chain.split(".")[1:]:
            assert name in getattr(part, "__all__", dir(part)), chain
            part = getattr(part, name)


def test_calls_the_client_as_it_is_declared(source: Path) -> None:
    client = crossfuse.FusionClient
    inspect.signature(client).bind("localhost:8001")
    calls = {
        node.func.attr: node
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "self._client"
    }
    assert calls.keys() == {"fuse", "close"}
    for name, call in calls.items():
        keywords = {str(keyword.arg): None for keyword in call.keywords}
        inspect.signature(getattr(client, name)).bind(None, *call.args, **keywords)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", ["mono8", "mono16", "rgb8", "bgr8"])
def test_messages_become_arrays(module: ModuleType, encoding: str, padding: int) -> None:
    colour = encoding in {"rgb8", "bgr8"}
    dtype = np.uint16 if encoding == "mono16" else np.uint8
    shape = (5, 7, 3) if colour else (5, 7)
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype)
    made = module.to_array(image(pixels, encoding, padding=padding))
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, pixels[..., ::-1] if encoding == "bgr8" else pixels)


def test_big_endian_samples(module: ModuleType) -> None:
    message = image(np.array([[1, 258]], np.uint16), "mono16")
    message.is_bigendian = 1
    np.testing.assert_array_equal(module.to_array(message), [[256, 513]])


def test_an_unknown_encoding_is_refused(module: ModuleType) -> None:
    message = image(np.zeros((2, 2), np.uint8), "yuv422")
    with pytest.raises(crossfuse.errors.UnknownName, match=r"yuv422.*mono16"):
        module.to_array(message)


def test_publishes_the_fused_pair(make_node: Callable[..., Any], server: str, pair: Pair) -> None:
    node = make_node(server=server)
    ir = cv2.imread(str(pair.ir), cv2.IMREAD_GRAYSCALE)
    vis = cv2.imread(str(pair.vis))
    assert ir is not None
    assert vis is not None
    node._on_pair(image(ir, "mono8", stamp=1), image(vis, "bgr8", stamp=2))
    node.destroy_node()
    assert node.errors.empty()
    message = node.published.get_nowait()
    assert (message.header, message.encoding, message.step) == (2, "rgb8", 64 * 3)
    fused = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
    np.testing.assert_array_equal(fused[..., 0], pair.fused)


def test_drops_pairs_while_it_is_busy(make_node: Callable[..., Any]) -> None:
    node = make_node()
    finish = threading.Event()
    asked: Queue[int] = Queue()

    def fuse(ir: np.ndarray, vis: np.ndarray, **_: object) -> np.ndarray:
        asked.put(int(ir[0, 0]))
        assert finish.wait(60)
        return vis

    node._client.close()
    node._client = SimpleNamespace(fuse=fuse, close=lambda: None)
    pictures = [image(np.full((2, 2), value, np.uint8), "mono8") for value in range(4)]
    for picture in pictures[:3]:
        node._on_pair(picture, picture)
    finish.set()
    node.published.get(timeout=60)
    with node._busy:
        pass
    node._on_pair(pictures[3], pictures[3])
    node.destroy_node()
    assert list(asked.queue) == [0, 3]


def test_a_bad_pair_does_not_end_the_node(make_node: Callable[..., Any]) -> None:
    node = make_node()
    picture = image(np.zeros((2, 2), np.uint8), "yuv422")
    for _ in range(2):
        node._on_pair(picture, picture)
        assert "yuv422" in node.errors.get(timeout=60)
        with node._busy:
            pass
    node.destroy_node()

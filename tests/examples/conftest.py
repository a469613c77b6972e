"""What the tests of the examples share: the folder, the proto's names, a server and a pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.v1 import fusion_pb2
from crossfuse_server.app import FusionServer
from crossfuse_server.models import State
from crossfuse_server.settings import load_settings


@dataclass(frozen=True)
class ProtoNames:
    """Every name of fusion.proto, by kind."""

    types: frozenset[str]
    fields: frozenset[str]
    enum_values: frozenset[str]
    methods: frozenset[str]


@dataclass(frozen=True)
class Pair:
    """The files of one pair and the picture a mean of the two must give."""

    ir: Path
    vis: Path
    fused: np.ndarray

    def assert_fused(self, path: Path) -> None:
        """The picture in a file is the one the pair must give."""
        pixels = cv2.imread(str(path))
        assert pixels is not None, f"no picture in {path}"
        np.testing.assert_array_equal(pixels, np.repeat(self.fused[..., None], 3, axis=2))


@pytest.fixture(scope="session")
def examples(root: Path) -> Path:
    """The folder of examples."""
    return root / "examples"


@pytest.fixture(scope="session")
def proto_names() -> ProtoNames:
    """The names of fusion.proto, from its descriptor."""
    proto = fusion_pb2.DESCRIPTOR
    messages = list(proto.message_types_by_name.values())
    messages += [nested for message in messages for nested in message.nested_types]
    fields = {name for message in messages for name in message.fields_by_name}
    fields |= {name for message in messages for name in message.oneofs_by_name}
    enums = list(proto.enum_types_by_name.values())
    service = proto.services_by_name["FusionService"]
    return ProtoNames(
        types=frozenset(kind.name for kind in (*messages, *enums, service)),
        fields=frozenset(fields),
        enum_values=frozenset(value for enum in enums for value in enum.values_by_name),
        methods=frozenset(service.methods_by_name),
    )


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., Path]
) -> Iterator[str]:
    """host:port of a server whose default model is the mean of the two pictures."""
    models = tmp_path_factory.mktemp("models")
    write_bundle(models)
    running = FusionServer(
        load_settings(
            {"port": 0, "models": models, "default_model": "mean", "warm_up": "32x32"},
            environment={},
        )
    )
    running.start()
    while running.state is State.LOADING:
        time.sleep(0.01)
    yield f"127.0.0.1:{running.port}"
    running.stop()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Two PNG files of 48x64 pixels, ir/1.png and vis/1.png."""
    random = np.random.default_rng(3)
    ir = random.integers(0, 256, (48, 64), np.uint8)
    vis = np.repeat(random.integers(0, 256, (48, 64, 1), np.uint8), 3, axis=2)
    made = Pair(
        tmp_path / "ir" / "1.png",
        tmp_path / "vis" / "1.png",
        np.round(ir / 2.0 + vis[..., 0] / 2.0).astype(np.uint8),
    )
    for path, pixels in ((made.ir, ir), (made.vis, vis)):
        path.parent.mkdir()
        assert cv2.imwrite(str(path), pixels)
    return made

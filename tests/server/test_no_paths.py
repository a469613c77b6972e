"""What a request calls a model is no path: nothing is opened for it, whatever it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_server import LARGEST_MAX_PIXELS

ADMIN = [("authorization", "Bearer admin")]
PATIENCE = 60

# Python reports every file that is opened and every folder that is listed. For each line it is sent
# the server tells which they were since the last one, without modules of Python and without what
# tells it its memory, which it looks at all the time.
SERVER = """
import json, sys
from pathlib import Path

seen = []

def note(event, args):
    if event in ("open", "os.scandir", "os.listdir") and args[0] != "/proc/self/statm":
        path = str(args[0])
        if not path.endswith((".py", ".pyc")):
            seen.append(path)

from crossfuse.bundles import store
from crossfuse_server.app import FusionServer
from crossfuse_server.settings import ServerSettings

store.search_path = lambda models=None: [models]
settings = ServerSettings(
    port=0, models=Path(sys.argv[1]), default_model="mean:1", threads=1, warm_up="32x32",
    admin_token_file=Path(sys.argv[2]),
)
server = FusionServer(settings)
server.start()
while any(model.state.value == "loading" for model in server.host.models):
    pass
sys.addaudithook(note)
print(server.port, flush=True)
for line in sys.stdin:
    print(json.dumps(seen), flush=True)
    seen.clear()
"""

NAMES = [
    "../x",
    "..",
    ".",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "mean\0",
    "mean\n",
    "mean/../mean",
    "Mean",
    "mean:1",
    "~",
    "-mean",
    "file:///etc/passwd",
    "m" * 65,
    "\uff4dean",
]
VERSIONS = ["../1", "1/..", "01", "+1", "-1", "0", "1.0", "1\0", "\u0663", "latest", "9" * 19]


class Audited:
    """A server that tells what it opens."""

    def __init__(self, models: Path, tokens: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(models), str(tokens)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self._line()}")
        stub: Any = fusion_pb2_grpc.AdminServiceStub
        self.admin = stub(self._channel)
        stub = fusion_pb2_grpc.FusionServiceStub
        self.fusion = stub(self._channel)
        self.opened()

    def opened(self) -> list[str]:
        """What was opened or listed since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: list[str] = json.loads(self._line())
        return found

    def end(self) -> None:
        self._channel.close()
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture(scope="module")
def audited(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    tokens = tmp_path_factory.mktemp("admin") / "tokens"
    tokens.write_text("admin", encoding="utf-8")
    server = Audited(models, tokens)
    yield server
    server.end()


def code_of(call: Callable[..., Any], *args: Any, **options: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, timeout=PATIENCE, **options)
    error: Any = caught.value
    found: grpc.StatusCode = error.code()
    return found


@pytest.mark.parametrize(
    "model",
    [{"name": name} for name in NAMES]
    + [{"name": "mean", "version": version} for version in VERSIONS],
    ids=repr,
)
def test_names_that_are_none(model: dict[str, str], audited: Audited, make: Any) -> None:
    reference = pb.ModelRef(**model)
    for method, message in (
        (audited.admin.LoadModel, pb.LoadModelRequest(model=reference)),
        (audited.admin.UnloadModel, pb.UnloadModelRequest(model=reference)),
    ):
        code = code_of(method, message, metadata=ADMIN)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
    code = code_of(audited.fusion.Fuse, make.request(model=reference))
    assert code is grpc.StatusCode.NOT_FOUND, "of those that are served"
    config = pb.FuseStreamRequest(config=pb.StreamConfig(model=reference))
    stream = audited.fusion.FuseStream(iter([config]), timeout=PATIENCE)
    assert code_of(lambda timeout: list(stream)) is grpc.StatusCode.NOT_FOUND
    assert audited.opened() == []


def test_a_good_name_is_looked_for_where_the_bundles_are(audited: Audited, models: Path) -> None:
    """So the server does tell what it opens."""
    request = pb.LoadModelRequest(model={"name": "mean", "version": "2"})
    answer = audited.admin.LoadModel(request, metadata=ADMIN, timeout=PATIENCE)
    assert answer.model.model.version == "2"
    opened = audited.opened()
    assert str(models / "mean" / "2" / "model.fp32.onnx") in opened
    assert all(path.startswith(str(models)) for path in opened)


def test_the_pixel_limit_of_the_decoder_is_set_before_it_is_imported(tmp_path: Path) -> None:
    """For a picture whose header passed, and which is larger all the same."""
    picture = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    side = (2**15).to_bytes(4, "big")
    head = b"IHDR" + side + side + picture[24:29]
    lying = picture[:12] + head + crc(head) + picture[33:]
    path = tmp_path / "lying.png"
    path.write_bytes(lying)
    code = (
        "import sys; import crossfuse_server.settings; import cv2, numpy\n"
        "print(cv2.imdecode(numpy.fromfile(sys.argv[1], 'u1'), cv2.IMREAD_UNCHANGED))"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV")}
    assert LARGEST_MAX_PIXELS < 2**15 * 2**15
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=clean, capture_output=True, text=True
    )
    assert "CV_IO_MAX_IMAGE_PIXELS" in done.stdout + done.stderr
    clean["OPENCV_IO_MAX_IMAGE_PIXELS"] = "1000"
    code = "import os, crossfuse_server; print(os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1000\n", "an operator may want less"


def crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")

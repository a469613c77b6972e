"""The shell commands of examples/README.md keep to the proto."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf import json_format

from crossfuse.v1 import fusion_pb2 as pb

if TYPE_CHECKING:
    from tests.examples.conftest import Pair, ProtoNames

# grpcurl as far as the README needs it: JSON on stdin, the answer as JSON on stdout.
GRPCURL = """
import sys, grpc
from google.protobuf import json_format
from crossfuse.v1 import fusion_pb2 as pb, fusion_pb2_grpc
target, method = sys.argv[-2:]
assert method == "crossfuse.v1.FusionService/Fuse"
assert sys.argv[-4:-2] == ["-d", "@"]
with grpc.insecure_channel(target) as channel:
    request = json_format.Parse(sys.stdin.read(), pb.FuseRequest())
    answer = fusion_pb2_grpc.FusionServiceStub(channel).Fuse(request, timeout=30)
print(json_format.MessageToJson(answer))
"""


@pytest.fixture(scope="session")
def readme(examples: Path) -> str:
    return (examples / "README.md").read_text()


@pytest.fixture(scope="session")
def fuse_command(readme: str) -> str:
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    [command] = [block for block in blocks if "jq" in block]
    return str(command)


def test_methods_are_those_of_the_proto(readme: str, proto_names: ProtoNames) -> None:
    methods = re.findall(r"crossfuse\.v1\.FusionService/(\w+)", readme)
    assert {"GetServerInfo", "Fuse"} <= set(methods) <= proto_names.methods


def test_the_json_is_a_request(fuse_command: str, pair: Pair) -> None:
    [program] = re.findall(r"'(\{.*?\})'", fuse_command, re.DOTALL)
    text = re.sub(r"(\w+):", r'"\1":', program)
    for name, path in (("$ir", pair.ir), ("$vis", pair.vis)):
        text = text.replace(name, json.dumps(base64.b64encode(path.read_bytes()).decode()))
    request = json_format.Parse(text, pb.FuseRequest())
    assert request.ir == pb.Image(encoding=pb.ENCODING_PNG, data=pair.ir.read_bytes())
    assert request.vis == pb.Image(encoding=pb.ENCODING_PNG, data=pair.vis.read_bytes())
    assert request.options == pb.FuseOptions(output_encoding=pb.ENCODING_PNG)


def test_the_command_fuses(fuse_command: str, pair: Pair, server: str, tmp_path: Path) -> None:
    missing = [program for program in ("bash", "jq", "base64") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not found")
    shutil.copy(pair.ir, tmp_path / "ir.png")
    shutil.copy(pair.vis, tmp_path / "vis.png")
    (tmp_path / "grpcurl.py").write_text(GRPCURL)
    function = f'grpcurl() {{ "{sys.executable}" grpcurl.py "$@"; }}\n'
    script = "set -euo pipefail\n" + function + fuse_command.replace("localhost:8001", server)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    pair.assert_fused(tmp_path / "fused.png")

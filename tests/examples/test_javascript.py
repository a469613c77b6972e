"""The JavaScript example keeps to the proto and, where Node and its packages are, really fuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.examples.conftest import Pair, ProtoNames

LIBRARY_OPTIONS = {"includeDirs", "keepCase", "enums", "longs", "oneofs", "recursive"}


@pytest.fixture(scope="session")
def script(examples: Path) -> Path:
    return examples / "javascript" / "fuse_client.mjs"


@pytest.fixture(scope="session")
def node() -> str:
    program = shutil.which("node")
    if program is None:
        pytest.skip("node not found")
    return program


@pytest.fixture(scope="session")
def installed_node(node: str, script: Path) -> str:
    if not (script.parent / "node_modules" / "@grpc" / "grpc-js").is_dir():
        pytest.skip("the example's packages are not installed: npm install in examples/javascript")
    return node


def call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_names_are_those_of_the_proto(script: Path, proto_names: ProtoNames) -> None:
    code = re.sub(r"//.*|\"grpc\.\w+\"", "", script.read_text())
    snake_case = set(re.findall(r"(?<![\w@/-])[a-z]+(?:_[a-z]+)+\b(?!\.mjs)", code))
    keys = set(re.findall(r"^\s*(?:\w+: \{ )?(\w+): ", code, re.MULTILINE)) - LIBRARY_OPTIONS
    values = set(re.findall(r"\"([A-Z]+(?:_[A-Z]+)+)\"", code))
    methods = set(re.findall(r"\bclient\.([A-Z]\w*)\(", code))
    assert {"output_encoding", "frame_id", "total_us"} <= snake_case
    assert {"ir", "vis", "config", "frame", "drop_policy"} <= keys
    assert (snake_case | keys) - proto_names.fields == set()
    assert "DROP_POLICY_NONE" in values
    assert values - proto_names.enum_values == set()
    assert methods == {"Fuse", "FuseStream"} & proto_names.methods
    assert set(re.findall(r"\{ (\w+) \} = grpc", code)) <= proto_names.types


def test_packages_have_exact_versions(script: Path) -> None:
    package = json.loads((script.parent / "package.json").read_text())
    assert package["dependencies"]
    for version in package["dependencies"].values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_syntax(node: str, script: Path) -> None:
    done = call(node, "--check", script)
    assert done.returncode == 0, done.stderr


def test_fuses_one_pair(installed_node: str, script: Path, server: str, pair: Pair) -> None:
    out = pair.ir.parent.parent / "fused.png"
    done = call(installed_node, script, "fuse", server, pair.ir, pair.vis, out)
    assert done.returncode == 0, done.stderr
    assert "64x48, model mean:1" in done.stdout
    pair.assert_fused(out)


def test_a_bad_frame_does_not_end_the_stream(
    installed_node: str, script: Path, server: str, pair: Pair
) -> None:
    folder = pair.ir.parent.parent
    for source in (pair.ir, pair.vis):
        shutil.copy(source, source.with_name("2.png"))
        source.with_name("0.png").write_bytes(source.read_bytes()[:100])
    done = call(
        installed_node, script, "stream", server, folder / "ir", folder / "vis", folder / "out"
    )
    assert done.returncode == 1
    assert "0.png: error: ir.data" in done.stderr
    assert "1 of 3 frames were not fused" in done.stderr
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["1.png", "2.png"]
    pair.assert_fused(folder / "out" / "2.png")


def test_prints_the_status_of_a_call_that_fails(
    installed_node: str, script: Path, server: str, pair: Pair, tmp_path: Path
) -> None:
    pair.vis.write_bytes(b"\x89PNG\r\n\x1a\n")
    done = call(installed_node, script, "fuse", server, pair.ir, pair.vis, tmp_path / "fused.png")
    assert done.returncode == 1
    assert done.stderr.startswith("gRPC status INVALID_ARGUMENT: vis.data")
    assert not (tmp_path / "fused.png").exists()

"""The C++ example keeps to the proto and compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.examples.conftest import ProtoNames

# Enough of OpenCV for the function in the README.
OPENCV = """
namespace cv { struct Mat {
  int cols, rows; unsigned char* data;
  std::size_t total() const; std::size_t elemSize() const;
}; }
"""


@pytest.fixture(scope="session")
def tool_chain() -> None:
    """Skips where the packages the example's README names are not installed."""
    programs = ("cmake", "g++", "protoc", "grpc_cpp_plugin", "pkg-config")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no C++ tool chain: {', '.join(missing)} not found")
    if subprocess.run(["pkg-config", "--exists", "grpc++"], check=False).returncode:
        pytest.skip("no C++ tool chain: gRPC's headers not found")


def run(*command: str | Path) -> str:
    """The output of a program, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def readme_function(folder: Path) -> str:
    """The C++ block of the README."""
    [block] = re.findall(r"```cpp\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return str(block)


def test_names_are_those_of_the_proto(examples: Path, proto_names: ProtoNames) -> None:
    folder = examples / "cpp"
    text = (folder / "fuse_client.cpp").read_text() + readme_function(folder)
    getters = "".join(re.findall(r"\b(?:response|timings)((?:\.\w+\(\))+)", text))
    written = re.findall(r"(?<!context\.)\b(?:set|mutable)_(\w+)\(", text)
    read = re.findall(r"\w+", getters)
    assert {"ir", "vis", "data", "encoding"} <= set(written)
    assert {"fused", "infer_us"} <= set(read)
    assert {*written, *read} - proto_names.fields == set()
    assert set(re.findall(r"\bpb::([A-Z][A-Z0-9_]+)\b", text)) - proto_names.enum_values == set()
    assert set(re.findall(r"\bpb::([A-Z]+[a-z]\w*)", text)) - proto_names.types == set()
    [method] = re.findall(r"stub->(\w+)\(", text)
    assert method in proto_names.methods


@pytest.mark.usefixtures("tool_chain")
def test_compiles(examples: Path, root: Path, tmp_path: Path) -> None:
    run(
        "protoc",
        f"-I{root / 'protos'}",
        f"--cpp_out={tmp_path}",
        f"--grpc_out={tmp_path}",
        f"--plugin=protoc-gen-grpc={shutil.which('grpc_cpp_plugin')}",
        root / "protos/crossfuse/v1/fusion.proto",
    )
    source = tmp_path / "all.cpp"
    example = examples / "cpp" / "fuse_client.cpp"
    source.write_text(f'#include "{example}"\n{OPENCV}{readme_function(example.parent)}')
    flags = run("pkg-config", "--cflags", "grpc++", "protobuf").split()
    run("g++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", f"-I{tmp_path}", *flags, source)


@pytest.mark.usefixtures("tool_chain")
def test_cmake_accepts_the_project(examples: Path, tmp_path: Path) -> None:
    run("cmake", "-S", examples / "cpp", "-B", tmp_path)

"""The cut of the project: who imports whom, and what that costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import crossfuse

PACKAGES = {
    "crossfuse": "crossfuse",
    "crossfuse_training": "training/crossfuse_training",
    "crossfuse_export": "export/crossfuse_export",
    "crossfuse_server": "server/crossfuse_server",
    "crossfuse_bench": "benchmarks/crossfuse_bench",
}
ALLOWED = {
    "crossfuse": set(),
    "crossfuse_training": {"crossfuse"},
    "crossfuse_export": {"crossfuse", "crossfuse_training"},
    "crossfuse_server": {"crossfuse"},
    "crossfuse_bench": {"crossfuse"},
}
TORCH_AT_THE_TOP = {"crossfuse_training", "crossfuse_export"}


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """The first names of the modules a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def sources(root: Path, package: str) -> list[Path]:
    found = [path for path in (root / PACKAGES[package]).rglob("*.py") if "v1" not in path.parts]
    assert found, f"no source of {package}"
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_in_one_direction(root: Path, package: str) -> None:
    forbidden = set(PACKAGES) - {package} - ALLOWED[package]
    wrong = [
        f"{path.relative_to(root)} imports {name}"
        for path in sources(root, package)
        if not (package == "crossfuse" and "cli" in path.parts)
        for name in imports(path)
        if name in forbidden
    ]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - TORCH_AT_THE_TOP))
def test_torch_is_never_imported_at_the_top(root: Path, package: str) -> None:
    wrong = [
        str(path.relative_to(root))
        for path in sources(root, package)
        if "torch" in imports(path, top_level_only=True)
    ]
    assert wrong == []


def loaded_by(code: str) -> set[str]:
    """The top-level modules a fresh interpreter has loaded after some code."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_crossfuse_loads_no_framework() -> None:
    heavy = {"torch", "onnxruntime", "grpc", "cv2", "numpy", "onnx"}
    assert loaded_by("import crossfuse") & heavy == set()


def test_help_loads_no_framework() -> None:
    code = "from crossfuse.cli import main; import contextlib, io\n"
    code += "with contextlib.redirect_stdout(io.StringIO()): main(['--help'])\n0"
    heavy = {"torch", "onnxruntime", "grpc", "cv2", "numpy", "onnx"}
    assert loaded_by(code) & heavy == set()


def test_the_server_runs_without_torch() -> None:
    assert "torch" not in loaded_by("import crossfuse_server.app")


def test_all_is_the_truth() -> None:
    for name in crossfuse.__all__:
        assert getattr(crossfuse, name) is not None
    assert set(dir(crossfuse)) == set(crossfuse.__all__)


@pytest.mark.parametrize("module", ["bundles", "engines", "images", "streaming", "metrics"])
def test_all_of_the_parts_is_the_truth(module: str) -> None:
    part = __import__(f"crossfuse.{module}", fromlist=["__all__"])
    assert len(set(part.__all__)) == len(part.__all__)
    for name in part.__all__:
        assert hasattr(part, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = crossfuse.nothing

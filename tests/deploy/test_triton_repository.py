"""deploy/triton/make_repository.py: all bundles become one repository that Triton can read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2


@pytest.fixture
def make(root: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        script = root / "deploy" / "triton" / "make_repository.py"
        return subprocess.run(
            [sys.executable, script, "-o", "repository", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_every_bundle_is_in_the_repository(
    make: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    write_bundle: Callable[..., Path],
) -> None:
    for version in (1, 2):
        write_bundle(tmp_path / "bundles", "mean", version)
    done = make("--models", "bundles", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    repository = tmp_path / "repository"
    # The one that the package brings is there as well.
    assert {folder.name for folder in repository.iterdir()} == {"mean", "crossfuse-rt"}
    for folder in repository.iterdir():
        text = (folder / "config.pbtxt").read_text()
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
        assert [tensor.name for tensor in config.input] == ["ir", "vis"]
        for version in config.version_policy.specific.versions:
            assert (folder / str(version) / config.default_model_filename).is_file()
    assert sorted(path.name for path in (repository / "mean").iterdir()) == [
        "1",
        "2",
        "config.pbtxt",
    ]


def test_a_broken_bundle_stops_it(
    make: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    broken = tmp_path / "bundles" / "mean" / "1"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("{}")
    done = make("--models", "bundles")
    assert done.returncode == 1
    assert str(Path("bundles/mean/1")) in done.stderr
    assert not (tmp_path / "repository").exists()

"""The README is run: its Python blocks in order, and its `crossfuse` command lines."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crossfuse.cli import main
from crossfuse_server.app import FusionServer
from crossfuse_server.settings import load_settings

ADDRESS = "localhost:8001"


@pytest.fixture
def folder(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a reader has it: one pair, and two folders of pairs."""
    sample = root / "crossfuse" / "assets" / "sample"
    for name in ("ir", "vis"):
        shutil.copy(sample / f"{name}.png", tmp_path)
        (tmp_path / "night" / name).mkdir(parents=True)
        shutil.copy(sample / f"{name}.png", tmp_path / "night" / name / "0001.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def address(until_serving: Callable[[FusionServer], None]) -> Iterator[str]:
    """A server that serves, where the README has localhost:8001."""
    server = FusionServer(load_settings({"port": 0}, environment={}))
    server.start()
    until_serving(server)
    yield f"localhost:{server.port}"
    server.stop()


def blocks(root: Path, language: str) -> list[str]:
    text = (root / "README.md").read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no {language} block"
    return found


def test_the_python_blocks_run(root: Path, folder: Path, address: str) -> None:
    code = "\n".join(blocks(root, "python")).replace(ADDRESS, address)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - it is our own


def test_the_commands_run(
    root: Path, folder: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "\n".join(blocks(root, "bash")).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in lines]
    ours = [words[1:] for words in commands if words[:1] == ["crossfuse"] and words[1] != "serve"]
    assert len(ours) >= 4
    for words in ours:
        code = main([word.replace(ADDRESS, address) for word in words])
        assert code == 0, f"crossfuse {shlex.join(words)}: {capsys.readouterr().err}"

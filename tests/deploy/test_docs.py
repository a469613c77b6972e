"""What the guides name exists: settings, files, make targets, and the commands' options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from crossfuse.cli import main
from crossfuse_server.settings import ENVIRONMENT_PREFIX, ServerSettings

GUIDES = (
    "docs/deploy.md",
    "docs/release.md",
    "docs/training-cluster.md",
    "deploy/triton/README.md",
)


@pytest.fixture(params=GUIDES)
def guide(request: pytest.FixtureRequest, root: Path) -> Path:
    path: Path = root / request.param
    return path


def test_variables_are_settings(guide: Path) -> None:
    named = set(re.findall(rf"{ENVIRONMENT_PREFIX}([A-Z_]+)", guide.read_text()))
    assert named <= {entry.name.upper() for entry in fields(ServerSettings)}


def test_links_and_paths_lead_somewhere(guide: Path, root: Path) -> None:
    text = guide.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (guide.parent / link).exists(), link
    for path in re.findall(r"\b(?:deploy|training|tests|protos)/[\w./-]*\w", text):
        assert (root / path).exists(), path


def test_make_targets_are_there(guide: Path, root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", guide.read_text())) <= targets


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `crossfuse` command in a text, without the command itself."""
    joined = re.sub(r"\\\n\s*", "", text)
    for found in re.findall(r"(?:-m |^\s*|')(crossfuse [a-z][^'\n|&]*)", joined, re.MULTILINE):
        yield shlex.split(found, comments=True)[1:]


def test_options_of_commands_are_theirs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [words for name in GUIDES for words in commands((root / name).read_text())]
    assert len(found) >= 6
    for words in found:
        actions = [word for word in words[:2] if re.fullmatch(r"[a-z-]+", word)]
        actions = actions if actions[0] in ("train", "export") else actions[:1]
        with pytest.raises(SystemExit):
            main([*actions, "--help"])
        listed = capsys.readouterr().out
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in listed, shlex.join(words)

"""What a release would hold. `make release` also installs it where no repository is."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from crossfuse._version import __version__
from crossfuse_deploy.wheel_contents import changelog_faults, faults, package_files


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return folder


@pytest.fixture
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path, root: Path) -> None:
    assert faults(wheel, root, __version__) == []
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "crossfuse/assets/models/crossfuse-rt/1/manifest.json" in names
    assert not [name for name in names if name.startswith(("models/", "tests/", "deploy/"))]
    assert wheel.stat().st_size < 20e6


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path, root: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in package_files(root):
        package = name.partition("/")[0]
        folders = ("", "training/", "export/", "server/", "benchmarks/")
        assert any(f"{folder}{name}" in names for folder in folders), f"{package}: {name}"
    assert not [name for name in names if name.startswith(("models/", "docs/images/"))]


def changed(wheel: Path, folder: Path, name: str, content: bytes | None) -> Path:
    """A copy of a wheel with one file more, or one less."""
    copy = folder / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(copy, "w") as target:
        for entry in source.namelist():
            if entry != name:
                target.writestr(entry, source.read(entry))
        if content is not None:
            target.writestr(name, content)
    return copy


def test_faults_are_found(wheel: Path, root: Path, tmp_path: Path) -> None:
    embedded = "crossfuse/assets/models/crossfuse-rt/1/manifest.json"
    found = faults(changed(wheel, tmp_path, embedded, None), root, __version__)
    assert found == [f"{embedded} is missing"]

    found = faults(changed(wheel, tmp_path, "tests/test_fuser.py", b""), root, __version__)
    assert found == ["tests/test_fuser.py does not belong there"]

    metadata = f"crossfuse-{__version__}.dist-info/METADATA"
    text = f"Version: {__version__}\nRequires-Dist: torch>=2\n\n".encode()
    found = faults(changed(wheel, tmp_path, metadata, text), root, __version__)
    assert found == ["the core asks for torch>=2"]

    (other,) = faults(wheel, root, "99.0.0")
    assert "99.0.0.dist-info" in other


def test_the_changelog_must_have_the_version() -> None:
    top = "# Changelog\n\n"
    kept = f"{top}## 1.2.0 - 2026-11-21\n\n### Added\n- Something.\n\n## 1.1.0 - 2026-10-01\n"
    assert changelog_faults(kept, "1.2.0") == []
    (missing,) = changelog_faults(kept, "1.3.0")
    assert "1.2.0 - 2026-11-21, 1.1.0 - 2026-10-01; valid: one '## 1.3.0 - YYYY-MM-DD'" in missing
    (empty,) = changelog_faults(kept, "1.1.0")
    assert empty == "CHANGELOG.md: the section of 1.1.0 lists nothing"
    (undated,) = changelog_faults(f"{top}## Unreleased\n- Something.\n", "1.2.0")
    assert "got the sections Unreleased" in undated

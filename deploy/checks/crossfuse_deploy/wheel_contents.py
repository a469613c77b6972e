"""What a wheel holds and asks for, compared with the checkout it was built from."""

from __future__ import annotations

import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path, PurePosixPath

HEAVY = ("torch", "onnxruntime", "onnx", "tensorrt", "ray")


def faults(wheel: Path, checkout: Path, version: str) -> list[str]:
    """What is wrong with a wheel, in words; nothing for one that may be published."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        information = f"crossfuse-{version}.dist-info"
        if f"{information}/METADATA" not in names:
            return [f"{wheel.name}: no {information}; valid: the version in crossfuse/_version.py"]
        metadata = Parser().parsestr(archive.read(f"{information}/METADATA").decode())
    inside = {name for name in names if not name.startswith(information)}
    expected = set(package_files(checkout))
    found = [f"{name} is missing" for name in sorted(expected - inside)]
    found += [f"{name} does not belong there" for name in sorted(inside - expected)]
    if metadata["Version"] != version:
        found.append(f"its version is {metadata['Version']}; valid: {version}")
    core = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    found += [f"the core asks for {line}" for line in core if line.startswith(HEAVY)]
    if f"{information}/licenses/LICENSE" not in names:
        found.append("LICENSE is missing")
    return found


def package_files(checkout: Path) -> Iterator[str]:
    """Every file of the packages that pyproject.toml names, as the wheel calls it."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        package = checkout / name
        for path in sorted(package.rglob("*")):
            if path.is_file() and not path.match("*.pyc"):
                yield PurePosixPath(package.name, path.relative_to(package)).as_posix()


def changelog_faults(changelog: str, version: str) -> list[str]:
    """Whether a changelog has a dated section of the version with something in it."""
    heading = f"## {version} - "
    sections = changelog.split("\n## ")[1:]
    dated = [part for part in sections if f"## {part}".startswith(heading)]
    if not dated:
        headings = ", ".join(part.splitlines()[0] for part in sections)
        return [f"CHANGELOG.md: got the sections {headings}; valid: one '{heading}YYYY-MM-DD'"]
    if not [line for line in dated[0].splitlines() if line.startswith("- ")]:
        return [f"CHANGELOG.md: the section of {version} lists nothing"]
    return []

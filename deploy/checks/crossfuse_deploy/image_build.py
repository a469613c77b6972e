"""Builds a target of a Dockerfile without a container engine: each stage becomes a folder."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crossfuse_deploy import roots
from crossfuse_deploy.build_context import BuildContext
from crossfuse_deploy.dockerfile import Instruction, Stage, expand, needed, read_dockerfile


@dataclass
class Image:
    """A folder with a system, and what an engine would keep beside it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": roots.SEARCH_PATH})
    labels: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    directory: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


class ImageBuilder:
    """Executes the instructions of a Dockerfile below a scratch folder.

    Debian, with Python where the base image is a Python one, takes the place of base images.
    `mounts` are folders of this machine that steps may read under the same path.
    """

    def __init__(
        self, context: Path, scratch: Path, arguments: Mapping[str, str], mounts: Sequence[Path]
    ) -> None:
        self._context = BuildContext(context)
        self._scratch = scratch
        self._arguments = dict(arguments)
        self._mounts = mounts
        self._stages = read_dockerfile(context / "Dockerfile", arguments)
        self._images: dict[str, Image] = {}

    def build(self, target: str) -> Image:
        """The image of a target; stages that are built already are used again."""
        for stage in needed(self._stages, target):
            if stage.name not in self._images:
                self._images[stage.name] = self._build(stage)
        return self._images[target]

    def _build(self, stage: Stage) -> Image:
        folder = self._scratch / stage.name
        shutil.rmtree(folder, ignore_errors=True)
        base = self._images.get(stage.base)
        roots.copy_root(base.folder if base else self._base(stage.base), folder)
        image = Image(folder)
        arguments: dict[str, str] = {}
        shell = ["/bin/sh", "-c"]
        for entry in stage.instructions:
            print(f"{stage.name}:{entry.line}: {entry.keyword} {entry.text}"[:110], file=sys.stderr)
            known = {**arguments, **image.environment}
            match entry.keyword:
                case "ARG":
                    arguments |= {
                        name: self._arguments.get(name, value)
                        for name, value in entry.pairs.items()
                    }
                case "ENV":
                    values = {name: expand(text, known) for name, text in entry.pairs.items()}
                    image.environment |= values
                case "LABEL":
                    image.labels |= {
                        name: expand(text, known) for name, text in entry.pairs.items()
                    }
                case "SHELL":
                    shell = entry.words
                case "WORKDIR":
                    image.directory = entry.argument
                    (folder / entry.argument.lstrip("/")).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(entry, image)
                case "RUN":
                    roots.run_inside(
                        folder,
                        [*shell, entry.argument],
                        {**_network_settings(), **known},
                        directory=image.directory,
                        mounts=self._mounts,
                    )
                case "USER":
                    image.user = entry.argument
                case "ENTRYPOINT":
                    image.entrypoint = entry.words
                case "CMD":
                    image.command = entry.words
                case "HEALTHCHECK" if "CMD" in entry.argument:
                    text = entry.argument.partition("CMD")[2].strip()
                    image.health = Instruction("CMD", text, entry.line).words
                case "HEALTHCHECK" | "EXPOSE":
                    pass
                case other:
                    raise ValueError(
                        f"Dockerfile line {entry.line}: got {other}, which is not executed; "
                        "valid: ARG, ENV, LABEL, SHELL, WORKDIR, COPY, RUN, USER and the like"
                    )
        return image

    def _base(self, image: str) -> Path:
        plain = self._scratch / "debian"
        if not plain.exists():
            roots.make_debian(plain)
        if not image.startswith("python:"):
            return plain
        with_python = self._scratch / "debian-python"
        if not with_python.exists():
            roots.copy_root(plain, with_python)
            roots.add_python(with_python)
        return with_python

    def _copy(self, entry: Instruction, image: Image) -> None:
        *sources, target = entry.argument.split()
        place = image.folder / os.path.join(image.directory, target).lstrip("/")  # noqa: PTH118
        origin = entry.flags.get("from")
        for source in sources:
            if origin is not None:
                found = self._images[origin].folder / source.strip("/")
                shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True)
                continue
            files = list(self._context.files(source))
            if not files:
                raise FileNotFoundError(f"line {entry.line}: {source} is not in the build context")
            for path in files:
                inside = path.name if path == Path(source) else path.relative_to(source)
                (place / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self._context.folder / path, place / inside)


def _network_settings() -> dict[str, str]:
    """What this machine's environment says about proxies and certificates."""
    names = ("http_proxy", "https_proxy", "no_proxy", "PIP_CERT", "PIP_INDEX_URL")
    return {name: os.environ[name] for name in names if name in os.environ}

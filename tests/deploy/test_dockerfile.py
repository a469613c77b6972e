"""The Dockerfile: hadolint, and the promises that no linter knows. `make docker-check` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from crossfuse._version import __version__
from crossfuse.cli import main
from crossfuse_deploy.build_context import BuildContext
from crossfuse_deploy.dockerfile import Stage, needed, read_dockerfile
from crossfuse_server.settings import ENVIRONMENT_PREFIX, ServerSettings

TARGETS = ("cpu", "gpu", "train")


@pytest.fixture(scope="module")
def stages(root: Path) -> dict[str, Stage]:
    return read_dockerfile(root / "Dockerfile", {})


def steps(stages: Mapping[str, Stage], target: str, keyword: str) -> list[str]:
    """The arguments of one kind of instruction in all stages of a target."""
    return [
        entry.argument
        for stage in needed(stages, target)
        for entry in stage.instructions
        if entry.keyword == keyword
    ]


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("hadolint")
    return subprocess.run([program, path], capture_output=True, text=True, check=False)


def test_hadolint_has_nothing_to_say(root: Path) -> None:
    done = hadolint(root / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_looks(root: Path, tmp_path: Path) -> None:
    changed = tmp_path / "Dockerfile"
    text = (root / "Dockerfile").read_text()
    changed.write_text(text.replace("--no-install-recommends", "").replace("WORKDIR /", "WORKDIR "))
    said = hadolint(changed).stdout
    assert "DL3015" in said
    assert "DL3000" in said


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_without_rights(stages: dict[str, Stage], target: str) -> None:
    stage = stages[target]
    user, entrypoint = stage.last("USER"), stage.last("ENTRYPOINT")
    # A number, because Kubernetes cannot tell that a name is not root's.
    assert user is not None
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user.argument)
    assert entrypoint is not None
    assert entrypoint.words[:2] == ["/usr/bin/tini", "--"]
    after = stage.instructions[stage.instructions.index(user) :]
    assert not [entry for entry in after if entry.keyword in ("RUN", "COPY")]


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_health_is_asked_by_our_own_command(stages: dict[str, Stage], target: str) -> None:
    health = stages[target].last("HEALTHCHECK")
    assert health is not None
    command = '["crossfuse", "health", "--server", "localhost:8001"]'
    assert health.argument.endswith(f"CMD {command}")
    with pytest.raises(SystemExit) as ended:
        main(["health", "--help"])
    assert ended.value.code == 0
    port = stages[target].last("EXPOSE")
    assert port is not None
    assert port.argument == "8001" == str(ServerSettings().port)


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_a_server_is_installed_without_torch(stages: dict[str, Stage], target: str) -> None:
    installed = " ".join(steps(stages, target, "RUN"))
    assert "torch" not in installed
    (extra,) = re.findall(r"\[(\S+),server\]", installed)
    assert extra == {"cpu": "cpu", "gpu": "${GPU_EXTRA}"}[target]


def test_every_install_is_pinned(stages: dict[str, Stage], root: Path) -> None:
    for target in TARGETS:
        for step in steps(stages, target, "RUN"):
            for command in step.split("&&"):
                if " pip install " in command:
                    assert "--constraint constraints.txt" in command or "grep '^torch=='" in command
    pins = dict(
        line.split("==")
        for line in (root / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    # onnxruntime-gpu 1.31 links libnvinfer.so.10; TensorRT 11 does not load.
    assert pins["onnxruntime-gpu"].startswith("1.31.")
    assert pins["tensorrt-cu13"].startswith("10.")


@pytest.mark.parametrize("target", TARGETS)
def test_labels_and_variables(stages: dict[str, Stage], target: str) -> None:
    labels, variables, arguments = (
        {
            name: value
            for entry in stages[target].instructions
            if entry.keyword == keyword
            for name, value in entry.pairs.items()
        }
        for keyword in ("LABEL", "ENV", "ARG")
    )
    wanted = ("title", "description", "licenses", "version", "revision", "created")
    assert labels.keys() == {f"org.opencontainers.image.{name}" for name in wanted}
    assert arguments["VERSION"] == __version__
    ours = {name for name in variables if name.startswith(ENVIRONMENT_PREFIX)}
    assert ours <= {ENVIRONMENT_PREFIX + entry.name.upper() for entry in fields(ServerSettings)}
    # Listening publicly in plain text is for whoever starts the image to decide.
    assert f"{ENVIRONMENT_PREFIX}INSECURE" not in variables


def test_build_arguments_are_explained_at_the_top(root: Path) -> None:
    text = (root / "Dockerfile").read_text()
    explained, _, body = text.partition("\nARG ")
    named = set(re.findall(r"^ARG (\w+)", f"ARG {body}", re.MULTILINE))
    assert {"PYTHON_IMAGE", "MODELS", "REVISION"} <= named
    assert [name for name in named if name not in explained] == []


def test_base_images_are_named_with_their_version(root: Path) -> None:
    text = (root / "Dockerfile").read_text()
    images = re.findall(r"^ARG \w+_IMAGE=(\S+)$", text, re.MULTILINE)
    assert len(images) == 2
    for image in images:
        _, _, tag = image.partition(":")
        assert re.match(r"\d+\.\d+", tag), image
    assert re.match(r"13\.\d+\.\d+-cudnn-runtime", images[1].partition(":")[2])


def test_models_come_by_volume_or_are_baked_in(root: Path) -> None:
    for choice in ("none", "baked"):
        stages = read_dockerfile(root / "Dockerfile", {"MODELS": choice})
        assert stages["models"].base == f"models-{choice}"
        names = [stage.name for stage in needed(stages, "cpu")]
        assert ("models-baked" in names) == (choice == "baked")


def test_what_is_copied_is_in_the_build_context_and_nothing_else(
    root: Path, stages: dict[str, Stage]
) -> None:
    context = BuildContext(root)
    sources = [
        source
        for stage in stages.values()
        for entry in stage.instructions
        if entry.keyword == "COPY" and "from" not in entry.flags
        for source in entry.argument.split()[:-1]
    ]
    assert "crossfuse/" in sources
    for source in sources:
        assert next(context.files(source), None) is not None, source
    files = {path.as_posix() for path in context.files()}
    copied = tuple(source for source in sources if source.endswith("/"))
    assert {name for name in files if not name.startswith(copied)} <= set(sources)
    assert not [name for name in files if "checkpoint/" in name or "__pycache__" in name]
    assert sum((root / name).stat().st_size for name in files) < 100e6


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("crossfuse/images/raw.py", True),
        ("crossfuse/images/__pycache__/raw.pyc", False),
        ("models/crossfuse-base/1/manifest.json", True),
        ("models/crossfuse-base/checkpoint/weights.safetensors", False),
        ("benchmarks/results/overload.md", False),
        ("benchmarks/README.md", True),
        ("tests/conftest.py", False),
        (".git/config", False),
    ],
)
def test_the_build_context_by_name(root: Path, name: str, inside: bool) -> None:
    assert BuildContext(root).contains(Path(name)) is inside

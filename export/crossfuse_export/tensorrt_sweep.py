"""Builds TensorRT engines of everything without a GPU, and reports what came of it.

python -m crossfuse_export.tensorrt_sweep -o FILE.md [--shipped-only]

The builder is TensorRT-RTX (see tensorrt_on_cpu), installed into a temporary folder for the time.
Exit code 1 where a file cannot be built, a name of the API is missing, or a graph that must be
refused is not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from crossfuse.engines.tensorrt_api import Complaints, TensorRT, made
from crossfuse.engines.tensorrt_key import Platform
from crossfuse.engines.tensorrt_profiles import DEFAULT_PROFILES, ONE_PROFILE, WORKSPACE, Profile
from crossfuse.errors import BundleError, CrossFuseError
from crossfuse.images import write_file
from crossfuse_export import tensorrt_on_cpu
from crossfuse_export.tensorrt_build import BuildFailed, BuildOptions, Built, build_engine
from crossfuse_export.tensorrt_names import missing_from_module
from crossfuse_export.tensorrt_subjects import Subject, broken, full_width, shipped, tiny
from crossfuse_training.checkpoint import git_commit

FULL_WIDTH = "base"
"""What the workspace must suffice for, beside what is shipped."""
PROFILES = {"default": DEFAULT_PROFILES, "one": (ONE_PROFILE,)}
_WORKSPACES = [1 << power for power in range(24, WORKSPACE.bit_length())]


@dataclass(frozen=True)
class Outcome:
    """One file with one set of profiles, built or not."""

    subject: Subject
    profiles: str
    built: Built | None
    need: int | None
    """The least power of two, in bytes, that the build succeeds with; None where not looked for."""
    failure: str


def sweep(trt: TensorRT, subjects: Iterable[Subject]) -> Iterator[Outcome]:
    """Build every file with the default profiles, and with the one of onnxruntime's routes."""
    for subject in tqdm(subjects, desc="engines", unit="file", disable=None):
        for label, profiles in PROFILES.items():
            build = partial(_build, trt, subject, profiles)
            try:
                built = build(WORKSPACE)
            except CrossFuseError as error:
                yield Outcome(subject, label, None, None, str(error))
                continue
            need = least_workspace(build) if subject.find_need else None
            yield Outcome(subject, label, built, need, "")


def _build(trt: TensorRT, subject: Subject, profiles: tuple[Profile, ...], workspace: int) -> Built:
    source = f"{subject.name} {subject.precision}"
    options = BuildOptions(profiles, workspace)
    return build_engine(trt, subject.content, source, options, fp32=subject.precision == "fp32")


def least_workspace(build: Callable[[int], object]) -> int:
    """The smallest of the workspaces that a build succeeds with; the largest one is known to do."""
    low, high = 0, len(_WORKSPACES) - 1
    while low < high:
        middle = (low + high) // 2
        try:
            build(_WORKSPACES[middle])
            high = middle
        except BuildFailed:
            low = middle + 1
    return _WORKSPACES[high]


def refusals(trt: TensorRT) -> tuple[str, str]:
    """What is said of a graph with bytes in a Transpose: by us, and by TensorRT alone."""
    content = broken()
    try:
        build_engine(
            trt, content, "a test graph", BuildOptions(DEFAULT_PROFILES, WORKSPACE), fp32=True
        )
        ours = ""
    except BundleError as error:
        ours = str(error)
    complaints = Complaints(trt)
    builder = made(trt.Builder, complaints, "builder")
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, complaints.logger)
    theirs = "" if parser.parse(content) else complaints.taken()
    return ours, theirs


def to_markdown(
    outcomes: Sequence[Outcome], platform: Platform, refused: tuple[str, str], missing: list[str]
) -> str:
    """One row for each engine; what failed is a row too."""
    failed = [outcome for outcome in outcomes if outcome.built is None]
    return "\n".join(
        [
            f"# TensorRT without a GPU: {len(outcomes) - len(failed)} of {len(outcomes)} engines "
            "built",
            "",
            "Made by `make trt-build`: every file is parsed, typed and built by "
            f"{platform.flavour} {platform.version} through the bindings of TensorRT "
            f"({tensorrt_on_cpu.BINDINGS.partition('==')[2]}) on a CPU, where nothing can be run. "
            "Sizes, layers and scratch memory of TensorRT itself on another GPU differ; times, "
            "results and speeds on a GPU are not measured.",
            "",
            f"- Commit {git_commit()}; workspace {WORKSPACE >> 20} MiB, no timing cache",
            *(
                f"- Profiles `{label}`: {' '.join(map(str, profiles))}"
                for label, profiles in PROFILES.items()
            ),
            "- Need: the least workspace, in powers of two, that the build succeeds with",
            f"- Names of the API that are missing: {', '.join(missing) or 'none'}",
            f"- A graph with uint8 into a Transpose, refused by us: {refused[0] or 'NOT REFUSED'}",
            f"- The same graph given to TensorRT: {refused[1][:160] or 'NOT REFUSED'}",
            "",
            "| network | file | profiles | layers | engine MB | seconds | need MiB |",
            "| --- | --- | --- | --: | --: | --: | --: |",
            *map(_row, outcomes),
            "",
        ]
    )


def _row(outcome: Outcome) -> str:
    subject, built = outcome.subject, outcome.built
    start = f"| {subject.name} | {subject.precision} | {outcome.profiles} "
    if built is None:
        return f"{start}| {outcome.failure} | | | |"
    need = "-" if outcome.need is None else str(outcome.need >> 20)
    return f"{start}| {built.layers} | {len(built.plan) / 1e6:.2f} | {built.seconds:.1f} | {need} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--shipped-only", action="store_true", help="leave out what is not shipped")
    parser.add_argument("--installed", action="store_true", help=argparse.SUPPRESS)
    given = sys.argv[1:] if arguments is None else list(arguments)
    args = parser.parse_args(given)
    if not args.installed:
        # The loader reads where libraries lie when a process starts.
        with tempfile.TemporaryDirectory(prefix="crossfuse-trt-") as folder:
            environment = tensorrt_on_cpu.install(Path(folder))
            command = [sys.executable, "-m", "crossfuse_export.tensorrt_sweep", "--installed"]
            return subprocess.run([*command, *given], env=environment, check=False).returncode  # noqa: S603
    trt, platform = tensorrt_on_cpu.load()
    subjects = shipped() if args.shipped_only else chain(shipped(), tiny(), full_width(FULL_WIDTH))
    outcomes = list(sweep(trt, subjects))
    refused, missing = refusals(trt), missing_from_module(trt)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_file(args.output, to_markdown(outcomes, platform, refused, missing).encode())
    failed = [outcome for outcome in outcomes if outcome.built is None]
    for outcome in failed:
        print(f"FAILED: {outcome.failure}", file=sys.stderr)
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} engines built: {args.output}")
    return 0 if outcomes and not failed and all(refused) and not missing else 1


if __name__ == "__main__":
    sys.exit(main())

"""Writing a bundle folder: what its path says, its manifest, and all its files at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from crossfuse.bundles import BundleFile, DataSource, Manifest, Quality, Training
from crossfuse.bundles.store import NAME_PATTERN
from crossfuse.errors import InvalidInput
from crossfuse_export.tracing import MINIMUM_SIZE
from crossfuse_export.whole_folder import whole_folder
from crossfuse_training.checkpoint import CheckpointRecord, git_commit
from crossfuse_training.describe import describe


def name_and_version(bundle: Path) -> tuple[str, int]:
    """What the last two parts of DIR/NAME/VERSION say."""
    *_, name, version = ("", "", *bundle.parts)
    if not (NAME_PATTERN.fullmatch(name) and version.isdecimal() and version[0] != "0"):
        raise InvalidInput("bundle", str(bundle), "DIR/NAME/VERSION such as models/crossfuse-rt/2")
    return name, int(version)


def make_manifest(
    bundle: Path, record: CheckpointRecord, network: nn.Module, files: Mapping[str, BundleFile]
) -> Manifest:
    """The manifest of these files, by precision, from what the checkpoint records."""
    name, version = name_and_version(bundle)
    whole = describe(network, [(480, 640)], depth=0)[0]
    held_out = record.training.held_out
    return Manifest(
        name=name,
        version=version,
        architecture=record.architecture,
        variant={"name": record.variant, **record.config},
        parameters=whole.parameters,
        macs_480x640=whole.macs["480x640"],
        minimum_size=MINIMUM_SIZE,
        head=record.head,
        files=files,
        training=Training(
            recipe=record.training.recipe,
            data=tuple(DataSource(**source) for source in record.training.data),
        ),
        quality=Quality(
            pictures="; ".join(entry.pictures for entry in held_out) or "none",
            # The trainer measures by the profile of its recipe, and records it with its options.
            profile=record.training.options.get("validation", {}).get("profile", "unknown"),
            metrics={
                f"{metric} ({entry.pictures})": value
                for entry in held_out
                for metric, value in entry.metrics.items()
            },
        ),
        checkpoint_sha256=record.weights_sha256,
        git_commit=git_commit(),
    )


def write_bundle(bundle: Path, models: Mapping[str, bytes], manifest: Manifest, card: str) -> None:
    """Everything at once, `models` by file name."""
    with whole_folder(bundle) as fresh:
        for name, content in models.items():
            (fresh / name).write_bytes(content)
        manifest.write(fresh)
        (fresh / "card.md").write_text(card, encoding="utf-8")

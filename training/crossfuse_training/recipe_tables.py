"""The tables of a recipe that are about the run itself; the others stand beside what they steer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.metrics import PROFILES, describe
from crossfuse_training.optimisation.precision import PRECISIONS
from crossfuse_training.rules import require, require_name

MODALITIES = ("ir", "vis")
LOSS_METRIC = "loss"
"""Stands for the held-out loss where a metric is asked for."""


@dataclass(frozen=True)
class Frozen:
    """Parameters that do not learn for a while."""

    prefix: str
    """Beginning of their names, such as `ir_encoder`."""
    until: float = 1.0
    """Share of the steps after which they learn too; 1 is never."""

    def __post_init__(self) -> None:
        require(0 < self.until <= 1, "network.frozen.until", self.until, "above 0, up to 1")


@dataclass(frozen=True)
class NetworkConfig:
    """What is trained, and from which weights."""

    variant: str
    """A name of the registry. Stage autoencoder trains the encoder of this variant."""
    options: Mapping[str, int | float | bool | str] = field(default_factory=dict)
    """Numbers of the variant that are replaced."""
    init: str = ""
    """Checkpoint folder to begin from, of the same variant and options; "" is fresh weights."""
    modality: str = ""
    """Stage autoencoder: ir or vis."""
    ir_encoder: str = ""
    """Stage fusion: auto-encoder checkpoint of the infrared; "" trains none beforehand."""
    vis_encoder: str = ""
    """Stage fusion: auto-encoder checkpoint of the visible picture."""
    frozen: tuple[Frozen, ...] = ()

    def __post_init__(self) -> None:
        if self.modality not in ("", *MODALITIES):
            raise UnknownName("network.modality", self.modality, MODALITIES)
        if bool(self.ir_encoder) != bool(self.vis_encoder):
            raise InvalidInput(
                "network.ir_encoder and network.vis_encoder",
                f"{self.ir_encoder!r} and {self.vis_encoder!r}",
                "both or neither",
            )
        if self.init and self.ir_encoder:
            raise InvalidInput(
                "network.init", f"{self.init!r} beside network.ir_encoder", "one of the two"
            )


@dataclass(frozen=True)
class PrecisionConfig:
    """Number format of the networks' inside; losses and statistics are always float32."""

    amp: str = "none"
    """none, bf16 or fp16 (with loss scaling)."""
    compile: bool = False
    """Run the training step through torch.compile."""

    def __post_init__(self) -> None:
        require_name("precision.amp", self.amp, PRECISIONS)


@dataclass(frozen=True)
class ValidationConfig:
    """How the held-out pictures are looked at; always whole pictures, never cuts."""

    every: int = 1000
    """Steps between validations; one more follows the last step."""
    pairs: int | None = None
    """Held-out pairs of the validations on the way, spread evenly; None is all. The last looks at
    all."""
    metric: str = LOSS_METRIC
    """What the best checkpoint is chosen by: loss (lower is better) or one of `metrics`."""
    patience: int = 0
    """Validations without improvement after which the run ends; 0 is never."""
    metrics: tuple[str, ...] = ("SSIM", "SCD", "VIF", "Qabf")
    profile: str = "cddfuse"

    def __post_init__(self) -> None:
        require(self.every >= 1, "validation.every", self.every, "1 or more")
        some = self.pairs is None or self.pairs >= 1
        require(some, "validation.pairs", self.pairs, "1 or more")
        require(self.patience >= 0, "validation.patience", self.patience, "0 or more")
        require_name("validation.profile", self.profile, PROFILES)
        known = [metric.name for metric in describe(self.profile)]
        for name in self.metrics:
            require_name("validation.metrics", name, known)
        require_name("validation.metric", self.metric, (LOSS_METRIC, *self.metrics))


@dataclass(frozen=True)
class RunConfig:
    """How often a run says and keeps what."""

    log_every: int = 50
    checkpoint_every: int = 500
    """Steps that a killed run loses at most."""
    preview_every: int = 500

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(value >= 1, f"run.{name}", value, "1 or more")


@dataclass(frozen=True)
class Tap:
    """Two features that are made alike: outputs of a module of the student and of the teacher."""

    student: str
    """Dotted name of a module whose output is [B,C,H,W]."""
    teacher: str


@dataclass(frozen=True)
class DistillConfig:
    """Stage distill: what the student learns from."""

    teacher: str
    """A checkpoint folder, or a folder of fused pictures named as the pairs are."""
    taps: tuple[Tap, ...] = ()
    """Features for [loss.feature]; only of a teacher that is a checkpoint."""

"""The tables of a recipe that are about the run itself; the others stand beside what they steer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.metrics import PROFILES, describe

MODALITIES = ("ir", "vis")
AMP_KINDS = ("none", "bf16", "fp16")
LOSS_METRIC = "loss"
"""Stands for the held-out loss where a metric is asked for."""

Option = int | float | bool | str


@dataclass(frozen=True)
class Frozen:
    """Parameters that do not learn for a while."""

    prefix: str
    """Beginning of their names, such as `ir_encoder`."""
    until: float = 1.0
    """Share of the steps after which they learn too; 1 is never."""

    def __post_init__(self) -> None:
        if not 0 < self.until <= 1:
            raise InvalidInput("network.frozen.until", str(self.until), "above 0, up to 1")


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
        if self.amp not in AMP_KINDS:
            raise UnknownName("precision.amp", self.amp, AMP_KINDS)


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
        if self.every < 1:
            raise InvalidInput("validation.every", str(self.every), "1 or more")
        if self.pairs is not None and self.pairs < 1:
            raise InvalidInput("validation.pairs", str(self.pairs), "1 or more")
        if self.patience < 0:
            raise InvalidInput("validation.patience", str(self.patience), "0 or more")
        if self.profile not in PROFILES:
            raise UnknownName("validation.profile", self.profile, PROFILES)
        known = [metric.name for metric in describe(self.profile)]
        for name in self.metrics:
            if name not in known:
                raise UnknownName("validation.metrics", name, known)
        if self.metric not in (LOSS_METRIC, *self.metrics):
            raise UnknownName("validation.metric", self.metric, (LOSS_METRIC, *self.metrics))


@dataclass(frozen=True)
class RunConfig:
    """How often a run says and keeps what."""

    log_every: int = 50
    checkpoint_every: int = 500
    """Steps that a killed run loses at most."""
    preview_every: int = 500

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise InvalidInput(f"run.{name}", str(value), "1 or more")


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

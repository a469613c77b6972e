"""The manifest of a model bundle: what it records, read and written through its JSON schema."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from crossfuse.errors import BundleError

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
PRECISIONS = ("fp32", "fp16", "int8")
Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of the graph; shapes name their dynamic dimensions."""

    name: str
    dtype: str
    shape: tuple[str | int, ...]


GRAPH_INPUTS = (
    TensorSpec("ir", "uint8", ("batch", "height", "width")),
    TensorSpec("vis", "uint8", ("batch", "height", "width", 3)),
)
GRAPH_OUTPUTS = (TensorSpec("fused", "uint8", ("batch", "height", "width", 3)),)


@dataclass(frozen=True)
class FileQuality:
    """How far a file is from the fp32 PyTorch network, in grey levels, over stated pictures."""

    pictures: str
    psnr: float | None
    """In decibels; None where nothing differs."""
    ssim: float
    max_abs: float
    mean_abs: float

    def __str__(self) -> str:
        psnr = "identical" if self.psnr is None else f"{self.psnr:.1f} dB"
        return (
            f"{psnr}, SSIM {self.ssim:.4f}, max {self.max_abs:g}, mean {self.mean_abs:.6f} "
            f"grey levels ({self.pictures})"
        )


@dataclass(frozen=True)
class BundleFile:
    """One ONNX file of a bundle."""

    path: str
    sha256: str
    opset: int
    weights: str
    quality: FileQuality
    fp32_islands: tuple[str, ...] = ()
    """Parts that stay in single precision in an fp16 file, in float in an int8 file."""
    calibration: str | None = None
    """The pictures that the ranges of an int8 file come from."""
    speedup: float | None = None
    """How many times faster than the fp32 file an int8 file ran beside it."""


@dataclass(frozen=True)
class DataSource:
    """A data set the weights were trained on."""

    name: str
    licence: str
    split: str


@dataclass(frozen=True)
class Training:
    """How the weights came to be."""

    recipe: str
    data: tuple[DataSource, ...]


@dataclass(frozen=True)
class Quality:
    """Fusion metrics on stated held-out pictures."""

    pictures: str
    profile: str
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Everything a bundle says of itself."""

    name: str
    version: int
    architecture: str
    variant: Mapping[str, Any]
    parameters: int
    macs_480x640: int
    minimum_size: int
    head: str
    files: Mapping[str, BundleFile]
    training: Training
    quality: Quality
    checkpoint_sha256: str
    git_commit: str
    inputs: tuple[TensorSpec, ...] = GRAPH_INPUTS
    outputs: tuple[TensorSpec, ...] = GRAPH_OUTPUTS
    schema: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """The manifest as JSON text, checked against the schema."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        _validate(json.loads(text), "manifest")
        return text

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into the bundle folder."""
        (folder / MANIFEST_NAME).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check `manifest.json` of a bundle folder."""
        path = folder / MANIFEST_NAME
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BundleError(
                f"{folder}: not a model bundle: it has no {MANIFEST_NAME}; "
                "give a folder NAME/VERSION that the exporter wrote"
            ) from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise BundleError(f"{path}: cannot be read as JSON: {error}") from error
        _validate(content, str(path))
        return _from_content(content)


def _from_content(content: dict[str, Any]) -> Manifest:
    files = {
        precision: BundleFile(
            **{
                **entry,
                "quality": FileQuality(**entry["quality"]),
                "fp32_islands": tuple(entry.get("fp32_islands", ())),
            }
        )
        for precision, entry in content["files"].items()
    }
    training = Training(
        recipe=content["training"]["recipe"],
        data=tuple(DataSource(**source) for source in content["training"]["data"]),
    )

    def tensors(key: str) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(spec["name"], spec["dtype"], tuple(spec["shape"])) for spec in content[key]
        )

    return Manifest(
        **{
            **content,
            "files": files,
            "training": training,
            "quality": Quality(**content["quality"]),
            "inputs": tensors("inputs"),
            "outputs": tensors("outputs"),
        }
    )


@functools.cache
def _validator() -> Callable[[Any], Any]:
    import fastjsonschema

    schema_text = Path(__file__).with_name("manifest.schema.json").read_text(encoding="utf-8")
    validator: Callable[[Any], Any] = fastjsonschema.compile(json.loads(schema_text))
    return validator


def _validate(content: Any, source: str) -> None:
    import fastjsonschema

    try:
        _validator()(content)
    except fastjsonschema.JsonSchemaValueException as error:
        # fastjsonschema calls the whole document `data`: "data.version must be integer".
        rule = error.message.replace("data", "manifest", 1)
        came = "" if isinstance(error.value, dict) else f"; got {json.dumps(error.value):.80}"
        raise BundleError(f"{source}: {rule}{came}") from error

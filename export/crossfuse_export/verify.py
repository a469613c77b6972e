"""The proof of a bundle: every file on every provider against the PyTorch network of a checkpoint.

The network runs eagerly in single precision, picture by picture. Where an fp32 file stores its
weights as fp16, the network's weights are rounded the same way first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from tqdm import tqdm

from crossfuse.arrays import UInt8Array
from crossfuse.bundles.store import Bundle
from crossfuse.engines import Engine
from crossfuse.engines.onnx import PROVIDERS, OnnxEngine
from crossfuse.errors import InvalidInput, ProviderUnavailable
from crossfuse_export.banding import check_banding
from crossfuse_export.errors import QualityMissed
from crossfuse_export.folding import folded
from crossfuse_export.onnx_files import parse_onnx
from crossfuse_export.parity import BATCHES, Case, compare, judge
from crossfuse_export.pictures import SIZES, Picture, pictures_of, real_pictures
from crossfuse_export.reference import Reference
from crossfuse_export.taps import TapDifference, compare_taps, first_difference, not_finite
from crossfuse_training.checkpoint import load, read_record

FINITE_SIZE = (33, 47)


@dataclass(frozen=True)
class Skipped:
    """A device that nothing was proven on, and why."""

    device: str
    reason: str


@dataclass(frozen=True)
class ParityReport:
    """Everything that was compared."""

    bundle: str
    checkpoint_sha256: str
    files: dict[str, str]
    """The sha256 of every file, by precision."""
    versions: dict[str, str]
    data: str
    """Where the real pictures came from."""
    cases: tuple[Case, ...]
    not_finite: dict[str, list[str]]
    """Per precision: pictures that give infinities inside the file, and where."""
    banding: tuple[str, ...]
    """What an int8 file does to smooth ramps that fp32 does not."""
    skipped: tuple[Skipped, ...]
    taps: tuple[TapDifference, ...] | None
    """Of the fp32 file, where they were asked for."""

    @property
    def missed(self) -> list[Case]:
        """The cases that miss a bar."""
        return [case for case in self.cases if case.missed]

    @property
    def passed(self) -> bool:
        """Whether every bar is reached."""
        return not self.missed and not self.banding and not any(self.not_finite.values())

    @property
    def culprit(self) -> TapDifference | None:
        """The part where the fp32 file begins to differ, where it misses its bar."""
        if self.taps is None or all(case.precision != "fp32" for case in self.missed):
            return None
        return first_difference(self.taps)


@dataclass(frozen=True)
class FileUnderTest:
    """One file of the bundle on one device."""

    precision: str
    device: str
    engine: Engine
    reference: Reference


def verify(
    bundle: Bundle,
    checkpoint: Path,
    *,
    data: Path | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
    batches: Sequence[int] = BATCHES,
    only: Collection[str] | None = None,
    taps: bool = False,
) -> ParityReport:
    """Compare every file of a bundle with its checkpoint; sizes are (height, width).

    `data` is a folder of sets of real pairs; `only` names the pictures to take, where not all are.
    With `taps` the parts of the fp32 file are compared too.
    """
    record = read_record(checkpoint)
    manifest = bundle.manifest
    if record.weights_sha256 != manifest.checkpoint_sha256:
        raise InvalidInput(
            "checkpoint",
            f"{checkpoint}, whose weights have sha256 {record.weights_sha256}",
            f"the one {bundle.reference} was made from, sha256 {manifest.checkpoint_sha256}",
        )
    if taps and "fp32" not in manifest.files:
        raise InvalidInput("taps", f"{bundle.reference}, without an fp32 file", "one that has it")
    models = {
        precision: parse_onnx(file.read(), str(file.path))
        for precision, file in ((name, bundle.file(name)) for name in manifest.files)
    }
    network = load(checkpoint)
    rounded = folded(network, weights="fp16") if _stores_half(bundle) else network
    exact = Reference(network)
    under_test, skipped = _load_files(
        bundle, exact, exact if rounded is network else Reference(rounded)
    )
    real = real_pictures(data)
    finite_pictures = pictures_of(*FINITE_SIZE, real)
    return ParityReport(
        bundle=bundle.reference,
        checkpoint_sha256=record.weights_sha256,
        files={precision: entry.sha256 for precision, entry in manifest.files.items()},
        versions={"torch": torch.__version__, "onnxruntime": onnxruntime.__version__},
        data="none but the sample" if data is None else ", ".join(picture.name for picture in real),
        cases=tuple(_cases(under_test, real, sizes, batches, only)),
        not_finite={
            precision: not_finite(model, finite_pictures) for precision, model in models.items()
        },
        banding=tuple(_banding(under_test)),
        skipped=tuple(skipped),
        taps=tuple(compare_taps(rounded, models["fp32"])) if taps else None,
    )


def _stores_half(bundle: Bundle) -> bool:
    entry = bundle.manifest.files.get("fp32")
    return entry is not None and entry.weights == "fp16"


def _load_files(
    bundle: Bundle, exact: Reference, rounded: Reference
) -> tuple[list[FileUnderTest], list[Skipped]]:
    loaded, skipped = [], []
    for device in PROVIDERS:
        try:
            for precision in bundle.manifest.files:
                engine = OnnxEngine(bundle.file(precision), device=device)
                reference = rounded if precision == "fp32" else exact
                loaded.append(FileUnderTest(precision, device, engine, reference))
        except ProviderUnavailable as error:
            skipped.append(Skipped(device, str(error)))
    return loaded, skipped


def _banding(under_test: Sequence[FileUnderTest]) -> Iterator[str]:
    for file in under_test:
        if file.precision == "int8":
            try:
                check_banding(file.reference.run, file.engine.fuse)
            except QualityMissed as error:
                yield f"int8 on {file.device}: {error}"


def _cases(
    under_test: Sequence[FileUnderTest],
    real: Sequence[Picture],
    sizes: Sequence[tuple[int, int]],
    batches: Sequence[int],
    only: Collection[str] | None,
) -> Iterator[Case]:
    references = {file.reference for file in under_test}
    for height, width in sizes:
        pictures = [
            picture
            for picture in pictures_of(height, width, real)
            if only is None or picture.name in only
        ]
        steps = len(pictures) * (len(references) + len(under_test) * len(batches))
        with tqdm(total=steps, desc=f"{height}x{width}", unit="picture", disable=None) as bar:
            expected: dict[Reference, list[tuple[UInt8Array, float | None]]] = {}
            for reference in references:
                expected[reference] = []
                for picture in pictures:
                    expected[reference].append(reference.fuse(picture))
                    bar.update()
            for file in under_test:
                for batch in batches:
                    for case in _batched(file, pictures, expected[file.reference], batch):
                        yield case
                        bar.update()


def _batched(
    file: FileUnderTest,
    pictures: Sequence[Picture],
    expected: Sequence[tuple[UInt8Array, float | None]],
    batch: int,
) -> Iterator[Case]:
    """All pictures through one file; the last batch is filled up with the first pictures."""
    for start in range(0, len(pictures), batch):
        indices = [index % len(pictures) for index in range(start, start + batch)]
        fused = file.engine.fuse(
            np.stack([pictures[index].ir for index in indices]),
            np.stack([pictures[index].vis for index in indices]),
        )
        for received, index in zip(fused, range(start, len(pictures)), strict=False):
            picture, (wanted, spread) = pictures[index], expected[index]
            difference = compare(received, wanted)
            missed, not_judged = judge(file.precision, picture.kind, spread, difference)
            height, width = picture.ir.shape
            yield Case(
                precision=file.precision,
                device=file.device,
                picture=picture.name,
                kind=picture.kind,
                size=f"{height}x{width}",
                batch=batch,
                difference=difference,
                spread=spread,
                missed=missed,
                not_judged=not_judged,
            )

"""`crossfuse export tensorrt` with a fake TensorRT and a fake CUDA driver (see the conftests).

That a real TensorRT builds the files is shown by `make trt-build`, without a GPU too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossfuse.bundles.store import open_bundle
from crossfuse.cli import main
from crossfuse.engines.tensorrt_profiles import Profile
from crossfuse.errors import BundleError, InvalidInput, UnknownName
from crossfuse_export.tensorrt_build import BuildFailed, BuildOptions, build_engine
from crossfuse_export.tensorrt_export import ExportedEngine, export_tensorrt
from crossfuse_export.tensorrt_subjects import broken

OPTIONS = BuildOptions((Profile.fixed(32, 40, (1, 1, 3)),), 64 << 20)


@pytest.fixture
def export(tensorrt: Any, mean_bundle: Path, engines: Path) -> Callable[..., ExportedEngine]:
    def run(options: BuildOptions = OPTIONS, **more: Any) -> ExportedEngine:
        (exported,) = export_tensorrt(open_bundle(mean_bundle), ["fp32"], engines, options, **more)
        return exported

    return run


def test_what_the_builder_is_told(tensorrt: Any, export: Callable[..., ExportedEngine]) -> None:
    exported = export()
    (told,) = tensorrt.told
    assert told["WORKSPACE"] == 64 << 20
    assert told["cleared"] == ["TF32"], "fp32 stays fp32"
    assert told["flags"] == [], "kernels are timed, and the times kept"
    assert told["onnx"] == exported.stored.key.onnx_sha256
    assert "hardware" not in told
    assert exported.built is not None
    assert exported.built.layers == 7
    assert json.loads(exported.stored.read())["profiles"] == [
        [[1, 32, 40], [1, 32, 40], [3, 32, 40]]
    ]
    platform = exported.stored.key.platform
    assert (platform.version, platform.capability) == ("10.16.1.11", "8.9")


def test_an_equal_engine_is_kept_and_another_is_built(
    tensorrt: Any, driver: Any, export: Callable[..., ExportedEngine]
) -> None:
    first = export()
    kept = export()
    assert kept.built is None
    assert kept.stored == first.stored
    assert export(rebuild=True).built is not None

    tensorrt.__version__ = "11.4.0.106"
    newer = export()
    assert newer.replaced == ("tensorrt 10.16.1.11, here tensorrt 11.4.0.106",)
    wider = export(replace(OPTIONS, profiles=(Profile.fixed(64, 64),)))
    assert wider.replaced == ("profiles 32x40:1,1,3, wanted 64x64:1,1,1",)
    assert len({first.stored.plan, newer.stored.plan, wider.stored.plan}) == 3
    assert driver.contexts == 0


def test_times_are_kept_for_the_next_build(
    tensorrt: Any, export: Callable[..., ExportedEngine], engines: Path
) -> None:
    export()
    export(rebuild=True)
    assert [told["cache"] for told in tensorrt.told] == [b"", b"measured;"]
    (cache,) = engines.glob("timing-tensorrt-10.16.1.11-8.9.cache")
    cache.write_bytes(b"of a stranger")
    export(rebuild=True)
    assert tensorrt.told[-1]["cache"] == b"", "begins anew"
    cache.chmod(0o666)
    with pytest.raises(BundleError, match="writable by nobody else"):
        export(rebuild=True)


def test_without_a_gpu_nothing_is_timed(tensorrt: Any, mean_bundle: Path) -> None:
    content = open_bundle(mean_bundle).file("fp32").read()
    build_engine(tensorrt, content, "a file", OPTIONS, fp32=False)
    (told,) = tensorrt.told
    assert told["flags"] == ["DISABLE_TIMING_CACHE"]
    assert told["cache"] is None
    assert told["cleared"] == []


@pytest.mark.parametrize(
    ("hardware", "level"),
    [("ampere+", "AMPERE_PLUS"), ("same-capability", "SAME_COMPUTE_CAPABILITY")],
)
def test_hardware_compatibility(
    tensorrt: Any, export: Callable[..., ExportedEngine], hardware: str, level: str
) -> None:
    exported = export(replace(OPTIONS, hardware=hardware))
    assert tensorrt.told[0]["hardware"] == level
    assert exported.stored.key.hardware == hardware


def test_hardware_that_is_older_or_unknown(
    driver: Any, export: Callable[..., ExportedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownName, match="hardware compatibility: got 'ampere'"):
        export(replace(OPTIONS, hardware="ampere"))

    def turing(value: Any, attribute: Any, device: Any) -> None:
        value._obj.value = {75: 7, 76: 5}[attribute.value]

    monkeypatch.setattr(driver, "_device_get_attribute", turing, raising=False)
    with pytest.raises(InvalidInput, match=r"ampere\+ on a GPU of compute capability 7.5"):
        export(replace(OPTIONS, hardware="ampere+"))


def test_too_little_workspace(export: Callable[..., ExportedEngine], tensorrt: Any) -> None:
    tensorrt.needs = 1 << 30
    with pytest.raises(
        BuildFailed, match=r"workspace of 64 MiB for 32x40:1,1,3: OutOfMemory .Requested size"
    ):
        export()


def test_bytes_into_a_transpose_are_refused_before_tensorrt(tensorrt: Any) -> None:
    with pytest.raises(BundleError, match=r"node 'turn': got uint8 \(vis\) into Transpose; valid:"):
        build_engine(tensorrt, broken(), "a test graph", OPTIONS, fp32=True)
    assert tensorrt.told == []


def test_the_command(
    tensorrt: Any, engines: Path, mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "tensorrt", str(mean_bundle), "--precision", "fp32"]
    assert main([*words, "--profile", "32x40:1,1,3", "--profile", "1x32x32-1x40x40-2x64x64"]) == 0
    out = capsys.readouterr().out
    assert "7 layers, built in" in out
    assert main([*words, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["built"]
    assert Path(row["plan"]).parent == engines
    assert row["replaced"][0].startswith("profiles 32x40:1,1,3 1x32x32")
    assert main(words) == 0
    assert "kept" in capsys.readouterr().out
    for bad, rule in (
        (["--precision", "fp16"], "precision of mean:1: got 'fp16'"),
        (["--profile", "640"], "profile: got '640'; valid: HEIGHTxWIDTH"),
        (["--workspace", "0"], "--workspace: got 0"),
    ):
        assert main([*words, *bad]) == 2
        assert rule in capsys.readouterr().err

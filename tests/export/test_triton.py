"""The model repository for Triton, read with Triton's own protocol buffers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from crossfuse.bundles import GRAPH_INPUTS, GRAPH_OUTPUTS, find_bundle
from crossfuse.bundles.store import open_bundle
from crossfuse.cli import main
from crossfuse.engines import load_engine
from crossfuse.engines.tensorrt_key import EngineKey, Platform
from crossfuse.engines.tensorrt_profiles import DEFAULT_PROFILES, ONE_PROFILE, Profile
from crossfuse.engines.tensorrt_store import write_engine
from crossfuse.errors import InvalidInput, ModelNotFound, UnknownName
from crossfuse_export.triton_repository import export_triton
from crossfuse_export.triton_text import Name, Value, to_text


def config_of(folder: Path) -> Any:
    text = (folder / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("device", ["tensorrt", "cuda", "cpu"])
def test_the_shipped_model(tmp_path: Path, device: str) -> None:
    bundle = find_bundle("crossfuse-rt")
    (exported,) = export_triton([bundle], tmp_path / "repo", device=device)
    config = config_of(exported.folder)
    assert config.name == exported.folder.name == "crossfuse-rt"
    assert config.backend == "onnxruntime"
    assert list(config.version_policy.specific.versions) == [bundle.manifest.version]
    precision = "fp32" if device == "cpu" else "fp16"
    model = exported.folder / str(bundle.manifest.version) / config.default_model_filename
    assert model.read_bytes() == bundle.file(precision).read()
    assert config.parameters["sha256"].string_value == bundle.manifest.files[precision].sha256
    (group,) = config.instance_group
    kinds = model_config_pb2.ModelInstanceGroup
    assert group.kind == (kinds.KIND_CPU if device == "cpu" else kinds.KIND_GPU)
    policy = config.dynamic_batching.default_queue_policy
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert policy.max_queue_size > 0
    (warm_up,) = config.model_warmup
    assert {name: list(entry.dims) for name, entry in warm_up.inputs.items()} == {
        "ir": [480, 640],
        "vis": [480, 640, 3],
    }
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert [entry.name for entry in accelerators] == (["tensorrt"] if device == "tensorrt" else [])
    if device == "tensorrt":
        options = accelerators[0].parameters
        assert config.max_batch_size == ONE_PROFILE.largest[0]
        largest = "x".join(map(str, ONE_PROFILE.largest))
        assert options["trt_profile_max_shapes"] == f"ir:{largest},vis:{largest}x3"
        assert options["trt_engine_cache_enable"] == "1"
        assert "precision_mode" not in options, "the file states its types"


def test_names_and_types_are_those_of_the_graph_contract(tmp_path: Path) -> None:
    """With the batch in front, as Triton's metadata and our own server's put it."""
    (exported,) = export_triton([find_bundle("crossfuse-rt")], tmp_path / "repo")
    config = config_of(exported.folder)
    for described, specs in ((config.input, GRAPH_INPUTS), (config.output, GRAPH_OUTPUTS)):
        found = [
            (
                tensor.name,
                model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_").lower(),
                [-1, *tensor.dims],
            )
            for tensor in described
        ]
        assert found == [
            (spec.name, spec.dtype, [size if isinstance(size, int) else -1 for size in spec.shape])
            for spec in specs
        ]


def test_it_is_the_file_that_our_server_runs(tmp_path: Path) -> None:
    """The same bytes, by the engine that the server opens; the config states what is in them."""
    (exported,) = export_triton([find_bundle("crossfuse-rt")], tmp_path / "repo", device="cpu")
    config = config_of(exported.folder)
    engine = load_engine("crossfuse-rt", device="cpu", threads=1)
    served = engine.describe()
    engine.close()
    assert (served.name, served.precision) == (
        config.name,
        config.parameters["precision"].string_value,
    )
    assert served.sha256 == config.parameters["sha256"].string_value
    content = (exported.folder / str(served.version) / "model.onnx").read_bytes()
    assert hashlib.sha256(content).hexdigest() == served.sha256
    graph = onnx.ModelProto.FromString(content).graph
    for values, described in ((graph.input, config.input), (graph.output, config.output)):
        for value, tensor in zip(values, described, strict=True):
            kind = value.type.tensor_type
            assert (value.name, kind.elem_type) == (tensor.name, onnx.TensorProto.UINT8)
            assert [size.dim_value or -1 for size in kind.shape.dim] == [-1, *tensor.dims]


def test_versions_join_one_model(tmp_path: Path, write_bundle: Callable[..., Path]) -> None:
    folders = [write_bundle(tmp_path, version=version) for version in (2, 1)]
    other = write_bundle(tmp_path, name="other")
    bundles = [open_bundle(folder) for folder in (*folders, other)]
    exported = export_triton(bundles, tmp_path / "repo", instances=3)
    assert [entry.folder.name for entry in exported] == ["mean", "other"]
    config = config_of(exported[0].folder)
    assert list(config.version_policy.specific.versions) == [1, 2]
    assert config.instance_group[0].count == 3
    assert sorted(path.name for path in exported[0].folder.iterdir()) == ["1", "2", "config.pbtxt"]


def test_engines_instead_of_onnx(tmp_path: Path, write_bundle: Callable[..., Path]) -> None:
    bundle = open_bundle(write_bundle(tmp_path))
    engines = tmp_path / "engines"
    with pytest.raises(ModelNotFound, match=r"crossfuse export tensorrt mean:1 --precision fp32"):
        export_triton([bundle], tmp_path / "repo", engines=engines)
    file = bundle.file("fp32")
    assert file.sha256 is not None
    platform = Platform("tensorrt", "10.16.1.11", "8.9")
    key = EngineKey(file.sha256, "fp32", platform, "none", DEFAULT_PROFILES)
    write_engine(engines, file, key, b"a plan")
    (exported,) = export_triton([bundle], tmp_path / "repo", engines=engines)
    config = config_of(exported.folder)
    assert config.backend == "tensorrt"
    assert config.max_batch_size == 2, "that every profile takes"
    assert list(config.instance_group[0].profile) == ["0", "1", "2", "3"]
    assert not config.HasField("optimization")
    assert (exported.folder / "1" / "model.plan").read_bytes() == b"a plan"
    assert list(config.model_warmup[0].inputs["ir"].dims) == [480, 640]
    with pytest.raises(InvalidInput, match="tensorrt, which alone runs them"):
        export_triton([bundle], tmp_path / "other", engines=engines, device="cuda")

    second = open_bundle(write_bundle(tmp_path, version=2, share=0.25)).file("fp32")
    assert second.sha256 is not None
    narrow = EngineKey(second.sha256, "fp32", platform, "none", (Profile.fixed(48, 64),))
    write_engine(engines, second, narrow, b"another plan")
    bundles = [bundle, open_bundle(second.path.parent)]
    with pytest.raises(InvalidInput, match="same profiles in every version"):
        export_triton(bundles, tmp_path / "third", engines=engines)


def test_what_is_there_is_kept_unless_told(tmp_path: Path, mean_bundle: Path) -> None:
    bundle, repository = open_bundle(mean_bundle), tmp_path / "repo"
    (first,) = export_triton([bundle], repository, device="cpu")
    (first.folder / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="--overwrite"):
        export_triton([bundle], repository)
    assert (first.folder / "notes.txt").exists()
    export_triton([bundle], repository, overwrite=True)
    assert not (first.folder / "notes.txt").exists()
    assert os.listdir(repository) == ["mean"]  # noqa: PTH208 - hidden ones too
    with pytest.raises(UnknownName, match="did you mean 'cuda'"):
        export_triton([bundle], tmp_path / "x", device="cude")
    with pytest.raises(InvalidInput, match="instances: got 0"):
        export_triton([bundle], tmp_path / "x", instances=0)


def test_the_command(tmp_path: Path, mean_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", "triton", str(mean_bundle), "-o", str(tmp_path / "repo"), "--device", "cpu"]
    assert main([*words, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["precision"], row["file"], row["max_batch_size"]) == ("fp32", "model.onnx", 1)
    assert main(words) == 2
    assert "which exists" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert "version 1, fp32 on cpu" in capsys.readouterr().out
    assert main([*words, "--overwrite", "--precision", "int8"]) == 2
    assert "precision of mean:1: got 'int8'" in capsys.readouterr().err


def test_the_text_format() -> None:
    message: dict[str, Value] = {
        "name": 'a "b"\nc',
        "max_batch_size": 2,
        "input": [{"name": "x", "data_type": Name("TYPE_UINT8"), "dims": [-1, 3]}],
        "response_cache": {"enable": True},
        "output": [],
    }
    parsed: Any = text_format.Parse(to_text(message), model_config_pb2.ModelConfig())
    assert parsed.name == 'a "b"\nc'
    assert list(parsed.input[0].dims) == [-1, 3]
    assert parsed.response_cache.enable
    assert not parsed.output

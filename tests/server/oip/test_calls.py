"""Every call of the Open Inference Protocol that is offered, by tritonclient over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import (
    InferenceServerClient,
    InferenceServerException,
    InferRequestedOutput,
    model_config_pb2,
)
from tritonclient.grpc import aio as triton_aio

import crossfuse
from crossfuse import oip
from crossfuse.bundles import find_bundle
from crossfuse.errors import EngineError
from crossfuse_export.triton_repository import export_triton


@pytest.fixture(scope="module")
def expected(models: Path) -> Callable[..., Any]:
    """What the library makes of a pair."""
    fusers = {
        version: crossfuse.load(models / "mean" / str(version), device="cpu", threads=1)
        for version in (1, 2)
    }
    return lambda ir, vis, version=1: fusers[version].fuse(ir, vis)


def test_health(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mean")
    assert client.is_model_ready("mean", "2")
    assert not client.is_model_ready("mean", "3")
    assert not client.is_model_ready("nope")


def test_a_model_that_could_not_be_loaded(
    serve: Callable[..., Any], connect: Callable[..., Any], stand_in: Any, make: Any, tensors: Any
) -> None:
    running = serve(stand_in(lambda ir, vis: vis))
    client = connect(running)
    broken = running.server.host.models[-1]
    broken.error = EngineError("no device")
    assert broken.bundle.reference == "other:1"
    assert client.is_server_ready()
    assert not client.is_model_ready("other")
    index = {(m.name, m.version): m for m in client.get_model_repository_index().models}
    assert (index["other", "1"].state, index["other", "1"].reason) == ("UNAVAILABLE", "no device")
    pair = tensors(("ir", make.ir()[None]), ("vis", make.vis()[None]))
    with pytest.raises(InferenceServerException, match="could not be loaded") as caught:
        client.infer("other", pair)
    assert caught.value.status() == "StatusCode.UNAVAILABLE"
    with pytest.raises(InferenceServerException, match="could not be loaded"):
        client.get_model_config("other")


def test_server_metadata(client: Any) -> None:
    metadata = client.get_server_metadata()
    assert (metadata.name, metadata.version) == ("crossfuse", crossfuse.__version__)
    assert list(metadata.extensions) == ["model_configuration", "schedule_policy", "statistics"]


def test_model_metadata(client: Any) -> None:
    metadata = client.get_model_metadata("mean", as_json=True)
    assert metadata == {
        "name": "mean",
        "versions": ["1", "2"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "ir", "datatype": "UINT8", "shape": ["-1", "-1", "-1"]},
            {"name": "vis", "datatype": "UINT8", "shape": ["-1", "-1", "-1", "3"]},
        ],
        "outputs": [{"name": "fused", "datatype": "UINT8", "shape": ["-1", "-1", "-1", "3"]}],
    }


def test_the_configuration_is_that_of_the_triton_export(
    client: Any, models: Path, tmp_path: Path
) -> None:
    """Whoever moves from one to the other finds the same model."""
    config = client.get_model_config("mean", "1").config
    bundles = [find_bundle(name, models) for name in ("mean:1", "mean:2")]
    (exported,) = export_triton(bundles, tmp_path / "repo", device="cpu")
    text = (exported.folder / "config.pbtxt").read_text()
    other: Any = text_format.Parse(text, model_config_pb2.ModelConfig())
    ours = model_config_pb2.ModelConfig.FromString(config.SerializeToString())
    for name in ("name", "backend", "input", "output", "version_policy"):
        assert getattr(ours, name) == getattr(other, name), name
    assert ours.platform == "onnxruntime_onnx"
    assert ours.max_batch_size == 8
    assert [(g.kind, g.count) for g in ours.instance_group] == [
        (model_config_pb2.ModelInstanceGroup.KIND_CPU, 1)
    ]
    assert ours.parameters["precision"] == other.parameters["precision"]
    policy = ours.dynamic_batching.default_queue_policy
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert policy.allow_timeout_override
    (warm_up,) = ours.model_warmup
    assert {name: list(entry.dims) for name, entry in warm_up.inputs.items()} == {
        "ir": [32, 32],
        "vis": [32, 32, 3],
    }


def test_repository_index(client: Any) -> None:
    models = client.get_model_repository_index(as_json=True)["models"]
    assert [(m["name"], m["version"], m["state"]) for m in models] == [
        ("mean", "1", "READY"),
        ("mean", "2", "READY"),
        ("other", "1", "READY"),
    ]


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_results_are_those_of_the_library(
    count: int, raw: bool, client: Any, tensors: Any, make: Any, expected: Any
) -> None:
    """Bit for bit, whether the values come raw or typed, alone or several in one request."""
    ir = np.stack([make.ir(seed=seed) for seed in range(count)])
    vis = np.stack([make.vis(seed=100 + seed) for seed in range(count)])
    inputs = tensors(("ir", ir), ("vis", vis))
    if not raw:
        for tensor, array in zip(inputs, (ir, vis), strict=True):
            tensor._raw_content = None
            tensor._get_tensor().contents.uint_contents.extend(array.ravel().tolist())
    result = client.infer("mean", inputs, request_id="a pair", model_version="1")
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("a pair", "mean", "1")
    fused = result.as_numpy("fused")
    assert fused.dtype == np.uint8
    for number in range(count):
        assert np.array_equal(fused[number], expected(ir[number], vis[number]))


def test_no_version_is_the_newest_and_no_name_the_default(
    infer: Any, make: Any, expected: Any
) -> None:
    pair = make.ir(), make.vis()
    assert np.array_equal(infer()[0], expected(*pair, version=2))
    assert np.array_equal(infer(model_version="1")[0], expected(*pair))
    assert np.array_equal(infer(model="")[0], expected(*pair)), "mean:1 by the settings"


def test_requested_outputs_and_parameters(infer: Any, make: Any, expected: Any) -> None:
    fused = infer(
        outputs=[InferRequestedOutput("fused")],
        priority=1,
        timeout=60_000_000,
        sequence_id=7,
        sequence_start=True,
        parameters={"somebody": "else's"},
    )
    assert np.array_equal(fused[0], expected(make.ir(), make.vis(), version=2))


def test_statistics_grow_by_what_was_done(client: Any, infer: Any, make: Any) -> None:
    def look() -> Any:
        (stats,) = client.get_inference_statistics("mean", "2").model_stats
        return stats

    before = look()
    infer(model_version="2")
    infer(np.stack([make.ir()] * 3), np.stack([make.vis()] * 3), model_version="2")
    with pytest.raises(InferenceServerException):
        infer(make.ir(16, 64)[None], make.vis(16, 64)[None], model_version="2")
    after = look()
    assert after.inference_count - before.inference_count == 4
    assert after.execution_count - before.execution_count == 4
    assert after.last_inference > before.last_inference
    done, had = after.inference_stats, before.inference_stats
    assert done.success.count - had.success.count == 4
    assert done.fail.count - had.fail.count == 1
    phases = ("queue", "compute_input", "compute_infer", "compute_output")
    spent = [getattr(done, name).ns - getattr(had, name).ns for name in phases]
    assert all(spent)
    assert sum(spent) == pytest.approx(done.success.ns - had.success.ns, rel=0.001)
    sizes = {batch.batch_size: batch.compute_infer.count for batch in after.batch_stats}
    assert sizes == {1: after.execution_count}


def test_statistics_of_all_models(client: Any, infer: Any) -> None:
    infer(model="other")
    found = [(m.name, m.version) for m in client.get_inference_statistics().model_stats]
    assert found == [("mean", "1"), ("mean", "2"), ("other", "1")]
    (mean, _) = client.get_inference_statistics("mean").model_stats
    assert mean.name == "mean"
    with pytest.raises(InferenceServerException, match="got 'nope'; valid: mean:1"):
        client.get_inference_statistics("nope")


def test_asyncio(server: Any, make: Any, tensors: Any, expected: Any) -> None:
    async def talk() -> Any:
        async with triton_aio.InferenceServerClient(server.address) as client:
            assert await client.is_server_ready()
            pair = tensors(("ir", make.ir()[None]), ("vis", make.vis()[None]))
            answers = await asyncio.gather(*[client.infer("mean", pair) for _ in range(8)])
            return [answer.as_numpy("fused")[0] for answer in answers]

    for fused in asyncio.run(talk()):
        assert np.array_equal(fused, expected(make.ir(), make.vis(), version=2))


NOT_OFFERED = sorted(
    method.name
    for method in oip.DESCRIPTOR.methods
    if method.name.startswith(("RepositoryModel", "System", "Cuda", "Trace", "Log"))
)


@pytest.mark.parametrize("name", NOT_OFFERED)
def test_what_is_not_offered_says_so(name: str, server: Any) -> None:
    assert len(NOT_OFFERED) == 10
    with pytest.raises(grpc.RpcError) as caught:
        server.channel.unary_unary(oip.method_path(name))(b"", timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert f"{oip.method_path(name)}: got a call; valid: " in str(caught.value.details())


def test_tokens(
    serve: Callable[..., Any], tmp_path: Path, make: Any, tensors: Any, connect: Any
) -> None:
    """Probes need none; metadata and pictures do."""
    (tmp_path / "tokens").write_text("secret\n")
    client: InferenceServerClient = connect(serve(token_file=tmp_path / "tokens"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mean")
    pair = tensors(("ir", make.ir()[None]), ("vis", make.vis()[None]))
    for call in (
        client.get_server_metadata,
        client.get_model_repository_index,
        lambda **options: client.infer("mean", pair, **options),
    ):
        with pytest.raises(InferenceServerException) as caught:
            call()
        assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
        call(headers={"authorization": "Bearer secret"})

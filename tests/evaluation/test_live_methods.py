"""Models, servers and checkpoints as methods."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from crossfuse.cli import main
from crossfuse.errors import EngineError, InvalidInput, MissingDependency, UnknownName
from crossfuse.evaluation import PictureFolder, SceneReader, live_method
from crossfuse.evaluation.servers import ServedModel
from crossfuse.fuser import load
from crossfuse.images import DEFAULT_MAPPING, LinearMapping
from crossfuse_server.app import FusionServer
from crossfuse_server.settings import load_settings
from crossfuse_training import checkpoint
from crossfuse_training.checkpoint import TrainingRecord
from crossfuse_training.checkpoint_method import checkpoint_method
from crossfuse_training.networks.config import AutoEncoderConfig
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.registry import build


@pytest.fixture
def save(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Writes a checkpoint of untrained weights, and gives torch its threads back afterwards."""
    threads = torch.get_num_threads()

    def write(network: nn.Module) -> Path:
        record = TrainingRecord("test", {}, (), checkpoint.UNKNOWN_COMMIT)
        checkpoint.save(tmp_path / "saved", network, variant="test", training=record)
        return tmp_path / "saved"

    yield write
    torch.set_num_threads(threads)


def test_a_checkpoint_fuses_luma(reader: SceneReader, save: Callable[..., Path]) -> None:
    torch.manual_seed(0)
    folder = save(build("rt", quarter_channels=8))
    method = checkpoint_method("mine", folder, threads=1)
    scene = reader.read("a")
    fused = method.fuse(scene)
    luma = scene.vis.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    ir, vis = (torch.from_numpy(np.float32(plane))[None, None] for plane in (scene.ir, luma))
    with torch.inference_mode():
        expected = checkpoint.load(folder)(ir, vis)[0, 0].numpy()
    assert fused.dtype == np.uint8
    assert fused.std() > 0
    assert np.abs(fused - expected).max() < 0.51
    assert (method.kind, method.source) == ("checkpoint", f"{folder} (luma only)")


def test_a_checkpoint_of_something_else_is_refused(save: Callable[..., Path]) -> None:
    folder = save(AutoEncoder(AutoEncoderConfig(shallow_channels=2, growth_channels=2)))
    with pytest.raises(InvalidInput, match="saved, a AutoEncoder; valid: a network that fuses"):
        checkpoint_method("mine", folder, threads=None)


def test_a_checkpoint_that_cannot_run(
    reader: SceneReader, save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = checkpoint_method("mine", save(build("rt", quarter_channels=8)), threads=None)

    def fail(*_: object) -> None:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(torch.nn.Module, "__call__", fail)
    with pytest.raises(EngineError, match="saved: no memory left"):
        method.fuse(reader.read("a"))


def test_without_torch_the_message_names_the_extra(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "crossfuse_training.checkpoint_method")
    monkeypatch.setitem(sys.modules, "torch", None)
    folders = ["--ir", str(pictures / "ir"), "--vis", str(pictures / "vis"), "-o", str(pictures)]
    assert main(["evaluate", *folders, "--checkpoint", "half=c"]) == MissingDependency.exit_code
    assert "--checkpoint needs torch" in capsys.readouterr().err


@pytest.fixture
def server(tmp_path: Path, write_bundle: Callable[..., Path]) -> Iterator[str]:
    """The address of a running server of `mean:1` and `mean:2`."""
    write_bundle(tmp_path / "models", "mean", 1, 0.25)
    write_bundle(tmp_path / "models", "mean", 2, 0.75)
    values = {"models": tmp_path / "models", "default_model": "mean:2", "threads": 1}
    settings = load_settings({"port": 0, "warm_up": "40x48", **values}, environment={})
    running = FusionServer(settings)
    running.start()
    yield f"127.0.0.1:{running.port}"
    running.stop()


@pytest.mark.parametrize("version", ["", "mean:1"])
def test_a_server_gives_what_the_model_gives(
    reader: SceneReader, server: str, tmp_path: Path, version: str
) -> None:
    scene = reader.read("b")
    with ServedModel(server, version, max_pixels=10_000) as served:
        assert served.reference == (version or "mean:2")
        remote = live_method(
            "far", "server", server, served, mapping=DEFAULT_MAPPING, polarity="white-hot"
        )
        with load(
            tmp_path / "models/mean" / served.reference[-1], device="cpu", threads=1
        ) as fuser:
            local = live_method(
                "near", "model", "here", fuser, mapping=DEFAULT_MAPPING, polarity="white-hot"
            )
            np.testing.assert_array_equal(remote.fuse(scene), local.fuse(scene))


def test_a_model_that_the_server_does_not_have(server: str) -> None:
    with pytest.raises(UnknownName, match=r"model of .*: got 'meen'.*did you mean"):
        ServedModel(server, "meen", max_pixels=10_000)


def test_models_get_the_infrared_as_the_camera_gave_it(pictures: Path) -> None:
    wide = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48) * 30
    cv2.imwrite(str(pictures / "ir/a.png"), wide)
    mapping = LinearMapping(0, 60_000)
    ir, vis = (PictureFolder(f"--{kind}", pictures / kind) for kind in ("ir", "vis"))
    reader = SceneReader(ir, vis, mapping=mapping, polarity="black-hot")
    scene = reader.read("a")
    given: dict[str, object] = {}

    class Recorder:
        def fuse(self, ir: object, vis: object, **options: object) -> object:
            given.update(ir=ir, **options)
            return scene.vis

    fuser = Recorder()
    live_method("x", "model", "here", fuser, mapping=mapping, polarity="black-hot").fuse(scene)  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.asarray(given["ir"]), wide)
    assert (given["ir_mapping"], given["ir_polarity"]) == (mapping, "black-hot")
    # The metrics see what the model sees after that: 8 bits, warm things light.
    assert scene.ir.dtype == np.uint8
    assert scene.ir[0, 0] == 255
    assert scene.ir[-1, -1] < 20

"""The perceptual term: VGG16 from a file, our own encoders, and what a file must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.checkpoint import TrainingRecord, save
from crossfuse_training.losses import Losses, LossInputs, PerceptualTerm, open_extractor
from crossfuse_training.losses.config import LossConfig
from crossfuse_training.losses.vgg16 import LAYERS, Vgg16
from crossfuse_training.networks.config import AutoEncoderConfig
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.registry import build

TINY = {
    "shallow_channels": 2,
    "growth_channels": 2,
    "half_channels": 4,
    "deep_channels": 4,
    "heads": 4,
    "decoder_channels": 4,
}


def picture(seed: int, side: int = 32) -> Tensor:
    return 255 * torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def vgg_file(tmp_path: Path) -> Path:
    """Random weights in the format of the real ones, as far as relu1_2, and a classifier's."""
    torch.manual_seed(0)
    state = Vgg16(("relu1_2",)).state_dict() | {"classifier.0.bias": torch.zeros(3)}
    path = tmp_path / "vgg16.pth"
    torch.save(state, path)
    return path


def test_layers_are_where_torchvision_has_them() -> None:
    with torch.device("meta"):
        network = Vgg16(LAYERS)
    convs = {n: tuple(p.shape) for n, p in network.named_parameters() if n.endswith("weight")}
    assert list(convs) == [
        f"features.{n}.weight" for n in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    ]
    assert convs["features.28.weight"] == (512, 512, 3, 3)
    assert network.taps[3] == "relu1_2"
    assert network.taps[22] == "relu4_3"
    assert sum(p.numel() for p in network.parameters()) == 14_714_688


def test_pictures_are_normalised_as_imagenet_is(vgg_file: Path) -> None:
    extractor = open_extractor(
        PerceptualTerm(weight=1.0, weights=str(vgg_file), layers=("relu1_1", "relu1_2"))
    )
    assert extractor is not None
    state = torch.load(vgg_file, weights_only=True)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    grey = picture(0)
    planes = [(grey / 255 - m) / d for m, d in zip(mean, deviation, strict=True)]
    first = torch.relu(
        nn.functional.conv2d(
            torch.cat(planes, dim=1),
            state["features.0.weight"],
            state["features.0.bias"],
            padding=1,
        )
    )
    second = torch.relu(
        nn.functional.conv2d(first, state["features.2.weight"], state["features.2.bias"], padding=1)
    )
    found = extractor(grey)
    assert torch.allclose(found[0], first, atol=1e-5)
    assert torch.allclose(found[1], second, atol=1e-5)


def test_it_is_frozen_and_lets_gradients_through(vgg_file: Path) -> None:
    term = PerceptualTerm(weight=1.0, weights=str(vgg_file), layers=("relu1_2",), target="visible")
    extractor = open_extractor(term)
    assert extractor is not None
    assert not extractor.training
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    losses = Losses(LossConfig(perceptual=term), extractor=extractor)
    fused, vis = picture(0).requires_grad_(), picture(1)
    torch.autograd.backward(losses(LossInputs(fused, vis, vis, vis), progress=0).total)
    assert fused.grad is not None
    assert fused.grad.abs().max() > 0


def test_safetensors_are_read_too(vgg_file: Path, tmp_path: Path) -> None:
    state = torch.load(vgg_file, weights_only=True)
    save_file(state, tmp_path / "vgg16.safetensors")
    both = [
        open_extractor(PerceptualTerm(weight=1.0, weights=str(path), layers=("relu1_2",)))
        for path in (vgg_file, tmp_path / "vgg16.safetensors")
    ]
    assert both[0] is not None
    assert both[1] is not None
    assert torch.equal(both[0](picture(0))[0], both[1](picture(0))[0])


def test_files_that_do_not_fit(vgg_file: Path, tmp_path: Path) -> None:
    def opened(path: Path, *layers: str) -> None:
        open_extractor(PerceptualTerm(weight=1.0, weights=str(path), layers=layers))

    with pytest.raises(InvalidInput, match=r"features\.5\.weight: got no such tensor"):
        opened(vgg_file, "relu2_1")
    with pytest.raises(InvalidInput, match="No such file"):
        opened(tmp_path / "absent.pth")
    with pytest.raises(UnknownName, match="did you mean 'relu1_2'"):
        opened(vgg_file, "relu12")
    (tmp_path / "noise.pth").write_bytes(b"no weights at all")
    with pytest.raises(InvalidInput, match="not readable"):
        opened(tmp_path / "noise.pth")
    (tmp_path / "noise.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(InvalidInput, match="not readable"):
        opened(tmp_path / "noise.safetensors")
    torch.save(torch.zeros(2), tmp_path / "tensor.pth")
    with pytest.raises(InvalidInput, match="which holds a Tensor"):
        opened(tmp_path / "tensor.pth")
    torch.save({"features.0.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "narrow.pth")
    with pytest.raises(InvalidInput, match=r"features\.0\.weight: got shape \(8, 3, 3, 3\)"):
        opened(tmp_path / "narrow.pth", "relu1_1")


def test_our_own_encoders_need_no_other_file(tmp_path: Path) -> None:
    record = TrainingRecord("none", {}, (), "0000000")
    torch.manual_seed(0)
    fusion = build("crossfuse", **TINY)
    save(tmp_path / "fusion", fusion, variant="crossfuse", training=record)
    sizes: dict[str, Any] = {name: size for name, size in TINY.items() if name != "heads"}
    rebuilding = AutoEncoder(AutoEncoderConfig(**sizes))
    save(tmp_path / "rebuilding", rebuilding, variant="autoencoder", training=record)
    save(tmp_path / "student", build("rt"), variant="rt", training=record)

    def opened(name: str, *layers: str) -> nn.Module | None:
        return open_extractor(
            PerceptualTerm(
                weight=1.0, extractor="encoders", weights=str(tmp_path / name), layers=layers
            )
        )

    both, one = opened("fusion"), opened("rebuilding", "half", "deep")
    assert both is not None
    assert one is not None
    assert [tuple(f.shape[1:]) for f in both(picture(0))] == [(2, 32, 32), (4, 4, 4)] * 2
    assert torch.equal(both(picture(0))[1], fusion.get_submodule("ir_encoder")(picture(0)).deep)
    assert [tuple(f.shape[1:]) for f in one(picture(0))] == [(4, 16, 16), (4, 4, 4)]
    with pytest.raises(InvalidInput, match="a checkpoint of Student"):
        opened("student")
    with pytest.raises(UnknownName, match="did you mean 'shallow'"):
        opened("fusion", "shalow")


class TwoLayers(nn.Module):
    """An injected extractor: the picture and twice the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return image, self.scale * image


def test_layer_weights_and_an_extractor_of_ones_own() -> None:
    fused, ir, vis = picture(0), picture(1), picture(2)
    inputs = LossInputs(fused, ir, vis, ir)
    to_ir, to_vis = (((fused - source) ** 2).mean().item() for source in (ir, vis))
    plain = PerceptualTerm(weight=1.0, weights="injected")
    value = Losses(LossConfig(perceptual=plain), extractor=TwoLayers())(inputs, progress=0)
    assert value.total.item() == pytest.approx(2.5 * (to_ir + to_vis) / 2, rel=1e-4)
    weighed = PerceptualTerm(
        weight=1.0,
        weights="injected",
        layers=("a", "b"),
        layer_weights=(0.1, 0.2),
        infrared_share=0.6,
    )
    value = Losses(LossConfig(perceptual=weighed), extractor=TwoLayers())(inputs, progress=0)
    assert value.total.item() == pytest.approx(0.9 * (0.6 * to_ir + 0.4 * to_vis), rel=1e-4)


def test_extractors_that_do_not_fit() -> None:
    plain = PerceptualTerm(weight=1.0, weights="injected")
    config = LossConfig(perceptual=plain)
    assert open_extractor(None) is None
    with pytest.raises(InvalidInput, match=r"loss\.perceptual: got no extractor"):
        Losses(config)
    inputs = LossInputs(picture(0), picture(1), picture(2), picture(3))
    with pytest.raises(InvalidInput, match="got one tensor; valid: a tuple of features"):
        Losses(config, extractor=nn.Identity())(inputs, progress=0)
    three = PerceptualTerm(
        weight=1.0, weights="x", layers=("a", "b", "c"), layer_weights=(1.0, 1.0, 1.0)
    )
    with pytest.raises(InvalidInput, match="got 3 factors; valid: 2"):
        Losses(LossConfig(perceptual=three), extractor=TwoLayers())(inputs, progress=0)

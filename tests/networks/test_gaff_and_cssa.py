"""The two light fusion blocks: parameter formulas, arithmetic, equal forms."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from crossfuse_training.networks.cssa import Cssa
from crossfuse_training.networks.gaff import Gaff, SeparateGuidance, SharedGuidance


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("reduction", "shared", "bottleneck"), list(product((4, 8), (False, True), (False, True)))
)
@pytest.mark.parametrize(("channels", "outputs"), [(320, 320), (128, 128), (32, 24)])
def test_gaff_parameter_formula(
    channels: int, outputs: int, reduction: int, shared: bool, bottleneck: bool
) -> None:
    block = Gaff(channels, outputs, reduction=reduction, shared=shared, bottleneck=bottleneck)
    excite = 2 * 2 * channels * (channels // reduction)
    guidance = 4 * channels**2
    merge = 2 * channels * outputs + 2 * outputs
    if bottleneck:
        merge = 2 * channels**2 + channels * outputs + 2 * channels + 2 * outputs
    assert count(block) == excite + guidance + merge


def test_gaff_totals_that_its_study_states() -> None:
    for channels, total in ((64, 28_800), (128, 114_944), (320, 717_440), (512, 1_836_032)):
        assert count(Gaff(channels, channels)) == total
    assert count(Gaff(320, 320, reduction=8, bottleneck=True)) == 769_280


def test_gaff_is_the_stated_arithmetic() -> None:
    block = Gaff(4, 4, reduction=2).eval()
    ir, vis = torch.randn(2, 2, 4, 5, 6).unbind(0)
    state = {
        name: value.flatten(1) for name, value in block.state_dict().items() if value.ndim == 4
    }

    def excited(name: str, x: torch.Tensor) -> torch.Tensor:
        hidden = (x.mean((2, 3)) @ state[f"{name}.squeeze.weight"].T).clamp(min=0)
        scale = torch.sigmoid(hidden @ state[f"{name}.excite.weight"].T)
        return x * scale[:, :, None, None]

    def pointwise(name: str, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("oc,bcyx->boyx", state[name], x)

    both = torch.cat([ir, vis], dim=1)
    x1 = excited("excite_ir", ir) + torch.sigmoid(pointwise("guidance.for_ir.weight", both)) * vis
    x2 = excited("excite_vis", vis) + torch.sigmoid(pointwise("guidance.for_vis.weight", both)) * ir
    # A fresh batch normalisation divides by sqrt(1 + 1e-5).
    merged = pointwise("merge.0.weight", torch.cat([x1, x2], dim=1)) / (1 + 1e-5) ** 0.5
    assert torch.allclose(block(ir, vis), merged, atol=1e-5)


def test_shared_guidance_is_separate_guidance() -> None:
    separate, shared = Gaff(8, 8), Gaff(8, 8, shared=True)
    state = separate.state_dict()
    halves = [state.pop("guidance.for_ir.weight"), state.pop("guidance.for_vis.weight")]
    shared.load_state_dict(state | {"guidance.conv.weight": torch.cat(halves)})
    assert isinstance(separate.guidance, SeparateGuidance)
    assert isinstance(shared.guidance, SharedGuidance)
    ir, vis = torch.randn(2, 2, 8, 5, 6).unbind(0)
    assert torch.allclose(separate(ir, vis), shared(ir, vis), atol=1e-6)


def test_cssa_parameters() -> None:
    assert count(Cssa(kernel=3, threshold=0.5)) == 2 * 3 + 2 * 49 + 1


def test_cssa_takes_weak_channels_from_the_other_modality() -> None:
    block = Cssa(kernel=1, threshold=0.5)
    with torch.no_grad():
        block.attend_ir.conv.weight.fill_(1.0)
        block.attend_vis.conv.weight.fill_(1.0)
        block.spatial.weight.zero_()
        assert block.spatial.bias is not None
        block.spatial.bias.fill_(100.0)  # takes everything from the infrared side
    ir = torch.tensor([2.0, -2.0])[None, :, None, None].expand(1, 2, 4, 4)
    vis = torch.tensor([3.0, 3.0])[None, :, None, None].expand(1, 2, 4, 4)
    fused = block(ir, vis)
    assert torch.allclose(fused[:, 0], 2 * torch.sigmoid(torch.tensor(2.0)))
    assert torch.allclose(fused[:, 1], 3 * torch.sigmoid(torch.tensor(3.0)))

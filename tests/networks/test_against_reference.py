"""The network against the published arithmetic, written down once more, step by step.

The reference shares no code with the network: it reads the published tensors by their published
names, walks the tiles in a loop, and filters with the stored box kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.official import convert_states

StateDict = dict[str, Tensor]
TILE = 32
EPSILON = 1e-6


def conv(state: StateDict, name: str, x: Tensor) -> Tensor:
    """Reflected border, convolution, and batch normalisation where the checkpoint has one."""
    weight = state[f"{name}.conv2d.0.weight"]
    border = weight.shape[-1] // 2
    if border:
        x = F.pad(x, (border, border, border, border), mode="reflect")
    x = F.conv2d(x, weight, state[f"{name}.conv2d.0.bias"])
    if f"{name}.conv2d.1.weight" in state:
        norm = f"{name}.conv2d.1"
        x = F.batch_norm(
            x,
            state[f"{norm}.running_mean"],
            state[f"{norm}.running_var"],
            state[f"{norm}.weight"],
            state[f"{norm}.bias"],
        )
    return x


def encode(state: StateDict, image: Tensor) -> tuple[Tensor, Tensor]:
    shallow = conv(state, "fea_encoder1.conv1", image / 255)
    x = shallow
    for block in ("fea_encoder1.dense_blocks.0", "fea_encoder1.dense_blocks.2"):
        x = F.max_pool2d(x, 2)
        for layer in range(3):
            x = torch.cat([x, conv(state, f"{block}.dense_conv{layer}", x)], dim=1)
        x = conv(state, f"{block}.adjust_conv", x)
    return shallow, F.max_pool2d(x, 2)


def tokens_of(tile: Tensor) -> Tensor:
    corners = [(y, x) for y in range(0, TILE, 2) for x in range(0, TILE, 2)]
    return torch.stack([tile[0, :, y : y + 2, x : x + 2].reshape(-1) for y, x in corners])


def tile_of(tokens: Tensor, channels: int) -> Tensor:
    tile = tokens.new_empty(1, channels, TILE, TILE)
    for index, token in enumerate(tokens):
        y, x = 2 * (index // (TILE // 2)), 2 * (index % (TILE // 2))
        tile[0, :, y : y + 2, x : x + 2] = token.reshape(channels, 2, 2)
    return tile


def linear(state: StateDict, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def norm(state: StateDict, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, sign: float) -> Tensor:
    size = query.shape[1] // heads
    mixed = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = sign * (query[:, part] @ key[:, part].T) * size**-0.5
        mixed.append(scores.softmax(dim=1) @ value[:, part])
    return torch.cat(mixed, dim=1)


def feed_forward(state: StateDict, block: str, x: Tensor) -> Tensor:
    hidden = F.gelu(linear(state, f"{block}.mlp.fc1", norm(state, f"{block}.norm2", x)))
    return x + linear(state, f"{block}.mlp.fc2", hidden)


def self_block(state: StateDict, block: str, x: Tensor, heads: int) -> Tensor:
    normed = linear(state, f"{block}.attn.qkv", norm(state, f"{block}.norm1", x))
    width = x.shape[1]
    query, key, value = normed[:, :width], normed[:, width : 2 * width], normed[:, 2 * width :]
    x = x + linear(state, f"{block}.attn.proj", attend(query, key, value, heads, 1.0))
    return feed_forward(state, block, x)


def cross_block(state: StateDict, module: str, a: Tensor, b: Tensor, heads: int) -> Tensor:
    block = f"{module}.blocks.0"
    asked, answer = norm(state, f"{block}.norm1", a), norm(state, f"{block}.norm1", b)
    query = linear(state, f"{block}.attn.q_linear", asked)
    key = linear(state, f"{block}.attn.k_linear", answer)
    value = linear(state, f"{block}.attn.v_linear", answer)
    x = b + linear(state, f"{block}.attn.proj", attend(query, key, value, heads, -1.0))
    return norm(state, f"{module}.norm", feed_forward(state, block, x))


def fuse_tile(state: StateDict, ir: Tensor, vis: Tensor, heads: int) -> Tensor:
    """The cross-attention module on one tile, with the half-tile shift of the published tests."""
    channels = ir.shape[1]
    first = "cross_atten_block.self_atten_block1"
    a = self_block(state, f"{first}.self_atten1.blocks.0", tokens_of(ir), heads)
    b = self_block(state, f"{first}.self_atten2.blocks.0", tokens_of(vis), heads)
    second = "cross_atten_block.self_atten_block2"
    shifted = []
    for tokens, number in ((a, 1), (b, 2)):
        rolled = torch.roll(tile_of(tokens, channels), (-16, -16), dims=(2, 3))
        result = self_block(
            state, f"{second}.self_atten{number}.blocks.0", tokens_of(rolled), heads
        )
        back = torch.roll(tile_of(result, channels), (16, 16), dims=(2, 3))
        shifted.append(tokens_of(back))
    cross = "cross_atten_block.cross_atten_block"
    y1 = cross_block(state, f"{cross}.cross_atten1", shifted[0], shifted[1], heads)
    y2 = cross_block(state, f"{cross}.cross_atten2", shifted[1], shifted[0], heads)
    return tile_of(y1 + y2, channels)


def fuse_deep(state: StateDict, ir: Tensor, vis: Tensor, heads: int) -> Tensor:
    height, width = ir.shape[2:]
    right, below = -width % TILE, -height % TILE
    ir, vis = (F.pad(x, (0, right, 0, below), mode="reflect") for x in (ir, vis))
    fused = torch.empty_like(ir)
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            cut = (slice(None), slice(None), slice(y, y + TILE), slice(x, x + TILE))
            fused[cut] = fuse_tile(state, ir[cut], vis[cut], heads)
    return fused[:, :, :height, :width]


def decode(
    state: StateDict, cam: Tensor, ir: tuple[Tensor, Tensor], vis: tuple[Tensor, Tensor]
) -> Tensor:
    box = state["decoder_fusion.weight.conv_de.weight"]
    sums = [F.conv2d(x[1], box, padding=1) for x in (ir, vis)]
    total = sums[0] + sums[1] + EPSILON
    x = cam + sums[0] / total * ir[1] + sums[1] / total * vis[1]
    x = conv(state, "decoder_fusion.conv1", x)
    for layer in (0, 2, 4):
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = conv(state, f"decoder_fusion.conv_block.{layer}", x)
    down, across = ir[0].shape[2] - x.shape[2], ir[0].shape[3] - x.shape[3]
    sides = (across // 2, across - across // 2, down // 2, down - down // 2)
    x = F.pad(x, sides, mode="reflect")
    box = state["decoder_fusion.weight.conv_sh.weight"]
    detail = [((f[0] - F.conv2d(f[0], box, padding=1)) ** 2).sqrt() for f in (ir, vis)]
    total = detail[0] + detail[1] + EPSILON
    x = x + 0.5 * (detail[0] / total) * ir[0] + detail[1] / total * vis[0]
    return conv(state, "decoder_fusion.conv_last", x)


def reference(states: dict[str, StateDict], ir: Tensor, vis: Tensor, heads: int) -> Tensor:
    ir_features, vis_features = encode(states["ir_encoder"], ir), encode(states["vis_encoder"], vis)
    cam = fuse_deep(states["fusion"], ir_features[1], vis_features[1], heads)
    out = decode(states["fusion"], cam, ir_features, vis_features)
    low, high = out.amin(), out.amax()
    return (out - low) / (high - low + EPSILON) * 255


def narrow() -> CrossFuseConfig:
    return CrossFuseConfig(
        shallow_channels=8,
        growth_channels=8,
        half_channels=16,
        deep_channels=16,
        decoder_channels=16,
        heads=8,
    )


@pytest.mark.parametrize(
    ("config", "size"),
    [
        pytest.param(CrossFuseConfig(), (256, 256), id="published-256x256"),
        pytest.param(CrossFuseConfig(), (270, 360), id="published-270x360"),
        pytest.param(narrow(), (480, 640), id="narrow-480x640"),
        pytest.param(narrow(), (136, 143), id="narrow-smallest-published-size"),
    ],
)
def test_equals_the_published_arithmetic(
    config: CrossFuseConfig,
    size: tuple[int, int],
    published: Callable[[CrossFuseConfig], dict[str, StateDict]],
    picture: Callable[..., Tensor],
) -> None:
    states = published(config)
    network, _ = convert_states(states, config)
    ir, vis = picture(*size, seed=0), picture(*size, seed=1)
    with torch.no_grad():
        fused = network(ir, vis)
        expected = reference(states, ir, vis, config.heads)
    assert fused.shape == expected.shape == (1, 1, *size)
    assert float((fused - expected).abs().max()) < 1e-3
    assert float(fused.std()) > 5, "the pictures must not be degenerate"


def test_equals_it_on_features_around_zero(
    published: Callable[[CrossFuseConfig], dict[str, StateDict]], picture: Callable[..., Tensor]
) -> None:
    """Shares of sums near zero are huge; in double precision both ways still agree."""
    config = narrow()
    states = published(config)
    for name in ("ir_encoder", "vis_encoder"):
        states[name]["fea_encoder1.dense_blocks.2.adjust_conv.conv2d.0.bias"] -= 3
    network, _ = convert_states(states, config)
    network.double()
    doubled = {
        field: {name: value.double() for name, value in state.items()}
        for field, state in states.items()
    }
    ir, vis = picture(141, 199, seed=0).double(), picture(141, 199, seed=1).double()
    with torch.no_grad():
        expected = reference(doubled, ir, vis, config.heads)
        assert float((network(ir, vis) - expected).abs().max()) < 1e-6


def test_the_reference_notices_another_network(
    published: Callable[[CrossFuseConfig], dict[str, StateDict]], picture: Callable[..., Tensor]
) -> None:
    config = narrow()
    states = published(config)
    network, _ = convert_states(states, config)
    softened = CrossFuse(replace(config, shallow_ir_scale=0.6)).eval()
    softened.load_state_dict(network.state_dict())
    ir, vis = picture(136, 143, seed=0), picture(136, 143, seed=1)
    with torch.no_grad():
        expected = reference(states, ir, vis, config.heads)
        assert float((softened(ir, vis) - expected).abs().max()) > 0.1

"""The convolutions of VGG16 up to the layer that is needed, with weights from a file.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
2015, configuration D. The weights are those that torchvision publishes, or any state dict with
its names (`features.N.weight`); nothing is downloaded.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from crossfuse.errors import InvalidInput, UnknownName

_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
LAYERS = tuple(
    f"relu{block}_{conv}"
    for block, widths in enumerate(_BLOCKS, start=1)
    for conv in range(1, len(widths) + 1)
)
USUAL_LAYERS = ("relu1_2", "relu2_2", "relu3_3")
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_KEY = "perceptual extractor vgg16"


class Vgg16(nn.Module):
    """Features of a grey picture [B,1,H,W] in 0..255, after the activations that are named."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: Sequence[str] = USUAL_LAYERS) -> None:
        super().__init__()
        for name in layers:
            if name not in LAYERS:
                raise UnknownName(f"{_KEY}: layer", name, LAYERS)
        self.layers = tuple(layers)
        built: list[nn.Module] = []
        self.taps: dict[int, str] = {}
        """Position in `features` of each activation that is wanted."""
        last = max(LAYERS.index(name) for name in layers)
        inputs = 3
        for name in LAYERS[: last + 1]:
            block, conv = (int(part) for part in name.removeprefix("relu").split("_"))
            if conv == 1 and block > 1:
                built.append(nn.MaxPool2d(2))
            outputs = _BLOCKS[block - 1][conv - 1]
            built += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            if name in layers:
                self.taps[len(built) - 1] = name
            inputs = outputs
        self.features = nn.ModuleList(built)
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        current = (picture.expand(-1, 3, -1, -1) / 255 - self.mean) / self.deviation
        found = {}
        for position, module in enumerate(self.features):
            current = module(current)
            if position in self.taps:
                found[self.taps[position]] = current
        return tuple(found[name] for name in self.layers)


def load_vgg16(path: Path, layers: Sequence[str] = USUAL_LAYERS) -> Vgg16:
    """The network with the weights of a file; tensors of later layers are not needed."""
    network = Vgg16(layers)
    given = _read(path)
    needed = network.state_dict()
    for name, tensor in needed.items():
        wanted = f"a tensor of shape {tuple(tensor.shape)}"
        if name not in given:
            raise InvalidInput(f"{path}: {name}", "no such tensor", wanted)
        if given[name].shape != tensor.shape:
            raise InvalidInput(f"{path}: {name}", f"shape {tuple(given[name].shape)}", wanted)
        if not bool(torch.isfinite(given[name]).all()):
            raise InvalidInput(f"{path}: {name}", "values that are not finite", wanted)
    network.load_state_dict({name: given[name] for name in needed})
    return network


def _read(path: Path) -> dict[str, Tensor]:
    valid = "a state dict of VGG16 with torchvision's names, in .pth or .safetensors"
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidInput(_KEY, f"{path} ({error.strerror or error})", valid) from None
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(_KEY, f"{path}, not readable ({reason})", valid) from None
    if not isinstance(content, dict):
        raise InvalidInput(_KEY, f"{path}, which holds a {type(content).__name__}", valid)
    return content

"""The processes of a run: one, or as many as torchrun started, each with its rows of a batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from crossfuse.errors import InvalidInput


@dataclass(frozen=True)
class Workers:
    """This process among those of the run."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """The rows of a global batch that are this process's."""
        if batch % self.count:
            raise InvalidInput("batch", str(batch), f"a multiple of the {self.count} processes")
        share = batch // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes, in one exchange."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """The mean of each value over the processes."""
        if self.count == 1:
            return dict(values)
        flat = torch.tensor(list(values.values()), dtype=torch.float64, device=self.device)
        dist.all_reduce(flat)
        return dict(zip(values, (flat / self.count).tolist(), strict=True))

    def from_first(self, value: Any) -> Any:
        """What the first process gives, in all of them."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


def open_workers() -> Workers:
    """The processes that torchrun started, or this one alone; on a GPU where there is one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    place = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", place) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if count == 1:
        return Workers(0, 1, device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo")
    return Workers(dist.get_rank(), count, device)


def close_workers() -> None:
    """End what `open_workers` began."""
    if dist.is_initialized():
        dist.destroy_process_group()


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics are those of all processes' rows together.

    torch's own works on GPUs alone. Every process has the same number of values.
    """

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return super().forward(features)
        count = dist.get_world_size()
        single = features.float()
        mean = _sum_of_all(single.mean((0, 2, 3))) / count
        centred = single - mean[:, None, None]
        variance = _sum_of_all(centred.square().mean((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach(), count * features[:, 0].numel())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        result: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return result.to(features.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, values: int) -> None:
        share = self.momentum or 0.0
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * values / (values - 1), share)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


class _SumOfAll(torch.autograd.Function):
    """The sum over the processes; so is its gradient."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum_of_all(values: Tensor) -> Tensor:
    total: Tensor = _SumOfAll.apply(values)  # type: ignore[no-untyped-call]
    return total


def share_statistics(network: nn.Module, workers: Workers) -> None:
    """Let the batch norms of a network see the rows of all processes; names and weights stay."""
    if workers.count == 1:
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm

"""Several processes as one: what `torchrun` started, or this process alone.

The global batch is cut into shares, gradients are summed over the ranks, and noise is drawn by place in the global
batch: N processes compute what one would. Only rank 0 writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from morphogen.errors import UserError

__all__ = ["Ranks", "together"]

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Ranks:
    """This process among its peers."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Sum each tensor over all ranks, in place, as one message."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1).float() for t in tensors])
        distributed.all_reduce(flat)
        start = 0
        for t in tensors:
            t.copy_(flat[start : start + t.numel()].view_as(t))
            start += t.numel()

    def any(self, mine: bool) -> bool:
        """Whether it is so on any rank."""
        if self.world == 1:
            return mine
        flag = torch.tensor(float(mine), device=self.device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag.item())

    def first(self, mine: float) -> float:
        """What rank 0 says."""
        if self.world == 1:
            return mine
        said = torch.tensor(mine, dtype=torch.float64, device=self.device)
        distributed.broadcast(said, 0)
        return float(said)

    def agree(self, what: str, sha256: str) -> None:
        """Refuse to start where the ranks were given different things."""
        if self.world == 1:
            return
        mine = torch.tensor(list(bytes.fromhex(sha256)), dtype=torch.uint8, device=self.device)
        all_of_them = [torch.empty_like(mine) for _ in range(self.world)]
        distributed.all_gather(all_of_them, mine)
        differ = [rank for rank, theirs in enumerate(all_of_them) if not torch.equal(theirs, all_of_them[0])]
        if differ:
            raise UserError(
                f"the ranks disagree on the {what}: rank {differ} has another than rank 0; give all the same"
            )

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            distributed.barrier()


@contextmanager
def together(device: torch.device) -> Iterator[Ranks]:
    """The ranks that torchrun announced in the environment, joined for the length of the block."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks(device=device)
        return
    rank = int(os.environ["RANK"])
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=timedelta(minutes=5))
    try:
        yield Ranks(rank, world, device)
    finally:
        distributed.destroy_process_group()

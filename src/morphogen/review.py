"""What validation says: the mean of each measure of the model, and for one that has no loss of its own, how far what it
makes is from what it is held against."""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen import machine
from morphogen.core import noise
from morphogen.core.model import Model, Samples
from morphogen.core.noise import Noise
from morphogen.data.batches import Batches
from morphogen.data.dataset import Dataset, Split
from morphogen.metrics.sliced import carry
from morphogen.plan import LOOK_AT_MOST

__all__ = ["review"]

ROWS, WAYS = 500, 128  # how many are held against as many samples, along how many directions


def review(
    model: Model, data: Dataset, device: torch.device, precision: torch.dtype, most: int = LOOK_AT_MOST
) -> dict[str, float]:
    """The mean of each measure over (the first examples of) the validation split."""
    split: Split | None = data.splits.get("valid")
    if split is None or len(split) == 0:
        return {}
    model.eval()
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    count, first = 0, torch.empty(0)
    with torch.inference_mode(), machine.autocast(device, precision):
        for index, batch in enumerate(Batches(data, "valid", ROWS, device=device).sweep(ROWS)):
            first = first if index else batch.x
            with noise.source(Noise(0, "valid", index)):
                for name, value in model.review(batch).items():
                    sums[name] = sums.get(name, 0.0) + float(value.double().nansum())
                    counts[name] = counts.get(name, 0) + int((~value.isnan()).sum())
            count += len(batch)
            if count >= most:
                break
        said = {name: value / counts[name] for name, value in sums.items() if counts[name]}
        if "loss" not in said and isinstance(model, Samples):
            with noise.source(Noise(0, "valid", -1)):
                said["distance"] = distance(model.sample(ROWS), first)
    return said


def distance(made: Tensor, real: Tensor) -> float:
    """The sliced Wasserstein distance of values as they are: cheap, and small only where they are alike."""
    ways = torch.randn(real[0].numel(), WAYS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ways /= ways.norm(dim=0)
    x, y = ((t.double().flatten(1).cpu() @ ways).T for t in (made, real))
    return carry(x, y)

"""Stacked MNIST: three digits as the colours of one picture, so a thousand modes that can be counted.

After "VEEGAN: reducing mode collapse in GANs using implicit variational learning" (Srivastava et al. 2017).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.noise import Noise
from morphogen.core.space import Image
from morphogen.data.dataset import Dataset, Split
from morphogen.data.named import mnist
from morphogen.data.stamp import dataset_of
from morphogen.errors import UserError

__all__ = ["stacked_mnist"]

PLACES = (100, 10, 1)  # of the digit in the red, the green and the blue channel
MOST = 1_000_000  # examples: 2.4 GB


@register("data", "stacked-mnist")
def stacked_mnist(*, count: PositiveInt = 50_000, valid: NonNegativeInt = 10_000, seed: int = 0) -> Dataset:
    """Three MNIST digits drawn at random as red, green and blue, 28x28; the label is their number, 000 to 999.

    `count`: examples for training. Those for validation are made of the last `valid` training digits, those for testing
    of the test digits, as many as there are digits.
    """
    if count > MOST:
        raise UserError(f"count = {count:,} pictures do not fit in memory; take at most {MOST:,}")
    digits = mnist(valid=valid).splits
    sizes = {"train": count, "valid": valid, "test": len(digits["test"])}
    parts = {name: _stacked(digits[name], name, size, seed) for name, size in sizes.items()}
    words = tuple(f"{number:03d}" for number in range(1000))
    protocol = (
        f"{count:,} triples of the training digits but the last {valid:,}, {valid:,} of those for validation, "
        f"{sizes['test']:,} of the test digits; seed {seed}"
    )
    options = {"count": count, "valid": valid, "seed": seed}
    data = dataset_of(
        "stacked-mnist", Image(28, 28, 3), parts, options, classes=words, licence="CC BY-SA 3.0", protocol=protocol
    )
    return replace(data, judge="own:mnist")  # which reads one digit at a time


def _stacked(digits: Split, name: str, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """Pictures and numbers. A longer set begins with the shorter one of the same seed."""
    assert digits.y is not None
    draw = Noise(seed, f"stacked-mnist/{name}").generator(torch.device("cpu"))
    rows = torch.randint(0, max(len(digits), 1), (count, 3), generator=draw)
    x = torch.empty(count, 28, 28, 3, dtype=torch.uint8)
    for channel in range(3):  # one at a time, so that no more than a third is ever held twice
        x[..., channel] = digits.x.gather(rows[:, channel])[..., 0]
    y = (digits.y.long()[rows] * torch.tensor(PLACES)).sum(1)
    return x, y

"""A small classifier of the data's own labels, whose last hidden layer scores look through: a network that knows digits
says more of digits than one that knows ImageNet (as in Binkowski et al. 2018, who score MNIST through a LeNet).

It is taught once for a data set, by a fixed seed, on the CPU, with one thread: so it does not depend on the machine's
cores. What it gets right of held-out examples is stated beside every score.

    examples on a grid: fold to about 14 x 14 sites, two convolutions with batch norm, each halving the grid
    others:             two hidden layers
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad, pixel_unshuffle

from morphogen.core.batch import Batch
from morphogen.core.noise import Initialisation
from morphogen.core.space import Space, Tokens
from morphogen.errors import UserError

__all__ = ["Classifier", "Own", "accuracy", "enough", "teach"]

SITES, WIDTHS, HIDDEN = 14, (32, 64), 64
STEPS, EPOCHS, BATCH, RATE = (200, 1500), 20, 128, 4e-3


class Classifier(nn.Module):
    """Examples to features and the logits of classes."""

    def __init__(self, space: Space, classes: int) -> None:
        super().__init__()
        self.space, self.classes = space, classes
        if isinstance(space, Tokens):
            raise UserError(f"features = own is a classifier of numbers and this data is of {space.kind}; give pairs")
        self.grid = len(space.sites) == 2
        self.fold = max(round(min(space.sites) / SITES), 1) if self.grid else 1
        self.body = self._on_a_grid() if self.grid else self._flat()
        self.head = nn.Linear(HIDDEN, classes)

    def _on_a_grid(self) -> nn.Sequential:
        layers: list[nn.Module] = []
        inp, sites = self.space.depth * self.fold**2, [-(-side // self.fold) for side in self.space.sites]
        for width in WIDTHS:
            layers += [nn.Conv2d(inp, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.MaxPool2d(2, ceil_mode=True)]
            inp, sites = width, [-(-side // 2) for side in sites]
        return nn.Sequential(*layers, nn.Flatten(), *_last(inp * sites[0] * sites[1]))

    def _flat(self) -> nn.Sequential:
        wide = 4 * HIDDEN
        return nn.Sequential(nn.Flatten(), nn.Linear(self.space.size, wide), nn.ReLU(), *_last(wide))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.grid:
            low, wide = (-side % self.fold for side in self.space.sites)
            x = pixel_unshuffle(pad(x, (0, wide, 0, low)), self.fold)
            x = x.contiguous(memory_format=torch.channels_last)
        seen = self.body(x)
        return seen, self.head(seen)


def _last(inp: int) -> list[nn.Module]:
    """The layer that scores look at: each number of variance one before it is cut, so that distances have a scale."""
    return [nn.Linear(inp, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN, affine=False), nn.ReLU()]


def teach(
    space: Space, classes: int, batch: Callable[[int], Batch], *, steps: int = STEPS[1], seed: int = 0
) -> Classifier:
    """A classifier taught by `batch(step)`, of `BATCH` labelled examples each; the same ones make the same weights."""
    with _one_thread(), torch.inference_mode(False), torch.enable_grad():
        with Initialisation(seed):
            net = Classifier(space, classes)
        net = net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
        rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=max(steps, 2), pct_start=0.2)
        for step in range(steps):
            shown = batch(step)
            assert shown.y is not None
            loss = cross_entropy(net(shown.x)[1], shown.y)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            rates.step()
    still: Classifier = net.eval().requires_grad_(False)
    return still


def enough(examples: int) -> int:
    """Steps for so many examples: twenty times through them, within bounds."""
    return min(max(EPOCHS * examples // BATCH, STEPS[0]), STEPS[1])


def accuracy(net: Classifier, batches: Iterable[Batch]) -> float:
    """The share of examples whose class it says."""
    right = total = 0
    with torch.inference_mode():
        for shown in batches:
            assert shown.y is not None
            right += int((net(shown.x)[1].argmax(1) == shown.y).sum())
            total += len(shown)
    return right / max(total, 1)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Own:
    """What a taught classifier sees. One of single channels looks at examples of several channel by channel."""

    def __init__(self, net: Classifier, name: str, space: Space, tested: dict[str, Any]) -> None:
        self.net, self.name, self.space, self.tested = net, name, space, tested
        alike = (net.space.kind, net.space.sites) == (space.kind, space.sites)
        if not alike or net.space.depth not in (1, space.depth):
            raise UserError(
                f"{name} looks at {net.space.kind} {tuple(net.space.shape)}, and these are {space.kind} "
                f"{tuple(space.shape)}; give features = own (of this data), or pixels"
            )
        self.channels = 1 if net.space.depth == space.depth else space.depth

    @property
    def classes(self) -> int:
        """How many classes an example can be of: of each channel one."""
        return int(self.net.classes**self.channels)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts = x.reshape(-1, *self.net.space.shape) if self.channels > 1 else x
        with _one_thread():  # more of them would change last bits
            seen, logits = self.net(parts.float().cpu())
        chances = torch.softmax(logits, 1).reshape(len(x), -1)  # of several channels: those of each, side by side
        return seen.reshape(len(x), -1), chances

    def labels(self, chances: Tensor) -> Tensor:
        """The class of each channel of each example, (n, channels)."""
        return chances.reshape(len(chances), self.channels, self.net.classes).argmax(2)

    def facts(self) -> dict[str, Any]:
        return {"features": self.name, "classifier": self.tested}

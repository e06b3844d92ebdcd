"""What scores of samples look at: numbers that an extractor sees in examples. It is part of every score's name, since
a Fréchet distance of pixels and one of Inception's features (Heusel et al. 2017) have nothing to do with each other.

    pixels   the values themselves, for any space of numbers
    pairs    how often each symbol and each pair of neighbours occurs, for symbols
    own      the last hidden layer of a small classifier of the data's own labels (classifier.py)
    inception   of a network trained on ImageNet (inception.py)

Whatever batches examples come in, they are looked at in blocks of the same size: not a bit depends on the caller's.
Where rows are shuffled, it is by what they hold and not by where they stand: their order changes nothing either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from morphogen.core.batch import Batch
from morphogen.core.noise import Noise
from morphogen.core.space import Space, Tokens
from morphogen.errors import UserError
from morphogen.metrics.likelihood import blocks

__all__ = ["Extractor", "Pairs", "Pixels", "Seen", "as_seen", "comparable", "see", "shuffled", "square_distances"]

BLOCK = 250  # examples that are looked at at once
BUCKETS = 1024
SPREAD = 0x1E3779B97F4A7C15 * 2 + 1  # an odd number: multiplying by it loses nothing


class Extractor(Protocol):
    """Examples to rows of numbers and, where it knows classes, to the chance of each."""

    name: str
    space: Space

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor | None]: ...

    def facts(self) -> dict[str, Any]:
        """What is to be known of it, for the protocol."""
        ...


@dataclass(frozen=True)
class Seen:
    """Examples as an extractor sees them: a row each; `of` says which examples, `features` what looked at them."""

    x: Tensor
    features: str
    of: str = "samples"
    chances: Tensor | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, chosen: Tensor) -> Seen:
        """Some of them."""
        chances = None if self.chances is None else self.chances[chosen]
        return Seen(self.x[chosen], self.features, self.of, chances, self.facts)


class Pixels:
    """The values themselves, flat."""

    name = "pixels"

    def __init__(self, space: Space) -> None:
        if isinstance(space, Tokens):
            raise UserError("pixels are numbers and this data is made of symbols; give features = pairs")
        self.space = space

    def __call__(self, x: Tensor) -> tuple[Tensor, None]:
        return x.flatten(1).float(), None

    def facts(self) -> dict[str, Any]:
        return {"features": self.name}


class Pairs:
    """The share of each symbol and of each pair of neighbours, in at most 1,024 buckets each."""

    name = "pairs"

    def __init__(self, space: Space) -> None:
        if not isinstance(space, Tokens):
            raise UserError(f"pairs are of symbols and this data is of kind {space.kind}; give features = pixels")
        self.space: Space = space
        self.levels = space.levels

    def __call__(self, x: Tensor) -> tuple[Tensor, None]:
        x = x.long()
        return torch.cat(
            [_shares(x, self.levels), _shares(x[:, :-1] * self.levels + x[:, 1:], self.levels**2)], 1
        ), None

    def facts(self) -> dict[str, Any]:
        return {"features": self.name}


def _shares(x: Tensor, levels: int) -> Tensor:
    width = min(levels, BUCKETS)
    counts = torch.zeros(len(x), width, device=x.device)
    return counts.scatter_add_(1, x % width, torch.ones_like(x, dtype=torch.float32)) / max(x.shape[1], 1)


def see(extractor: Extractor, batches: Iterable[Batch], of: str = "samples") -> Seen:
    """All examples as the extractor sees them, on the CPU, in order."""
    rows: list[Tensor] = []
    chances: list[Tensor] = []
    wanted = extractor.space.shape
    with torch.inference_mode():
        for place, block in enumerate(blocks(batches, BLOCK)):
            if block.x.shape[1:] != wanted:
                raise UserError(
                    f"{of} of shape {tuple(block.x.shape[1:])} do not fit {extractor.name}, which looks at "
                    f"{tuple(wanted)}; give features that were made for this data, or pixels"
                )
            _finite(block.x, of, "the values", place)
            seen, said = extractor(block.x)
            _finite(seen, of, f"their features ({extractor.name})", place)
            rows.append(seen.float().cpu())
            chances += [] if said is None else [said.float().cpu()]
    if not rows:
        raise UserError(f"there are no {of} to judge; give n of at least 1, or data that is not empty")
    x, said = torch.cat(rows), torch.cat(chances) if chances else None
    return Seen(x.clone(), extractor.name, of, None if said is None else said.clone(), extractor.facts())


def as_seen(x: Tensor, of: str = "samples", features: str = "pixels") -> Seen:
    """Rows of numbers at hand, as if an extractor had seen them."""
    x = torch.as_tensor(x)
    if x.dim() != 2:
        raise UserError(f"{of} must be rows of numbers, (n, width), not of shape {tuple(x.shape)}; flatten them")
    _finite(x, of, "the values", 0)
    return Seen(x.float(), features, of)


def _finite(x: Tensor, of: str, what: str, place: int) -> None:
    if x.is_floating_point() and not bool(x.isfinite().all()):
        first = place * BLOCK + int(torch.nonzero(~x.isfinite().flatten(1).all(1))[0])
        raise UserError(
            f"{of} cannot be judged: {what} of number {first} (from 0) are not finite; drop what is not, or use an "
            "earlier state of the run"
        )


def comparable(score: str, samples: Seen, reference: Seen, least: int) -> None:
    """Both seen with the same eyes, and enough of them; else a refusal."""
    if samples.features != reference.features or samples.x.shape[1] != reference.x.shape[1]:
        raise UserError(
            f"{score} compares like with like: {samples.of} were seen with {samples.features} ({samples.x.shape[1]} "
            f"numbers), {reference.of} with {reference.features} ({reference.x.shape[1]}); use the same for both"
        )
    for seen in (samples, reference):
        if len(seen) < least:
            raise UserError(
                f"{score} needs at least {least} of {samples.of} and of {reference.of}, and there are {len(seen)} of "
                f"{seen.of}; give a larger n, or data with more examples"
            )


def shuffled(x: Tensor, seed: int) -> Tensor:
    """A random order of rows that depends on what they hold and not on where they stand.

    Rows are hashed by their values, cut coarsely, so that last bits of a feature, which may differ between machines,
    move few of them. Those of one hash are numbered, by all their bits, and each number has a place of its own in the
    order: else rows that are alike would stand together, and a block of them would be no random one.

    >>> x = torch.arange(8.0)[:, None]
    >>> torch.equal(x[shuffled(x, 0)], x.flip(0)[shuffled(x.flip(0), 0)])
    True
    """
    x = x.float().cpu().contiguous()
    if not x.numel():
        return torch.arange(len(x))
    step = 2.0 ** (math.frexp(float(x.abs().max()))[1] - 8)  # a power of two: dividing by it is exact
    coarse = _hash((x / step + 0.37).floor(), seed)  # nothing that data likes to hold lies where numbers are cut
    order = _hash(x.view(torch.int32), seed).argsort(stable=True)
    order = order[coarse[order].argsort(stable=True)]
    coarse, place = coarse[order], torch.arange(len(x))
    first = torch.cat([place.new_ones(1, dtype=torch.bool), coarse[1:] != coarse[:-1]])
    number = place - torch.where(first, place, 0).cummax(0).values
    return order[_stirred(coarse + number * SPREAD).argsort(stable=True)]


def _stirred(key: Tensor) -> Tensor:
    """Keys that lie evenly, made random: blocks of rows should differ as much as chance lets them."""
    for shift in (30, 27, 31):
        key = (key ^ (key >> shift)) * SPREAD
    return key ^ (key >> 32)


def _hash(x: Tensor, seed: int) -> Tensor:
    """Whole numbers times random odd ones, summed modulo 2^64, which is exact in any order."""
    draw = Noise(seed, "order by content").generator(torch.device("cpu"))
    odd = torch.randint(-(2**62), 2**62, (x.shape[1],), generator=draw) * 2 + 1
    return torch.cat([(piece.long() * odd).sum(1) for piece in torch.split(x, 4096)]) * SPREAD


def square_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2 in float64; what is less than its own rounding is nothing, so that copies are at distance 0."""
    x, y = x.double(), y.double()
    a, b = x.square().sum(1)[:, None], y.square().sum(1)[None]
    apart = torch.addmm(a + b, x, y.T, alpha=-2.0)
    return apart.masked_fill_(apart <= 1e-13 * (a + b), 0.0)

"""Mixtures of small round Gaussians in the plane, the first things that a GAN learns to lose: a ring and a grid.

After "Unrolled generative adversarial networks" (Metz et al. 2017) and "VEEGAN" (Srivastava et al. 2017), where a mode
counts as found if samples lie within three sigmas of its centre. Models see the columns standardised; what a metric
measures is in the data's own units, which `space.write` gives back:

>>> from morphogen.data.find import open_data, resolve
>>> data = open_data("ring", count=500)
>>> points = data.space.write(data.space.read(data.splits["test"].x.gather(torch.arange(9))))
>>> where, sigma = centres(resolve("ring", count=500))
>>> bool((torch.cdist(points, where).min(1).values < 5 * sigma).all())
True
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from morphogen.core.build import part, register
from morphogen.core.noise import Noise
from morphogen.data.dataset import Dataset
from morphogen.data.split import by_hash, row_hashes
from morphogen.data.stamp import dataset_of
from morphogen.data.toy import standard
from morphogen.errors import UserError

__all__ = ["centres", "grid", "grid_centres", "ring", "ring_centres"]


@register("data")
def ring(
    *,
    count: PositiveInt = 50_000,
    modes: PositiveInt = 8,
    radius: PositiveFloat = 2.0,
    sigma: PositiveFloat = 0.02,
    seed: int = 0,
) -> Dataset:
    """Points in the plane: eight narrow Gaussians on a circle; the label is the mode (Metz et al. 2017).

    modes: number of modes
    radius: radius of the circle
    sigma: standard deviation of a mode
    """
    return _points("ring", count=count, sigma=sigma, seed=seed, modes=modes, radius=radius)


@register("data")
def grid(
    *,
    count: PositiveInt = 50_000,
    side: PositiveInt = 5,
    spacing: PositiveFloat = 2.0,
    sigma: PositiveFloat = 0.05,
    seed: int = 0,
) -> Dataset:
    """Points in the plane: five rows of five narrow Gaussians; the label is the mode (Srivastava et al. 2017).

    side: modes along a side
    spacing: distance between neighbours
    sigma: standard deviation of a mode
    """
    return _points("grid", count=count, sigma=sigma, seed=seed, side=side, spacing=spacing)


def ring_centres(modes: int = 8, radius: float = 2.0) -> Tensor:
    """Evenly on the circle, the first to the right, then against the clock: (modes, 2), in the data's own units."""
    angles = [math.tau * i / modes for i in range(modes)]
    return torch.tensor([[radius * math.cos(a), radius * math.sin(a)] for a in angles])


def grid_centres(side: int = 5, spacing: float = 2.0) -> Tensor:
    """Around the origin, row by row from the lower left: (side^2, 2), in the data's own units."""
    places = [spacing * (i - (side - 1) / 2) for i in range(side)]
    return torch.tensor([[x, y] for y in places for x in places])


WHERE = {"ring": ring_centres, "grid": grid_centres}


def centres(recipe: str | Mapping[str, Any]) -> tuple[Tensor, float]:
    """Where the modes of a ring or a grid lie, by the recipe of the data (of a run: `run.recipe["data"]`), and sigma.

    Row i of the centres is the mode of label i.

    >>> [tuple(t.shape) for t in (centres("ring")[0], centres({"use": "grid", "side": 3})[0])], centres("grid")[1]
    ([(8, 2), (9, 2)], 0.05)
    """
    use = recipe if isinstance(recipe, str) else recipe.get("use")
    if use not in WHERE:
        raise UserError(f"nobody knows where the modes of {use!r} lie; they are known of {' and '.join(WHERE)}")
    common = ("limit", "binary", "strict")  # what can be asked of every set changes no centre
    told = {"use": use} if isinstance(recipe, str) else {k: v for k, v in recipe.items() if k not in common}
    said = part("data", told).arguments
    shape = {k: v for k, v in said.items() if k not in ("count", "sigma", "seed")}
    return WHERE[use](**shape), float(said["sigma"])


def _points(name: str, *, count: int, sigma: float, seed: int, **shape: Any) -> Dataset:
    where = WHERE[name](**shape)
    draw = Noise(seed, name).generator(torch.device("cpu"))
    y = torch.randint(0, len(where), (count,), generator=draw)
    x = where[y] + sigma * torch.randn(len(y), 2, generator=draw)
    splits, how = by_hash(row_hashes(x.numpy()), 0.1, 0.1)
    parts: dict[str, tuple[Tensor, Tensor | None]] = {split: (x[rows], y[rows]) for split, rows in splits.items()}
    space = standard(parts["train"][0], ("x", "y"))
    words = tuple(f"mode {i}" for i in range(len(where)))
    protocol = f"{len(where)} modes, sigma {sigma:g}; {how}; columns standardised"
    options = {"count": count, "sigma": sigma, "seed": seed} | shape
    return dataset_of(name, space, parts, options, classes=words, protocol=protocol)

"""Small made-up sets, one for each kind of Space that has no picture in it: for tests, and for a first look."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.noise import Noise
from morphogen.core.space import Tokens, Vector
from morphogen.data.dataset import Dataset
from morphogen.data.split import by_hash, row_hashes
from morphogen.data.stamp import dataset_of

__all__ = ["blobs", "patterns"]


def _draws(seed: int, name: str) -> torch.Generator:
    return Noise(seed, name).generator(torch.device("cpu"))


def _parts(x: Tensor, y: Tensor) -> tuple[dict[str, tuple[Tensor, Tensor | None]], str]:
    splits, how = by_hash(row_hashes(x.numpy()), 0.1, 0.1)
    return {name: (x[rows], y[rows]) for name, rows in splits.items()}, how


@register("data")
def patterns(*, count: int = 1000, length: int = 12, seed: int = 0) -> Dataset:
    """Short words over a, b, c and d: a motif of one to four letters, over and over, with a slip now and then.

    length: letters of a word
    """
    draw = _draws(seed, "patterns")
    period = torch.randint(1, 5, (count, 1), generator=draw)
    motif = torch.randint(0, 4, (count, 4), generator=draw)
    x = motif.gather(1, torch.arange(length).expand(count, length) % period)
    slips = torch.rand(x.shape, generator=draw) < 0.03
    x = torch.where(slips, torch.randint(0, 4, x.shape, generator=draw), x).to(torch.uint8)
    parts, how = _parts(x, period[:, 0] - 1)
    space = Tokens(length, 4, tuple("abcd"))
    options = {"count": count, "length": length, "seed": seed}
    return dataset_of(
        "patterns", space, parts, options, classes=("period 1", "period 2", "period 3", "period 4"), protocol=how
    )


@register("data")
def blobs(*, count: int = 1000, columns: int = 4, classes: int = 3, seed: int = 0) -> Dataset:
    """A table of real numbers: a few normal clouds, each with its own centre, width and tilt.

    columns: numbers in a row
    classes: number of clouds
    """
    draw = _draws(seed, "blobs")
    centres = 4.0 * torch.randn(classes, columns, generator=draw)
    tilts = torch.randn(classes, columns, columns, generator=draw) / columns**0.5
    y = torch.randint(0, classes, (count,), generator=draw)
    steps = torch.randn(count, 1, columns, generator=draw)
    x = centres[y] + (tilts[y] * steps).sum(-1)  # no matrix product: its last bit depends on how the process is set up
    parts, how = _parts(x.float(), y)
    space = standard(parts["train"][0])
    options = {"count": count, "columns": columns, "classes": classes, "seed": seed}
    words = tuple(f"cloud {i}" for i in range(classes))
    return dataset_of("blobs", space, parts, options, classes=words, protocol=f"{how}; columns standardised")


def standard(train: Tensor, columns: tuple[str, ...] = ()) -> Vector:
    """The space of a table, its columns standardised by what the training rows say."""
    values = train.numpy().astype(np.float64)
    centre, scale = values.mean(0), values.std(0)
    scale = np.where(scale > 1e-12 * np.maximum(np.abs(centre), 1.0), scale, 1.0)
    words = columns or tuple(f"c{i}" for i in range(train.shape[1]))
    return Vector(train.shape[1], words, tuple(centre.tolist()), tuple(scale.tolist()))

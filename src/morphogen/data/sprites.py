"""Sprites: pixel-art characters with every combination of five known factors, after "Disentangled sequential
autoencoder" (Li and Mandt 2018), drawn by the artists of the Liberated Pixel Cup."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from PIL import Image as Pictures
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.space import Image
from morphogen.data.dataset import Dataset
from morphogen.data.fetch import Remote, data_folders, find, locate
from morphogen.data.split import by_hash, row_hashes
from morphogen.data.stamp import dataset_of
from morphogen.errors import UserError

__all__ = ["FACTORS", "sprites"]

SHEET = Remote(
    "lpc-sprites/characters.png", "83881ba9f62da3b92163fc9c367836d38214d0d6a3b9a341dde5be430dbcf9e1", 1_335_996
)
ACROSS, DOWN, SIDE = 54, 72, 64
FACTORS = {  # in the order of the sheet, the last one fastest
    "body": ("rose", "sand", "slate", "lilac", "tan", "brown"),
    "bottom": ("white", "gold", "red", "grey", "teal", "green"),
    "top": ("maroon", "cyan", "cream", "silver", "leather", "jacket"),
    "hair": ("green", "blue", "orange", "white", "red", "violet"),
    "direction": ("front", "left", "right"),
}


@register("data")
def sprites(
    *, label: Literal["body", "bottom", "top", "hair", "direction"] = "hair", valid: float = 0.1, test: float = 0.1
) -> Dataset:
    """3,888 pixel-art characters, 64x64 colour, every combination of five factors, one of which is the label.

    label: which factor is the label
    """
    x = _pictures()
    y = _factor(label)
    splits, how = by_hash(row_hashes(x.numpy()), valid, test)
    parts: dict[str, tuple[Tensor, Tensor | None]] = {name: (x[rows], y[rows]) for name, rows in splits.items()}
    return dataset_of(
        "sprites",
        Image(SIDE, SIDE, 3),
        parts,
        {"label": label, "valid": valid, "test": test},
        classes=FACTORS[label],
        licence="CC BY-SA 3.0 or GPL 3.0",
        protocol=f"labels say {label}; {how}",
    )


def _factor(name: str) -> Tensor:
    """What each character has of one factor."""
    sizes = [len(values) for values in FACTORS.values()]
    which = np.unravel_index(np.arange(math.prod(sizes)), sizes)[list(FACTORS).index(name)]
    return torch.from_numpy(which.astype(np.int64))


def _pictures() -> Tensor:
    """(3888, 64, 64, 3) of one sheet."""
    if find(SHEET.name) is None and not SHEET.urls:  # it has no public address
        raise UserError(
            f"{SHEET.name} is not on this machine (looked in {', '.join(map(str, data_folders()))}). It is one PNG of "
            f"{DOWN} rows of {ACROSS} characters, composed of the layers in github.com/YingzhenLi/Sprites; put it at "
            f"FOLDER/{SHEET.name}, with MORPHOGEN_DATA=FOLDER"
        )
    with Pictures.open(locate(SHEET), formats=["PNG"]) as sheet:
        grid = np.asarray(sheet).reshape(DOWN, SIDE, ACROSS, SIDE, 3)
    return torch.from_numpy(np.ascontiguousarray(grid.transpose(0, 2, 1, 3, 4)).reshape(-1, SIDE, SIDE, 3))

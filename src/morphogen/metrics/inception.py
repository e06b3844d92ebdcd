"""Inception v3 (Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2016, "Rethinking the Inception architecture ..."), trained
on the classes of ImageNet, as the Fréchet distance and the inception score have used it since: the 2,048 numbers before
its last layer are the features.

The weights are a file of yours, safetensors or npz, with the names of the usual conversion (`Mixed_5b.branch1x1.conv.
weight` and so on); batch norm is folded into the convolutions as they are read, and widths are those of the file. What
the original does and scores depend on: pictures are enlarged to 299 x 299 as TensorFlow 1 did it, with pixel i of the
result at i * size / 299 and no smoothing; averages at the edge are over what is there; the last block pools by maximum;
the score's logits have no bias.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, relu

from morphogen.core.space import Image, Space
from morphogen.errors import UserError

__all__ = ["LAYERS", "Inception", "enlarged", "opened"]

SIDE, EPS = 299, 1e-3
SHORT = ["1x1", "5x5_1", "5x5_2", "3x3dbl_1", "3x3dbl_2", "3x3dbl_3", "_pool"]
TALL = [f"7x7_{i}" for i in (1, 2, 3)] + [f"7x7dbl_{i}" for i in (1, 2, 3, 4, 5)]
WIDE = ["1x1", "3x3_1", "3x3_2a", "3x3_2b", "3x3dbl_1", "3x3dbl_2", "3x3dbl_3a", "3x3dbl_3b", "_pool"]
BLOCKS = {
    **{f"Mixed_5{name}": SHORT for name in "bcd"},
    "Mixed_6a": ["3x3", "3x3dbl_1", "3x3dbl_2", "3x3dbl_3"],
    **{f"Mixed_6{name}": ["1x1", *TALL, "_pool"] for name in "bcde"},
    "Mixed_7a": ["3x3_1", "3x3_2", "7x7x3_1", "7x7x3_2", "7x7x3_3", "7x7x3_4"],
    **{f"Mixed_7{name}": WIDE for name in "bc"},
}
STEM = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"]
LAYERS = STEM + [f"{block}.branch{branch}" for block, branches in BLOCKS.items() for branch in branches]


class Inception:
    """Pictures of any size to features and chances of classes."""

    def __init__(self, tensors: dict[str, Tensor], name: str, space: Space, path: Path) -> None:
        if not isinstance(space, Image) or space.channels not in (1, 3):
            raise UserError(
                f"inception looks at pictures of 1 or 3 channels, not at {space.kind} {tuple(space.shape)}; give "
                "features = own or pixels"
            )
        self.name = name
        self.space: Space = space
        self.layers = {layer: _folded(tensors, layer, path) for layer in LAYERS}
        self.last = _found(tensors, "fc.weight", path).float()

    def facts(self) -> dict[str, Any]:
        return {"features": self.name, "resized": f"to {SIDE} x {SIDE}, bilinear, as TensorFlow 1 did"}

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([self.features(piece) for piece in torch.split(x, 25)])
        return seen, torch.softmax(seen @ self.last.T, 1)

    def features(self, x: Tensor) -> Tensor:
        """The numbers before the last layer."""
        x = enlarged(x.float().cpu().expand(-1, 3, -1, -1), SIDE) * (255 / 128) - 1
        x = self._conv(x, "Conv2d_1a_3x3", 2, 0)
        x = self._conv(self._conv(x, "Conv2d_2a_3x3", 1, 0), "Conv2d_2b_3x3")
        x = self._conv(self._conv(max_pool2d(x, 3, 2), "Conv2d_3b_1x1"), "Conv2d_4a_3x3", 1, 0)
        x = max_pool2d(x, 3, 2)
        for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self._cat(x, block, ["1x1"], ["5x5_1", "5x5_2"], ["3x3dbl_1", "3x3dbl_2", "3x3dbl_3"])
        x = self._halve(x, "Mixed_6a", ["3x3"], ["3x3dbl_1", "3x3dbl_2", "3x3dbl_3"])
        for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self._cat(x, block, ["1x1"], TALL[:3], TALL[3:])
        x = self._halve(x, "Mixed_7a", ["3x3_1", "3x3_2"], ["7x7x3_1", "7x7x3_2", "7x7x3_3", "7x7x3_4"])
        x = self._fan(x, "Mixed_7b", _mean(x))
        return self._fan(x, "Mixed_7c", max_pool2d(x, 3, 1, 1)).mean((2, 3))

    def _cat(self, x: Tensor, block: str, *branches: list[str]) -> Tensor:
        """Branches side by side, and one that averages first."""
        pooled = self._chain(_mean(x), block, ["_pool"])
        return torch.cat([*(self._chain(x, block, branch) for branch in branches), pooled], 1)

    def _halve(self, x: Tensor, block: str, *branches: list[str]) -> Tensor:
        """Branches whose last layer halves the grid, and one that pools."""
        ends = [(self._chain(x, block, branch[:-1]), f"{block}.branch{branch[-1]}") for branch in branches]
        return torch.cat([*(self._conv(y, layer, 2, 0) for y, layer in ends), max_pool2d(x, 3, 2)], 1)

    def _fan(self, x: Tensor, block: str, pooled: Tensor) -> Tensor:
        """Branches that end in two layers side by side."""
        three, double = self._chain(x, block, ["3x3_1"]), self._chain(x, block, ["3x3dbl_1", "3x3dbl_2"])
        ends = [(x, "1x1"), (three, "3x3_2a"), (three, "3x3_2b"), (double, "3x3dbl_3a"), (double, "3x3dbl_3b")]
        return torch.cat([self._chain(y, block, [layer]) for y, layer in [*ends, (pooled, "_pool")]], 1)

    def _chain(self, x: Tensor, block: str, layers: list[str]) -> Tensor:
        for layer in layers:
            x = self._conv(x, f"{block}.branch{layer}")
        return x

    def _conv(self, x: Tensor, layer: str, stride: int = 1, pad: int | None = None) -> Tensor:
        weight, bias = self.layers[layer]
        around = (weight.shape[2] // 2, weight.shape[3] // 2) if pad is None else pad
        return relu(conv2d(x, weight, bias, stride, around))


def _mean(x: Tensor) -> Tensor:
    return avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def enlarged(x: Tensor, side: int) -> Tensor:
    """Bilinear, pixel i of the result at i * size / side of the old one."""
    for axis in (2, 3):
        size = x.shape[axis]
        place = torch.arange(side, dtype=torch.float32) * (size / side)
        low = place.long().clamp_max(size - 1)
        share = (place - low).reshape(-1, *[1] * (3 - axis))
        x = torch.lerp(x.index_select(axis, low), x.index_select(axis, (low + 1).clamp_max(size - 1)), share)
    return x


def _folded(tensors: dict[str, Tensor], layer: str, path: Path) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its batch norm in it, folded in float64."""
    said = [
        _found(tensors, f"{layer}.{what}", path).double()
        for what in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    ]
    weight, gain, bias, mean, variance = said
    if weight.dim() != 4 or any(part.shape != weight.shape[:1] for part in said[1:]):
        raise UserError(f"{path}: {layer} has shapes that do not belong together; convert the weights again")
    scale = gain / (variance + EPS).sqrt()
    return (weight * scale.reshape(-1, 1, 1, 1)).float(), (bias - mean * scale).float()


def _found(tensors: dict[str, Tensor], name: str, path: Path) -> Tensor:
    if name not in tensors:
        raise UserError(f"{path} holds no {name}: these are not the weights of Inception v3; convert them again")
    return tensors[name]


def opened(word: str, space: Space) -> Inception:
    """The network of FILE@SHA256; without the hash, or with another, a refusal that says which the file has."""
    name, _, wanted = word.rpartition("@")
    if not re.fullmatch("[0-9a-fA-F]{64}", wanted):
        name, wanted = word, ""
    path = Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"there is no file {path}; give features = inception:FILE@SHA256, a safetensors or npz file")
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if not wanted:
        raise UserError(f"{path}: say which weights are meant; if they are these, features = inception:{path}@{got}")
    if got != wanted.lower():
        raise UserError(f"{path} is not what was asked for: sha256 expected {wanted}, got {got}; fetch it again")
    return Inception(_tensors(path), f"inception@{got[:12]}", space, path)


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from morphogen.data.npz import Arrays

    try:
        if path.suffix.lower() == ".npz":
            with Arrays(path) as held:
                return {name: torch.from_numpy(held.read(name)) for name in held.names}
        if path.suffix.lower() == ".safetensors":
            tensors: dict[str, Tensor] = load_file(path)
            return tensors
    except (OSError, ValueError, TypeError, KeyError, EOFError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read: {error}; convert the weights again") from None
    raise UserError(f"{path}: weights are read from .safetensors and .npz only (a .pth may run code); convert them")

"""Damaged examples as people have them: files, arrays, or clean data that is to be harmed first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from morphogen import files
from morphogen.core.batch import Batch
from morphogen.core.build import names
from morphogen.core.damage import Chain, chain, missing
from morphogen.core.space import Image, Space
from morphogen.core.table import Table
from morphogen.core.worded import read_damage
from morphogen.data.array_to_space import plain
from morphogen.data.frames import sheet_of_frame
from morphogen.data.npz import Arrays, examples_in, read_npy
from morphogen.data.pictures import Refused, glance, quiet, shown
from morphogen.data.rows import known_rows, rows_of
from morphogen.errors import UserError
from morphogen.examples import find_examples
from morphogen.run import Run
from morphogen.tiling import large_space

__all__ = ["Damaged", "damaged_examples", "nothing_seen"]

FARTHEST = 16.0  # from black to white is 1: what heavy noise adds to a picture stays below


@dataclass(frozen=True)
class Damaged:
    """Examples that lack something: y as the damage left them, and x as they were, where that is known."""

    y: Tensor
    damage: Chain
    clean: Tensor | None
    labels: Tensor | None
    names: list[str]

    def batches(self, size: int, device: torch.device) -> Iterator[Batch]:
        """What is damaged, at most `size` at a time."""
        for start in range(0, len(self.y), size):
            labels = None if self.labels is None else self.labels[start : start + size].to(device)
            yield Batch(self.y[start : start + size].to(device), labels)


def damaged_examples(
    run: Run,
    said: Any,
    damage: str | None,
    *,
    n: int | None,
    harm: bool,
    split: str | None,
    label: int | None,
    tiles: bool,
) -> Damaged:
    """What was given, as it was found; or, to be harmed, clean examples and what the damage makes of them.

    `tiles`: pictures that are larger than the model's, all of one size.
    """
    damage = _gaps(run.space) if damage is None else damage
    if tiles:
        return _large(run.space, said, damage, n, harm, run.path)
    chained = chain(run.space, read_damage(damage))
    if harm:
        data = find_examples(run, said, split=split, label=label, fit=False).limited(n)
        batch = data.first(len(data))
        return Damaged(chained(run.space.opened(batch.x)), chained, batch.x, batch.y, data.names or [])
    y, named = _given(said, chained, run.path)
    y, named = y[:n], named[:n]
    labels = None if label is None else torch.full((len(y),), label)
    return Damaged(chained.read(y), chained, None, labels, named)


def _large(tile: Space, said: Any, damage: str, n: int | None, harm: bool, where: Path) -> Damaged:
    """Pictures of another size than the model's."""
    words = [said] if isinstance(said, (str, Path)) else list(said or [])
    if not isinstance(tile, Image):
        raise UserError(f"tiles are of pictures, and the model of {where} is of a {tile.kind}; leave tiles out")
    if not words or not all(isinstance(word, (str, Path)) and Path(word).is_file() for word in words):
        raise UserError("which pictures are to be restored by tiles? Name their files")
    height, width = _size(Path(words[0]))
    least = chain(tile, read_damage(damage)).left
    times = 1 if harm else tile.sites[0] // least.sites[0]
    space = large_space(tile, height * times, width * times)
    chained = chain(space, read_damage(damage))
    of = space if harm else chained.left
    stored, named = files.load_examples([Path(word) for word in words][:n], of, remedy="pictures must be of one size")
    x = of.read(stored)
    return Damaged(chained(x) if harm else chained.read(x), chained, x if harm else None, None, named)


def _size(path: Path) -> tuple[int, int]:
    """Height and width of a picture."""
    try:
        with quiet():
            seen = glance(path)
    except Refused as reason:
        raise UserError(f"{shown(path)}: {reason}") from None
    return seen.height, seen.width


def _gaps(space: Space) -> str:
    """What happened to examples that say themselves what is missing."""
    if not space.gaps:
        raise UserError(
            f"restore needs damage: {space.plural} do not say what happened to them; --damage noise=0.2, mask=half ..."
        )
    return "mask=given"


def _given(said: Any, damage: Chain, where: Path) -> tuple[Tensor, list[str]]:
    """Damaged examples as a model would read them, NaN where something is missing."""
    words = [said] if isinstance(said, (str, Path)) else said
    if words is None or (isinstance(words, (list, tuple)) and not words):
        raise UserError(
            f"which examples are to be restored? Name files; the data of {where} is whole, and --harm damages it first"
        )
    if (sheet := sheet_of_frame(said)) is not None and isinstance(damage.left, Table):
        return damage.left.opened(damage.left.read(rows_of(sheet, damage.left, fit=False))), []
    if not (isinstance(words, (list, tuple)) and all(isinstance(word, (str, Path)) for word in words)):
        return _as_read(torch.as_tensor(getattr(words, "x", words)).detach().cpu(), damage.left, "the array"), []
    if len(words) == 1 and str(words[0]) in names("data"):
        raise UserError(f"{words[0]} is whole: --harm damages it first; or name files that are damaged")
    ys: list[Tensor] = []
    named: list[str] = []
    remedy = "resize it, or give --tiles, which restores larger pictures piece by piece"
    for word in words:
        path = Path(word)
        if path.suffix.lower() in (".npy", ".npz") and path.is_file() and (held := _floats(path)) is not None:
            ys.append(_as_read(held, damage.left, str(path)))
            named += [str(path)] if len(ys[-1]) == 1 else [f"{path}[{i}]" for i in range(len(ys[-1]))]
            continue
        try:
            stored, found = files.load_examples(path, damage.left, remedy=remedy)
        except UserError as error:
            raise UserError(f"{error}{_hint(damage)}") from None
        ys.append(damage.left.opened(damage.left.read(stored)))
        named += found
    return torch.cat(ys), named


def _hint(damage: Chain) -> str:
    """What a damage leaves, where that is of another kind than the model's own examples."""
    if damage.left.shape == damage.space.shape:
        return ""
    return (
        f" ({damage.told()} leaves examples of {tuple(damage.left.shape)} from the model's {tuple(damage.space.shape)})"
    )


def _floats(path: Path) -> Tensor | None:
    """An array of numbers, which may hold NaN; None where it is of whole numbers."""
    if path.suffix.lower() == ".npy":
        values = read_npy(path)
    else:
        with Arrays(path) as held:
            values = held.read(examples_in(held))
    return torch.from_numpy(plain(values, str(path))) if values.dtype.kind == "f" else None


def _as_read(y: Tensor, space: Space, where: str) -> Tensor:
    """An array of damaged examples, laid out as a model reads them or as they are stored."""
    stored = space.write(torch.zeros(1, *space.shape)).shape[1:]
    if isinstance(space, Table) and y.shape[1:] in (stored, space.shape):
        return space.opened(space.read(known_rows(y, space, where)) if y.shape[1:] == stored else y.float())
    if y.dim() == len(stored) and stored[-1] == 1:
        y = y.unsqueeze(-1)
    if y.shape[1:] != space.shape and y.shape[1:] == stored:
        y = y.movedim(-1, 1) if y.is_floating_point() else space.read(y)
    elif not y.is_floating_point() and space.kind != "tokens":
        y = y.float() / max(space.levels - 1, 1) if space.levels else y.float()
    if y.shape[1:] != space.shape or not len(y):
        raise UserError(
            f"{where} of {tuple(y.shape)} does not fit; damaged examples are (n, {', '.join(map(str, stored))})"
        )
    if y.is_floating_point() and bool(y.isinf().any()):
        raise UserError(f"{where} holds infinite values; use NaN where something is missing")
    if space.kind == "vector" and y.is_floating_point():
        y = space.read(y)
    if space.kind == "image" and y.is_floating_point():
        y = _in_unit(y, space, where)
    return y if y.dtype == torch.int64 else y.float()


def _in_unit(y: Tensor, space: Space, where: str) -> Tensor:
    """Pictures of whole numbers up to the top level as 0 to 1; damage may lead out of that, but not far."""
    seen, top = y[y.isfinite()], space.levels - 1
    if not seen.numel() or float(seen.abs().max()) <= FARTHEST:
        return y
    if top > FARTHEST and float(seen.min()) >= 0 and float(seen.max()) <= top and bool((seen == seen.round()).all()):
        return y / top
    raise UserError(
        f"{where}: pixels from {float(seen.min()):g} to {float(seen.max()):g}; in damaged pictures 0 is black and 1 "
        "is white (of 0..255: x / 255)"
    )


def nothing_seen(y: Tensor) -> bool:
    """Whether every element of every example is missing."""
    return bool(missing(y).all())

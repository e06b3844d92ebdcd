"""Where the oddest examples are odd: each beside a map of how far it is from its reconstruction, place by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from morphogen.core.space import Image, Space, Tokens, Vector
from morphogen.core.table import Table
from morphogen.data.rows import texts
from morphogen.escape import figure_text
from morphogen.figures import FAINT, INK, LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["heat_sheet"]

HOT, COOL = 8.0, 2.0  # standard deviations at which a map is as hot as it gets, and below which a sound is not marked
ABOVE = "above or below its reconstruction"
NAMED = 8  # places of a row that are named
SIDE = 4096  # pixels that a sheet is at most tall


def heat_sheet(x: Tensor, heat: Tensor, space: Space, titles: Sequence[str]) -> Figure:
    """Examples as a model reads them, and how far each of their elements is from what is normal, with its sign."""
    from matplotlib.figure import Figure

    count = len(x)
    columns = min(count, 4 if isinstance(space, Image) else 2)
    rows = -(-count // columns)
    wide, tall = (3.0, 1.75) if isinstance(space, Image) else (5.0, 2.1)
    figure = Figure(figsize=(wide * columns, tall * rows), dpi=100, layout="constrained", facecolor="white")
    cells = figure.subfigures(rows, columns, squeeze=False).flatten().tolist()
    for cell, one, hot, title in zip(cells, x, heat, titles, strict=False):
        cell.suptitle(figure_text(title), fontsize=8, color=INK)
        if isinstance(space, Image):
            _picture(cell.subplots(1, 2), one, hot, space)
        elif isinstance(space, Table):
            _bars(cell.subplots(), *_cells(one, hot, space), ABOVE)
        elif isinstance(space, Tokens):  # a symbol is missed or it is not
            names = [_symbol(space, place, int(value)) for place, value in enumerate(one.flatten())]
            _bars(cell.subplots(), hot.flatten().clamp_min(0), names, "how seldom a symbol is missed there")
        elif isinstance(space, Vector):
            names = [space.columns[i] if i < len(space.columns) else f"column {i}" for i in range(hot.numel())]
            _bars(cell.subplots(), -hot.flatten(), names, ABOVE)
        else:
            _wave(cell.subplots(), one, hot)
    return figure


def _picture(axes: Any, x: Tensor, heat: Tensor, space: Image) -> None:
    """The picture, and its map: black is as normal, bright is not."""
    from morphogen.sheet import pixels

    shown = pixels(x[None], space)[0]
    left, right = axes
    left.imshow(
        shown[..., 0] if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest"
    )
    height, width = space.sites
    hot = heat.reshape(-1, height, width).square().mean(0).sqrt()
    right.imshow(hot.numpy(), cmap="inferno", vmin=0, vmax=HOT, interpolation="nearest")
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)


def _bars(axis: Axes, heat: Tensor, names: Sequence[str], what: str) -> None:
    """The places that miss most, by name: columns of a row, symbols of a sequence."""
    order = heat.abs().argsort(descending=True, stable=True)[:NAMED].flip(0)
    axis.barh(range(len(order)), heat[order].tolist(), color=LINES[0], height=0.7)
    axis.set_yticks(range(len(order)), [figure_text(names[int(place)]) for place in order], fontsize=7, color=INK)
    axis.axvline(0, color=FAINT, linewidth=0.6)
    axis.set_xlabel(f"{what}, in usual deviations", fontsize=7, color=FAINT)
    axis.tick_params(labelsize=7, width=0.6, length=2, color=FAINT, labelcolor=INK)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _symbol(space: Tokens, place: int, value: int) -> str:
    symbol = space.alphabet[value] if value < len(space.alphabet) else str(value)
    return f"{symbol!r} at {place}"


def _cells(x: Tensor, heat: Tensor, space: Table) -> tuple[Tensor, list[str]]:
    """How far each cell is from its reconstruction, and what stands in it; of a word, its own element says so."""
    row = space.write(x[None])
    there = (~row[0].isnan()).nonzero().flatten()
    words = (space.columns[int(i)].width > 1 for i in there)
    elements = [int(space.starts[i]) + (int(row[0, i]) if word else 0) for i, word in zip(there, words, strict=True)]
    names = [f"{space.names[int(i)][:20]} = {texts(row, space)[0][int(i)][:16]}" for i in there]
    return -heat.flatten()[elements], names


def _wave(axis: Axes, x: Tensor, heat: Tensor) -> None:
    """The wave, darker where it is further from what is normal."""
    hot = heat.reshape(-1, heat.shape[-1]).square().mean(0).sqrt()
    hot = ((hot - COOL) / (HOT - COOL)).clamp(0, 1)
    axis.plot(x.reshape(-1, x.shape[-1])[0].tolist(), color=FAINT, linewidth=0.5)
    low, high = axis.get_ylim()
    axis.imshow(
        hot[None].numpy(), aspect="auto", cmap="Reds", vmin=0, vmax=1, extent=(0, x.shape[-1], low, high), zorder=-1
    )
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)

"""A picture of which classes are taken for which: a row for each true class, a column for each name it was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from morphogen.escape import figure_text
from morphogen.figures import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["matrix"]

WRITTEN = 20  # up to so many classes, counts stand in their cells


def matrix(counts: Tensor, rows: Sequence[str], columns: Sequence[str]) -> Figure:
    """Shares of each row as shades, counts written in them."""
    from matplotlib.figure import Figure

    shares = (counts / counts.sum(1, keepdim=True).clamp_min(1)).numpy()
    high, wide = (max(2.0, 0.42 * count) for count in counts.shape)
    figure = Figure(figsize=(wide + 1.6, high + 1.2), dpi=150, layout="constrained", facecolor="white")
    axis = figure.subplots()
    axis.imshow(shares**0.5, cmap="Blues", vmin=0, vmax=1, aspect="equal")  # by the root: rare confusions show, too
    axis.set_xticks(
        range(len(columns)),
        [figure_text(name) for name in columns],
        rotation=90 if max(map(len, columns)) > 2 else 0,
        fontsize=8,
    )
    axis.set_yticks(range(len(rows)), [figure_text(name) for name in rows], fontsize=8)
    axis.set_xlabel("said", fontsize=9, color=INK)
    axis.set_ylabel("true", fontsize=9, color=INK)
    axis.tick_params(length=0, labelcolor=INK)
    for side in axis.spines.values():
        side.set(linewidth=0.6, color=FAINT)
    if max(counts.shape) <= WRITTEN:
        for row, column in counts.nonzero().tolist():
            shade, count = "white" if shares[row, column] > 0.4 else INK, str(int(counts[row, column]))
            axis.text(column, row, count, ha="center", va="center", fontsize=7, color=shade)
    return figure

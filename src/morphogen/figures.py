"""Figures: the course of a training, and codes on a plane. Each is a figure of its own, no global state is touched."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morphogen.errors import MorphogenError
from morphogen.escape import figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from morphogen.run import Run

__all__ = ["curves", "save", "scatter"]

INK, FAINT, GRID = "#333333", "#8a8a8a", "#e6e6e6"
# Okabe and Ito's colours for lines, Paul Tol's "muted" for classes: apart from one another for every kind of eye.
LINES, CHECKED = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"), "#D55E00"
CLASSES = ("#332288", "#CC6677", "#117733", "#DDCC77", "#88CCEE", "#AA4499", "#44AA99", "#882255", "#999933", "#555555")
KEPT_ASIDE = ("step", "fraction", "time", "event")
NAMED, COLUMNS, SPREAD = 20, 3, 0.02

Series = dict[str, list[tuple[float, float]]]


def curves(run: Run) -> Path | None:
    """RUN/curves.png: loss, rate and distortion apart, whatever else was measured, gradient norms, pace."""
    panels = _panels(run.log())
    if not panels:
        return None
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.0 * columns, 2.7 * rows + 0.4), dpi=150, layout="constrained", facecolor="white")
    figure.suptitle(figure_text(run.path.name), x=0.01, ha="left", fontsize=12, color=INK, fontweight="bold")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for axis, (title, lines) in zip(axes, panels.items(), strict=False):
        _panel(axis, title, lines)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return save(figure, run.path / "curves.png", {"run": str(run.path), "task": "curves"}, force=True)


def save(figure: Figure, path: Path, note: Mapping[str, Any], *, force: bool) -> Path:
    """A figure as a PNG that carries its recipe, whole or not at all."""
    from morphogen.atomic import write

    out = io.BytesIO()
    told = json.dumps(dict(note), sort_keys=True, default=str)
    about = {"morphogen": told, "Software": None}
    figure.savefig(out, format="png", bbox_inches="tight", pad_inches=0.12, metadata=about)
    write(path, out.getvalue(), force=force)
    return path


def _panels(records: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    """What is drawn together: the losses of all players, each measure with its validation, gradients, pace."""
    panels: dict[str, Series] = {}
    for record in _whole(records):
        for key, value in record.items():
            if key in KEPT_ASIDE or not isinstance(value, (int, float)) or value != value:
                continue
            title, line = _place(key)
            panels.setdefault(title, {}).setdefault(line, []).append((float(record.get("step", 0)), float(value)))
    order = ("loss", "rate", "distortion")
    last = ("gradient norm", "pace")
    middle = sorted(set(panels) - set(order) - set(last))
    return {title: panels[title] for title in (*order, *middle, *last) if title in panels}


def _whole(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without training records over a step or two (the first and the last): beside means of fifty they are noise."""
    steps = [float(r["step"]) for r in records if "fraction" in r and "step" in r]
    spans = [after - before for before, after in zip([0.0, *steps], steps, strict=False)]
    usual = sorted(spans)[len(spans) // 2] if spans else 0.0
    short = {step for step, span in zip(steps, spans, strict=True) if 4 * span < usual}
    return [r for r in records if "fraction" not in r or float(r.get("step", 0)) not in short]


def _place(key: str) -> tuple[str, str]:
    """The panel of a key of the log, and the name of its line."""
    first, slash, rest = key.partition("/")
    if key.endswith("/s"):
        return "pace", key
    if first == "loss" and slash:
        return "loss", rest
    if first == "gradient" and slash:
        return "gradient norm", rest
    return (rest, "validation") if first == "valid" and slash else (key, "training")


def _panel(axis: Axes, title: str, lines: Series) -> None:
    colours = dict(zip((name for name in lines if name != "validation"), LINES, strict=False))
    for name, points in lines.items():
        x, y = zip(*sorted(points), strict=True)
        if name == "validation":
            axis.plot(x, y, color=CHECKED, marker="o", markersize=2.8, linewidth=1.0, label=figure_text(name), zorder=3)
            continue
        smooth, colour = _smooth(y), colours.get(name, FAINT)
        if smooth is not y:
            axis.plot(x, y, color=colour, linewidth=0.6, alpha=0.25)
        point = "o" if len(x) == 1 else ""  # a line of one point is not seen
        axis.plot(x, smooth, color=colour, linewidth=1.4, marker=point, markersize=2.8, label=figure_text(name))
    _tidy(axis)
    only = next(iter(lines))
    axis.set_title(figure_text(only if only.endswith("/s") else title), fontsize=10, color=INK, loc="left")
    _frame(axis, lines)
    if len(lines) > 1:
        _legend_above(axis)


def _smooth(y: Sequence[float]) -> Sequence[float]:
    """A running mean where there are too many points to tell the course from the noise."""
    wide = len(y) // 60
    if wide < 2:
        return y
    sums = [0.0]
    for value in y:
        sums.append(sums[-1] + value)
    spans = [(max(0, i - wide), min(len(y), i + wide + 1)) for i in range(len(y))]
    return [(sums[end] - sums[start]) / (end - start) for start, end in spans]


def _legend_above(axis: Axes) -> None:
    """On the line of the title, at the right, where no curve can run into it."""
    look: dict[str, Any] = dict(fontsize=7.5, frameon=False, handlelength=1.2, columnspacing=1.0, labelcolor=INK)
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=3, borderaxespad=0.0, borderpad=0.2, **look)


def _frame(axis: Axes, lines: Series) -> None:
    """The first steps of a training would flatten all that follows: what they say alone may leave the picture."""
    values = []
    for points in lines.values():
        ordered = [y for _, y in sorted(points)]
        values += ordered[len(ordered) // 20 :] if len(ordered) > 20 else ordered
    values.sort()
    cut = round(SPREAD * len(values)) if len(values) > 50 else 0
    low, high = values[cut], values[-1 - cut]
    if "validation" in lines:  # few points, each of which counts: of these only the first half may leave
        last = [y for _, y in sorted(lines["validation"])[len(lines["validation"]) // 2 :]]
        low, high = min(low, *last), max(high, *last)
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    axis.set_ylim(low - room, high + room)


def _tidy(axis: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set(linewidth=0.6, color=FAINT)
    axis.tick_params(labelsize=8, width=0.6, length=3, color=FAINT, labelcolor=INK)
    axis.grid(axis="y", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda step, _: _short(step)))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_xlabel("step", fontsize=8, color=FAINT)


def _short(number: float) -> str:
    """12000 as 12k, where nothing is lost by it.

    >>> _short(12000), _short(2500), _short(300)
    ('12k', '2.5k', '300')
    """
    return f"{number / 1000:g}k" if abs(number) >= 1000 else f"{number:.6g}"


def scatter(
    codes: Tensor,
    labels: Tensor | None,
    classes: Sequence[str],
    *,
    axes: Sequence[str],
    frame: Sequence[tuple[float, float]] = (),
) -> Figure:
    """Codes on a plane, coloured and named by class; `frame` is the part of it that a grid of decoded codes covers."""
    if codes.shape[1] != 2:
        raise MorphogenError(f"a plane has two dimensions, not {codes.shape[1]}")
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 6.2), dpi=150, layout="constrained", facecolor="white")
    axis = figure.subplots()
    points = codes.float().numpy()
    size = max(2.0, min(24.0, 30_000 / max(len(points), 1)))
    kinds = _kinds(labels, classes)
    colours = np.full(len(points), LINES[0], dtype="U7")
    for name, rows, colour in kinds:
        colours[rows] = colour
        axis.scatter([], [], s=28.0, color=colour, linewidths=0, label=figure_text(name))  # a mark for the legend
    # all classes in one shuffled go: drawn one after the other, the last would lie on top of the rest
    shuffled = np.random.default_rng(0).permutation(len(points))
    x, y = points[shuffled].T
    axis.scatter(x, y, s=size, c=colours[shuffled].tolist(), alpha=0.65, linewidths=0, rasterized=True)
    if 1 < len(kinds) <= NAMED:
        figure.legend(loc="outside right center", fontsize=9, frameon=False, labelcolor=INK, handletextpad=0.2)
    _plane(axis, points, axes, frame)
    return figure


def _kinds(labels: Tensor | None, classes: Sequence[str]) -> list[tuple[str, Any, str]]:
    """Name, rows and colour of each class that is there; beyond the palette, colours along a ramp."""
    if labels is None:
        return [("", slice(None), LINES[0])]
    held = sorted(set(labels.tolist()))
    names = {number: str(classes[number]) if 0 <= number < len(classes) else str(number) for number in held}
    names[-1] = "no label"
    if len(held) <= len(CLASSES):
        colours = dict(zip(held, CLASSES, strict=False))
    else:
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        ramp = colormaps["turbo"]
        colours = {number: to_hex(ramp((place + 0.5) / len(held))) for place, number in enumerate(held)}
    return [(names[number], (labels == number).numpy(), colours[number]) for number in held]


def _plane(axis: Axes, points: Any, axes: Sequence[str], frame: Sequence[tuple[float, float]]) -> None:
    import numpy as np

    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set(linewidth=0.6, color=FAINT)
    axis.tick_params(labelsize=8, width=0.6, length=3, color=FAINT, labelcolor=INK)
    axis.set_xlabel(figure_text(axes[0]), fontsize=9, color=INK)
    axis.set_ylabel(figure_text(axes[1]), fontsize=9, color=INK)
    low, high = np.quantile(points, [0.001, 0.999], axis=0)
    if frame:
        (left, right), (bottom, top) = frame
        x, y = [left, right, right, left, left], [bottom, bottom, top, top, bottom]
        axis.plot(x, y, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        low, high = np.minimum(low, [left, bottom]), np.maximum(high, [right, top])
    half = 0.55 * max(float((high - low).max()), 1e-6)  # a square, so that no side of it stays empty paper
    x, y = ((low + high) / 2).tolist()
    axis.set_xlim(x - half, x + half)
    axis.set_ylim(y - half, y + half)
    axis.set_aspect("equal", adjustable="box")

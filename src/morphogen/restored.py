"""Restored examples as they are shown and kept: a sheet, one file for each input, or arrays."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from morphogen import files, formats
from morphogen.atomic import may_write, write
from morphogen.core.damage import missing
from morphogen.core.space import Space
from morphogen.core.table import Table
from morphogen.damaging import Damaged
from morphogen.data.frames import frame_of, sheet_of_frame
from morphogen.data.rows import cells, fill_rows, rows_of
from morphogen.data.sheet import ENDINGS, Sheet, read_sheet
from morphogen.restoration import Restored
from morphogen.terminal import aligned
from morphogen.values import Values

__all__ = ["Gathering", "Restoration", "table_of"]

LINES = 4  # of a table that is shown
SHOWN, DRAWS = 16, 3  # rows on a sheet, and draws in each of them
ROOM = 2**28  # numbers of all draws together, at four bytes each
BRIGHT = 2.0  # a deviation of half the range, the largest that there is, is white


@dataclass
class Restoration(Values):
    """Values that are the restored means; what else is known of them lies in `arrays`, figures in `scores`."""

    fills: ClassVar[bool] = True
    arrays: dict[str, Tensor] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    table: Sheet | None = None  # the table whose empty cells these values are for

    @property
    def suffix(self) -> str:
        """Of a table the table again, filled."""
        return super().suffix if self.table is None or not isinstance(self.space, Table) else ".csv"

    def frame(self, library: str | None = None) -> Any:
        """The whole table as a data frame, what was missing filled; columns that the model does not know as text."""
        if self.table is None or not isinstance(self.space, Table):
            return super().frame(library)
        there = rows_of(self.table, self.space, fit=True)[: len(self)]
        known = cells(torch.where(there.isnan(), torch.from_numpy(self.stored), there), self.space)
        columns = zip(self.table.names, self.table.columns, strict=True)
        return frame_of(
            {name: known.get(name, [c or None for c in texts[: len(self)]]) for name, texts in columns}, library
        )

    def save(self, path: str | Path, *, force: bool = False) -> list[Path]:
        """A sheet (.png), arrays (.npz), or a folder (no ending): a file for each input and its deviation beside it."""
        path = Path(path)
        if path.suffix.lower() == ".npz":
            return [self._save_arrays(path, force)]
        if not path.suffix:
            return self._save_each(path, force)
        if path.suffix.lower() == ".png" and self.space.kind == "image":
            sheet, columns = self._sheet()
            return Values(sheet, self.space, columns, note=self.note).save(path, force=force)
        if self.table is not None and isinstance(self.space, Table) and path.suffix.lower() == ".csv":
            filled = fill_rows(self.table, self.space, torch.from_numpy(self.stored))
            return files.save_bytes(path, formats.sheet(*filled), force=force, note=self.note)
        return Values(self.x, self.space, note=self.note).save(path, force=force)

    def __str__(self) -> str:
        if self.table is None or not isinstance(self.space, Table):
            return super().__str__()
        few = Values(self.x[:LINES], self.space)
        return aligned(*fill_rows(self.table, self.space, torch.from_numpy(few.stored)))

    def _sheet(self) -> tuple[Tensor, int]:
        """A row for each example: as it was, where that is known, damaged, restored, draws, the deviation."""
        parts = [self.arrays["clean"]] if "clean" in self.arrays else []
        parts += [self.arrays["shown"], self.x, *self.arrays["draws"][:DRAWS]]
        parts.append(BRIGHT * self.arrays["deviation"])
        return torch.stack([p[:SHOWN] for p in parts], 1).flatten(0, 1), len(parts)

    def _save_each(self, folder: Path, force: bool) -> list[Path]:
        names = [Path(name.replace("[", "-").replace("]", "")).stem for name in self.names or []]
        if len(set(names)) != len(self.x):
            names = [f"{number:05d}" for number in range(len(self.x))]
        ending = files.default_suffix(self.space)
        picture = self.space.kind == "image"
        pairs = [(folder / f"{name}{ending}", self.x[i : i + 1]) for i, name in enumerate(names)]
        if picture:
            doubt = BRIGHT * self.arrays["deviation"]
            pairs += [(folder / f"{name}-deviation{ending}", doubt[i : i + 1]) for i, name in enumerate(names)]
        for there, _ in pairs:
            may_write(there, force)
        # a sheet of one picture has a frame: a folder of one writes it pixel for pixel
        return [self._one(there, value, force) for there, value in pairs]

    def _one(self, path: Path, value: Tensor, force: bool) -> Path:
        from morphogen.core.space import Image

        if isinstance(self.space, Image):
            write(path, formats.single_png(value, self.space, self.note), force=force)
            return path
        return files.save(path, value, self.space, note=self.note, force=force)[0]

    def _save_arrays(self, path: Path, force: bool) -> Path:
        """x as it would be stored; mean, ends of the interval, deviation and draws as a model sees them."""
        may_write(path, force)
        held: dict[str, Any] = {"x": self.stored, "mean": self.x.numpy()}
        held |= {name: tensor.numpy() for name, tensor in self.arrays.items() if name != "shown"}
        if self.names:
            held["names"] = np.array(self.names)
        out = io.BytesIO()
        np.savez_compressed(out, note=np.array(json.dumps(self.note, sort_keys=True, default=str)), **held)
        write(path, out.getvalue(), force=force)
        return path


def table_of(data: Any, space: Space) -> Sheet | None:
    """The one table that was given, a file or a data frame, if it was one."""
    if space.gaps and (sheet := sheet_of_frame(data)) is not None:
        return sheet
    words = [data] if isinstance(data, (str, Path)) else data
    if not (space.gaps and isinstance(words, (list, tuple)) and len(words) == 1 and isinstance(words[0], (str, Path))):
        return None
    path = Path(words[0])
    return read_sheet(path, strict=True) if path.suffix.lower() in ENDINGS else None


class Gathering:
    """Batches of what was found, as they come: all draws where there is room for them, a few where there is not."""

    def __init__(self, known: Damaged, samples: int) -> None:
        self.known, self.space = known, known.damage.space
        self.few = len(known.y) * samples * self.space.size > ROOM
        self.found: list[Restored] = []
        self.held: list[tuple[int, dict[str, float]]] = []
        self.done = 0

    def add(self, found: Restored) -> None:
        """The next batch."""
        from morphogen.metrics.closeness import coverage

        rows = slice(self.done, self.done + len(found.mean))
        self.done = rows.stop
        found = Restored(**{name: value.cpu() for name, value in vars(found).items()})
        if self.known.clean is not None:
            y = self.known.y[rows].cpu()
            of = missing(y) if self.known.damage.hides else torch.ones_like(found.mean, dtype=torch.bool)
            said = coverage(found.draws, self.known.clean[rows].cpu(), self.space, of)
            self.held.append((int(of.sum()), said))
        self.found.append(replace(found, draws=found.draws[:DRAWS].clone()) if self.few else found)

    def whole(self) -> Restoration:
        """All of them as one, with what can be said where the truth is known."""
        mean = torch.cat([batch.mean for batch in self.found])
        if self.space.levels and mean.is_floating_point():
            mean = mean.clamp(0, 1)
        arrays = {name: torch.cat([getattr(b, name) for b in self.found]) for name in ("low", "high", "deviation")}
        arrays["draws"] = torch.cat([batch.draws for batch in self.found], 1)
        y = self.known.y
        blank = torch.where(y.isnan(), 0.5, y) if y.is_floating_point() else y.clamp_min(0)
        arrays["shown"] = self.known.damage.back(blank).cpu()
        if self.known.clean is None:
            return Restoration(mean, self.space, arrays=arrays)
        arrays["clean"] = self.known.clean.cpu()
        return Restoration(mean, self.space, arrays=arrays, scores=self._scores(mean, arrays["clean"]))

    def _scores(self, mean: Tensor, clean: Tensor) -> dict[str, float]:
        from morphogen.metrics.closeness import psnr, ssim

        count = sum(n for n, _ in self.held)
        wide = sum(n * said["wide"] for n, said in self.held)
        scores = {
            "coverage": sum(n * said["coverage"] for n, said in self.held) / max(count, 1),
            "nominal": self.held[0][1]["nominal"],
            "coverage_where_wide": sum(n * s["wide"] * s["coverage_where_wide"] for n, s in self.held)
            / max(wide, 1e-9),
            "wide": wide / max(count, 1),
        }
        if mean.is_floating_point():
            scores["root_mean_square"] = float((mean - clean).square().mean().sqrt())
        if self.space.levels and mean.is_floating_point():
            scores["psnr"] = float(psnr(mean, clean).mean())
        if self.space.kind == "image":
            scores["ssim"] = float(ssim(mean, clean).mean())
        return scores
